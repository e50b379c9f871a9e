//! The head and the rows in sight.

use leptos::html;
use leptos::prelude::*;
use std::ops::{Range, RangeInclusive};

use super::scroll::{Place, px};
use super::state::{State, now};
use crate::view::grid::cells::{self, Look, Reader};
use crate::view::grid::layout::{ColumnView, ROW_HEIGHT, width};
use crate::view::grid::select::Selection;
use crate::view::grid::sort::Sort;

/// The column that says of a row of a result whether it will not change any more.
const FINAL: &str = "_final";

/// The element id of a cell.
pub(super) fn cell_id(row: usize, column: usize) -> String {
    format!("cell-{row}-{column}")
}

/// The tracks of the columns in sight, and how far right they begin.
fn tracks(columns: &[ColumnView], shown: Range<usize>) -> (String, f64) {
    let shown = columns.get(shown).unwrap_or_default();
    let left = shown.first().map_or(0.0, |first| first.left);
    let widths: Vec<String> = shown.iter().map(|column| px(column.width)).collect();
    (widths.join(" "), left)
}

#[component]
pub(super) fn Head(state: State) -> impl IntoView {
    let State { columns, sight, .. } = state;
    let sort = state.desk.sort;
    let shown = Memo::new(move |_| columns.with(|columns| sight.columns(columns)));
    let head = NodeRef::<html::Div>::new();
    Place::follow(head, move || {
        let (tracks, left) = columns.with(|columns| tracks(columns, shown.get()));
        [("grid-template-columns", tracks), ("transform", format!("translateX({left}px)"))]
    });
    let head_box = NodeRef::<html::Div>::new();
    Place::follow(head_box, move || [("width", px(columns.with(|columns| width(columns))))]);
    let one = move |(at, column): (usize, ColumnView)| {
        let direction = move || match sort.get() {
            Some(Sort { column, is_descending }) if column == at => {
                if is_descending {
                    "descending"
                } else {
                    "ascending"
                }
            }
            _ => "none",
        };
        let arrow = move || match direction() {
            "ascending" => "↑",
            "descending" => "↓",
            _ => "",
        };
        view! {
            <div role="columnheader" aria-colindex=(at + 1).to_string() aria-sort=direction class:num=column.is_numeric>
                <button type="button" class="plain" tabindex="-1" title="Order by this column" on:click=move |_| state.press_head(at)>
                    <span class="name">{column.name}</span>
                    <span aria-hidden="true">{arrow}</span>
                    <span class="type" title=column.type_name.clone()>{column.type_name.clone()}</span>
                </button>
            </div>
        }
    };
    let shown_columns = move || {
        let shown = shown.get();
        columns
            .with(|columns| shown.filter_map(|at| Some((at, columns.get(at)?.clone()))).collect::<Vec<_>>())
    };
    view! {
        <div class="grid-head" role="rowgroup" node_ref=head_box>
            <div class="grid-row" role="row" aria-rowindex="1" node_ref=head>
                {move || shown_columns().into_iter().map(one).collect_view()}
            </div>
        </div>
    }
}

#[component]
pub(super) fn Rows(state: State) -> impl IntoView {
    let State { desk, columns, order, n_rows, sight, .. } = state;
    let shown = Memo::new(move |_| sight.rows(n_rows.get()));
    let shown_columns = Memo::new(move |_| columns.with(|columns| sight.columns(columns)));
    // Rows of another answer, another order or other columns are other rows.
    let edition = Memo::new(move |before: Option<&u64>| {
        desk.number();
        order.with(|_| ());
        shown_columns.with(|_| ());
        columns.with(|_| ());
        state.zone.with(|_| ());
        before.map_or(0, |before| before + 1)
    });
    let layer = NodeRef::<html::Div>::new();
    Place::follow(layer, move || {
        let (tracks, left) = columns.with(|columns| tracks(columns, shown_columns.get()));
        let top = shown.get().start as f64 * ROW_HEIGHT;
        [("--columns", tracks), ("transform", format!("translate({left}px, {top}px)"))]
    });
    let keys = move || {
        let edition = edition.get();
        shown.get().map(move |place| (edition, place))
    };
    view! {
        <div class="grid-rows" role="rowgroup" node_ref=layer>
            <For each=keys key=|key| *key children=move |(_, place)| row(state, place, shown_columns.get_untracked()) />
        </div>
    }
}

