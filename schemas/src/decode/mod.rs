//! Record values to a batch, whatever writer schemas they are of.
//!
//! ```text
//! value ─► wire ─► id ─► writers (plan per id, bounded) ─► read ─► columns ─► RecordBatch
//!            └ bad_framing   └ unknown_, incompatible_schema  └ bad_payload: entries given back
//! ```
//!
//! All writer schemas fill the same columns, so that ids may alternate from record to record at no
//! cost and rows keep the order of their records.
//!
//! Invariants:
//! 1. A record is a row, a rejection or a tombstone; what it is depends on nothing but itself, the
//!    two schemas and the registry: not on its neighbours, not on the columns asked for.
//! 2. While the registry is away nothing is rejected and nothing is passed over: decoding stops in
//!    front of the first record whose schema is not known.

mod column;
mod cursor;
mod read;
mod writers;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};

use self::column::Column;
use self::cursor::{Fault, FaultKind};
use self::writers::{Found, Writer, Writers};
use crate::error::FatalError;
use crate::registry::SchemaRegistry;
use crate::resolve::ReaderSchema;
use crate::wire;

/// Why a record could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No magic byte 0, or under 5 bytes.
    BadFraming,
    /// The registry says that it has no schema of this id.
    UnknownSchema,
    /// The writer schema, or this value of it, does not fit the reader schema.
    IncompatibleSchema,
    /// The bytes are not those of the writer schema.
    BadPayload,
}

impl RejectReason {
    /// The value of the `reason` column of dead letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFraming => "bad_framing",
            Self::UnknownSchema => "unknown_schema",
            Self::IncompatibleSchema => "incompatible_schema",
            Self::BadPayload => "bad_payload",
        }
    }
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Index of the record among the values.
    pub record: u32,
    pub reason: RejectReason,
    /// For a person: what was expected, what was found.
    pub detail: String,
}

/// A writer schema of the values that were dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSchema {
    pub schema_id: u32,
    /// Where the schema is registered, if the registry said so: the reader schema's own subject if
    /// it is there, else the first.
    pub subject: Option<String>,
    pub version: Option<u32>,
    /// Index of its first record among the values.
    pub record: u32,
    pub compatible: bool,
    /// Why it is not compatible, or which of its values are not; else empty.
    pub detail: String,
}

/// What became of the values `[from, next)`.
#[derive(Debug)]
pub struct DecodedBatch {
    /// One row per decoded record, with the columns asked for, in that order.
    pub batch: RecordBatch,
    /// `records[i]` is the index among the values of the record behind row `i`; ascending.
    pub records: Vec<u32>,
    /// Ascending by record.
    pub rejected: Vec<Rejected>,
    pub tombstones: u64,
    /// First value not dealt with: the number of values, unless `blocked`.
    pub next: usize,
    /// Why value `next` can't be decoded now: the registry is away. Ask again later.
    pub blocked: Option<String>,
    pub schemas: Vec<SeenSchema>,
}

/// Decodes values in Confluent wire format into columns of one reader schema. One per thread.
#[derive(Debug)]
pub struct Decoder {
    arrow: SchemaRef,
    writers: Writers,

    columns: Vec<Column>,
}

impl Decoder {
    /// A decoder to the fields at `columns` of the reader schema, in that order. None is fine:
    /// records are checked and counted as well.
    ///
    /// # Errors
    /// [`FatalError::Columns`] where a position is not one of the schema's, or comes twice.
    pub fn new(
        reader: Arc<ReaderSchema>,
        columns: Vec<usize>,
        registry: Arc<dyn SchemaRegistry>,
    ) -> Result<Self, FatalError> {
        let all = reader.arrow_schema();
        let n_columns = all.fields().len();
        let mut distinct = HashSet::new();
        if let Some(&column) = columns.iter().find(|&&column| column >= n_columns || !distinct.insert(column))
        {
            return Err(FatalError::Columns { column, n_columns });
        }
        let fields: Vec<_> = columns.iter().map(|&column| Arc::clone(&all.fields()[column])).collect();
        let builders = fields.iter().map(|field| Column::new(field)).collect::<Result<_, _>>();
        Ok(Self {
            arrow: Arc::new(ArrowSchema::new(fields)),
            writers: Writers::new(reader, columns, registry),
            columns: builders.map_err(FatalError::Arrow)?,
        })
    }

