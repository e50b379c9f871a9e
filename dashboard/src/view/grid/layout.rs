//! Where rows and columns stand, and which of them are in sight. Lengths in CSS pixels.

use std::ops::Range;

use super::answer::Answer;
use super::cells::{self, Look, Reader};
use crate::view::number::{grouped, is_numeric};
use crate::view::zone::Zone;

/// The height of a row; the style sheet has the same.
pub const ROW_HEIGHT: f64 = 28.0;
/// The height of the head; the style sheet has the same.
pub const HEAD_HEIGHT: f64 = 46.0;
/// Rows above and below those in sight that are there already.
const OVERSCAN: usize = 6;
/// Rows that widths are judged by: the first ones, so that nothing moves while more come.
pub const SAMPLE: usize = 100;
/// A letter of the grid's font, and what stands around a cell's text.
const LETTER: f64 = 7.9;
const PADDING: f64 = 26.0;
const WIDTH_MIN: f64 = 64.0;
const WIDTH_MAX: f64 = 380.0;

/// A column's place.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnView {
    pub name: String,
    /// Lower case, as it stands under the name; of instants with the zone that they are shown in.
    pub type_name: String,
    pub is_numeric: bool,
    pub look: Look,
    pub left: f64,
    pub width: f64,
}

/// The columns, wide enough for their first rows.
pub fn columns(answer: &Answer, reader: &Reader<'_>) -> Vec<ColumnView> {
    let looks: Vec<Look> = answer.columns().iter().map(Look::of).collect();
    let mut letters: Vec<usize> = answer
        .columns()
        .iter()
        .zip(&looks)
        // The name is set heavier, and the arrow of the order beside it. The type of times, a long one, is cut.
        .map(|(column, look)| {
            let of_type = if *look == Look::Plain { column.sql_type.len() } else { 0 };
            (column.name.chars().count() + 2).max(of_type)
        })
        .collect();
    for row in 0..answer.n_rows().min(SAMPLE) {
        for ((cell, widest), look) in cells::split(answer.row(row)).into_iter().zip(&mut letters).zip(&looks)
        {
            *widest = (*widest).max(reader.shown(cell, *look).chars().count());
        }
    }
    let mut left = 0.0;
    let view = |((column, letters), look): ((&weir_api::Column, usize), Look)| {
        let width = (letters as f64 * LETTER + PADDING).clamp(WIDTH_MIN, WIDTH_MAX).ceil();
        let view = ColumnView {
            name: column.name.clone(),
            type_name: type_name(column, look, reader.zone),
            is_numeric: is_numeric(column),
            look,
            left,
            width,
        };
        left += width;
        view
    };
    answer.columns().iter().zip(letters).zip(looks.iter().copied()).map(view).collect()
}

fn type_name(column: &weir_api::Column, look: Look, zone: &Zone) -> String {
    let name = column.sql_type.to_lowercase();
    match name.strip_suffix(" with time zone").filter(|_| look == Look::Instant) {
        Some(name) => format!("{}, {name}", zone.label),
        None => name,
    }
}

/// The width of all columns.
pub fn width(columns: &[ColumnView]) -> f64 {
    columns.last().map_or(0.0, |last| last.left + last.width)
}

/// The height of a box that holds its head and all rows: what is around them, and a bar to scroll with below.
pub fn height(n_rows: usize) -> f64 {
    HEAD_HEIGHT + n_rows as f64 * ROW_HEIGHT + 18.0
}

/// The rows that are to be there, for a box of this height scrolled so far.
pub fn rows_in_sight(n_rows: usize, scrolled: f64, height: f64) -> Range<usize> {
    // The casts saturate: below zero is zero.
    let first = (scrolled / ROW_HEIGHT).floor() as usize;
    let n_shown = (height / ROW_HEIGHT).ceil() as usize + 1;
    let from = first.saturating_sub(OVERSCAN).min(n_rows);
    from..(first + n_shown + OVERSCAN).min(n_rows).max(from)
}

/// The rows that can be seen, of a box of this height scrolled so far.
pub fn rows_seen(n_rows: usize, scrolled: f64, height: f64) -> Range<usize> {
    // The casts saturate: below zero is zero.
    let to = ((scrolled + height) / ROW_HEIGHT).ceil() as usize;
    let from = (scrolled / ROW_HEIGHT).floor() as usize;
    from.min(n_rows)..to.min(n_rows).max(from.min(n_rows))
}

