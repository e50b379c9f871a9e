//! Avro's object container files as a source: each file is a partition, and the number of a record in it its offset.
//!
//! ```text
//! folder ─► names that fit ─► header: schema, codec ─┬► walk over blocks ─► how many records
//!                                                    └► cursor: decompress, split, frame ─► RecordBlock ─► decoder
//! ```
//!
//! A record is framed with the id of its file's schema, so that it is decoded as one of Kafka is: by the writer schema of
//! the one and the reader schema of the table. A block that is damaged is one dead letter, and reading goes on at the
//! next marker.

mod codec;
mod container;
mod cursor;
mod decoder;
mod folder;
mod pattern;
mod reader;
mod schemas;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use weir_engine::connector::{Decoder, Reader, Source, SourceError, Start, Topology, WatermarkOptions};
use weir_schemas::{Format, LeftOut, ReaderSchema, SchemaRegistry};

use self::decoder::FilesDecoder;
use self::folder::Folder;
use self::reader::{Damages, FilesReader};
use crate::error::{ConfigError, chain};
use crate::kafka::{ReaderSchemaText, RecordDecoder, Schemas, Table};
use crate::table_source::TableSource;

/// A source file of `type: files`.
#[derive(Debug, Clone)]
pub struct FilesSourceConfig {
    /// The source file's name: the table's name in SQL.
    pub name: String,
    /// A folder and a pattern of names in it.
    pub pattern: PathBuf,
    /// The same as the source file writes it.
    pub shown: String,
    pub reader_schema: ReaderSchemaText,
    /// A timestamp column.
    pub event_time: String,
    pub watermark: WatermarkOptions,
    pub start: Start,
}

/// The files of a folder as a table.
pub struct FilesSource {
    config: FilesSourceConfig,
    reader_schema: Arc<ReaderSchema>,
    table: Table,
    folder: Arc<Folder>,
    damages: Damages,
}

/// Who knows the schemas of a folder's files.
#[must_use]
pub fn file_schemas(pattern: &std::path::Path, shown: &str) -> Arc<dyn SchemaRegistry> {
    let folder = Folder::new(pattern, shown);
    Arc::<schemas::FileSchemas>::clone(folder.schemas())
}

impl FilesSource {
    /// Checks the settings; reads no file.
    ///
    /// # Errors
    /// [`ConfigError`] where they can't work.
    pub fn new(config: FilesSourceConfig) -> Result<Self, ConfigError> {
        let reader_schema = Arc::new(config.reader_schema.parse()?);
        let (values, left_out) = (reader_schema.arrow_schema(), reader_schema.left_out());
        let table = Table::new(&values, left_out, Some(&config.event_time), &[])?;
        let folder = Arc::new(Folder::new(&config.pattern, &config.shown));
        Ok(Self { config, reader_schema, table, folder, damages: Damages::default() })
    }
}

impl TableSource for FilesSource {
    fn reader_schema(&self) -> &ReaderSchemaText {
        &self.config.reader_schema
    }

    fn left_out(&self) -> &[LeftOut] {
        self.reader_schema.left_out()
    }
}

impl Source for FilesSource {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn topic(&self) -> &str {
        &self.config.shown
    }

    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn event_time(&self) -> usize {
        self.table.event_time()
    }

    fn watermark(&self) -> WatermarkOptions {
        self.config.watermark
    }

    fn start(&self) -> Start {
        self.config.start
    }

    fn identity(&self) -> String {
        format!("files {}\nevent time {}", self.config.shown, self.config.event_time)
    }

    fn recall(&self, names: &[(i32, &str)]) {
        self.folder.recall(names);
    }

    fn partition_name(&self, partition: i32) -> Option<String> {
        self.folder.name(partition)
    }

    fn place(&self, partition: i32) -> String {
        self.folder.place(partition).unwrap_or_else(|| self.config.shown.clone())
    }

    fn discover(&self) -> Result<Topology, SourceError> {
        Ok(Topology { topic_id: None, partitions: self.folder.discover()? })
    }

    fn reader(&self) -> Result<Box<dyn Reader>, SourceError> {
        Ok(Box::new(FilesReader::new(Arc::clone(&self.folder), self.damages.clone())))
    }

    fn decoder(&self, columns: &[usize]) -> Result<Box<dyn Decoder>, SourceError> {
        let schemas = Schemas {
            format: Format::Avro,
            reader: Arc::clone(&self.reader_schema),
            registry: Arc::<schemas::FileSchemas>::clone(self.folder.schemas()),
            fingerprints: None,
        };
        let records = RecordDecoder::new(&self.table, schemas, columns, None)
            .map_err(|error| SourceError::Fatal(chain(&error)))?;
        Ok(Box::new(FilesDecoder::new(records, self.damages.clone())))
    }
}
