//! What is said to a browser that is not let in: why, and what to do. In the page's place where there is nothing to show yet,
//! else over its lower edge, so that nothing moves and the numbers of before, greyed, can still be read.

use leptos::prelude::*;

use super::{ListState, Live};

/// Whether the page has nothing to show and is told why.
pub(super) fn is_whole(live: Live) -> bool {
    live.health().refusal().is_some() && live.list() != ListState::Ready
}

#[component]
pub(super) fn Refusal(live: Live) -> impl IntoView {
    let refusal = move || live.health().refusal().unwrap_or_default();
    view! {
        <section
            class="refusal"
            class:over=Signal::derive(move || !is_whole(live))
            role="alert"
            data-testid="refusal"
            hidden=Signal::derive(move || refusal().is_empty())
        >
            <h2>"Not permitted"</h2>
            <p>{Signal::derive(refusal)}</p>
            <p class="quiet">
                "Weir has no passwords: what stands before it, such as a proxy, decides who may read. There one signs in, and this browser sends with each request what it got there."
            </p>
            <p class="actions">
                <button type="button" class="primary" data-testid="sign-in" on:click=move |_| drop(location().reload())>"Reload to sign in"</button>
                <button type="button" on:click=move |_| live.retry()>"Try again"</button>
            </p>
        </section>
    }
}