/// Where one is in the answer: `Rows 8,180 to 8,201 of 100,000`. Empty where all can be seen and no cell is chosen;
/// `active` is the row of the chosen one.
pub fn place(seen: Range<usize>, n_rows: usize, active: Option<usize>) -> String {
    let text = |n: usize| grouped(&n.to_string());
    let all = text(n_rows);
    let chosen = active.filter(|active| *active < n_rows).map(|active| text(active + 1));
    match (seen.len() < n_rows, chosen) {
        (false, None) => String::new(),
        (false, Some(chosen)) => format!("Row {chosen} of {all}"),
        (true, chosen) => {
            let chosen = chosen.map(|chosen| format!(", row {chosen} chosen")).unwrap_or_default();
            format!("Rows {} to {} of {all}{chosen}", text(seen.start + 1), text(seen.end))
        }
    }
}

/// The columns that are to be there, for a box of this width scrolled so far.
pub fn columns_in_sight(columns: &[ColumnView], scrolled: f64, width: f64) -> Range<usize> {
    let from = columns.iter().position(|column| scrolled < column.left + column.width).unwrap_or(0);
    let to = columns.iter().position(|column| scrolled + width < column.left).unwrap_or(columns.len());
    from..to.max(from)
}

/// How far a box must be scrolled so that a stretch is in it, moving as little as may be.
pub fn scroll_to_show(scrolled: f64, size: f64, from: f64, to: f64) -> f64 {
    if from < scrolled {
        from
    } else if scrolled + size < to {
        to - size
    } else {
        scrolled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::answer::of;
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_rows() {
        let answer = of(
            &[("n", "BIGINT"), ("text", "VARCHAR")],
            &["[1,\"a\"]", &format!("[2,\"{}\"]", "x".repeat(30))],
        );
        let columns = columns(&answer, &Reader { zone: &Zone::default(), now: 0 });
        assert_eq!((columns[0].left, columns[0].width, columns[0].is_numeric), (0.0, 74.0, true));
        assert_eq!((columns[1].left, columns[1].width), (74.0, 263.0));
        assert_eq!(width(&columns), 337.0);
        assert_eq!(columns_in_sight(&columns, 0.0, 60.0), 0..1);
        assert_eq!(columns_in_sight(&columns, 80.0, 60.0), 1..2);
        assert_eq!(columns_in_sight(&[], 0.0, 60.0), 0..0);
    }

    #[test]
    fn times_are_as_wide_as_they_are_shown() {
        let answer = of(&[("at", "TIMESTAMP(3) WITH TIME ZONE")], &[r#"["1970-01-01T12:04:30.000Z"]"#]);
        let columns = columns(&answer, &Reader { zone: &Zone::default(), now: 0 });
        assert_eq!((columns[0].width, &*columns[0].type_name), (145.0, "UTC, timestamp(3)"));
    }

    #[test]
    fn one_sees_where_one_is() {
        assert_eq!(rows_seen(100_000, 8_192.0 * ROW_HEIGHT, 10.5 * ROW_HEIGHT), 8_192..8_203);
        assert_eq!((rows_seen(3, 0.0, 600.0), rows_seen(3, 600.0, 60.0)), (0..3, 3..3));
        assert_eq!(place(0..22, 100_000, None), "Rows 1 to 22 of 100,000");
        assert_eq!(place(0..22, 100_000, Some(8_192)), "Rows 1 to 22 of 100,000, row 8,193 chosen");
        assert_eq!((&*place(0..7, 7, Some(2)), &*place(0..7, 7, None)), ("Row 3 of 7", ""));
    }

    #[test]
    fn scrolling_moves_as_little_as_may_be() {
        assert_eq!(scroll_to_show(100.0, 50.0, 110.0, 120.0), 100.0);
        assert_eq!(scroll_to_show(100.0, 50.0, 40.0, 68.0), 40.0);
        assert_eq!(scroll_to_show(100.0, 50.0, 190.0, 218.0), 168.0);
    }

    proptest! {
        #[test]
        fn rows_in_sight_are_few_and_all(n_rows in 0..500_000_usize, scrolled in -100.0..1.5e7_f64, height in 0.0..2_000.0_f64) {
            let rows = rows_in_sight(n_rows, scrolled, height);
            prop_assert!(rows.start <= rows.end && rows.end <= n_rows);
            prop_assert!(rows.len() <= (height / ROW_HEIGHT) as usize + 3 + 2 * OVERSCAN);
            for row in 0..n_rows.min(3) {
                let (top, bottom) = (row as f64 * ROW_HEIGHT, (row + 1) as f64 * ROW_HEIGHT);
                if scrolled < bottom && top < scrolled + height {
                    prop_assert!(rows.contains(&row));
                }
            }
        }
    }
}
