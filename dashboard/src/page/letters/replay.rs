//! Has those that fit run again, where the server allows it: `weir run --edit`.

use leptos::prelude::*;
use weir_api::ReplayResponse;

use crate::page::shell::Live;
use crate::protocol::{http, percent_encode};
use crate::view::address::Range;
use crate::view::letters::Choice;
use crate::view::letters::replay;
use crate::view::letters::summary::Counts;

#[component]
pub(super) fn Replay(
    live: Live,
    choice: Memo<Choice>,
    range: Memo<Option<Range>>,
    counts: Memo<Option<Counts>>,
) -> impl IntoView {
    let offer = Memo::new(move |_| {
        let is_allowed = live.is_editable();
        counts.with(|counts| {
            let counts = counts.as_ref().filter(|_| is_allowed)?;
            choice.with(|choice| replay::offer(counts, choice, range.get()))
        })
    });
    let outcome = RwSignal::new(String::new());
    let is_asked = RwSignal::new(false);
    let run = move |_| {
        let Some(offer) = offer.get_untracked() else { return };
        is_asked.set(true);
        outcome.set(String::new());
        js_sys::futures::spawn_local(async move {
            let path = format!("/api/v1/pipelines/{}/replay", percent_encode(&offer.pipeline));
            let text = match http::post_alone::<ReplayResponse>(&path, &offer.request).await {
                Ok(answer) => replay::outcome(&offer.pipeline, &answer),
                Err(failure) => format!("Not all was run again: {}.", failure.sentence()),
            };
            // The page may show something else by now.
            drop((outcome.try_set(text), is_asked.try_set(false)));
        });
    };
    let has_offer = Memo::new(move |_| offer.with(Option::is_some));
    let sentence = move || offer.with(|offer| offer.as_ref().map(|offer| offer.sentence.clone()));
    view! {
        <section class="letters-replay" aria-label="Run again" hidden=Signal::derive(move || !has_offer.get() && outcome.with(String::is_empty))>
            <p class="quiet" data-testid="letters-offer">{sentence}</p>
            <div class="actions">
                <button
                    type="button"
                    data-testid="letters-replay"
                    hidden=Signal::derive(move || !has_offer.get())
                    disabled=Signal::derive(move || is_asked.get())
                    on:click=run
                >
                    {move || if is_asked.get() { "Running them again" } else { "Run them again" }}
                </button>
                <p role="status" data-testid="letters-outcome">{outcome}</p>
            </div>
        </section>
    }
}
