//! The engine in simulation: topic, broker, registry, disk, clock and the systems that rows go to are
//! made from one seed, all actors take their steps on one thread, and the process dies where the seed says.
//!
//! ```text
//! seed ─► case: query, topic with its future, lives ─┬─► life after life: recover, run, die ─► result tables ─┐
//!                                                    └─► oracle: record by record, reading the floors ────────┴─ equal
//! ```
//!
//! A failure names its seed: `WEIR_SEED=n cargo test -p weir-engine simulation` repeats it, step by step.
//! `WEIR_SEEDS=n` runs so many.

mod case;
mod driver;
mod identical;
mod oracle;
mod random;
pub(super) mod replay;
mod seen;
mod sinks;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::assembly::assemble;
use super::{Environment, Observer, Pipeline, PipelineOptions};
use crate::aggregate::GROUP_BYTES_MAX;
use crate::connector::Source;
use crate::dataflow::live::lock;
use crate::dataflow::plan::Plan;
use crate::pipeline::Committed;
use crate::result::{LettersKept, Snapshot};
use crate::sql::{TableDef, plan};
use crate::state::failpoint::{Point, simulated};
use crate::state::{Memory, Store};
use crate::time::Clock;
use case::{Case, End, Life};
use driver::{Driver, Ended, Trace};
use random::Random;
use seen::Seen;
use sinks::SinkReached;
use world::{Topic, topic_schema};

/// Seeds of an ordinary run of the tests.
const SEEDS: u64 = 300;

/// How many of the process's lives ended how, over all seeds: what the seeds have reached.
#[derive(Debug, Default)]
struct Reached {
    died_at: [AtomicU64; Point::PIPELINE.len() + Point::SINK.len()],
    killed: AtomicU64,
    floors: AtomicU64,
    late_rows: AtomicU64,
    epochs: AtomicU64,
    sinks: Mutex<SinkReached>,
}

struct Simulation {
    case: Case,
    plan: Arc<Plan>,
    memory: Memory,
    dir: PathBuf,
    random: Random,
    trace: Trace,
    seen: Arc<Mutex<Seen>>,
    /// What the last process left that ended by itself.
    last: Option<Arc<Snapshot>>,
    /// What goes on of the last process, which was taken for dead.
    late: Late,
    n_processes: u64,
    now_ns: u64,
}

/// The sinks of a process that was taken for dead, and the folder as it had it.
#[derive(Default)]
struct Late {
    sinks: Vec<driver::Sink>,
    _store: Option<Store>,
}

struct Recorder(Arc<Mutex<Seen>>);

impl Observer for Recorder {
    fn committed(&self, epoch: &Arc<Committed>) {
        lock(&self.0).take(epoch);
    }
}

impl Simulation {
    fn new(case: Case) -> Self {
        let sql = case.query.sql();
        Self::with_sql(case, &sql)
    }

    fn with_sql(case: Case, sql: &str) -> Self {
        let table = TableDef {
            name: "log".into(),
            schema: topic_schema(),
            event_time: 0,
            identity: Topic(Arc::clone(&case.world)).identity(),
            left_out: Vec::new(),
        };
        let plan = plan(sql, &[table]).unwrap_or_else(|refusals| panic!("{sql}: {refusals:?}"));
        Self {
            plan: Arc::new(plan),
            memory: Memory::without_disk(8 << 20, 8 << 20),
            // RocksDB's memory has no folders, but the store makes sure that there is one.
            dir: std::env::temp_dir().join("weir-simulation"),
            random: Random::new(case.seed ^ 0x5EED),
            trace: Trace::default(),
            seen: Arc::new(Mutex::new(Seen::new(&case))),
            last: None,
            late: Late::default(),
            n_processes: 0,
            now_ns: 0,
            case,
        }
    }

    /// Lives all lives; checks what came out.
    fn run(&mut self, reached: &Reached) {
        let lives = self.case.lives.clone();
        for life in &lives {
            let how = self.live(life, reached);
            self.trace.note(format!("{} us {how:?}: {life:?}", self.now_ns / 1_000));
            let seen = lock(&self.seen);
            if how == Ended::Stopped {
                seen.check_table(&self.case);
            }
            if matches!(life.end, End::AllRead) {
                seen.check_all_read(&self.case, life.bounded);
            }
        }
        let seen = lock(&self.seen);
        reached.floors.fetch_add(seen.facts.floors.len() as u64, Ordering::Relaxed);
        reached.late_rows.fetch_add(seen.facts.counters.late_rows, Ordering::Relaxed);
        reached.epochs.fetch_add(seen.facts.epoch.0, Ordering::Relaxed);
        for system in &self.case.systems {
            *lock(&reached.sinks) += system.reached();
        }
    }

