//! Rows of a block as their table has them now: one that an earlier version wrote may have fewer columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::block::{Block, TIME};
use crate::state::{Error, Series as Name, Store};

/// Of blocks of dead letters that do not say how many columns they have, the time included.
const FIRST_LETTER_COLUMNS: usize = 12;

/// The table's columns, then each row's time.
pub(super) fn schema(table: &Schema) -> SchemaRef {
    let time = Arc::new(Field::new(TIME, DataType::Int64, false));
    Arc::new(Schema::new(table.fields().iter().cloned().chain([time]).collect::<Vec<_>>()))
}

/// The columns of a block at `wanted`, positions under `stored`, in that order, and the number of rows. What the
/// block does not have is null, or the count 0: columns are added behind those that there are.
pub(super) fn read(
    store: &Store,
    series: Name,
    stored: &Schema,
    block: &Block,
    wanted: &[usize],
) -> Result<(Vec<ArrayRef>, usize), Error> {
    let n_now = stored.fields().len();
    let n_there = match (block.meta.columns, series) {
        (0, Name::DeadLetters) => FIRST_LETTER_COLUMNS,
        (0, Name::Finals) => n_now,
        (n, _) => n,
    };
    let time = n_there.saturating_sub(1);
    let place = |column: usize| match column {
        column if column + 1 == n_now => Some(time),
        column => Some(column).filter(|column| *column < time),
    };
    let mut there: Vec<usize> = wanted.iter().filter_map(|column| place(*column)).collect();
    if there.is_empty() {
        there.push(time);
    }
    let rows = store.read_rows(series, block.id, Some(there))?;
    let mut found = rows.columns().iter();
    let column = |column: &usize| match place(*column).and_then(|_| found.next()) {
        Some(found) => Arc::clone(found),
        None => absent(stored.field(*column), rows.num_rows()),
    };
    Ok((wanted.iter().map(column).collect(), rows.num_rows()))
}

fn absent(field: &Field, n_rows: usize) -> ArrayRef {
    match field.is_nullable() {
        true => new_null_array(field.data_type(), n_rows),
        false => Arc::new(Int64Array::from_value(0, n_rows)),
    }
}
