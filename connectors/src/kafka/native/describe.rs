//! The identity of a topic, by the DescribeTopics call of librdkafka's admin interface.

use std::ffi::CStr;
use std::time::Duration;

use rdkafka_sys as sys;

use super::admin::{OUT_OF_MEMORY, only_topic};
use super::client::Client;
use super::owned::Owned;
use super::{Failure, text};

impl Client {
    /// Asks a broker for the id of a topic, which no other topic has that had or will have its name.
    /// `None` where the broker is too old to have one.
    pub(super) fn topic_id(
        &self,
        topic: &CStr,
        broker: i32,
        timeout: Duration,
    ) -> Result<Option<String>, Failure> {
        let event = self.describe(topic, broker, timeout)?;
        // SAFETY: the event is alive, and so is all that is read out of it.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
            read_id(only_topic(result, sys::rd_kafka_DescribeTopics_result_topics)?)
        }
    }

    fn describe(
        &self,
        topic: &CStr,
        broker: i32,
        timeout: Duration,
    ) -> Result<Owned<sys::rd_kafka_event_t>, Failure> {
        let mut names = [topic.as_ptr()];
        // SAFETY: the handle is alive and the object made here is given back by its `Owned`; `names` is as
        // long as said.
        unsafe {
            let topics = Owned::new(
                sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
                sys::rd_kafka_TopicCollection_destroy,
            )
            .expect(OUT_OF_MEMORY);
            // By itself librdkafka asks the controller; any broker knows, and the mock has no controller.
            let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
            self.ask_admin(operation, Some(broker), timeout, |options, queue| {
                sys::rd_kafka_DescribeTopics(self.as_ptr(), topics.as_ptr(), options, queue);
            })
        }
    }
}

/// # Safety
/// `description` is one of an event that is alive.
unsafe fn read_id(description: *const sys::rd_kafka_TopicDescription_t) -> Result<Option<String>, Failure> {
    // SAFETY: the caller's promise covers all that is reached from it: the description owns the error
    // and the id.
    unsafe {
        let error = sys::rd_kafka_TopicDescription_error(description);
        if !error.is_null() {
            let code = sys::rd_kafka_error_code(error);
            if code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(Failure { code: code as i32, detail: text(sys::rd_kafka_error_string(error)) });
            }
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Ok(None);
        }
        let bits =
            (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id));
        Ok((bits != (0, 0)).then(|| text(sys::rd_kafka_Uuid_base64str(id))))
    }
}
