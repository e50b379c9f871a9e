//! RocksDB's memory, shared by all pipelines of a process, and the options of each database.

use std::fmt;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, Env, InfoLogger, LogLevel, Options,
    WriteBufferManager,
};

/// Groups of windows.
pub(crate) const STATE: &str = "state";
/// Rows of result tables and dead letters.
pub(crate) const RESULT: &str = "result";

/// The block cache and write-buffer limit that all pipelines of a process share.
#[derive(Clone)]
pub struct Memory {
    cache: Cache,
    write_buffers: WriteBufferManager,
    /// Where the files are; `None`: on disk.
    env: Option<Env>,
}

impl Memory {
    /// Bounds the block caches of all databases to `cache_bytes` and their write buffers to about
    /// `write_buffer_bytes`, both together.
    #[must_use]
    pub fn new(cache_bytes: usize, write_buffer_bytes: usize) -> Self {
        Self {
            cache: Cache::new_lru_cache(cache_bytes),
            write_buffers: WriteBufferManager::new_write_buffer_manager(write_buffer_bytes, false),
            env: None,
        }
    }

    /// The same for databases whose files are in memory, and gone with the last clone of this.
    #[cfg(test)]
    pub(crate) fn without_disk(cache_bytes: usize, write_buffer_bytes: usize) -> Self {
        let env = Env::mem_env().expect("memory for files");
        Self { env: Some(env), ..Self::new(cache_bytes, write_buffer_bytes) }
    }

    /// Options of a database as a whole. `create`: make it if missing.
    pub(crate) fn database(&self, create: bool) -> Options {
        let mut options = self.family(4 << 20);
        options.create_if_missing(create);
        options.create_missing_column_families(create);
        options.set_write_buffer_manager(&self.write_buffers);
        options.set_max_open_files(256);
        options.set_max_background_jobs(2);
        // A log that grows past it makes the column family flush that holds its oldest part: it
        // bounds the disk it takes and the time to replay it (some 0.3 s).
        options.set_max_total_wal_size(64 << 20);
        options.set_max_manifest_file_size(16 << 20);
        // By default RocksDB keeps a log file in the folder, even in one that it only reads.
        options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, |level, text| {
            // The list of options at each open passes every filter, at a level below a warning.
            if matches!(level, LogLevel::Warn | LogLevel::Error | LogLevel::Fatal) {
                tracing::warn!(detail = text.trim_end(), "rocksdb has a warning");
            }
        }));
        options.set_stats_dump_period_sec(0);
        if let Some(env) = &self.env {
            options.set_env(env);
        }
        options
    }

    /// The column families, all that a database has.
    pub(crate) fn families(&self) -> [ColumnFamilyDescriptor; 3] {
        [(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, 4 << 20), (STATE, 16 << 20), (RESULT, 16 << 20)]
            .map(|(name, buffer_bytes)| ColumnFamilyDescriptor::new(name, self.family(buffer_bytes)))
    }

    fn family(&self, write_buffer_bytes: usize) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_block_size(16 << 10);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        // Blocks of 4 KiB and more come compressed, for the log's sake: 2.2 times fewer bytes to sync. It finds nothing
        // more in them, and costs 0.5 to 0.7 ns a byte; blocks of a few groups, mostly Arrow's headers that are alike,
        // become 11 times smaller by it.
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(write_buffer_bytes);
        options.set_max_write_buffer_number(2);
        options
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("write_buffer_bytes", &self.write_buffers.get_usage())
            .finish_non_exhaustive()
    }
}
