//! The coordinator: finds partitions, gives them to source subtasks, and ends epochs.
//!
//! ```text
//! tick ─► Close(N) ─► reports ─► W = min of active watermarks, never below the last ─► Barrier(N, W)
//!                                                                                  └─► committer
//! ```
//!
//! Invariants:
//! 1. Where nothing was read and no watermark or idleness changed, there is no epoch.
//! 2. At most `IN_FLIGHT_MAX` epochs are not yet durable; when commits are slower, epochs stretch.
//! 3. No epoch is ended while a sink's outbox is full; a bounded run ends when all outboxes are empty.
//! 4. Nothing is read of a topic that was made anew, or from which unread records were deleted.
//! 5. It takes events whatever it waits for: whoever tells it something never waits for long, and all
//!    other waiting goes one way, source → window → committer → coordinator.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError};

use crate::connector::{PartitionInfo, Source, SourceError, Start, Topology};
use crate::dataflow::actor::{self, Actor, Next, Sent};
use crate::dataflow::live::{Shared, State};
use crate::dataflow::message::{Control, Event, Part, Report, SourcesPart};
use crate::dataflow::sink::SINK_POLL;
use crate::facts::{Facts, PartitionFact};
use crate::operator::Barrier;
use crate::state::Store;
use crate::state::failpoint::{self, Point};
use crate::time::watermark::PipelineTime;
use crate::time::{Clock, Epoch};

/// Epochs between a barrier and its durable write. More hides the latency of the disk, and is replayed
/// after a crash.
const IN_FLIGHT_MAX: usize = 4;
/// How often busy and blocked shares are measured.
const MEASURE_NS: u64 = 1_000_000_000;

/// Everything the coordinator is made of.
pub struct Coordinator {
    pub source: Arc<dyn Source>,
    pub store: Store,
    pub shared: Arc<Shared>,
    pub clock: Arc<dyn Clock>,
    pub events: Receiver<Event>,
    /// One per source subtask. Letting go of them ends the pipeline.
    pub controls: Vec<Sender<Control>>,
    pub committer: Sender<Part>,
    pub activity: Arc<AtomicBool>,
    pub epoch_ms: u64,
    pub lateness_ms: i64,
    pub bounded: bool,
    /// Go on where records were deleted before they were read.
    pub skip_lost: bool,
    /// There were open windows when it started.
    pub any_open: bool,
    pub state: CoordinatorState,
}

/// What changes while it runs.
#[derive(Debug, Default)]
pub struct CoordinatorState {
    phase: Phase,
    /// Not yet sent, in order.
    unsent: VecDeque<Unsent>,
    /// Somebody no longer reads what is sent: why is among the events, or on its way.
    gone: bool,
    epoch: Epoch,
    time: PipelineTime,
    partitions: BTreeMap<i32, PartitionFact>,
    /// What is gone and was not read, to be told with the next epoch.
    skipped: Vec<PartitionFact>,
    n_skipped: u64,
    in_flight: usize,
    stop: bool,
    /// The epoch being ended is the last one before the stop.
    last: bool,
    topology: Option<Topology>,
    reports: Vec<Report>,
    full: bool,
    measured_ns: u64,
    /// A bounded run has read all there was.
    done: bool,
}

impl CoordinatorState {
    /// Goes on from the last committed epoch.
    #[must_use]
    pub fn new(facts: &Facts) -> Self {
        Self {
            epoch: facts.epoch,
            time: PipelineTime::recovered(
                facts.watermark_ms,
                facts.partitions.iter().map(|fact| fact.watermark_ms),
            ),
            partitions: facts.partitions.iter().map(|fact| (fact.partition, fact.clone())).collect(),
            ..Self::default()
        }
    }
}

/// What the coordinator waits for, beside events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// The partitions of the topic.
    #[default]
    Topology,
    /// The end of the epoch's interval, on the monotonic clock.
    Tick { tick_ns: u64 },
    /// Fewer epochs in flight and room in every outbox, to end an epoch.
    Room,
    /// The source subtasks' reports of the epoch that ends.
    Reports { epoch: Epoch, started_ns: u64 },
    /// The epochs in flight, to stop; at the end of a bounded run that all is delivered, too.
    InFlight,
}

