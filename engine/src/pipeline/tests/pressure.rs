//! Back-pressure: what a sink that is away does to those in front of it, and who is seen to wait for whom.

use super::sinks::{MemorySink, until};
use super::*;
use crate::connector::Emit;
use crate::dataflow::live::OperatorLive;
use crate::time::ManualClock;

/// A pipeline over two partitions, on a clock that the test moves.
struct Run {
    log: Log,
    clock: Arc<ManualClock>,
    handle: PipelineHandle,
    /// Per partition.
    n_records: i64,
}

impl Run {
    fn start(dir: &Path, sinks: Vec<PipelineSink>) -> Self {
        let (log, clock) = (Log::new(vec![vec![]; 2], 50), Arc::new(ManualClock::new(1_800_000_000_000)));
        let (of_run, observer) = (Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Recorder::default()));
        let options = PipelineOptions { epoch_ms: 10, ..options(2, false) };
        let handle = try_run_into(&log, SUM_BY_KEY, dir, options, of_run, observer, sinks).unwrap();
        Self { log, clock, handle, n_records: 0 }
    }

    /// More records for both partitions, in the order of their times.
    fn append(&mut self, n: i64) {
        let records: Vec<Record> =
            (self.n_records..self.n_records + n).map(|i| (i * 100, i % 7, i)).collect();
        (0..2).for_each(|partition| self.log.append(partition, &records));
        self.n_records += n;
    }

    fn all_is_committed(&self) -> bool {
        self.handle.snapshot().facts().counters.rows_in == self.log.n_records()
    }

    /// While time passes.
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        until(what, || {
            self.clock.advance(10);
            is_so(self)
        });
    }

    fn operators(&self, kind: &str) -> Vec<OperatorLive> {
        self.handle.live().operators.into_iter().filter(|operator| operator.kind == kind).collect()
    }
}

fn is_idle(operator: &OperatorLive) -> bool {
    operator.busy_ratio < 0.1 && operator.blocked_ratio < 0.1
}

#[test]
fn windows_do_not_grow_while_the_outbox_of_a_sink_that_is_away_is_full() {
    const OUTBOX_BYTES_MAX: u64 = 20_000;
    for emit in [Emit::Updates, Emit::Final] {
        let dir = tempfile::tempdir().unwrap();
        let sink = MemorySink::new("s", emit);
        sink.down(true);
        let mut run = Run::start(dir.path(), sink.at_most(OUTBOX_BYTES_MAX));
        run.until("the outbox is full", |run| {
            if run.all_is_committed() {
                run.append(50);
            }
            run.handle.live().trouble.is_some_and(|trouble| {
                trouble == "the outbox of sink \"s\" is full: nothing is read until it has room"
            })
        });
        // A block of each partition may be on its way.
        let taken = run.handle.live().records_total + 100;
        run.append(100_000);
        run.until("sources are blocked, nobody works", |run| {
            let sources = run.operators("source");
            let are_blocked = sources.iter().all(|one| 0.9 < one.blocked_ratio && one.busy_ratio < 0.1);
            let sink = &run.operators("sink")[0];
            are_blocked
                && run.operators("window").iter().all(is_idle)
                && 0.9 < sink.blocked_ratio
                && sink.busy_ratio < 0.1
        });
        let live = run.handle.live();
        assert!(live.records_total <= taken, "{} of {taken}", live.records_total);
        let bytes = live.sinks[0].outbox_bytes;
        assert!((OUTBOX_BYTES_MAX..3 * OUTBOX_BYTES_MAX).contains(&bytes), "{bytes} bytes");
        sink.down(false);
        run.until("the sink has caught up", |run| {
            run.all_is_committed() && run.handle.live().sinks[0].outbox_rows == 0
        });
        assert_eq!(run.handle.live().trouble, None);
        let mut expected = rows(&run.handle.snapshot());
        expected.retain(|_, row| emit == Emit::Updates || row.2);
        assert_eq!(sink.table(), expected);
        let partitions = run.log.partitions.lock().unwrap().clone();
        let mut expected = recompute(&partitions).0;
        let closed_ms = run.handle.snapshot().facts().closed_ms.unwrap();
        expected.iter_mut().for_each(|((start, _), row)| row.2 = start + 10_000 <= closed_ms);
        assert_eq!(rows(&run.handle.snapshot()), expected);
    }
}

#[test]
fn sources_that_decode_slowly_are_busy_and_nobody_is_blocked() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = Run::start(dir.path(), Vec::new());
    run.log.faults.decodes_slowly.store(true, Ordering::SeqCst);
    run.append(1_000_000);
    run.until("sources are busy", |run| {
        let sources = run.operators("source");
        let are_busy = sources.iter().all(|one| 0.9 < one.busy_ratio && one.blocked_ratio < 0.1);
        are_busy && run.operators("window").iter().all(is_idle)
    });
}

#[test]
fn a_sink_that_delivers_slowly_is_busy() {
    let dir = tempfile::tempdir().unwrap();
    let sink = MemorySink::new("s", Emit::Updates);
    let mut run = Run::start(dir.path(), sink.at_most(1 << 30));
    run.append(10);
    run.until("it has rows", |run| 0 < run.operators("sink")[0].rows_in);
    assert_eq!(run.operators("sink")[0].operator, "s");
    sink.hang(true);
    run.append(10);
    run.until("it is busy", |run| {
        let sink = &run.operators("sink")[0];
        0.9 < sink.busy_ratio && sink.blocked_ratio < 0.1 && run.operators("source").iter().all(is_idle)
    });
    sink.hang(false);
    run.until("it is idle again", |run| is_idle(&run.operators("sink")[0]));
}

#[test]
fn an_epoch_is_in_a_bounded_number_of_windows_however_far_apart_its_rows_are() {
    let hop = |slide: i64, size: i64| {
        SUM_BY_KEY.replace(
            "TUMBLE(TABLE log, DESCRIPTOR(at), INTERVAL '10' SECOND)",
            &format!("HOP(TABLE log, DESCRIPTOR(at), INTERVAL '{slide}' SECOND, INTERVAL '{size}' SECOND)"),
        )
    };
    // Each row is in windows of its own: one, or a hundred.
    for (sql, n_records, n_windows) in [(hop(10, 10), 40_000, 1), (hop(1, 100), 400, 100)] {
        let records: Vec<Record> = (0..n_records).map(|i| (i * 200_000, i % 7, i)).collect();
        let log = Log::new(vec![records], 100);
        let dir = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::default());
        let clock = Arc::new(ManualClock::new(1_800_000_000_000));
        let observer = Arc::clone(&recorder) as Arc<dyn Observer>;
        let of_run = Arc::clone(&clock) as Arc<dyn Clock>;
        let options = PipelineOptions { retention_ms: 0, ..options(1, true) };
        let handle = try_run(&log, &sql, dir.path(), options, of_run, observer).unwrap();
        // Until then no epoch ends by its interval.
        until("all is taken", || handle.live().records_total == log.n_records());
        until("it has ended", || {
            clock.advance(1);
            handle.state().0 == State::Stopped
        });
        assert_eq!(handle.state(), (State::Stopped, None));
        let epochs = recorder.0.lock().unwrap();
        let n_rows = |epoch: &Arc<Committed>| epoch.finals.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(epochs.iter().map(n_rows).sum::<usize>() as i64, n_records * n_windows);
        let most = epochs.iter().map(n_rows).max().unwrap();
        assert!((10_000..40_000).contains(&most), "{most} windows in an epoch");
    }
}
