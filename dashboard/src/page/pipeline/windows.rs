//! The newest rows of the pipeline, in a table whose lines stay where they are.
//!
//! Invariant: the elements are made once per layout; an epoch changes texts and attributes only, so that nothing
//! flickers and nothing moves but the numbers.

use leptos::prelude::*;

use crate::page::cell::{Kind, cell};
use crate::page::shell::Live;
use crate::store::Store;
use crate::view::late::Late;
use crate::view::windows::{self, Layout, Line, MAX_LINES};
use crate::view::zone::Zone;

#[component]
pub(super) fn Windows(live: Live, zone: Memo<Zone>, name: Memo<String>, late: Memo<Late>) -> impl IntoView {
    let layout =
        Memo::new(move |_| live.read(|store| name.with(|name| store.table(name).map(windows::layout))));
    let lines = Memo::new(move |_| {
        layout.with(|layout| {
            let layout = layout.as_ref()?;
            let lines = |store: &Store, zone: &Zone| {
                let of = |name: &String| {
                    let table = store.table(name)?;
                    Some(late.with(|late| windows::lines(name, table, layout, late, zone)))
                };
                name.with(of)
            };
            zone.with(|zone| live.read(|store| lines(store, zone)))
        })
    });
    view! {
        <div class="newest">
            <h3>"Newest rows"</h3>
            <div class="scroll" tabindex="0" role="region" aria-label="Newest rows">
                {move || layout.get().map(|layout| table(&layout, lines))}
            </div>
            <p class="quiet legend-note">
                <span class="mark provisional" aria-hidden="true"></span>
                "provisional, still counting"
                <span class="mark final" aria-hidden="true"></span>
                "final, will not change"
                <span hidden=Signal::derive(move || late.with(|late| *late == Late::default()))>
                    " · late: rows that came when their window had closed, and are not in its numbers"
                </span>
            </p>
        </div>
    }
}

fn table(layout: &Layout, lines: Memo<Option<Vec<Line>>>) -> impl IntoView + use<> {
    let heads = layout.heads.iter().map(|head| {
        view! { <th scope="col" class:num=head.is_numeric>{head.name.clone()}</th> }
    });
    let kinds = Kind::all(layout.heads.iter().map(|head| (head.name.as_str(), head.is_numeric)));
    let slots = (0..MAX_LINES).map(|at| slot(at, &kinds, lines));
    view! {
        <table class="windows" data-testid="window-table">
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
fn slot(at: usize, kinds: &[Kind], lines: Memo<Option<Vec<Line>>>) -> impl IntoView + use<> {
    let line = Memo::new(move |_| lines.with(|lines| lines.as_ref()?.get(at).cloned()));
    let is_final = move || line.with(|line| line.as_ref().is_some_and(|line| line.is_final));
    let opens = move || line.with(|line| line.as_ref().is_some_and(|line| line.opens_window));
    let cells = kinds.iter().enumerate().map(|(place, &kind)| {
        cell(kind, move || line.with(|line| line.as_ref().and_then(|line| line.cells.get(place).cloned())))
    });
    view! {
        <tr
            data-testid=Signal::derive(move || line.with(|line| line.as_ref().map(|_| "window-row")))
            data-final=Signal::derive(move || if is_final() { "true" } else { "false" })
            class:opens=opens
            hidden=Signal::derive(move || line.with(Option::is_none))
        >
            <td class="mark-cell">
                <span
                    class="mark"
                    class:final=is_final
                    class:provisional=Signal::derive(move || !is_final())
                    title=Signal::derive(move || if is_final() { "final" } else { "provisional" })
                ></span>
                <span class="unseen">{Signal::derive(move || if is_final() { "final" } else { "provisional" })}</span>
            </td>
            {cells.collect_view()}
        </tr>
    }
}