#[derive(Debug)]
enum Unsent {
    /// With the source subtask that it is for.
    Control(usize, Control),
    Part(Part),
}

/// Why the pipeline failed, for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Actor for Coordinator {
    type Error = Failure;

    fn step(&mut self) -> Result<Next, Failure> {
        match self.events.try_recv() {
            Ok(event) => return self.hear(event),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(Failure("every thread of the pipeline has ended".to_owned()));
            }
        }
        if self.state.gone {
            return Ok(Next::Wait(None));
        }
        if let Some(next) = self.send() {
            return Ok(next);
        }
        let now_ns = self.clock.monotonic_ns();
        self.measure(now_ns);
        match self.state.phase {
            Phase::Topology => self.begin(now_ns),
            Phase::Tick { tick_ns } => self.tick(tick_ns, now_ns),
            Phase::Room if IN_FLIGHT_MAX <= self.state.in_flight => Ok(Next::Wait(None)),
            Phase::Room if self.waits_for_sinks() => Ok(Next::Wait(Some(SINK_POLL))),
            Phase::Room => Ok(self.close(now_ns)),
            Phase::Reports { .. } if self.state.reports.len() < self.controls.len() => Ok(Next::Wait(None)),
            Phase::Reports { epoch, started_ns } => Ok(self.end_epoch(epoch, started_ns)),
            Phase::InFlight if 0 < self.state.in_flight => Ok(Next::Wait(None)),
            Phase::InFlight if self.drains() => Ok(Next::Wait(Some(SINK_POLL))),
            Phase::InFlight => Ok(Next::End),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>) {
        actor::wait_for_message(&self.events, timeout);
    }

    fn wait_for_room(&mut self) {
        let mut select = Select::new();
        select.recv(&self.events);
        match self.state.unsent.front() {
            Some(Unsent::Control(subtask, _)) => {
                select.send(&self.controls[*subtask]);
            }
            Some(Unsent::Part(_)) => {
                select.send(&self.committer);
            }
            None => return,
        }
        actor::wait_ready(&mut select, None);
    }
}

impl Coordinator {
    fn hear(&mut self, event: Event) -> Result<Next, Failure> {
        match event {
            Event::Topology(topology) => self.state.topology = Some(topology),
            Event::Report(report) => self.state.reports.push(*report),
            Event::Committed(_) => self.state.in_flight -= 1,
            Event::Full => self.state.full = true,
            Event::Failed(reason) => return Err(Failure(reason)),
            Event::Stop => self.state.stop = true,
            // Whoever asked hears that nothing was done: the letters are let go of.
            Event::Replay(_) if self.state.stop || self.state.done => {}
            Event::Replay(replay) => {
                self.state.unsent.push_back(Unsent::Control(0, Control::Replay(replay)));
            }
        }
        Ok(Next::Step)
    }

    /// Sends what there is room for. `None`: there was nothing to send.
    fn send(&mut self) -> Option<Next> {
        let mut next = None;
        while let Some(unsent) = self.state.unsent.pop_front() {
            let sent = match unsent {
                Unsent::Control(subtask, control) => {
                    match actor::try_send(&self.controls[subtask], control) {
                        Sent::Full(control) => Sent::Full(Unsent::Control(subtask, control)),
                        Sent::Yes => Sent::Yes,
                        Sent::Gone => Sent::Gone,
                    }
                }
                Unsent::Part(part) => match actor::try_send(&self.committer, part) {
                    Sent::Full(part) => Sent::Full(Unsent::Part(part)),
                    Sent::Yes => Sent::Yes,
                    Sent::Gone => Sent::Gone,
                },
            };
            match sent {
                Sent::Yes => next = Some(Next::Step),
                Sent::Gone => {
                    self.state.gone = true;
                    return Some(Next::Step);
                }
                Sent::Full(unsent) => {
                    self.state.unsent.push_front(unsent);
                    return next.or(Some(Next::Blocked));
                }
            }
        }
        next
    }