    /// The columns of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    /// Decodes `values` from index `from` on; `None` is a tombstone.
    ///
    /// Asks the registry for what it does not know, so it may block for as long as a registry
    /// call does.
    ///
    /// # Errors
    /// [`FatalError`] where it can't go on at all: a column would be larger than 2 GiB. What is
    /// wrong with a record is in [`DecodedBatch::rejected`].
    pub fn decode<'a>(
        &mut self,
        values: impl IntoIterator<Item = Option<&'a [u8]>>,
        from: usize,
    ) -> Result<DecodedBatch, FatalError> {
        let mut outcome = Outcome::default();
        let mut next = from;
        for value in values.into_iter().skip(from) {
            let record = u32::try_from(next).expect("a batch has fewer than 2^32 records");
            self.value(value, record, &mut outcome)?;
            if outcome.blocked.is_some() {
                break;
            }
            next += 1;
        }
        self.finish(outcome, next)
    }

    /// Deals with one value, unless `outcome` is `blocked` afterwards.
    fn value(&mut self, value: Option<&[u8]>, record: u32, outcome: &mut Outcome) -> Result<(), FatalError> {
        let Some(value) = value else {
            outcome.tombstones += 1;
            return Ok(());
        };
        let (id, body) = match wire::parse(value) {
            Ok(parts) => parts,
            Err(error) => {
                outcome.reject(record, RejectReason::BadFraming, error.to_string());
                return Ok(());
            }
        };
        let writer = match outcome.writer.take().filter(|writer| writer.id == id) {
            Some(writer) => writer,
            None => match self.writers.find(id) {
                Found::Writer(writer) => {
                    if outcome.schemas.iter().all(|seen| seen.schema_id != id.0) {
                        outcome.schemas.push(writer.seen(record));
                    }
                    writer
                }
                Found::Unknown(detail) => {
                    outcome.reject(record, RejectReason::UnknownSchema, detail);
                    return Ok(());
                }
                Found::Away(detail) => {
                    outcome.blocked = Some(detail);
                    return Ok(());
                }
            },
        };
        self.record(&writer, body, record, outcome)?;
        outcome.writer = Some(writer);
        Ok(())
    }

    /// Reads one record, or leaves the columns as they were.
    fn record(
        &mut self,
        writer: &Writer,
        body: &[u8],
        record: u32,
        outcome: &mut Outcome,
    ) -> Result<(), FatalError> {
        let plan = match &writer.plan {
            Ok(plan) => plan,
            Err(detail) => {
                outcome.reject(record, RejectReason::IncompatibleSchema, detail.clone());
                return Ok(());
            }
        };
        let Err(fault) = read::read_body(&plan.types, &plan.root, body, &mut self.columns) else {
            outcome.records.push(record);
            return Ok(());
        };
        let n_rows = outcome.records.len();
        self.columns.iter_mut().for_each(|column| column.truncate(n_rows));
        let (reason, detail) = explain(writer, &fault).inspect_err(|_| {
            self.columns.iter_mut().for_each(|column| column.truncate(0));
        })?;
        outcome.reject(record, reason, detail);
        Ok(())
    }

    fn finish(&mut self, outcome: Outcome, next: usize) -> Result<DecodedBatch, FatalError> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>();
        let options = RecordBatchOptions::new().with_row_count(Some(outcome.records.len()));
        let batch = arrays
            .and_then(|arrays| RecordBatch::try_new_with_options(Arc::clone(&self.arrow), arrays, &options))
            .map_err(FatalError::Arrow)?;
        Ok(DecodedBatch {
            batch,
            records: outcome.records,
            rejected: outcome.rejected,
            tombstones: outcome.tombstones,
            next,
            blocked: outcome.blocked,
            schemas: outcome.schemas,
        })
    }
}

/// [`DecodedBatch`] as it grows.
#[derive(Default)]
struct Outcome {
    records: Vec<u32>,
    rejected: Vec<Rejected>,
    tombstones: u64,
    blocked: Option<String>,
    schemas: Vec<SeenSchema>,
    /// Of the last record: mostly that of the next one, too.
    writer: Option<Arc<Writer>>,
}

impl Outcome {
    fn reject(&mut self, record: u32, reason: RejectReason, detail: String) {
        self.rejected.push(Rejected { record, reason, detail });
    }
}

/// What a fault means for its record, or for the whole batch.
fn explain(writer: &Writer, fault: &Fault) -> Result<(RejectReason, String), FatalError> {
    match fault.kind {
        FaultKind::ColumnFull => Err(FatalError::BatchTooLarge),
        FaultKind::Shape => {
            let error = arrow::error::ArrowError::SchemaError(format!("{}: {fault}", writer.describe()));
            Err(FatalError::Arrow(error))
        }
        FaultKind::Mismatch(issue) => Ok((RejectReason::IncompatibleSchema, writer.value_mismatch(issue))),
        _ => Ok((RejectReason::BadPayload, format!("{fault} ({})", writer.describe()))),
    }
}
