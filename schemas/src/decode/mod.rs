//! Record values to a batch, whatever writer schemas they are of.
//!
//! ```text
//! value ─► wire ─► id ─► writers (program per id, bounded) ─► run ─► columns ─► RecordBatch
//!            └ bad_framing   └ unknown_, incompatible_schema    └ entries given back; walk says what is wrong
//! ```
//!
//! Records are read by a flat `program` that only says whether they could be, 64 of them at a time (`block`) or,
//! where one of these is bad, each alone (`run`). Which of its bytes are wrong is looked for afterwards, by a
//! `walk` over the plan.
//!
//! All writer schemas fill the same columns, so that ids may alternate from record to record at no
//! cost and rows keep the order of their records.
//!
//! Invariants:
//! 1. A record is a row, a rejection or a tombstone; what it is depends on nothing but itself, the
//!    two schemas and the registry: not on its neighbours, not on the columns asked for.
//! 2. While the registry is away nothing is rejected and nothing is passed over: decoding stops in
//!    front of the first record whose schema is not known.

mod block;
mod bytes;
mod column;
mod cursor;
mod layout;
mod program;
mod run;
mod split;
mod stretch;
mod take;
mod texts;
mod walk;
mod writers;

pub use split::Splitter;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};
use arrow::error::ArrowError;

use self::block::BLOCK;
use self::column::Columns;
use self::cursor::FaultKind;
use self::layout::Layout;
use self::run::{Machine, Stop};
pub(crate) use self::walk::fault;
pub(crate) use self::writers::registered;
use self::writers::{Found, Writer, WriterPlan, Writers};
use crate::error::FatalError;
use crate::registry::{Fingerprints, SchemaRegistry, SchemaText};
use crate::resolve::ReaderSchema;
use crate::wire::{Framing, HEADER_LEN, SINGLE_OBJECT_HEADER_LEN, SchemaId};

/// Why a record could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No magic byte 0, or under 5 bytes; in single-object encoding no marker, or under 10.
    BadFraming,
    /// The registry says that it has no schema of this id, or none of this fingerprint under the subject.
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
    /// The schema itself, as the registry has it.
    pub schema: Option<Arc<SchemaText>>,
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

/// Decodes values in Confluent's wire format (or single-object encoding, see [`Decoder::single_object`]) into columns
/// of one reader schema. One per thread.
#[derive(Debug)]
pub struct Decoder {
    arrow: SchemaRef,
    writers: Writers,

