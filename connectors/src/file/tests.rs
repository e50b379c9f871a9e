//! A file sink that dies between any two steps: each row is in one finished file.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
    ListArray, RecordBatch, StringArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use weir_engine::Epoch;
use weir_engine::connector::{
    Change, Delivery, Position, Progress, Sink as _, SinkContext, SinkError, SinkWriter, Stopping,
};

use super::FileSink;

fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let n = ids.clone().count();
    let amounts: Decimal128Array =
        ids.clone().map(|id| (id % 3 != 0).then_some(i128::from(id) * 7)).collect();
    // Null, empty and other.
    let name = |id: i64| if id % 3 == 0 { String::new() } else { format!("n{id}") };
    let names: StringArray = ids.clone().map(|id| (id % 2 == 0).then(|| name(id))).collect();
    let lists = ids.clone().map(|id| (id % 4 != 3).then(|| (0..id % 4).map(|i| (i != 1).then_some(i))));
    let point = Fields::from(vec![
        Field::new("x", DataType::Int64, false),
        Field::new("label", DataType::Utf8, true),
    ]);
    let points: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from_iter_values(ids.clone())), Arc::new(names.clone())];
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone())), false),
        ("name", Arc::new(names), true),
        ("amount", Arc::new(amounts.with_precision_and_scale(18, 2).unwrap()), true),
        (
            "at",
            Arc::new(TimestampMillisecondArray::from_iter_values(ids.clone()).with_timezone("UTC")),
            false,
        ),
        ("local", Arc::new(TimestampMicrosecondArray::from_iter_values(ids.clone())), false),
        ("day", Arc::new(Date32Array::from_value(20_000, n)), false),
        ("share", Arc::new(Float64Array::from_value(0.5, n)), false),
        ("numbers", Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists)), true),
        ("point", Arc::new(StructArray::new(point, points, None)), false),
        ("bytes", Arc::new(BinaryArray::from_iter_values(ids.clone().map(i64::to_be_bytes))), false),
        ("noon", Arc::new(Time64MicrosecondArray::from_value(43_200_000_000, n)), false),
        ("_final", Arc::new(BooleanArray::from(vec![true; n])), false),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column, null)| Field::new(*name, column.data_type().clone(), *null))
        .collect();
    let columns = columns.into_iter().map(|(_, column, _)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn context() -> SinkContext {
    SinkContext {
        project: "shop".into(),
        pipeline: "revenue".into(),
        sink: "out".into(),
        incarnation: 1,
        fingerprint: 7,
        schema: rows(0..1).schema(),
        key: vec![0],
        source_partitions: 1,
        stopping: Stopping::default(),
    }
}

fn open(folder: &Path) -> (Box<dyn SinkWriter>, Option<Progress>) {
    FileSink::new("out", folder).open(&context()).unwrap_or_else(|error| panic!("{error}"))
}

fn at(epoch: u64) -> Position {
    Position { epoch: Epoch(epoch), part: 0, last_part: true }
}

fn delivery(ids: std::ops::Range<i64>) -> Delivery {
    let middle = (ids.start + ids.end) / 2;
    let pieces = [ids.start..middle, middle..ids.end];
    Delivery { changes: pieces.map(|ids| Change::Upserts(rows(ids))).to_vec() }
}

/// Names in the folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every row of the finished files, in the order of their names.
fn read(folder: &Path) -> Vec<RecordBatch> {
    let finished = names(folder).into_iter().filter(|name| !name.starts_with('.'));
    finished
        .flat_map(|name| {
            assert!(name.ends_with(".parquet"), "{name}");
            let file = std::fs::File::open(folder.join(name)).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
            reader.map(Result::unwrap).collect::<Vec<_>>()
        })
        .collect()
}

fn ids(folder: &Path) -> Vec<i64> {
    read(folder)
        .iter()
        .flat_map(|rows| rows.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect()
}

#[test]
fn rows_read_back_with_their_types() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b");
    let (mut writer, progress) = open(&folder);
    assert_eq!(progress, None);
    writer.deliver(at(3), &delivery(0..10)).unwrap();
    assert_eq!(arrow::compute::concat_batches(&rows(0..1).schema(), &read(&folder)).unwrap(), rows(0..10));
    let dots = [".weir.shop.revenue.out.journal", ".weir.shop.revenue.out.lock"];
    assert_eq!(names(&folder), [&dots[..], &["out-000001-000000000003-000000.parquet"]].concat());
}

#[test]
fn a_second_writer_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, _) = open(dir.path());
    let second = FileSink::new("out", dir.path()).open(&context());
    assert!(
        matches!(second, Err(SinkError::Reopen(text)) if text.contains("another process writes this sink"))
    );
    writer.close();
    open(dir.path());
}

#[test]
fn whoever_opens_the_folder_next_finishes_what_counts_and_removes_what_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let finished = folder.join("out-000001-000000000002-000000.parquet");
    let pending = folder.join(".out-000001-000000000002-000000.parquet.pending");
    let journal = folder.join(".weir.shop.revenue.out.journal");
    let (mut writer, _) = open(folder);
    writer.deliver(at(1), &delivery(0..10)).unwrap();
    let before = std::fs::read(&journal).unwrap();
    writer.deliver(at(2), &delivery(10..20)).unwrap();
    writer.close();
    // Died behind the journal's rename.
    std::fs::rename(&finished, &pending).unwrap();
    let (writer, progress) = open(folder);
    assert_eq!(progress.map(|progress| progress.position), Some(at(2)));
    assert_eq!(ids(folder), (0..20).collect::<Vec<_>>());
    writer.close();
    // Somebody takes finished files away.
    std::fs::remove_file(&finished).unwrap();
    let (writer, progress) = open(folder);
    assert_eq!(progress.map(|progress| progress.position), Some(at(2)));
    assert_eq!(ids(folder), (0..10).collect::<Vec<_>>());
    writer.close();
    // Died before the journal's rename.
    std::fs::write(&journal, before).unwrap();
    std::fs::write(&pending, "half a fi").unwrap();
    let (mut writer, progress) = open(folder);
    assert_eq!(progress, Some(context().progress(at(1))));
    assert!(!pending.exists());
    writer.deliver(at(2), &delivery(10..20)).unwrap();
    assert_eq!(ids(folder), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_damaged_journal_is_never_taken_for_a_new_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(dir.path());
    writer.deliver(at(1), &delivery(0..4)).unwrap();
    writer.close();
    let journal = dir.path().join(".weir.shop.revenue.out.journal");
    let text = std::fs::read_to_string(&journal).unwrap();
    let pinned = r#"{"version":1,"progress":{"incarnation":1,"position":{"epoch":1,"part":0,"last_part":true},"fingerprint":7},"file":"out-000001-000000000001-000000.parquet"}"#;
    assert_eq!(&text[9..], pinned, "bytes on disk are promises");
    for damaged in [&text[..20], "", &text.replace("\"epoch\":1", "\"epoch\":2")] {
        std::fs::write(&journal, damaged).unwrap();
        let opened = FileSink::new("out", dir.path()).open(&context());
        assert!(matches!(opened, Err(SinkError::Fatal(text)) if text.contains("is damaged")));
    }
}
