//! Weir against a real Kafka and a real schema registry.
//!
//! ```text
//! services.rs   one Kafka and one registry for the run, on free ports, gone when this process is
//! producer.rs   topics, schemas, Avro records        shop.rs   a seeded stream and what it comes to
//! weir.rs       the `weir` binary on a project folder
//! the others    tests: each with topics of its own, so that all can run at once
//! ```
//!
//! Nothing here sleeps to wait for something: it asks until a deadline that no healthy machine
//! comes near.

mod dead_letters;
mod end_to_end;
mod kafka_source;
mod partitions;
mod producer;
mod registry;
mod services;
mod shop;
mod weir;
