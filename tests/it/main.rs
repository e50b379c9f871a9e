//! Weir against a real Kafka and a real schema registry; and the engine alone, over memory.
//!
//! ```text
//! services.rs   one Kafka and one registry for the run, on free ports, gone when this process is
//! producer.rs   topics, schemas, Avro records        shop.rs   a seeded stream and what it comes to
//! sink_topic.rs what a Kafka sink wrote        weir.rs       the `weir` binary on a project folder
//! certificates.rs of an authority of ours, and of one that is not
//! cluster.rs    three brokers, for a test of its own
//! memory.rs     a source in memory: slt.rs and batch_oracle.rs need no services
//! proxy.rs      cuts connections to weir     till.rs       orders that happen now
//! looker.rs     a Chromium, with the scripts of browser/
//! the others    tests: each with topics of its own, so that all can run at once
//! ```
//!
//! Nothing here sleeps to wait for something: it asks until a deadline that no healthy machine
//! comes near.

mod avro_files;
mod batch_oracle;
mod boards;
mod browser;
mod browser_letters;
mod browser_sql;
mod certificates;
mod cluster;
mod dead_letters;
mod embedded_registry;
mod end_to_end;
mod file_sink;
mod formats;
mod kafka_sink;
mod kafka_source;
mod kills;
mod latency;
mod leaders;
mod letters_topic;
mod life;
mod looker;
mod looks;
mod memory;
mod partitions;
mod producer;
mod promises;
mod proxy;
mod registry;
mod replay;
mod security;
mod services;
mod shop;
mod sink_topic;
mod slt;
mod speed;
mod stops;
mod stream;
mod tabs;
mod till;
mod unions;
mod weir;
