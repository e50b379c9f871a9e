//! What a source subtask does with a decoded block: judges the time of its rows, runs them through the
//! stateless steps, and keeps what is rejected on the way.
//!
//! Invariant: a record makes at most one dead letter, for the first reason along the data path.

use std::sync::atomic::Ordering;

use arrow::array::{Array, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};

use super::{Error, SourceTask};
use crate::connector::{Decoded, Reason, RecordBlock, SourceError};
use crate::operator::Batch;
use crate::operator::expand::SourceRows;
use crate::operator::partial::split_by_pane;
use crate::operator::stateless::{Prepared, units_per_ms};
use crate::result::{DeadLetter, Why};
use crate::time::watermark::{Judged, PartitionTime, Rules, Verdict};
use crate::time::window::{Windows, floor_to_ms};

impl SourceTask {
    /// Counts the records of a block that were dealt with, and keeps the rejected ones.
    pub(super) fn account(&mut self, block: &RecordBlock, from: usize, decoded: &Decoded) {
        let n_records = (decoded.next - from) as u64;
        let n_bytes: usize = block.values[from..decoded.next].iter().map(|value| value.n_bytes()).sum();
        self.shared.records_total.fetch_add(n_records, Ordering::Relaxed);
        self.shared.bytes_total.fetch_add(n_bytes as u64, Ordering::Relaxed);
        self.shared.tombstones_total.fetch_add(decoded.tombstones, Ordering::Relaxed);
        let n_rows = decoded.records.len() as u64;
        self.shared.sources[self.subtask].rows_in.fetch_add(n_rows, Ordering::Relaxed);
        self.state.report.counters.rows_in += n_rows;
        self.state.report.counters.tombstones += decoded.tombstones;
        self.state.report.schemas.extend(decoded.schemas.iter().cloned());
        for rejected in &decoded.rejected {
            self.dead_letter(block, rejected.record, Why::new(rejected.reason, rejected.detail.clone()));
        }
    }

    pub(super) fn judge_and_run(&mut self, block: &RecordBlock, decoded: &Decoded) -> Result<(), Error> {
        let Some(first) = decoded.records.first() else { return Ok(()) };
        self.partitions.wake(block.partition, self.rules.lateness_ms, block.offsets[*first as usize]);
        let known = "blocks come from assigned partitions";
        let mut time = self.partitions.get(block.partition).expect(known).time;
        let rules = self.rules;
        let ran = self.judge_by(block, decoded, &rules, &mut time);
        self.partitions.get(block.partition).expect(known).time = time;
        ran
    }

    /// Judges the rows by a time that they move, and runs those that count.
    pub(super) fn judge_by(
        &mut self,
        block: &RecordBlock,
        decoded: &Decoded,
        rules: &Rules,
        time: &mut PartitionTime,
    ) -> Result<(), Error> {
        if decoded.records.is_empty() {
            return Ok(());
        }
        let event_times = event_times_ms(&decoded.batch, self.plan.event_time)?;
        let record_times = || decoded.records.iter().map(|record| block.timestamps_ms[*record as usize]);
        let is_on_time =
            event_times.null_count() == 0 && time.are_on_time(rules, event_times.values(), record_times());
        let mut judged = Judged::default();
        let (panes, sides) = if is_on_time {
            let pane = rules.windows.map(|windows| windows.pane(event_times.value(0)));
            (pane.map_or_else(|| event_times.clone(), |pane| vec![pane; event_times.len()].into()), None)
        } else {
            time.judge(rules, event_times.iter(), record_times(), &mut judged);
            let sides = sides(&judged.sides, judged.verdicts.len());
            (Int64Array::from(std::mem::take(&mut judged.panes)), sides)
        };
        let records = UInt32Array::from(decoded.records.clone());
        let rows = SourceRows { batch: decoded.batch.clone(), panes, sides, times_ms: event_times, records };
        if is_on_time {
            return self.run_rows(block, rows, Vec::new());
        }
        let counts = |verdict: &Verdict| matches!(verdict, Verdict::OnTime | Verdict::PartlyLate);
        let keep: BooleanArray = judged.verdicts.iter().map(|verdict| Some(counts(verdict))).collect();
        if judged.verdicts.iter().any(|verdict| *verdict != Verdict::OnTime) {
            for (row, verdict) in judged.verdicts.iter().enumerate() {
                self.reject(block, &rows, row, *verdict);
            }
        }
        // A record makes one dead letter, and those already have it.
        let lettered: Vec<u32> = judged.sides.iter().map(|(row, _)| decoded.records[*row]).collect();
        match keep.true_count() {
            0 => Ok(()),
            n if n == keep.len() => self.run_rows(block, rows, lettered),
            _ => {
                let filtered = |array: &dyn Array| arrow::compute::filter(array, &keep);
                let rows = SourceRows {
                    batch: filter_record_batch(&rows.batch, &keep)?,
                    panes: filtered(&rows.panes)?.as_primitive().clone(),
                    sides: match &rows.sides {
                        Some(sides) => Some(filtered(sides)?.as_primitive().clone()),
                        None => None,
                    },
                    times_ms: filtered(&rows.times_ms)?.as_primitive().clone(),
                    records: filtered(&rows.records)?.as_primitive().clone(),
                };
                self.run_rows(block, rows, lettered)
            }
        }
    }

