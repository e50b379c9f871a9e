//! The system that a simulated pipeline's rows go to: transactions, fencing, and what goes wrong with both.
//!
//! ```text
//! deliver ─► written ─► decided ─► applied        refused · hung, nobody knows · applied, but the answer is lost
//! open: fences, ends what an earlier writer left (decided: applies it; undecided: as the seed says), progress
//! ```
//!
//! A process that was taken for dead and goes on is refused once another one has opened the system, and may not
//! open it again. It keeps every row that it was given, and fails where a real system would only get wrong rows:
//! a writer goes on that its own process has fenced, a position comes again or goes back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::oracle::{Key, Numbers, Rows};
use super::random::Random;
use super::seen::rows;
use super::world::SimClock;
use crate::connector::{
    Batching, Change, Delivery, Emit, Position, Progress, Sink, SinkContext, SinkError, SinkWriter,
};
use crate::dataflow::live::lock;
use crate::dataflow::sink::PipelineSink;
use crate::state::failpoint::{self, Point};

/// How the system is, decided by the seed.
#[derive(Debug, Clone)]
pub(super) struct Nature {
    emit: Emit,
    batching: Batching,
    outbox_bytes_max: u64,
    /// It refuses everything, in milliseconds since the simulation began.
    away: Vec<Range<i64>>,
    /// Of calls that go wrong while it is there.
    trouble_percent: i64,
    /// The longest that a call takes, and that a call takes that hangs.
    slow_us: i64,
    hang_us: i64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct System {
    nature: Nature,
    appends: bool,
    clock: Arc<SimClock>,

    random: Mutex<Random>,
    state: Mutex<State>,
    /// How long the calls since it was last asked took.
    busy_us: AtomicU64,
    /// The process that is not taken for dead.
    process: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Of the writer that may write, and the process that it is of.
    generation: u64,
    owner: u64,
    applied: Vec<Change>,
    progress: Option<Progress>,
    /// What a writer began and did not end.
    pending: Option<Pending>,
    reached: SinkReached,
}

#[derive(Debug)]
struct Pending {
    changes: Vec<Change>,
    progress: Progress,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Not asked to commit.
    Open,
    /// Asked to commit; nobody knows whether it has.
    Undecided,
    Decided,
}

/// What the seeds have made of a system.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SinkReached {
    pub(super) opened: u64,
    pub(super) deliveries: u64,
    pub(super) refused: u64,
    pub(super) hung: u64,
    pub(super) answers_lost: u64,
    /// Transactions that an opening applied, and those that it dropped.
    pub(super) applied_late: u64,
    pub(super) dropped: u64,
    /// Deliveries of processes that were taken for dead, and that they were kept from.
    pub(super) late_deliveries: u64,
    pub(super) fenced: u64,
}

impl std::ops::AddAssign for SinkReached {
    fn add_assign(&mut self, other: Self) {
        self.opened += other.opened;
        self.deliveries += other.deliveries;
        self.refused += other.refused;
        self.hung += other.hung;
        self.answers_lost += other.answers_lost;
        self.applied_late += other.applied_late;
        self.dropped += other.dropped;
        self.late_deliveries += other.late_deliveries;
        self.fenced += other.fenced;
    }
}

impl System {
    pub(super) fn new(
        random: &mut Random,
        emit: Emit,
        appends: bool,
        span_ms: i64,
        clock: &Arc<SimClock>,
    ) -> Self {
        let epoch_ms = span_ms / 25;
        let away = (0..random.below(3)).map(|_| {
            let start = random.below(span_ms);
            start..start + random.between(1, span_ms / 3 + 2)
        });
        let away = away.collect();
        let batching = Batching {
            rows_max: random.pick(&[1, 20, 50_000]),
            linger: Duration::from_millis(random.pick(&[0, 0, 3 * epoch_ms]).unsigned_abs()),
            ..Batching::default()
        };
        let nature = Nature {
            emit,
            batching,
            outbox_bytes_max: random.pick(&[5_000, 1 << 30]),
            away,
            trouble_percent: random.pick(&[0, 10, 40]),
            slow_us: 1_000 * random.pick(&[1, epoch_ms / 2, 3 * epoch_ms]).max(1),
            hang_us: 10_000 * epoch_ms,
        };
        Self {
            nature,
            appends,
            clock: Arc::clone(clock),
            random: Mutex::new(random.fork()),
            state: Mutex::default(),
            busy_us: AtomicU64::new(0),
            process: AtomicU64::new(0),
        }
    }

