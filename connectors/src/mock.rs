//! A Kafka that needs no server: librdkafka's mock cluster, for the demo and for tests.
//!
//! It speaks the real wire protocol on loopback ports and keeps data in memory: 5 MiB or 100,000
//! record batches a partition, then the oldest go. It has no CreateTopics and no offsets by time.
//!
//! The native cluster stays on the thread that made it; [`MockKafka`] talks to that thread.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// The mock cluster failed. Give up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the mock cluster failed: {0}")]
pub struct MockError(String);

/// A running mock cluster. Dropping it ends it.
#[derive(Debug)]
pub struct MockKafka {
    bootstrap_servers: String,
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// What to do on the cluster's thread, and where to answer.
struct Command {
    action: Action,
    answer: Sender<Result<(), MockError>>,
}

enum Action {
    CreateTopic { name: String, n_partitions: i32 },
    SetDown(bool),
}

impl MockKafka {
    /// Starts a cluster of `n_brokers` on free ports.
    ///
    /// # Errors
    /// [`MockError`] where there are no ports or threads to be had.
    pub fn start(n_brokers: i32) -> Result<Self, MockError> {
        let (commands, inbox) = channel();
        let (ready, started) = channel();
        let thread = std::thread::Builder::new()
            .name("mock-kafka".to_owned())
            .spawn(move || run(n_brokers, &ready, &inbox))
            .map_err(|error| MockError(error.to_string()))?;
        let bootstrap_servers = started.recv().map_err(|_| MockError("its thread ended".to_owned()))??;
        Ok(Self { bootstrap_servers, commands: Some(commands), thread: Some(thread) })
    }

    /// `host:port`, several with commas.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// [`MockError`] where it exists already, or the name is not one.
    pub fn create_topic(&self, name: &str, n_partitions: i32) -> Result<(), MockError> {
        self.ask(Action::CreateTopic { name: name.to_owned(), n_partitions })
    }

    /// Has all brokers refuse connections, or accept them again. What they hold stays.
    ///
    /// # Errors
    /// [`MockError`] where the cluster refuses.
    pub fn set_down(&self, down: bool) -> Result<(), MockError> {
        self.ask(Action::SetDown(down))
    }

    fn ask(&self, action: Action) -> Result<(), MockError> {
        let ended = || MockError("its thread ended".to_owned());
        let (answer, answered) = channel();
        let commands = self.commands.as_ref().ok_or_else(ended)?;
        commands.send(Command { action, answer }).map_err(|_| ended())?;
        answered.recv().map_err(|_| ended())?
    }
}

impl Drop for MockKafka {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the mock cluster's thread panicked");
        }
    }
}

/// The cluster's thread: serves commands until nobody can send any.
fn run(n_brokers: i32, ready: &Sender<Result<String, MockError>>, inbox: &Receiver<Command>) {
    let cluster = match Cluster::new(n_brokers) {
        Ok(cluster) => cluster,
        Err(error) => return answer(ready, Err(MockError(error.to_string()))),
    };
    answer(ready, Ok(cluster.bootstrap_servers()));
    while let Ok(command) = inbox.recv() {
        let done = match command.action {
            Action::CreateTopic { name, n_partitions } => cluster.create_topic(&name, n_partitions, 1),
            Action::SetDown(true) => cluster.broker_down(-1),
            Action::SetDown(false) => cluster.broker_up(-1),
        };
        answer(&command.answer, done.map_err(|error| MockError(error.to_string())));
    }
}

/// Whoever asked may be gone: then nobody wants the answer.
fn answer<T>(to: &Sender<T>, value: T) {
    drop(to.send(value));
}
