//! The operators with windows against a model that keeps every row in each of its windows: random rows,
//! some late for some of their windows, barriers, ends of bounded runs, and recovery from the state
//! blocks of any epoch, also with another parallelism.
//!
//! ```text
//! rows ─┬─► stateless ─► partial ─► exchange ─► operators ─► blocks as the store keeps them ─► operators
//!       └─► model: window ─► key ─► amounts
//! ```

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::dataflow::exchange::{Exchange, split_states};
use crate::dataflow::live::Shared;
use crate::dataflow::message::Message;
use crate::dataflow::plan::Plan;
use crate::operator::emit::layout_of;
use crate::operator::expand::SourceRows;
use crate::operator::partial::{Partial, split_by_pane};
use crate::operator::stateless::{Prepared, Stateless};
use crate::operator::{Barrier, Batch, Output, WindowState};
use crate::pipeline::recover::new_operator;
use crate::result::TimedRows;
use crate::time::window::{PaneId, Windows};
use crate::time::{Epoch, ManualClock};

/// A window's start and the key.
type Key = (i64, i64);
/// Count, sum, least and different amounts.
type Numbers = (i64, i64, i64, i64);

/// A row: by how much its time is ahead of the watermark, and the watermark of its partition of the
/// pipeline's; key and amount.
type RowAt = (i64, i64, i64, i64);

#[derive(Debug, Clone)]
enum Action {
    Rows {
        rows: Vec<RowAt>,
        partial: bool,
    },
    /// By how much the watermark has moved.
    Barrier(i64),
    /// The end of a bounded run.
    CloseAll,
    /// Goes on from an epoch so many before the last one.
    Recover {
        back: usize,
        parallelism: usize,
        provisional: bool,
        lateness: i64,
    },
}

/// Blocks by subtask, pane, epoch and number.
type Disk = BTreeMap<(usize, PaneId, Epoch, usize), RecordBatch>;

/// What an epoch leaves.
#[derive(Debug, Clone)]
struct Saved {
    windows: BTreeMap<i64, BTreeMap<i64, Vec<i64>>>,
    disk: Disk,
    parallelism: usize,
    watermark_ms: Option<i64>,
    closed_ms: Option<i64>,
}

struct Engine {
    exchange: Exchange,
    inputs: Vec<Receiver<Message>>,
    operators: Vec<Box<dyn WindowState>>,
    partial: Partial,
    options: PipelineOptions,
    /// Of open windows, as readers have them.
    shown: BTreeMap<Key, Numbers>,
    /// Blocks of before the next epoch are of another parallelism.
    replace: bool,
}

struct Model {
    plan: Arc<Plan>,
    windows: Windows,
    stateless: Stateless,
    now: Saved,
    saved: Vec<Saved>,
    engine: Engine,
}

impl Engine {
    fn recover(plan: &Arc<Plan>, from: &Saved, options: PipelineOptions) -> Self {
        let aggregate = plan.aggregate.as_ref().unwrap();
        let n = options.parallelism;
        let (senders, inputs): (Vec<_>, Vec<_>) = (0..n).map(|_| unbounded()).unzip();
        let (shared, clock) = (Arc::new(Shared::new("log", "window", n)), Arc::new(ManualClock::new(0)));
        let mut operators: Vec<_> =
            (0..n).map(|_| new_operator(plan, &options, from.closed_ms).unwrap()).collect();
        for ((_, pane, ..), block) in &from.disk {
            let parts = split_states(block, aggregate.n_exprs(), n).unwrap();
            for (operator, part) in operators.iter_mut().zip(parts) {
                if 0 < part.num_rows() {
                    operator.restore(*pane, &part).unwrap();
                }
            }
        }
        let replace = from.parallelism != n;
        let mut shown = BTreeMap::new();
        for operator in &mut operators {
            numbers(&operator.provisional_rows().unwrap(), &mut shown);
            if replace {
                operator.rewrite_all();
            }
        }
        Self {
            exchange: Exchange::new(0, aggregate.n_exprs(), senders, shared, clock),
            inputs,
            operators,
            partial: Partial::new(&layout_of(aggregate, options.group_bytes_max).unwrap()),
            options,
            shown,
            replace,
        }
    }

