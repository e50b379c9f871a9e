//! Sinks that fail, hang, lose their answers and are stopped at any moment: what they were given is
//! what became final, once.

use std::collections::VecDeque;

use super::*;
use crate::connector::{
    Change, Delivery, Emit, Position, Progress, Sink, SinkContext, SinkError, SinkWriter,
};
use crate::pipeline::simulation::replay;
use crate::pipeline::{SinkState, inspect};
use crate::state::{Identity, Store};
use crate::time::Epoch;

const APPEND: &str = "SELECT at, key, amount FROM log";

/// What a try to deliver comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Nothing was applied, and the writer says so.
    Refused,
    /// Nothing was applied, and nobody knows.
    Broken,
    /// It was applied, and nobody knows.
    AnswerLost,
    OpenRefused,
}

/// A system outside, which outlives pipelines.
#[derive(Default)]
struct System {
    /// Of the last writer that was opened: earlier ones are fenced.
    writer: u64,
    progress: Option<Progress>,
    deliveries: Vec<Vec<Change>>,
    faults: VecDeque<Fault>,
    /// Everything fails while it is set.
    is_down: bool,
    /// Every delivery waits, whatever happens meanwhile.
    hangs: bool,
    n_opened: u64,
}

#[derive(Clone)]
pub(super) struct MemorySink {
    name: &'static str,
    emit: Emit,
    only_counts: bool,
    system: Arc<Mutex<System>>,
}

impl MemorySink {
    pub(super) fn new(name: &'static str, emit: Emit) -> Self {
        Self { name, emit, only_counts: false, system: Arc::default() }
    }

    fn with_faults(self, faults: &[Fault]) -> Self {
        self.system.lock().unwrap().faults.extend(faults);
        self
    }

    pub(super) fn at_most(&self, outbox_bytes_max: u64) -> Vec<PipelineSink> {
        vec![PipelineSink { sink: Arc::new(self.clone()), outbox_bytes_max }]
    }

    fn all(&self) -> Vec<PipelineSink> {
        self.at_most(1 << 30)
    }

    pub(super) fn down(&self, is_down: bool) {
        self.system.lock().unwrap().is_down = is_down;
    }

    pub(super) fn hang(&self, hangs: bool) {
        self.system.lock().unwrap().hangs = hangs;
    }

    fn changes(&self) -> Vec<Change> {
        self.system.lock().unwrap().deliveries.concat()
    }

    /// Rows of a pipeline that appends, sorted.
    fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for change in self.changes() {
            let Change::Upserts(batch) = change else { panic!("nothing is deleted") };
            let at = batch.column(0).as_primitive::<TimestampMillisecondType>();
            let column = |i: usize| batch.column(i).as_primitive::<Int64Type>();
            records
                .extend((0..batch.num_rows()).map(|i| (at.value(i), column(1).value(i), column(2).value(i))));
        }
        records.sort_unstable();
        records
    }

    /// Those of records, sorted.
    fn letters(&self) -> Vec<replay::Letter> {
        let changes = self.changes();
        let mut letters: Vec<_> =
            changes.iter().flat_map(|change| replay::letters_of(change.rows())).collect();
        letters.sort();
        letters
    }

    /// Rows by key, as somebody has them who applied every change in order.
    pub(super) fn table(&self) -> Rows {
        let mut table = Rows::new();
        for change in self.changes() {
            let batch = change.rows();
            let starts = batch.column(0).as_primitive::<TimestampMillisecondType>();
            let column = |i: usize| batch.column(i).as_primitive::<Int64Type>();
            for i in 0..batch.num_rows() {
                let key = (starts.value(i), column(2).value(i));
                if let Change::Deletes(_) = change {
                    table.remove(&key);
                    continue;
                }
                let is_final = self.emit == Emit::Final || batch.column(5).as_boolean().value(i);
                let before = table.insert(key, (column(3).value(i), column(4).value(i), is_final));
                assert!(before.is_none_or(|row| !row.2), "a final row never changes and comes once");
            }
        }
        table
    }
}

