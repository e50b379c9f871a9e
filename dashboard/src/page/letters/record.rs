//! One dead letter: what is wrong and what to do, where it is, what is in it, how to get it again.

use leptos::html;
use leptos::prelude::*;
use weir_api::{Source, WriterSchema};

use super::content::ContentOf;
use crate::page::cell::breaking;
use crate::page::copy::CopyButton;
use crate::page::shell::{Again, Live, Route, get_again, sql_again};
use crate::protocol::percent_encode;
use crate::view::letters::Choice;
use crate::view::letters::reasons;
use crate::view::letters::record::{self, Letter};
use crate::view::zone::Zone;

/// A record that is there does not change; one that is not yet there may come.
const SECONDS: f64 = 30.0;

#[component]
pub(super) fn Record(live: Live, route: Route, zone: Memo<Zone>, choice: Memo<Choice>) -> impl IntoView {
    let query = Memo::new(move |_| {
        choice.with(|choice| choice.place.as_ref().map(record::query).unwrap_or_default())
    });
    let answer = sql_again(live, SECONDS, query);
    let letter = Memo::new(move |_| answer.with(|answer| answer.and_then(Letter::read)));
    let schema_path = Memo::new(move |_| {
        letter.with(|letter| letter.as_ref().and_then(Letter::schema_path)).unwrap_or_default()
    });
    let schema = get_again::<WriterSchema>(live, SECONDS, schema_path);
    let source_path = Memo::new(move |_| {
        let path = |letter: &Letter| format!("/api/v1/sources/{}", percent_encode(&letter.source));
        letter.with(|letter| letter.as_ref().map(path)).unwrap_or_default()
    });
    let source = get_again::<Source>(live, SECONDS, source_path);
    let is_chosen = Memo::new(move |_| choice.with(|choice| choice.place.is_some()));
    let missing = move || match (
        answer.failure(),
        answer.with(|answer| answer.is_some()),
        letter.with(Option::is_some),
    ) {
        (_, _, true) => None,
        (Some(reason), _, _) => Some(format!("The record can't be shown: {reason}.")),
        (None, false, _) => Some("Asking the server for the record.".to_owned()),
        (None, true, _) => Some("It is not kept: it never was, was run again, or is too old.".to_owned()),
    };
    let section = NodeRef::<html::Section>::new();
    // Where list and record do not stand beside each other, the record would be out of sight.
    Effect::new(move |_| {
        query.with(|_| ());
        if let Some(section) = section.get().filter(|_| is_chosen.get()) {
            // Once it is there: until then it has no place.
            request_animation_frame(move || bring_into_view(&section));
        }
    });
    view! {
        <section node_ref=section class="letter" aria-labelledby="letter" data-testid="letter" hidden=Signal::derive(move || !is_chosen.get())>
            <div class="section-head">
                <h2 id="letter">{move || letter.with(|letter| breaking(&letter.as_ref().map_or_else(|| "Record".to_owned(), Letter::title)))}</h2>
                <a class="close" href=Signal::derive(move || route.link(|address| address.letters.place = None))>"Close"</a>
            </div>
            <p class="message" hidden=Signal::derive(move || missing().is_none())>{missing}</p>
            {move || letter.get().map(|letter| view! {
                <Reason letter=letter.clone() />
                <Origin letter=letter.clone() zone />
                <ContentOf letter=letter.clone() schema />
                <WriterSchemaOf schema />
                <Retrieval letter source />
            })}
        </section>
    }
}

/// Scrolls only where it must, and not the whole page away.
fn bring_into_view(section: &web_sys::HtmlElement) {
    let top = section.get_bounding_client_rect().top();
    let height = window().inner_height().ok().and_then(|height| height.as_f64()).unwrap_or(0.0);
    if top < 0.0 || height * 0.7 < top {
        section.scroll_into_view();
    }
}

#[component]
fn Reason(letter: Letter) -> impl IntoView {
    let reason = reasons::of(&letter.reason);
    view! {
        <div class="letter-reason" data-testid="letter-reason">
            <p class="said">{letter.detail}</p>
            <p>{reason.map(|reason| reason.meaning)}</p>
            <p class="advice">{reason.map(|reason| reason.advice)}</p>
        </div>
    }
}

#[component]
fn Origin(letter: Letter, zone: Memo<Zone>) -> impl IntoView {
    let entries = move || {
        let entry = |(name, value): (&'static str, String)| {
            view! {
                <div>
                    <dt>{name}</dt>
                    <dd class="figure">{breaking(&value)}</dd>
                </div>
            }
        };
        zone.with(|zone| letter.origin(zone)).into_iter().map(entry).collect_view()
    };
    view! { <dl class="letter-origin" data-testid="letter-origin">{entries}</dl> }
}

/// The schema that it was written with, folded: it is long.
#[component]
fn WriterSchemaOf(schema: Again<WriterSchema>) -> impl IntoView {
    let title =
        move || schema.with(|schema| schema.map(|schema| format!("Writer schema {}", schema.schema_id)));
    let text = move || {
        schema.with(|schema| schema.map(|schema| record::schema_text(&schema.schema))).unwrap_or_default()
    };
    view! {
        <details class="letter-command" data-testid="letter-schema" hidden=Signal::derive(move || title().is_none())>
            <summary>{title}</summary>
            <pre tabindex="0" role="region" aria-label="Writer schema">{text}</pre>
            <CopyButton label="Copy the schema" text=move |()| untrack(text) testid="letter-copy-schema" />
        </details>
    }
}

/// How to get it again, outside of Weir.
#[component]
fn Retrieval(letter: Letter, source: Again<Source>) -> impl IntoView {
    let command = Memo::new(move |_| source.with(|source| record::kcat(&letter, source?)));
    let text = move || command.get().unwrap_or_default();
    view! {
        <div class="letter-command" hidden=Signal::derive(move || command.with(Option::is_none))>
            <h3>"Read it from Kafka"</h3>
            <p class="quiet" hidden=Signal::derive(move || !command.with(|command| command.as_ref().is_some_and(|it| it.contains("${"))))>
                "The address is from a variable of the environment that Weir runs in: your shell needs it, too."
            </p>
            <pre tabindex="0" role="region" aria-label="Command" data-testid="letter-kcat">{text}</pre>
            <CopyButton label="Copy the kcat command" text=move |()| text() testid="letter-copy-kcat" />
        </div>
    }
}
