//! A believable shop as a stream of Avro records: for the demo, for measurements, for a real broker.
//!
//! ```text
//! shop (seeded; what happens, and when) ─► avro (Confluent wire format) ─► produce (Kafka)
//! ```
//!
//! The project that reads it is in `examples/shop/`, the schemas are in `examples/avro/`.

pub mod avro;
pub mod produce;
pub mod shop;

/// Topics with their numbers of partitions.
pub const TOPICS: [(&str, i32); 2] = [(ORDERS, shop::ORDER_PARTITIONS), (CLICKS, shop::CLICK_PARTITIONS)];
/// The topic of orders.
pub const ORDERS: &str = "shop.orders";
/// The topic of clicks.
pub const CLICKS: &str = "shop.clicks";
