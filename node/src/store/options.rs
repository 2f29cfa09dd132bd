//! How RocksDB is set up for the store.

use comity_protocol::rows::Table;
use rocksdb::{BlockBasedOptions, DBCompressionType, Env, Options, WriteOptions};

/// Memory for writes before they go to a file, in bytes, per table. Until then an event lies in
/// the write-ahead log in full, which is half as much again as it takes in a file: small, so that
/// little does.
pub(super) const WRITE_BUFFER_BYTES: usize = 4 << 20;
/// Files of the first level below the one that buffers are written to, in bytes, and how much
/// larger those of each further level are. Logs grow at their ends: with small files a merge
/// rewrites the ends and leaves the rest alone.
const FILE_BYTES: u64 = 4 << 20;
const FILE_GROWTH: i32 = 2;
/// The whole of that first level: as much as four buffers, which is what a merge brings it. Each
/// further level is ten times as large.
const LEVEL_BYTES: u64 = 16 << 20;
/// Large blocks let the ids that successive headers share be compressed away.
const EVENT_BLOCK_BYTES: usize = 32 << 10;
/// Values from this length on lie in files of their own, in the table of chunks.
const BLOB_BYTES: u64 = 16 << 10;
/// So much more memory than others have for chunks before they go to a file: each time makes one
/// file.
const CHUNK_BUFFERS: usize = 4;
/// Write-ahead logs above this are flushed: bounds the time to open after a crash, should one
/// table keep a log alive that the others do not need.
const WAL_BYTES: u64 = 16 << 20;
/// Files that RocksDB keeps open.
const OPEN_FILES: i32 = 256;

/// How a store is opened: the store of a node has the default, and only tests choose.
#[derive(Clone)]
pub struct StoreOptions {
    /// Whether a write returns only once it is on disk. Without that nothing may be promised.
    pub synced: bool,
    /// Memory for writes before they go to a file, in bytes, per table.
    pub write_buffer_bytes: usize,
    /// Whether files are compressed. A search for bytes in the files of a store finds all that is
    /// in them only where they are not.
    pub compressed: bool,
    /// The file system under the store; absent for the operating system's.
    pub env: Option<Env>,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            synced: true,
            write_buffer_bytes: WRITE_BUFFER_BYTES,
            compressed: true,
            env: None,
        }
    }
}

impl StoreOptions {
    pub(super) fn write(&self) -> WriteOptions {
        let mut options = WriteOptions::default();
        options.set_sync(self.synced);
        options
    }

    pub(super) fn database(&self) -> Options {
        let mut options = Options::default();
        if let Some(env) = &self.env {
            options.set_env(env);
        }
        options.create_if_missing(true);
        options.set_max_total_wal_size(WAL_BYTES);
        // All tables go to files together. One that is seldom written would otherwise keep every
        // log in which it has a row, with all that the others wrote there.
        options.set_atomic_flush(true);
        options.set_max_open_files(OPEN_FILES);
        options.set_keep_log_file_num(3);
        options.set_max_background_jobs(2);
        options
    }

    pub(super) fn table(&self, table: Table) -> Options {
        let mut options = Options::default();
        options.set_write_buffer_size(self.write_buffer_bytes);
        options.set_target_file_size_base(FILE_BYTES);
        options.set_target_file_size_multiplier(FILE_GROWTH);
        options.set_max_bytes_for_level_base(LEVEL_BYTES);
        options.set_level_compaction_dynamic_level_bytes(false);
        options.set_compression_type(match self.compressed {
            true => DBCompressionType::Lz4,
            false => DBCompressionType::None,
        });
        if table == Table::Chunks {
            // A chunk is written once and is random: kept apart, it is neither copied nor
            // compressed.
            options.set_write_buffer_size(CHUNK_BUFFERS * self.write_buffer_bytes);
            options.set_enable_blob_files(true);
            options.set_min_blob_size(BLOB_BYTES);
            options.set_enable_blob_gc(true);
            options.set_compression_type(DBCompressionType::None);
        }
        if table == Table::Events {
            let mut blocks = BlockBasedOptions::default();
            blocks.set_block_size(EVENT_BLOCK_BYTES);
            options.set_block_based_table_factory(&blocks);
        }
        options
    }
}
