//! The offsets of a consumer group that nobody is in, committed as a consumer does that chooses its
//! partitions itself.
//!
//! AlterConsumerGroupOffsets, which is made for it, ends the process where the broker goes away meanwhile.
//!
//! Invariant: at most one commit is under way, so that none overtakes another.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use rdkafka_sys as sys;

use super::admin::OUT_OF_MEMORY;
use super::client::Client;
use super::offsets::Partitions;
use super::owned::Owned;
use super::{Failure, millis};

/// A client of a group, for nothing but the group's offsets.
pub(in crate::kafka) struct Group {
    /// Goes before the client whose queue it is.
    answers: Owned<sys::rd_kafka_queue_t>,
    client: Client,
    /// A commit has not been answered yet.
    is_under_way: bool,
}

// SAFETY: a queue's handle may be used from any thread.
unsafe impl Send for Group {}

impl Group {
    /// `client`'s configuration has the group's name.
    pub(in crate::kafka) fn new(client: Client) -> Self {
        // SAFETY: the client is alive; the queue is given back by its `Owned`.
        let answers =
            unsafe { Owned::new(sys::rd_kafka_queue_new(client.as_ptr()), sys::rd_kafka_queue_destroy) };
        Self { answers: answers.expect(OUT_OF_MEMORY), client, is_under_way: false }
    }

    /// Sets the next offsets of partitions, as the group has them, once it is known what became of the
    /// commit before.
    ///
    /// # Errors
    /// The group's coordinator refused; or nothing is known within `timeout`: they may yet be set.
    pub(in crate::kafka) fn commit(
        &mut self,
        topic: &CStr,
        offsets: &[(i32, i64)],
        timeout: Duration,
    ) -> Result<(), Failure> {
        let until = Instant::now() + timeout;
        if self.is_under_way {
            // Whatever it is: what is told now is newer.
            self.answer(until)?.ok();
        }
        let partitions = Partitions::new(topic, offsets);
        // SAFETY: handle, list and queue are alive; librdkafka copies the list.
        let error = unsafe {
            let (client, answers) = (self.client.as_ptr(), self.answers.as_ptr());
            sys::rd_kafka_commit_queue(client, partitions.as_ptr(), answers, None, null_mut())
        };
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Failure::of(error));
        }
        self.is_under_way = true;
        self.answer(until)?
    }

    /// Waits for the answer to the commit under way.
    ///
    /// # Errors
    /// There is none yet; why, where the client knows.
    fn answer(&mut self, until: Instant) -> Result<Result<(), Failure>, Failure> {
        self.forget_complaints();
        let patience = millis(until.saturating_duration_since(Instant::now()));
        // SAFETY: the queue is alive, and the event is given back by its `Owned`.
        let event = unsafe {
            let event = sys::rd_kafka_queue_poll(self.answers.as_ptr(), patience);
            Owned::new(event, sys::rd_kafka_event_destroy)
        };
        let Some(event) = event else {
            let mut failure = Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT);
            failure.detail = self.client.cause().unwrap_or(failure.detail);
            return Err(failure);
        };
        self.is_under_way = false;
        self.client.answered();
        // SAFETY: the event is alive, and so is the list that is a part of it.
        Ok(unsafe { read_answer(&event) })
    }

    /// Takes out what the client would tell a member of the group: nobody else does.
    fn forget_complaints(&self) {
        // SAFETY: the client is alive; queue and events are given back by their `Owned`.
        unsafe {
            let queue = sys::rd_kafka_queue_get_consumer(self.client.as_ptr());
            let Some(queue) = Owned::new(queue, sys::rd_kafka_queue_destroy) else { return };
            let next =
                || Owned::new(sys::rd_kafka_queue_poll(queue.as_ptr(), 0), sys::rd_kafka_event_destroy);
            while next().is_some() {}
        }
    }
}

/// # Safety
/// `event` is the answer to a commit.
unsafe fn read_answer(event: &Owned<sys::rd_kafka_event_t>) -> Result<(), Failure> {
    // SAFETY: the event is alive, and so is its list.
    let (error, partitions) = unsafe {
        let list = sys::rd_kafka_event_topic_partition_list(event.as_ptr());
        (sys::rd_kafka_event_error(event.as_ptr()), Partitions::read_all(list))
    };
    if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Err(Failure::of(error));
    }
    match partitions.into_iter().find(|(_, _, code)| *code != 0) {
        Some((_, _, code)) => Err(Failure::coded(code)),
        None => Ok(()),
    }
}
