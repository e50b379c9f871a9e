//! `GET /api/v1/pipelines` and `GET /api/v1/pipelines/{name}`.
//!
//! The objects carry the columns of the system tables of the same names, nulls included, so that an answer read over
//! SQL and one read here can be compared field by field.

use serde::{Deserialize, Serialize};

/// The answer to `GET /api/v1/pipelines`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelinesResponse {
    /// The project that this server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    pub pipelines: Vec<Pipeline>,
}

/// What a pipeline is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PipelineState {
    /// Waits for a broker, a registry or a subject, or recovers.
    Starting,
    Running,
    /// Was asked to stop, or came to the end of a bounded input.
    Stopped,
    /// Can't go on; `error` says why.
    Failed,
}

impl PipelineState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// One row of `weir.pipelines`. Counters are those of the pipeline's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    pub name: String,
    pub state: PipelineState,
    /// The last committed epoch; 0 before the first.
    pub epoch: u64,
    pub committed_at: Option<String>,
    pub watermark: Option<String>,
    pub rows_in: u64,
    pub rows_out: u64,
    pub late_rows: u64,
    pub tombstones: u64,
    /// Late rows included.
    pub dead_letters: u64,
    /// Records that were deleted before they were read, and that `--skip-lost` went on without.
    #[serde(default)]
    pub lost_records: u64,
    /// Dead letters that were run again and are none any more.
    #[serde(default)]
    pub dead_letters_replayed: u64,
    /// Dead letters that were kept no longer.
    #[serde(default)]
    pub dead_letters_expired: u64,
    /// Why it failed, or what it waits for.
    pub error: Option<String>,
}

/// The body of `POST /api/v1/pipelines/{name}/replay`: which dead letters are run again; where both are left out, all
/// that can be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A SQL condition over the columns of `weir.dead_letters`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// The answer to it. All of it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplayResponse {
    /// Dead letters that are none any more: their records were counted.
    pub replayed: u64,
    /// Those that were run again and are dead letters still, with what is wrong now.
    pub failed_again: u64,
    /// Why the rest was left as it is; null: there is none.
    pub stopped: Option<String>,
}

/// The answer to `GET /api/v1/pipelines/{name}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineDetail {
    #[serde(flatten)]
    pub pipeline: Pipeline,
    /// As it stands in the pipeline's file.
    pub sql: String,
    /// Names of the sources it reads.
    pub sources: Vec<String>,
    pub sinks: Vec<Sink>,
    pub partitions: Vec<Partition>,
    pub graph: Graph,
    /// When windows close; absent where a server does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
}

/// What decides when a window closes: at `end + lateness <= watermark`, where a partition's watermark is its newest
/// event time − `delay`, and one that is silent for `idle_timeout` at its end no longer counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    pub delay_ms: i64,
    pub idle_timeout_ms: i64,
    pub lateness_ms: i64,
    /// Of the pipeline's windows; left out where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_size_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_slide_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_offset_ms: Option<i64>,
}

/// One row of `weir.sinks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sink {
    pub sink: String,
    pub pipeline: String,
    pub state: String,
    pub outbox_rows: u64,
    pub outbox_bytes: u64,
    pub delivered_epoch: u64,
    pub error: Option<String>,
}

/// One row of `weir.partitions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    pub pipeline: String,
    pub source: String,
    pub topic: String,
    pub partition: i32,
    /// The first offset not yet read.
    pub next_offset: i64,
    /// The first offset that does not exist yet; null until the broker has said so.
    pub end_offset: Option<i64>,
    pub lag_records: Option<u64>,
    pub watermark: Option<String>,
    pub idle: bool,
}

/// The dataflow graph of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    pub nodes: Vec<GraphNode>,
    pub edges: Vec<GraphEdge>,
}

/// An operator, a source or a sink, all its subtasks together. A figure that does not apply is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Unique in the graph.
    pub id: String,
    /// Such as `source`, `stateless`, `partial`, `exchange`, `window`, `result`, `sink`.
    pub kind: String,
    /// For people: the topic, the filter, the window.
    pub label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtasks: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_in: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_out: Option<u64>,
    /// Share of the time spent working, 0 to 1, the busiest subtask's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_ratio: Option<f64>,
    /// Share of the time spent waiting for room downstream, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_ratio: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
}

/// Rows flow from node `from` to node `to`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GraphEdge {
    pub from: String,
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::round_trip;

    const REVENUE: &str = r#""name":"revenue","state":"running","epoch":812,"committed_at":"2026-11-22T12:04:30.250Z","watermark":"2026-11-22T12:04:25.000Z","rows_in":100,"rows_out":20,"late_rows":1,"tombstones":2,"dead_letters":3,"dead_letters_replayed":4,"dead_letters_expired":5,"lost_records":0,"error":null"#;

    #[test]
    fn pipelines_carry_the_columns_of_the_system_table() {
        let answer: PipelinesResponse = round_trip(&format!(
            r#"{{"project":"shop","pipelines":[{{{REVENUE}}},{{"name":"orders","state":"failed","epoch":0,"committed_at":null,"watermark":null,"rows_in":0,"rows_out":0,"late_rows":0,"tombstones":0,"dead_letters":0,"dead_letters_replayed":0,"dead_letters_expired":0,"lost_records":0,"error":"topic \"shop.orders\" was made anew"}}]}}"#
        ));
        assert_eq!(answer.pipelines[0].state, PipelineState::Running);
        assert_eq!(answer.pipelines[1].watermark, None);
    }

    #[test]
    fn detail_is_the_pipeline_and_more() {
        let detail: PipelineDetail = round_trip(&format!(
            r#"{{{REVENUE},"sql":"SELECT 1 AS x","sources":["orders"],"sinks":[{{"sink":"revenue_out","pipeline":"revenue","state":"running","outbox_rows":0,"outbox_bytes":0,"delivered_epoch":812,"error":null}}],"partitions":[{{"pipeline":"revenue","source":"orders","topic":"shop.orders","partition":0,"next_offset":7,"end_offset":9,"lag_records":2,"watermark":null,"idle":false}}],"graph":{{"nodes":[{{"id":"source","kind":"source","label":"orders","subtasks":2,"rows_out":7,"busy_ratio":0.5}},{{"id":"result","kind":"result","label":"revenue"}}],"edges":[{{"from":"source","to":"result","rows":7}}]}},"timing":{{"delay_ms":5000,"idle_timeout_ms":30000,"lateness_ms":0,"window_size_ms":10000,"window_slide_ms":10000,"window_offset_ms":0}}}}"#
        ));
        assert_eq!(detail.pipeline.name, "revenue");
        assert_eq!(detail.graph.edges[0].to, "result");
        assert_eq!(detail.timing.map(|timing| timing.window_size_ms), Some(Some(10_000)));
    }

    #[test]
    fn added_columns_are_ignored() {
        let row = format!(r#"{{{REVENUE},"added_later":[1,2]}}"#);
        let pipeline: Pipeline = serde_json::from_str(&row).expect("a known row with one more column");
        assert_eq!(pipeline.dead_letters, 3);
    }

    #[test]
    fn states_are_spelt_as_on_the_wire() {
        for state in
            [PipelineState::Starting, PipelineState::Running, PipelineState::Stopped, PipelineState::Failed]
        {
            let text = serde_json::to_string(&state).expect("a unit variant");
            assert_eq!(text, format!("\"{}\"", state.as_str()));
        }
    }
}
