//! A client: its connections and threads, and what it complains of.

use std::ffi::{c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rdkafka_sys as sys;

use super::conf::Conf;
use super::wake::Wake;
use super::{Failure, text};

/// A librdkafka client that reads, or one that writes. It connects by itself, and again after a
/// failure, with back-off and jitter.
pub(in crate::kafka) struct Client {
    writes: bool,
    /// Taken by `drop`.
    native: ManuallyDrop<Native>,
}

/// The handle, and what its callbacks reach.
struct Native {
    handle: NonNull<sys::rd_kafka_t>,
    /// librdkafka keeps its address.
    shared: Box<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    wake: Wake,
    complaints: Mutex<Complaints>,
}

/// What librdkafka said is wrong. It says the same thing once in 30 s only.
#[derive(Debug, Default)]
struct Complaints {
    /// Not yet taken.
    newest: Option<String>,
    /// Why no broker answers, until one does.
    cause: Option<String>,
}

// SAFETY: librdkafka's handle may be used from any thread and from several at once; `Shared` is
// synchronised.
unsafe impl Send for Native {}
// SAFETY: as above.
unsafe impl Sync for Native {}

impl Client {
    /// Starts the threads of a client that reads. Errors of the network come later, as
    /// [`Self::take_trouble`].
    pub(in crate::kafka) fn new(conf: Conf) -> Result<Self, Failure> {
        Self::start(conf, false)
    }

    /// As [`Self::new`], of a client that writes. Without callbacks for deliveries: a record that was
    /// not written fails its transaction.
    pub(in crate::kafka) fn producer(conf: Conf) -> Result<Self, Failure> {
        Self::start(conf, true)
    }

    fn start(conf: Conf, writes: bool) -> Result<Self, Failure> {
        let kind = match writes {
            true => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
            false => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
        };
        let shared = Box::<Shared>::default();
        let mut detail: [c_char; 512] = [0; 512];
        // SAFETY: `conf` is alive; `shared` is on the heap and outlives the handle (see `drop`).
        let handle = unsafe {
            sys::rd_kafka_conf_set_opaque(conf.as_ptr(), (&raw const *shared).cast_mut().cast());
            sys::rd_kafka_conf_set_error_cb(conf.as_ptr(), Some(on_error));
            sys::rd_kafka_conf_set_log_cb(conf.as_ptr(), Some(on_log));
            sys::rd_kafka_new(kind, conf.as_ptr(), detail.as_mut_ptr(), detail.len())
        };
        let Some(handle) = NonNull::new(handle) else {
            // SAFETY: librdkafka ended what it wrote with a zero byte; `conf` is still ours.
            return Err(Failure { code: 0, detail: unsafe { text(detail.as_ptr()) } });
        };
        conf.into_raw();
        let client = Self { writes, native: ManuallyDrop::new(Native { handle, shared }) };
        client.wake_by_main_queue(true);
        Ok(client)
    }

    /// Runs callbacks that are due on this thread. Call it now and then: errors wait for it.
    pub(in crate::kafka) fn serve(&self) {
        // SAFETY: the handle is alive.
        unsafe { sys::rd_kafka_poll(self.as_ptr(), 0) };
    }

    /// The newest complaint since the last call, for a person.
    pub(in crate::kafka) fn take_trouble(&self) -> Option<String> {
        self.complaints().newest.take()
    }

    /// Why a question was not answered, as far as the client has complained since [`Self::answered`].
    pub(in crate::kafka) fn cause(&self) -> Option<String> {
        self.serve();
        self.complaints().cause.clone()
    }

    /// A broker has answered: what was wrong before explains nothing any more.
    pub(super) fn answered(&self) {
        self.complaints().cause = None;
    }

    fn complaints(&self) -> MutexGuard<'_, Complaints> {
        self.native.shared.complaints()
    }

    /// Forgets that something had arrived; to be called before looking whether something has.
    pub(in crate::kafka) fn lower_wake(&self) {
        self.native.shared.wake.lower();
    }

    /// Waits until something arrives in any queue; false if `deadline` came first.
    pub(in crate::kafka) fn wait_until(&self, deadline: Instant) -> bool {
        self.native.shared.wake.wait_until(deadline)
    }

    /// Has the next wait end at once.
    pub(in crate::kafka) fn raise_wake(&self) {
        self.native.shared.wake.raise();
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.native.handle.as_ptr()
    }

    /// Has a queue of this client raise the wake, or no longer.
    ///
    /// # Safety
    /// `queue` is alive and of this client, and the callback is taken off before the client is
    /// dropped.
    pub(super) unsafe fn wake_by(&self, queue: *mut sys::rd_kafka_queue_t, enabled: bool) {
        let callback = enabled.then_some(on_arrival as unsafe extern "C" fn(_, _));
        let opaque =
            if enabled { (&raw const *self.native.shared).cast_mut().cast() } else { std::ptr::null_mut() };
        // SAFETY: the caller's promise; `on_arrival` takes the address of a `Shared`.
        unsafe { sys::rd_kafka_queue_cb_event_enable(queue, callback, opaque) }
    }

    fn wake_by_main_queue(&self, enabled: bool) {
        // SAFETY: the handle is alive; the reference to its queue is given back here, and `drop`
        // takes the callback off.
        unsafe {
            let queue = sys::rd_kafka_queue_get_main(self.as_ptr());
            if !queue.is_null() {
                self.wake_by(queue, enabled);
                sys::rd_kafka_queue_destroy(queue);
            }
        }
    }
}