    /// How long the calls since it was last asked took.
    pub(super) fn take_busy_us(&self) -> u64 {
        self.busy_us.swap(0, Ordering::Relaxed)
    }

    pub(super) fn reached(&self) -> SinkReached {
        lock(&self.state).reached
    }

    fn takes(&self, us: i64) {
        self.busy_us.fetch_add(us.unsigned_abs(), Ordering::Relaxed);
    }

    fn is_away(&self) -> bool {
        let now_ms = self.clock.ms();
        self.nature.away.iter().any(|range| range.contains(&now_ms))
    }

    /// Checks what it has against the final rows of the table; `whole`: it has all of them.
    pub(super) fn check(&self, finals: &Rows, whole: bool) {
        let state = lock(&self.state);
        let has = match self.nature.emit {
            Emit::Final => {
                // Fails where a key is there twice.
                let batches: Vec<_> = state.applied.iter().map(|change| change.rows().clone()).collect();
                rows(&batches, self.appends).0
            }
            Emit::Updates => self.replay(&state.applied, whole),
            Emit::DeadLetters => panic!("no sink of the simulation is given dead letters"),
        };
        for (key, rows) in &has {
            let mut left = finals.get(key).cloned().unwrap_or_default();
            for row in rows {
                let at = left.iter().position(|other| other == row);
                left.remove(at.unwrap_or_else(|| panic!("{key:?}: {rows:?} and the table {finals:?}")));
            }
        }
        assert!(!whole || has == *finals, "the sink has {has:?}, the table {finals:?}");
    }

    /// The final rows that upserts and deletes come to; at the `end` there is nothing else.
    fn replay(&self, changes: &[Change], end: bool) -> Rows {
        let mut table: BTreeMap<Key, (Vec<Numbers>, bool)> = BTreeMap::new();
        for change in changes {
            let (finals, provisionals) = rows(std::slice::from_ref(change.rows()), self.appends);
            for (of_change, is_final) in [(finals, true), (provisionals, false)] {
                for (key, rows) in of_change {
                    let before = match change {
                        Change::Upserts(_) => table.insert(key.clone(), (rows, is_final)),
                        Change::Deletes(_) => table.remove(&key),
                    };
                    let was_final = before.is_some_and(|(_, was_final)| was_final);
                    assert!(!was_final, "{key:?} changes behind its final row");
                }
            }
        }
        assert!(!end || table.values().all(|(_, is_final)| *is_final), "open windows are left: {table:?}");
        let finals = table.into_iter().filter(|(_, (_, is_final))| *is_final);
        finals.map(|(key, (rows, _))| (key, rows)).collect()
    }
}

impl State {
    fn apply(&mut self, changes: Vec<Change>, progress: Progress) {
        self.applied.extend(changes);
        self.progress = Some(progress);
        self.pending = None;
    }
}

/// [`System`] as the engine sees it.
#[derive(Debug)]
pub(super) struct SimSink {
    name: String,
    system: Arc<System>,
    process: u64,
    /// This process has opened the system.
    has_opened: AtomicBool,
}

/// The sinks of a process of a pipeline that writes to `systems`.
pub(super) fn sinks(systems: &[Arc<System>], process: u64) -> Vec<PipelineSink> {
    systems.iter().for_each(|system| system.process.store(process, Ordering::Relaxed));
    let sink = |(i, system): (usize, &Arc<System>)| PipelineSink {
        sink: Arc::new(SimSink {
            name: format!("sink{i}"),
            system: Arc::clone(system),
            process,
            has_opened: AtomicBool::new(false),
        }),
        outbox_bytes_max: system.nature.outbox_bytes_max,
    };
    systems.iter().enumerate().map(sink).collect()
}

