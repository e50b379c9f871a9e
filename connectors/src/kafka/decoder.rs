//! From a block of records to the columns of the table: values by `weir-schemas`, metadata here.
//!
//! Invariant: row `i` of every column, metadata or not, is of record `records[i]` of the block.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, Int32Array, Int64Array, RecordBatch, RecordBatchOptions,
    TimestampMillisecondArray,
};
use arrow::datatypes::{Schema, SchemaRef};
use weir_engine::connector::{Decoded, Decoder, Reason, RecordBlock, Rejected, SchemaSeen, SourceError};
use weir_schemas::registry::{Fingerprints, PromptRegistry};
use weir_schemas::{
    AnyDecoder, DecodedBatch, FatalError, Format, ReaderSchema, RejectReason, SchemaRegistry, SeenSchema,
};

use super::Metadata;
use super::follow::Follow;
use super::table::Table;
use crate::error::chain;

/// Where a column of the batch comes from: `Ok` is a column of the decoded values' batch.
type Origin = Result<usize, Metadata>;

/// How values are written, what they are read with, and who knows what they were written with.
pub(crate) struct Schemas {
    pub(crate) format: Format,
    pub(crate) reader: Arc<ReaderSchema>,
    pub(crate) registry: Arc<dyn SchemaRegistry>,
    /// Where records name fingerprints instead of ids.
    pub(crate) fingerprints: Option<Arc<Fingerprints>>,
}

pub(crate) struct RecordDecoder {
    values: AnyDecoder,
    schema: SchemaRef,
    origins: Vec<Origin>,
    follow: Option<Follow>,

    /// Schema ids, and the partitions in which each was seen.
    seen: HashSet<(u32, i32)>,
}

/// Beyond so many seen schemas they are told of anew: whoever keeps them tells the same ones apart.
const SEEN_MAX: usize = 100_000;

impl RecordDecoder {
    /// A decoder to the columns of `table` at `columns`, in that order.
    pub(crate) fn new(
        table: &Table,
        schemas: Schemas,
        columns: &[usize],
        follow: Option<Follow>,
    ) -> Result<Self, FatalError> {
        let mut value_columns = Vec::new();
        let origins = columns
            .iter()
            .map(|&column| {
                table.origin(column).map(|field| {
                    value_columns.push(field);
                    value_columns.len() - 1
                })
            })
            .collect();
        let all = table.schema();
        let fields: Vec<_> = columns.iter().map(|&column| Arc::clone(&all.fields()[column])).collect();
        let Schemas { format, reader, registry, fingerprints } = schemas;
        let registry = Arc::new(PromptRegistry::new(registry));
        let mut values = AnyDecoder::new(format, reader, value_columns, registry)?;
        if let Some(fingerprints) = fingerprints {
            values = values.single_object(fingerprints);
        }
        Ok(Self { values, schema: Arc::new(Schema::new(fields)), origins, follow, seen: HashSet::new() })
    }

    /// Of the schemas in a block those that are new to its partition.
    fn news(&mut self, schemas: Vec<SeenSchema>, block: &RecordBlock) -> Vec<SchemaSeen> {
        if SEEN_MAX < self.seen.len() {
            self.seen.clear();
        }
        let mut schemas = schemas;
        schemas.retain(|seen| self.seen.insert((seen.schema_id, block.partition)));
        schemas.into_iter().map(|seen| schema_seen(seen, block, self.follow.as_ref())).collect()
    }

    fn assemble(&self, block: &RecordBlock, decoded: &DecodedBatch) -> Result<RecordBatch, SourceError> {
        let columns = self
            .origins
            .iter()
            .map(|origin| match origin {
                Ok(column) => Arc::clone(decoded.batch.column(*column)),
                Err(metadata) => metadata_column(*metadata, block, &decoded.records),
            })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.records.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| SourceError::Fatal(format!("could not build the batch: {error}")))
    }
}

impl Decoder for RecordDecoder {
    fn decode(&mut self, block: &RecordBlock, from: usize) -> Result<Decoded, SourceError> {
        let values = (0..block.len()).map(|i| block.value(i));
        let decoded = self.values.decode(values, from).map_err(|error| SourceError::Fatal(chain(&error)))?;
        let batch = self.assemble(block, &decoded)?;
        Ok(Decoded {
            batch,
            records: decoded.records,
            rejected: decoded.rejected.into_iter().map(rejected).collect(),
            tombstones: decoded.tombstones,
            next: decoded.next,
            blocked: decoded.blocked,
            schemas: self.news(decoded.schemas, block),
        })
    }

    fn schema_id(&self, value: &[u8]) -> Option<u32> {
        self.values.schema_id(value).map(|id| id.0)
    }
}

fn rejected(rejected: weir_schemas::Rejected) -> Rejected {
    let reason = match rejected.reason {
        RejectReason::BadFraming => Reason::BadFraming,
        RejectReason::UnknownSchema => Reason::UnknownSchema,
        RejectReason::IncompatibleSchema => Reason::IncompatibleSchema,
        RejectReason::BadPayload => Reason::BadPayload,
    };
    Rejected { record: rejected.record, reason, detail: rejected.detail }
}

fn schema_seen(seen: SeenSchema, block: &RecordBlock, follow: Option<&Follow>) -> SchemaSeen {
    let (mut table, mut detail) = (Vec::new(), seen.detail.clone());
    match follow.map(|follow| follow.table_of(&seen)) {
        Some(Ok(columns)) => table = columns,
        Some(Err(why)) if detail.is_empty() => detail = why,
        Some(Err(_)) | None => {}
    }
    SchemaSeen {
        schema_id: seen.schema_id,
        subject: seen.subject,
        version: seen.version,
        partition: block.partition,
        first_offset: block.offsets[seen.record as usize],
        compatible: seen.compatible,
        detail,
        table,
    }
}

fn metadata_column(metadata: Metadata, block: &RecordBlock, records: &[u32]) -> ArrayRef {
    let records = records.iter().map(|&record| record as usize);
    match metadata {
        Metadata::Timestamp => {
            let times = records.map(|i| Some(block.timestamps_ms[i]).filter(|time_ms| *time_ms >= 0));
            Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("+00:00"))
        }
        Metadata::Partition => Arc::new(Int32Array::from_value(block.partition, records.len())),
        Metadata::Offset => Arc::new(Int64Array::from_iter_values(records.map(|i| block.offsets[i]))),
        Metadata::Key => {
            let mut keys = BinaryBuilder::new();
            records.for_each(|i| keys.append_option(block.key(i)));
            Arc::new(keys.finish())
        }
    }
}
