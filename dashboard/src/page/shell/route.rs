//! The page's address as a signal, and links that change it without loading anything.
//!
//! Invariant: a click with a key or another button than the first is the browser's: a new tab stays a new tab.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};

use crate::view::address::{Address, Page};

/// A handle; copies are the same address.
#[derive(Clone, Copy)]
pub(in crate::page) struct Route {
    address: RwSignal<Address>,
}

impl Route {
    /// Follows the browser's address from now on, and takes over clicks on links to our pages.
    pub(super) fn start() -> Self {
        let route = Self { address: RwSignal::new(read()) };
        if let Some(meant) = Address::of_old_link(&location().hash().unwrap_or_default()) {
            route.replace_by(meant);
        }
        window_event_listener_untyped("popstate", move |_| route.set(read()));
        window_event_listener_untyped("click", move |event| route.follow(event.unchecked_ref()));
        route
    }

    pub(in crate::page) fn address(self) -> Address {
        self.address.get()
    }

    /// Reads a part of the address, and runs again when anything of it changed.
    pub(in crate::page) fn with<T>(self, read: impl FnOnce(&Address) -> T) -> T {
        self.address.with(read)
    }

    /// Reads a part of the address once.
    pub(in crate::page) fn with_untracked<T>(self, read: impl FnOnce(&Address) -> T) -> T {
        self.address.with_untracked(read)
    }

    /// Where a link goes that changes something of this page's address.
    pub(in crate::page) fn link(self, change: impl FnOnce(&mut Address)) -> String {
        let mut address = self.address.get();
        change(&mut address);
        address.href()
    }

    /// Where a link to another page goes.
    pub(in crate::page) fn link_to(self, page: Page) -> String {
        self.address.with(|address| address.at(page).href())
    }

    /// Goes there, as a link does: the way back is kept.
    pub(in crate::page) fn go(self, change: impl FnOnce(&mut Address)) {
        let mut address = self.address.get_untracked();
        change(&mut address);
        self.push(address);
    }

    /// Goes to another page.
    pub(in crate::page) fn go_to(self, page: Page) {
        self.push(self.address.with_untracked(|address| address.at(page)));
    }

    /// Changes the address without a way back: for what changes while one types.
    pub(in crate::page) fn replace(self, change: impl FnOnce(&mut Address)) {
        let mut address = self.address.get_untracked();
        change(&mut address);
        self.replace_by(address);
    }

    fn push(self, address: Address) {
        let is_new = self.address.with_untracked(|here| *here != address);
        // Refused only when a program pushes hundreds a minute; the page is right without.
        if is_new && let Ok(history) = window().history() {
            drop(history.push_state_with_url(&JsValue::NULL, "", Some(&address.href())));
        }
        self.set(address);
    }

    fn replace_by(self, address: Address) {
        if let Ok(history) = window().history() {
            drop(history.replace_state_with_url(&JsValue::NULL, "", Some(&address.href())));
        }
        self.set(address);
    }

    fn set(self, address: Address) {
        let was = self.address.try_update(|here| std::mem::replace(here, address));
        let is_other_page = was.is_some_and(|was| was.page != self.address.get_untracked().page);
        if is_other_page {
            window().scroll_to_with_x_and_y(0.0, 0.0);
        }
    }

    /// Goes where a plain click on a link leads, if that is one of our pages.
    fn follow(self, event: &web_sys::MouseEvent) {
        let has_key = event.ctrl_key() || event.meta_key() || event.shift_key() || event.alt_key();
        if event.default_prevented() || event.button() != 0 || has_key {
            return;
        }
        let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let link = target.and_then(|target| target.closest("a[href]").ok().flatten());
        let Some(link) = link.filter(|link| !link.has_attribute("download") && !link.has_attribute("target"))
        else {
            return;
        };
        let href = link.get_attribute("href").unwrap_or_default();
        let (path, search) = href.split_once('?').unwrap_or((&href, ""));
        let address = Address::parse(path, search);
        if !matches!(address.page, Page::Missing(_)) && address.href() == href {
            event.prevent_default();
            self.push(address);
        }
    }
}

fn read() -> Address {
    let part = |part: Result<String, JsValue>| part.unwrap_or_default();
    Address::parse(&part(location().pathname()), &part(location().search()))
}
