//! A client's configuration before there is a client.

use std::ffi::{CString, c_char};
use std::ptr::NonNull;

use rdkafka_sys as sys;

use super::text;

/// Names and values, each checked by librdkafka when it is set.
pub(in crate::kafka) struct Conf {
    handle: NonNull<sys::rd_kafka_conf_t>,
}

/// Why a property was not set.
pub(in crate::kafka) enum SetError {
    Unknown,
    /// In librdkafka's words, which may quote the value.
    Invalid(String),
}

impl Conf {
    pub(in crate::kafka) fn new() -> Self {
        // SAFETY: it takes nothing and returns a new object that we own.
        let handle = unsafe { sys::rd_kafka_conf_new() };
        Self { handle: NonNull::new(handle).expect("librdkafka aborts where memory is out") }
    }

    /// Sets a property of the client, or one of its topics.
    pub(in crate::kafka) fn set(&mut self, name: &str, value: &str) -> Result<(), SetError> {
        let zero_byte = |_| SetError::Invalid("it has a zero byte in it".to_owned());
        let name = CString::new(name).map_err(zero_byte)?;
        let value = CString::new(value).map_err(zero_byte)?;
        let mut detail: [c_char; 512] = [0; 512];
        // SAFETY: the handle is ours, the strings end in zero bytes, and `detail` is as long as said.
        let result = unsafe {
            sys::rd_kafka_conf_set(
                self.handle.as_ptr(),
                name.as_ptr(),
                value.as_ptr(),
                detail.as_mut_ptr(),
                detail.len(),
            )
        };
        match result {
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => Err(SetError::Unknown),
            // SAFETY: librdkafka ends what it writes with a zero byte, within the length.
            _ => Err(SetError::Invalid(unsafe { text(detail.as_ptr()) })),
        }
    }

    /// The names of the properties that have a value.
    pub(in crate::kafka) fn names(&self) -> Vec<String> {
        let mut n_strings = 0;
        // SAFETY: the handle is ours; the array is given back below, unchanged.
        unsafe {
            let strings = sys::rd_kafka_conf_dump(self.handle.as_ptr(), &raw mut n_strings);
            let names = (0..n_strings).step_by(2).map(|i| text(*strings.add(i))).collect();
            sys::rd_kafka_conf_dump_free(strings, n_strings);
            names
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_conf_t {
        self.handle.as_ptr()
    }

    /// Gives up ownership to a client.
    pub(super) fn into_raw(self) {
        std::mem::forget(self);
    }
}

impl Drop for Conf {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, and this is the last use.
        unsafe { sys::rd_kafka_conf_destroy(self.handle.as_ptr()) }
    }
}
