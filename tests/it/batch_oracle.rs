//! Streaming equals batch: random queries over random tables, against DataFusion's batch engine.
//!
//! ```text
//!            ┌─► pipeline, run to its end ──────────────────────────► result table ─┐
//! seed ─► table, query                                                              ├─ equal, row for row
//!            └─► rows that were not late, recomputed ─► DataFusion, batch ──────────┘
//! ```
//!
//! In the batch query TUMBLE and HOP are an ordinary projection over rows of which each stands there once
//! for each window that it counts in. Amounts are multiples of an
//! eighth, so that sums are exact whatever their order; what is left may differ by 1e-12 relative.
//!
//! A failure names its seed: `WEIR_SEED=n WEIR_CASES=1` repeats it, more `WEIR_CASES` look further.

mod expressions;
mod queries;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field, Float64Type, Int64Type, Schema, SchemaRef, TimestampMillisecondType};
use datafusion::datasource::MemTable;
use datafusion::execution::SessionStateBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::memory::{MemorySource, Run, run_bounded, same_float, text};
use queries::{Query, Windows, random_query};

const CASES: u64 = 100;
const FIRST_SEED: u64 = 1;

#[test]
fn streaming_equals_batch() {
    let number = |name, default| {
        std::env::var(name)
            .map_or(default, |text| text.parse().expect("WEIR_SEED and WEIR_CASES are numbers"))
    };
    let first: u64 = number("WEIR_SEED", FIRST_SEED);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut totals = [0; 4];
    for seed in first..first + number("WEIR_CASES", CASES) {
        let seen = check(seed, &runtime);
        totals.iter_mut().zip(seen).for_each(|(total, n)| *total += n);
    }
    let [n_rows, n_result_rows, n_late, n_failed] = totals;
    // A generator that makes empty tables or empty answers would prove nothing.
    let is_telling = n_result_rows * 100 > n_rows && n_late * 100 > n_rows && n_failed * 500 > n_rows;
    let told = format!("{n_rows} rows made {n_result_rows}, {n_late} were late, {n_failed} failed");
    assert!(n_rows < 2_000 || is_telling, "{told}");
    eprintln!("seeds from {first}: {told}");
}

/// Runs one case both ways; returns the numbers of rows, result rows, late rows and failures.
fn check(seed: u64, runtime: &tokio::runtime::Runtime) -> [usize; 4] {
    let mut rng = StdRng::seed_from_u64(seed);
    let delay_ms = [0, 500, 3_000][rng.random_range(0..3)];
    let n_partitions = rng.random_range(1..4);
    let partitions = (0..n_partitions).map(|_| random_rows(&mut rng)).collect();
    let mut source = MemorySource::new("t", partitions, delay_ms);
    source.records_per_poll = rng.random_range(1..80);
    source.watermark.max_drift_ms = [0, 5_000, 3_600_000][rng.random_range(0..3)];
    let run = Run {
        parallelism: rng.random_range(1..4),
        epoch_ms: [1, 3, 20][rng.random_range(0..3)],
        lateness_ms: [0, 0, 2_000][rng.random_range(0..3)],
        provisional: rng.random(),
    };
    let query = random_query(&mut rng);
    let story = || {
        format!(
            "WEIR_SEED={seed} WEIR_CASES=1, {run:?}, delay {delay_ms} ms, {} records a poll\n{}\n{}",
            source.records_per_poll,
            query.streaming(),
            query.batch()
        )
    };

    let streamed = run_bounded(std::slice::from_ref(&source), &query.streaming(), run)
        .unwrap_or_else(|refusals| panic!("{refusals:?}\n{}", story()));
    let (on_time, n_late) = not_late(&source, query.windows(), run.lateness_ms);
    let n_rows: usize = source.partitions.iter().map(RecordBatch::num_rows).sum();
    let batch = |sql: &str| {
        let batch = runtime.block_on(in_batch(on_time.clone(), sql));
        batch.unwrap_or_else(|error| panic!("{error}\n{sql}\n{}", story()))
    };
    let number = |sql: Option<String>| {
        let n = sql.map_or(0, |sql| batch(&sql).column(0).as_primitive::<Int64Type>().value(0));
        usize::try_from(n).expect("a number of rows")
    };
    let n_failed = [number(query.failing_rows()), number(query.failing_groups())];
    let batch = batch(&query.batch());

    assert_eq!(streamed.counters.late_rows, n_late as u64, "late rows\n{}", story());
    let n_letters = n_late + n_failed[0] + n_failed[1];
    assert_eq!(streamed.dead_letters.num_rows(), n_letters, "late rows, and {n_failed:?}\n{}", story());
    let types = |rows: &RecordBatch| rows.columns().iter().map(|c| c.data_type().clone()).collect::<Vec<_>>();
    assert!(
        batch.num_rows() == 0 || types(&streamed.rows) == types(&batch),
        "types {:?}, expected {:?}\n{}",
        types(&streamed.rows),
        types(&batch),
        story()
    );
    let (got, expected) = (keyed(&streamed.rows, &query), keyed(&batch, &query));
    assert!(got.keys().eq(expected.keys()), "keys: {got:#?}\nexpected {expected:#?}\n{}", story());
    for (key, row) in &got {
        let expected = &expected[key];
        let equal = row.len() == expected.len() && row.iter().zip(expected).all(|(a, b)| a.equals(b));
        assert!(equal, "row {key:?}: {row:?}\nexpected {expected:?}\n{}", story());
    }
    [n_rows, streamed.rows.num_rows(), n_late, n_failed[0] + n_failed[1]]
}

