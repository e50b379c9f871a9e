//! The cell that is active and the cells that are chosen, and their text for the clipboard.

use std::ops::RangeInclusive;

use super::answer::Answer;
use super::cells;
use crate::view::number::grouped;

/// Cells that go to the clipboard at once; more is what saving is for.
pub const COPIED_MAX: usize = 2_000_000;

/// A cell: its place on the screen, not in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell {
    pub row: usize,
    pub column: usize,
}

/// From one cell to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Selection {
    pub anchor: Cell,
    pub active: Cell,
}

/// What a key means in a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    Rows(isize),
    Columns(isize),
    RowStart,
    RowEnd,
    First,
    Last,
    All,
}

impl Move {
    /// Of a key, with or without Ctrl; `page` is the number of rows in sight.
    pub fn of_key(key: &str, has_ctrl: bool, page: usize) -> Option<Self> {
        let page = isize::try_from(page.max(1)).unwrap_or(isize::MAX);
        Some(match (key, has_ctrl) {
            ("ArrowUp", false) => Self::Rows(-1),
            ("ArrowDown", false) => Self::Rows(1),
            ("ArrowLeft", false) => Self::Columns(-1),
            ("ArrowRight", false) => Self::Columns(1),
            ("PageUp", false) => Self::Rows(-page),
            ("PageDown", false) => Self::Rows(page),
            ("Home", false) => Self::RowStart,
            ("End", false) => Self::RowEnd,
            ("Home" | "ArrowUp", true) => Self::First,
            ("End" | "ArrowDown", true) => Self::Last,
            ("a" | "A", true) => Self::All,
            _ => return None,
        })
    }
}

impl Selection {
    /// One cell.
    pub fn of(cell: Cell) -> Self {
        Self { anchor: cell, active: cell }
    }

    /// After a move in a grid of this size; with `extends` the cells on the way are chosen.
    pub fn moved(self, to: Move, extends: bool, n_rows: usize, n_columns: usize) -> Self {
        let (last_row, last_column) = (n_rows.saturating_sub(1), n_columns.saturating_sub(1));
        let Cell { row, column } = self.active;
        let active = match to {
            Move::Rows(by) => Cell { row: row.saturating_add_signed(by).min(last_row), column },
            Move::Columns(by) => Cell { row, column: column.saturating_add_signed(by).min(last_column) },
            Move::RowStart => Cell { row, column: 0 },
            Move::RowEnd => Cell { row, column: last_column },
            Move::First => Cell { row: 0, column },
            Move::Last => Cell { row: last_row, column },
            Move::All => {
                let anchor = Cell::default();
                return Self { anchor, active: Cell { row: last_row, column: last_column } };
            }
        };
        Self { anchor: if extends { self.anchor } else { active }, active }
    }

    pub fn rows(self) -> RangeInclusive<usize> {
        self.anchor.row.min(self.active.row)..=self.anchor.row.max(self.active.row)
    }

    pub fn columns(self) -> RangeInclusive<usize> {
        self.anchor.column.min(self.active.column)..=self.anchor.column.max(self.active.column)
    }

    pub fn contains(self, row: usize, column: usize) -> bool {
        self.rows().contains(&row) && self.columns().contains(&column)
    }

    pub fn n_cells(self) -> usize {
        self.rows().count().saturating_mul(self.columns().count())
    }

    /// Says that the cells are in the clipboard.
    pub fn copied_sentence(self) -> String {
        let count = |n: usize, unit: &str| {
            format!("{} {unit}{}", grouped(&n.to_string()), if n == 1 { "" } else { "s" })
        };
        match (self.rows().count(), self.columns().count()) {
            (1, 1) => "Copied 1 cell.".to_owned(),
            (rows, columns) => format!("Copied {} of {}.", count(rows, "row"), count(columns, "column")),
        }
    }
}

/// The chosen cells for a spreadsheet: tabs between columns; with the names above where there are several rows or
/// columns. Null is empty. `None`: too many.
pub fn copied(answer: &Answer, order: Option<&[u32]>, selection: Selection) -> Option<String> {
    if COPIED_MAX < selection.n_cells() {
        return None;
    }
    let mut text = String::new();
    if 1 < selection.n_cells() {
        let names = selection.columns().filter_map(|column| answer.columns().get(column));
        text.push_str(&names.map(|column| field(&column.name)).collect::<Vec<_>>().join("\t"));
        text.push('\n');
    }
    let is_one = selection.n_cells() == 1;
    for row in selection.rows() {
        let cells = cells::split(answer.row(row_at(order, row)));
        for column in selection.columns() {
            if column != *selection.columns().start() {
                text.push('\t');
            }
            let json = cells.get(column).copied().unwrap_or("null");
            match json {
                json if cells::is_null(json) => {}
                json if is_one => text.push_str(&cells::text(json)),
                json => text.push_str(&field(&cells::text(json))),
            }
        }
        if !is_one {
            text.push('\n');
        }
    }
    Some(text)
}

/// The row of the answer that stands at a place of the screen.
pub fn row_at(order: Option<&[u32]>, place: usize) -> usize {
    order.map_or(place, |order| order.get(place).map_or(usize::MAX, |row| *row as usize))
}

/// A spreadsheet takes quotes for what holds its separators.
fn field(text: &str) -> String {
    if text.contains(['\t', '\n', '\r', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::of;
    use super::*;

    #[test]
    fn copying_says_how_much() {
        let cell = |row, column| Cell { row, column };
        let said = |anchor, active| Selection { anchor, active }.copied_sentence();
        assert_eq!(said(cell(3, 1), cell(3, 1)), "Copied 1 cell.");
        assert_eq!(said(cell(1_999, 2), cell(0, 2)), "Copied 2,000 rows of 1 column.");
    }

    #[test]
    fn keys_move_within_the_grid() {
        let go = |key, ctrl, from: (usize, usize)| {
            let selection = Selection::of(Cell { row: from.0, column: from.1 });
            let moved = selection.moved(Move::of_key(key, ctrl, 10).expect("a move"), false, 100, 3);
            (moved.active.row, moved.active.column)
        };
        assert_eq!([go("ArrowUp", false, (0, 0)), go("ArrowDown", false, (99, 2))], [(0, 0), (99, 2)]);
        assert_eq!(
            [go("PageDown", false, (5, 1)), go("End", true, (5, 1)), go("Home", false, (5, 1))],
            [(15, 1), (99, 1), (5, 0)]
        );
        assert_eq!(Move::of_key("x", false, 1), None);
        let all = Selection::default().moved(Move::All, false, 100, 3);
        assert_eq!((all.n_cells(), all.contains(99, 2)), (300, true));
        let extended = Selection::of(Cell { row: 5, column: 1 }).moved(Move::Rows(-2), true, 100, 3);
        assert_eq!((extended.rows(), extended.columns()), (3..=5, 1..=1));
    }

    #[test]
    fn copies_are_what_a_spreadsheet_takes() {
        let answer = of(&[("n", "BIGINT"), ("t", "VARCHAR")], &["[1,\"a\\tb\"]", "[2,null]", "[3,\"c\"]"]);
        let order = [2, 1, 0];
        let one = Selection::of(Cell { row: 2, column: 1 });
        assert_eq!(copied(&answer, Some(&order), one).as_deref(), Some("a\tb"));
        let all = Selection::default().moved(Move::All, false, 3, 2);
        assert_eq!(copied(&answer, Some(&order), all).as_deref(), Some("n\tt\n3\tc\n2\t\n1\t\"a\tb\"\n"));
    }
}
