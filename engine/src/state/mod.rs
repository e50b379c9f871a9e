//! Epochs in RocksDB: one atomic, synced write per epoch.

/// The block cache and write-buffer limit that all pipelines of a process share.
#[derive(Clone)]
pub struct Memory {}
