//! Transactions of a client that writes, and the records in them.
//!
//! Every call that waits has a timeout; where it comes first, the call is made again and goes on with
//! what librdkafka has begun. So a thread can wait in slices and look around in between.

use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::time::Duration;

use rdkafka_sys as sys;
use weir_engine::connector::Header;

use super::client::Client;
use super::owned::Owned;
use super::topic::Topic;
use super::{Failure, millis, text};

/// `RD_KAFKA_PARTITION_UA`, a macro with a cast: the partitioner chooses.
const ANY_PARTITION: i32 = -1;

/// A part of a record.
type Union = sys::rd_kafka_vu_s__bindgen_ty_1;

/// Why a transaction did not go on.
#[derive(Debug, Clone)]
pub(in crate::kafka) struct TransactionError {
    pub(in crate::kafka) failure: Failure,
    /// Calling again goes on with it.
    pub(in crate::kafka) is_resumable: bool,
    /// Nothing of it will count, once it is aborted; then the client can begin another.
    pub(in crate::kafka) is_abortable: bool,
}

impl Client {
    /// Makes earlier clients of this transactional id powerless, and aborts what they left open.
    pub(in crate::kafka) fn init_transactions(&self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: the handle is alive; the error, if any, is ours.
        unsafe { outcome(sys::rd_kafka_init_transactions(self.as_ptr(), millis(timeout))) }
    }

    pub(in crate::kafka) fn begin_transaction(&self) -> Result<(), TransactionError> {
        // SAFETY: as above.
        unsafe { outcome(sys::rd_kafka_begin_transaction(self.as_ptr())) }
    }

    /// Waits until no record is on its way any more, written or failed; false if `timeout` came first.
    pub(in crate::kafka) fn flush(&self, timeout: Duration) -> bool {
        // SAFETY: the handle is alive. It answers with the timeout or with no error.
        let error = unsafe { sys::rd_kafka_flush(self.as_ptr(), millis(timeout)) };
        error == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }

    /// Commits what was produced since [`Self::begin_transaction`], all of it or nothing.
    pub(in crate::kafka) fn commit_transaction(&self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: as above.
        unsafe { outcome(sys::rd_kafka_commit_transaction(self.as_ptr(), millis(timeout))) }
    }

    pub(in crate::kafka) fn abort_transaction(&self, timeout: Duration) -> Result<(), TransactionError> {
        // SAFETY: as above.
        unsafe { outcome(sys::rd_kafka_abort_transaction(self.as_ptr(), millis(timeout))) }
    }

    /// Drops what is queued or on its way, so that nothing is waited for.
    pub(super) fn forget_records(&self) {
        let all =
            sys::RD_KAFKA_PURGE_F_QUEUE | sys::RD_KAFKA_PURGE_F_INFLIGHT | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the handle is alive.
        unsafe { sys::rd_kafka_purge(self.as_ptr(), all) };
    }
}

impl Topic {
    /// Queues a record, copied, for the partition of its key; without a key, for any. Without a value it
    /// is a tombstone.
    pub(in crate::kafka) fn produce(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        let (key, key_len) = parts(key);
        let (value, value_len) = parts(value);
        // SAFETY: the topic is alive; both parts are as long as said and copied before it returns; it
        // does not write to the value, whatever its type says. The error is a number of this thread.
        unsafe {
            let queued = sys::rd_kafka_produce(
                self.as_ptr(),
                ANY_PARTITION,
                sys::RD_KAFKA_MSG_F_COPY,
                value.cast_mut(),
                value_len,
                key,
                key_len,
                null_mut(),
            );
            if queued == 0 { Ok(()) } else { Err(Failure::of(sys::rd_kafka_last_error())) }
        }
    }
}

impl Topic {
    /// As [`Self::produce`], with headers, in their order.
    pub(in crate::kafka) fn produce_with(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), Failure> {
        use sys::rd_kafka_vtype_t::{
            RD_KAFKA_VTYPE_HEADERS, RD_KAFKA_VTYPE_KEY, RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_VTYPE_RKT,
            RD_KAFKA_VTYPE_VALUE,
        };
        let bytes = |bytes| {
            let (pointer, size) = parts(bytes);
            Union { mem: sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 { ptr: pointer.cast_mut(), size } }
        };
        // SAFETY: topic and client are alive; key and value are as long as said and copied before it returns; names and
        // values of headers are, too. The list is ours until a record has it. The error, if any, is ours.
        unsafe {
            let list = Owned::new(sys::rd_kafka_headers_new(headers.len()), sys::rd_kafka_headers_destroy)
                .expect("librdkafka ends the process where it gets no memory");
            for (name, value) in headers {
                let (value, size) = parts(value.as_deref());
                let size = size.cast_signed();
                let name_size = name.len().cast_signed();
                let error =
                    sys::rd_kafka_header_add(list.as_ptr(), name.as_ptr().cast(), name_size, value, size);
                if error != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return Err(Failure::of(error));
                }
            }
            let parts = [
                (RD_KAFKA_VTYPE_RKT, Union { rkt: self.as_ptr() }),
                (RD_KAFKA_VTYPE_MSGFLAGS, Union { i: sys::RD_KAFKA_MSG_F_COPY }),
                (RD_KAFKA_VTYPE_VALUE, bytes(value)),
                (RD_KAFKA_VTYPE_KEY, bytes(key)),
                (RD_KAFKA_VTYPE_HEADERS, Union { headers: list.as_ptr() }),
            ]
            .map(|(vtype, u)| sys::rd_kafka_vu_t { vtype, u });
            let error = sys::rd_kafka_produceva(self.client().as_ptr(), parts.as_ptr(), parts.len());
            let Some(error) = Owned::new(error, sys::rd_kafka_error_destroy) else {
                std::mem::forget(list);
                return Ok(());
            };
            let detail = text(sys::rd_kafka_error_string(error.as_ptr()));
            Err(Failure { code: sys::rd_kafka_error_code(error.as_ptr()) as i32, detail })
        }
    }
}

fn parts(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

/// # Safety
/// `error` is null or an error that the caller owns.
unsafe fn outcome(error: *mut sys::rd_kafka_error_t) -> Result<(), TransactionError> {
    // SAFETY: the caller's promise; `Owned` gives it back behind the last use.
    unsafe {
        let Some(error) = Owned::new(error, sys::rd_kafka_error_destroy) else { return Ok(()) };
        let detail = text(sys::rd_kafka_error_string(error.as_ptr()));
        Err(TransactionError {
            failure: Failure { code: sys::rd_kafka_error_code(error.as_ptr()) as i32, detail },
            is_resumable: sys::rd_kafka_error_is_retriable(error.as_ptr()) != 0,
            is_abortable: sys::rd_kafka_error_txn_requires_abort(error.as_ptr()) != 0,
        })
    }
}
