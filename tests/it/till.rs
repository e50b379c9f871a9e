//! Orders that happen now, for a page to show.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apache_avro::types::Value as Avro;

use crate::producer::{Producer, To, Topics, Writer};
use crate::services::Services;
use crate::shop::SCHEMA;

/// Writes orders that happen now, each with an id of its own.
pub(crate) struct Till {
    producer: Producer,
    writer: Writer,
    topic: &'static str,
    /// When each order was made, before it was sent. Its id is [`FIRST_ID`] plus its place here.
    pub(crate) made_ms: Vec<i64>,
}

/// Large, so that no other number on the page looks like an id.
pub(crate) const FIRST_ID: i64 = 1_000_000;

impl Till {
    /// A till that writes to `topic`, which it makes.
    pub(crate) fn new(services: &Services, topic: &'static str) -> Self {
        Topics::new(&services.kafka.bootstrap).create(topic, 1);
        Self {
            producer: Producer::new(&services.kafka.bootstrap),
            writer: Writer::register(&services.registry.url, &format!("{topic}-value"), SCHEMA),
            topic,
            made_ms: Vec::new(),
        }
    }

    pub(crate) fn order(&mut self) {
        let id = FIRST_ID + self.made_ms.len() as i64;
        let now_ms = now_ms();
        self.made_ms.push(now_ms);
        let value = self.writer.encode(&[
            ("id", Avro::Long(id)),
            ("country", Avro::String("DE".to_owned())),
            ("amount", Avro::Long(7)),
            ("ordered_at", Avro::TimestampMillis(now_ms)),
        ]);
        self.producer.send(To { topic: self.topic, partition: 0, timestamp_ms: now_ms }, None, Some(&value));
        self.producer.flush();
    }
}

pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(now.as_millis()).expect("it is before the year 292277026")
}

/// Orders every 90 ms until they are told to leave. That is no fraction of an epoch, so that orders
/// come in all parts of one.
pub(crate) struct Customers {
    leave: Sender<()>,
    thread: JoinHandle<Till>,
}

impl Customers {
    pub(crate) fn come(mut till: Till) -> Self {
        let (leave, left) = channel::<()>();
        let thread = thread::spawn(move || {
            while left.recv_timeout(Duration::from_millis(90)) == Err(RecvTimeoutError::Timeout) {
                till.order();
            }
            till
        });
        Self { leave, thread }
    }

    pub(crate) fn go(self) -> Till {
        drop(self.leave);
        self.thread.join().expect("Kafka takes the orders")
    }
}
