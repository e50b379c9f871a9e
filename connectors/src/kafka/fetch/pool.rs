//! Answers' memory that is used again: it saves the system's zeroing of pages, which would cost as
//! much as reading into them.
//!
//! Invariant: memory is used again only when no block points into it any more.

use arrow::buffer::Buffer;

/// How many answers' memory is kept: for those being read, waiting and taken.
const KEPT_MAX: usize = 4;
/// Smaller answers are cheap.
const BYTES_MIN: usize = 128 << 10;

#[derive(Debug, Default)]
pub(super) struct Pool {
    kept: Vec<Buffer>,
}

impl Pool {
    /// Memory for `n_bytes`, of any content and length.
    pub(super) fn take(&mut self, n_bytes: usize) -> Vec<u8> {
        let is_free = |kept: &Buffer| kept.strong_count() == 1 && kept.len() / 4 <= n_bytes;
        if n_bytes < BYTES_MIN {
            return Vec::new();
        }
        let Some(i) = self.kept.iter().position(is_free) else { return Vec::new() };
        self.kept.swap_remove(i).into_vec().unwrap_or_default()
    }

    /// Makes an answer of memory, which comes back once nobody has it.
    pub(super) fn keep(&mut self, memory: Vec<u8>) -> Buffer {
        let buffer = Buffer::from_vec(memory);
        if BYTES_MIN <= buffer.len() {
            if self.kept.len() == KEPT_MAX {
                self.kept.remove(0);
            }
            self.kept.push(buffer.clone());
        }
        buffer
    }

    /// Gives back what is not in use.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_only_when_no_slice_is_left() {
        let mut pool = Pool::default();
        let slice = pool.keep(vec![1; BYTES_MIN]).slice_with_length(0, 10);
        assert!(pool.take(BYTES_MIN).is_empty());
        let first = slice.as_ptr();
        drop(slice);
        let again = pool.take(BYTES_MIN);
        assert_eq!(again.as_ptr(), first);
    }
}