impl Sink for MemorySink {
    fn name(&self) -> &str {
        self.name
    }
    fn kind(&self) -> &'static str {
        "memory"
    }
    fn emit(&self) -> Emit {
        self.emit
    }
    fn only_counts(&self) -> bool {
        self.only_counts
    }
    fn open(&self, context: &SinkContext) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError> {
        assert!(0 < context.source_partitions);
        let mut system = self.system.lock().unwrap();
        if system.is_down {
            return Err(SinkError::Retry("it is down".into()));
        }
        if system.faults.front() == Some(&Fault::OpenRefused) {
            system.faults.pop_front();
            return Err(SinkError::Reopen("not now".into()));
        }
        system.writer += 1;
        system.n_opened += 1;
        let writer = MemoryWriter {
            number: system.writer,
            system: Arc::clone(&self.system),
            context: context.clone(),
        };
        Ok((Box::new(writer), system.progress))
    }
}

struct MemoryWriter {
    number: u64,
    system: Arc<Mutex<System>>,
    context: SinkContext,
}

impl SinkWriter for MemoryWriter {
    fn deliver(&mut self, upto: Position, rows: &Delivery) -> Result<(), SinkError> {
        assert!(0 < rows.n_rows() && rows.n_rows() <= 50_000);
        for change in &rows.changes {
            match change {
                Change::Upserts(rows) => assert_eq!(rows.schema(), self.context.schema),
                Change::Deletes(keys) => assert_eq!(keys.num_columns(), self.context.key.len()),
            }
        }
        while self.system.lock().unwrap().hangs {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        let mut system = self.system.lock().unwrap();
        if system.is_down {
            return Err(SinkError::Retry("it is down".into()));
        }
        if system.writer != self.number {
            return Err(SinkError::Reopen("fenced".into()));
        }
        let fault = system.faults.pop_front().unwrap_or(Fault::None);
        match fault {
            Fault::Refused | Fault::OpenRefused => return Err(SinkError::Retry("refused".into())),
            Fault::Broken => return Err(SinkError::Reopen("broken".into())),
            Fault::None | Fault::AnswerLost => {}
        }
        system.progress = Some(self.context.progress(upto));
        system.deliveries.push(rows.changes.clone());
        match fault {
            Fault::AnswerLost => Err(SinkError::Reopen("no answer".into())),
            _ => Ok(()),
        }
    }
    fn close(self: Box<Self>) {}
}

fn run_into(log: &Log, sql: &str, dir: &Path, bounded: bool, sinks: Vec<PipelineSink>) -> PipelineHandle {
    let (clock, observer) = (Arc::new(LookedAtClock::default()), Arc::new(Recorder::default()));
    let options = PipelineOptions { retention_ms: if bounded { i64::MAX } else { 0 }, ..options(2, bounded) };
    try_run_into(log, sql, dir, options, clock, observer, sinks).unwrap()
}

fn to_end(log: &Log, sql: &str, dir: &Path, sinks: Vec<PipelineSink>) {
    let handle = run_into(log, sql, dir, true, sinks);
    handle.join();
    assert_eq!(handle.state(), (State::Stopped, None));
}

pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("never happened: {what}");
}

fn many(n: i64) -> Vec<Record> {
    (0..n).map(|i| (i * 10, i % 7, i)).collect()
}

