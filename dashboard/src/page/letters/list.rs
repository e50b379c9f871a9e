//! The newest dead letters that fit, a line each.

use leptos::prelude::*;

use crate::page::shell::{Live, Route, sql_again};
use crate::view::address::Range;
use crate::view::letters::list::{self, Line};
use crate::view::letters::summary::Counts;
use crate::view::letters::{Choice, Place};
use crate::view::zone::Zone;

#[component]
pub(super) fn List(
    live: Live,
    route: Route,
    zone: Memo<Zone>,
    choice: Memo<Choice>,
    range: Memo<Option<Range>>,
    counts: Memo<Option<Counts>>,
) -> impl IntoView {
    let query = Memo::new(move |_| choice.with(|choice| list::query(choice, range.get())));
    let answer = sql_again(live, 5.0, query);
    // `None`: no answer yet.
    let lines = Memo::new(move |before: Option<&Option<Vec<Line>>>| {
        let now = answer.with(|answer| answer.map(|answer| zone.with(|zone| list::lines(answer, zone))));
        now.or_else(|| before.cloned().flatten())
    });
    let sentence = move || {
        if let Some(reason) = answer.failure() {
            return format!("There is no newer list: {reason}.");
        }
        let total =
            counts.with(|counts| counts.as_ref().map(|counts| choice.with(|choice| counts.total(choice))));
        match total.zip(lines.with(|lines| lines.as_ref().map(Vec::len))) {
            Some((total, n_lines)) => list::sentence(total, n_lines),
            None => "Asking the server.".to_owned(),
        }
    };
    let is_of_one = Memo::new(move |_| {
        counts.with(|counts| {
            counts.as_ref().is_none_or(|counts| counts.pipelines(&Choice::default()).len() < 2)
        })
    });
    let place = Memo::new(move |_| choice.with(|choice| choice.place.clone()));
    view! {
        <section class="letters-list" aria-labelledby="letters-list">
            <div class="section-head">
                <h2 id="letters-list">"Records"</h2>
                <p class="quiet figure" data-testid="letters-sentence">{sentence}</p>
            </div>
            <ul data-testid="letters-list" class:of-one=Signal::derive(move || is_of_one.get())>
                <For each=move || lines.get().unwrap_or_default() key=Clone::clone let:line>
                    <LineOf route place line />
                </For>
            </ul>
        </section>
    }
}

#[component]
fn LineOf(route: Route, place: Memo<Option<Place>>, line: Line) -> impl IntoView {
    let (of_link, of_current) = (line.place.clone(), line.place.clone());
    let href = Signal::derive(move || route.link(|address| address.letters.place = Some(of_link.clone())));
    let current =
        Signal::derive(move || place.with(|place| (place.as_ref() == Some(&of_current)).then_some("true")));
    view! {
        <li>
            <a href=href aria-current=current data-testid="letter-line">
                <span class=format!("swatch-box reason-{}", line.slot) aria-hidden="true"></span>
                <strong>{line.title}</strong>
                <time class="figure" title=line.day>{line.clock}</time>
                <span class="whose">{line.pipeline}</span>
                <span class="origin figure">{line.origin}</span>
                <span class="detail">{line.detail}</span>
            </a>
        </li>
    }
}
