//! Native objects that are given back.

use std::ptr::NonNull;

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
