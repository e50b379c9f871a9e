//! A partition that is being fetched, with a queue of its own.
//!
//! Records of one partition never pass through a queue with those of others: a block is of one
//! partition without sorting, and a partition that nobody takes from fills its own queue only, which
//! stops its fetches and no others (pausing it in librdkafka would throw away what is queued).

use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka_sys as sys;

use super::Failure;
use super::topic::Topic;

/// A partition that is being fetched. Dropping it ends that.
pub(in crate::kafka) struct Partition {
    topic: Arc<Topic>,
    partition: i32,
    queue: NonNull<sys::rd_kafka_queue_t>,
}

// SAFETY: a queue's handle may be used from any thread.
unsafe impl Send for Partition {}

impl Partition {
    /// Fetches from `offset` on. Arrivals raise the client's wake.
    pub(in crate::kafka) fn start(topic: Arc<Topic>, partition: i32, offset: i64) -> Result<Self, Failure> {
        let client = topic.client();
        // SAFETY: client and name are alive; the reference to the queue is ours, and `drop` takes the
        // callback off and gives it back.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_get_partition(client.as_ptr(), topic.name().as_ptr(), partition);
            let queue = NonNull::new(queue)
                .ok_or_else(|| Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION))?;
            client.wake_by(queue.as_ptr(), true);
            queue
        };
        let this = Self { topic, partition, queue };
        this.fetch_from(offset)?;
        Ok(this)
    }

    /// Throws away what is queued and fetches from `offset` on.
    pub(in crate::kafka) fn restart(&self, offset: i64) -> Result<(), Failure> {
        self.stop();
        self.fetch_from(offset)
    }

    pub(in crate::kafka) fn number(&self) -> i32 {
        self.partition
    }

    pub(super) fn queue(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.as_ptr()
    }

    fn fetch_from(&self, offset: i64) -> Result<(), Failure> {
        // SAFETY: the topic is alive; the error is a number of this thread.
        unsafe {
            if sys::rd_kafka_consume_start(self.topic.as_ptr(), self.partition, offset) == 0 {
                Ok(())
            } else {
                Err(Failure::of(sys::rd_kafka_last_error()))
            }
        }
    }

    fn stop(&self) {
        // SAFETY: the topic is alive. A partition that is not being fetched is left as it is.
        unsafe { sys::rd_kafka_consume_stop(self.topic.as_ptr(), self.partition) };
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.stop();
        // SAFETY: queue and client are alive; this is the last use of the queue.
        unsafe {
            self.topic.client().wake_by(self.queue.as_ptr(), false);
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}