/// The cells of a row that are to be there.
fn row(state: State, place: usize, shown: Range<usize>) -> impl IntoView {
    let at = state.row_at(place);
    let columns = state.columns.get_untracked();
    let look = |column: usize| columns.get(column).map_or(Look::Plain, |column| column.look);
    let (texts, is_provisional) = untrack(|| {
        state.zone.with(|zone| {
            let reader = Reader { zone, now: now() };
            state.desk.with(|answer| {
                let cells = cells::split(answer.row(at));
                let text = |column: usize| {
                    let json = cells.get(column).copied().unwrap_or("null");
                    let whole = (look(column) != Look::Plain).then(|| cells::text(json));
                    (column, reader.shown(json, look(column)), whole, cells::is_null(json))
                };
                let is_final = answer.columns().iter().position(|column| column.name == FINAL);
                let is_provisional = is_final.is_some_and(|at| cells.get(at).copied() == Some("false"));
                (shown.map(text).collect::<Vec<_>>(), is_provisional)
            })
        })
    });
    let columns = columns.clone();
    // No signal in a cell: there are many, and scrolling makes them anew.
    let cell = move |(column, text, whole, is_null): (usize, String, Option<String>, bool)| {
        let is_numeric = columns.get(column).is_some_and(|column| column.is_numeric);
        let class = match (is_numeric, is_null) {
            (true, true) => "num null",
            (true, false) => "num",
            (false, true) => "null",
            (false, false) => "",
        };
        view! { <div role="gridcell" id=cell_id(place, column) aria-colindex=(column + 1).to_string() class=class title=whole>{text}</div> }
    };
    view! {
        <div class="grid-row" class:provisional=is_provisional role="row" aria-rowindex=(place + 2).to_string()>
            {texts.into_iter().map(cell).collect_view()}
        </div>
    }
}

/// What is chosen, behind the rows, and the active cell, before them.
#[component]
pub(super) fn Marks(state: State) -> impl IntoView {
    let State { columns, selection, .. } = state;
    let (chosen, active) = (NodeRef::<html::Div>::new(), NodeRef::<html::Div>::new());
    let place = move |of: fn(Selection) -> (RangeInclusive<usize>, RangeInclusive<usize>)| {
        let place = selection
            .get()
            .map(of)
            .and_then(|(rows, across)| columns.with(|columns| place(columns, &rows, &across)));
        let [left, top, width, height] = place.unwrap_or([0.0; 4]);
        let display = if place.is_some() { "block" } else { "none" };
        [
            ("display", display.to_owned()),
            ("left", px(left)),
            ("top", px(top)),
            ("width", px(width)),
            ("height", px(height)),
        ]
    };
    Place::follow(chosen, move || place(|it| (it.rows(), it.columns())));
    Place::follow(active, move || {
        place(|it| (it.active.row..=it.active.row, it.active.column..=it.active.column))
    });
    view! {
        <div class="grid-chosen" role="presentation" node_ref=chosen></div>
        <div class="grid-active" role="presentation" node_ref=active></div>
    }
}

/// Left, top, width and height of cells.
fn place(
    columns: &[ColumnView],
    rows: &RangeInclusive<usize>,
    across: &RangeInclusive<usize>,
) -> Option<[f64; 4]> {
    let (first, last) = (columns.get(*across.start())?, columns.get(*across.end())?);
    let (top, bottom) = (*rows.start() as f64 * ROW_HEIGHT, (*rows.end() + 1) as f64 * ROW_HEIGHT);
    Some([first.left, top, last.left + last.width - first.left, bottom - top])
}
