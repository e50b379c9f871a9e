//! Groups in columns: the interner from key to group index, and the accumulators.