    fn begin(&mut self, now_ns: u64) -> Result<Next, Failure> {
        if self.state.stop {
            return Ok(Next::End);
        }
        if self.state.topology.is_none() {
            return Ok(Next::Wait(None));
        }
        self.adopt_topology()?;
        failpoint::pass(Point::RecoverAssign);
        self.shared.set_state(State::Running, None);
        self.next_interval(now_ns);
        if self.bounded && self.state.partitions.values().all(is_done) {
            // Nothing to read: an epoch only closes what an earlier run has left open.
            if self.any_open {
                self.activity.store(true, Ordering::Relaxed);
            } else if !self.activity.load(Ordering::Relaxed) {
                (self.state.done, self.state.phase) = (true, Phase::InFlight);
            }
        }
        Ok(Next::Step)
    }

    fn next_interval(&mut self, now_ns: u64) {
        let tick_ns = now_ns.saturating_add(self.epoch_ms.saturating_mul(1_000_000));
        self.state.phase = Phase::Tick { tick_ns };
    }

    /// Waits until the epoch interval is over, or an epoch is wanted at once.
    fn tick(&mut self, tick_ns: u64, now_ns: u64) -> Result<Next, Failure> {
        if now_ns < tick_ns && !self.state.stop && !std::mem::take(&mut self.state.full) {
            return Ok(Next::Wait(Some(Duration::from_nanos(tick_ns - now_ns))));
        }
        self.adopt_topology()?;
        if self.activity.swap(false, Ordering::Relaxed) {
            self.state.phase = Phase::Room;
        } else if self.state.stop {
            self.state.phase = Phase::InFlight;
        } else {
            self.next_interval(now_ns);
        }
        Ok(Next::Step)
    }

    /// Where a sink's outbox is full, no epoch is ended: it would only add to it.
    fn waits_for_sinks(&self) -> bool {
        !self.state.stop && self.shared.sinks.full().is_some()
    }

    /// Whether a bounded run has rows that are not delivered; told to stop, it leaves them in the outbox.
    fn drains(&self) -> bool {
        if !self.state.done || self.state.stop {
            return false;
        }
        self.shared.sinks.flush();
        !self.shared.sinks.are_drained()
    }

    /// First step of ending an epoch.
    fn close(&mut self, now_ns: u64) -> Next {
        let epoch = self.state.epoch.next();
        self.tell_sources(|| Control::Close(epoch));
        self.state.phase = Phase::Reports { epoch, started_ns: now_ns };
        Next::Step
    }

    /// Second step: all source subtasks have reported.
    fn end_epoch(&mut self, epoch: Epoch, started_ns: u64) -> Next {
        failpoint::pass(Point::Barrier);
        // The sources wait for the barrier now: what they noted so far is in their reports.
        self.activity.store(false, Ordering::Relaxed);
        let mut reports = std::mem::take(&mut self.state.reports);
        let mut at_barrier = Vec::with_capacity(self.state.partitions.len());
        for fact in reports.iter_mut().flat_map(|report| &mut report.partitions) {
            fact.end_offset = fact.name.as_ref().and_then(|_| self.shared.end_offset(fact.partition));
            let before = self.state.partitions.insert(fact.partition, fact.clone());
            at_barrier.push(fact.at_barrier(before.as_ref()));
        }
        self.state.time.pass(at_barrier.into_iter());
        if let Some(report) = reports.first_mut() {
            report.partitions.append(&mut self.state.skipped);
            report.counters.lost_records += std::mem::take(&mut self.state.n_skipped);
        }
        let partitions = self.state.partitions.values();
        self.state.done = self.bounded && partitions.clone().all(is_done);
        if self.state.done {
            reports
                .iter_mut()
                .flat_map(|report| &mut report.partitions)
                .for_each(|fact| fact.bounded_end = None);
        }
        let barrier =
            Barrier { epoch, watermark_ms: self.state.time.watermark_ms, close_all: self.state.done };
        // One that a bounded run has read to its end never catches up: nobody waits for it.
        let behind = partitions.filter(|fact| !(fact.idle || self.bounded && is_done(fact)));
        let slowest = behind.filter_map(|fact| fact.watermark_ms).min();
        let read_until_ms = slowest.map(|ms| ms.saturating_add(self.source.watermark().max_drift_ms));
        self.tell_sources(|| Control::Barrier { barrier, read_until_ms });
        let closed_ms = barrier.watermark_ms.map(|w| w.saturating_sub(self.lateness_ms));
        let part = Part::Sources(SourcesPart { barrier, closed_ms, reports, started_ns });
        self.state.unsent.push_back(Unsent::Part(part));
        self.state.epoch = epoch;
        self.state.in_flight += 1;
        self.after_epoch();
        Next::Step
    }

