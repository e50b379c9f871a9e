//! The metric families, in one place: names, units, help.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use weir_engine::connector::Reason;

use super::histogram::Histogram;
use super::text::{Exposition, Kind};
use super::{EPOCH_BOUNDS, Metrics, locked};
use crate::catalog::{PipelineView, lag};

/// The media type of the exposition.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Metrics {
    /// The exposition. `now_ms`: milliseconds since 1970.
    #[must_use]
    pub fn render(&self, views: &[PipelineView], now_ms: i64) -> String {
        let mut out = Exposition::default();
        sources(&mut out, views, now_ms);
        dead_letters(&mut out, views);
        self.epochs(&mut out, views);
        operators(&mut out, views);
        sinks(&mut out, views);
        self.streams(&mut out, views);
        self.http(&mut out);
        out.finish()
    }

    fn epochs(&self, out: &mut Exposition, views: &[PipelineView]) {
        let name = "weir_epoch_duration_seconds";
        out.family(
            name,
            Kind::Histogram,
            "seconds",
            "From an epoch's barrier to the end of its synced write.",
        );
        let (epochs, none) = (locked(&self.epochs), Histogram::new(&EPOCH_BOUNDS));
        for view in views {
            let durations = epochs.get(&view.name).map_or(&none, |epochs| &epochs.duration_s);
            out.histogram(name, &[("pipeline", &view.name)], durations);
        }
        out.family("weir_epoch_bytes", Kind::Counter, "bytes", "Bytes written by commits.");
        for view in views {
            out.sample("weir_epoch_bytes_total", &[("pipeline", &view.name)], view.live.epoch_bytes_total);
        }
    }

    fn streams(&self, out: &mut Exposition, views: &[PipelineView]) {
        out.family("weir_stream_clients", Kind::Gauge, "", "Open streams.");
        out.sample("weir_stream_clients", &[], self.stream_clients.load(Ordering::Relaxed));
        let help = "Epochs that a stream client got merged into a later one.";
        out.family("weir_stream_conflated", Kind::Counter, "", help);
        let conflated = locked(&self.conflated);
        for view in views.iter().filter(|view| view.retained) {
            let count = conflated.get(&view.name).copied().unwrap_or(0);
            out.sample("weir_stream_conflated_total", &[("pipeline", &view.name)], count);
        }
    }

    fn http(&self, out: &mut Exposition) {
        let requests = locked(&self.requests);
        out.family("weir_http_requests", Kind::Counter, "", "Requests answered.");
        for (route, counted) in requests.iter() {
            for (status, count) in &counted.by_status {
                let labels: [(&str, &dyn std::fmt::Display); 3] =
                    [("method", &route.method), ("path", &route.path), ("status", status)];
                out.sample("weir_http_requests_total", &labels, count);
            }
        }
        let name = "weir_http_request_duration_seconds";
        out.family(
            name,
            Kind::Histogram,
            "seconds",
            "From a request's headers to the headers of its answer.",
        );
        for (route, counted) in requests.iter() {
            let labels: [(&str, &dyn std::fmt::Display); 2] =
                [("method", &route.method), ("path", &route.path)];
            out.histogram(name, &labels, &counted.duration_s);
        }
    }
}

fn sources(out: &mut Exposition, views: &[PipelineView], now_ms: i64) {
    out.family(
        "weir_source_records",
        Kind::Counter,
        "records",
        "Records read, tombstones and dead letters included.",
    );
    for view in views {
        let labels: [(&str, &dyn std::fmt::Display); 3] =
            [("pipeline", &view.name), ("source", &view.source), ("topic", &view.topic)];
        out.sample("weir_source_records_total", &labels, view.live.records_total);
    }
    out.family("weir_source_bytes", Kind::Counter, "bytes", "Bytes of record values read.");
    for view in views {
        let labels: [(&str, &dyn std::fmt::Display); 3] =
            [("pipeline", &view.name), ("source", &view.source), ("topic", &view.topic)];
        out.sample("weir_source_bytes_total", &labels, view.live.bytes_total);
    }
    out.family(
        "weir_source_lag_records",
        Kind::Gauge,
        "records",
        "Records of a partition that are not yet read and committed.",
    );
    for view in views {
        for fact in view.facts().map(|facts| facts.partitions.as_slice()).unwrap_or_default() {
            let Some(end) = view.end_offset(fact) else { continue };
            let labels: [(&str, &dyn std::fmt::Display); 4] = [
                ("pipeline", &view.name),
                ("source", &view.source),
                ("topic", &view.topic),
                ("partition", &fact.partition),
            ];
            out.sample("weir_source_lag_records", &labels, lag(fact.next_offset, end));
        }
    }
    out.family(
        "weir_watermark_lag_seconds",
        Kind::Gauge,
        "seconds",
        "How far the watermark is behind the wall clock.",
    );
    for view in views {
        if let Some(watermark_ms) = view.facts().and_then(|facts| facts.watermark_ms) {
            let seconds = now_ms.saturating_sub(watermark_ms) as f64 / 1_000.0;
            out.sample("weir_watermark_lag_seconds", &[("pipeline", &view.name)], seconds);
        }
    }
}

