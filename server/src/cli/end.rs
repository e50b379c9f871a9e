//! How the process ends.

#![expect(unsafe_code, reason = "only the C library ends a process without its exit handlers")]

use std::io::{self, Write};

/// Ends the process at once. Threads that nobody waits for (those of HTTP, of queries) may still hold a
/// database; exit handlers of RocksDB's C++ would pull what it needs from under them, and the process would
/// abort. What was committed is synced.
pub(crate) fn end(code: u8) -> ! {
    // Where nobody reads any more there is nobody to tell.
    io::stdout().flush().ok();
    io::stderr().flush().ok();
    // SAFETY: it takes any number, and returns to nobody.
    unsafe { libc::_exit(i32::from(code)) }
}
