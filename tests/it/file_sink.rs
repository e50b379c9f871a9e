//! The file sink end to end: each final row is in one Parquet file, wherever the process died.

use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use weir_engine::state::failpoint::Point;

use crate::producer::{Producer, Topics};
use crate::services::services;
use crate::shop::{SOURCE, Shop, query, revenue};
use crate::weir::Project;

/// Moves finished files away, as whoever takes them over does. Returns how many there were.
pub(crate) fn take(out: &Path, taken: &Path) -> usize {
    fs::create_dir_all(taken).expect("a folder");
    let Ok(entries) = fs::read_dir(out) else { return 0 };
    let names =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8"));
    let finished: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    for name in &finished {
        assert!(name.ends_with(".parquet") && !taken.join(name).exists(), "{name}");
        fs::rename(out.join(name), taken.join(name)).expect("the file is moved");
    }
    finished.len()
}

/// The rows of all files, as [`query`] gives them.
pub(crate) fn read(folder: &Path) -> Vec<Vec<Value>> {
    let mut rows = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let file = fs::File::open(entry.expect("an entry").path()).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
        for batch in reader.build().expect("a Parquet file") {
            let batch = batch.expect("rows");
            let of = |name: &str, to: &DataType| {
                cast(batch.column_by_name(name).expect("a column"), to).expect("it can be cast")
            };
            let numbers =
                ["window_start", "orders", "revenue", "newest"].map(|name| of(name, &DataType::Int64));
            let [start, orders, revenue, newest] =
                numbers.each_ref().map(|column| column.as_primitive::<Int64Type>());
            let countries = of("country", &DataType::Utf8);
            for (i, country) in countries.as_string::<i32>().iter().enumerate() {
                let [start, orders, revenue, newest] =
                    [start, orders, revenue, newest].map(|c| json!(c.value(i)));
                rows.push(vec![start, json!(country), orders, revenue, newest]);
            }
        }
    }
    rows.sort_by_key(|row| (row[0].as_i64(), row[1].as_str().map(str::to_owned)));
    rows
}

#[test]
fn each_final_row_is_in_one_file_whatever_step_the_process_died_at() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("filed", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "filed", 2, 7);
    let project = Project::new(&services)
        .source("filed", SOURCE)
        .pipeline("revenue", &revenue("filed"), "epoch: 20ms\nparallelism: 2\n")
        .sink("filed", "from: revenue\ntype: file\npath: ../out\n");
    let (out, taken) = (project.path("out"), project.path("taken"));
    for step in Point::FILE_SINK {
        shop.write(&producer, 300);
        // What follows is of windows that no run has closed.
        shop.pause();
        let died = project.run_bounded_dying(step, 1);
        assert!(!died.success(), "it passes {}", step.name());
        eprintln!("| {} | a bounded run into a file sink | died |", step.name());
        take(&out, &taken);
    }
    // The first goes on to where an earlier one was to end, the second to the end.
    for _ in 0..2 {
        assert!(project.run_bounded().success());
    }
    take(&out, &taken);
    assert_eq!(project.sql_offline(&query("revenue")), shop.expected());
    assert_eq!(read(&taken), shop.expected());
}

#[test]
fn a_running_pipeline_writes_files_and_says_how_far_they_are() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("filing", 2);
    let producer = Producer::new(bootstrap);
    let mut shop = Shop::new(&services.registry.url, "filing", 2, 8);
    let project = Project::new(&services)
        .source("filing", SOURCE)
        .pipeline("revenue", &revenue("filing"), "")
        .sink("filing", "from: revenue\ntype: file\npath: ../out\n")
        .sink("dropped", "from: revenue\ntype: blackhole\nemit: updates\n");
    for round in 0..3 {
        let weir = project.run();
        shop.write(&producer, 2_000);
        if round == 0 {
            let done = "SELECT sink, state, outbox_rows, error FROM weir.sinks \
                        WHERE delivered_epoch = (SELECT epoch FROM weir.pipelines) AND 0 < delivered_epoch ORDER BY 1";
            let row = |sink: &str| vec![json!(sink), json!("running"), json!(0), Value::Null];
            weir.eventually("a file is written", || {
                (0 < take(&project.path("out"), &project.path("taken"))).then_some(())
            });
            weir.await_rows(done, &["dropped", "filing"].map(row));
        }
        weir.kill();
    }
    assert!(project.run_bounded().success());
    take(&project.path("out"), &project.path("taken"));
    assert_eq!(project.sql_offline(&query("revenue")), shop.expected());
    assert_eq!(read(&project.path("taken")), shop.expected());
}
