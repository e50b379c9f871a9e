//! What a grid shows and what is chosen in it: what keys and the pointer change.

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;

use super::scroll::Sight;
use crate::page::copy::copy;
use crate::page::query::desk::Desk;
use crate::view::grid::cells::{self, Reader};
use crate::view::grid::layout::{self, ColumnView, ROW_HEIGHT};
use crate::view::grid::select::{self, Cell, Move, Selection, row_at};
use crate::view::grid::sort::{self, Sort};
use crate::view::zone::Zone;

/// Letters of the active cell's text that are shown.
const CELL_CHARS_MAX: usize = 2_000;
/// How long it is said that cells were copied.
const COPIED: std::time::Duration = std::time::Duration::from_millis(2_500);

/// The order of the rows; `None`: as they came.
type Order = Option<Arc<Vec<u32>>>;

/// A handle; copies are the same grid.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) desk: Desk,
    /// Times are shown on its clock.
    pub(super) zone: Memo<Zone>,
    pub(super) n_rows: Memo<usize>,
    pub(super) columns: Memo<Arc<Vec<ColumnView>>>,
    pub(super) order: Memo<Order>,
    pub(super) selection: RwSignal<Option<Selection>>,
    /// What became of copying, for a moment.
    pub(super) copied: RwSignal<String>,
    pub(super) sight: Sight,
    /// The element that is as high and wide as all cells.
    pub(super) space: NodeRef<html::Div>,
}

impl State {
    /// Follows the desk's answer for as long as the caller's scope lives. `body` is the element that scrolls.
    pub(super) fn follow(desk: Desk, zone: Memo<Zone>, body: NodeRef<html::Div>) -> Self {
        let n_rows = Memo::new(move |_| desk.with(|answer| answer.n_rows()));
        // Widths are judged by the first rows: more rows change nothing.
        let has_sample = Memo::new(move |_| layout::SAMPLE <= n_rows.get() || !desk.is_running.get());
        let columns = Memo::new(move |_| {
            // Read, not only tracked: a memo that nobody reads follows nothing.
            has_sample.with(|_| ());
            desk.number();
            let columns = |zone: &Zone| {
                untrack(|| desk.with(|answer| layout::columns(answer, &Reader { zone, now: now() })))
            };
            Arc::new(zone.with(columns))
        });
        // Rows that still come are not ordered: they would jump.
        let order = Memo::new(move |_| {
            desk.number();
            let sort = desk.sort.get();
            n_rows.with(|_| ());
            let is_coming = desk.is_running.get() && !desk.is_live.get();
            if is_coming {
                None
            } else {
                untrack(|| desk.with(|answer| sort::order(answer, sort))).map(Arc::new)
            }
        });
        let state = Self {
            desk,
            zone,
            n_rows,
            columns,
            order,
            selection: RwSignal::new(None),
            copied: RwSignal::new(String::new()),
            sight: Sight::follow(body),
            space: NodeRef::new(),
        };
        state.keep_selection();
        state
    }

    fn keep_selection(self) {
        let Self { desk, selection, .. } = self;
        Effect::new(move |before: Option<u64>| {
            // Another answer has other cells there; a live one goes on.
            let number = desk.number();
            if before.is_some_and(|before| before != number) && !desk.is_live.get_untracked() {
                selection.set(None);
            }
            number
        });
        Effect::new(move |before: Option<Option<Sort>>| {
            let sort = desk.sort.get();
            if before.is_some_and(|before| before != sort) {
                // The cell that was active stands somewhere else; the column stays.
                let top =
                    |selection: Selection| Selection::of(Cell { row: 0, column: selection.active.column });
                selection.update(|selection| *selection = selection.map(top));
            }
            sort
        });
    }

    /// The row of the answer that stands at a place.
    pub(super) fn row_at(self, place: usize) -> usize {
        self.order.with_untracked(|order| row_at(order.as_ref().map(|order| order.as_slice()), place))
    }

    pub(super) fn press_head(self, column: usize) {
        self.desk.sort.update(|sort| *sort = Sort::pressed(*sort, column));
    }

