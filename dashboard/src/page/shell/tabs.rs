//! The other tabs of this browser: a channel to them, and locks that say which tab lives and which one leads.
//!
//! Invariant: a lock that was got is held until the tab ends, however it ends: the browser gives it to the next one.

use js_sys::{Array, Function, Promise, Reflect};
use leptos::prelude::*;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BroadcastChannel, MessageEvent};

use crate::protocol::tabs::{CHANNEL, Message};

/// See the module.
pub(super) struct Tabs {
    channel: BroadcastChannel,
    locks: JsValue,
    request: Function,
}

impl Tabs {
    /// `None` where the browser has no locks (it has them for https and loopback only): then each tab is on its own.
    pub(super) fn find(on_message: impl Fn(Message) + 'static) -> Option<Self> {
        let member =
            |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok().filter(JsValue::is_truthy);
        let locks = member(&member(&window(), "navigator")?, "locks")?;
        let request = member(&locks, "request")?.dyn_into().ok()?;
        let channel = BroadcastChannel::new(CHANNEL).ok()?;
        let listener = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let texts = event.data().dyn_into::<Array>().unwrap_or_default();
            let texts = texts.iter().map(|text| text.as_string()).collect::<Option<Vec<_>>>();
            if let Some(message) = texts.and_then(Message::read) {
                on_message(message);
            }
        });
        channel.set_onmessage(Some(listener.as_ref().unchecked_ref()));
        // It lives as long as the page.
        listener.forget();
        Some(Self { channel, locks, request })
    }

    /// Says something to all other tabs.
    pub(super) fn post(&self, message: Message) {
        let texts: Array = message.texts().iter().map(|text| JsValue::from_str(text)).collect();
        // Refused only by a channel that is closed, which this one never is.
        drop(self.channel.post_message(&texts));
    }

    /// Waits until this tab alone has the lock of the leader.
    pub(super) fn lead(&self, then: impl FnOnce() + 'static) {
        self.lock(&format!("{CHANNEL}-lead"), true, then);
    }

    /// Shows that this tab lives, for as long as it does.
    pub(super) fn live(&self, tab: &str, then: impl FnOnce() + 'static) {
        self.lock(&format!("{CHANNEL}-tab-{tab}"), true, then);
    }

    /// Waits until a tab that lives does no more.
    pub(super) fn await_end(&self, tab: &str, then: impl FnOnce() + 'static) {
        self.lock(&format!("{CHANNEL}-tab-{tab}"), false, then);
    }

    fn lock(&self, name: &str, keep: bool, then: impl FnOnce() + 'static) {
        let callback = Closure::once_into_js(move |_: JsValue| {
            then();
            // The lock is held until this promise ends.
            if keep { Promise::new(&mut |_, _| ()).into() } else { JsValue::UNDEFINED }
        });
        // Its promise tells of the lock's end, which the callback's is; it is refused to a page that goes away.
        drop(self.request.call2(&self.locks, &name.into(), &callback));
    }
}
