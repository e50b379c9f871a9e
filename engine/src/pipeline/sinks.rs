//! The sinks of a pipeline at its start and its end.
//!
//! Invariants:
//! 1. A sink that is new gets the rows of the next epoch and later ones; what waits for a sink that is
//!    no longer there is dropped, and the log says so.
//! 2. A sink that hangs keeps no pipeline from stopping: after `STOP_MAX` its thread is left behind,
//!    with nothing in its hands but its own connection; one that is only connecting is at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::{Environment, Pipeline, PipelineSink, StartError};
use crate::connector::{Emit, SinkContext, Stopping};
use crate::dataflow::actor::run;
use crate::dataflow::message::Event;
use crate::dataflow::sink::{Outbox, Outboxes, SinkTask, SinkTaskState, Sinks, Status};
use crate::dataflow::threads::spawn;
use crate::facts::Facts;
use crate::operator::stateless::result_schema;
use crate::result::dead_letter_schema;
use crate::state::{SinkRecord, Size, Store};

/// How long a stop waits for sinks: a delivery that is under way mostly ends in time.
const STOP_MAX: Duration = Duration::from_secs(3);
/// How often a stop looks whether those that are left are only connecting.
const LOOK: Duration = Duration::from_millis(20);

/// What is known of a pipeline's sinks before it runs.
pub(super) struct KnownSinks {
    statuses: Vec<Arc<Status>>,
    records: Vec<SinkRecord>,
}

impl KnownSinks {
    /// Reads what the folder knows of the sinks, and forgets those that are gone.
    pub(super) fn open(store: &Store, pipeline: &Pipeline, facts: &Facts) -> Result<Self, StartError> {
        let mut kept = store.sinks()?;
        let (mut statuses, mut records) = (Vec::new(), Vec::new());
        for each in &pipeline.sinks {
            let name = each.sink.name();
            let mut record = SinkRecord { may_have: Some(facts.epoch), delivered: None };
            let mut waiting = Size::default();
            if !each.sink.only_counts() {
                if let Some(kept) = kept.remove(name) {
                    record = SinkRecord { may_have: kept.may_have.or(record.may_have), ..kept };
                    waiting = store.outbox_size(name)?;
                }
                store.set_sink(name, &record, false)?;
            }
            let delivered = record.delivered_epoch(waiting.rows, facts.epoch);
            let status = Status::new(&*each.sink, each.outbox_bytes_max, waiting, delivered);
            statuses.push(Arc::new(status));
            records.push(record);
        }
        forget(store, &pipeline.options.name, &kept)?;
        Ok(Self { statuses, records })
    }

    pub(super) fn sinks(&self) -> Sinks {
        Sinks(self.statuses.clone())
    }

    pub(super) fn outboxes(&self, pipeline: &Pipeline) -> Outboxes {
        let n_columns = pipeline.plan.output.fields().len();
        let sinks = pipeline.sinks.iter().zip(&self.statuses);
        Outboxes(
            sinks
                .map(|(each, status)| Outbox {
                    sink: Arc::clone(&each.sink),
                    status: Arc::clone(status),
                    n_columns,
                })
                .collect(),
        )
    }

    /// A task for each sink that has an outbox. `stop` is closed, and `stopping` set, to stop them.
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own, named at the one caller")]
    pub(super) fn tasks(
        self,
        pipeline: &Pipeline,
        store: &Store,
        incarnation: u64,
        source_partitions: usize,
        environment: &Environment,
        stopping: &Stopping,
        stop: &Receiver<()>,
    ) -> Vec<SinkTask> {
        let plan = &pipeline.plan;
        let sinks = pipeline.sinks.iter().zip(self.statuses).zip(self.records);
        let sinks = sinks.filter(|((each, _), _)| !each.sink.only_counts());
        let context = |each: &PipelineSink| SinkContext {
            project: pipeline.project.clone(),
            pipeline: pipeline.options.name.clone(),
            sink: each.sink.name().to_owned(),
            incarnation,
            fingerprint: plan.fingerprint,
            schema: match each.sink.emit() {
                Emit::Final => Arc::clone(&plan.output),
                Emit::Updates => result_schema(&plan.output),
                Emit::DeadLetters => dead_letter_schema(),
            },
            key: if each.sink.emit() == Emit::DeadLetters { Vec::new() } else { plan.key.clone() },
            source_partitions,
            stopping: stopping.clone(),
        };
        let task = |((each, status), known): ((&PipelineSink, Arc<Status>), SinkRecord)| SinkTask {
            state: SinkTaskState::new(&context(each).identity(), known.delivered),
            context: context(each),
            sink: Arc::clone(&each.sink),
            source: Arc::clone(&pipeline.source),
            store: store.downgrade(),
            status,
            clock: Arc::clone(&environment.clock),
            stop: stop.clone(),
            may_have: known.may_have.unwrap_or_default(),
        };
        sinks.map(task).collect()
    }
}

fn forget(store: &Store, pipeline: &str, gone: &BTreeMap<String, SinkRecord>) -> Result<(), StartError> {
    for sink in gone.keys() {
        let dropped = store.outbox_size(sink)?;
        store.remove_sink(sink)?;
        tracing::warn!(pipeline, sink, outbox_rows = dropped.rows, "sink is gone: its outbox was dropped");
    }
    Ok(())
}

/// The threads of a pipeline's sinks.
pub(super) struct SinkThreads {
    stopping: Stopping,
    threads: Vec<(Arc<Status>, JoinHandle<()>)>,
    /// Dropped to stop them.
    stop: Sender<()>,
    /// Closed when the last of them has ended.
    ended: Receiver<()>,
}

impl SinkThreads {
    pub(super) fn start(
        tasks: Vec<SinkTask>,
        stopping: Stopping,
        stop: Sender<()>,
        events: &Sender<Event>,
    ) -> Result<Self, StartError> {
        let (running, ended) = bounded::<()>(0);
        let mut threads = Vec::new();
        for task in tasks {
            let (status, running) = (Arc::clone(&task.status), running.clone());
            let thread = spawn(format!("sink {}", status.name()), events.clone(), move || {
                let ended = run(task);
                drop(running);
                ended
            })?;
            threads.push((status, thread));
        }
        Ok(Self { stopping, threads, stop, ended })
    }

    /// Stops them, and waits for those that are delivering.
    pub(super) fn stop(self) {
        self.stopping.set();
        drop(self.stop);
        let mut left = STOP_MAX;
        while let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(LOOK.min(left)) {
            left = left.saturating_sub(LOOK);
            let running = || self.threads.iter().filter(|(_, thread)| !thread.is_finished());
            if running().all(|(status, _)| status.is_opening()) {
                return;
            }
            if left.is_zero() {
                for (status, _) in running() {
                    let sink = status.name();
                    tracing::warn!(
                        sink,
                        "sink did not answer in time: what it has not got stays in the outbox"
                    );
                }
                return;
            }
        }
        for (_, thread) in self.threads {
            // A panic was reported by the thread itself.
            drop(thread.join());
        }
    }
}