fn sorted(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_unstable();
    records
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop::sample::select(vec![
        Fault::None,
        Fault::Refused,
        Fault::Broken,
        Fault::AnswerLost,
        Fault::OpenRefused,
    ]);
    prop::collection::vec(fault, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn each_final_row_is_delivered_once_whatever_fails_and_whenever_it_stops(
        partitions in logs(),
        faults in faults(),
        stops_after in prop::collection::vec(0u64..30, 0..4),
        updates in any::<bool>(),
        having in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.clone(), 7);
        let emit = if updates { Emit::Updates } else { Emit::Final };
        let sink = MemorySink::new("s", emit).with_faults(&faults);
        let sql = format!("{SUM_BY_KEY}{}", if having { " HAVING sum(amount) < 500" } else { "" });
        for stop_after in stops_after {
            let handle = run_into(&log, &sql, dir.path(), true, sink.all());
            std::thread::park_timeout(Duration::from_millis(stop_after));
            drop(handle);
        }
        to_end(&log, &sql, dir.path(), sink.all());
        let (mut expected, _) = recompute(&partitions);
        expected.retain(|_, row| !having || row.1 < 500);
        prop_assert_eq!(sink.table(), expected);
    }

    #[test]
    fn each_appended_row_is_delivered_once(
        partitions in logs(),
        faults in faults(),
        stops_after in prop::collection::vec(0u64..30, 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions.clone(), 7);
        let sink = MemorySink::new("s", Emit::Final).with_faults(&faults);
        for stop_after in stops_after {
            let handle = run_into(&log, APPEND, dir.path(), true, sink.all());
            std::thread::park_timeout(Duration::from_millis(stop_after));
            drop(handle);
        }
        to_end(&log, APPEND, dir.path(), sink.all());
        prop_assert_eq!(sink.records(), sorted(partitions.concat()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn each_dead_letter_is_delivered_once_whatever_fails_and_whenever_it_stops(
        partitions in logs(),
        faults in faults(),
        stops_after in prop::collection::vec(0u64..30, 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(partitions, 7);
        log.faults.unreadable.store(true, Ordering::SeqCst);
        let sink = MemorySink::new("s", Emit::DeadLetters).with_faults(&faults);
        for stop_after in stops_after {
            let handle = run_into(&log, SUM_BY_KEY, dir.path(), true, sink.all());
            std::thread::park_timeout(Duration::from_millis(stop_after));
            drop(handle);
        }
        let handle = run_into(&log, SUM_BY_KEY, dir.path(), true, sink.all());
        handle.join();
        prop_assert_eq!(handle.state(), (State::Stopped, None));
        let mut kept = replay::letters(&handle.snapshot());
        kept.sort();
        prop_assert_eq!(sink.letters(), kept);
    }
}

#[test]
fn a_dead_letter_that_becomes_one_anew_is_delivered_anew() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1_000, 3, 0), (1_001, 1, 0)]], 50);
    log.faults.unreadable.store(true, Ordering::SeqCst);
    let sink = MemorySink::new("s", Emit::DeadLetters);
    let handle = run_into(&log, SUM_BY_KEY, dir.path(), false, sink.all());
    until("it is delivered", || sink.letters().len() == 1);
    let (first, ..) = sink.letters()[0].clone();
    assert_eq!(handle.replay(&[first]).unwrap().again, 1);
    until("it is delivered anew", || sink.letters().len() == 2);
    let (second, _, replays) = sink.letters()[1].clone();
    assert_eq!((second.partition, second.offset, replays), (first.partition, first.offset, 1));
    assert!(first.epoch < second.epoch);
    assert_eq!(handle.live().sinks[0].rows_total, 2);
}