impl Drop for Client {
    /// Ends the client without waiting: where a broker is away, its threads take a second or two to notice.
    fn drop(&mut self) {
        self.wake_by_main_queue(false);
        if self.writes {
            self.forget_records();
        }
        // SAFETY: nobody uses it any more.
        let native = unsafe { ManuallyDrop::take(&mut self.native) };
        let ending = std::thread::Builder::new().name("kafka-end".to_owned());
        // Where there is no thread to be had, it was dropped here.
        drop(ending.spawn(move || drop(native)));
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: the last use of the handle. It waits for the client's threads, so that no callback
        // runs when `shared` is dropped afterwards.
        unsafe { sys::rd_kafka_destroy(self.handle.as_ptr()) }
    }
}

impl Shared {
    fn complaints(&self) -> MutexGuard<'_, Complaints> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Complaints {
    fn add(&mut self, code: i32, reason: String) {
        let are_all_down = code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN as i32;
        let reason = match &self.cause {
            // It follows from what is wrong with each, which says more.
            Some(cause) if are_all_down => cause.clone(),
            _ => explained(&reason),
        };
        self.cause = Some(reason.clone());
        self.newest = Some(reason);
    }
}

/// A reason without how long it took and how often it was the same, which differ each time; with what to do
/// about it, where librdkafka does not say.
fn explained(reason: &str) -> String {
    let Some((what, when)) = reason.rsplit_once(" (after ") else { return reason.to_owned() };
    let (after, state) = when.split_once("ms in state ").unwrap_or_default();
    let state = state.split([',', ')']).next().unwrap_or_default();
    // As those do that can't make sense of what they hear.
    let is_closed =
        ["closed by peer", "Broken pipe", "Connection reset"].iter().any(|how| what.contains(how));
    let at_once = after.parse::<u64>().is_ok_and(|ms| ms < 2_000);
    let advice = match state {
        "AUTH_HANDSHAKE" | "AUTH_REQ" | "AUTH_LEGACY" => {
            ": check \"sasl.mechanism\", \"sasl.username\" and \"sasl.password\" among the connection's properties"
        }
        "APIVERSION_QUERY" | "SSL_HANDSHAKE" | "UP" if is_closed && at_once => {
            ": check \"security.protocol\" among the connection's properties: the port may want TLS or a password, or none"
        }
        _ => "",
    };
    format!("{what}{advice}")
}

unsafe extern "C" fn on_arrival(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `wake_by` gave the address of a `Shared` that outlives the callback.
    let shared = unsafe { &*opaque.cast::<Shared>() };
    shared.wake.raise();
}

unsafe extern "C" fn on_error(
    _: *mut sys::rd_kafka_t,
    code: c_int,
    reason: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: `Client::new` gave the address of a `Shared` that outlives the handle; `reason` is a
    // string of librdkafka.
    let (shared, reason) = unsafe { (&*opaque.cast::<Shared>(), text(reason)) };
    shared.complaints().add(code, reason);
}

unsafe extern "C" fn on_log(
    native: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    line: *const c_char,
) {
    // SAFETY: both are strings of librdkafka.
    let (facility, line) = unsafe { (text(facility), text(line)) };
    // A connection that the broker closes is an error for the log only, which has the reason.
    if facility == "FAIL" && !native.is_null() {
        // SAFETY: as in `on_error`; a client has its opaque pointer before its first thread.
        let shared = unsafe { &*sys::rd_kafka_opaque(native).cast::<Shared>() };
        let said = line.split_once("]: ").map_or(&*line, |(_, said)| said);
        shared.complaints().cause = Some(explained(said));
    }
    // What is wrong with brokers is told as trouble, by whoever runs the source: here it is detail.
    if level <= 6 {
        tracing::debug!(level, facility, line, "librdkafka");
    } else {
        tracing::trace!(level, facility, line, "librdkafka");
    }
}

#[cfg(test)]
mod tests {
    use super::explained;

    #[test]
    fn a_reason_says_what_to_do_and_is_the_same_each_time() {
        let auth = "sasl_plaintext://b:1/bootstrap: SASL authentication error: no (after 211ms in state AUTH_REQ, 1 identical \
                    error(s) suppressed)";
        assert_eq!(
            explained(auth),
            "sasl_plaintext://b:1/bootstrap: SASL authentication error: no: check \"sasl.mechanism\", \"sasl.username\" and \
             \"sasl.password\" among the connection's properties"
        );
        let closed = |state| format!("b:1/1: Disconnected: connection closed by peer (after {state})");
        for state in ["3ms in state APIVERSION_QUERY", "3ms in state SSL_HANDSHAKE", "0ms in state UP"] {
            assert!(explained(&closed(state)).contains("\"security.protocol\""), "{state}");
        }
        let idle = explained(&closed("600000ms in state UP"));
        assert_eq!(idle, "b:1/1: Disconnected: connection closed by peer");
        assert_eq!(explained("2/3 brokers are down"), "2/3 brokers are down");
    }
}
