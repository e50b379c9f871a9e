//! First, last and collected values: ordered by ORDER BY, then by event time, partition and offset, in
//! every run the same, with stops in the middle of windows and another parallelism behind each.

use super::*;
use arrow::util::display::array_value_to_string;

const SQL: &str = "SELECT window_start, key, first_value(amount) AS first, last_value(amount) AS last, \
     last_value(at ORDER BY amount DESC) AS least, array_agg(amount ORDER BY amount % 3 DESC) AS all, \
     string_agg(CAST(amount AS VARCHAR), '+') AS text, median(amount) AS middle \
     FROM HOP(TABLE log, DESCRIPTOR(at), INTERVAL '5' SECOND, INTERVAL '10' SECOND) \
     GROUP BY window_start, key";
const SLIDE_MS: i64 = 5_000;
const SIZE_MS: i64 = 10_000;

/// The final rows as text, by window and key.
fn final_rows(snapshot: &Snapshot) -> BTreeMap<(i64, i64), Vec<String>> {
    let mut rows = BTreeMap::new();
    for batch in snapshot.scan(None, None).unwrap() {
        let batch = batch.unwrap();
        let n = batch.num_columns();
        let starts = batch.column(0).as_primitive::<TimestampMillisecondType>();
        let keys = batch.column(1).as_primitive::<Int64Type>();
        for row in (0..batch.num_rows()).filter(|row| batch.column(n - 1).as_boolean().value(*row)) {
            let cells = batch.columns()[2..n - 1].iter();
            let cells = cells.map(|column| array_value_to_string(column, row).unwrap()).collect();
            assert!(rows.insert((starts.value(row), keys.value(row)), cells).is_none(), "a row per key");
        }
    }
    rows
}

fn recompute(partitions: &[Vec<Record>]) -> BTreeMap<(i64, i64), Vec<String>> {
    // Event time, partition and offset, amount.
    type Arrived = (i64, usize, usize, i64);
    let mut groups: BTreeMap<(i64, i64), Vec<Arrived>> = BTreeMap::new();
    for (partition, records) in partitions.iter().enumerate() {
        let mut watermark = i64::MIN;
        for (offset, (at, key, amount)) in records.iter().enumerate() {
            watermark = watermark.max(at - DELAY_MS);
            let last = at - at.rem_euclid(SLIDE_MS);
            for start in [last - SLIDE_MS, last] {
                if watermark < start + SIZE_MS {
                    groups.entry((start, *key)).or_default().push((*at, partition, offset, *amount));
                }
            }
        }
    }
    let row = |rows: &mut Vec<Arrived>| {
        rows.sort();
        let amounts: Vec<i64> = rows.iter().map(|row| row.3).collect();
        let least = rows.iter().min_by_key(|row| (row.3, std::cmp::Reverse((row.0, row.1, row.2)))).unwrap();
        let mut all = amounts.clone();
        all.sort_by_key(|amount| std::cmp::Reverse(amount % 3));
        let mut sorted = amounts.clone();
        sorted.sort_unstable();
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let texts: Vec<String> = amounts.iter().map(ToString::to_string).collect();
        vec![
            amounts[0].to_string(),
            amounts[amounts.len() - 1].to_string(),
            array_value_to_string(&TimestampMillisecondArray::from(vec![least.0]).with_timezone("UTC"), 0)
                .unwrap(),
            format!("[{}]", all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
            texts.join("+"),
            format!("{:?}", (low + high) as f64 / 2.0),
        ]
    };
    groups.into_iter().map(|(key, mut rows)| (key, row(&mut rows))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn order_is_that_of_the_rows_in_every_run(
        partitions in logs(),
        records_per_poll in 1usize..64,
        cuts in prop::collection::vec((0usize..200, 1usize..4), 0..3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.iter().map(|_| Vec::new()).collect(), records_per_poll);
        let last = (usize::MAX, 1 + cuts.len());
        for (cut, parallelism) in cuts.into_iter().chain([last]) {
            for (part, whole) in log.partitions.lock().unwrap().iter_mut().zip(&partitions) {
                let cut = cut.min(whole.len()).max(part.len());
                part.extend_from_slice(&whole[part.len()..cut]);
            }
            let options = options(parallelism, cut == usize::MAX);
            let (clock, observer) = (Arc::new(LookedAtClock::default()), Arc::new(Recorder::default()));
            let handle = try_run(&log, SQL, dir.path(), options, clock, observer).unwrap();
            while cut != usize::MAX && handle.snapshot().facts().counters.rows_in < log.n_records() {
                std::thread::park_timeout(Duration::from_millis(1));
                prop_assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
            }
            if cut != usize::MAX {
                handle.stop();
            }
            handle.join();
            prop_assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
        }
        prop_assert_eq!(final_rows(&open_stopped(dir.path()).unwrap().snapshot), recompute(&partitions));
    }
}
