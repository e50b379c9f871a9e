//! A pipeline's dataflow, laid out for reading: left to right in the order of the data path, which is one straight line; sinks
//! branch off below it, and where there are several, above it as well. Where there is no room for that, as on a phone, from
//! top to bottom, each step further in than those that lead to it.
//!
//! Invariants:
//! 1. A place depends on nodes, edges and the room only, never on figures: nothing moves while numbers change.
//! 2. Every edge goes from a column to one further right; a cycle, which no plan has, is cut rather than drawn.

use std::collections::VecDeque;

use weir_api::{Graph, GraphNode, Sink};

use super::number::{bytes, rate};

const NODE_HEIGHT: f64 = 106.0;
/// Of a sink, which has no state and of which there may be many below each other.
const SINK_HEIGHT: f64 = 66.0;
/// Boxes take what room there is, within limits.
const NODE_WIDTH: std::ops::RangeInclusive<f64> = 168.0..=248.0;
/// A letter of the small print in a box.
const LETTER: f64 = 6.0;
/// Room for an edge with its rate.
const GAP_X: f64 = 76.0;
const GAP_Y: f64 = 20.0;
const MARGIN: f64 = 2.0;
/// Less room than this, and steps stand below each other.
const TALL_BELOW: f64 = 560.0;
/// How much further in a step stands than those that lead to it, and where edges run left of the first.
const INDENT: f64 = 22.0;
const GUTTER: f64 = 10.0;
/// A step that waits for room for more of its time than this is held up.
const BLOCKED: f64 = 0.1;
/// A step that works for more of its time than this has no room left.
const BUSY: f64 = 0.9;

/// Where a node stands and what is written on it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    pub id: String,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    /// What it is, in one word.
    pub kind: String,
    /// Its load stands beside its kind.
    pub is_flat: bool,
    /// `×2` subtasks; empty where there is one or none of its own.
    pub subtasks: String,
    /// What it does here, whole and cut to the width of the box.
    pub label: String,
    pub short_label: String,
    /// Shares of the time, 0 to 1; `None` where it works inside another node.
    pub busy: Option<f64>,
    pub blocked: Option<f64>,
    /// `busy 12 %, waits 3 %`, or where it works instead.
    pub load: String,
    /// The size of its state; empty where it has none.
    pub state: String,
    /// It slows down what comes before it.
    pub is_culprit: bool,
}

/// An edge with its rate.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeView {
    pub key: String,
    /// The `d` of SVG paths: the line and its head.
    pub path: String,
    pub tip: String,
    /// Where the rate is written.
    pub label_x: f64,
    pub label_y: f64,
    /// `1,204 rows/s`; empty where nobody counts.
    pub rate: String,
}

/// A graph ready to draw.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FlowView {
    pub width: f64,
    pub height: f64,
    pub nodes: Vec<NodeView>,
    pub edges: Vec<EdgeView>,
    /// Who slows the pipeline down, or that nobody does.
    pub sentence: String,
    /// Whether something is held up.
    pub is_held_up: bool,
}

/// Rows that went over each edge at some moments, for rates: the server counts rows, the eye wants rows per second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counts {
    /// Milliseconds of any origin, and rows by edge.
    samples: VecDeque<(f64, Vec<(String, u64)>)>,
}

impl Counts {
    /// Rates are those of this many samples: smooth enough to read, quick enough to see a change.
    const KEPT: usize = 6;

    /// Takes the counts of a graph at `at_ms`. A count that went back starts over.
    pub fn take(&mut self, graph: &Graph, at_ms: f64) {
        let rows: Vec<(String, u64)> =
            graph.edges.iter().filter_map(|edge| Some((key(&edge.from, &edge.to), edge.rows?))).collect();
        let went_back = self.samples.back().is_some_and(|(_, before)| {
            rows.iter().any(|(key, n)| before.iter().any(|(known, m)| known == key && n < m))
        });
        if went_back {
            self.samples.clear();
        }
        if self.samples.len() == Self::KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back((at_ms, rows));
    }

    fn rate(&self, key: &str) -> Option<f64> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let of = |rows: &[(String, u64)]| rows.iter().find(|(known, _)| known == key).map(|(_, n)| *n);
        let seconds = (last.0 - first.0) / 1_000.0;
        let rows = of(&last.1)?.checked_sub(of(&first.1)?)?;
        (0.5 <= seconds).then(|| rows as f64 / seconds)
    }
}