/// Up to 150 rows over a minute: mostly in order, with jitter, nulls, repeated values and a straggler.
fn random_rows(rng: &mut StdRng) -> RecordBatch {
    let n = rng.random_range(0..150);
    let start = rng.random_range(-30_000i64..30_000);
    // Coarse times fall on the bounds of windows, and watermarks on their ends.
    let grain = [1, 500, 1_000][rng.random_range(0..3)];
    let mut times = Vec::with_capacity(n);
    for i in 0..n {
        let jitter =
            if rng.random_bool(0.05) { rng.random_range(0..40_000) } else { rng.random_range(0..2_000) };
        let time = start + (i as i64) * 60_000 / (n as i64) - jitter;
        times.push(time - time.rem_euclid(grain));
    }
    let texts = ["a", "b", "", "Ab", "ü", "ccc"];
    let nullable = |rng: &mut StdRng, p: f64| -> Vec<bool> { (0..n).map(|_| rng.random_bool(p)).collect() };
    let [no_k, no_name, no_flag, no_amount, no_day] = [0.15, 0.1, 0.2, 0.2, 0.1].map(|p| nullable(rng, p));
    let mut ints =
        |low: i64, high: i64| -> Vec<i64> { (0..n).map(|_| rng.random_range(low..high)).collect() };
    let (ids, ks, quantities) = (ints(0, 1_000), ints(-3, 4), ints(-5, 20));
    let (amounts, prices, names, flags) = (ints(-4_000, 8_000), ints(-500, 5_000), ints(0, 6), ints(0, 2));
    let days = ints(-3, 60);
    let unless = |null: &[bool], i: usize| !null[i];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
        Arc::new(Int64Array::from(ids)),
        Arc::new((0..n).map(|i| unless(&no_k, i).then_some(ks[i])).collect::<Int64Array>()),
        Arc::new(
            (0..n).map(|i| unless(&no_name, i).then_some(texts[names[i] as usize])).collect::<StringArray>(),
        ),
        Arc::new((0..n).map(|i| unless(&no_flag, i).then_some(flags[i] == 1)).collect::<BooleanArray>()),
        Arc::new(
            (0..n)
                .map(|i| unless(&no_amount, i).then_some(amounts[i] as f64 / 8.0))
                .collect::<Float64Array>(),
        ),
        Arc::new(
            Decimal128Array::from_iter_values(prices.iter().map(|price| i128::from(*price)))
                .with_precision_and_scale(10, 2)
                .expect("a decimal type"),
        ),
        Arc::new(Int32Array::from_iter_values(quantities.iter().map(|quantity| *quantity as i32))),
        Arc::new((0..n).map(|i| unless(&no_day, i).then_some(days[i] as i32)).collect::<Date32Array>()),
    ];
    RecordBatch::try_new(schema(&columns), columns).expect("columns of one length")
}

fn schema(columns: &[ArrayRef]) -> SchemaRef {
    let names = [
        ("at", false),
        ("id", false),
        ("k", true),
        ("name", true),
        ("flag", true),
        ("amount", true),
        ("price", false),
        ("quantity", false),
        ("day", true),
    ];
    let field = |((name, nullable), column): ((&str, bool), &ArrayRef)| {
        Field::new(name, column.data_type().clone(), nullable)
    };
    Arc::new(Schema::new(names.into_iter().zip(columns).map(field).collect::<Vec<_>>()))
}

