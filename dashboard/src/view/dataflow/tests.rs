//! The dataflow: where boxes stand, and who is named.

use proptest::prelude::*;
use weir_api::GraphEdge;

use super::*;

fn node(id: &str, kind: &str, busy_ratio: Option<f64>, blocked_ratio: Option<f64>) -> GraphNode {
    GraphNode {
        id: id.into(),
        kind: kind.into(),
        label: format!("{kind} of something with a long name"),
        busy_ratio,
        blocked_ratio,
        ..GraphNode::default()
    }
}

fn edge(from: &str, to: &str, rows: Option<u64>) -> GraphEdge {
    GraphEdge { from: from.into(), to: to.into(), rows, rows_per_second: None }
}

fn graph(source: (f64, f64), window: (f64, f64)) -> Graph {
    Graph {
        nodes: vec![
            node("source orders", "source", Some(source.0), Some(source.1)),
            node("partial", "partial", None, None),
            node("window", "window", Some(window.0), Some(window.1)),
            node("result", "result", None, None),
            node("sink out", "sink", None, None),
        ],
        edges: vec![
            edge("source orders", "partial", None),
            edge("partial", "window", Some(100)),
            edge("window", "result", Some(10)),
            edge("window", "sink out", Some(10)),
        ],
    }
}

fn sink(state: &str) -> Sink {
    Sink {
        sink: "out".into(),
        pipeline: "revenue".into(),
        state: state.into(),
        outbox_rows: 9,
        outbox_bytes: 9,
        delivered_epoch: 1,
        error: Some("no broker".into()),
    }
}

#[test]
fn data_path_runs_to_the_right_and_sinks_branch_off_below() {
    let view = flow(&graph((0.1, 0.0), (0.1, 0.0)), &Counts::default(), &[], 0.0);
    let places: Vec<(f64, f64)> = view.nodes.iter().map(|node| (node.x, node.y)).collect();
    let step = 168.0 + GAP_X;
    let column = |n: f64| MARGIN + n * step;
    let second_row = MARGIN + NODE_HEIGHT + GAP_Y;
    assert_eq!(
        places,
        [
            (column(0.0), MARGIN),
            (column(1.0), MARGIN),
            (column(2.0), MARGIN),
            (column(3.0), MARGIN),
            (column(3.0), second_row)
        ]
    );
    assert_eq!(view.edges[1].path, "M414 55H487");
    let labels = [&view.edges[2], &view.edges[3]].map(|edge| (edge.label_x, edge.label_y));
    assert_eq!(labels, [(column(3.0) - 38.0, 47.0), (column(3.0) - 19.0, second_row + 25.0)]);
    assert_eq!(view.nodes[2].short_label, "window of something wit…");
    let wide = flow(&graph((0.1, 0.0), (0.1, 0.0)), &Counts::default(), &[], 1_200.0);
    assert_eq!((wide.nodes[0].width, wide.width), (242.0, 1_200.0));
    assert_eq!(wide.nodes[2].short_label, "window of something with a long name");
}

#[test]
fn many_sinks_stand_on_both_sides_of_the_data_path() {
    let mut graph = graph((0.1, 0.0), (0.1, 0.0));
    for name in ["sink p", "sink q"] {
        graph.nodes.push(node(name, "sink", None, None));
        graph.edges.push(edge("window", name, None));
    }
    let view = flow(&graph, &Counts::default(), &[], 0.0);
    let y = |id: &str| view.nodes.iter().find(|node| node.id == id).expect("it is there").y;
    let line = MARGIN + SINK_HEIGHT + GAP_Y;
    assert_eq!(["source orders", "partial", "window", "result"].map(y), [line; 4], "one straight line");
    let below = line + NODE_HEIGHT + GAP_Y;
    assert_eq!(["sink out", "sink p", "sink q"].map(y), [MARGIN, below, below + SINK_HEIGHT + GAP_Y]);
    assert_eq!(view.height, below + 2.0 * SINK_HEIGHT + GAP_Y + MARGIN);
}

