//! The offsets of a consumer group that nobody is in, by the AlterConsumerGroupOffsets call of
//! librdkafka's admin interface.

use std::ffi::CStr;
use std::time::Duration;

use rdkafka_sys as sys;

use super::admin::{OUT_OF_MEMORY, only_result};
use super::client::Client;
use super::offsets::Partitions;
use super::owned::Owned;
use super::{Failure, text};

impl Client {
    /// Sets the next offsets of partitions, as the group has them.
    pub(in crate::kafka) fn set_group_offsets(
        &self,
        group: &CStr,
        topic: &CStr,
        offsets: &[(i32, i64)],
        timeout: Duration,
    ) -> Result<(), Failure> {
        let partitions = Partitions::new(topic, offsets);
        // SAFETY: the handle is alive; the object made here copies group and partitions and is given back by
        // its `Owned`; the array has one element.
        unsafe {
            let change = sys::rd_kafka_AlterConsumerGroupOffsets_new(group.as_ptr(), partitions.as_ptr());
            let change =
                Owned::new(change, sys::rd_kafka_AlterConsumerGroupOffsets_destroy).expect(OUT_OF_MEMORY);
            let mut changes = [change.as_ptr()];
            let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS;
            let event = self.ask_admin(operation, None, timeout, |options, queue| {
                let (changes, n_changes) = (changes.as_mut_ptr(), changes.len());
                sys::rd_kafka_AlterConsumerGroupOffsets(self.as_ptr(), changes, n_changes, options, queue);
            })?;
            read_answer(&event)
        }
    }
}

/// # Safety
/// `event` is the answer to AlterConsumerGroupOffsets.
unsafe fn read_answer(event: &Owned<sys::rd_kafka_event_t>) -> Result<(), Failure> {
    // SAFETY: the event is alive, and so is all that is read out of it.
    unsafe {
        let result = sys::rd_kafka_event_AlterConsumerGroupOffsets_result(event.as_ptr());
        let group = only_result(result, sys::rd_kafka_AlterConsumerGroupOffsets_result_groups)?;
        let error = sys::rd_kafka_group_result_error(group);
        if !error.is_null() {
            let code = sys::rd_kafka_error_code(error) as i32;
            return Err(Failure { code, detail: text(sys::rd_kafka_error_string(error)) });
        }
        match Partitions::read_all(sys::rd_kafka_group_result_partitions(group))
            .iter()
            .find(|(_, _, code)| *code != 0)
        {
            Some((_, _, code)) => Err(Failure::coded(*code)),
            None => Ok(()),
        }
    }
}
