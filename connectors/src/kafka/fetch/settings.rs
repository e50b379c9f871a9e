//! Which connections this reader speaks with, and how much it asks for.
//!
//! Invariant: a property that is accepted here does what it does in librdkafka. All others leave the
//! connection to librdkafka's reader.

use std::collections::BTreeMap;

use super::messages::FetchLimits;

/// The answers of one pipeline's source that may wait to be taken: 64 MiB in all partitions together.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// What a partition has in an answer at most, unless its one batch is larger. More does not read
/// faster, and leaves a processor's cache; less asks more often.
const PARTITION_BYTES_MAX: usize = 1 << 20;
const PARTITION_BYTES_MIN: usize = 64 << 10;
const ANSWER_BYTES_MAX: i32 = 8 << 20;
/// What a project may raise it to.
const ANSWER_BYTES_LIMIT: i32 = 64 << 20;
/// An empty answer comes this soon: it bounds how long a new partition waits for its first one.
const WAIT_MAX_MS: i32 = 100;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// `host`, `host:port` or `[::1]:port`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
            Some(_) => return None,
            None => (text, 9092),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port })
    }
}

/// All that a reader is made of.
#[derive(Debug, Clone)]
pub(in crate::kafka) struct Settings {
    pub(super) bootstrap: Vec<Address>,
    /// For messages.
    pub(super) bootstrap_servers: String,
    pub(super) topic: String,
    pub(super) client_id: String,
    pub(super) limits: FetchLimits,
}

impl Settings {
    /// # Errors
    /// What in the connection is librdkafka's business only.
    pub(in crate::kafka) fn new(
        bootstrap_servers: &str,
        properties: &BTreeMap<String, String>,
        topic: &str,
        client_id: &str,
        n_partitions: usize,
    ) -> Result<Self, String> {
        let bootstrap: Option<Vec<_>> = bootstrap_servers.split(',').map(Address::parse).collect();
        let bootstrap = bootstrap.ok_or("the form of \"bootstrap_servers\"")?;
        // Two answers of a partition may wait.
        let share = QUEUE_BYTES_MAX / 2 / n_partitions.max(1);
        let partition_bytes = share.clamp(PARTITION_BYTES_MIN, PARTITION_BYTES_MAX);
        let mut limits = FetchLimits {
            is_read_committed: true,
            wait_max_ms: WAIT_MAX_MS,
            bytes_min: 1,
            bytes_max: ANSWER_BYTES_MAX,
            partition_bytes_max: i32::try_from(partition_bytes).unwrap_or(i32::MAX),
        };
        for (name, value) in properties {
            let number = || value.parse::<i32>().ok().filter(|number| 0 < *number);
            let other = || format!("property \"{name}\"");
            match (name.as_str(), value.as_str()) {
                ("security.protocol", value) if value.eq_ignore_ascii_case("plaintext") => {}
                ("isolation.level", "read_committed") | ("check.crcs", "true") => {}
                ("isolation.level", "read_uncommitted") => limits.is_read_committed = false,
                ("fetch.wait.max.ms", _) => limits.wait_max_ms = number().ok_or_else(other)?,
                ("fetch.min.bytes", _) => limits.bytes_min = number().ok_or_else(other)?,
                ("fetch.max.bytes", _) => {
                    limits.bytes_max = number().ok_or_else(other)?.min(ANSWER_BYTES_LIMIT);
                }
                ("fetch.message.max.bytes" | "max.partition.fetch.bytes", _) => {
                    limits.partition_bytes_max = number().ok_or_else(other)?.min(ANSWER_BYTES_LIMIT);
                }
                _ => return Err(other()),
            }
        }
        Ok(Self {
            bootstrap,
            bootstrap_servers: bootstrap_servers.to_owned(),
            topic: topic.to_owned(),
            client_id: client_id.to_owned(),
            limits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(servers: &str, properties: &[(&str, &str)]) -> Result<Settings, String> {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::new(servers, &properties.collect(), "t", "c", 4)
    }

    #[test]
    fn security_and_what_is_not_known_is_left_to_librdkafka() {
        let ours = [("security.protocol", "PLAINTEXT"), ("isolation.level", "read_uncommitted")];
        assert!(!settings("a:1, [::1]:2,c", &ours).unwrap().limits.is_read_committed);
        for theirs in [("security.protocol", "sasl_ssl"), ("client.rack", "a"), ("check.crcs", "false")] {
            assert_eq!(settings("a:1", &[theirs]).unwrap_err(), format!("property \"{}\"", theirs.0));
        }
        for servers in ["ssl://a:1", "a:x", "::1:9092"] {
            assert!(settings(servers, &[]).is_err(), "{servers}");
        }
    }
}