    fn live(&mut self, life: &Life, reached: &Reached) -> Ended {
        // Snapshots hold the folder.
        self.last = None;
        let late = std::mem::take(&mut self.late);
        self.n_processes += 1;
        let clock = Arc::clone(&self.case.world.clock);
        let environment = Environment { clock: clock as Arc<dyn Clock>, memory: self.memory.clone() };
        let pipeline = Pipeline {
            project: "simulation".into(),
            sinks: sinks::sinks(&self.case.systems, self.n_processes),
            plan: Arc::clone(&self.plan),
            source: Arc::new(Topic(Arc::clone(&self.case.world))),
            reader_schema: String::new(),
            options: PipelineOptions {
                name: "p".into(),
                epoch_ms: life.epoch_ms,
                lateness_ms: self.case.lateness_ms,
                provisional: self.case.provisional,
                retention_ms: i64::MAX,
                parallelism: life.parallelism,
                group_bytes_max: GROUP_BYTES_MAX,
                state_bytes_max: usize::MAX,
                letters: LettersKept::DEFAULT,
                skip_lost: false,
                bounded: life.bounded,
            },
            data_dir: self.dir.clone(),
            observer: Arc::new(Recorder(Arc::clone(&self.seen))),
        };
        let point = if let End::KilledAt(point, pass, _) = life.end { Some((point, pass)) } else { None };
        simulated::arm(point);
        let assembly = match catch_unwind(AssertUnwindSafe(|| assemble(&pipeline, &environment))) {
            Ok(assembly) => assembly.unwrap_or_else(|error| panic!("it did not start: {error:?}")),
            Err(panic) => match panic.downcast::<simulated::Died>() {
                Ok(died) => {
                    reached.died_at[died.0 as usize].fetch_add(1, Ordering::Relaxed);
                    return Ended::Killed;
                }
                Err(panic) => std::panic::resume_unwind(panic),
            },
        };
        lock(&self.seen).recovered(&lock(&assembly.latest), life.bounded);
        let latest = Arc::clone(&assembly.latest);
        let read_all: Vec<i64> =
            self.case.world.partitions.iter().map(|log| log.entries.len() as i64).collect();
        let store = assembly.committer.store.clone();
        let driver = Driver::new(&self.case, life, &mut self.random, &mut self.trace, self.now_ns);
        let (how, now_ns, sinks) = driver.beside(&late.sinks).run(assembly, &read_all);
        simulated::arm(None);
        self.now_ns = now_ns;
        if how == Ended::Killed && matches!(life.end, End::Killed(_)) && self.random.chance(50) {
            self.late = self.late(&store, sinks);
        }
        drop(store);
        let mut seen = lock(&self.seen);
        match (how, point) {
            (Ended::Killed, Some((point, _))) => {
                reached.died_at[point as usize].fetch_add(1, Ordering::Relaxed);
            }
            (Ended::Killed, None) => {
                reached.killed.fetch_add(1, Ordering::Relaxed);
            }
            (Ended::Stopped, _) => {
                seen.stopped(&lock(&latest));
                self.last = Some(Arc::clone(&lock(&latest)));
            }
        }
        self.trace.note(format!("{:?}", seen.facts));
        how
    }
}

impl Simulation {
    /// The sinks go on over a copy of the folder: they find nothing in it that comes later.
    fn late(&self, store: &Store, sinks: Vec<driver::Sink>) -> Late {
        let dir = self.dir.with_file_name(format!("weir-simulation-late-{}", self.n_processes));
        let copy = store.copied_to(&dir, &self.memory).expect("a copy of the folder");
        sinks.iter().for_each(|sink| sink.borrow_mut().store = copy.downgrade());
        Late { sinks, _store: Some(copy) }
    }
}

/// Runs a seed; returns the hash of what happened, in order.
fn simulate(seed: u64, reached: &Reached) -> u64 {
    let mut simulation = Simulation::new(Case::new(seed));
    let ended = catch_unwind(AssertUnwindSafe(|| simulation.run(reached)));
    if let Err(panic) = ended {
        let case = &simulation.case;
        eprintln!(
            "{}\n{}\n{:?}\nWEIR_SEED={seed} cargo test -p weir-engine simulation",
            simulation.trace.text(),
            case.query.sql(),
            case.lives,
        );
        std::panic::resume_unwind(panic);
    }
    simulation.trace.hash()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn a_simulated_pipeline_is_right_whatever_happens_to_it() {
    let first = number("WEIR_SEED");
    let n_seeds = number("WEIR_SEEDS").unwrap_or(if first.is_some() { 1 } else { SEEDS });
    let first = first.unwrap_or(1);
    let reached = Reached::default();
    let next = AtomicU64::new(first);
    let n_threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..n_threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if first + n_seeds <= seed {
                        return;
                    }
                    simulate(seed, &reached);
                }
            });
        }
    });
    eprintln!("{n_seeds} seeds from {first}: {reached:?}");
    if SEEDS <= n_seeds {
        // Seeds that reach nothing would prove nothing.
        for (point, n) in Point::PIPELINE.iter().chain(&Point::SINK).zip(&reached.died_at) {
            assert!(0 < n.load(Ordering::Relaxed), "no process died at {}", point.name());
        }
        for n in [&reached.killed, &reached.floors, &reached.late_rows] {
            assert!(SEEDS / 10 < n.load(Ordering::Relaxed), "{reached:?}");
        }
        let sinks = *lock(&reached.sinks);
        for n in [sinks.refused, sinks.hung, sinks.answers_lost, sinks.applied_late, sinks.dropped] {
            assert!(SEEDS / 10 < n, "{sinks:?}");
        }
    }
}

#[test]
fn two_runs_of_a_seed_are_the_same_step_by_step() {
    for seed in 1_000..1_020 {
        let reached = Reached::default();
        assert_eq!(simulate(seed, &reached), simulate(seed, &reached), "seed {seed}");
    }
}