/// Lays out a graph in a box so many pixels wide; 0: not known yet. `sinks` say whether one is down; the culprit may be one
/// of them.
pub fn flow(graph: &Graph, counts: &Counts, sinks: &[Sink], room: f64) -> FlowView {
    let heights: Vec<f64> = graph.nodes.iter().map(height).collect();
    let is_sink: Vec<bool> = graph.nodes.iter().map(is_sink).collect();
    let shape = Shape::of(&columns(graph), &heights, &is_sink, room);
    let culprit = culprit(graph, sinks);
    let nodes = graph.nodes.iter().zip(&shape.places).map(|(node, &place)| {
        let is_culprit = culprit.as_ref().is_some_and(|culprit| culprit.id == node.id);
        node_view(node, place, shape.node_width, is_culprit)
    });
    let place = |id: &str| {
        let at = graph.nodes.iter().position(|node| node.id == id)?;
        let (x, y) = shape.places[at];
        Some(Place { x, y, height: heights[at] })
    };
    let edges = graph.edges.iter().filter_map(|edge| {
        let (from, to) = (place(&edge.from)?, place(&edge.to)?);
        let key = key(&edge.from, &edge.to);
        let per_second = edge.rows_per_second.or_else(|| counts.rate(&key));
        (from.x < to.x).then(|| edge_view(key, &shape, from, to, per_second))
    });
    FlowView {
        width: shape.size.0,
        height: shape.size.1,
        nodes: nodes.collect(),
        edges: edges.collect(),
        sentence: sentence(graph, culprit.as_ref()),
        is_held_up: culprit.is_some(),
    }
}

/// The upper left corner of a box, and its height.
#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    height: f64,
}

impl Place {
    fn middle(self) -> f64 {
        self.y + self.height / 2.0
    }
}

fn height(node: &GraphNode) -> f64 {
    if is_sink(node) { SINK_HEIGHT } else { NODE_HEIGHT }
}

fn is_sink(node: &GraphNode) -> bool {
    node.kind == "sink"
}

/// Where boxes stand.
struct Shape {
    is_tall: bool,
    node_width: f64,
    /// The upper left corners, in the order of the nodes.
    places: Vec<(f64, f64)>,
    size: (f64, f64),
}

impl Shape {
    fn of(columns: &[usize], heights: &[f64], is_sink: &[bool], room: f64) -> Self {
        let is_tall = 0.0 < room && room < TALL_BELOW;
        let n_columns = columns.iter().max().map_or(0, |last| last + 1);
        let n_gaps = n_columns.saturating_sub(1) as f64;
        let fits = |width: f64| width.clamp(*NODE_WIDTH.start(), *NODE_WIDTH.end()).floor();
        let mut places = vec![(0.0, 0.0); columns.len()];
        if is_tall {
            let node_width = fits(room - GUTTER - n_gaps * INDENT - 2.0 * MARGIN);
            let mut order: Vec<usize> = (0..columns.len()).collect();
            order.sort_by_key(|&at| (columns[at], at));
            let mut y = MARGIN;
            for &at in &order {
                places[at] = (MARGIN + GUTTER + columns[at] as f64 * INDENT, y);
                y += heights[at] + GAP_Y;
            }
            let width = 2.0 * MARGIN + GUTTER + n_gaps * INDENT + node_width;
            return Self { is_tall, node_width, places, size: (width, bottom(y)) };
        }
        let node_width = fits((room - 2.0 * MARGIN - n_gaps * GAP_X) / n_columns.max(1) as f64);
        let (mut top, mut below) = (0.0_f64, 0.0_f64);
        for column in 0..n_columns {
            let members: Vec<usize> = (0..columns.len()).filter(|at| columns[*at] == column).collect();
            let (order, mut y) = stack(&members, heights, is_sink);
            top = top.min(y);
            for at in order {
                places[at] = (MARGIN + column as f64 * (node_width + GAP_X), y);
                y += heights[at] + GAP_Y;
            }
            below = below.max(y);
        }
        places.iter_mut().for_each(|place| place.1 += MARGIN - top);
        let width = 2.0 * MARGIN + n_columns as f64 * node_width + n_gaps * GAP_X;
        Self { is_tall, node_width, places, size: (width, bottom(below + MARGIN - top)) }
    }
}

/// The boxes of a column from top to bottom, and where the first one begins: those of the data path have their middle at 0,
/// half of the sinks stand above them. Sinks alone have theirs there.
fn stack(members: &[usize], heights: &[f64], is_sink: &[bool]) -> (Vec<usize>, f64) {
    let (sinks, path): (Vec<usize>, Vec<usize>) = members.iter().partition(|at| is_sink[**at]);
    let height = |boxes: &[usize]| boxes.iter().map(|at| heights[*at] + GAP_Y).sum::<f64>();
    if path.is_empty() {
        let top = (GAP_Y - height(&sinks)) / 2.0;
        return (sinks, top);
    }
    let (above, below) = sinks.split_at(sinks.len() / 2);
    let top = (GAP_Y - height(&path)) / 2.0 - height(above);
    ([above, &path, below].concat(), top)
}