    fn take(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            self.exchange.put(batch).unwrap();
        }
        self.exchange.send().unwrap();
        for (input, operator) in self.inputs.iter().zip(&mut self.operators) {
            for message in input.try_iter() {
                let Message::Batch(batch) = message else { unreachable!("no barrier was sent") };
                operator.batch(batch).unwrap();
            }
        }
    }
}

impl Model {
    fn new(plan: Arc<Plan>, windows: Windows, options: PipelineOptions) -> Self {
        let start = Saved {
            windows: BTreeMap::new(),
            disk: Disk::new(),
            parallelism: options.parallelism,
            watermark_ms: None,
            closed_ms: None,
        };
        let engine = Engine::recover(&plan, &start, options);
        let stateless = Stateless::new(&plan);
        Self { plan, windows, stateless, now: start.clone(), saved: vec![start], engine }
    }

    fn run(&mut self, action: &Action) {
        match action {
            Action::Rows { rows, partial } => self.rows(rows, *partial),
            // A partition that is not yet heard of holds back the first watermark.
            Action::Barrier(0) => self.barrier(self.now.watermark_ms, false),
            Action::Barrier(by_ms) => self.barrier(Some(self.about_ms() + by_ms), false),
            Action::CloseAll => {
                self.barrier(self.now.watermark_ms, true);
                assert!(self.now.disk.is_empty(), "no window is open: {:?}", self.now.disk.keys());
                self.recover(0, self.engine.options.clone());
            }
            Action::Recover { back, parallelism, provisional, lateness } => {
                let options = PipelineOptions {
                    parallelism: *parallelism,
                    provisional: *provisional,
                    lateness_ms: *lateness,
                    ..self.engine.options.clone()
                };
                self.recover(*back, options);
            }
        }
    }

    fn rows(&mut self, rows: &[RowAt], partial: bool) {
        let (mut columns, mut panes, mut sides) = ([vec![], vec![], vec![]], vec![], vec![]);
        for (at, partition_ahead, key, amount) in rows {
            let at = self.about_ms() + at;
            let pane = self.windows.pane(at);
            let first = self.windows.first(pane);
            let open = self.now.closed_ms.map(|closed| self.windows.first_after(closed + partition_ahead));
            let open = first.max(open.unwrap_or(first));
            if pane < open {
                continue;
            }
            for (column, value) in columns.iter_mut().zip([at, *key, *amount]) {
                column.push(value);
            }
            panes.push(pane);
            sides.push((first < open).then_some(open));
            let mut window = open;
            while window <= pane {
                self.now.windows.entry(window).or_default().entry(*key).or_default().push(*amount);
                window += self.windows.slide_ms;
            }
        }
        if panes.is_empty() {
            return;
        }
        let [at, key, amount] = columns;
        let records: Vec<u32> = (0..panes.len() as u32).collect();
        let times = TimestampMillisecondArray::from(at.clone()).with_timezone("UTC");
        let all: [ArrayRef; 3] =
            [Arc::new(times), Arc::new(Int64Array::from(key)), Arc::new(Int64Array::from(amount))];
        let scan = self.plan.scan.iter().map(|column| Arc::clone(&all[*column])).collect();
        let is_side = sides.iter().any(Option::is_some);
        let source = SourceRows {
            batch: RecordBatch::try_new(Arc::clone(&self.plan.scan_schema), scan).unwrap(),
            panes: panes.into(),
            sides: is_side.then(|| sides.into()),
            times_ms: at.into(),
            records: records.into(),
        };
        let (prepared, failed) = self.stateless.run(source, 0, &[]).unwrap();
        assert!(failed.is_empty());
        let mut batches = Vec::new();
        for prepared in prepared {
            let Prepared::Grouped { panes, sides, keys, args, filters } = prepared else { unreachable!() };
            for rows in split_by_pane(&panes, sides.as_ref(), keys, args, filters).unwrap() {
                if partial {
                    self.engine.partial.add(rows, &mut batches).unwrap();
                } else {
                    batches.push(Batch::Rows(rows));
                }
            }
        }
        self.engine.take(batches);
    }