    /// Goes on to the next epoch; to the last one, if somebody wants a stop; or to the end.
    fn after_epoch(&mut self) {
        let now_ns = self.clock.monotonic_ns();
        if self.state.done || self.state.last {
            self.state.phase = Phase::InFlight;
        } else if !self.state.stop {
            self.next_interval(now_ns);
        } else if self.activity.swap(false, Ordering::Relaxed) {
            (self.state.last, self.state.phase) = (true, Phase::Room);
        } else {
            self.state.phase = Phase::InFlight;
        }
    }

    fn tell_sources(&mut self, control: impl Fn() -> Control) {
        let controls = (0..self.controls.len()).map(|subtask| Unsent::Control(subtask, control()));
        self.state.unsent.extend(controls);
    }

    fn measure(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.state.measured_ns);
        if MEASURE_NS <= elapsed_ns {
            self.shared.meters().for_each(|meter| meter.measure(now_ns, elapsed_ns));
            self.state.measured_ns = now_ns;
        }
    }

    /// Looks at what the broker says of the topic: checks it, and assigns partitions not yet assigned.
    fn adopt_topology(&mut self) -> Result<(), Failure> {
        let Some(topology) = self.state.topology.take() else { return Ok(()) };
        self.check_topic_id(topology.topic_id.as_deref())?;
        for info in &topology.partitions {
            self.shared.set_end_offset(info.partition, info.end_offset);
        }
        let first = self.shared.state().0 == State::Starting;
        // A pipeline that was reset has epochs behind it and knows no partition.
        let added_later = !first || !self.state.partitions.is_empty();
        for info in &topology.partitions {
            let known = self.state.partitions.get(&info.partition).cloned();
            match known {
                Some(fact) if first => self.resume(fact, info)?,
                None if first || !self.bounded => self.assign_new(info, added_later),
                _ => {}
            }
        }
        if first { self.check_gone(&topology) } else { Ok(()) }
    }

    /// A topic keeps its partitions. One that has a name, such as a file, may be taken away once it was read to its end.
    fn check_gone(&mut self, topology: &Topology) -> Result<(), Failure> {
        let is_there = |partition: &i32| {
            topology.partitions.binary_search_by_key(partition, |info| info.partition).is_ok()
        };
        for (partition, fact) in
            self.state.partitions.iter_mut().filter(|(partition, _)| !is_there(partition))
        {
            let Some(place) = fact.place() else {
                return Err(Failure(format!(
                    "topic \"{}\" no longer has partition {partition}, which was read before",
                    self.source.topic()
                )));
            };
            let end = fact.end_offset.unwrap_or(0);
            let n_read = match fact.next_offset {
                // It was to be read from its end on.
                ..0 if self.source.start() == Start::Latest => end,
                next_offset => next_offset.max(0),
            };
            let n_lost = u64::try_from(end.saturating_sub(n_read)).unwrap_or(0);
            if 0 < n_lost && !self.skip_lost {
                return Err(Failure(format!(
                    "\"{place}\" was taken away when {n_read} of its {end} records had been read: put it back, or go on \
                     without the others by \"weir run\" with --skip-lost and this pipeline's name"
                )));
            }
            tracing::info!(
                source = self.source.name(),
                place,
                n_read,
                n_lost,
                "it is gone: no more is read of it"
            );
            fact.next_offset = n_read.max(end);
            (fact.idle, fact.bounded_end) = (true, Some(fact.next_offset));
            if 0 < n_lost {
                self.state.skipped.push(fact.clone());
                self.state.n_skipped += n_lost;
                self.shared.lost_records_total.fetch_add(n_lost, Ordering::Relaxed);
                self.activity.store(true, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn check_topic_id(&self, found: Option<&str>) -> Result<(), Failure> {
        let Some(found) = found else { return Ok(()) };
        let failed = |error: crate::state::Error| Failure(error.to_string());
        let Some(mut identity) = self.store.identity().map_err(failed)? else { return Ok(()) };
        match &identity.topic_id {
            None => {
                identity.topic_id = Some(found.to_owned());
                self.store.set_identity(&identity).map_err(failed)
            }
            Some(known) if known != found => Err(Failure(format!(
                "topic \"{}\" was made anew: its id was {known}, now it is {found}; start this pipeline over with \
                 \"weir reset\"",
                self.source.topic()
            ))),
            Some(_) => Ok(()),
        }
    }

    /// Goes on with a partition where it was committed.
    fn resume(&mut self, mut fact: PartitionFact, info: &PartitionInfo) -> Result<(), Failure> {
        fact.bounded_end = self.bounded.then(|| fact.bounded_end.unwrap_or(info.end_offset));
        // A backlog is not idleness: the others must wait for what came while nobody read.
        fact.idle &= info.end_offset <= fact.next_offset;
        if fact.next_offset < 0 {
            let start = self.source.start();
            self.assign(fact, start, info);
            return Ok(());
        }
        // With --skip-lost the reader finds it out once more, and its subtask counts it.
        if fact.next_offset < info.begin_offset && !self.skip_lost {
            let lost = SourceError::Lost {
                partition: fact.partition,
                next_offset: fact.next_offset,
                begin_offset: info.begin_offset,
            };
            return Err(Failure(format!("topic \"{}\": {lost}", self.source.topic())));
        }
        if info.end_offset < fact.next_offset {
            return Err(Failure(format!(
                "partition {} of topic \"{}\" ends at {}, before the next offset {}: it was made anew or lost records",
                fact.partition,
                self.source.topic(),
                info.end_offset,
                fact.next_offset
            )));
        }
        let start = Start::Offset(fact.next_offset);
        self.assign(fact, start, info);
        Ok(())
    }

    /// Starts with a partition: where the source file says, or, if it was added later, at its beginning.
    fn assign_new(&mut self, info: &PartitionInfo, added_later: bool) {
        let start = if added_later { Start::Earliest } else { self.source.start() };
        let fact = PartitionFact {
            partition: info.partition,
            // Kept even if no reader gets to it before a restart, which then starts there, too.
            next_offset: if added_later { info.begin_offset } else { -1 },
            watermark_ms: None,
            idle: false,
            floor_ms: None,
            bounded_end: self.bounded.then_some(info.end_offset),
            name: self.source.partition_name(info.partition),
            end_offset: None,
        };
        self.assign(fact, start, info);
    }

    fn assign(&mut self, fact: PartitionFact, start: Start, info: &PartitionInfo) {
        let subtask = usize::try_from(fact.partition).unwrap_or(0) % self.controls.len();
        self.state.partitions.insert(fact.partition, fact.clone());
        self.shared.set_unread(fact.partition, true);
        let control = Control::Assign { fact, start, end_offset: Some(info.end_offset) };
        self.state.unsent.push_back(Unsent::Control(subtask, control));
    }
}

fn is_done(fact: &PartitionFact) -> bool {
    0 <= fact.next_offset && fact.bounded_end.is_some_and(|end| end <= fact.next_offset)
}
