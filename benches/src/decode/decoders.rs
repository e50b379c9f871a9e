//! The decoders behind one interface.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use clap::ValueEnum;
use weir_engine::aggregate::Groups;
use weir_schemas::registry::EmbeddedRegistry;
use weir_schemas::wire::HEADER_LEN;
use weir_schemas::{Decoder, ReaderSchema, SchemaRegistry};

use super::records::{Batch, Case, RECORDS_PER_BATCH, SCHEMA_ID};
use crate::aggregate;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Name {
    Weir,
    Arrow,
    Apache,
}

/// What takes a batch and says how many records it read.
pub(super) trait Decode {
    fn decode(&mut self, batch: &Batch) -> Result<usize>;
}

/// # Errors
/// Where there are bad records, which only Weir passes over, or aggregates of what are not columns.
pub(super) fn make(name: Name, case: &Case) -> Result<Box<dyn Decode>> {
    ensure!(!case.has_bad || matches!(name, Name::Weir), "it stops at the first bad record");
    let groups = case.aggregates.then(|| aggregate::groups_by_number(&DataType::Int64)).transpose()?;
    let groups = Sums { groups };
    let (writer, reader) = (case.writer_schema(), case.reader_schema()?);
    ensure!(!case.aggregates || !matches!(name, Name::Apache), "it makes values, not columns");
    Ok(match name {
        Name::Weir => Box::new(Weir { decoder: weir(&writer, &reader)?, groups, has_bad: case.has_bad }),
        Name::Arrow => Box::new(Arrow { decoder: arrow(writer, reader)?, groups }),
        Name::Apache => {
            let [writer, reader] = [writer, reader].map(|schema| Schema::parse_str(&schema));
            Box::new(Apache { writer: writer?, reader: reader? })
        }
    })
}

fn weir(writer: &str, reader: &str) -> Result<Decoder> {
    let registry = EmbeddedRegistry::new();
    let id = registry.register("value", writer)?;
    ensure!(id.0 == SCHEMA_ID, "the first schema has another id than the records");
    let reader = ReaderSchema::parse(reader)?;
    let columns = (0..reader.arrow_schema().fields().len()).collect();
    Ok(Decoder::new(Arc::new(reader), columns, Arc::new(registry))?)
}

fn arrow(writer: String, reader: String) -> Result<arrow_avro::reader::Decoder> {
    let mut store = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
    store.set(Fingerprint::Id(SCHEMA_ID), AvroSchema::new(writer))?;
    let builder = ReaderBuilder::new().with_batch_size(RECORDS_PER_BATCH).with_writer_schema_store(store);
    Ok(builder.with_reader_schema(AvroSchema::new(reader)).build_decoder()?)
}

/// Sums of the first three columns, if they are wanted.
struct Sums {
    groups: Option<Groups>,
}

impl Sums {
    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if let Some(groups) = &mut self.groups {
            let (keys, prices) = (batch.columns()[..1].to_vec(), Arc::clone(batch.column(1)));
            let arguments = [vec![], vec![Arc::clone(&prices)], vec![prices]];
            groups.update(batch.num_rows(), &keys, &arguments, &[None, None, None])?;
        }
        black_box(batch);
        Ok(())
    }
}

struct Weir {
    decoder: Decoder,
    groups: Sums,
    has_bad: bool,
}

impl Decode for Weir {
    fn decode(&mut self, batch: &Batch) -> Result<usize> {
        let decoded = self.decoder.decode(batch.values().map(Some), 0)?;
        let n_bad = decoded.rejected.len();
        ensure!(self.has_bad == (0 < n_bad), "bad records: {:?}", decoded.rejected.first());
        self.groups.add(&decoded.batch)?;
        Ok(decoded.records.len() + n_bad)
    }
}

struct Arrow {
    decoder: arrow_avro::reader::Decoder,
    groups: Sums,
}

impl Decode for Arrow {
    fn decode(&mut self, batch: &Batch) -> Result<usize> {
        for value in batch.values() {
            self.decoder.decode(value)?;
        }
        let decoded = self.decoder.flush()?.context("there were records")?;
        self.groups.add(&decoded)?;
        Ok(decoded.num_rows())
    }
}

/// One value for each record: no columns are made.
struct Apache {
    writer: Schema,
    reader: Schema,
}

impl Decode for Apache {
    fn decode(&mut self, batch: &Batch) -> Result<usize> {
        let reader = GenericDatumReader::builder(&self.writer).reader_schema(&self.reader).build()?;
        let mut n_records = 0;
        for value in batch.values() {
            let mut body = value.get(HEADER_LEN..).context("a value has a header")?;
            black_box(reader.read_value(&mut body)?);
            n_records += 1;
        }
        Ok(n_records)
    }
}
