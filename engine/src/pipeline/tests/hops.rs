//! Overlapping windows: the same answers as a recomputation window by window, with rows that are late
//! for some of their windows, whatever the parallelism, the batches and the restarts.

use super::*;
use crate::result::dead_letter_schema;
use crate::time::window::Windows;

/// Size, slide and offset, in seconds.
type Shape = (i64, i64, i64);

fn shapes() -> impl Strategy<Value = Shape> {
    let tumble_or_hop = (1i64..14, 1i64..13, -20i64..20);
    tumble_or_hop.prop_map(|(slide, n, offset)| (slide * n, slide, offset))
}

fn windows_of((size, slide, offset): Shape) -> Windows {
    Windows { size_ms: size * 1_000, slide_ms: slide * 1_000, offset_ms: offset * 1_000 }
}

fn call((size, slide, offset): Shape) -> String {
    let second = |n: i64| format!("INTERVAL '{n}' SECOND");
    let table = "TABLE log, DESCRIPTOR(at)";
    if size == slide {
        format!("TUMBLE({table}, {}, {})", second(size), second(offset))
    } else {
        format!("HOP({table}, {}, {}, {})", second(slide), second(size), second(offset))
    }
}

fn sum_by_key(shape: Shape) -> String {
    format!(
        "SELECT window_start, window_end, key, count(*) AS n, sum(amount) AS total FROM {} \
         GROUP BY window_start, window_end, key",
        call(shape)
    )
}

/// When the first window starts that a late row missed, and when the last one ends; of each late row, ascending.
type Missed = Vec<(i64, i64)>;

/// Every row once for each window that counts it, and what rows missed that are late for one or more.
fn counted(partitions: &[Vec<Record>], windows: &Windows) -> (Vec<(i64, Record)>, Missed) {
    let (mut counted, mut missed) = (Vec::new(), Vec::new());
    for records in partitions {
        let mut watermark = i64::MIN;
        for record in records {
            watermark = watermark.max(record.0 - DELAY_MS);
            let last = record.0 - (record.0 - windows.offset_ms).rem_euclid(windows.slide_ms);
            let starts = (0..windows.size_ms / windows.slide_ms).map(|i| last - i * windows.slide_ms);
            let is_open = |start: &i64| watermark < start + windows.size_ms;
            let (open, closed): (Vec<i64>, Vec<i64>) = starts.partition(is_open);
            let bounds = closed.last().zip(closed.first());
            missed.extend(bounds.map(|(first, last)| (*first, last + windows.size_ms)));
            counted.extend(open.into_iter().map(|start| (start, *record)));
        }
    }
    missed.sort_unstable();
    (counted, missed)
}

fn recompute(partitions: &[Vec<Record>], windows: &Windows) -> (Rows, Missed) {
    let (counted, missed) = counted(partitions, windows);
    let mut rows = Rows::new();
    for (start, (_, key, amount)) in counted {
        let row = rows.entry((start, key)).or_insert((0, 0, true));
        (row.0, row.1) = (row.0 + 1, row.1 + amount);
    }
    (rows, missed)
}

