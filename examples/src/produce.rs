//! Writes the shop to Kafka, in real time.
//!
//! Invariant: memory is bounded. Where the broker does not keep up, the generator waits: then the
//! shop is behind the clock, and catches up without a gap.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use weir_schemas::SchemaRegistry;

use crate::avro::Encoder;
use crate::shop::{Happening, Shop, Written};
use crate::{CLICKS, ORDERS, TOPICS};

/// One step of the generator.
const TICK_MS: i64 = 100;

/// What to write, and for how long.
#[derive(Debug, Clone)]
pub struct Options {
    pub bootstrap_servers: String,
    /// The same seed makes the same shop.
    pub seed: u64,
    /// 1 is about 240 records a second.
    pub rate: f64,
    /// How much of the past is written at once at the start, so that there is something to see.
    pub past: Duration,
    /// When a producer starts to write version 2 of the schema of orders.
    pub upgrade_after: Duration,
}

/// Writes until `stop` says so. `upgraded` is called when version 2 begins.
///
/// # Errors
/// The client refuses its configuration, or the registry the schemas.
pub fn run(
    options: &Options,
    registry: &dyn SchemaRegistry,
    stop: &dyn Fn() -> bool,
    upgraded: &dyn Fn(),
) -> Result<()> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &options.bootstrap_servers)
        .set("client.id", "weir-examples")
        // The demo's broker looks for an offset batch by batch, from the first one: with small batches it takes more
        // CPU time each minute. This is an epoch of the shop.
        .set("linger.ms", "250")
        .set("queue.buffering.max.kbytes", "16384")
        .create()
        .context("the Kafka client refuses its configuration")?;
    let mut encoder = Encoder::new(registry)?;
    let mut shop = Shop::new(options.seed, options.rate);
    let started_ms = now_ms();
    let upgrade_ms = started_ms + millis(options.upgrade_after);
    let mut written_to_ms = started_ms - millis(options.past);
    while !stop() {
        while written_to_ms + TICK_MS <= now_ms() && !stop() {
            written_to_ms += TICK_MS;
            for written in shop.tick(written_to_ms, TICK_MS) {
                send(&producer, &encoder, &written, stop)?;
            }
        }
        if upgrade_ms <= written_to_ms && !encoder.is_upgraded() {
            encoder.upgrade(registry)?;
            upgraded();
        }
        producer.poll(Duration::ZERO);
        sleep(Duration::from_millis(20));
    }
    // What is still on its way a few seconds after the end is not worth waiting for.
    producer.flush(Duration::from_secs(2)).ok();
    Ok(())
}

fn send(
    producer: &BaseProducer,
    encoder: &Encoder,
    written: &Written,
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let (topic, key) = match &written.happening {
        Happening::Click(click) => (CLICKS, click.visitor.to_string()),
        Happening::Order(order) => (ORDERS, order.order_id.to_string()),
        Happening::Poison(_) => (ORDERS, "0".to_owned()),
    };
    let value = encoder.value(&written.happening, written.at_ms)?;
    loop {
        let mut record =
            BaseRecord::to(topic).key(&key).partition(written.partition).timestamp(written.at_ms);
        if let Some(value) = &value {
            record = record.payload(value);
        }
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) if !stop() => {
                producer.poll(Duration::from_millis(50));
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => return Ok(()),
            Err((error, _)) => bail!("could not write to topic \"{topic}\": {error}"),
        }
    }
}

/// Makes the topics that are missing.
///
/// # Errors
/// The broker does not answer, or refuses.
pub async fn create_topics(bootstrap_servers: &str) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create()?;
    let topics =
        TOPICS.map(|(name, n_partitions)| NewTopic::new(name, n_partitions, TopicReplication::Fixed(-1)));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    for made in
        admin.create_topics(&topics, &options).await.context("could not ask the broker to make topics")?
    {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => bail!("could not make topic \"{topic}\": {code}"),
        }
    }
    Ok(())
}

fn now_ms() -> i64 {
    millis(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
