//! Batches to the bytes of an answer, in each format.
//!
//! ```text
//! begin(schema) ─► batch ─► batch ─► … ─► end ─► bytes, in pieces as they are full
//! ```
//!
//! Invariant: the formats that are not streamed (JSON and the table) hold at most [`ROWS_MAX`] rows
//! and about [`BYTES_MAX`] bytes, and say when they left something out.

use std::collections::BTreeMap;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use weir_api::{CONTENT_TYPE_ROWS, RowsEnd, RowsHead};

use super::text_table;
use crate::encode::{Rows, Style, cell, columns, csv_field, csv_header};
use crate::problem::{Code, Fault};

/// Most rows of an answer that is not streamed.
pub(super) const ROWS_MAX: usize = 10_000;
/// Most bytes of such an answer, so that wide rows can't fill the memory.
const BYTES_MAX: usize = 32 << 20;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`: at most 10,000 rows.
    Json,
    /// `application/x-ndjson`: an object a row.
    Ndjson,
    /// `application/vnd.weir.rows+ndjson`: columns and epochs, an array a row, whether it is whole; a line each.
    Rows,
    /// `text/csv` with a header.
    Csv,
    /// `application/vnd.apache.arrow.stream`.
    Arrow,
    /// Aligned columns for a terminal: at most 10,000 rows.
    Table,
}

impl Format {
    /// The media type over HTTP.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Rows => CONTENT_TYPE_ROWS,
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Table => "text/plain; charset=utf-8",
        }
    }
}

/// Makes one answer.
pub(super) struct Encoder {
    schema: SchemaRef,
    epochs: BTreeMap<String, u64>,
    started: Instant,

    form: Form,
    out: Vec<u8>,
    n_rows: usize,
    truncated: bool,
}

enum Form {
    Json,
    Ndjson,
    Rows,
    Csv { scratch: Vec<u8> },
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Table(Vec<RecordBatch>),
}

impl Encoder {
    /// Begins an answer with these columns. `started`: when the query began.
    pub(super) fn begin(
        format: Format,
        schema: SchemaRef,
        epochs: BTreeMap<String, u64>,
        started: Instant,
    ) -> Result<Self, Fault> {
        let mut out = Vec::new();
        let form = match format {
            Format::Json => {
                out.extend_from_slice(b"{\"columns\":");
                out.append(&mut json(&columns(&schema))?);
                out.extend_from_slice(b",\"rows\":[");
                Form::Json
            }
            Format::Ndjson => Form::Ndjson,
            Format::Rows => {
                let head = RowsHead { columns: columns(&schema), epochs: epochs.clone() };
                out.append(&mut json(&head)?);
                out.push(b'\n');
                Form::Rows
            }
            Format::Csv => {
                csv_header(&schema, &mut out);
                Form::Csv { scratch: Vec::new() }
            }
            Format::Arrow => {
                Form::Arrow(Box::new(StreamWriter::try_new(Vec::new(), &schema).map_err(failed)?))
            }
            Format::Table => Form::Table(Vec::new()),
        };
        Ok(Self { schema, epochs, started, form, out, n_rows: 0, truncated: false })
    }

    /// Whether more rows would not be shown; then the query may stop.
    pub(super) fn is_full(&self) -> bool {
        self.truncated
    }

    /// Adds the rows of a batch.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<(), Fault> {
        let rows = batch.num_rows();
        match &mut self.form {
            Form::Json => {
                let writer = Rows::new(batch);
                for row in 0..rows {
                    if self.n_rows == ROWS_MAX || BYTES_MAX < self.out.len() {
                        self.truncated = true;
                        return Ok(());
                    }
                    if self.n_rows != 0 {
                        self.out.push(b',');
                    }
                    writer.array(row, &mut self.out);
                    self.n_rows += 1;
                }
            }
            Form::Ndjson => {
                let writer = Rows::new(batch);
                for row in 0..rows {
                    writer.object(row, &mut self.out);
                    self.out.push(b'\n');
                }
            }
            Form::Rows => {
                let writer = Rows::new(batch);
                for row in 0..rows {
                    writer.array(row, &mut self.out);
                    self.out.push(b'\n');
                }
                self.n_rows += rows;
            }
            Form::Csv { scratch } => {
                let cells: Vec<_> = batch.columns().iter().map(|column| cell(column, Style::Plain)).collect();
                for row in 0..rows {
                    for (i, cell) in cells.iter().enumerate() {
                        if i != 0 {
                            self.out.push(b',');
                        }
                        csv_field(cell.as_ref(), row, scratch, &mut self.out);
                    }
                    self.out.push(b'\n');
                }
            }
            Form::Arrow(writer) => {
                writer.write(batch).map_err(failed)?;
                self.out.append(writer.get_mut());
            }
            Form::Table(batches) => {
                let room = ROWS_MAX - self.n_rows;
                self.truncated = room < rows;
                batches.push(batch.slice(0, rows.min(room)));
                self.n_rows += rows.min(room);
            }
        }
        Ok(())
    }

    /// What can be sent already: nothing yet for the formats that are not streamed.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let streamed = matches!(self.form, Form::Ndjson | Form::Rows | Form::Csv { .. } | Form::Arrow(_));
        (streamed && !self.out.is_empty()).then(|| std::mem::take(&mut self.out).into())
    }

    /// Ends the answer: the bytes that are left.
    pub(super) fn end(mut self) -> Result<Bytes, Fault> {
        let elapsed_ms = (self.started.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        match self.form {
            Form::Json => {
                let epochs = json(&self.epochs)?;
                self.out.extend_from_slice(b"],\"row_count\":");
                self.out.extend_from_slice(self.n_rows.to_string().as_bytes());
                self.out.extend_from_slice(if self.truncated {
                    b",\"truncated\":true"
                } else {
                    b",\"truncated\":false"
                });
                self.out.extend_from_slice(b",\"epochs\":");
                self.out.extend_from_slice(&epochs);
                self.out.extend_from_slice(b",\"elapsed_ms\":");
                self.out.append(&mut json(&elapsed_ms)?);
                self.out.push(b'}');
            }
            Form::Ndjson | Form::Csv { .. } => {}
            Form::Rows => {
                let row_count = self.n_rows as u64;
                self.out.append(&mut json(&RowsEnd::Whole { row_count, elapsed_ms })?);
                self.out.push(b'\n');
            }
            Form::Arrow(mut writer) => {
                writer.finish().map_err(failed)?;
                self.out.append(writer.get_mut());
            }
            Form::Table(batches) => {
                text_table::write(&self.schema, &batches, self.truncated, &mut self.out);
            }
        }
        Ok(self.out.into())
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|e| Fault::new(Code::Internal, e.to_string()))
}

fn failed(error: arrow::error::ArrowError) -> Fault {
    Fault::new(Code::FailedQuery, error.to_string())
}