#[test]
fn on_a_phone_steps_stand_below_each_other() {
    let view = flow(&graph((0.1, 0.0), (0.1, 0.0)), &Counts::default(), &[], 308.0);
    let row = NODE_HEIGHT + GAP_Y;
    let places: Vec<(f64, f64)> = view.nodes.iter().map(|node| (node.x, node.y)).collect();
    let expected = [(12.0, 2.0), (34.0, 2.0 + row), (56.0, 2.0 + 2.0 * row), (78.0, 2.0 + 3.0 * row)];
    assert_eq!(places[..4], expected);
    assert_eq!(places[4], (78.0, 2.0 + 4.0 * row), "what branches off stands as far in");
    assert!(view.width <= 308.0, "{}", view.width);
    assert_eq!((view.nodes[4].height, view.height), (SINK_HEIGHT, 2.0 + 4.0 * row + SINK_HEIGHT + 2.0));
    assert_eq!(view.edges[0].path, "M23 108V181H31");
    assert_eq!(view.edges[3].path, "M67 360V539H75", "past the result, left of it");
    // Two sources: the line of the first one runs left of the second.
    let two = Graph {
        nodes: ["a", "b", "join"].map(|id| node(id, "source", None, None)).to_vec(),
        edges: vec![edge("a", "join", None), edge("b", "join", None)],
    };
    let view = flow(&two, &Counts::default(), &[], 308.0);
    assert_eq!(view.edges[0].path, "M12 55H5V307H31");
    assert_eq!(view.edges[1].path, "M23 234V307H31");
}

#[test]
fn who_holds_up_is_named_in_words() {
    let said = |graph: &Graph, sinks: &[Sink]| {
        let view = flow(graph, &Counts::default(), sinks, 0.0);
        let culprit = view.nodes.iter().find(|node| node.is_culprit).map(|node| node.id.clone());
        (view.sentence, culprit)
    };
    assert_eq!(
        said(&graph((0.2, 0.62), (0.97, 0.0)), &[]),
        (
            "The step that keeps the windows holds the pipeline up: it works 97 % of its time, and the source waits \
             for it 62 % of the time."
                .into(),
            Some("window".into())
        )
    );
    assert_eq!(
        said(&graph((0.2, 0.9), (0.1, 0.8)), &[sink("down")]),
        (
            "The sink out holds the pipeline up: it is down and its outbox is full: no broker, and the step that \
             keeps the windows waits for it 80 % of the time."
                .into(),
            Some("sink out".into())
        )
    );
    assert_eq!(
        said(&graph((0.12, 0.0), (0.03, 0.01)), &[sink("down")]),
        ("Nothing is held up. Most is done by the source: 12 % of its time.".into(), None)
    );
    assert!(said(&graph((0.95, 0.0), (0.03, 0.01)), &[]).0.contains("is the limit of this pipeline"));
    let idle = "Nothing is held up: there is next to nothing to do.";
    assert_eq!(said(&graph((0.0, 0.0), (0.004, 0.0)), &[]).0, idle);
}

#[test]
fn rates_are_those_of_the_last_samples() {
    let mut counts = Counts::default();
    let mut graph = graph((0.0, 0.0), (0.0, 0.0));
    for second in 0..20_u64 {
        graph.edges[1].rows = Some(second * second);
        counts.take(&graph, second as f64 * 1_000.0);
    }
    let rates: Vec<String> =
        flow(&graph, &counts, &[], 0.0).edges.into_iter().map(|edge| edge.rate).collect();
    // (19² − 14²) / 5 s; nobody counts the first edge.
    assert_eq!(rates, ["", "33/s", "0/s", "0/s"]);
    graph.edges[1].rows = Some(3);
    counts.take(&graph, 20_000.0);
    assert_eq!(flow(&graph, &counts, &[], 0.0).edges[1].rate, "", "a count that went back starts over");
}

proptest! {
    /// Whatever edges there are, also in cycles, and however much room: no two nodes overlap, and all are inside.
    #[test]
    fn nodes_never_overlap(edges in prop::collection::vec((0..8_usize, 0..8_usize), 0..20), room in 0.0..2_000.0_f64) {
        let kind = |n: usize| if n.is_multiple_of(3) { "sink" } else { "window" };
        let nodes: Vec<GraphNode> = (0..8).map(|n| node(&n.to_string(), kind(n), None, None)).collect();
        let edges = edges.into_iter().map(|(from, to)| edge(&from.to_string(), &to.to_string(), None)).collect();
        let view = flow(&Graph { nodes, edges }, &Counts::default(), &[], room);
        for (at, one) in view.nodes.iter().enumerate() {
            let overlaps = |other: &NodeView| {
                let across = one.x < other.x + other.width && other.x < one.x + one.width;
                across && one.y < other.y + other.height && other.y < one.y + one.height
            };
            prop_assert!(!view.nodes[at + 1..].iter().any(overlaps));
        }
        let is_inside = |node: &NodeView| node.x + node.width <= view.width && node.y + node.height <= view.height;
        prop_assert!(view.nodes.iter().all(is_inside));
    }
}
