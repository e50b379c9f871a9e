//! The head of a dashboard: its title, which stretch of time, and what is done with the whole.

use leptos::html;
use leptos::prelude::*;

use super::between::Between;
use super::{Board, export};
use crate::protocol::time;
use crate::view::address::Range;
use crate::view::board::span::{self, SPANS, words};

#[component]
pub(super) fn Controls(
    board: Board,
    whole: NodeRef<html::Div>,
    enlarged: Memo<Option<usize>>,
) -> impl IntoView {
    let route = board.route;
    let title = move || {
        let title =
            board.dashboard.with(|dashboard| dashboard.as_ref().map(|dashboard| dashboard.title.clone()));
        title.unwrap_or_else(|| board.name.get())
    };
    let is_held = Memo::new(move |_| is_held(board.chosen.get()));
    let said = move || match board.chosen.get() {
        Some(range @ (Range::Between { .. } | Range::Until(_))) => {
            board.zone.with(|zone| format!("{} {}", words(range, zone), zone.label))
        }
        _ => String::new(),
    };
    let saved =
        move || board.draft.is_saved().then(|| format!("Saved as dashboards/{}.yaml", board.name.get()));
    // What was followed before it was held, to go on with.
    let followed = StoredValue::new(None::<Range>);
    Effect::new(move |_| match board.chosen.get() {
        range if self::is_held(range) => {}
        range => followed.set_value(range),
    });
    let hold = move |_| {
        if is_held.get_untracked() {
            route.go(|address| address.range = followed.get_value());
        } else if let Some(range) = untrack(|| present(board)) {
            route.go(|address| address.range = Some(range));
        }
    };
    let wider = move |_| {
        if let Some((from, to)) = untrack(|| bounds(board)) {
            let half = (to - from) as f64 / 2.0;
            route.go(|address| address.range = span::zoomed(from as f64 - half, to as f64 + half));
        }
    };
    view! {
        <div class="board-head">
            <h1 data-testid="board-title">{title}</h1>
            <p class="quiet figure" data-testid="board-range">{said}</p>
            <p class="saved" role="status" data-testid="board-saved">{saved}</p>
            <div class="controls" hidden=Signal::derive(move || board.dashboard.with(Option::is_none))>
                <button type="button" data-testid="zoom-out" hidden=Signal::derive(move || !is_held.get()) on:click=wider>"Zoom out"</button>
                <button
                    type="button"
                    data-testid="pause"
                    aria-pressed=Signal::derive(move || if is_held.get() { "true" } else { "false" })
                    title="Hold these times, or follow the newest rows"
                    on:click=hold
                >
                    {move || if is_held.get() { "Go live" } else { "Pause" }}
                </button>
                <Between board />
                <Spans board />
                <Share board />
                <Edit board />
                <Wall whole enlarged />
            </div>
        </div>
    }
}

/// Opens the draft.
#[component]
fn Edit(board: Board) -> impl IntoView {
    let edit = move |_| {
        if let Some(dashboard) = board.dashboard.get_untracked() {
            board.draft.open(dashboard);
        }
    };
    view! {
        <button type="button" data-testid="edit" hidden=Signal::derive(move || board.draft.is_open()) on:click=edit>
            {move || if board.draft.is_kept() { "Go on editing" } else { "Edit" }}
        </button>
    }
}

/// How far back the panels look behind the watermark.
#[component]
fn Spans(board: Board) -> impl IntoView {
    let route = board.route;
    let spans = SPANS.map(|(text, words)| {
        let span_ms = time::parse_duration_ms(text).unwrap_or_default();
        let href = move || route.link(|address| address.range = Some(Range::Last(span_ms)));
        let current = move || (board.chosen.get() == Some(Range::Last(span_ms))).then_some("true");
        view! { <a href=href aria-current=current data-testid=format!("span-{text}")>{words}</a> }
    });
    let own_href = move || route.link(|address| address.range = None);
    let own_current = move || board.chosen.get().is_none().then_some("true");
    view! {
        <nav class="segments" aria-label="How far back">
            <a href=own_href aria-current=own_current data-testid="span-own" title="Each panel as far back as its file says">"default"</a>
            {spans.collect_view()}
        </nav>
    }
}

fn is_held(chosen: Option<Range>) -> bool {
    matches!(chosen, Some(Range::Between { .. } | Range::Until(_)))
}

/// What holds the stretch of time that the panels show now.
fn present(board: Board) -> Option<Range> {
    board.dashboard.with(|dashboard| {
        let dashboard = dashboard.as_ref()?;
        board.live.read(|store| {
            let tables = dashboard.panels.iter().filter_map(|panel| store.table(&panel.pipeline));
            let newest = tables.filter_map(|table| table.watermark()).max()?;
            Some(span::held(board.chosen.get(), newest))
        })
    })
}

/// The bounds of what the panels show now.
pub(super) fn bounds(board: Board) -> Option<(i64, i64)> {
    let held = present(board)?;
    board.dashboard.with(|dashboard| span::bounds(dashboard.as_ref()?, Some(held)))
}

/// Copies the address with absolute times, so that who opens it sees the same numbers.
#[component]
fn Share(board: Board) -> impl IntoView {
    let was_copied = RwSignal::new(false);
    let copy = move |_| {
        let Some(range) = untrack(|| match board.chosen.get() {
            range if is_held(range) => range,
            _ => present(board),
        }) else {
            return;
        };
        let href = untrack(|| {
            board.route.link(|address| {
                address.range = Some(range);
                // The draft is this browser's.
                address.edit = false;
            })
        });
        let origin = location().origin().unwrap_or_default();
        if !export::copy(&format!("{origin}{href}")) {
            // Without a clipboard the address bar has it.
            board.route.go(|address| address.range = Some(range));
            return;
        }
        was_copied.set(true);
        set_timeout(move || was_copied.set(false), std::time::Duration::from_secs(2));
    };
    view! {
        <button type="button" data-testid="share" title="Copy a link to these times" on:click=copy>
            {move || if was_copied.get() { "Copied" } else { "Copy link" }}
        </button>
    }
}

/// Full screen, for a wall.
#[component]
fn Wall(whole: NodeRef<html::Div>, enlarged: Memo<Option<usize>>) -> impl IntoView {
    let fill = move |_| {
        let Some(whole) = whole.get_untracked() else { return };
        if document().fullscreen_element().is_some() {
            document().exit_fullscreen();
        } else {
            // Refused where the page stands in a frame that may not: then nothing happens, as with any video.
            drop(whole.request_fullscreen());
        }
    };
    let label = move || {
        if enlarged.get().is_some() {
            "Show this panel on the full screen"
        } else {
            "Show the dashboard on the full screen"
        }
    };
    view! {
        <button type="button" class="square" data-testid="full-screen" aria-label=label title=label on:click=fill>
            <svg class="icon" viewBox="0 0 20 20" aria-hidden="true">
                <path d="M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4" />
            </svg>
        </button>
    }
}