fn dead_letters(out: &mut Exposition, views: &[PipelineView]) {
    let of = |view: &PipelineView, reason: Reason| view.live.dead_letters_total[reason.index()];
    out.family("weir_late_rows", Kind::Counter, "rows", "Rows that were late for one of their windows.");
    for view in views {
        out.sample("weir_late_rows_total", &[("pipeline", &view.name)], of(view, Reason::LateRow));
    }
    out.family("weir_tombstones", Kind::Counter, "", "Records with a null value.");
    for view in views {
        out.sample("weir_tombstones_total", &[("pipeline", &view.name)], view.live.tombstones_total);
    }
    let help = "Records deleted before they were read, that --skip-lost went on without.";
    out.family("weir_source_lost_records", Kind::Counter, "", help);
    for view in views {
        let labels: [(&str, &dyn std::fmt::Display); 3] =
            [("pipeline", &view.name), ("source", &view.source), ("topic", &view.topic)];
        out.sample("weir_source_lost_records_total", &labels, view.live.lost_records_total);
    }
    out.family(
        "weir_dead_letters",
        Kind::Counter,
        "",
        "Records that could not be processed, late rows included.",
    );
    for view in views {
        for reason in Reason::ALL {
            let labels: [(&str, &dyn std::fmt::Display); 2] =
                [("pipeline", &view.name), ("reason", &reason.as_str())];
            out.sample("weir_dead_letters_total", &labels, of(view, reason));
        }
    }
    let help = "Dead letters that were run again and are none any more.";
    out.family("weir_dead_letters_replayed", Kind::Counter, "", help);
    for view in views {
        let n = view.live.letters_replayed_total;
        out.sample("weir_dead_letters_replayed_total", &[("pipeline", &view.name)], n);
    }
    let help = "Dead letters that were kept no longer: too old, or too many bytes of newer ones.";
    out.family("weir_dead_letters_expired", Kind::Counter, "", help);
    for view in views {
        let n = view.live.letters_expired_total;
        out.sample("weir_dead_letters_expired_total", &[("pipeline", &view.name)], n);
    }
}

/// One operator, its subtasks together.
#[derive(Default)]
struct Operator {
    rows_in: u64,
    /// The busiest subtask's: it is the one that holds the others up.
    busy_ratio: f64,
    state_bytes: u64,
}

fn operators(out: &mut Exposition, views: &[PipelineView]) {
    let mut all: BTreeMap<(&str, String), Operator> = BTreeMap::new();
    for view in views {
        for live in &view.live.operators {
            // A sink may have the name of the source.
            let name = match live.kind {
                "sink" => format!("sink {}", live.operator),
                _ => live.operator.clone(),
            };
            let operator = all.entry((&view.name, name)).or_default();
            operator.rows_in += live.rows_in;
            operator.busy_ratio = operator.busy_ratio.max(live.busy_ratio);
            operator.state_bytes += live.state_bytes;
        }
    }
    out.family("weir_operator_rows", Kind::Counter, "rows", "Rows that entered an operator.");
    for ((pipeline, name), operator) in &all {
        out.sample(
            "weir_operator_rows_total",
            &[("pipeline", pipeline), ("operator", name)],
            operator.rows_in,
        );
    }
    out.family(
        "weir_operator_busy_ratio",
        Kind::Gauge,
        "ratio",
        "Share of the last second spent working, the busiest subtask's.",
    );
    for ((pipeline, name), operator) in &all {
        out.sample(
            "weir_operator_busy_ratio",
            &[("pipeline", pipeline), ("operator", name)],
            operator.busy_ratio,
        );
    }
    out.family("weir_state_bytes", Kind::Gauge, "bytes", "Bytes of an operator's state.");
    for ((pipeline, name), operator) in &all {
        out.sample("weir_state_bytes", &[("pipeline", pipeline), ("operator", name)], operator.state_bytes);
    }
}

fn sinks(out: &mut Exposition, views: &[PipelineView]) {
    let rows = || views.iter().flat_map(|view| view.live.sinks.iter().map(move |sink| (view, sink)));
    let help = "Committed rows that a sink has not yet got.";
    out.family("weir_sink_outbox_rows", Kind::Gauge, "rows", help);
    for (view, sink) in rows() {
        let labels: [(&str, &dyn std::fmt::Display); 2] = [("pipeline", &view.name), ("sink", &sink.sink)];
        out.sample("weir_sink_outbox_rows", &labels, sink.outbox_rows);
    }
    out.family(
        "weir_sink_deliveries",
        Kind::Counter,
        "",
        "Tries to deliver to a sink, by what came of them.",
    );
    for (view, sink) in rows() {
        for (result, count) in [("ok", sink.deliveries_total), ("failed", sink.failed_deliveries_total)] {
            let labels: [(&str, &dyn std::fmt::Display); 3] =
                [("pipeline", &view.name), ("sink", &sink.sink), ("result", &result)];
            out.sample("weir_sink_deliveries_total", &labels, count);
        }
    }
}
