//! The window of the command palette: Ctrl+K opens it, and only then its code is loaded.

use leptos::html;
use leptos::prelude::*;

use super::{Live, Route, Theme, part};
use crate::page::parts;

/// Whether the palette is open; copies are the same.
#[derive(Clone, Copy)]
pub(super) struct Command {
    is_open: RwSignal<bool>,
}

impl Command {
    /// Listens to the keyboard, for as long as the page lives.
    pub(super) fn start() -> Self {
        let command = Self { is_open: RwSignal::new(false) };
        window_event_listener(leptos::ev::keydown, move |event| {
            let has_key = (event.ctrl_key() || event.meta_key()) && !event.alt_key() && !event.shift_key();
            if has_key && event.key().eq_ignore_ascii_case("k") {
                event.prevent_default();
                command.is_open.update(|is_open| *is_open = !*is_open);
            }
        });
        command
    }

    pub(super) fn open(self) {
        self.is_open.set(true);
    }
}

#[component]
pub(super) fn CommandWindow(command: Command, live: Live, route: Route, theme: Theme) -> impl IntoView {
    let is_open = command.is_open;
    let close = Callback::new(move |()| is_open.set(false));
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = dialog.get() else { return };
        if is_open.get() && !dialog.open() {
            // Refused only to one that is not in the document.
            drop(dialog.show_modal());
        } else if !is_open.get() && dialog.open() {
            dialog.close();
        }
    });
    // The dialog fills the screen behind its box: a click on it is beside the box.
    let beside = move |event: web_sys::MouseEvent| {
        let target: web_sys::Element = event_target(&event);
        if target.tag_name() == "DIALOG" {
            close.run(());
        }
    };
    view! {
        <dialog
            node_ref=dialog
            class="palette"
            aria-label="Command palette"
            data-testid="palette"
            on:close=move |_| close.run(())
            on:click=beside
        >
            <div class="palette-box">
                {move || is_open.get().then(|| part(parts::load_palette, move || parts::palette(live, route, theme, close)))}
            </div>
        </dialog>
    }
}
