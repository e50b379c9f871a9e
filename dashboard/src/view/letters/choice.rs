//! Which dead letters are meant, as the address says it.

use crate::protocol::percent_encode;

/// See the module. The stretch of time is the address's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    pub pipeline: Option<String>,
    pub reason: Option<String>,
    /// The one that is looked at.
    pub place: Option<Place>,
}

/// Which record of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    Record {
        pipeline: String,
        topic: String,
        partition: i32,
        offset: i64,
    },
    /// A group's row, which is no record: the epoch in which it failed, and its payload, which is the key, in hex.
    Group {
        pipeline: String,
        epoch: u64,
        key: String,
    },
}

impl Choice {
    /// Takes a pair of the address, decoded, if it is one of ours.
    pub fn take(&mut self, name: &str, value: Option<String>) {
        match name {
            "pipeline" => self.pipeline = value,
            "reason" => self.reason = value.filter(|reason| is_word(reason)),
            "record" => self.place = value.and_then(|text| Place::parse(&text)),
            _ => {}
        }
    }

    /// The pairs that [`Choice::take`] takes, encoded.
    pub fn pairs(&self) -> impl Iterator<Item = String> {
        let place = self.place.as_ref().map(Place::text);
        // Slashes and colons need no escape in a query and read better without.
        let encoded = |text: &String| percent_encode(text).replace("%2F", "/").replace("%3A", ":");
        let named = [("pipeline", &self.pipeline), ("reason", &self.reason), ("record", &place)];
        let pairs =
            named.map(|(name, value)| value.as_ref().map(|value| format!("{name}={}", encoded(value))));
        pairs.into_iter().flatten()
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// Whole bytes, and some.
fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.len().is_multiple_of(2) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Place {
    /// Reads `PIPELINE/TOPIC/PARTITION/OFFSET` or `PIPELINE/epoch:EPOCH/KEY`. A topic may be a file, whose path has slashes.
    fn parse(text: &str) -> Option<Self> {
        let (pipeline, rest) = text.split_once('/').filter(|(pipeline, _)| !pipeline.is_empty())?;
        let (front, last) = rest.rsplit_once('/')?;
        let pipeline = pipeline.to_owned();
        if let (Some(epoch), true) = (front.strip_prefix("epoch:"), is_hex(last)) {
            return Some(Self::Group { pipeline, epoch: epoch.parse().ok()?, key: last.to_owned() });
        }
        let (topic, partition) = front.rsplit_once('/').filter(|(topic, _)| !topic.is_empty())?;
        let (partition, offset) = (partition.parse().ok()?, last.parse().ok()?);
        Some(Self::Record { pipeline, topic: topic.to_owned(), partition, offset })
    }

    fn text(&self) -> String {
        match self {
            Self::Record { pipeline, topic, partition, offset } => {
                format!("{pipeline}/{topic}/{partition}/{offset}")
            }
            Self::Group { pipeline, epoch, key } => format!("{pipeline}/epoch:{epoch}/{key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for pairs in [
            "pipeline=revenue&reason=late_row&record=revenue/shop.orders/3/1024",
            "record=revenue/epoch:812/00ff",
            "record=revenue/../data/epoch:1/plant_01.avro/1/6039",
            "",
        ] {
            let mut choice = Choice::default();
            for pair in pairs.split('&').filter(|pair| !pair.is_empty()) {
                let (name, value) = pair.split_once('=').expect("a pair");
                choice.take(name, Some(value.to_owned()));
            }
            assert_eq!(choice.pairs().collect::<Vec<_>>().join("&"), pairs);
        }
    }

    #[test]
    fn nonsense_is_nothing() {
        let mut choice = Choice::default();
        for record in ["", "a/b/c", "a/b/x/1", "a/b/1", "a/epoch:1/' OR 1", "/t/1/2", "a//1/2"] {
            choice.take("record", Some(record.to_owned()));
            assert_eq!(choice.place, None, "{record}");
        }
        choice.take("reason", Some("x' OR 1".to_owned()));
        assert_eq!(choice, Choice::default());
    }
}
