//! Properties of a connection: which ones a project may set, and what the client is made of.
//!
//! Invariants:
//! 1. Every property that is accepted does something, for sources or for sinks. Those that Weir sets
//!    itself, that are about consumer groups (none is joined) or that transactions depend on are refused.
//! 2. What is about producing never reaches a source: its reader is chosen by what does.

use super::native::{Conf, SetError};
use super::{KafkaConnection, QUEUE_BYTES_MAX};
use crate::error::PropertyError;
use crate::suggest;

const OWN: &str = "Weir sets it itself";
const NO_GROUP: &str = "Weir assigns partitions itself and joins no consumer group";
const NO_COMMIT: &str =
    "Weir keeps offsets with its state; those that it tells Kafka are for others to look at";
const PRODUCER: &str = "Weir sets what its transactions depend on itself";
const NO_CALLBACK: &str = "it is not for configuration files";

/// Refused, with the reason. A name that ends in a dot stands for all that begin with it.
const REFUSED: [(&str, &str); 55] = [
    ("bootstrap.servers", "the connection's \"bootstrap_servers\" says it"),
    ("metadata.broker.list", "the connection's \"bootstrap_servers\" says it"),
    ("client.id", OWN),
    ("auto.offset.reset", OWN),
    ("enable.partition.eof", OWN),
    ("queued.min.messages", OWN),
    ("queued.max.messages.kbytes", OWN),
    ("allow.auto.create.topics", OWN),
    ("statistics.interval.ms", OWN),
    ("enabled_events", OWN),
    ("log.queue", OWN),
    ("topic.blacklist", OWN),
    ("group.id", NO_GROUP),
    ("group.instance.id", NO_GROUP),
    ("group.protocol", NO_GROUP),
    ("group.protocol.type", NO_GROUP),
    ("group.remote.assignor", NO_GROUP),
    ("partition.assignment.strategy", NO_GROUP),
    ("session.timeout.ms", NO_GROUP),
    ("heartbeat.interval.ms", NO_GROUP),
    ("coordinator.query.interval.ms", NO_GROUP),
    ("max.poll.interval.ms", NO_GROUP),
    ("enable.auto.commit", NO_COMMIT),
    ("auto.commit.enable", NO_COMMIT),
    ("auto.commit.interval.ms", NO_COMMIT),
    ("enable.auto.offset.store", NO_COMMIT),
    ("offset.store.", NO_COMMIT),
    ("consume.callback.max.messages", NO_CALLBACK),
    ("internal.", NO_CALLBACK),
    ("test.", NO_CALLBACK),
    ("plugin.library.paths", NO_CALLBACK),
    ("builtin.features", NO_CALLBACK),
    ("interceptors", NO_CALLBACK),
    ("opaque", NO_CALLBACK),
    ("default_topic_conf", NO_CALLBACK),
    ("ssl_engine_callback_data", NO_CALLBACK),
    ("transactional.id", PRODUCER),
    ("transaction.timeout.ms", PRODUCER),
    ("enable.idempotence", PRODUCER),
    ("enable.gapless.guarantee", PRODUCER),
    ("queue.buffering.", PRODUCER),
    ("message.send.max.retries", PRODUCER),
    ("retries", PRODUCER),
    ("delivery.", PRODUCER),
    ("sticky.partitioning.linger.ms", PRODUCER),
    ("request.required.acks", PRODUCER),
    ("acks", PRODUCER),
    ("request.timeout.ms", PRODUCER),
    ("message.timeout.ms", PRODUCER),
    ("queuing.strategy", PRODUCER),
    ("produce.offset.report", PRODUCER),
    ("partitioner", PRODUCER),
    ("msg_order_cmp", PRODUCER),
    ("message.copy.max.bytes", PRODUCER),
    ("ssl.certificate.verify_cb", NO_CALLBACK),
];

/// About producing, and a project may say it.
const PRODUCING: [&str; 7] = [
    "linger.ms",
    "compression.codec",
    "compression.type",
    "compression.level",
    "batch.num.messages",
    "batch.size",
    "message.max.bytes",
];

