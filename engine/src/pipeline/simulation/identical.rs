//! The same input run five times at parallelism 1, 2 and 4, with epochs of 50 ms and 5 s, killed, stopped
//! and started again on the way: identical sorted output, dead letters included.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::array_value_to_string;

use std::sync::atomic::AtomicBool;

use super::case::Query;
use super::world::{BEGIN_MS, Entry, PartitionLog, SimClock, Value, Weather, World};
use super::*;
use crate::connector::WatermarkOptions;
use crate::time::window::Windows;

const TUMBLE: &str = "TUMBLE(TABLE log, DESCRIPTOR(at), INTERVAL '10' SECOND)";
const HOP: &str = "HOP(TABLE log, DESCRIPTOR(at), INTERVAL '2' SECOND, INTERVAL '10' SECOND)";
const PARALLELISM: [usize; 3] = [1, 2, 4];
const EPOCHS_MS: [u64; 2] = [50, 5_000];
const RUNS: u64 = 5;

/// Every kind of aggregate; the last one divides by zero now and then.
fn every_aggregate(from: &str) -> String {
    let groups = format!("FROM {from} GROUP BY window_start, window_end, key");
    format!(
        "SELECT window_start, window_end, key, count(*) AS a, sum(amount) AS b, avg(amount) AS c, min(at) AS d, max(amount) AS e, \
         var(amount) AS f, stddev_pop(amount) AS g, bool_or(amount % 7 = 0) AS h, first_value(amount) AS i, \
         last_value(at ORDER BY amount % 5 DESC) AS j, nth_value(amount, 2) AS k, array_agg(amount ORDER BY amount % 3) AS l, \
         string_agg(CAST(amount AS VARCHAR), '+') AS m, median(amount) AS n, \
         approx_percentile_cont(amount, 0.9) AS o, percentile_cont(0.25) WITHIN GROUP (ORDER BY amount DESC) AS p, \
         count(DISTINCT amount % 11) AS q, sum(DISTINCT amount) AS r, avg(DISTINCT amount % 13) AS s, \
         array_agg(DISTINCT amount % 9 ORDER BY amount % 9 DESC) AS t, string_agg(DISTINCT CAST(amount % 4 AS VARCHAR), ' ') AS u, \
         approx_distinct(amount) AS v, corr(amount, amount % 17) AS w, covar_samp(key, amount) AS x, regr_slope(amount, key) AS y, \
         bit_xor(amount) AS z, sum(amount) FILTER (WHERE 0 < amount) AS aa, count(DISTINCT amount) FILTER (WHERE amount < 0) AS ab, \
         array_agg(amount) FILTER (WHERE amount % 2 = 0) AS ac, max(1000 / (amount % 61 + 60)) AS ad {groups}"
    )
}

/// A cell; floating-point sums may differ in their last digits.
fn text(column: &ArrayRef, row: usize) -> String {
    if column.data_type().is_floating() && !column.is_null(row) {
        let column = cast(column, &DataType::Float64).unwrap();
        return format!("{:.10e}", column.as_primitive::<Float64Type>().value(row));
    }
    array_value_to_string(column, row).unwrap()
}

fn sorted_rows(batches: &[RecordBatch], columns: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<&ArrayRef> = match columns {
            [] => batch.columns().iter().collect(),
            names => names.iter().map(|name| batch.column_by_name(name).unwrap()).collect(),
        };
        let line = |row| columns.iter().map(|column| text(column, row)).collect::<Vec<_>>().join(" | ");
        rows.extend((0..batch.num_rows()).map(line));
    }
    rows.sort();
    rows
}

