//! A transactional producer that is waited for in slices: it looks at [`Stopping`] in between.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_engine::connector::{SinkError, Stopping};

use crate::kafka::native::{Client, Failure, Topic, TransactionError};

/// How long librdkafka is left alone.
const SLICE: Duration = Duration::from_millis(200);

/// How long a broker may take for one thing before the producer is given up: less than a transaction
/// may be open.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is left of it once the pipeline stops, for all that is still to be done: what a broker that
/// answers needs for a delivery.
const PATIENCE_STOPPING: Duration = Duration::from_millis(600);

/// How long to wait for room in the client's queue.
const ROOM: Duration = Duration::from_millis(20);

/// See the module.
pub(super) struct Producer {
    client: Arc<Client>,
    /// For messages.
    bootstrap_servers: String,
    stopping: Stopping,

    /// When to give up whatever it is, once the pipeline stops.
    stops_at: Cell<Option<Instant>>,
}

/// When to give up connecting: at once, where the pipeline stops.
pub(super) struct Patience<'a> {
    deadline: Instant,
    stopping: &'a Stopping,
}

impl<'a> Patience<'a> {
    pub(super) fn new(stopping: &'a Stopping) -> Self {
        Self::of(PATIENCE, stopping)
    }

    /// As [`Self::new`], for another time.
    pub(super) fn of(patience: Duration, stopping: &'a Stopping) -> Self {
        Self { deadline: Instant::now() + patience, stopping }
    }

    pub(super) fn is_over(&self) -> bool {
        self.stopping.is_set() || self.deadline <= Instant::now()
    }
}

impl Producer {
    pub(super) fn new(client: Arc<Client>, bootstrap_servers: &str, stopping: &Stopping) -> Self {
        let (bootstrap_servers, stopping) = (bootstrap_servers.to_owned(), stopping.clone());
        Self { client, bootstrap_servers, stopping, stops_at: Cell::new(None) }
    }

    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    /// Makes every earlier producer of this identity powerless, and ends what it left open.
    pub(super) fn fence_others(&self) -> Result<(), SinkError> {
        let fenced = self.in_slices(|| self.client.init_transactions(SLICE));
        fenced.map_err(|error| self.reopen("fence earlier writers", &error.failure))
    }

    pub(super) fn begin(&self) -> Result<(), SinkError> {
        let begun = self.client.begin_transaction();
        begun.map_err(|error| self.reopen("begin a transaction", &error.failure))
    }

    /// Adds a record to the transaction. Where that fails it has to be aborted.
    pub(super) fn send(
        &self,
        topic: &Topic,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), SinkError> {
        if self.send_if_it_fits(|| topic.produce(key, value))? {
            return Ok(());
        }
        let n_bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        Err(SinkError::Fatal(format!(
            "a row makes a record of {n_bytes} bytes, more than the connection's property \"message.max.bytes\" allows \
             (1000000 if it is not there): raise it, and the topic's \"max.message.bytes\", or select less"
        )))
    }

    /// Adds a record to the transaction, unless it is larger than the connection allows; whether it did. Where that
    /// fails the transaction has to be aborted.
    pub(super) fn send_if_it_fits(
        &self,
        produce: impl Fn() -> Result<(), Failure>,
    ) -> Result<bool, SinkError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let failure = match produce() {
                Ok(()) => return Ok(true),
                Err(failure) => failure,
            };
            if failure.is_queue_full() && !self.is_over(deadline) {
                self.client.flush(ROOM);
                continue;
            }
            if failure.is_too_large() {
                return Ok(false);
            }
            return Err(self.retry("write rows", &failure));
        }
    }

    /// Waits until the brokers have all records, or not, which the commit tells. Where that takes too
    /// long the transaction has to be aborted.
    pub(super) fn flush(&self) -> Result<(), SinkError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.client.flush(SLICE) {
            if self.is_over(deadline) {
                let failure = Failure { code: 0, detail: "they were not acknowledged in time".to_owned() };
                return Err(self.retry("write rows", &failure));
            }
        }
        Ok(())
    }

    /// Commits. [`SinkError::Retry`]: it was aborted; [`SinkError::Reopen`]: nobody knows.
    pub(super) fn commit(&self) -> Result<(), SinkError> {
        let Err(error) = self.in_slices(|| self.client.commit_transaction(SLICE)) else { return Ok(()) };
        if !error.is_abortable {
            return Err(self.reopen("commit", &error.failure));
        }
        let reason = match error.failure.is_too_large() {
            true => SinkError::Fatal(format!(
                "the broker refuses a batch of rows as too large: raise the topic's \"max.message.bytes\", or lower \
                 the connection's property \"batch.size\": {}",
                error.failure.detail
            )),
            false => self.retry("write rows", &error.failure),
        };
        Err(self.abort(reason))
    }

    /// Aborts because of `reason`, which is returned; where even that fails, the producer is of no more
    /// use.
    pub(super) fn abort(&self, reason: SinkError) -> SinkError {
        let aborted = self.in_slices(|| self.client.abort_transaction(SLICE));
        match (aborted, reason) {
            (Err(_), SinkError::Retry(reason)) => SinkError::Reopen(reason),
            (_, reason) => reason,
        }
    }

    /// Calls until it is done, fails or takes too long.
    fn in_slices(&self, call: impl Fn() -> Result<(), TransactionError>) -> Result<(), TransactionError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match call() {
                Err(error) if error.is_resumable && !error.is_abortable && !self.is_over(deadline) => {}
                done => return done,
            }
        }
    }

    /// Whether to give up what should be done by `deadline`.
    fn is_over(&self, deadline: Instant) -> bool {
        let now = Instant::now();
        if self.stopping.is_set() && self.stops_at.get().is_none() {
            self.stops_at.set(Some(now + PATIENCE_STOPPING));
        }
        self.stops_at.get().unwrap_or(deadline).min(deadline) <= now
    }

    fn retry(&self, what: &str, failure: &Failure) -> SinkError {
        SinkError::Retry(self.text(what, failure))
    }

    fn reopen(&self, what: &str, failure: &Failure) -> SinkError {
        SinkError::Reopen(self.text(what, failure))
    }

    fn text(&self, what: &str, failure: &Failure) -> String {
        self.client.serve();
        let trouble = self.client.take_trouble().map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        format!("could not {what} at \"{}\": {}{trouble}", self.bootstrap_servers, failure.detail)
    }
}
