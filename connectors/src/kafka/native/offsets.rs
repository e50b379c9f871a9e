//! Questions about a topic's offsets. They block, for a time that the caller sets.

use std::ffi::CStr;
use std::ptr::{NonNull, addr_of};
use std::time::Duration;

use rdkafka_sys as sys;

use super::client::Client;
use super::{Failure, millis};

/// A place in a partition's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum LogOffset {
    /// The first record that exists.
    Begin,
    /// Behind the last one that this client may read: the last stable offset under
    /// `read_committed`.
    End,
    /// The first record with a Kafka timestamp at or after this, in milliseconds since 1970.
    Time(i64),
}

impl LogOffset {
    /// As the ListOffsets request has it.
    fn to_wire(self) -> i64 {
        match self {
            Self::Begin => i64::from(sys::RD_KAFKA_OFFSET_BEGINNING),
            Self::End => i64::from(sys::RD_KAFKA_OFFSET_END),
            Self::Time(time_ms) => time_ms.max(0),
        }
    }
}

/// A list of partitions, each with an offset and an error.
pub(super) struct Partitions {
    list: NonNull<sys::rd_kafka_topic_partition_list_t>,
}

impl Partitions {
    /// Partitions of a topic with their offsets.
    pub(super) fn new(topic: &CStr, offsets: &[(i32, i64)]) -> Self {
        let size = i32::try_from(offsets.len()).unwrap_or(i32::MAX);
        // SAFETY: a new list that we own; `add` copies the topic's name and returns an element of it.
        unsafe {
            let list = NonNull::new(sys::rd_kafka_topic_partition_list_new(size))
                .expect("librdkafka aborts where memory is out");
            for (partition, offset) in offsets {
                let element =
                    sys::rd_kafka_topic_partition_list_add(list.as_ptr(), topic.as_ptr(), *partition);
                (*element).offset = *offset;
            }
            Self { list }
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.list.as_ptr()
    }

    fn read(&self) -> Vec<(i32, i64, i32)> {
        // SAFETY: the list is ours.
        unsafe { Self::read_all(self.list.as_ptr()) }
    }

    /// Partition, offset and error code of every element.
    ///
    /// # Safety
    /// `list` is alive, or null.
    pub(super) unsafe fn read_all(list: *const sys::rd_kafka_topic_partition_list_t) -> Vec<(i32, i64, i32)> {
        // SAFETY: the caller's promise; it has `cnt` elements. The error is read as a number, since it
        // may be one that the enum does not have.
        unsafe {
            let Some(list) = list.as_ref() else { return Vec::new() };
            (0..usize::try_from(list.cnt).unwrap_or(0))
                .map(|i| {
                    let element = list.elems.add(i);
                    let code = addr_of!((*element).err).cast::<i32>().read();
                    ((*element).partition, (*element).offset, code)
                })
                .collect()
        }
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: the list is ours, and this is the last use.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.list.as_ptr()) }
    }
}

impl Client {
    /// The offset of `at` in each of `partitions`, in that order; [`LogOffset::Time`] gives -1 where
    /// no record is that young. One request to each leader.
    pub(in crate::kafka) fn list_offsets(
        &self,
        topic: &CStr,
        partitions: &[i32],
        at: LogOffset,
        timeout: Duration,
    ) -> Result<Vec<i64>, Failure> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<(i32, i64)> = partitions.iter().map(|partition| (*partition, at.to_wire())).collect();
        let list = Partitions::new(topic, &asked);
        // SAFETY: handle and list are alive. librdkafka hands late answers to nobody.
        let error = unsafe { sys::rd_kafka_offsets_for_times(self.as_ptr(), list.as_ptr(), millis(timeout)) };
        if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(Failure::of(error));
        }
        let answers = list.read();
        partitions
            .iter()
            .map(|partition| match answers.iter().find(|(answered, _, _)| answered == partition) {
                Some((_, offset, 0)) => Ok(*offset),
                Some((_, _, code)) => Err(Failure::coded(*code)),
                None => Err(Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)),
            })
            .collect()
    }

    /// The end of a partition as the last fetch told it; `None` before the first one.
    pub(in crate::kafka) fn cached_end_offset(&self, topic: &CStr, partition: i32) -> Option<i64> {
        let (mut begin, mut end) = (-1, -1);
        // SAFETY: the handle is alive, both results are ours.
        let error = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.as_ptr(),
                topic.as_ptr(),
                partition,
                &raw mut begin,
                &raw mut end,
            )
        };
        (error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && end >= 0).then_some(end)
    }
}