/// How long a transaction may be open before the broker aborts it: 30 s. Of a process that died, the
/// transaction keeps what others wrote behind it from readers for so long. Less: a delivery of some MiB
/// to a slow broker is aborted again and again.
const TRANSACTION_TIMEOUT_MS: &str = "30000";

/// What a source's client is made of where a project says nothing. The rest is librdkafka's own.
const DEFAULTS: [(&str, &str); 8] = [
    ("isolation.level", "read_committed"),
    // A record that arrives damaged is fetched again instead of decoded to something else.
    ("check.crcs", "true"),
    ("socket.keepalive.enable", "true"),
    // An empty fetch returns this soon: it bounds how long a new partition waits for its first one.
    ("fetch.wait.max.ms", "100"),
    // How soon fetching goes on once a full queue has room. librdkafka's 1 s would stall a source
    // that is slowed down by its operators.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.max.bytes", "16777216"),
    ("reconnect.backoff.max.ms", "2000"),
    ("enable.metrics.push", "false"),
];

/// Whether a connection may have this property.
///
/// # Errors
/// [`PropertyError`]; its text never holds `value`.
pub fn check_property(name: &str, value: &str) -> Result<(), PropertyError> {
    if let Some(reason) = refused(name) {
        return Err(PropertyError::Refused { name: name.to_owned(), reason });
    }
    Conf::new().set(name, value).map_err(|error| property_error(name, value, error))
}

