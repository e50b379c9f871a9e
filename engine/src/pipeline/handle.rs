//! A running pipeline, as its owner holds it: state, snapshots, stop.

use std::sync::{Arc, Mutex, TryLockError};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

use crate::dataflow::commit::Latest;
use crate::dataflow::live::{Live, Shared, State, lock};
use crate::dataflow::message::Event;
use crate::dataflow::plan::Plan;
use crate::dataflow::replay::{Replayed, request};
use crate::result::{LetterId, Snapshot};

/// A pipeline that was started. Dropping it stops the pipeline.
pub struct PipelineHandle {
    name: String,
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    latest: Latest,
    events: Sender<Event>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held while dead letters are run again.
    replaying: Mutex<()>,
}

/// Why dead letters were not run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// What it is doing instead.
    #[error("the pipeline is {}, and runs dead letters again only while it is running", .0.as_str())]
    NotRunning(State),
    #[error("dead letters of this pipeline are being run again")]
    Busy,
    /// What was committed of it stays so, the rest was not done.
    #[error("the pipeline ended before all of it was committed")]
    Ended,
    #[error("could not read the dead letters")]
    State(#[from] crate::state::Error),
}

impl PipelineHandle {
    pub(super) fn new(
        name: String,
        plan: Arc<Plan>,
        shared: Arc<Shared>,
        latest: Latest,
        events: Sender<Event>,
        thread: JoinHandle<()>,
    ) -> Self {
        Self {
            name,
            plan,
            shared,
            latest,
            events,
            thread: Mutex::new(Some(thread)),
            replaying: Mutex::new(()),
        }
    }

    /// The pipeline file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it runs.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Its state and, if it failed, why.
    #[must_use]
    pub fn state(&self) -> (State, Option<String>) {
        self.shared.state()
    }

    /// The last committed epoch; epoch 0 before the first. It reads from the pipeline's folder, which
    /// nobody can open again while it is held, also after the pipeline has ended.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock(&self.latest))
    }

    /// What is known between epochs.
    #[must_use]
    pub fn live(&self) -> Live {
        self.shared.live()
    }

    /// Runs dead letters again, of `ids` those that are still there and may be ([`crate::dataflow::replay::runs_again`]),
    /// of many the first so many. Returns once what became of them is committed, which takes as long as a sink's full
    /// outbox does. Whether a letter was run again or not, it is so as a whole, and once.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn replay(&self, ids: &[LetterId]) -> Result<Replayed, ReplayError> {
        let _one = match self.replaying.try_lock() {
            Ok(one) => one,
            Err(TryLockError::Poisoned(one)) => one.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(ReplayError::Busy),
        };
        let state = self.state().0;
        if state != State::Running {
            return Err(ReplayError::NotRunning(state));
        }
        // The newest one: letters that the request before has taken are not in it.
        let Some((replay, replayed)) = request(&self.snapshot(), &self.plan, ids)? else {
            return Ok(Replayed::default());
        };
        self.events.send(Event::Replay(replay)).map_err(|_| ReplayError::Ended)?;
        replayed.recv().map_err(|_| ReplayError::Ended)
    }

    /// Asks it to finish its epoch, commit and stop. Returns at once.
    pub fn stop(&self) {
        // Fails only where it has ended already.
        drop(self.events.send(Event::Stop));
    }

    /// Waits until it has ended: stopped, failed, or a bounded run that is done.
    pub fn join(&self) {
        if let Some(thread) = lock(&self.thread).take() {
            // A panic is the pipeline's state already.
            drop(thread.join());
        }
    }
}

impl Drop for PipelineHandle {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}