    /// Where rows and watermarks are.
    fn about_ms(&self) -> i64 {
        self.now.watermark_ms.or(self.now.closed_ms).unwrap_or_default()
    }

    fn barrier(&mut self, watermark_ms: Option<i64>, close_all: bool) {
        let mut batches = Vec::new();
        self.engine.partial.flush(&mut batches).unwrap();
        self.engine.take(batches);
        let epoch = Epoch(self.saved.len() as u64);
        let barrier = Barrier { epoch, watermark_ms, close_all };
        let outputs: Vec<Output> =
            self.engine.operators.iter_mut().map(|operator| operator.barrier(&barrier).unwrap()).collect();

        let closed_ms = watermark_ms.map(|w| w - self.engine.options.lateness_ms);
        let closed_ms = closed_ms.max(outputs.iter().filter_map(|output| output.closed_ms).max());
        (self.now.watermark_ms, self.now.closed_ms) = (watermark_ms, self.now.closed_ms.max(closed_ms));
        if std::mem::take(&mut self.engine.replace) {
            self.now.disk.clear();
        }
        self.now.parallelism = self.engine.options.parallelism;

        let (mut finals, mut provisionals) = (BTreeMap::new(), BTreeMap::new());
        for (subtask, output) in outputs.into_iter().enumerate() {
            assert!(output.gone.is_empty() && output.failed.is_empty());
            numbers(&output.finals, &mut finals);
            numbers(&output.provisionals, &mut provisionals);
            self.write(subtask, epoch, output);
        }
        let end_ms = self.now.closed_ms.filter(|_| !close_all);
        let closes = |window: i64| close_all || end_ms.is_some_and(|end| self.windows.end(window) <= end);
        let mut closed = std::mem::take(&mut self.now.windows);
        self.now.windows =
            closed.split_off(&closed.keys().copied().find(|w| !closes(*w)).unwrap_or(i64::MAX));
        assert_eq!(finals, model_rows(&closed));
        let shown = &mut self.engine.shown;
        shown.retain(|key, _| !finals.contains_key(key));
        shown.extend(provisionals);
        self.check_shown();
        self.check_disk();
        self.saved.push(self.now.clone());
    }

    /// As the committer and the store do it.
    fn write(&mut self, subtask: usize, epoch: Epoch, output: Output) {
        let disk = &mut self.now.disk;
        for pane in output.closed_panes {
            disk.retain(|(of, which, ..), _| (*of, *which) != (subtask, pane));
        }
        for put in output.puts {
            if put.whole {
                disk.retain(|(of, which, ..), _| (*of, *which) != (subtask, put.pane));
            }
            for (seq, block) in put.chunks.into_iter().enumerate() {
                disk.insert((subtask, put.pane, epoch, seq), block);
            }
        }
    }

    /// Of tumbling windows readers see all that are open, of others the next one.
    fn check_shown(&self) {
        let next_ms = self.now.closed_ms.map(|closed_ms| self.windows.first_after(closed_ms));
        let tumbles = self.windows.size_ms == self.windows.slide_ms;
        let mut expected = model_rows(&self.now.windows);
        let is_shown = |window| self.engine.options.provisional && (tumbles || Some(window) == next_ms);
        expected.retain(|(window, _), _| is_shown(*window));
        assert_eq!(self.engine.shown, expected);
    }

    /// Nothing is kept that no open window reads.
    fn check_disk(&self) {
        let Some(closed_ms) = self.now.closed_ms else { return };
        let next_ms = self.windows.first_after(closed_ms);
        for (_, pane, ..) in self.now.disk.keys() {
            assert!(next_ms <= pane.start_ms && pane.side_ms.is_none_or(|side| next_ms < side), "{pane:?}");
        }
    }

