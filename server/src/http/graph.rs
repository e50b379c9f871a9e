//! A pipeline's dataflow as nodes and edges, for people to look at.
//!
//! ```text
//! source ─► stateless ─► partial ─► window ─► result        without aggregation: source ─► stateless ─► append ─► result
//! ```
//!
//! Which nodes there are is the plan's; figures are those that subtasks report. Stateless steps and
//! partial aggregation run inside the source's subtasks, which count the rows between them.

use weir_api::{Graph, GraphEdge, GraphNode};
use weir_engine::dataflow::plan::Plan;
use weir_engine::pipeline::OperatorLive;
use weir_engine::sql::{call_labels, step_labels};

use crate::catalog::PipelineView;

/// The dataflow of a pipeline; without a plan, of what runs already.
pub(super) fn graph(view: &PipelineView) -> Graph {
    let mut running = running(view).into_iter();
    let mut nodes: Vec<GraphNode> = running.next().into_iter().collect();
    if let (Some(plan), Some(source)) = (&view.plan, nodes.first_mut()) {
        let mut inside = inside_source(plan);
        let of_source = || view.live.operators.iter().filter(|live| live.kind == "source");
        if let Some(last) = inside.len().checked_sub(1) {
            // What a source's subtasks count as going out has been through all that is inside.
            inside[last].rows_out = source.rows_out;
            source.rows_out = Some(of_source().map(|live| live.rows_judged).sum());
        }
        if let [stateless, _partial] = inside.as_mut_slice() {
            stateless.rows_out = Some(of_source().map(|live| live.rows_kept).sum());
        }
        nodes.extend(inside);
    }
    nodes.extend(running);
    if let (Some(facts), true) = (view.facts(), view.retained) {
        nodes.push(GraphNode {
            id: "result".to_owned(),
            kind: "result".to_owned(),
            label: format!("table {}", view.name),
            rows_out: Some(facts.counters.rows_out),
            ..GraphNode::default()
        });
    }
    let edge = |pair: &[GraphNode]| GraphEdge {
        from: pair[0].id.clone(),
        to: pair[1].id.clone(),
        rows: pair[0].rows_out,
        rows_per_second: None,
    };
    let mut edges: Vec<GraphEdge> = nodes.windows(2).map(edge).collect();
    // Sinks get their rows where the result table does: from the last operator.
    let last = nodes.iter().rev().find(|node| node.kind != "result").map(|node| node.id.clone());
    for sink in &view.live.sinks {
        let id = format!("sink {}", sink.sink);
        let rows_in = Some(sink.rows_total);
        edges.extend(last.iter().map(|last| GraphEdge {
            from: last.clone(),
            to: id.clone(),
            rows: rows_in,
            rows_per_second: None,
        }));
        let label = format!("{} ({})", sink.sink, sink.kind);
        let is_it = |live: &&OperatorLive| live.kind == "sink" && live.operator == sink.sink;
        // Not how long it waits: for nobody in the pipeline, and the sink's state says why.
        let busy_ratio = view.live.operators.iter().find(is_it).map(|live| live.busy_ratio);
        nodes.push(GraphNode {
            id,
            kind: "sink".to_owned(),
            label,
            rows_in,
            busy_ratio,
            ..GraphNode::default()
        });
    }
    Graph { edges, nodes }
}

/// The operators that report figures, but for sinks, in the order of the data path, their subtasks together.
fn running(view: &PipelineView) -> Vec<GraphNode> {
    let mut nodes: Vec<GraphNode> = Vec::new();
    for live in view.live.operators.iter().filter(|live| live.kind != "sink") {
        let id = format!("{} {}", live.kind, live.operator);
        let id = if live.kind == live.operator { live.kind.to_owned() } else { id };
        let at = nodes.iter().position(|node| node.id == id).unwrap_or_else(|| {
            let label = label(live.kind, view);
            nodes.push(GraphNode { id, kind: live.kind.to_owned(), label, ..GraphNode::default() });
            nodes.len() - 1
        });
        let node = &mut nodes[at];
        node.subtasks = Some(node.subtasks.unwrap_or(0) + 1);
        node.rows_in = Some(node.rows_in.unwrap_or(0) + live.rows_in);
        node.rows_out = Some(node.rows_out.unwrap_or(0) + live.rows_out);
        node.state_bytes = Some(node.state_bytes.unwrap_or(0) + live.state_bytes);
        node.busy_ratio = Some(node.busy_ratio.unwrap_or(0.0).max(live.busy_ratio));
        node.blocked_ratio = Some(node.blocked_ratio.unwrap_or(0.0).max(live.blocked_ratio));
    }
    nodes
}