#[test]
fn a_group_that_can_not_be_computed_has_no_row_until_it_can() {
    let sql = SUM_BY_KEY.replace("sum(amount)", "10 / (count(*) - 2)");
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![vec![(1_000, 1, 0), (1_000, 2, 0)]], 50);
    let sink = MemorySink::new("s", Emit::Updates);
    let (clock, observer) = (Arc::new(LookedAtClock::default()), Arc::new(Recorder::default()));
    let handle =
        try_run_into(&log, &sql, dir.path(), options(2, false), clock, observer, sink.all()).unwrap();
    let both_say = |expected: Rows| {
        until("table and sink say the same", || {
            rows(&handle.snapshot()) == expected && sink.table() == expected
        });
    };
    let dead_letters = || handle.snapshot().facts().counters.dead_letters;
    both_say(Rows::from([((0, 1), (1, -10, false)), ((0, 2), (1, -10, false))]));
    log.append(0, &[(1_001, 1, 0)]);
    both_say(Rows::from([((0, 2), (1, -10, false))]));
    assert!(sink.changes().iter().any(|change| matches!(change, Change::Deletes(_))));
    log.append(0, &[(1_002, 1, 0), (1_003, 2, 0)]);
    both_say(Rows::from([((0, 1), (3, 10, false))]));
    assert_eq!(dead_letters(), 0, "it is none before it is final");
    log.append(0, &[(60_000, 3, 0)]);
    both_say(Rows::from([((0, 1), (3, 10, true)), ((60_000, 3), (1, -10, false))]));
    assert_eq!(dead_letters(), 1);
}

#[test]
fn a_very_large_epoch_is_delivered_in_parts_and_goes_on_in_its_middle() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![many(120_000)], 120_000);
    let sink = MemorySink::new("s", Emit::Final);
    let sink = sink.with_faults(&[Fault::None, Fault::AnswerLost, Fault::Broken]);
    let handle = run_into(&log, APPEND, dir.path(), true, sink.all());
    handle.join();
    assert_eq!(sink.records(), many(120_000));
    assert_eq!(handle.live().sinks[0].outbox_bytes, 0);
}

#[test]
fn a_sink_that_is_down_stops_nothing_until_its_outbox_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![many(500)], 50);
    let sink = MemorySink::new("s", Emit::Final);
    sink.down(true);
    let handle = run_into(&log, APPEND, dir.path(), false, sink.at_most(60_000));
    let rows_in = || handle.snapshot().facts().counters.rows_in;
    until("all is read while there is room", || rows_in() == 500);
    until("tries are given up", || handle.live().sinks[0].state == SinkState::Down);
    assert_eq!(handle.live().sinks[0].outbox_rows, 500);
    assert_eq!(handle.live().sinks[0].error.as_deref(), Some("it is down"));
    until("the outbox is full", || {
        log.append(0, &many(200)[..100]);
        handle.live().trouble.is_some_and(|trouble| trouble.contains("outbox of sink \"s\" is full"))
    });
    let bytes = handle.live().sinks[0].outbox_bytes;
    assert!((60_000..400_000).contains(&bytes), "{bytes} bytes");
    // An epoch may still be under way, of records that were there before.
    let before = log.n_records();
    log.append(0, &many(100_000));
    std::thread::park_timeout(Duration::from_millis(100));
    assert!(rows_in() <= before, "no epoch is started");
    sink.down(false);
    until("the sink has caught up", || {
        rows_in() == log.n_records() && handle.live().sinks[0].outbox_rows == 0
    });
    let live = handle.live();
    assert_eq!((live.sinks[0].state, live.trouble), (SinkState::Running, None));
    assert_eq!(live.sinks[0].delivered_epoch, handle.snapshot().epoch());
    assert_eq!(sink.records().len() as u64, log.n_records());
}

#[test]
fn a_sink_that_hangs_keeps_no_pipeline_from_stopping_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![many(500)], 50);
    let sink = MemorySink::new("s", Emit::Final);
    sink.hang(true);
    let handle = run_into(&log, APPEND, dir.path(), false, sink.all());
    until("all is read", || handle.snapshot().facts().counters.rows_in == 500);
    let stopped = std::thread::spawn(move || drop(handle));
    until("it stops all the same", || stopped.is_finished());
    // The writer that hangs is fenced by then: what it does later is refused.
    let next = run_into(&log, APPEND, dir.path(), true, sink.all());
    until("the next one is there", || sink.system.lock().unwrap().n_opened == 2);
    sink.hang(false);
    next.join();
    assert_eq!(next.state(), (State::Stopped, None));
    assert_eq!(sink.records(), many(500));
}

