//! The page `/dead-letters`: by reason and time, a list, and one record decoded beside its bytes.
//!
//! ```text
//! address ──► Choice ──► counts ──► Filters, Chart          SQL over weir.dead_letters, bounded
//!                   ├──► lines  ──► List
//!                   ├──► letter ──► Record ──► GET sources/…/schemas/…
//!                   └──► offer  ──► Replay ──► POST pipelines/…/replay
//! ```

mod chart;
mod content;
mod filters;
mod list;
mod record;
mod replay;

use leptos::prelude::*;

use super::shell::{Live, Route, sql_again};
use crate::protocol::Wanted;
use crate::view::letters::summary::{self, Counts};
use crate::view::zone::Zone;

use chart::Chart;
use filters::Filters;
use list::List;
use record::Record;
use replay::Replay;

#[component]
pub(super) fn Letters(live: Live, route: Route, zone: Memo<Zone>) -> impl IntoView {
    live.want(Wanted::default());
    let choice = Memo::new(move |_| route.with(|address| address.letters.clone()));
    let range = Memo::new(move |_| route.with(|address| address.range));
    let answer = sql_again(live, 5.0, Memo::new(move |_| summary::counts_query(range.get())));
    let counts = Memo::new(move |_| answer.with(|answer| answer.map(Counts::read)));
    let is_empty =
        Memo::new(move |_| counts.with(|counts| counts.as_ref().is_some_and(|counts| counts.all() == 0)));
    let verdict = move || match (answer.failure(), counts.with(|counts| counts.as_ref().map(Counts::all))) {
        (Some(reason), None) => format!("Dead letters can't be shown: {reason}."),
        (None, None) => "Asking the server for dead letters.".to_owned(),
        (_, Some(0)) if range.get().is_none() => {
            "No dead letters: every record so far could be used.".to_owned()
        }
        (_, Some(0)) => "No dead letters in this stretch of time.".to_owned(),
        (_, Some(_)) => "Dead letters".to_owned(),
    };
    // Nothing to choose from, and nothing chosen.
    let is_idle = Memo::new(move |_| is_empty.get() && range.get().is_none());
    let has_place = Memo::new(move |_| choice.with(|choice| choice.place.is_some()));
    view! {
        <div class="title">
            <h1 data-testid="letters-title">{verdict}</h1>
            <p class="quiet">"A record that can't be used is kept here with the reason, its bytes and where it is in Kafka: of a pipeline the newest 7 days and 1 GiB, unless its file says otherwise."</p>
        </div>
        <section class="letters-summary" aria-label="By reason and time" hidden=Signal::derive(move || is_idle.get())>
            <Filters route choice range counts zone />
            <Chart live route zone choice range counts />
        </section>
        <Replay live choice range counts />
        <div class="letters" class:has-record=Signal::derive(move || has_place.get()) hidden=Signal::derive(move || is_empty.get() && !has_place.get())>
            <List live route zone choice range counts />
            <Record live route zone choice />
        </div>
    }
}
