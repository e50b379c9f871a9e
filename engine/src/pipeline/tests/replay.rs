//! Dead letters that are run again: counted as if they had been readable, in the windows that are open, and once.

use super::*;
use crate::pipeline::ReplayError;
use crate::pipeline::simulation::replay::{self, Letter};
use crate::result::LetterId;

/// By epoch, partition and offset.
fn letters(snapshot: &Snapshot) -> Vec<Letter> {
    let mut letters = replay::letters(snapshot);
    letters.sort();
    letters
}

fn ids(snapshot: &Snapshot) -> Vec<LetterId> {
    letters(snapshot).into_iter().map(|(id, ..)| id).collect()
}

fn await_read(handle: &PipelineHandle, log: &Log) {
    let n_read = |handle: &PipelineHandle| -> u64 {
        handle.snapshot().facts().partitions.iter().map(|fact| fact.next_offset.max(0) as u64).sum()
    };
    sinks::until("all is read", || n_read(handle) == log.n_records());
}

/// Whether a record of key 3 counts that was run again when windows were closed up to there.
fn is_open(record: &Record, closed_ms: Option<i64>) -> bool {
    closed_ms.is_none_or(|closed_ms| closed_ms < record.0 - record.0.rem_euclid(10_000) + 10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_record_that_is_run_again_counts_once_in_its_window_if_that_is_open(
        partitions in logs(),
        records_per_poll in 1usize..64,
        parallelism in 1usize..4,
        at_a_time in 1usize..40,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.clone(), records_per_poll);
        log.faults.unreadable.store(true, Ordering::SeqCst);
        let (handle, _) = run(&log, SUM_BY_KEY, dir.path(), parallelism, false);
        await_read(&handle, &log);
        let before = handle.snapshot();
        let broken: usize = partitions.iter().flatten().filter(|record| record.1 == 3).count();
        let late_before = before.facts().counters.late_rows;
        prop_assert_eq!(letters(&before).len(), broken + late_before as usize);
        // Nothing is mended: they stay, and can be tried again.
        if broken != 0 {
            let tried = handle.replay(&ids(&before)).unwrap();
            prop_assert_eq!((tried.taken, tried.again), (broken as u64, broken as u64));
            let replays: i64 = letters(&handle.snapshot()).iter().map(|(.., replays)| replays).sum();
            prop_assert_eq!(replays, broken as i64);
            prop_assert_eq!(handle.replay(&ids(&before)).unwrap().taken, 0, "these ids name nothing any more");
        }
        log.faults.unreadable.store(false, Ordering::SeqCst);
        for ids in ids(&handle.snapshot()).chunks(at_a_time) {
            handle.replay(ids).unwrap();
            prop_assert_eq!(handle.replay(ids).unwrap().taken, 0, "nothing is run again twice");
        }
        let after = handle.snapshot();
        prop_assert_eq!(after.watermark_ms(), before.watermark_ms(), "they move no watermark");

        let (readable, unreadable): (Vec<Vec<Record>>, Vec<Vec<Record>>) =
            partitions.iter().map(|records| records.iter().partition(|record| record.1 != 3)).unzip();
        let (mut expected, n_late) = recompute(&readable);
        let closed_ms = before.facts().closed_ms;
        let mut n_open = 0;
        for record in unreadable.iter().flatten().filter(|record| is_open(record, closed_ms)) {
            let start = record.0 - record.0.rem_euclid(10_000);
            let row = expected.entry((start, record.1)).or_insert((0, 0, true));
            (row.0, row.1, n_open) = (row.0 + 1, row.1 + record.2, n_open + 1);
        }
        let counters = after.facts().counters;
        prop_assert_eq!(counters.dead_letters_replayed, n_open);
        prop_assert_eq!(counters.late_rows, n_late + broken as u64 - n_open);
        prop_assert_eq!(counters.rows_in, log.n_records());
        prop_assert_eq!(counters.dead_letters, n_late + broken as u64);
        let left = letters(&after);
        prop_assert!(left.iter().all(|(_, reason, _)| reason == "late_row"));
        prop_assert_eq!(left.len() as u64, counters.late_rows);
        drop((before, after, handle));
        prop_assert_eq!(run_to_end(&log, SUM_BY_KEY, dir.path(), parallelism), expected);
    }
}

#[test]
fn a_registry_that_is_away_leaves_letters_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![(0..10).map(|i| (1_000, 3, i)).collect()], 10);
    log.faults.unreadable.store(true, Ordering::SeqCst);
    let (handle, _) = run(&log, SUM_BY_KEY, dir.path(), 2, false);
    await_read(&handle, &log);
    log.faults.unreadable.store(false, Ordering::SeqCst);
    log.faults.registry_away.store(true, Ordering::SeqCst);
    let replayed = handle.replay(&ids(&handle.snapshot())).unwrap();
    assert_eq!((replayed.taken, replayed.again), (1, 0));
    assert_eq!(replayed.stopped.as_deref(), Some("the registry is away"));
    assert_eq!(letters(&handle.snapshot()).len(), 9);
    log.faults.registry_away.store(false, Ordering::SeqCst);
    assert_eq!(handle.replay(&ids(&handle.snapshot())).unwrap().taken, 9);
    assert_eq!(rows(&handle.snapshot()), Rows::from([((0, 3), (10, 45, false))]));
}

#[test]
fn a_row_late_for_some_of_its_windows_counts_in_the_others_and_is_not_run_again() {
    let sql = "SELECT window_start, window_end, key, count(*) AS n, sum(amount) AS total
        FROM HOP(TABLE log, DESCRIPTOR(at), INTERVAL '5' SECOND, INTERVAL '10' SECOND)
        GROUP BY window_start, window_end, key";
    let dir = tempfile::tempdir().unwrap();
    // The watermark is 10 s: of the windows of 6 s, that from 0 is closed, that from 5 s is open.
    let log = Log::new(vec![vec![(6_000, 3, 1), (13_000, 1, 1)]], 10);
    log.faults.unreadable.store(true, Ordering::SeqCst);
    let (handle, _) = run(&log, sql, dir.path(), 2, false);
    sinks::until("windows are closed", || handle.snapshot().facts().closed_ms == Some(10_000));
    log.faults.unreadable.store(false, Ordering::SeqCst);
    let replayed = handle.replay(&ids(&handle.snapshot())).unwrap();
    assert_eq!((replayed.taken, replayed.again), (1, 1), "it is late for one window");
    let left = letters(&handle.snapshot());
    assert_eq!((left[0].1.as_str(), left[0].2), ("late_row", 1));
    assert_eq!(handle.replay(&ids(&handle.snapshot())).unwrap().taken, 0, "it has counted");
    drop(handle);
    let of_key_3: Vec<_> =
        run_to_end(&log, sql, dir.path(), 1).into_iter().filter(|(key, _)| key.1 == 3).collect();
    assert_eq!(of_key_3, [((5_000, 3), (1, 1, true))]);
}

#[test]
fn a_pipeline_that_does_not_run_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1_000, 3, 1)]], 10);
    log.faults.unreadable.store(true, Ordering::SeqCst);
    let (handle, _) = run(&log, SUM_BY_KEY, dir.path(), 1, true);
    handle.join();
    let refused = handle.replay(&ids(&handle.snapshot()));
    assert!(matches!(refused, Err(ReplayError::NotRunning(State::Stopped))), "{refused:?}");
}
