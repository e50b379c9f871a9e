//! Bids as Nexmark has them, in Confluent's wire format: the same records in every run.
//!
//! Of 50 consecutive ids one is a person, three are auctions and 46 are bids; only the bids are made.
//! Half of them are on the hot auction, which changes every hundred auctions, the others on one of
//! the last hundred; three quarters are by the hot bidder. 100,000 ids make a second of event time.

use crate::random::Random;

/// The writer schema, and the reader schema.
pub(crate) const SCHEMA: &str = r#"{"type": "record", "name": "bid", "fields": [
    {"name": "auction", "type": "long"},
    {"name": "bidder", "type": "long"},
    {"name": "price", "type": "long"},
    {"name": "channel", "type": "string"},
    {"name": "url", "type": "string"},
    {"name": "date_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "extra", "type": "string"}
]}"#;

/// 2015-07-15T00:00Z, where Nexmark begins.
const BEGIN_MS: u64 = 1_436_918_400_000;
const IDS_PER_MS: u64 = 100;

/// Ids of auctions and people begin here.
const FIRST_ID: u64 = 1_000;
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const N_COLD_CHANNELS: u64 = 10_000;
/// What `extra` fills a record value up to, give or take a fifth of what is missing.
const VALUE_BYTES: usize = 116;

/// An endless sequence of bids.
pub(crate) struct Bids {
    random: Random,
    schema_id: u32,
    n_made: u64,
    /// Name and URL; the hot ones first.
    channels: Vec<(String, String)>,
}

impl Bids {
    pub(crate) fn new(schema_id: u32) -> Self {
        let mut random = Random(1);
        let cold = (0..N_COLD_CHANNELS).map(|channel| format!("channel-{channel}"));
        let channels = HOT_CHANNELS.iter().map(|channel| (*channel).to_owned()).chain(cold);
        let channels = channels.map(|channel| (url(&mut random, &channel), channel));
        let channels = channels.map(|(url, channel)| (channel, url)).collect();
        Self { random, schema_id, n_made: 0, channels }
    }

    /// Replaces `value` by the next record value and returns its event time in milliseconds.
    pub(crate) fn next(&mut self, value: &mut Vec<u8>) -> i64 {
        let (epoch, turn) = (self.n_made / 46, self.n_made % 46);
        self.n_made += 1;
        let event_time_ms = BEGIN_MS + (epoch * 50 + 4 + turn) / IDS_PER_MS;
        let (auction, bidder) = (self.auction(epoch * 3 + 2), self.bidder(epoch));
        let price = (10_f64.powf(self.random.fraction() * 6.0) * 100.0).round() as u64;
        let n_hot = HOT_CHANNELS.len() as u64;
        let channel = match self.random.below(2) {
            0 => n_hot + self.random.below(N_COLD_CHANNELS),
            _ => self.random.below(n_hot),
        };
        let (channel, url) = &self.channels[channel as usize];

        value.clear();
        value.push(0);
        value.extend_from_slice(&self.schema_id.to_be_bytes());
        for number in [auction, bidder, price] {
            long(value, number);
        }
        text(value, channel.as_bytes());
        text(value, url.as_bytes());
        long(value, event_time_ms);
        let missing = VALUE_BYTES.saturating_sub(value.len()) as u64;
        let n_extra = missing * 4 / 5 + self.random.below(missing * 2 / 5 + 1);
        long(value, n_extra);
        letters(&mut self.random, n_extra, value);
        event_time_ms as i64
    }

    fn auction(&mut self, last: u64) -> u64 {
        let first = last.saturating_sub(100);
        let auction = match self.random.below(2) {
            0 => first + self.random.below(last - first + 1 + 10),
            _ => last / 100 * 100,
        };
        FIRST_ID + auction
    }

    fn bidder(&mut self, last: u64) -> u64 {
        let n_active = (last + 1).min(1_000);
        let bidder = match self.random.below(4) {
            0 => last + 1 - n_active + self.random.below(n_active + 10),
            _ => last / 100 * 100 + 1,
        };
        FIRST_ID + bidder
    }
}

fn url(random: &mut Random, channel: &str) -> String {
    let mut words = Vec::new();
    for _ in 0..3 {
        letters(random, 5, &mut words);
        words.push(b'/');
    }
    let words = String::from_utf8_lossy(&words);
    let id = channel.strip_prefix("channel-").map(|_| format!("&channel_id={}", random.below(1 << 30)));
    format!("https://www.nexmark.com/{words}item.htm?query=1{}", id.unwrap_or_default())
}

fn letters(random: &mut Random, n: u64, to: &mut Vec<u8>) {
    let mut left = 0;
    for i in 0..n {
        if i % 8 == 0 {
            left = random.next();
        }
        to.push(b'a' + (left % 26) as u8);
        left /= 26;
    }
}

/// A `long` that is not negative.
fn long(to: &mut Vec<u8>, number: u64) {
    let mut left = number << 1;
    while 0x80 <= left {
        to.push(left as u8 | 0x80);
        left >>= 7;
    }
    to.push(left as u8);
}

fn text(to: &mut Vec<u8>, bytes: &[u8]) {
    long(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, TimestampMillisecondType};
    use weir_schemas::registry::EmbeddedRegistry;
    use weir_schemas::{Decoder, ReaderSchema, SchemaRegistry};

    use super::*;

    #[test]
    fn bids_are_avro_of_116_bytes_with_hot_keys_and_rising_event_times() {
        let registry = EmbeddedRegistry::new();
        let id = registry.register("bid-value", SCHEMA).unwrap();
        let schema = Arc::new(ReaderSchema::new(SCHEMA.into()).unwrap());
        let mut decoder = Decoder::new(schema, (0..7).collect(), Arc::new(registry)).unwrap();
        let mut bids = Bids::new(id.0);
        let values: Vec<Vec<u8>> = (0..92_000)
            .map(|_| {
                let mut value = Vec::new();
                bids.next(&mut value);
                value
            })
            .collect();
        let decoded = decoder.decode(values.iter().map(|value| Some(&value[..])), 0).unwrap();
        assert_eq!(decoded.rejected, []);
        assert_eq!(decoded.batch.num_rows(), values.len());

        let n_bytes: usize = values.iter().map(Vec::len).sum();
        assert_eq!((n_bytes as f64 / values.len() as f64).round(), 116.0);
        let times = decoded.batch.column(5).as_primitive::<TimestampMillisecondType>().values();
        assert!(times.is_sorted());
        assert_eq!(times[times.len() - 1] - times[0], 999, "92,000 bids make a second");
        let mut counts = HashMap::new();
        for auction in decoded.batch.column(0).as_primitive::<Int64Type>().values() {
            *counts.entry(auction).or_insert(0) += 1;
        }
        let mut counts: Vec<i32> = counts.into_values().collect();
        counts.sort_unstable();
        let n_hot: i32 = counts.iter().rev().take(60).sum();
        assert!((40_000..60_000).contains(&n_hot), "6,000 auctions, a hot one for each hundred: {n_hot}");
    }
}
