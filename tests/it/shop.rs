//! A seeded stream of orders, and what it must come to: the same query in batch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use apache_avro::types::Value as Avro;
use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;
use serde_json::{Value, json};

use crate::producer::{Producer, To, Writer};

pub(crate) const SCHEMA: &str = r#"{"type": "record", "name": "order", "fields": [
    {"name": "id", "type": "long"},
    {"name": "country", "type": "string"},
    {"name": "amount", "type": "long"},
    {"name": "ordered_at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;

/// Keys of a source file that go with [`Shop`]: nothing is idle, so that only a partition's own rows
/// decide what is late.
pub(crate) const SOURCE: &str = "event_time: ordered_at\nwatermark: { delay: 2s, idle_timeout: 1h }\n";

const DELAY_MS: i64 = 2_000;
const WINDOW_MS: i64 = 10_000;
const COUNTRIES: [&str; 5] = ["AT", "CH", "DE", "FR", "IT"];

/// The pipeline over the source `name`.
pub(crate) fn revenue(name: &str) -> String {
    format!(
        "SELECT window_start, window_end, country, count(*) AS orders, sum(amount) AS revenue, max(id) AS newest
FROM TUMBLE(TABLE {name}, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)
WHERE amount > 10
GROUP BY window_start, window_end, country"
    )
}

/// What [`Shop::expected`] is to be compared with.
pub(crate) fn query(table: &str) -> String {
    format!(
        "SELECT CAST(window_start AS BIGINT) AS start, country, orders, revenue, newest FROM {table} ORDER BY 1, 2"
    )
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    id: i64,
    country: &'static str,
    amount: i64,
    ordered_at_ms: i64,
}

/// Orders of a topic: out of order by up to the delay, and now and then by more.
pub(crate) struct Shop {
    topic: String,
    writer: Writer,
    n_partitions: i32,

    random: u64,
    next_id: i64,
    now_ms: i64,
    /// Of each partition: the largest event time so far.
    newest_ms: BTreeMap<i32, i64>,
    n_late: u64,
    counted: Vec<Order>,
}

impl Shop {
    /// The topic has to exist.
    pub(crate) fn new(registry_url: &str, topic: &str, n_partitions: i32, seed: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
        Self {
            topic: topic.to_owned(),
            writer: Writer::register(registry_url, &format!("{topic}-value"), SCHEMA),
            n_partitions,
            random: seed.wrapping_mul(2).wrapping_add(1),
            next_id: 0,
            now_ms: i64::try_from(now).expect("it is before the year 292277026") - 3_600_000,
            newest_ms: BTreeMap::new(),
            n_late: 0,
            counted: Vec::new(),
        }
    }

    /// Writes `n` more orders.
    pub(crate) fn write(&mut self, producer: &Producer, n: usize) {
        for _ in 0..n {
            let partition = self.below(self.n_partitions as u64) as i32;
            let order = self.next();
            self.count(partition, &order);
            let value = self.writer.encode(&[
                ("id", Avro::Long(order.id)),
                ("country", Avro::String(order.country.to_owned())),
                ("amount", Avro::Long(order.amount)),
                ("ordered_at", Avro::TimestampMillis(order.ordered_at_ms)),
            ]);
            let to = To { topic: &self.topic, partition, timestamp_ms: self.now_ms };
            producer.send(to, None, Some(&value));
        }
        producer.flush();
    }

    /// Goes on in another schema, whose further fields have defaults.
    pub(crate) fn change_writer(&mut self, writer: Writer) {
        self.writer = writer;
    }

    /// Nobody orders for a minute.
    pub(crate) fn pause(&mut self) {
        self.now_ms += 60_000;
    }

    pub(crate) fn n_written(&self) -> i64 {
        self.next_id
    }

    pub(crate) fn n_late(&self) -> u64 {
        self.n_late
    }

    /// The answer to [`query`], by the same aggregation in batch over the rows that were not late.
    pub(crate) fn expected(&self) -> Vec<Vec<Value>> {
        let orders = &self.counted;
        let times = orders.iter().map(|order| order.ordered_at_ms);
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(Int64Array::from_iter_values(orders.iter().map(|order| order.id))) as _),
            ("country", Arc::new(StringArray::from_iter_values(orders.iter().map(|o| o.country))) as _),
            ("amount", Arc::new(Int64Array::from_iter_values(orders.iter().map(|o| o.amount))) as _),
            ("ordered_at", Arc::new(TimestampMillisecondArray::from_iter_values(times)) as _),
        ]);
        let batch = batch.expect("columns of one length");
        let query = "SELECT CAST(date_bin(INTERVAL '10 seconds', ordered_at) AS BIGINT) AS start, country,
                count(*) AS orders, sum(amount) AS revenue, max(id) AS newest
            FROM orders WHERE amount > 10 GROUP BY 1, 2 ORDER BY 1, 2";
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let batches = runtime.block_on(async {
            let context = SessionContext::new();
            context.register_batch("orders", batch).expect("a new table");
            context.sql(query).await.expect("a valid query").collect().await.expect("it runs")
        });
        batches.iter().flat_map(rows).collect()
    }

    fn next(&mut self) -> Order {
        self.now_ms += self.below(50) as i64;
        // One in fifty is further behind than the delay, by up to three windows.
        let behind_ms = if self.below(50) == 0 { self.below(30_000) } else { self.below(2_000) };
        let id = self.next_id;
        self.next_id += 1;
        Order {
            id,
            country: COUNTRIES[self.below(5) as usize],
            amount: self.below(1_000) as i64,
            ordered_at_ms: self.now_ms - behind_ms as i64,
        }
    }

    /// Counts an order unless it is late by its own partition.
    fn count(&mut self, partition: i32, order: &Order) {
        let newest_ms = self.newest_ms.entry(partition).or_insert(i64::MIN + DELAY_MS);
        let window_end_ms = order.ordered_at_ms - order.ordered_at_ms.rem_euclid(WINDOW_MS) + WINDOW_MS;
        if window_end_ms <= *newest_ms - DELAY_MS {
            self.n_late += 1;
        } else {
            self.counted.push(order.clone());
        }
        *newest_ms = (*newest_ms).max(order.ordered_at_ms);
    }

    /// A number below `limit` (xorshift64*: a seed repeats a run).
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

fn rows(batch: &RecordBatch) -> Vec<Vec<Value>> {
    let long = |column: usize| batch.column(column).as_primitive::<Int64Type>();
    let countries = batch.column(1).as_string::<i32>();
    (0..batch.num_rows())
        .map(|i| {
            let [start, orders, revenue, newest] = [0, 2, 3, 4].map(|column| long(column).value(i));
            vec![json!(start), json!(countries.value(i)), json!(orders), json!(revenue), json!(newest)]
        })
        .collect()
}
