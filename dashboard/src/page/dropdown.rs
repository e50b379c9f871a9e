//! What opens below its button, as a `details` element: Escape closes it and goes back there, leaving it closes it.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{FocusEvent, HtmlElement, KeyboardEvent, Node};

/// The element; copies are the same. Its `keydown` and `focusout` go to [`Dropdown::key`] and [`Dropdown::leave`].
#[derive(Clone, Copy)]
pub(super) struct Dropdown {
    pub(super) details: NodeRef<html::Details>,
}

impl Dropdown {
    pub(super) fn new() -> Self {
        Self { details: NodeRef::new() }
    }

    pub(super) fn close(self) {
        if let Some(details) = self.details.get_untracked() {
            details.set_open(false);
        }
    }

    pub(super) fn key(self, event: &KeyboardEvent) {
        if event.key() != "Escape" {
            return;
        }
        self.close();
        let summary = self.details.get_untracked().and_then(|it| it.query_selector("summary").ok().flatten());
        if let Some(summary) = summary.and_then(|summary| summary.dyn_into::<HtmlElement>().ok()) {
            // Refused only where it is hidden.
            drop(summary.focus());
        }
    }

    pub(super) fn leave(self, event: &FocusEvent) {
        let to = event.related_target().and_then(|target| target.dyn_into::<Node>().ok());
        let stays = self.details.get_untracked().is_some_and(|details| details.contains(to.as_ref()));
        if to.is_some() && !stays {
            self.close();
        }
    }
}
