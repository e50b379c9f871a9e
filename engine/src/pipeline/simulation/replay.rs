//! Dead letters that are run again while processes die at every step: at the end each record was counted once.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::case::Query;
use super::driver::Step;
use super::oracle::{Expected, recompute};
use super::seen::rows;
use super::world::{BEGIN_MS, Entry, PartitionLog, SimClock, Value, Weather, World};
use super::*;
use crate::connector::WatermarkOptions;
use crate::dataflow::actor::Next;
use crate::dataflow::commit::Latest;
use crate::dataflow::message::Event;
use crate::dataflow::replay::{Replayed, request};
use crate::result::LetterId;
use crate::time::Epoch;
use crate::time::window::Windows;

/// Records that can't be used are tried so often.
const REPLAYS_MAX: i64 = 2;

/// A letter's id, reason, and how often it was run again.
pub(in crate::pipeline) type Letter = (LetterId, String, i64);

/// The letters of records.
pub(in crate::pipeline) fn letters(snapshot: &Snapshot) -> Vec<Letter> {
    let batches = snapshot.dead_letters(None).expect("dead letters");
    batches.flat_map(|rows| letters_of(&rows.expect("it reads"))).collect()
}

/// The letters of records in rows of dead letters.
pub(in crate::pipeline) fn letters_of(rows: &RecordBatch) -> Vec<Letter> {
    let number = |name| rows.column_by_name(name).expect("a column").as_primitive::<Int64Type>();
    let partitions = rows.column(2).as_primitive::<Int32Type>();
    let letter = |i: usize| {
        let epoch = Epoch(number("epoch").value(i) as u64);
        let id = LetterId { epoch, partition: partitions.value(i), offset: number("offset").value(i) };
        (id, rows.column(6).as_string::<i32>().value(i).to_owned(), number("replays").value(i))
    };
    (0..rows.num_rows()).filter(|i| partitions.is_valid(*i)).map(letter).collect()
}

/// Somebody who asks for a few letters at a time, as often as there is an answer.
pub(super) struct Replayer {
    latest: Latest,
    events: Sender<Event>,
    plan: Arc<Plan>,
    replayed: Option<Receiver<Replayed>>,
    n_asked: usize,
}

impl Replayer {
    pub(super) fn new(latest: &Latest, events: &Sender<Event>, plan: Arc<Plan>) -> Self {
        Self { latest: Arc::clone(latest), events: events.clone(), plan, replayed: None, n_asked: 0 }
    }
}

impl Step for Replayer {
    fn step(&mut self) -> Result<Next, String> {
        // It looks now and then, whatever the others do.
        let wait = Next::Polled;
        if let Some(replayed) = &self.replayed {
            match replayed.try_recv() {
                Ok(replayed) => assert!(replayed.again <= replayed.taken && 0 < replayed.taken),
                Err(TryRecvError::Empty) => return Ok(wait),
                // The process is about to end.
                Err(TryRecvError::Disconnected) => {}
            }
            self.replayed = None;
        }
        let snapshot = Arc::clone(&lock(&self.latest));
        let mut ids: Vec<LetterId> = Vec::new();
        for (id, _, replays) in letters(&snapshot) {
            if replays < REPLAYS_MAX {
                ids.push(id);
            }
        }
        // Now from the one end, now from the other, and never the same number.
        self.n_asked += 1;
        if self.n_asked.is_multiple_of(2) {
            ids.reverse();
        }
        ids.truncate(1 + self.n_asked % 12);
        let Some((replay, replayed)) = request(&snapshot, &self.plan, &ids).expect("it reads") else {
            return Ok(wait);
        };
        if self.events.try_send(Event::Replay(replay)).is_err() {
            return Ok(wait);
        }
        self.replayed = Some(replayed);
        Ok(Next::Step)
    }
}

/// A topic in which every fifth record is broken, and none is late: the watermark is far behind.
fn world(seed: u64) -> World {
    let mut random = Random::new(seed);
    let mut partition = |_| {
        let mut entry = |i: i64| {
            let at = BEGIN_MS + i * 150 - random.below(2_500);
            let (key, amount) = (random.below(4), random.below(100) - 30);
            let value = match random.below(40) {
                0 => Value::Tombstone,
                1 => Value::Poison,
                2 => Value::Row { at: None, key, amount },
                3..=10 => Value::Broken { at, key, amount },
                _ => Value::Row { at: Some(at), key, amount },
            };
            Entry { arrives_ms: 0, schema: 0, value }
        };
        PartitionLog { created_ms: 0, entries: (0..60).map(&mut entry).collect() }
    };
    let partitions = (0..3).map(&mut partition).collect();
    World {
        partitions,
        weather: Weather::default(),
        watermark: WatermarkOptions {
            delay_ms: 3_600_000,
            idle_timeout_ms: 3_600_000_000,
            max_ahead_ms: 3_600_000_000,
            max_drift_ms: 3_600_000_000,
        },
        records_per_poll: 20,
        clock: Arc::new(SimClock::default()),
        random: Mutex::new(random.fork()),
        is_mended: Default::default(),
    }
}

