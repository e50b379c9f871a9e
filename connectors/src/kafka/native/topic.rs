//! A topic of a client, and what the brokers know about it.

use std::ffi::{CStr, CString};
use std::ptr::{NonNull, addr_of, null, null_mut};
use std::sync::Arc;
use std::time::Duration;

use rdkafka_sys as sys;

use super::client::Client;
use super::{Failure, millis};

/// A topic that partitions are fetched of.
pub(in crate::kafka) struct Topic {
    handle: NonNull<sys::rd_kafka_topic_t>,
    name: CString,
    client: Arc<Client>,
}

/// A topic's partitions and identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct TopicDescription {
    /// Of this topic and of no other that had or will have its name; `None` from old brokers.
    pub(in crate::kafka) topic_id: Option<String>,
    /// Ascending.
    pub(in crate::kafka) partitions: Vec<i32>,
}

// SAFETY: as a client's, a topic's handle may be used from any thread.
unsafe impl Send for Topic {}
// SAFETY: as above.
unsafe impl Sync for Topic {}

impl Topic {
    pub(in crate::kafka) fn new(client: Arc<Client>, name: &CStr) -> Result<Self, Failure> {
        // SAFETY: the client is alive; without a configuration the topic has the client's.
        let handle = unsafe { sys::rd_kafka_topic_new(client.as_ptr(), name.as_ptr(), null_mut()) };
        // SAFETY: it reads a number of this thread.
        let handle =
            NonNull::new(handle).ok_or_else(|| Failure::of(unsafe { sys::rd_kafka_last_error() }))?;
        Ok(Self { handle, name: name.to_owned(), client })
    }

    pub(in crate::kafka) fn name(&self) -> &CStr {
        &self.name
    }

    pub(in crate::kafka) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks the brokers what the topic is. Two questions, each waiting for `timeout` at most.
    pub(in crate::kafka) fn describe(&self, timeout: Duration) -> Result<TopicDescription, Failure> {
        let mut leaders = self.leaders(timeout)?;
        leaders.sort_unstable();
        let partitions: Vec<i32> = leaders.iter().map(|(partition, _)| *partition).collect();
        let leader = leaders.iter().map(|(_, leader)| *leader).find(|leader| *leader >= 0);
        let leader = leader
            .ok_or_else(|| Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE))?;
        let topic_id = match self.client.topic_id(&self.name, leader, timeout) {
            Err(failure) if failure.is_unsupported() => None,
            answer => answer?,
        };
        Ok(TopicDescription { topic_id, partitions })
    }

    /// Asks a broker for the leader of each partition, -1 where it has none now.
    pub(in crate::kafka) fn leaders(&self, timeout: Duration) -> Result<Vec<(i32, i32)>, Failure> {
        let mut metadata: *const sys::rd_kafka_metadata = null();
        // SAFETY: client and topic are alive; the answer is ours until it is given back below.
        // Errors are read as numbers, since they may be ones that the enum does not have.
        unsafe {
            let error = sys::rd_kafka_metadata(
                self.client.as_ptr(),
                0,
                self.as_ptr(),
                &raw mut metadata,
                millis(timeout),
            );
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(Failure::of(error));
            }
            self.client.answered();
            let leaders = read_leaders(&*metadata);
            sys::rd_kafka_metadata_destroy(metadata);
            leaders
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_t {
        self.handle.as_ptr()
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the last use of the handle; the client is still alive.
        unsafe { sys::rd_kafka_topic_destroy(self.handle.as_ptr()) }
    }
}

/// # Safety
/// `metadata` is librdkafka's answer about one topic.
unsafe fn read_leaders(metadata: &sys::rd_kafka_metadata) -> Result<Vec<(i32, i32)>, Failure> {
    if metadata.topic_cnt < 1 {
        return Err(Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC));
    }
    // SAFETY: the arrays have as many elements as they say.
    unsafe {
        let topic = metadata.topics;
        let code = addr_of!((*topic).err).cast::<i32>().read();
        if code != 0 {
            return Err(Failure::coded(code));
        }
        let n_partitions = usize::try_from((*topic).partition_cnt).unwrap_or(0);
        let partition = |i| (*topic).partitions.add(i);
        Ok((0..n_partitions).map(|i| ((*partition(i)).id, (*partition(i)).leader)).collect())
    }
}
