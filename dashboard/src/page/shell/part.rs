//! A page whose code is loaded when it is first shown.
//!
//! Invariants:
//! 1. A part that is there is shown at once, without a moment in which it is said to be loading.
//! 2. A part that did not come says so, and can be asked for again: nothing of a failure is kept.
//! 3. What comes after one has gone to another page is not shown.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leptos::prelude::*;
use leptos::wasm_split::SplitLoaderError;

/// The code of a page could not be loaded.
#[derive(Debug)]
pub(in crate::page) struct NotLoaded;

impl From<SplitLoaderError> for NotLoaded {
    fn from(_: SplitLoaderError) -> Self {
        Self
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Loading,
    Loaded,
    Failed,
}

type Loading = Pin<Box<dyn Future<Output = Result<(), SplitLoaderError>>>>;

/// Shows a part: `load` gets its code (and is quick when that is there), `open` makes the view and may be called only
/// then. Both are what `#[wasm_split]` makes of a function; see `dashboard/README.md`.
pub(in crate::page) fn part<L, O>(load: fn() -> L, open: impl Fn() -> O + Send + 'static) -> AnyView
where
    L: Future<Output = Result<(), SplitLoaderError>> + 'static,
    O: Future<Output = Result<AnyView, NotLoaded>>,
{
    // All that differs from part to part is here: it is in the first load once for each.
    let load = Arc::new(move || -> Loading { Box::pin(load()) });
    show(load, Box::new(move || now(pin!(open())).and_then(Result::ok)))
}

fn show(
    load: Arc<dyn Fn() -> Loading + Send + Sync>,
    open: Box<dyn Fn() -> Option<AnyView> + Send>,
) -> AnyView {
    let state = RwSignal::new(State::Loading);
    let load = move || {
        let mut loading = load();
        let at_once = now(loading.as_mut()).map(into_state);
        state.set(at_once.unwrap_or(State::Loading));
        if at_once.is_none() {
            js_sys::futures::spawn_local(async move {
                // Refused where the page is gone.
                let _gone = state.try_set(into_state(loading.await));
            });
        }
    };
    load();
    let body = move || match state.get() {
        State::Loaded => open().unwrap_or_else(|| failed(load.clone())),
        State::Loading => loading(),
        State::Failed => failed(load.clone()),
    };
    body.into_any()
}

fn into_state(loaded: Result<(), SplitLoaderError>) -> State {
    if loaded.is_ok() { State::Loaded } else { State::Failed }
}

/// What a future that need not wait gives.
fn now<T, F: Future<Output = T> + ?Sized>(future: Pin<&mut F>) -> Option<T> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// As high as a page, so that nothing moves when that comes; what it says is seen only after a moment.
fn loading() -> AnyView {
    view! {
        <section class="part loading" aria-busy="true" data-testid="part-loading">
            <p class="message" role="status">"Loading this page."</p>
        </section>
    }
    .into_any()
}

fn failed(load: impl Fn() + 'static) -> AnyView {
    view! {
        <section class="part empty" role="alert" data-testid="part-failed">
            <h1>"This page could not be loaded"</h1>
            <p class="message">
                "The server did not send its program. It may be away, or may have been replaced by another version, for which this page has to be reloaded."
            </p>
            <p class="actions">
                <button type="button" class="primary" on:click=move |_| load()>"Try again"</button>
                <button type="button" on:click=move |_| drop(location().reload())>"Reload"</button>
            </p>
        </section>
    }
    .into_any()
}
