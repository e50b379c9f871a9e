//! What a panic said.

use std::any::Any;

/// The message of a panic that was caught, or of a thread that ended by it.
#[must_use]
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
