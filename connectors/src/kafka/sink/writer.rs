//! One writer of a Kafka sink: rows, or dead letters, and progress record in one short transaction.

use arrow::array::RecordBatch;
use weir_engine::connector::{Change, Delivery, Position, Progress, SinkContext, SinkError, SinkWriter};
use weir_engine::state::failpoint::{self, Point};
use weir_schemas::{Encoded, Encoder};

use super::letters;
use super::producer::Producer;
use super::progress::Record;
use crate::error::chain;
use crate::kafka::native::Topic;

/// Rows that are encoded at a time: enough to make it worth its while, little enough to stay small.
const ROWS_MAX: usize = 4_096;

/// See the module.
pub(super) struct KafkaWriter {
    pub(super) rows: Topic,
    pub(super) progress: Topic,
    pub(super) producer: Producer,
    /// `None`: what it gets are dead letters, which are bytes already.
    pub(super) encoders: Option<Encoders>,
    pub(super) attempt: String,
    pub(super) context: SinkContext,
}

/// From rows to Avro.
pub(super) struct Encoders {
    /// `None`: records have no keys.
    keys: Option<Encoder>,
    values: Encoder,

    /// Room for keys and values; empty between calls.
    encoded: [Encoded; 2],
}

impl Encoders {
    pub(super) fn new(keys: Option<Encoder>, values: Encoder) -> Self {
        Self { keys, values, encoded: Default::default() }
    }
}

impl KafkaWriter {
    /// Says that this process writes from now on, and leaves the progress as it is.
    pub(super) fn claim(&mut self, progress: Option<Progress>) -> Result<(), SinkError> {
        self.in_transaction(|writer| writer.send_progress(progress))
    }

    /// Commits what `write` writes; where it fails nothing of it counts.
    fn in_transaction(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        self.producer.begin()?;
        write(self).and_then(|()| self.producer.flush()).map_err(|reason| self.producer.abort(reason))?;
        failpoint::pass(Point::DeliveryWritten);
        self.producer.commit()?;
        // Its markers may still be on their way to the partitions.
        failpoint::pass(Point::DeliveryDecided);
        Ok(())
    }

    fn send_progress(&self, progress: Option<Progress>) -> Result<(), SinkError> {
        let value = Record::new(&self.attempt, progress).to_bytes();
        self.producer.send(&self.progress, Some(self.context.identity().as_bytes()), Some(&value))
    }

    fn send(&mut self, change: &Change) -> Result<(), SinkError> {
        let Self { rows: topic, producer, encoders, context, .. } = self;
        let rows = change.rows();
        let Some(encoders) = encoders else { return letters::send(producer, topic, &context.pipeline, rows) };
        for start in (0..rows.num_rows()).step_by(ROWS_MAX) {
            let rows = rows.slice(start, ROWS_MAX.min(rows.num_rows() - start));
            let send = |key: Option<&[u8]>, value: Option<&[u8]>| producer.send(topic, key, value);
            match change {
                Change::Upserts(_) => encoders.upserts(&rows, &context.key, send)?,
                Change::Deletes(_) => encoders.deletes(&rows, send)?,
            }
        }
        Ok(())
    }
}

impl Encoders {
    fn upserts(
        &mut self,
        rows: &RecordBatch,
        key: &[usize],
        send: impl Fn(Option<&[u8]>, Option<&[u8]>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let [keys, values] = &mut self.encoded;
        encode(&self.values, rows, values)?;
        if let Some(encoder) = &self.keys {
            let columns = rows.project(key).map_err(|error| SinkError::Fatal(chain(&error)))?;
            encode(encoder, &columns, keys)?;
        }
        (0..values.len()).try_for_each(|i| {
            let key = self.keys.is_some().then(|| keys.record(i));
            send(key, Some(values.record(i)))
        })
    }

    /// Tombstones: what has no key is never deleted.
    fn deletes(
        &mut self,
        columns: &RecordBatch,
        send: impl Fn(Option<&[u8]>, Option<&[u8]>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let [keys, _] = &mut self.encoded;
        if let Some(encoder) = &self.keys {
            encode(encoder, columns, keys)?;
            (0..keys.len()).try_for_each(|i| send(Some(keys.record(i)), None))?;
        }
        Ok(())
    }
}

impl SinkWriter for KafkaWriter {
    fn deliver(&mut self, upto: Position, rows: &Delivery) -> Result<(), SinkError> {
        let progress = self.context.progress(upto);
        self.in_transaction(|writer| {
            rows.changes.iter().try_for_each(|change| writer.send(change))?;
            writer.send_progress(Some(progress))
        })
    }

    fn close(self: Box<Self>) {}
}

fn encode(encoder: &Encoder, rows: &RecordBatch, into: &mut Encoded) -> Result<(), SinkError> {
    into.clear();
    encoder.encode(rows, into).map_err(|error| SinkError::Fatal(chain(&error)))
}