impl Sink for SimSink {
    fn name(&self) -> &str {
        &self.name
    }
    fn kind(&self) -> &'static str {
        "simulated"
    }
    fn emit(&self) -> Emit {
        self.system.nature.emit
    }
    fn batching(&self) -> Batching {
        self.system.nature.batching
    }
    fn open(&self, context: &SinkContext) -> Result<(Box<dyn SinkWriter>, Option<Progress>), SinkError> {
        let system = &self.system;
        let mut random = lock(&system.random);
        let mut state = lock(&system.state);
        system.takes(random.below(system.nature.slow_us));
        if system.is_away() || random.chance(system.nature.trouble_percent) {
            state.reached.refused += 1;
            return Err(SinkError::Retry("not now".to_owned()));
        }
        let is_late = system.process.load(Ordering::Relaxed) != self.process;
        let has_opened = self.has_opened.swap(true, Ordering::Relaxed);
        // A process that is taken for dead and opens a system for the first time would take it over, and the
        // other one would fail; here it does not.
        let is_refused = if has_opened { state.owner != self.process } else { is_late };
        if is_refused {
            state.reached.fenced += 1;
            return Err(SinkError::Fatal("another process has opened it since".to_owned()));
        }
        (state.generation, state.owner) = (state.generation + 1, self.process);
        state.reached.opened += 1;
        if let Some(Pending { changes, progress, fate }) = state.pending.take() {
            let applies = fate == Fate::Decided || fate == Fate::Undecided && random.chance(50);
            state.reached.applied_late += u64::from(applies);
            state.reached.dropped += u64::from(!applies);
            if applies {
                state.apply(changes, progress);
            }
        }
        if random.chance(system.nature.trouble_percent) {
            return Err(SinkError::Reopen("fenced, and then the connection broke".to_owned()));
        }
        let writer = SimWriter {
            system: Arc::clone(system),
            generation: state.generation,
            process: self.process,
            context: context.clone(),
        };
        Ok((Box::new(writer), state.progress))
    }
}

struct SimWriter {
    system: Arc<System>,
    generation: u64,
    process: u64,
    context: SinkContext,
}

impl SimWriter {
    /// What goes wrong with a delivery, if anything does.
    fn trouble(&self, changes: &[Change], progress: Progress) -> Result<(), SinkError> {
        let system = &self.system;
        let mut random = lock(&system.random);
        let mut state = lock(&system.state);
        system.takes(random.below(system.nature.slow_us));
        let is_away = system.is_away();
        if !is_away && !random.chance(system.nature.trouble_percent) {
            return Ok(());
        }
        match random.below(if is_away { 2 } else { 4 }) {
            0 => {
                state.reached.refused += 1;
                Err(SinkError::Retry("refused".to_owned()))
            }
            1 => {
                state.reached.refused += 1;
                Err(SinkError::Reopen("the connection broke".to_owned()))
            }
            2 => {
                system.takes(random.below(system.nature.hang_us));
                state.reached.hung += 1;
                state.pending = Some(Pending { changes: changes.to_vec(), progress, fate: Fate::Undecided });
                Err(SinkError::Reopen("it hung".to_owned()))
            }
            _ => {
                state.reached.answers_lost += 1;
                state.apply(changes.to_vec(), progress);
                Err(SinkError::Reopen("the answer was lost".to_owned()))
            }
        }
    }

    fn set_fate(&self, fate: Fate) {
        lock(&self.system.state).pending.as_mut().expect("it was begun").fate = fate;
    }
}

impl SinkWriter for SimWriter {
    fn deliver(&mut self, upto: Position, rows: &Delivery) -> Result<(), SinkError> {
        let progress = self.context.progress(upto);
        let changes = &rows.changes;
        {
            let mut state = lock(&self.system.state);
            if state.owner != self.process {
                state.reached.fenced += 1;
                return Err(SinkError::Reopen("fenced".to_owned()));
            }
            assert_eq!(state.generation, self.generation, "a writer that its own process has fenced goes on");
            assert!(state.progress.is_none_or(|before| before.position < upto), "{upto:?} comes again");
            assert!(state.pending.is_none() && 0 < rows.n_rows());
            state.reached.deliveries += 1;
            state.reached.late_deliveries +=
                u64::from(self.system.process.load(Ordering::Relaxed) != self.process);
        }
        self.trouble(changes, progress)?;
        lock(&self.system.state).pending =
            Some(Pending { changes: changes.clone(), progress, fate: Fate::Open });
        failpoint::pass(Point::DeliveryWritten);
        self.set_fate(Fate::Decided);
        failpoint::pass(Point::DeliveryDecided);
        lock(&self.system.state).apply(changes.clone(), progress);
        failpoint::pass(Point::DeliveryVisible);
        Ok(())
    }

    fn close(self: Box<Self>) {}
}