    fn reject(&mut self, block: &RecordBlock, rows: &SourceRows, row: usize, verdict: Verdict) {
        let record = rows.records.value(row);
        match verdict {
            Verdict::OnTime => {}
            Verdict::Late | Verdict::PartlyLate => {
                let windows = self.rules.windows.expect("without windows no row is late");
                let last_ms = rows.panes.value(row);
                let first_ms = windows.first(last_ms);
                let open_ms = rows.sides.as_ref().filter(|sides| sides.is_valid(row));
                let open_ms = open_ms.map_or(last_ms.saturating_add(windows.slide_ms), |s| s.value(row));
                self.state.report.counters.late_rows += 1;
                self.dead_letter(block, record, missed(&windows, first_ms, open_ms));
            }
            Verdict::BadEventTime => {
                let detail = if rows.times_ms.is_null(row) {
                    "the event time is null".to_owned()
                } else if self.rules.reach_ms < rows.times_ms.value(row).unsigned_abs() {
                    "the event time is so far from 1970 that its windows have no bounds".to_owned()
                } else {
                    let ahead_ms =
                        rows.times_ms.value(row).saturating_sub(block.timestamps_ms[record as usize]);
                    format!("the event time is {ahead_ms} ms past the record's Kafka timestamp")
                };
                self.dead_letter(block, record, Why::new(Reason::BadEventTime, detail));
            }
        }
    }

    /// `lettered`: records that have a dead letter already, ascending.
    fn run_rows(
        &mut self,
        block: &RecordBlock,
        rows: SourceRows,
        mut lettered: Vec<u32>,
    ) -> Result<(), Error> {
        let Some(windows) = self.rules.windows.filter(|_| self.plan.expands()) else {
            return self.run_piece(block, rows, &mut lettered);
        };
        rows.expand(&windows, |piece| self.run_piece(block, piece, &mut lettered))
    }

