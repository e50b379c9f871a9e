//! The page's address as a signal.

use leptos::prelude::*;

use crate::view::address::Address;

/// A handle; copies are the same address.
#[derive(Clone, Copy)]
pub(super) struct Route {
    address: RwSignal<Address>,
}

impl Route {
    /// Follows the browser's address from now on.
    pub(super) fn start() -> Self {
        let read = || Address::parse(&location().hash().unwrap_or_default());
        let address = RwSignal::new(read());
        window_event_listener_untyped("hashchange", move |_| address.set(read()));
        Self { address }
    }

    pub(super) fn address(self) -> Address {
        self.address.get()
    }

    /// Where a link goes that changes one thing of the address.
    pub(super) fn link(self, change: impl FnOnce(&mut Address)) -> String {
        let mut address = self.address.get();
        change(&mut address);
        address.hash()
    }

    /// Goes there, as a link does: the way back is kept.
    pub(super) fn go(self, change: impl FnOnce(&mut Address)) {
        let mut address = self.address.get_untracked();
        change(&mut address);
        // Refused only for a URL that is none; the signal follows by the event.
        if location().set_hash(&address.hash()).is_err() {
            self.address.set(address);
        }
    }

    /// The address of a pipeline: what was chosen for another one does not fit it.
    pub(super) fn to_pipeline(name: &str) -> impl FnOnce(&mut Address) + use<> {
        let name = name.to_owned();
        move |address| {
            address.pipeline = Some(name);
            address.measure = None;
        }
    }
}
