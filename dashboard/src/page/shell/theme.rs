//! Light or dark: the system's preference, or what was chosen here.
//!
//! Invariant: a choice that equals the system's preference is not kept, so that the page goes on following the system.
//! `static/boot.js` applies a kept choice before this program is there.

use leptos::prelude::*;

const KEY: &str = "weir-theme";

/// A handle; copies are the same theme.
#[derive(Clone, Copy)]
pub(in crate::page) struct Theme {
    is_dark: RwSignal<bool>,
}

impl Theme {
    /// Follows the system from now on, unless something was chosen.
    pub(super) fn start() -> Self {
        let system = system_prefers_dark();
        let is_dark = RwSignal::new(kept().unwrap_or(system));
        if let Ok(Some(query)) = window().match_media("(prefers-color-scheme: dark)") {
            let follow = move || {
                if kept().is_none() {
                    is_dark.set(system_prefers_dark());
                }
            };
            let listener = wasm_bindgen::closure::Closure::<dyn Fn()>::new(follow);
            query.set_onchange(Some(wasm_bindgen::JsCast::unchecked_ref(listener.as_ref())));
            // Both live as long as the page.
            std::mem::forget((query, listener));
        }
        Self { is_dark }
    }

    pub(in crate::page) fn is_dark(self) -> bool {
        self.is_dark.get()
    }

    /// Switches to the other one.
    pub(in crate::page) fn toggle(self) {
        let is_dark = !self.is_dark.get_untracked();
        let name = if is_dark { "dark" } else { "light" };
        let choice = (is_dark != system_prefers_dark()).then_some(name);
        if let Some(root) = document().document_element() {
            let applied = match choice {
                Some(name) => root.set_attribute("data-theme", name),
                None => root.remove_attribute("data-theme"),
            };
            debug_assert!(applied.is_ok(), "the attribute's name is valid");
        }
        // A browser that keeps nothing (private windows) still shows the theme that was chosen.
        if let Ok(Some(storage)) = window().local_storage() {
            let kept = match choice {
                Some(name) => storage.set_item(KEY, name),
                None => storage.remove_item(KEY),
            };
            drop(kept);
        }
        self.is_dark.set(is_dark);
    }
}

fn kept() -> Option<bool> {
    let name = document().document_element()?.get_attribute("data-theme")?;
    Some(name == "dark")
}

fn system_prefers_dark() -> bool {
    let query = window().match_media("(prefers-color-scheme: dark)");
    query.ok().flatten().is_some_and(|query| query.matches())
}
