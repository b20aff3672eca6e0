//! How RocksDB is set up, and why.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Options};

use super::Family;

/// One memtable. With 100,000 writes of 256 B a second it lasts two seconds.
const MEMTABLE_BYTES: usize = 64 << 20;
/// When this much write-ahead log has gathered, the family that holds its oldest part is flushed:
/// four memtables, and at 200 MB/s a recovery of less than two seconds.
const WAL_BYTES_MAX: u64 = 256 << 20;
/// Read blocks kept in memory, for all families together. Hot state lies in the memtables; an idle
/// node must stay below 80 MiB.
const BLOCK_CACHE_BYTES: usize = 32 << 20;

/// The options of the whole store.
///
/// `manual_wal_flush`: what the flusher did not sync dies with the process, so every kill is an
/// honest test, and a write costs no system call.
///
/// `TolerateCorruptedTailRecords`, because it is the one mode that neither cuts in silence nor
/// refuses what is normal. A crash leaves the last record of the log incomplete: this mode drops
/// just that, which nobody was told is durable. Everything else that fails its checksum makes the
/// open fail. `PointInTime` would end the log at the first damaged record, however much
/// acknowledged data follows; `AbsoluteConsistency` would refuse after every power cut. Recycling
/// of log files would make an old record look like a damaged tail, so it stays off.
///
/// That a closed log file is missing or short is noticed by the manifest; that the tail itself was
/// cut below what was acknowledged is noticed by the [durable note](super::note).
pub(super) fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_manual_wal_flush(true);
    options.set_recycle_log_file_num(0);
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_max_background_jobs(2);
    // Large flushes and compactions reach the disk in steps, not as one stall before a sync.
    options.set_bytes_per_sync(1 << 20);
    options.set_max_open_files(512);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options.set_stats_dump_period_sec(0);
    options
}

/// The options of one family.
pub(super) fn family(family: Family, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_format_version(5);
    let mut options = Options::default();
    options.set_write_buffer_size(MEMTABLE_BYTES);
    match family {
        // Read in order and soon deleted: neither compression nor a filter would pay.
        Family::RaftLog => options.set_compression_type(DBCompressionType::None),
        Family::RaftMeta => {
            options.set_compression_type(DBCompressionType::None);
            options.set_write_buffer_size(4 << 20);
        }
        Family::State => {
            options.set_compression_type(DBCompressionType::Lz4);
            blocks.set_bloom_filter(10.0, false);
            // Most request ids are new: 1.3 MiB tell so without a walk through the memtable.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.02);
        }
        Family::History | Family::Journal | Family::Blobs => {
            options.set_compression_type(DBCompressionType::Lz4);
        }
    }
    options.set_block_based_table_factory(&blocks);
    options
}

/// The cache that all families share.
pub(super) fn cache() -> Cache {
    Cache::new_lru_cache(BLOCK_CACHE_BYTES)
}
