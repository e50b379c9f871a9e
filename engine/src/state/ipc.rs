//! Arrow batches as bytes: one IPC stream with one batch, LZ4 where it pays.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

/// Batches of at least this many bytes are compressed. Below it, LZ4's frame around every buffer
/// eats what it saves, and RocksDB compresses small values together.
const COMPRESS_FROM_BYTES: usize = 4 * 1024;

/// Appends `batch` to `out`.
pub(crate) fn write(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let compression = (COMPRESS_FROM_BYTES <= raw_bytes(batch)).then_some(CompressionType::LZ4_FRAME);
    let options = IpcWriteOptions::default().try_with_compression(compression)?;
    let mut writer = StreamWriter::try_new_with_options(out, batch.schema_ref(), options)?;
    writer.write(batch)?;
    writer.finish()
}

/// Reads what [`write`] wrote; of its columns those at `projection`, in that order.
pub(crate) fn read(bytes: &[u8], projection: Option<Vec<usize>>) -> Result<RecordBatch, ArrowError> {
    let mut reader = StreamReader::try_new(bytes, projection)?;
    reader.next().ok_or_else(|| ArrowError::IpcError("a stream without a batch".to_owned()))?
}

/// Appends a schema alone to `out`.
pub(crate) fn write_schema(schema: &Schema, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    StreamWriter::try_new(out, schema)?.finish()
}

/// Reads what [`write_schema`] wrote.
pub(crate) fn read_schema(bytes: &[u8]) -> Result<SchemaRef, ArrowError> {
    Ok(StreamReader::try_new(bytes, None)?.schema())
}

/// Bytes of the rows of `batch` in memory, without what a slice leaves out.
pub(crate) fn raw_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Decimal128Array, Int64Array, StringArray, TimestampMillisecondArray};

    use super::*;
    use crate::state::frame::{self, Kind};

    fn batch(n_rows: i64) -> RecordBatch {
        let names: StringArray = (0..n_rows).map(|i| (i % 3 != 0).then(|| format!("n{i}"))).collect();
        RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from_iter_values(0..n_rows)) as Arc<dyn Array>),
            ("name", Arc::new(names) as Arc<dyn Array>),
        ])
        .expect("equal lengths")
    }

    #[test]
    fn batches_survive_whole_sliced_projected_and_compressed() {
        for n_rows in [1, 10, 5_000] {
            let batch = batch(n_rows);
            let mut bytes = Vec::new();
            write(&batch, &mut bytes).expect("written");
            assert_eq!(read(&bytes, None).expect("read"), batch);
            let swapped = read(&bytes, Some(vec![1, 0])).expect("read");
            assert_eq!(swapped, batch.project(&[1, 0]).expect("in range"));
            let slice = batch.slice(0, 1);
            let mut short = Vec::new();
            write(&slice, &mut short).expect("written");
            assert_eq!(read(&short, None).expect("read"), slice);
            assert!(short.len() < 1_000, "a slice is written without its neighbours");
        }
        let zeros = Arc::new(Int64Array::from_value(0, 5_000)) as Arc<dyn Array>;
        let zeros = RecordBatch::try_from_iter([("id", zeros)]).expect("one column");
        let mut compressed = Vec::new();
        write(&zeros, &mut compressed).expect("written");
        assert!(compressed.len() * 10 < raw_bytes(&zeros), "{} bytes", compressed.len());
    }

    /// Files that this version of Weir wrote once. A batch that is written today may have other bytes
    /// (another release of Arrow or LZ4), but these must be read for ever. `UPDATE_EXPECT=1` writes
    /// them anew, for another format version.
    #[test]
    fn batches_written_by_format_version_1_are_read() {
        let amounts = (0..1_000).map(|i| (i % 7 != 0).then_some(i));
        let amounts: Decimal128Array = amounts.collect();
        let amounts = amounts.with_precision_and_scale(18, 2).expect("fits");
        let times = TimestampMillisecondArray::from_iter_values(-500..500).with_timezone("UTC");
        let flags: BooleanArray = (0..1_000).map(|i| Some(i % 2 == 0)).collect();
        let long = RecordBatch::try_from_iter([
            ("amount", Arc::new(amounts) as Arc<dyn Array>),
            ("time", Arc::new(times) as Arc<dyn Array>),
            ("_final", Arc::new(flags) as Arc<dyn Array>),
        ])
        .expect("equal lengths");
        for (file, batch) in [("plain_v1.frame", batch(4)), ("lz4_v1.frame", long)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/testdata").join(file);
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                let mut bytes = frame::begin(Kind::Rows);
                write(&batch, &mut bytes).expect("written");
                std::fs::write(&path, frame::seal(bytes)).expect("written");
            }
            let bytes = std::fs::read(&path).expect("in the repository");
            let payload = frame::open(Kind::Rows, &bytes, || file.to_owned()).expect("intact");
            assert_eq!(read(payload, None).expect("read"), batch, "{file}");
        }
    }

    #[test]
    fn schema_survives() {
        let schema = batch(1).schema();
        let mut bytes = Vec::new();
        write_schema(&schema, &mut bytes).expect("written");
        assert_eq!(read_schema(&bytes).expect("read"), schema);
        assert!(read_schema(&bytes[..bytes.len() / 2]).is_err());
    }
}