/// What a source's subtasks do besides reading and decoding.
fn inside_source(plan: &Plan) -> Vec<GraphNode> {
    let node = |kind: &str, label: String| GraphNode {
        id: kind.to_owned(),
        kind: kind.to_owned(),
        label,
        ..GraphNode::default()
    };
    let mut nodes = Vec::new();
    if !plan.before.is_empty() {
        nodes.push(node("stateless", step_labels(plan).join("; ")));
    }
    if plan.aggregate.is_some() {
        nodes.push(node("partial", call_labels(plan).join(", ")));
    }
    nodes
}

/// What an operator of a kind does in this pipeline.
fn label(kind: &str, view: &PipelineView) -> String {
    match (kind, view.plan.as_deref().and_then(|plan| plan.window.as_ref())) {
        ("source", _) => format!("{} ({})", view.source, view.topic),
        ("window", Some(window)) => format!("windows of {} s", window.size_ms as f64 / 1_000.0),
        _ => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
    use weir_engine::sql::TableDef;

    use super::*;
    use crate::testing::{revenue, view};

    fn plan(sql: &str) -> Plan {
        let time = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
        let columns = [("at", time), ("country", DataType::Utf8), ("amount", DataType::Int64)];
        let fields: Vec<Field> =
            columns.into_iter().map(|(name, data_type)| Field::new(name, data_type, true)).collect();
        let table = TableDef {
            name: "orders".to_owned(),
            schema: Arc::new(Schema::new(fields)),
            event_time: 0,
            identity: String::new(),
            left_out: Vec::new(),
        };
        weir_engine::sql::plan(sql, &[table]).expect("a query")
    }

    /// The graph of a pipeline with two source subtasks, that have judged 80 rows each, kept 60 and sent 40 on.
    fn of(plan: Plan) -> Graph {
        let mut view = view("revenue", Some(revenue(3, None, true, &[])));
        view.plan = Some(Arc::new(plan));
        graph(&view)
    }

    #[test]
    fn each_edge_of_the_graph_has_its_rows() {
        let windows = "SELECT window_end, sum(amount * 4711) AS s FROM TUMBLE(TABLE orders, DESCRIPTOR(at), \
                       INTERVAL '10' SECOND)";
        for (sql, expected) in [
            (
                format!("{windows} WHERE amount > 4711 GROUP BY window_end"),
                &[("source", "stateless", 160), ("stateless", "partial", 120), ("partial", "window", 80)][..],
            ),
            (
                format!("{windows} GROUP BY window_end"),
                &[("source", "partial", 160), ("partial", "window", 80)],
            ),
            (
                "SELECT amount + 4711 AS a FROM orders".to_owned(),
                &[("source", "stateless", 160), ("stateless", "window", 80)],
            ),
        ] {
            let plan = plan(&sql);
            let hidden = of(Plan { shown_sql: "SELECT …".to_owned(), ..plan.clone() });
            let graph = of(plan);
            let rows = |edge: &GraphEdge| edge.rows.expect("each edge has its rows");
            let edges: Vec<_> =
                graph.edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str(), rows(edge))).collect();
            assert_eq!(edges[..expected.len()], *expected, "{sql}");
            let labels =
                |graph: &Graph| graph.nodes.iter().map(|node| node.label.clone()).collect::<String>();
            assert!(labels(&graph).contains("4711") || !sql.contains("WHERE"), "{}", labels(&graph));
            assert!(!labels(&hidden).contains("4711"), "{}", labels(&hidden));
        }
    }
}
