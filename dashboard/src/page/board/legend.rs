//! Each series with its mark and its value in the window under the crosshair, else in the newest complete one. A click
//! shows a series alone, in all panels that have one of its name.

use leptos::prelude::*;

use super::panel::{Content, Source};
use super::plot::hovered;
use crate::chart::legend::{self, Entry};

/// A value of more characters needs wider columns.
const LONG: usize = 10;

#[component]
pub(super) fn Legend(source: Source, content: Memo<Content>) -> impl IntoView {
    let legend = Memo::new(move |_| {
        let hovered = hovered(source, content);
        source.board.zone.with(|zone| content.with(|content| legend::legend(&content.data, hovered, zone)))
    });
    let labels = Memo::new(move |_| {
        legend.with(|legend| {
            legend.entries.iter().map(|entry| (entry.label.clone(), entry.slot)).collect::<Vec<_>>()
        })
    });
    let is_wide =
        move || legend.with(|legend| legend.entries.iter().any(|entry| LONG < entry.value.chars().count()));
    view! {
        <div class="panel-legend" class:wide=is_wide>
            <p class="legend-head figure">
                <span data-testid="panel-window">{Signal::derive(move || legend.with(|legend| legend.window.clone()))}</span>
                <span class="note">{Signal::derive(move || legend.with(|legend| legend.note.clone()))}</span>
            </p>
            <ul>
                <For
                    each=move || labels.get()
                    key=Clone::clone
                    children=move |(label, mark)| view! { <LegendItem source legend label mark /> }
                />
            </ul>
        </div>
    }
}

#[component]
fn LegendItem(source: Source, legend: Memo<legend::Legend>, label: String, mark: usize) -> impl IntoView {
    let board = source.board;
    let value = {
        let label = label.clone();
        let of = move |entries: &[Entry]| {
            entries.iter().find(|entry| entry.label == label).map(|entry| entry.value.clone())
        };
        move || legend.with(|legend| of(&legend.entries))
    };
    let is_alone = {
        let label = label.clone();
        Memo::new(move |_| board.only.with(|only| only.as_ref() == Some(&label)))
    };
    // A series that no entry here bears fades nothing here.
    let is_faded = move || {
        let has_it = board.only.with(|only| {
            only.as_ref()
                .is_some_and(|only| legend.with(|legend| legend.entries.iter().any(|it| it.label == *only)))
        });
        has_it && !is_alone.get()
    };
    let toggle = {
        let label = label.clone();
        move |_| {
            let only = (!is_alone.get_untracked()).then(|| label.clone());
            board.route.replace(|address| address.only = only);
        }
    };
    view! {
        <li class:faded=is_faded>
            <button
                type="button"
                class="plain"
                data-testid="legend-item"
                aria-pressed=Signal::derive(move || if is_alone.get() { "true" } else { "false" })
                on:click=toggle
            >
                <svg class=format!("swatch series-{mark}") viewBox="-6 -6 12 12" aria-hidden="true">
                    <path d=legend::mark_path(mark) />
                </svg>
                <span class="label">{label.clone()}</span>
                <span class="value figure">{value}</span>
            </button>
        </li>
    }
}