/// A topic that is all there before the first process, with late rows, poison and tombstones.
fn world(seed: u64) -> World {
    let mut random = Random::new(77);
    let mut partition = |_| {
        let mut entry = |i: i64| {
            let behind_ms = if random.chance(8) { random.below(20_000) } else { random.below(2_500) };
            let at = Some(BEGIN_MS + i * 150 - behind_ms);
            let value = match random.below(60) {
                0 => Value::Tombstone,
                1 => Value::Poison,
                2 => Value::Gap,
                _ => Value::Row { at, key: random.below(4), amount: random.below(2_000) - 1_000 },
            };
            Entry { arrives_ms: 0, schema: 0, value }
        };
        PartitionLog { created_ms: 0, entries: (0..300).map(&mut entry).collect() }
    };
    let partitions = (0..4).map(&mut partition).collect();
    let mut random = Random::new(seed);
    World {
        partitions,
        weather: Weather::default(),
        // No partition is ever idle: what is late depends on the records alone.
        watermark: WatermarkOptions {
            delay_ms: 3_000,
            idle_timeout_ms: 3_600_000_000,
            max_ahead_ms: 3_600_000_000,
            max_drift_ms: 3_600_000_000,
        },
        records_per_poll: random.pick(&[3, 20, 200]),
        clock: Arc::new(SimClock::default()),
        random: Mutex::new(random.fork()),
        is_mended: AtomicBool::new(false),
    }
}

fn case(appends: bool, parallelism: usize, epoch_ms: u64, seed: u64) -> Case {
    let mut random = Random::new(seed);
    let mut ends: Vec<End> = (0..seed % 5)
        .map(|_| match random.below(3) {
            0 => End::Killed(random.below(20 * epoch_ms as i64)),
            1 => End::KilledAt(random.pick(&Point::PIPELINE), random.between(1, 6) as u64, 1_000_000),
            _ => End::Stopped(random.below(20 * epoch_ms as i64)),
        })
        .collect();
    ends.push(End::AllRead);
    let life = |end| Life { parallelism, epoch_ms, bounded: true, end };
    Case {
        seed,
        query: Query {
            windows: (!appends).then_some(Windows { size_ms: 10_000, slide_ms: 10_000, offset_ms: 0 }),
            by_key: true,
            by_name: false,
            above: None,
            divides: false,
            fewer_than: None,
        },
        world: Arc::new(world(seed)),
        systems: Vec::new(),
        lateness_ms: 0,
        provisional: true,
        lives: ends.into_iter().map(life).collect(),
        slowness: [1_000 * epoch_ms as i64 / 10; 3],
        epoch_bytes_max: random.pick(&[2_000, 32 << 20]),
    }
}

/// Result rows and dead letters.
type Output = (Vec<String>, Vec<String>);

fn output(sql: &str, parallelism: usize, epoch_ms: u64, seed: u64) -> Output {
    let case = case(sql.starts_with("SELECT at"), parallelism, epoch_ms, seed);
    let mut simulation = Simulation::with_sql(case, sql);
    for life in simulation.case.lives.clone() {
        simulation.live(&life, &Reached::default());
    }
    let last = simulation.last.expect("the last life ends by itself");
    let read = |scan: crate::result::Scan| scan.map(|batch| batch.expect("it reads")).collect::<Vec<_>>();
    let letters = read(last.dead_letters(None).expect("dead letters"));
    let columns = ["topic", "partition", "offset", "reason", "detail", "key", "payload"];
    (sorted_rows(&read(last.scan(None, None).expect("a table")), &[]), sorted_rows(&letters, &columns))
}

fn check(sql: &str) {
    let (rows, letters) = output(sql, 1, 50, 0);
    assert!(20 < rows.len() && 20 < letters.len(), "{} rows, {} dead letters", rows.len(), letters.len());
    for parallelism in PARALLELISM {
        for epoch_ms in EPOCHS_MS {
            for run in 0..RUNS {
                let (other_rows, other_letters) = output(sql, parallelism, epoch_ms, run);
                let what = format!("run {run} with parallelism {parallelism} and epochs of {epoch_ms} ms");
                for (row, other) in rows.iter().zip(&other_rows) {
                    assert_eq!(row, other, "{what}");
                }
                assert_eq!(rows.len(), other_rows.len(), "{what}");
                assert_eq!(letters, other_letters, "{what}");
            }
        }
    }
}

#[test]
fn tumbling_windows_are_identical_in_every_run() {
    check(&every_aggregate(TUMBLE));
}

#[test]
fn hopping_windows_are_identical_in_every_run() {
    check(&every_aggregate(HOP));
}

#[test]
fn appended_rows_are_identical_in_every_run() {
    check("SELECT at, key, 1000 / (amount % 61 + 60) AS share FROM log WHERE amount % 3 < 2");
}
