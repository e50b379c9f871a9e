//! A running pipeline, as its owner holds it: state, snapshots, stop.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;

use crate::dataflow::commit::Latest;
use crate::dataflow::live::{Live, Shared, State, lock};
use crate::dataflow::message::Event;
use crate::dataflow::plan::Plan;
use crate::result::Snapshot;

/// A pipeline that was started. Dropping it stops the pipeline.
pub struct PipelineHandle {
    name: String,
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    latest: Latest,
    events: Sender<Event>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
        Self { name, plan, shared, latest, events, thread: Mutex::new(Some(thread)) }
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