/// The height of a drawing whose next box would stand at `y`.
fn bottom(y: f64) -> f64 {
    (y - GAP_Y).max(MARGIN) + MARGIN
}

fn key(from: &str, to: &str) -> String {
    format!("{from}\u{1}{to}")
}

/// The column of each node: one right of the rightmost that leads to it.
fn columns(graph: &Graph) -> Vec<usize> {
    let at = |id: &str| graph.nodes.iter().position(|node| node.id == id);
    let edges: Vec<(usize, usize)> =
        graph.edges.iter().filter_map(|edge| Some((at(&edge.from)?, at(&edge.to)?))).collect();
    let mut columns = vec![0; graph.nodes.len()];
    // As many rounds as there are nodes settle every graph without a cycle.
    for _ in 0..graph.nodes.len() {
        for &(from, to) in &edges {
            if columns[from] + 1 < graph.nodes.len() {
                columns[to] = columns[to].max(columns[from] + 1);
            }
        }
    }
    columns
}

fn node_view(node: &GraphNode, (x, y): (f64, f64), width: f64, is_culprit: bool) -> NodeView {
    let share = |ratio: f64| format!("{:.0} %", ratio.clamp(0.0, 1.0) * 100.0);
    let load = match (node.busy_ratio, node.blocked_ratio, &*node.kind) {
        (Some(busy), Some(blocked), _) => format!("busy {}, waits {}", share(busy), share(blocked)),
        (Some(busy), None, _) => format!("busy {}", share(busy)),
        (None, _, "stateless" | "partial") => "inside the source".to_owned(),
        (None, ..) => String::new(),
    };
    NodeView {
        id: node.id.clone(),
        x,
        y,
        width,
        height: height(node),
        is_flat: is_sink(node),
        kind: node.kind.clone(),
        subtasks: node.subtasks.filter(|n| 1 < *n).map(|n| format!("×{n}")).unwrap_or_default(),
        // What stands beside it takes 12 pixels on each side.
        short_label: cut(&node.label, ((width - 24.0) / LETTER) as usize),
        label: node.label.clone(),
        busy: node.busy_ratio,
        blocked: node.blocked_ratio,
        load,
        state: match node.state_bytes {
            None | Some(0) => String::new(),
            Some(n_bytes) => format!("state {}", bytes(n_bytes as f64)),
        },
        is_culprit,
    }
}

fn edge_view(key: String, shape: &Shape, from: Place, to: Place, per_second: Option<f64>) -> EdgeView {
    let (x2, y2) = (to.x - 3.0, to.middle());
    let (path, (label_x, label_y)) = if shape.is_tall {
        // Above its target, right of all lines that go on below.
        (down_path(shape, from, (x2, y2)), (to.x + 28.0, to.y - 6.0))
    } else {
        // Beside the turn of a line that branches off: lines that go on would run through it.
        let before = if from.middle() == y2 { GAP_X / 2.0 } else { GAP_X / 4.0 };
        (across_path(shape, from, to, (x2, y2)), (to.x - before, y2 - 8.0))
    };
    EdgeView {
        key,
        path,
        tip: format!("M{} {y2}l-7 -4v8z", to.x - 2.0),
        label_x,
        label_y,
        rate: per_second.map(|per_second| format!("{}/s", rate(per_second))).unwrap_or_default(),
    }
}

/// Straight on along the data path; what branches off turns in the gap before its target.
fn across_path(shape: &Shape, from: Place, to: Place, (x2, y2): (f64, f64)) -> String {
    let (x1, y1) = (from.x + shape.node_width, from.middle());
    let turn = to.x - GAP_X / 2.0;
    if y1 == y2 {
        return format!("M{x1} {y1}H{x2}");
    }
    let r = 8.0_f64.min((y2 - y1).abs() / 2.0);
    let (up, down) = (y1 + r * (y2 - y1).signum(), y2 - r * (y2 - y1).signum());
    format!("M{x1} {y1}H{}Q{turn} {y1} {turn} {up}V{down}Q{turn} {y2} {} {y2}H{x2}", turn - r, turn + r)
}

