//! Which pipeline, which reason, which time: links, so that each choice has an address.

use leptos::prelude::*;

use crate::page::cell::breaking;
use crate::page::shell::Route;
use crate::protocol::time;
use crate::view::address::{Range, SPANS};
use crate::view::letters::Choice;
use crate::view::letters::reasons;
use crate::view::letters::summary::{Counts, Item};
use crate::view::zone::Zone;

#[component]
pub(super) fn Filters(
    route: Route,
    choice: Memo<Choice>,
    range: Memo<Option<Range>>,
    counts: Memo<Option<Counts>>,
    zone: Memo<Zone>,
) -> impl IntoView {
    let items = move |read: fn(&Counts, &Choice) -> Vec<Item>| {
        Memo::new(move |_| {
            counts.with(|counts| {
                counts.as_ref().map(|counts| choice.with(|choice| read(counts, choice))).unwrap_or_default()
            })
        })
    };
    let by_reason = items(Counts::reasons);
    let by_pipeline = items(Counts::pipelines);
    let stretch = move || match range.get() {
        Some(Range::Between { from, to }) => Some(zone.with(|zone| {
            format!(
                "{} {} – {} {}",
                zone.date(from),
                zone.short_clock(from),
                zone.date(to),
                zone.short_clock(to)
            )
        })),
        Some(Range::Until(to)) => {
            Some(zone.with(|zone| format!("up to {} {}", zone.date(to), zone.short_clock(to))))
        }
        Some(Range::Last(_)) | None => None,
    };
    let reason_link = move |value: Option<String>| {
        route.link(|address| {
            address.letters.reason = value;
            address.letters.place = None;
        })
    };
    let pipeline_link = move |value: Option<String>| {
        route.link(|address| {
            address.letters.pipeline = value;
            address.letters.place = None;
        })
    };
    let chosen_reason = Memo::new(move |_| choice.with(|choice| choice.reason.clone()));
    let chosen_pipeline = Memo::new(move |_| choice.with(|choice| choice.pipeline.clone()));
    view! {
        <div class="letters-filters">
            {choices("Reason", by_reason, chosen_reason, reason_link, true)}
            {choices("Pipeline", by_pipeline, chosen_pipeline, pipeline_link, false)}
            <nav class="choices" aria-label="Time">
                <a href=Signal::derive(move || route.link(|address| address.range = None)) aria-current=Signal::derive(move || range.get().is_none().then_some("true"))>
                    "All kept"
                </a>
                {SPANS.map(|text| span(route, range, text)).into_iter().collect_view()}
                <span class="figure" hidden=Signal::derive(move || stretch().is_none()) data-testid="letters-stretch">{stretch}</span>
            </nav>
        </div>
    }
}

/// The last so much.
fn span(route: Route, range: Memo<Option<Range>>, text: &'static str) -> impl IntoView {
    let last = Range::Last(time::parse_duration_ms(text).unwrap_or_default());
    view! {
        <a
            href=Signal::derive(move || route.link(|address| address.range = Some(last)))
            aria-current=Signal::derive(move || (range.get() == Some(last)).then_some("true"))
        >
            {text}
        </a>
    }
}

/// All, or one of the items.
fn choices(
    name: &'static str,
    items: Memo<Vec<Item>>,
    chosen: Memo<Option<String>>,
    link: impl Fn(Option<String>) -> String + Copy + Send + Sync + 'static,
    has_swatch: bool,
) -> impl IntoView {
    let keys = Memo::new(move |_| {
        items.with(|items| items.iter().map(|item| item.value.clone()).collect::<Vec<_>>())
    });
    let one = move |value: String| {
        let item = {
            let value = value.clone();
            Memo::new(move |_| items.with(|items| items.iter().find(|item| item.value == value).cloned()))
        };
        let (of_link, of_current) = (value.clone(), value.clone());
        let swatch = has_swatch.then(|| view! { <span class=format!("swatch-box reason-{}", reasons::slot(&value)) aria-hidden="true"></span> });
        view! {
            <a
                href=Signal::derive(move || link(Some(of_link.clone())))
                aria-current=Signal::derive(move || chosen.with(|chosen| (chosen.as_ref() == Some(&of_current)).then_some("true")))
                data-testid=format!("letters-{}-{value}", name.to_lowercase())
            >
                {swatch}
                {move || item.with(|item| item.as_ref().map(|item| breaking(&item.title)))}
                <span class="count figure">{move || item.with(|item| item.as_ref().map(|item| item.count.clone()))}</span>
            </a>
        }
    };
    view! {
        <nav class="choices" aria-label=name>
            <a href=Signal::derive(move || link(None)) aria-current=Signal::derive(move || chosen.with(|chosen| chosen.is_none().then_some("true")))>
                {format!("Every {}", name.to_lowercase())}
            </a>
            <For each=move || keys.get() key=Clone::clone children=one />
        </nav>
    }
}