    fn run_piece(
        &mut self,
        block: &RecordBlock,
        rows: SourceRows,
        lettered: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let n_judged = rows.batch.num_rows() as u64;
        let (prepared, failed) = self.stateless.run(rows, block.partition, &block.offsets)?;
        let n_kept: usize = prepared.iter().map(Prepared::n_rows).sum();
        let meter = &self.shared.sources[self.subtask];
        meter.rows_judged.fetch_add(n_judged, Ordering::Relaxed);
        meter.rows_kept.fetch_add(n_kept as u64, Ordering::Relaxed);
        for row in failed {
            // Of a row for each window several may fail.
            if let Err(at) = lettered.binary_search(&row.record) {
                lettered.insert(at, row.record);
                let detail = self.plan.shown_failure(row.detail);
                self.dead_letter(block, row.record, Why::new(Reason::EvaluationError, detail));
            }
        }
        for rows in prepared {
            match rows {
                Prepared::Appended(timed) => {
                    self.state.epoch_bytes += timed.rows.get_array_memory_size();
                    self.state.ready.push(Batch::Append(timed));
                }
                Prepared::Grouped { panes, sides, keys, args, filters } => {
                    let partial =
                        self.partial.as_mut().expect("a plan with an aggregation has a partial one");
                    for rows in split_by_pane(&panes, sides.as_ref(), keys, args, filters)? {
                        self.state.touched.iter_mut().for_each(|touched| touched.add(rows.pane.start_ms));
                        partial.add(rows, &mut self.state.ready)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn dead_letter(&mut self, block: &RecordBlock, record: u32, why: Why) {
        let i = record as usize;
        // A letter that becomes one anew was counted when it first did.
        let letter = match self.state.again.get(i) {
            Some(before) => before.again(why, self.source.name()),
            None => {
                self.state.report.counters.dead_letters += 1;
                self.shared.dead_letters_total[why.reason.index()].fetch_add(1, Ordering::Relaxed);
                self.new_letter(block, i, why)
            }
        };
        self.state.epoch_bytes += letter.n_bytes();
        self.state.report.dead_letters.push(letter);
    }

    fn new_letter(&self, block: &RecordBlock, i: usize, why: Why) -> DeadLetter {
        let value = block.value(i);
        DeadLetter {
            source: self.source.name().to_owned(),
            topic: self.source.place(block.partition),
            partition: Some(block.partition),
            offset: Some(block.offsets[i]),
            record_time_ms: Some(block.timestamps_ms[i]).filter(|ms| 0 <= *ms),
            schema_id: value.and_then(|value| self.decoder.schema_id(value)),
            reason: why.reason,
            detail: why.detail,
            key: block.key(i).map(<[u8]>::to_vec),
            payload: value.map(<[u8]>::to_vec),
            headers: self.reader.headers(block, i),
            operator: Some(self.source.name().to_owned()),
            replays: 0,
            missed_ms: why.missed_ms,
        }
    }
}

/// The event times of a batch in milliseconds, rounded down; null where the column is.
fn event_times_ms(batch: &RecordBatch, event_time: usize) -> Result<Int64Array, Error> {
    let column = batch.column(event_time);
    let per_ms = units_per_ms(column.data_type()).ok_or_else(|| {
        SourceError::Fatal(format!("an event time of type {} has no milliseconds", column.data_type()))
    })?;
    let values = cast(column, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    Ok(if per_ms == 1 { values.clone() } else { values.unary(|value| floor_to_ms(value, per_ms)) })
}

/// The first open windows of partly late rows as a column; none where no row is partly late.
fn sides(sides: &[(usize, i64)], n_rows: usize) -> Option<Int64Array> {
    if sides.is_empty() {
        return None;
    }
    let mut column = vec![None; n_rows];
    sides.iter().for_each(|(row, first_ms)| column[*row] = Some(*first_ms));
    Some(Int64Array::from(column))
}

/// Which windows a late row missed: those that start in `[first_ms, open_ms)`.
fn missed(windows: &Windows, first_ms: i64, open_ms: i64) -> Why {
    let window = |start_ms| format!("[{}, {})", rfc3339_ms(start_ms), rfc3339_ms(windows.end(start_ms)));
    let last_ms = open_ms.saturating_sub(windows.slide_ms);
    let detail = match open_ms.saturating_sub(first_ms) / windows.slide_ms {
        1 => format!("missed window {}", window(first_ms)),
        n => format!("missed {n} windows, from {} to {}", window(first_ms), window(last_ms)),
    };
    Why { reason: Reason::LateRow, detail, missed_ms: Some((first_ms, windows.end(last_ms))) }
}

/// `2026-11-22T10:00:00.000Z`; the bare number where the calendar has no such time.
fn rfc3339_ms(ms: i64) -> String {
    arrow::temporal_conversions::timestamp_ms_to_datetime(ms)
        .map_or_else(|| ms.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