fn missed(snapshot: &Snapshot) -> Missed {
    let columns = ["window_start", "window_end"].map(|name| dead_letter_schema().index_of(name).unwrap());
    let batches = snapshot.dead_letters(Some(&columns)).unwrap().map(Result::unwrap);
    let mut missed: Missed = batches
        .flat_map(|rows| {
            let times =
                |i: usize| rows.column(i).as_primitive::<TimestampMillisecondType>().values().to_vec();
            times(0).into_iter().zip(times(1))
        })
        .collect();
    missed.sort_unstable();
    missed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn overlapping_windows_equal_a_recomputation(
        partitions in logs(),
        records_per_poll in 1usize..64,
        parallelism in prop::sample::select(vec![1usize, 2, 4]),
        shape in shapes(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.clone(), records_per_poll);
        let (expected, late) = recompute(&partitions, &windows_of(shape));
        prop_assert_eq!(run_to_end(&log, &sum_by_key(shape), dir.path(), parallelism), expected);
        let snapshot = open_stopped(dir.path()).unwrap().snapshot;
        let (counters, n_late) = (snapshot.facts().counters, late.len() as u64);
        prop_assert_eq!((counters.late_rows, counters.dead_letters), (n_late, n_late));
        prop_assert_eq!(missed(&snapshot), late);
    }

    #[test]
    fn stops_change_nothing_and_only_the_next_window_is_provisional(
        partitions in logs(),
        shape in shapes(),
        cuts in prop::collection::vec((0usize..200, 1usize..4, any::<bool>()), 1..4),
    ) {
        let windows = windows_of(shape);
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.iter().map(|_| Vec::new()).collect(), 16);
        for (cut, parallelism, provisional) in cuts {
            for (part, whole) in log.partitions.lock().unwrap().iter_mut().zip(&partitions) {
                let cut = cut.min(whole.len()).max(part.len());
                part.extend_from_slice(&whole[part.len()..cut]);
            }
            let so_far = log.partitions.lock().unwrap().clone();
            let options = PipelineOptions { provisional, ..options(parallelism, false) };
            let (clock, recorder) = (Arc::new(LookedAtClock::default()), Arc::new(Recorder::default()));
            let observer = Arc::clone(&recorder) as Arc<dyn Observer>;
            let handle = try_run(&log, &sum_by_key(shape), dir.path(), options, clock, observer).unwrap();
            while handle.snapshot().facts().counters.rows_in < log.n_records() {
                std::thread::park_timeout(Duration::from_millis(1));
                prop_assert_ne!(handle.state().0, State::Failed, "{:?}", handle.state().1);
            }
            handle.stop();
            handle.join();
            let (seen, closed) = (rows(&handle.snapshot()), handle.snapshot().facts().closed_ms);
            drop(handle);
            // Without an epoch what is kept is what the last run showed.
            let n_epochs = std::mem::take(&mut *recorder.0.lock().unwrap()).len();
            if 0 < n_epochs {
                prop_assert_eq!(&rows(&open_stopped(dir.path()).unwrap().snapshot), &seen);
            }

            let shown = |start: i64| {
                let is_open = closed.is_none_or(|closed| closed < start + windows.size_ms);
                let is_next = closed.is_some_and(|closed| windows.first_after(closed) == start);
                !is_open || provisional && (is_next || windows.size_ms == windows.slide_ms)
            };
            let mut expected = recompute(&so_far, &windows).0;
            expected.retain(|(start, _), _| shown(*start));
            for ((start, _), row) in &mut expected {
                row.2 = closed.is_some_and(|closed| start + windows.size_ms <= closed);
            }
            prop_assert_eq!(seen, expected);
        }
        *log.partitions.lock().unwrap() = partitions.clone();
        let expected = recompute(&partitions, &windows).0;
        prop_assert_eq!(run_to_end(&log, &sum_by_key(shape), dir.path(), 2), expected);
    }

    #[test]
    fn rows_that_see_their_window_are_rows_of_each(
        partitions in logs(),
        shape in shapes(),
        parallelism in 1usize..3,
    ) {
        let windows = windows_of(shape);
        let until = 60_000;
        let (mut counted, _) = counted(&partitions, &windows);
        counted.retain(|(start, _)| *start < until);

        let log = Log::new(partitions.clone(), 50);
        let early = "WHERE window_start < TIMESTAMP '1970-01-01T00:01:00Z'";
        let dir = tempfile::tempdir().unwrap();
        let grouped = sum_by_key(shape).replace(" GROUP BY", &format!(" {early} GROUP BY"));
        let mut expected = recompute(&partitions, &windows).0;
        expected.retain(|(start, _), _| *start < until);
        prop_assert_eq!(run_to_end(&log, &grouped, dir.path(), parallelism), expected);

        let dir = tempfile::tempdir().unwrap();
        let sql = format!("SELECT window_start, at, key, amount FROM {} {early}", call(shape));
        let (handle, _) = run(&log, &sql, dir.path(), parallelism, true);
        handle.join();
        let mut appended = Vec::new();
        for batch in handle.snapshot().scan(None, None).unwrap() {
            let batch = batch.unwrap();
            let time = |i: usize| batch.column(i).as_primitive::<TimestampMillisecondType>();
            let column = |i: usize| batch.column(i).as_primitive::<Int64Type>();
            let row = |i| (time(0).value(i), (time(1).value(i), column(2).value(i), column(3).value(i)));
            appended.extend((0..batch.num_rows()).map(row));
        }
        appended.sort_unstable();
        counted.sort_unstable();
        prop_assert_eq!(appended, counted);
    }
}
