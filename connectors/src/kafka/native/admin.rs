//! What calls of librdkafka's admin interface have in common: options, a queue for the answer, the wait
//! for it, and its one topic.

use std::ffi::c_char;
use std::ptr::null_mut;
use std::time::Duration;

use rdkafka_sys as sys;

use super::client::Client;
use super::owned::Owned;
use super::{Failure, millis, text};

pub(super) const OUT_OF_MEMORY: &str = "librdkafka aborts where memory is out";

impl Client {
    /// Makes an admin call and waits for the answer, `timeout` at most. `broker`: whom to ask instead of the
    /// controller.
    ///
    /// # Errors
    /// The call could not be made, or was not answered in time, or as a whole by an error.
    pub(super) fn ask_admin(
        &self,
        operation: sys::rd_kafka_admin_op_t,
        broker: Option<i32>,
        timeout: Duration,
        call: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Result<Owned<sys::rd_kafka_event_t>, Failure> {
        let mut detail: [c_char; 256] = [0; 256];
        // SAFETY: the handle is alive and every object made here is given back by its `Owned`; `detail` is
        // as long as said, and librdkafka ends what it writes there with a zero byte.
        unsafe {
            let options = Owned::new(
                sys::rd_kafka_AdminOptions_new(self.as_ptr(), operation),
                sys::rd_kafka_AdminOptions_destroy,
            )
            .expect(OUT_OF_MEMORY);
            let mut error = sys::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                millis(timeout),
                detail.as_mut_ptr(),
                detail.len(),
            );
            if let Some(broker) = broker
                && error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                error = sys::rd_kafka_AdminOptions_set_broker(
                    options.as_ptr(),
                    broker,
                    detail.as_mut_ptr(),
                    detail.len(),
                );
            }
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                return Err(Failure { code: error as i32, detail: text(detail.as_ptr()) });
            }
            let queue = Owned::new(sys::rd_kafka_queue_new(self.as_ptr()), sys::rd_kafka_queue_destroy)
                .expect(OUT_OF_MEMORY);
            call(options.as_ptr(), queue.as_ptr());
            // librdkafka answers in `timeout` at the latest; the second is for its threads to run.
            let patience = millis(timeout + Duration::from_secs(1));
            let event = sys::rd_kafka_queue_poll(queue.as_ptr(), patience);
            let event = Owned::new(event, sys::rd_kafka_event_destroy)
                .ok_or_else(|| Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT))?;
            let error = sys::rd_kafka_event_error(event.as_ptr());
            if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                let detail = text(sys::rd_kafka_event_error_string(event.as_ptr()));
                return Err(Failure { code: error as i32, detail });
            }
            Ok(event)
        }
    }
}

/// What an answer says of the one topic that was asked for.
///
/// # Safety
/// `result` is null or part of an event that is alive, and `topics` reads its topics.
pub(super) unsafe fn only_topic<R, T>(
    result: *const R,
    topics: unsafe extern "C" fn(*const R, *mut usize) -> *mut *const T,
) -> Result<*const T, Failure> {
    let mut n_topics = 0;
    let topics = match result.is_null() {
        true => null_mut(),
        // SAFETY: the caller's promise.
        false => unsafe { topics(result, &raw mut n_topics) },
    };
    if topics.is_null() || n_topics == 0 {
        return Err(Failure::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC));
    }
    // SAFETY: there is at least one.
    Ok(unsafe { *topics })
}