/// Down from below the box, or left of it where another one stands in the way, then in.
fn down_path(shape: &Shape, from: Place, (x2, y2): (f64, f64)) -> String {
    let is_in_the_way = shape.places.iter().any(|place| place.0 == from.x && from.y < place.1);
    if is_in_the_way {
        let (turn, y1) = (from.x - 7.0, from.middle());
        return format!("M{} {y1}H{turn}V{y2}H{x2}", from.x);
    }
    format!("M{} {}V{y2}H{x2}", from.x + INDENT / 2.0, from.y + from.height)
}

struct Culprit {
    id: String,
    what: String,
    /// The step that waits for it, and for which share of its time.
    waits: String,
    blocked: f64,
    reason: String,
}

/// Who slows the others down: the first step behind one that is held up that is not held up itself.
fn culprit(graph: &Graph, sinks: &[Sink]) -> Option<Culprit> {
    let blocked = |node: &GraphNode| node.blocked_ratio.unwrap_or(0.0);
    let node = |id: &str| graph.nodes.iter().find(|node| node.id == id);
    let held_up = graph.nodes.iter().rev().find(|node| BLOCKED <= blocked(node))?;
    // The node behind it that does most, steps inside the source passed over; a sink that is down beats a busy step.
    let mut behind: Vec<&GraphNode> = Vec::new();
    let mut from = vec![held_up.id.as_str()];
    while let Some(id) = from.pop() {
        for next in graph.edges.iter().filter(|edge| edge.from == id).filter_map(|edge| node(&edge.to)) {
            if behind.iter().any(|known| known.id == next.id) {
                continue;
            }
            behind.push(next);
            if next.busy_ratio.is_none() && next.kind != "sink" {
                from.push(&next.id);
            }
        }
    }
    let down = |node: &&&GraphNode| sink_of(node, sinks).is_some_and(|sink| sink.state != "running");
    let slow = behind.iter().find(down).or_else(|| {
        behind
            .iter()
            .max_by(|left, right| left.busy_ratio.unwrap_or(0.0).total_cmp(&right.busy_ratio.unwrap_or(0.0)))
    })?;
    let reason = match sink_of(slow, sinks).filter(|sink| sink.state != "running") {
        Some(sink) => {
            let error = sink.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            format!("it is {} and its outbox is full{error}", sink.state)
        }
        None => format!("it works {:.0} % of its time", slow.busy_ratio.unwrap_or(0.0) * 100.0),
    };
    Some(Culprit {
        id: slow.id.clone(),
        what: said(slow),
        waits: said(held_up),
        blocked: blocked(held_up),
        reason,
    })
}

fn sink_of<'a>(node: &GraphNode, sinks: &'a [Sink]) -> Option<&'a Sink> {
    let name = node.id.strip_prefix("sink ")?;
    sinks.iter().find(|sink| sink.sink == name)
}

/// A node as part of a sentence.
fn said(node: &GraphNode) -> String {
    match (&*node.kind, node.id.strip_prefix("sink ")) {
        (_, Some(name)) => format!("the sink {name}"),
        ("source", _) => "the source".to_owned(),
        ("window", _) => "the step that keeps the windows".to_owned(),
        ("append", _) => "the step that appends rows".to_owned(),
        (kind, _) => format!("the step {kind}"),
    }
}

fn sentence(graph: &Graph, culprit: Option<&Culprit>) -> String {
    if let Some(culprit) = culprit {
        let Culprit { what, waits, blocked, reason, .. } = culprit;
        return capital(format!(
            "{what} holds the pipeline up: {reason}, and {waits} waits for it {:.0} % of the time.",
            blocked * 100.0
        ));
    }
    let busiest = graph.nodes.iter().filter_map(|node| Some((node.busy_ratio?, node)));
    match busiest.max_by(|(left, _), (right, _)| left.total_cmp(right)) {
        None => String::new(),
        Some((busy, node)) if BUSY <= busy => capital(format!(
            "{} works {:.0} % of its time: it is the limit of this pipeline. More parallelism may help.",
            said(node),
            busy * 100.0
        )),
        // What is written as 0 %.
        Some((busy, _)) if busy < 0.005 => "Nothing is held up: there is next to nothing to do.".to_owned(),
        Some((busy, node)) => {
            format!("Nothing is held up. Most is done by {}: {:.0} % of its time.", said(node), busy * 100.0)
        }
    }
}

fn capital(text: String) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn cut(text: &str, n_letters: usize) -> String {
    if text.chars().count() <= n_letters {
        return text.to_owned();
    }
    let start: String = text.chars().take(n_letters - 1).collect();
    format!("{}…", start.trim_end())
}

#[cfg(test)]
mod tests;