    fn recover(&mut self, back: usize, options: PipelineOptions) {
        self.saved.truncate((self.saved.len() - back.min(self.saved.len() - 1)).max(1));
        self.now = self.saved.last().unwrap().clone();
        self.engine = Engine::recover(&self.plan, &self.now, options);
        self.check_shown();
    }
}

fn model_rows(windows: &BTreeMap<i64, BTreeMap<i64, Vec<i64>>>) -> BTreeMap<Key, Numbers> {
    let rows = windows.iter().flat_map(|(window, keys)| {
        keys.iter().map(|(key, amounts)| {
            let different = amounts.iter().collect::<BTreeSet<_>>().len();
            let least = *amounts.iter().min().unwrap();
            ((*window, *key), (amounts.len() as i64, amounts.iter().sum(), least, different as i64))
        })
    });
    rows.collect()
}

/// Adds result rows; a key comes once.
fn numbers(batches: &[TimedRows], rows: &mut BTreeMap<Key, Numbers>) {
    for batch in batches.iter().map(|timed| &timed.rows) {
        let starts = batch.column(0).as_primitive::<TimestampMillisecondType>();
        let column = |i: usize| batch.column(i).as_primitive::<Int64Type>();
        for i in 0..batch.num_rows() {
            let of = |c: usize| column(c).value(i);
            let before = rows.insert((starts.value(i), of(1)), (of(2), of(3), of(4), of(5)));
            assert_eq!(before, None, "a key comes once");
        }
    }
}

/// Slides in a window, length of a slide and offset.
fn shapes() -> impl Strategy<Value = (i64, i64, i64)> {
    let n_slides = prop_oneof![8 => 1i64..12, 2 => 12i64..40, 1 => Just(1_000i64)];
    (n_slides, 1i64..9, -50i64..50)
}

fn actions(n_slides: i64) -> impl Strategy<Value = Vec<Action>> {
    let size = 5 * n_slides;
    let row = (-size..2 * size, prop_oneof![2 => Just(0), 1 => 0..size], 0i64..4, -9i64..9);
    let recover = (0usize..4, 1usize..4, any::<bool>(), prop_oneof![Just(0), 0..size]);
    // Many windows that close at once cost a debug build much.
    let far = if n_slides < 100 { 4 * size } else { size / 10 };
    let action = prop_oneof![
        6 => (prop::collection::vec(row, 1..12), any::<bool>())
            .prop_map(|(rows, partial)| Action::Rows { rows, partial }),
        4 => prop_oneof![3 => 0..8i64, 2 => 0..(size / 2).max(1), 1 => 0..far].prop_map(Action::Barrier),
        2 => recover.prop_map(|(back, parallelism, provisional, lateness)| {
            Action::Recover { back, parallelism, provisional, lateness }
        }),
        1 => Just(Action::CloseAll),
    ];
    prop::collection::vec(action, 1..if n_slides < 100 { 40 } else { 10 })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn operators_with_windows_equal_a_model(
        ((n_slides, slide, offset), actions) in
            shapes().prop_flat_map(|shape| (Just(shape), actions(shape.0))),
        parallelism in 1usize..4,
    ) {
        let second = |n: i64| format!("INTERVAL '{n}' SECOND");
        let sql = format!(
            "SELECT window_start, key, count(*) AS n, sum(amount) AS total, min(amount) AS least, \
             count(DISTINCT amount) AS different \
             FROM HOP(TABLE log, DESCRIPTOR(at), {}, {}, {}) GROUP BY window_start, key",
            second(slide), second(slide * n_slides), second(offset),
        );
        let mut plan = plan_of(&sql);
        let window = plan.window.as_mut().unwrap();
        // A millisecond for each second, so that times are small numbers.
        (window.slide_ms, window.size_ms, window.offset_ms) = (slide, slide * n_slides, offset);
        let windows = window.windows();
        let mut model = Model::new(Arc::new(plan), windows, options(parallelism, false));
        for action in &actions {
            model.run(action);
        }
        model.run(&Action::CloseAll);
    }
}
