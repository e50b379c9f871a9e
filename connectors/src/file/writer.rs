//! One writer of a file sink: Parquet beside, journal, rename.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use weir_engine::connector::{Change, Delivery, Position, Progress, SinkContext, SinkError, SinkWriter};
use weir_engine::state::failpoint::{self, Point};

use super::journal::{Journal, Unreadable};

const PENDING: &str = ".pending";

/// Writes into one folder; holds its lock.
pub(super) struct FileWriter {
    folder: PathBuf,
    context: SinkContext,
    _lock: File,
}

impl FileWriter {
    /// Locks the folder for this sink, finishes what an earlier writer committed, and removes what it
    /// did not.
    pub(super) fn open(folder: &Path, context: &SinkContext) -> Result<(Self, Option<Progress>), SinkError> {
        let retry = |what: &'static str| {
            move |error: io::Error| {
                SinkError::Reopen(format!("could not {what} \"{}\": {error}", folder.display()))
            }
        };
        parquet_of(&context.schema, Vec::new())
            .map_err(|error| SinkError::Fatal(format!("its columns can't be written as Parquet: {error}")))?;
        fs::create_dir_all(folder).map_err(retry("make the folder"))?;
        let lock = folder.join(format!(".{}.lock", context.identity()));
        let lock = File::create(lock).map_err(retry("write to the folder"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("another process writes this sink to \"{}\"", folder.display());
                return Err(SinkError::Reopen(text));
            }
            Err(TryLockError::Error(error)) => return Err(retry("lock the folder")(error)),
        }
        let writer = Self { folder: folder.to_owned(), context: context.clone(), _lock: lock };
        let journal = Journal::read(&writer.journal()).map_err(|error| match error {
            Unreadable::Io(error) => retry("read the journal in")(error),
            Unreadable::Damaged(text) => SinkError::Fatal(text),
        })?;
        writer.recover(journal.as_ref()).map_err(retry("finish the files in"))?;
        Ok((writer, journal.map(|journal| journal.progress)))
    }

    fn recover(&self, journal: Option<&Journal>) -> io::Result<()> {
        if let Some(journal) = journal {
            match fs::rename(self.pending(&journal.file), self.folder.join(&journal.file)) {
                Ok(()) => {}
                // It was finished before, and may have been moved away since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let prefix = format!(".{}-", self.context.sink);
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&prefix) && name.ends_with(PENDING) {
                fs::remove_file(self.folder.join(&*name))?;
            }
        }
        self.sync_folder()
    }

    /// Makes renames of the folder's files durable.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn journal(&self) -> PathBuf {
        self.folder.join(format!(".{}.journal", self.context.identity()))
    }

    fn pending(&self, file: &str) -> PathBuf {
        self.folder.join(format!(".{file}{PENDING}"))
    }

    /// The finished name of the file whose last rows are at `upto`: they sort as they were written.
    fn file(&self, upto: Position) -> String {
        let SinkContext { sink, incarnation, .. } = &self.context;
        format!("{sink}-{incarnation:06}-{:012}-{:06}.parquet", upto.epoch.0, upto.part)
    }

    fn write(&self, path: &Path, rows: &Delivery) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| format!("could not write \"{}\": {error}", path.display());
        let file = File::create(path).map_err(|error| text(&error))?;
        let written = (|| {
            let mut parquet = parquet_of(&self.context.schema, file)?;
            for change in &rows.changes {
                if let Change::Upserts(rows) = change {
                    parquet.write(&self.columns(rows)?)?;
                }
            }
            parquet.into_inner()
        })();
        let file = written.map_err(|error| text(&error))?;
        file.sync_all().map_err(|error| text(&error))
    }

    /// The rows under the sink's own schema: two batches may differ in what their columns are noted
    /// to hold, such as nulls.
    fn columns(&self, rows: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        RecordBatch::try_new(self.context.schema.clone(), rows.columns().to_vec())
    }
}

impl SinkWriter for FileWriter {
    fn deliver(&mut self, upto: Position, rows: &Delivery) -> Result<(), SinkError> {
        let file = self.file(upto);
        let (pending, finished, journal) = (self.pending(&file), self.folder.join(&file), self.journal());
        let new = self.folder.join(format!(".{}.journal.new", self.context.identity()));
        // Nothing counts before the journal is renamed: it is written anew at the next try.
        self.write(&pending, rows).map_err(SinkError::Retry)?;
        failpoint::pass(Point::DeliveryWritten);
        let written = Journal::new(self.context.progress(upto), &file).write(&new);
        written
            .map_err(|error| SinkError::Retry(format!("could not write \"{}\": {error}", new.display())))?;
        let undecided = |error: io::Error| {
            SinkError::Reopen(format!("could not finish \"{}\": {error}", finished.display()))
        };
        fs::rename(&new, &journal).map_err(undecided)?;
        self.sync_folder().map_err(undecided)?;
        failpoint::pass(Point::DeliveryDecided);
        fs::rename(&pending, &finished).map_err(undecided)?;
        self.sync_folder().map_err(undecided)?;
        failpoint::pass(Point::DeliveryVisible);
        Ok(())
    }

    fn close(self: Box<Self>) {}
}

fn parquet_of<W: io::Write + Send>(
    schema: &SchemaRef,
    out: W,
) -> Result<ArrowWriter<W>, parquet::errors::ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        // Readers that can't parse it as this form do not trust the statistics.
        .set_created_by(concat!("weir version ", env!("CARGO_PKG_VERSION")).to_owned())
        .build();
    ArrowWriter::try_new(out, schema.clone(), Some(properties))
}
