//! librdkafka behind a safe interface.
//!
//! ```text
//! Conf ──► Client ──► Topic ──► Partition (one queue each) ──► Batch::take ──► RecordBlock
//!            │ └────► describe, create, list_offsets, Group, transactions; Topic ──► produce
//!            └──────► Wake: some queue has something; trouble: what the client last complained of
//! ```
//!
//! It is made with `rdkafka-sys` and not with `rdkafka`'s consumers, because those hand out one
//! record per call, and because taking records in bulk from their queue would lose their errors
//! (they are events, which the bulk call drops).
//!
//! Invariants:
//! 1. A value that owns a native object keeps alive what that object needs ([`Arc`]s upwards), and
//!    gives it back exactly once.
//! 2. Callbacks run on librdkafka's threads: they take a short lock, never call librdkafka, never
//!    unwind.
//! 3. Error codes are read as numbers: a broker may send one that the Rust enum does not have.
//!
//! [`Arc`]: std::sync::Arc

#![expect(
    unsafe_code,
    reason = "the bulk calls of librdkafka have no safe binding, and its transactions none that can be waited for in slices"
)]

mod admin;
mod batch;
mod client;
mod conf;
mod create;
mod describe;
mod group;
mod offsets;
mod owned;
mod partition;
mod topic;
mod transaction;
mod wake;

use std::ffi::{CStr, c_char};
use std::time::Duration;

use rdkafka_sys as sys;

pub(super) use batch::{Batch, Taken};
pub(super) use client::Client;
pub(super) use conf::{Conf, SetError};
pub(super) use group::Group;
pub(super) use offsets::LogOffset;
pub(super) use partition::Partition;
pub(super) use topic::Topic;
pub(super) use transaction::TransactionError;

/// What librdkafka, or a broker through it, answered instead of a result.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// Of `rd_kafka_resp_err_t`, or one that it does not have.
    pub(super) code: i32,
    /// For a person.
    pub(super) detail: String,
}

impl Failure {
    fn of(error: sys::rd_kafka_resp_err_t) -> Self {
        Self::coded(error as i32)
    }

    /// The failure of a code, in librdkafka's words.
    pub(super) fn coded(code: i32) -> Self {
        let detail = match sys::rd_kafka_resp_err_t::try_from(code) {
            // SAFETY: it returns a static string for every value of the enum.
            Ok(error) => unsafe { text(sys::rd_kafka_err2str(error)) },
            Err(_) => format!("error {code}"),
        };
        Self { code, detail }
    }

    /// Whether the topic does not exist, or not yet.
    pub(super) fn is_unknown_topic(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART as i32
            || self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC as i32
    }

    /// Whether a topic that was to be made is there already.
    pub(super) fn is_topic_there(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS as i32
    }

    /// Whether the client holds as many records as it may.
    pub(super) fn is_queue_full(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL as i32
    }

    /// Whether a record, or a batch of them, is larger than client, topic or broker allow.
    pub(super) fn is_too_large(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE as i32
            || self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE as i32
    }

    /// Whether the broker is too old for the question.
    fn is_unsupported(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE as i32
            || self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION as i32
    }

    /// Whether it only says that a partition has been read to its end.
    pub(super) fn is_partition_end(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF as i32
    }

    /// Whether the partition has no record at the position any more, or not yet.
    pub(super) fn is_out_of_range(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET as i32
            || self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE as i32
    }

    /// Whether librdkafka could not read what it was sent, and goes on behind it.
    pub(super) fn is_damaged(&self) -> bool {
        self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_MSG as i32
            || self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_COMPRESSION as i32
            || self.code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED as i32
    }
}

/// Copies a C string; null is empty.
///
/// # Safety
/// `pointer` is null or points to a string that ends in a zero byte.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}

/// A duration as librdkafka takes it; never negative, which would mean "for ever".
fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
