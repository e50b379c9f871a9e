//! A panel's numbers as a table whose lines stay where they are.
//!
//! Invariant: the elements are made once per set of columns; an epoch changes texts and attributes only.

use leptos::prelude::*;

use super::panel::Source;
use crate::page::cell::{Kind, cell};
use crate::view::board::lines::{Line, Lines, MAX_LINES, lines};
use crate::view::board::unit::Unit;
use crate::view::number::grouped;

#[component]
pub(super) fn Rows(source: Source) -> impl IntoView {
    let shown = Memo::new(move |_| {
        let grid = source.grid()?;
        source.panel.with(|panel| {
            let panel = panel.as_ref()?;
            let unit = Unit::of(panel.unit.as_deref(), panel.y.as_deref());
            Some(source.board.zone.with(|zone| lines(&grid, panel.chart, &unit, zone)))
        })
    });
    let heads = Memo::new(move |_| {
        shown.with(|shown| shown.as_ref().map(|shown| shown.heads.clone()).unwrap_or_default())
    });
    let more = move || match shown.with(|shown| shown.as_ref().map_or(0, |shown| shown.n_more)) {
        0 => String::new(),
        n_more => format!("and {} more rows; the CSV has them all", grouped(&n_more.to_string())),
    };
    let label = move || {
        source
            .panel
            .with(|panel| panel.as_ref().map(|panel| format!("{}, rows", panel.title)).unwrap_or_default())
    };
    view! {
        <div class="scroll rows" tabindex="0" role="region" aria-label=label>
            {move || table(heads.get(), shown)}
            <p class="quiet more">{more}</p>
        </div>
    }
}

fn table(heads: Vec<(String, bool)>, shown: Memo<Option<Lines>>) -> impl IntoView {
    let kinds = Kind::all(heads.iter().map(|(name, is_numeric)| (name.as_str(), *is_numeric)));
    let heads = heads.into_iter().map(|(name, is_numeric)| {
        view! { <th scope="col" class:num=is_numeric>{name}</th> }
    });
    let slots = (0..MAX_LINES).map(|at| slot(at, &kinds, shown));
    view! {
        <table class="windows" data-testid="panel-table">
            <thead>
                <tr>
                    <th scope="col"><span class="unseen">"State"</span></th>
                    {heads.collect_view()}
                </tr>
            </thead>
            <tbody>{slots.collect_view()}</tbody>
        </table>
    }
}

/// The line at one place of the table; hidden where there are fewer rows.
fn slot(at: usize, kinds: &[Kind], shown: Memo<Option<Lines>>) -> impl IntoView + use<> {
    let line = Memo::new(move |_| shown.with(|shown| shown.as_ref()?.lines.get(at).cloned()));
    let state = move || {
        line.with(|line| {
            if line.as_ref().is_some_and(|line: &Line| line.is_final) { "final" } else { "provisional" }
        })
    };
    let cells = kinds.iter().enumerate().map(|(place, &kind)| {
        cell(kind, move || line.with(|line| line.as_ref().and_then(|line| line.cells.get(place).cloned())))
    });
    view! {
        <tr
            data-final=Signal::derive(move || if state() == "final" { "true" } else { "false" })
            hidden=Signal::derive(move || line.with(Option::is_none))
        >
            <td class="mark-cell">
                <span class=Signal::derive(move || format!("mark {}", state())) title=Signal::derive(state)></span>
                <span class="unseen">{Signal::derive(state)}</span>
            </td>
            {cells.collect_view()}
        </tr>
    }
}