    pub(super) fn on_key(self, event: &web_sys::KeyboardEvent) {
        let has_ctrl = event.ctrl_key() || event.meta_key();
        let key = event.key();
        let selection = self.selection.get_untracked();
        match (selection, Move::of_key(&key, has_ctrl, self.sight.n_rows())) {
            (Some(selection), _) if has_ctrl && key.eq_ignore_ascii_case("c") => self.copy(selection),
            (Some(selection), _) if !has_ctrl && key == "s" => self.press_head(selection.active.column),
            (_, Some(to)) => self.moved(to, event.shift_key()),
            _ => return,
        }
        event.prevent_default();
    }

    fn moved(self, to: Move, extends: bool) {
        let n_columns = self.columns.with_untracked(|columns| columns.len());
        let n_rows = self.n_rows.get_untracked();
        if n_rows == 0 || n_columns == 0 {
            return;
        }
        let next = match self.selection.get_untracked() {
            Some(selection) => selection.moved(to, extends, n_rows, n_columns),
            None if matches!(to, Move::All | Move::First | Move::Last) => {
                Selection::default().moved(to, extends, n_rows, n_columns)
            }
            None => Selection::default(),
        };
        self.selection.set(Some(next));
        if to != Move::All {
            self.columns.with_untracked(|columns| self.sight.show(next.active, columns));
        }
    }

    fn copy(self, chosen: Selection) {
        let order = self.order.get_untracked();
        let order = order.as_ref().map(|order| order.as_slice());
        let text = untrack(|| self.desk.with(|answer| select::copied(answer, order, chosen)));
        let Some(text) = text else {
            self.say("Too many cells to copy: save the answer as a file.".to_owned());
            return;
        };
        js_sys::futures::spawn_local(async move {
            let said =
                if copy(text).await { chosen.copied_sentence() } else { "Can't copy here.".to_owned() };
            self.say(said);
        });
    }

    /// Says something for a moment.
    fn say(self, said: String) {
        // The grid may be gone by now.
        if self.copied.try_set(said).is_none() {
            set_timeout(move || drop(self.copied.try_set(String::new())), COPIED);
        }
    }

    /// Where one is in the answer.
    pub(super) fn place(self) -> String {
        let (n_rows, active) =
            (self.n_rows.get(), self.selection.get().map(|selection| selection.active.row));
        layout::place(self.sight.rows_seen(n_rows), n_rows, active)
    }

    /// Whether there are rows that can't be seen.
    pub(super) fn is_cut(self) -> bool {
        let n_rows = self.n_rows.get();
        self.sight.rows_seen(n_rows).len() < n_rows
    }

    /// Goes to the first or the last row.
    pub(super) fn jump(self, to: Move) {
        self.moved(to, false);
    }

    /// Chooses the cell under the pointer; with `extends` all from the anchor to it.
    pub(super) fn choose_at(self, event: &web_sys::PointerEvent, extends: bool) {
        let Some(space) = self.space.get_untracked() else { return };
        let corner = space.get_bounding_client_rect();
        let (x, y) =
            (f64::from(event.client_x()) - corner.left(), f64::from(event.client_y()) - corner.top());
        let hit = self.columns.with_untracked(|columns| hit(columns, self.n_rows.get_untracked(), x, y));
        let Some(active) = hit else { return };
        let before = self.selection.get_untracked();
        let anchor = before.filter(|_| extends).map_or(active, |selection| selection.anchor);
        let next = Some(Selection { anchor, active });
        if before != next {
            self.selection.set(next);
        }
    }

    /// The name of the active cell's column, and the whole text of the cell.
    pub(super) fn active_text(self) -> Option<(String, String)> {
        let active = self.selection.get()?.active;
        let row = self.order.with(|order| row_at(order.as_ref().map(|order| order.as_slice()), active.row));
        let json = self.desk.with(|answer| cells::nth(answer.row(row), active.column).to_owned());
        let name =
            self.columns.with(|columns| columns.get(active.column).map(|column| column.name.clone()))?;
        Some((name, cells::text(&json).chars().take(CELL_CHARS_MAX).collect()))
    }
}

/// Microseconds since 1970.
pub(super) fn now() -> i64 {
    (js_sys::Date::now() * 1_000.0) as i64
}

/// The cell at a place of the rows' space.
fn hit(columns: &[ColumnView], n_rows: usize, x: f64, y: f64) -> Option<Cell> {
    if y < 0.0 {
        return None;
    }
    let row = (y / ROW_HEIGHT).floor() as usize;
    let column = columns.iter().position(|column| (column.left..column.left + column.width).contains(&x))?;
    (row < n_rows).then_some(Cell { row, column })
}
