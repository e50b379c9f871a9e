//! The identity of a topic, by the DescribeTopics call of librdkafka's admin interface.

use std::ffi::{CStr, c_char};
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

use rdkafka_sys as sys;

use super::client::Client;
use super::{Failure, millis, text};

/// A native object and the function that gives it back.
pub(super) struct Owned<T> {
    object: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `object` is null or an object that the caller owns and `destroy` gives back.
    pub(super) unsafe fn new(object: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        Some(Self { object: NonNull::new(object)?, destroy })
    }

    pub(super) fn as_ptr(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the promise of `new`; this is the last use.
        unsafe { (self.destroy)(self.object.as_ptr()) }
    }
}

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
        // SAFETY: the event is alive, and so is all that is read out of it; it holds an answer for
        // the one topic that was asked for.
        unsafe {
            let error = sys::rd_kafka_event_error(event.as_ptr());
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                let detail = text(sys::rd_kafka_event_error_string(event.as_ptr()));
                return Err(Failure { code: error as i32, detail });
            }
            let result = sys::rd_kafka_event_DescribeTopics_result(event.as_ptr());
            let mut n_topics = 0;
            let topics = match result.is_null() {
                true => null_mut(),
                false => sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut n_topics),
            };
            if topics.is_null() || n_topics == 0 {
                return Err(Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC));
            }
            read_id(*topics)
        }
    }

    fn describe(
        &self,
        topic: &CStr,
        broker: i32,
        timeout: Duration,
    ) -> Result<Owned<sys::rd_kafka_event_t>, Failure> {
        let out_of_memory = "librdkafka aborts where memory is out";
        let mut names = [topic.as_ptr()];
        let mut detail: [c_char; 256] = [0; 256];
        // SAFETY: the handle is alive and every object made here is given back by its `Owned`;
        // `names` and `detail` are as long as said.
        unsafe {
            let topics = Owned::new(
                sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()),
                sys::rd_kafka_TopicCollection_destroy,
            )
            .expect(out_of_memory);
            let options = Owned::new(
                sys::rd_kafka_AdminOptions_new(
                    self.as_ptr(),
                    sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
                ),
                sys::rd_kafka_AdminOptions_destroy,
            )
            .expect(out_of_memory);
            let queue = Owned::new(sys::rd_kafka_queue_new(self.as_ptr()), sys::rd_kafka_queue_destroy)
                .expect(out_of_memory);
            let error = sys::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                millis(timeout),
                detail.as_mut_ptr(),
                detail.len(),
            );
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(Failure { code: error as i32, detail: text(detail.as_ptr()) });
            }
            // By itself librdkafka asks the controller; any broker knows, and the mock has no controller.
            let error = sys::rd_kafka_AdminOptions_set_broker(
                options.as_ptr(),
                broker,
                detail.as_mut_ptr(),
                detail.len(),
            );
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(Failure { code: error as i32, detail: text(detail.as_ptr()) });
            }
            sys::rd_kafka_DescribeTopics(self.as_ptr(), topics.as_ptr(), options.as_ptr(), queue.as_ptr());
            // librdkafka answers in `timeout` at the latest; the second is for its threads to run.
            let patience = millis(timeout + Duration::from_secs(1));
            Owned::new(sys::rd_kafka_queue_poll(queue.as_ptr(), patience), sys::rd_kafka_event_destroy)
                .ok_or_else(|| Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT))
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
