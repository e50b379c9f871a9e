//! The rows that one call keeps of one group, as bytes that sort.
//!
//! Invariants:
//! 1. What is kept depends on the rows alone, not on the order in which they came: all of them, or with
//!    DISTINCT each different one once; none, once they are more than [`Limit::bytes_max`].
//! 2. A group's memory is bounded by some twice `bytes_max`.

/// What holds for all groups of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Of a group's rows, [`ROW_OVERHEAD_BYTES`] each included.
    pub(super) bytes_max: usize,
    /// Of equal rows one is kept.
    pub(super) distinct: bool,
}

/// What a row takes beside its bytes.
const ROW_OVERHEAD_BYTES: usize = size_of::<u32>();
/// Rows of a DISTINCT call are looked at for equal ones each time they have doubled, and not before they
/// take as many bytes.
const UNSETTLED_BYTES: usize = 1 << 10;

/// The rows of one group, in no order.
#[derive(Default, Clone)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// Where each row ends in `bytes`.
    ends: Vec<u32>,
    /// They were too large: none is kept any more.
    is_lost: bool,
    /// With DISTINCT: the size when equal rows were last looked for.
    settled_bytes: usize,
}

impl Kept {
    pub(super) fn add(&mut self, row: &[u8], limit: Limit) {
        if self.is_lost {
            return;
        }
        let bytes = self.size() + row.len() + ROW_OVERHEAD_BYTES;
        if !limit.distinct && limit.bytes_max < bytes {
            return self.lose();
        }
        self.bytes.extend_from_slice(row);
        self.ends.push(u32::try_from(self.bytes.len()).expect("a group has fewer bytes than 2^32"));
        if limit.distinct && 2 * self.settled_bytes + UNSETTLED_BYTES < bytes {
            self.settle(limit);
        }
    }

    /// Drops rows that are there already. To be called before rows are read.
    pub(super) fn settle(&mut self, limit: Limit) {
        if !limit.distinct || self.size() == self.settled_bytes {
            return;
        }
        let mut rows: Vec<&[u8]> = self.rows().collect();
        rows.sort_unstable();
        rows.dedup();
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(rows.len()));
        for row in rows {
            bytes.extend_from_slice(row);
            ends.push(u32::try_from(bytes.len()).expect("fewer bytes than before"));
        }
        (self.bytes, self.ends) = (bytes, ends);
        self.settled_bytes = self.size();
        if limit.bytes_max < self.settled_bytes {
            self.lose();
        }
    }

    /// Keeps nothing from now on.
    pub(super) fn lose(&mut self) {
        *self = Self { is_lost: true, ..Self::default() };
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start as usize..*end as usize])
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * ROW_OVERHEAD_BYTES
    }
}