/// The configuration of a client that shares [`QUEUE_BYTES_MAX`] among `n_partitions`.
pub(super) fn client_conf(
    connection: &KafkaConnection,
    client_id: &str,
    n_partitions: usize,
) -> Result<Conf, PropertyError> {
    // librdkafka counts both limits per partition, and looks at them between fetches only.
    let queue_bytes = (QUEUE_BYTES_MAX / n_partitions).max(256 << 10);
    let fetch_bytes = (queue_bytes / 2).min(1 << 20);
    // A small record costs librdkafka several hundred bytes of its own that it does not count.
    let queue_records = (200_000 / n_partitions).clamp(2_000, 100_000);
    let sized = [
        ("fetch.message.max.bytes", fetch_bytes.to_string()),
        ("queued.max.messages.kbytes", (queue_bytes >> 10).to_string()),
        ("queued.min.messages", queue_records.to_string()),
    ];
    let own = [
        ("bootstrap.servers", connection.bootstrap_servers.as_str()),
        ("client.id", client_id),
        ("auto.offset.reset", "error"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("allow.auto.create.topics", "false"),
    ];
    let sized = sized.iter().map(|(name, value)| (*name, value.as_str()));
    let properties = connection.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut conf = Conf::new();
    for (name, value) in DEFAULTS.into_iter().chain(sized).chain(properties).chain(own) {
        conf.set(name, value).map_err(|error| property_error(name, value, error))?;
    }
    Ok(conf)
}

/// The configuration of a client that tells the offsets of the group that bears its name.
pub(super) fn group_conf(connection: &KafkaConnection, name: &str) -> Result<Conf, PropertyError> {
    let mut conf = client_conf(connection, name, 1)?;
    // For as long offsets wait for a coordinator that is away before the client gives them up.
    for (name, value) in [("group.id", name), ("session.timeout.ms", "6000")] {
        conf.set(name, value).map_err(|error| property_error(name, value, error))?;
    }
    Ok(conf)
}

/// The configuration of a client that writes transactions under the name `transactional_id`.
pub(super) fn producer_conf(
    connection: &KafkaConnection,
    transactional_id: &str,
) -> Result<Conf, PropertyError> {
    let defaults = [
        ("compression.type", "lz4"),
        ("socket.keepalive.enable", "true"),
        ("reconnect.backoff.max.ms", "2000"),
        ("enable.metrics.push", "false"),
    ];
    let own = [
        ("bootstrap.servers", connection.bootstrap_servers.as_str()),
        ("client.id", transactional_id),
        ("transactional.id", transactional_id),
        ("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS),
        ("enable.idempotence", "true"),
        // As Java's and the other clients do it: whoever joins by key finds the same partition.
        ("partitioner", "murmur2_random"),
        ("queue.buffering.max.messages", "100000"),
        ("queue.buffering.max.kbytes", "65536"),
    ];
    let properties = connection.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut conf = Conf::new();
    for (name, value) in defaults.into_iter().chain(properties).chain(own) {
        conf.set(name, value).map_err(|error| property_error(name, value, error))?;
    }
    Ok(conf)
}

/// Takes out what is about producing.
pub(super) fn keep_reading(connection: &mut KafkaConnection) {
    connection.properties.retain(|name, _| !PRODUCING.contains(&name.as_str()));
}

fn refused(name: &str) -> Option<&'static str> {
    let matches = |pattern: &str| pattern == name || (pattern.ends_with('.') && name.starts_with(pattern));
    let listed = REFUSED.iter().find(|(pattern, _)| matches(pattern)).map(|(_, reason)| *reason);
    listed.or_else(|| name.ends_with("_cb").then_some(NO_CALLBACK))
}

fn property_error(name: &str, value: &str, error: SetError) -> PropertyError {
    let name = name.to_owned();
    match error {
        SetError::Unknown => {
            let known = Conf::new().names();
            let known = known.iter().map(String::as_str).filter(|name| refused(name).is_none());
            PropertyError::Unknown { suggestion: suggest::nearest(&name, known), name }
        }
        SetError::Invalid(detail) => PropertyError::Invalid { name, detail: without_value(&detail, value) },
    }
}

/// librdkafka's words without the value that they may quote.
fn without_value(detail: &str, value: &str) -> String {
    let detail = detail.trim();
    if value.is_empty() {
        return detail.to_owned();
    }
    if let Some(start) = detail.strip_suffix(value) {
        return start.trim_end_matches([':', ' ']).to_owned();
    }
    detail.replace(&format!("\"{value}\""), "it").replace(&format!(" value {value} "), " ")
}

#[cfg(test)]
mod tests {
    use super::check_property;

    fn message(name: &str, value: &str) -> String {
        check_property(name, value).unwrap_err().to_string()
    }

    #[test]
    fn properties_of_librdkafka_for_reading_and_writing_are_accepted() {
        for (name, value) in [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "weir"),
            ("sasl.password", "secret"),
            ("ssl.ca.location", "/etc/ssl/kafka.pem"),
            ("isolation.level", "read_uncommitted"),
            ("fetch.max.bytes", "1048576"),
            ("client.rack", "a"),
            ("compression.type", "zstd"),
            ("linger.ms", "20"),
            ("batch.size", "100000"),
            ("message.max.bytes", "4000000"),
        ] {
            check_property(name, value).unwrap();
        }
    }

    #[test]
    fn properties_that_weir_sets_are_refused_with_the_reason() {
        assert_eq!(
            message("auto.offset.reset", "latest"),
            "property \"auto.offset.reset\" can't be set: Weir sets it itself"
        );
        assert!(message("group.id", "g").contains("joins no consumer group"));
        assert!(message("enable.auto.commit", "true").contains("keeps offsets with its state"));
        assert!(message("queue.buffering.max.messages", "5").contains("transactions depend on"));
        assert!(message("rebalance_cb", "x").contains("not for configuration files"));
    }

    #[test]
    fn unknown_property_is_refused_with_the_nearest() {
        assert_eq!(
            message("security.protocoll", "ssl"),
            "unknown property \"security.protocoll\", did you mean \"security.protocol\"?"
        );
        assert_eq!(message("serializer", "x"), "unknown property \"serializer\"");
    }

    #[test]
    fn value_that_librdkafka_refuses_is_not_in_the_message() {
        for (name, value) in
            [("security.protocol", "s3cr3t"), ("socket.timeout.ms", "987654321"), ("debug", "s3cr3t")]
        {
            let message = message(name, value);
            assert!(
                message.starts_with(&format!("property \"{name}\" does not take this value")),
                "{message}"
            );
            assert!(!message.contains(value), "{message}");
        }
    }
}