    columns: Columns,
    machine: Machine,
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
        let layout = Arc::new(Layout::new(&fields).map_err(FatalError::Arrow)?);
        Ok(Self {
            arrow: Arc::new(ArrowSchema::new(fields)),
            columns: Columns::new(Arc::clone(&layout)).map_err(FatalError::Arrow)?,
            writers: Writers::new(reader, columns, layout, registry),
            machine: Machine::default(),
        })
    }

    /// The same, for values in Avro's single-object encoding, of the schemas of one subject.
    #[must_use]
    pub fn single_object(mut self, fingerprints: Arc<Fingerprints>) -> Self {
        self.writers.by_fingerprints(fingerprints);
        self
    }

    /// The columns of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.arrow)
    }

    /// The id of the schema that a value was written with, as far as its header and what was met say so.
    #[must_use]
    pub fn schema_id(&self, value: &[u8]) -> Option<SchemaId> {
        let (by, _) = self.writers.framing().parse(value).ok()?;
        self.writers.id(by)
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
        let values = values.into_iter();
        let mut outcome = Outcome::default();
        let n_values = values.size_hint().0.saturating_sub(from).min(MAX_RESERVED);
        outcome.records.reserve(n_values);
        self.columns.reserve(n_values);
        let next = match self.writers.framing() {
            Framing::Confluent => self.records::<HEADER_LEN>(values, from, &mut outcome),
            Framing::SingleObject => {
                self.writers.begin();
                self.records::<SINGLE_OBJECT_HEADER_LEN>(values, from, &mut outcome)
            }
        };
        let decoded = next.and_then(|next| self.finish(outcome, next));
        // After an error: the next batch must start empty.
        decoded.inspect_err(|_| self.columns.truncate(0))
    }

    /// Deals with the values, whose headers have `H` bytes, and gives the index of the first one that it did not deal
    /// with.
    fn records<'a, const H: usize>(
        &mut self,
        mut values: impl Iterator<Item = Option<&'a [u8]>>,
        from: usize,
        outcome: &mut Outcome,
    ) -> Result<usize, FatalError> {
        if let Some(last) = from.checked_sub(1) {
            values.nth(last);
        }
        let mut next = u32::try_from(from).unwrap_or(u32::MAX);
        // Of the records in the block.
        let mut writer: Option<Arc<Writer>> = None;
        let mut block = Block::new();
        loop {
            let header = writer.as_deref().and_then(Writer::header::<H>);
            match block.fill(header, &mut values, &mut next) {
                Filled::Whole => self.read(writer.as_deref(), &mut block, outcome)?,
                Filled::UpTo(None) => outcome.tombstones += 1,
                Filled::UpTo(Some(value)) => {
                    self.read(writer.as_deref(), &mut block, outcome)?;
                    let record = next - 1;
                    match outcome.writer::<H>(&mut self.writers, value, record) {
                        Some((found, body)) => {
                            writer = Some(found);
                            block.push(record, body);
                        }
                        None if outcome.blocked.is_some() => return Ok(record as usize),
                        None => {}
                    }
                }
                Filled::End => break,
            }
        }
        self.read(writer.as_deref(), &mut block, outcome)?;
        Ok(next as usize)
    }

    /// Reads the records of a block and empties it.
    fn read(
        &mut self,
        writer: Option<&Writer>,
        block: &mut Block<'_>,
        outcome: &mut Outcome,
    ) -> Result<(), FatalError> {
        let n = std::mem::take(&mut block.n);
        let (records, bodies) = (&block.records[..n], &block.bodies[..n]);
        let Some(writer) = writer.filter(|_| 0 < n) else {
            return Ok(());
        };
        let plan = match &writer.plan {
            Ok(plan) => plan,
            Err(detail) => {
                let reason = RejectReason::IncompatibleSchema;
                records.iter().for_each(|record| outcome.reject(*record, reason, detail.clone()));
                return Ok(());
            }
        };
        let mut rests = block.bodies;
        if WORTH_IT <= n
            && plan.reader().read_block(bodies, &mut rests[..n], &mut self.machine, &mut self.columns.slots)
        {
            outcome.records.extend_from_slice(records);
            return Ok(());
        }
        self.columns.truncate(outcome.records.len());
        for (&record, body) in records.iter().zip(bodies) {
            match plan.reader().read(body, &mut self.machine, &mut self.columns.slots) {
                Ok(()) => outcome.records.push(record),
                Err(stop) => {
                    self.columns.truncate(outcome.records.len());
                    outcome.refuse(writer, plan, record, body, stop)?;
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, mut outcome: Outcome, next: usize) -> Result<DecodedBatch, FatalError> {
        let arrays = self.columns.finish().map_err(FatalError::Arrow)?;
        let options = RecordBatchOptions::new().with_row_count(Some(outcome.records.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.arrow), arrays, &options)
            .map_err(FatalError::Arrow)?;
        outcome.rejected.sort_by_key(|rejected| rejected.record);
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

/// Room is made for so many rows at most before there are any.
const MAX_RESERVED: usize = 1 << 20;

/// [`DecodedBatch`] as it grows.
#[derive(Default)]
struct Outcome {
    records: Vec<u32>,
    rejected: Vec<Rejected>,
    tombstones: u64,
    blocked: Option<String>,
    schemas: Vec<SeenSchema>,
    /// Those of the batch: a handful, in which it is found faster than in all of them.
    writers: Vec<Arc<Writer>>,
}

impl Outcome {
    fn reject(&mut self, record: u32, reason: RejectReason, detail: String) {
        self.rejected.push(Rejected { record, reason, detail });
    }

    /// The writer schema and the body of `record`. `None`: it is rejected, or the batch is blocked.
    fn writer<'a, const H: usize>(
        &mut self,
        writers: &mut Writers,
        value: &'a [u8],
        record: u32,
    ) -> Option<(Arc<Writer>, &'a [u8])> {
        for writer in self.writers.iter().take(MAX_AT_HAND) {
            if let Some(body) = writer.body_of::<H>(value) {
                return Some((Arc::clone(writer), body));
            }
        }
        let (by, body) = match writers.framing().parse(value) {
            Ok(parts) => parts,
            Err(error) => {
                self.reject(record, RejectReason::BadFraming, error.to_string());
                return None;
            }
        };
        match writers.find(by) {
            Found::Writer(writer) => {
                if self.schemas.iter().all(|seen| seen.schema_id != writer.id.0) {
                    self.schemas.push(writer.seen(record));
                }
                self.writers.push(Arc::clone(&writer));
                Some((writer, body))
            }
            Found::Unknown(detail) => {
                self.reject(record, RejectReason::UnknownSchema, detail);
                None
            }
            Found::Away(detail) => {
                self.blocked = Some(detail);
                None
            }
        }
    }

    /// Rejects a record that could not be read.
    fn refuse(
        &mut self,
        writer: &Writer,
        plan: &WriterPlan,
        record: u32,
        body: &[u8],
        stop: Stop,
    ) -> Result<(), FatalError> {
        let fault = match stop {
            Stop::Full => return Err(FatalError::BatchTooLarge),
            Stop::Shape => return Err(bug(&format!("{} was read into other columns", writer.describe()))),
            Stop::Bad => fault(&plan.types, &plan.root, body),
        };
        let Some(fault) = fault else {
            return Err(bug(&format!("a good record of {} could not be read", writer.describe())));
        };
        match fault.kind {
            FaultKind::Shape => return Err(bug(&format!("{}: {fault}", writer.describe()))),
            FaultKind::Mismatch(issue) => {
                self.reject(record, RejectReason::IncompatibleSchema, writer.value_mismatch(issue));
            }
            _ => {
                let detail = format!("{fault} ({})", writer.describe());
                self.reject(record, RejectReason::BadPayload, detail);
            }
        }
        Ok(())
    }
}

/// Fewer records are read one by one: a block of them would not pay.
const WORTH_IT: usize = 4;

/// Records of one writer schema that follow each other.
struct Block<'a> {
    n: usize,
    records: [u32; BLOCK],
    bodies: [&'a [u8]; BLOCK],
}

impl<'a> Block<'a> {
    fn new() -> Self {
        Self { n: 0, records: [0; BLOCK], bodies: [&[]; BLOCK] }
    }

    fn push(&mut self, record: u32, body: &'a [u8]) {
        let n = self.n;
        (self.records[n], self.bodies[n]) = (record, body);
        self.n = n + 1;
    }

    /// Takes values that begin with `header`, whose records are `next` and those behind it.
    fn fill<const H: usize>(
        &mut self,
        header: Option<&[u8; H]>,
        values: &mut impl Iterator<Item = Option<&'a [u8]>>,
        next: &mut u32,
    ) -> Filled<'a> {
        let first = *next;
        first.checked_add(BLOCK as u32).expect("a batch has fewer than 2^32 records");
        for (record, at) in (first..).zip(self.n..BLOCK) {
            let value = values.next();
            let body = value.flatten().zip(header).and_then(|(value, header)| value.strip_prefix(header));
            let Some(body) = body else {
                (self.n, *next) = (at, record + u32::from(value.is_some()));
                return value.map_or(Filled::End, Filled::UpTo);
            };
            (self.records[at], self.bodies[at]) = (record, body);
        }
        *next = first + (BLOCK - self.n) as u32;
        self.n = BLOCK;
        Filled::Whole
    }
}

/// Why a block gets no more values.
enum Filled<'a> {
    /// It has [`BLOCK`] records.
    Whole,
    /// This value, which was taken, is a tombstone, or begins with something else.
    UpTo(Option<&'a [u8]>),
    /// There are none.
    End,
}

/// Writer schemas of a batch that are looked for one by one.
const MAX_AT_HAND: usize = 16;

fn bug(what: &str) -> FatalError {
    FatalError::Arrow(ArrowError::SchemaError(what.to_owned()))
}