fn case(seed: u64, point: Point) -> Case {
    let mut random = Random::new(seed);
    let windows = match seed % 3 {
        0 => None,
        1 => Some(Windows { size_ms: 2_000, slide_ms: 2_000, offset_ms: 0 }),
        _ => Some(Windows { size_ms: 3_000, slide_ms: 1_000, offset_ms: 0 }),
    };
    let life = |random: &mut Random, end| Life {
        parallelism: random.between(1, 4) as usize,
        epoch_ms: 50,
        bounded: false,
        end,
    };
    let mut lives = vec![life(&mut random, End::AllRead)];
    for _ in 0..4 {
        // Each passes the points of recovery once.
        let pass = if Point::Report as usize <= point as usize { random.between(1, 4) } else { 1 };
        for end in [End::KilledAt(point, pass as u64, 2_000), End::Stopped(150)] {
            lives.push(life(&mut random, end));
        }
    }
    let query = Query {
        windows,
        by_key: true,
        by_name: false,
        above: None,
        divides: seed.is_multiple_of(2),
        fewer_than: None,
    };
    Case {
        seed,
        query,
        world: Arc::new(world(seed)),
        systems: Vec::new(),
        lateness_ms: 0,
        provisional: true,
        lives,
        slowness: [20_000; 3],
        epoch_bytes_max: random.pick(&[2_000, 32 << 20]),
    }
}

fn run(seed: u64, point: Point) -> u64 {
    let mut simulation = Simulation::new(case(seed, point));
    let lives = simulation.case.lives.clone();
    let mut n_killed = 0;
    for life in lives {
        n_killed += u64::from(simulation.live(&life, &Reached::default()) == Ended::Killed);
        simulation.case.world.is_mended.store(true, Ordering::Relaxed);
    }
    // What is left is tried; then windows close.
    let is_tried = |(_, _, replays): &Letter| *replays == REPLAYS_MAX;
    let rest = Life { parallelism: 3, epoch_ms: 50, bounded: false, end: End::Stopped(1_500) };
    let all_tried = |simulation: &mut Simulation| {
        simulation.live(&rest, &Reached::default());
        letters(simulation.last.as_ref().expect("it has stopped")).iter().all(is_tried)
    };
    assert!(
        (0..50).any(|_| all_tried(&mut simulation)),
        "seed {seed} at {}: not all was tried",
        point.name()
    );
    let last = Life { parallelism: 2, epoch_ms: 50, bounded: true, end: End::AllRead };
    simulation.live(&last, &Reached::default());
    let snapshot = Arc::clone(simulation.last.as_ref().expect("it has stopped"));

    let world = &simulation.case.world;
    let mended = |log: &PartitionLog| {
        let mut log = log.clone();
        for entry in &mut log.entries {
            if let Value::Broken { at, key, amount } = entry.value {
                entry.value = Value::Row { at: Some(at), key, amount };
            }
        }
        log
    };
    let partitions: Vec<PartitionLog> = world.partitions.iter().map(mended).collect();
    let next_offsets: Vec<i64> = partitions.iter().map(|log| log.entries.len() as i64).collect();
    let of_mended = Case { world: Arc::new(World { partitions, ..self::world(seed) }), ..case(seed, point) };
    let Expected { rows: expected, dead_letters, counters } = recompute(&of_mended, &[], &next_offsets);
    let batches: Vec<_> =
        snapshot.scan(None, None).expect("a table").map(|rows| rows.expect("it reads")).collect();
    let (finals, provisionals) = rows(&batches, of_mended.query.windows.is_none());
    assert_eq!((finals, provisionals.len()), (expected, 0), "seed {seed} at {}", point.name());
    let mut left = letters(&snapshot);
    left.sort_unstable_by_key(|(id, ..)| (id.partition, id.offset));
    let names: Vec<_> =
        left.iter().map(|(id, reason, _)| (id.partition, id.offset, reason.as_str())).collect();
    assert_eq!(names, dead_letters, "seed {seed} at {}", point.name());
    assert!(left.iter().all(|(.., replays)| *replays == REPLAYS_MAX), "each was tried: {left:?}");
    let broken = |log: &PartitionLog| {
        log.entries.iter().filter(|entry| matches!(entry.value, Value::Broken { .. })).count() as u64
    };
    let found = snapshot.facts().counters;
    assert_eq!(found.rows_in, counters.rows_in, "each is decoded once");
    // Some of the mended fail to evaluate, and were tried as the others were.
    let n_broken: u64 = world.partitions.iter().map(broken).sum();
    assert!(found.dead_letters_replayed <= n_broken);
    assert_eq!(found.dead_letters - found.dead_letters_replayed, left.len() as u64);
    n_killed
}

#[test]
fn a_dead_letter_is_run_again_once_wherever_the_process_dies() {
    for (nth, point) in Point::PIPELINE.into_iter().enumerate() {
        let n_killed: u64 = (0..2).map(|run_nth| run(100 + 2 * nth as u64 + run_nth, point)).sum();
        assert!(5 <= n_killed, "{} deaths at {}", n_killed, point.name());
    }
}