#[test]
fn a_folder_that_is_behind_its_sink_fails_until_it_is_of_a_later_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![many(500)], 50);
    let sink = MemorySink::new("s", Emit::Final);
    to_end(&log, APPEND, &dir.path().join("first"), sink.all());
    let second = dir.path().join("second");
    for is_down in [true, false] {
        // Even where it was away at the first start, and the epochs have gone past it meanwhile.
        sink.down(is_down);
        let handle = run_into(&log, APPEND, &second, false, sink.all());
        let read = || handle.snapshot().facts().counters.rows_in == 500;
        until("it is read, or has failed", || read() && is_down || handle.state().0 == State::Failed);
        if !is_down {
            let (_, error) = handle.state();
            assert!(error.as_ref().unwrap().contains("its data folder is behind its sink"), "{error:?}");
            assert_eq!(handle.live().sinks[0].state, SinkState::Failed);
        }
    }
    assert_eq!(sink.records(), many(500), "nothing was delivered");
    let third = dir.path().join("third");
    let store = Store::open(&dir.path().join("first"), &Memory::new(8 << 20, 8 << 20)).unwrap();
    let identity = Identity { incarnation: 2, ..store.identity().unwrap().unwrap() };
    drop(store);
    Store::open(&third, &Memory::new(8 << 20, 8 << 20)).unwrap().set_identity(&identity).unwrap();
    to_end(&log, APPEND, &third, sink.all());
    assert_eq!(sink.records().len(), 1_000, "a new incarnation delivers all rows again");
}

#[test]
fn sinks_come_and_go_between_starts() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![many(100)], 50);
    let (a, b) = (MemorySink::new("a", Emit::Final), MemorySink::new("b", Emit::Final));
    a.down(true);
    let read = |n, sinks: Vec<PipelineSink>| {
        let handle = run_into(&log, APPEND, dir.path(), false, sinks);
        until("all is read", || handle.snapshot().facts().counters.rows_in == n);
        let figures: Vec<_> =
            handle.live().sinks.into_iter().map(|sink| (sink.sink, sink.outbox_rows)).collect();
        figures
    };
    assert_eq!(read(100, a.all()), [("a".to_owned(), 100)]);
    let kept = inspect(dir.path()).unwrap().sinks;
    assert_eq!(kept, open_stopped(dir.path()).unwrap().sinks);
    assert_eq!((kept.len(), kept[0].sink.as_str(), kept[0].outbox_rows), (1, "a", 100));
    assert_eq!((0 < kept[0].outbox_bytes, kept[0].delivered_epoch), (true, Epoch(0)));
    assert_eq!(read(100, a.all()), [("a".to_owned(), 100)], "they wait");
    log.append(0, &[(5_000, 1, 1)]);
    b.down(true);
    assert_eq!(read(101, b.all()), [("b".to_owned(), 1)], "rows from the next epoch on");
    b.down(false);
    to_end(&log, APPEND, dir.path(), b.all());
    assert_eq!(b.records(), [(5_000, 1, 1)]);
    a.down(false);
    log.append(0, &[(6_000, 1, 2)]);
    to_end(&log, APPEND, dir.path(), [a.all(), b.all()].concat());
    assert_eq!(a.records(), [(6_000, 1, 2)], "what waited for it was dropped when it was gone");
    assert_eq!(b.records(), [(5_000, 1, 1), (6_000, 1, 2)]);
}

#[test]
fn a_sink_that_only_counts_has_no_outbox() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new(vec![many(500)], 50);
    let sink = MemorySink { only_counts: true, ..MemorySink::new("s", Emit::Final) };
    let handle = run_into(&log, APPEND, dir.path(), true, sink.all());
    handle.join();
    let live = handle.live();
    assert_eq!((live.sinks[0].rows_total, live.sinks[0].outbox_rows), (500, 0));
    assert_eq!(live.sinks[0].delivered_epoch, handle.snapshot().epoch());
    assert_eq!(sink.system.lock().unwrap().n_opened, 0);
}