/// Every row once for each window that it is not late for, with the window's start as column `w`, its
/// partition and offset, and whether it is late for another (`lettered`: it is a dead letter already), and how many rows were late for one or more: a row is when `window_end + lateness` is not after the watermark of
/// its partition, the largest event time up to and including it less the delay.
fn not_late(source: &MemorySource, windows: Option<Windows>, lateness_ms: i64) -> (RecordBatch, usize) {
    let schema = source.partitions[0].schema();
    let mut n_late = 0;
    let kept = (0i32..).zip(source.partitions.iter()).map(|(partition, rows)| {
        let times = rows.column(0).as_primitive::<TimestampMillisecondType>();
        let (mut latest, mut indices, mut starts, mut lettered) =
            (i64::MIN, Vec::new(), Vec::new(), Vec::new());
        for (row, time) in (0u32..).zip(times.values()) {
            latest = latest.max(*time);
            let Some(windows) = windows else {
                // Without windows no row is late.
                indices.push(row);
                starts.push(*time);
                lettered.push(false);
                continue;
            };
            let last = *time - (*time - windows.offset_ms).rem_euclid(windows.slide_ms);
            let mut is_late = false;
            for start in (0..windows.size_ms / windows.slide_ms).map(|i| last - i * windows.slide_ms) {
                if latest - source.watermark.delay_ms < start + windows.size_ms + lateness_ms {
                    indices.push(row);
                    starts.push(start);
                } else {
                    is_late = true;
                }
            }
            n_late += usize::from(is_late);
            lettered.resize(indices.len(), is_late);
        }
        let rows = take_record_batch(rows, &UInt32Array::from(indices.clone())).expect("indices of its rows");
        let added: [(&str, ArrayRef); 4] = [
            ("w", Arc::new(TimestampMillisecondArray::from(starts))),
            ("partition", Arc::new(Int32Array::from_value(partition, rows.num_rows()))),
            ("offset", Arc::new(UInt32Array::from(indices))),
            ("lettered", Arc::new(BooleanArray::from(lettered))),
        ];
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields
            .extend(added.iter().map(|(name, c)| Arc::new(Field::new(*name, c.data_type().clone(), false))));
        let columns = rows.columns().iter().cloned().chain(added.map(|(_, column)| column)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
    });
    let kept: Vec<RecordBatch> = kept.collect();
    (concat_batches(&kept[0].schema(), &kept).expect("one schema"), n_late)
}

async fn in_batch(rows: RecordBatch, sql: &str) -> datafusion::error::Result<RecordBatch> {
    let mut config = SessionConfig::new().with_target_partitions(1);
    config.options_mut().execution.time_zone = Some("+00:00".to_owned());
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    // Its two plans may differ in whether `CASE … END IS TRUE` is nullable, and then it refuses its own.
    config.options_mut().execution.skip_physical_aggregate_schema_check = true;
    // All of DataFusion's own rules but two: one can't say whether `x BETWEEN …` is nullable, the other
    // makes sums of sums, ten digits wider.
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| {
        !["common_sub_expression_eliminate", "single_distinct_aggregation_to_group_by"].contains(&rule.name())
    });
    let state = SessionStateBuilder::new().with_config(config).with_default_features();
    let context = SessionContext::new_with_state(state.with_optimizer_rules(rules).build());
    context.register_table("t", Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))?;
    let frame = context.sql(sql).await?;
    let before_coercion = Arc::clone(frame.schema().inner());
    let batches = frame.collect().await?;
    let schema = batches.first().map_or(before_coercion, RecordBatch::schema);
    Ok(concat_batches(&schema, &batches)?)
}

#[derive(Debug)]
enum Value {
    Float(f64),
    Exact(String),
}

impl Value {
    fn of(column: &ArrayRef, row: usize) -> Self {
        match column.as_primitive_opt::<Float64Type>() {
            Some(floats) if floats.is_valid(row) => Self::Float(floats.value(row)),
            _ => Self::Exact(text(column, row)),
        }
    }

    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => same_float(*a, *b),
            (Self::Exact(a), Self::Exact(b)) => a == b,
            _ => false,
        }
    }
}

/// The rows by the text of their key and, where there is none, by their own and how often it was seen.
fn keyed(rows: &RecordBatch, query: &Query) -> BTreeMap<(Vec<String>, usize), Vec<Value>> {
    let n_key_columns = query.n_key_columns();
    let mut keyed = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let key: Vec<String> =
            rows.columns()[..n_key_columns].iter().map(|column| text(column, row)).collect();
        let values: Vec<Value> = rows.columns().iter().map(|column| Value::of(column, row)).collect();
        let mut n_before = 0;
        while keyed.contains_key(&(key.clone(), n_before)) {
            assert!(!query.is_grouped(), "a key has one row: {key:?}");
            n_before += 1;
        }
        keyed.insert((key, n_before), values);
    }
    keyed
}
