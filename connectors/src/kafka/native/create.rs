//! Making a topic, by the CreateTopics call of librdkafka's admin interface.

use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use rdkafka_sys as sys;

use super::admin::only_topic;
use super::client::Client;
use super::owned::Owned;
use super::{Failure, text};

/// Copies per partition: as the broker is configured.
const REPLICATION_OF_BROKER: i32 = -1;

impl Client {
    /// Makes a topic, with as many copies as the brokers make by default. One that is there already is
    /// left as it is.
    pub(in crate::kafka) fn create_topic(
        &self,
        topic: &CStr,
        n_partitions: usize,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<(), Failure> {
        match self.try_create(topic, n_partitions, settings, timeout) {
            Err(failure) if !failure.is_topic_there() => Err(failure),
            _ => Ok(()),
        }
    }

    fn try_create(
        &self,
        topic: &CStr,
        n_partitions: usize,
        settings: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<(), Failure> {
        let n_partitions = i32::try_from(n_partitions).unwrap_or(i32::MAX);
        let mut detail: [c_char; 256] = [0; 256];
        // SAFETY: the handle is alive and every object made here is given back by its `Owned`; strings
        // are copied by librdkafka; `detail` is as long as said, and ended with a zero byte; the array has one element.
        unsafe {
            let new = sys::rd_kafka_NewTopic_new(
                topic.as_ptr(),
                n_partitions,
                REPLICATION_OF_BROKER,
                detail.as_mut_ptr(),
                detail.len(),
            );
            let new = Owned::new(new, sys::rd_kafka_NewTopic_destroy).ok_or_else(|| Failure {
                code: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG as i32,
                detail: text(detail.as_ptr()),
            })?;
            for (name, value) in settings {
                let no_zero = "settings are literals without zero bytes";
                let (name, value) =
                    (CString::new(*name).expect(no_zero), CString::new(*value).expect(no_zero));
                sys::rd_kafka_NewTopic_set_config(new.as_ptr(), name.as_ptr(), value.as_ptr());
            }
            let mut topics = [new.as_ptr()];
            let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS;
            let event = self.ask_admin(operation, None, timeout, |options, queue| {
                sys::rd_kafka_CreateTopics(self.as_ptr(), topics.as_mut_ptr(), topics.len(), options, queue);
            })?;
            read_answer(&event)
        }
    }
}

/// # Safety
/// `event` is the answer to CreateTopics.
unsafe fn read_answer(event: &Owned<sys::rd_kafka_event_t>) -> Result<(), Failure> {
    // SAFETY: the event is alive, and so is all that is read out of it. Codes are read as numbers only
    // after they were compared with "no error".
    unsafe {
        let result = sys::rd_kafka_event_CreateTopics_result(event.as_ptr());
        let topic = only_topic(result, sys::rd_kafka_CreateTopics_result_topics)?;
        let error = sys::rd_kafka_topic_result_error(topic);
        if error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Ok(());
        }
        let detail = text(sys::rd_kafka_topic_result_error_string(topic));
        Err(if detail.is_empty() { Failure::of(error) } else { Failure { code: error as i32, detail } })
    }
}
