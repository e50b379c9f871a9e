//! Arrow to the text that clients read: JSON values, SQL type names, CSV fields, instants.
//!
//! ```text
//! RecordBatch ──► Rows ──► [1,"a",null]  (JSON answers, stream)   {"a":1}  (NDJSON)   1,"a",  (CSV)
//! Schema ───────► columns ──► {"name","type","nullable"}
//! ```
//!
//! Invariants:
//! 1. A value is spelt the same in SQL answers and in the stream: both go through [`Rows`].
//! 2. The text of a row holds no line break: it may stand on a `data:` line.

mod csv;
mod json;
mod time;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use weir_api::Column;
use weir_engine::sql::type_name;

pub use csv::{csv_field, csv_header};
pub use json::{Cell, Style, cell, quoted};
pub use time::instant;

/// The columns of an answer.
#[must_use]
pub fn columns(schema: &Schema) -> Vec<Column> {
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| Column {
        name: field.name().clone(),
        sql_type: type_name(field.data_type()),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

/// Writes the rows of one batch.
pub struct Rows {
    cells: Vec<Box<dyn Cell>>,
    /// `"name":`, one per column.
    names: Vec<Vec<u8>>,
}

impl Rows {
    /// A writer of the rows of `batch`; keeps its columns alive.
    #[must_use]
    pub fn new(batch: &RecordBatch) -> Self {
        let name = |field: &std::sync::Arc<arrow::datatypes::Field>| {
            let mut name = quoted(field.name());
            name.push(b':');
            name
        };
        Self {
            cells: batch.columns().iter().map(|column| cell(column, Style::Json)).collect(),
            names: batch.schema().fields().iter().map(name).collect(),
        }
    }

    /// Appends row `row` as a JSON array.
    pub fn array(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, cell) in self.cells.iter().enumerate() {
            if i != 0 {
                out.push(b',');
            }
            json::value(cell.as_ref(), row, out);
        }
        out.push(b']');
    }

    /// Appends the values of the columns at `columns` of row `row` as a JSON array.
    pub fn array_of(&self, row: usize, columns: &[usize], out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, column) in columns.iter().enumerate() {
            if i != 0 {
                out.push(b',');
            }
            json::value(self.cells[*column].as_ref(), row, out);
        }
        out.push(b']');
    }

    /// Appends row `row` as a JSON object.
    pub fn object(&self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (cell, name)) in self.cells.iter().zip(&self.names).enumerate() {
            if i != 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            json::value(cell.as_ref(), row, out);
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests;
