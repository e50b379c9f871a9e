//! Records off a partition's queue in bulk, copied at once into blocks of our own memory.
//!
//! Invariant: no librdkafka message outlives [`Batch::take`], and no record costs an allocation.

use std::ffi::{CStr, c_void};
use std::ptr::{NonNull, addr_of, null, null_mut};
use std::slice;

use arrow::buffer::Buffer;
use rdkafka_sys as sys;
use weir_engine::connector::{RecordBlock, Span};

use super::partition::Partition;
use super::{Failure, text};
use crate::kafka::headers;

const OK: sys::rd_kafka_resp_err_t = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// A block is closed when it would grow past this: 16 MiB. Larger only if its one record is.
const BLOCK_BYTES_MAX: usize = 16 << 20;

/// What a queue held, in its order.
pub(in crate::kafka) enum Taken {
    Block(RecordBlock),
    /// Something other than a record, and the offset it is about.
    Failure {
        failure: Failure,
        offset: i64,
    },
}

/// Room for the messages of one call; empty between calls.
#[derive(Default)]
pub(in crate::kafka) struct Batch {
    messages: Vec<Message>,
}

/// Names and values.
type Headers<'a> = Vec<(&'a [u8], Option<&'a [u8]>)>;

/// A message that we own; dropping it gives it back.
#[repr(transparent)]
struct Message(NonNull<sys::rd_kafka_message_t>);

// SAFETY: a message belongs to whoever took it, on any thread.
unsafe impl Send for Message {}

impl Batch {
    /// Takes at most `max_records` of what is queued now, without waiting, and returns how many
    /// messages that were.
    pub(in crate::kafka) fn take(
        &mut self,
        partition: &Partition,
        max_records: usize,
        taken: &mut Vec<Taken>,
    ) -> usize {
        self.messages.reserve(max_records);
        // SAFETY: there is room for `max_records` pointers. librdkafka writes as many as it says,
        // none of them null, and they are ours then.
        unsafe {
            let room: *mut *mut sys::rd_kafka_message_t = self.messages.as_mut_ptr().cast();
            let n_messages = sys::rd_kafka_consume_batch_queue(partition.queue(), 0, room, max_records);
            self.messages.set_len(usize::try_from(n_messages).unwrap_or(0));
        }
        split(partition.number(), &self.messages, taken);
        let n_messages = self.messages.len();
        self.messages.clear();
        n_messages
    }
}

/// Cuts messages into blocks and failures.
fn split(partition: i32, messages: &[Message], taken: &mut Vec<Taken>) {
    let (mut first, mut n_bytes) = (0, 0);
    for (i, message) in messages.iter().enumerate() {
        if let Some(failure) = message.failure() {
            copy(partition, &messages[first..i], n_bytes, taken);
            taken.push(Taken::Failure { failure, offset: message.offset() });
            (first, n_bytes) = (i + 1, 0);
            continue;
        }
        let message_bytes = message.n_bytes();
        if i > first && n_bytes + message_bytes > BLOCK_BYTES_MAX {
            copy(partition, &messages[first..i], n_bytes, taken);
            (first, n_bytes) = (i, 0);
        }
        n_bytes += message_bytes;
    }
    copy(partition, &messages[first..], n_bytes, taken);
}

/// Copies records, none of them a failure, into one block of so many bytes.
fn copy(partition: i32, messages: &[Message], n_bytes: usize, taken: &mut Vec<Taken>) {
    if messages.is_empty() {
        return;
    }
    let mut data = Vec::with_capacity(n_bytes);
    let mut offsets = Vec::with_capacity(messages.len());
    let mut timestamps_ms = Vec::with_capacity(messages.len());
    let mut keys = Vec::with_capacity(messages.len());
    let mut values = Vec::with_capacity(messages.len());
    for message in messages {
        offsets.push(message.offset());
        timestamps_ms.push(message.timestamp_ms());
        keys.push(append(&mut data, message.key()));
        values.push(append(&mut data, message.value()));
        if let Some(headers) = message.headers() {
            headers::write(&headers, &mut data);
        } else {
            data.push(0);
        }
    }
    let data = Buffer::from_vec(data);
    taken.push(Taken::Block(RecordBlock { partition, data, offsets, timestamps_ms, keys, values }));
}

fn append(data: &mut Vec<u8>, bytes: Option<&[u8]>) -> Span {
    let Some(bytes) = bytes else {
        return Span::NULL;
    };
    let fits = "a block is at most 16 MiB or one record, whose parts have lengths of 31 bits";
    let start = u32::try_from(data.len()).expect(fits);
    data.extend_from_slice(bytes);
    Span::new(start, u32::try_from(bytes.len()).expect(fits))
}

impl Message {
    fn native(&self) -> *const sys::rd_kafka_message_t {
        self.0.as_ptr()
    }

    /// What it says instead of a record.
    fn failure(&self) -> Option<Failure> {
        // SAFETY: the message is ours. The code is read as a number, since a broker may send one that
        // the enum does not have. Where it is not 0, the payload is a string or null.
        unsafe {
            let code = addr_of!((*self.native()).err).cast::<i32>().read();
            (code != 0).then(|| {
                let detail = text((*self.native()).payload.cast());
                if detail.is_empty() { Failure::coded(code) } else { Failure { code, detail } }
            })
        }
    }

    fn offset(&self) -> i64 {
        // SAFETY: the message is ours.
        unsafe { (*self.native()).offset }
    }

    /// -1 where it has none.
    fn timestamp_ms(&self) -> i64 {
        // SAFETY: the message is ours; librdkafka takes null for the kind of time.
        unsafe { sys::rd_kafka_message_timestamp(self.native(), null_mut()) }
    }

    fn key(&self) -> Option<&[u8]> {
        // SAFETY: the message is ours, and key and length belong together.
        unsafe { bytes((*self.native()).key, (*self.native()).key_len) }
    }

    fn value(&self) -> Option<&[u8]> {
        // SAFETY: the message is ours and no failure, so that payload and length are the value.
        unsafe { bytes((*self.native()).payload, (*self.native()).len) }
    }

    /// `None` where there are none.
    fn headers(&self) -> Option<Headers<'_>> {
        let mut headers = null_mut();
        // SAFETY: the message is ours, and what it lends us lives as long.
        if unsafe { sys::rd_kafka_message_headers(self.native(), &raw mut headers) } != OK {
            return None;
        }
        let mut all = Vec::new();
        loop {
            let (mut name, mut value, mut len) = (null(), null(), 0);
            // SAFETY: `headers` is the message's; the name is a string of C, value and length belong together, and both
            // live as long as the message.
            unsafe {
                let found = sys::rd_kafka_header_get_all(
                    headers,
                    all.len(),
                    &raw mut name,
                    &raw mut value,
                    &raw mut len,
                );
                if found != OK {
                    return Some(all);
                }
                all.push((CStr::from_ptr(name).to_bytes(), bytes(value, len)));
            }
        }
    }

    fn n_bytes(&self) -> usize {
        let header = |(name, value): &(&[u8], Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len) + 20;
        let headers = self.headers().map_or(0, |headers| headers.iter().map(header).sum());
        self.key().map_or(0, <[u8]>::len) + self.value().map_or(0, <[u8]>::len) + headers + 1
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: the message is ours, and this is the last use.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// # Safety
/// `start` is null or `len` bytes can be read from it, for as long as the message lives.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), len) })
}
