//! What is known of a sink at any moment, shared by committer, sink thread, coordinator and readers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::connector::{Emit, Sink};
use crate::dataflow::live::{Meter, OperatorLive, lock};
use crate::state::Size;
use crate::time::Epoch;

/// The state of a sink, as in `weir.sinks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkState {
    /// Connects and finds out what it has.
    Starting,
    Running,
    /// The last try failed; the next one is soon.
    Retrying,
    /// Several tries in a row failed: the connection is let go of, and probed now and then.
    Down,
    Stopped,
    Failed,
}

impl SinkState {
    /// The value of the `state` column.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Down => "down",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

/// A sink between two epochs, for readers.
#[derive(Debug, Clone)]
pub struct SinkLive {
    pub sink: String,
    pub kind: &'static str,
    pub emit: Emit,
    pub state: SinkState,
    /// Committed rows that it has not got yet, and their bytes on disk.
    pub outbox_rows: u64,
    pub outbox_bytes: u64,
    /// It has every row of this epoch and those before it.
    pub delivered_epoch: Epoch,
    /// Why it is retrying, down or failed.
    pub error: Option<String>,
    /// Since the process started.
    pub rows_total: u64,
    pub deliveries_total: u64,
    pub failed_deliveries_total: u64,
}

/// One sink's live figures.
#[derive(Debug)]
pub struct Status {
    name: String,
    kind: &'static str,
    emit: Emit,
    outbox_bytes_max: u64,
    wake: Sender<()>,

    woken: Receiver<()>,
    flush: AtomicBool,
    opening: AtomicBool,
    meter: Meter,
    figures: Mutex<Figures>,
}

#[derive(Debug, Clone)]
struct Figures {
    state: SinkState,
    error: Option<String>,
    outbox: Size,
    committed: Epoch,
    delivered: Epoch,
    rows_total: u64,
    deliveries_total: u64,
    failed_deliveries_total: u64,
}

impl Status {
    /// Of a sink whose outbox holds `outbox` and which has everything up to `delivered`.
    #[must_use]
    pub(crate) fn new(sink: &dyn Sink, outbox_bytes_max: u64, outbox: Size, delivered: Epoch) -> Self {
        let (wake, woken) = bounded(1);
        let state = if sink.only_counts() { SinkState::Running } else { SinkState::Starting };
        let figures = Figures {
            state,
            error: None,
            outbox,
            committed: delivered,
            delivered,
            rows_total: 0,
            deliveries_total: 0,
            failed_deliveries_total: 0,
        };
        Self {
            name: sink.name().to_owned(),
            kind: sink.kind(),
            emit: sink.emit(),
            outbox_bytes_max,
            wake,
            woken,
            flush: AtomicBool::new(false),
            opening: AtomicBool::new(false),
            meter: Meter::default(),
            figures: Mutex::new(figures),
        }
    }

    /// The sink file's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that is known now.
    #[must_use]
    pub fn live(&self) -> SinkLive {
        let figures = lock(&self.figures).clone();
        SinkLive {
            sink: self.name.clone(),
            kind: self.kind,
            emit: self.emit,
            state: figures.state,
            outbox_rows: figures.outbox.rows,
            outbox_bytes: figures.outbox.bytes,
            delivered_epoch: figures.delivered,
            error: figures.error,
            rows_total: figures.rows_total,
            deliveries_total: figures.deliveries_total,
            failed_deliveries_total: figures.failed_deliveries_total,
        }
    }

    /// The sink as an operator, the last one of the data path.
    pub(crate) fn operator(&self) -> OperatorLive {
        OperatorLive { rows_in: lock(&self.figures).rows_total, ..self.meter.live(&self.name, "sink", 0) }
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn is_full(&self) -> bool {
        self.outbox_bytes_max <= lock(&self.figures).outbox.bytes
    }

    pub(super) fn is_drained(&self) -> bool {
        lock(&self.figures).outbox.rows == 0
    }

    pub(super) fn flush(&self) {
        if !self.flush.swap(true, Ordering::Relaxed) {
            self.wake();
        }
    }

    pub(super) fn wants_flush(&self) -> bool {
        self.flush.load(Ordering::Relaxed)
    }

    /// Whether its thread is connecting, with no rows in its hands.
    pub(crate) fn is_opening(&self) -> bool {
        self.opening.load(Ordering::Relaxed)
    }

    pub(super) fn set_opening(&self, opening: bool) {
        self.opening.store(opening, Ordering::Relaxed);
    }

    /// Receives when there is something to look at.
    pub(super) fn woken(&self) -> &Receiver<()> {
        &self.woken
    }

    pub(crate) fn wake(&self) {
        // One that is not yet taken is as good as two.
        self.wake.try_send(()).ok();
    }

    pub(super) fn outbox(&self) -> Size {
        lock(&self.figures).outbox
    }

    /// An epoch was committed, with so much for this sink.
    pub(super) fn committed(&self, epoch: Epoch, added: Size) {
        let mut figures = lock(&self.figures);
        figures.outbox += added;
        figures.committed = epoch;
        figures.settle();
        drop(figures);
        if added.rows != 0 {
            self.wake();
        }
    }

    /// An epoch was committed, whose rows were counted and dropped.
    pub(super) fn counted(&self, epoch: Epoch, n_rows: u64) {
        let mut figures = lock(&self.figures);
        (figures.committed, figures.delivered) = (epoch, epoch);
        figures.rows_total += n_rows;
        figures.deliveries_total += u64::from(n_rows != 0);
    }

    /// Rows are in the sink: delivered now, or, as is found at the start, before.
    pub(super) fn delivered(&self, size: Size, upto: Epoch, now: bool) {
        let mut figures = lock(&self.figures);
        figures.outbox.rows = figures.outbox.rows.saturating_sub(size.rows);
        figures.outbox.bytes = figures.outbox.bytes.saturating_sub(size.bytes);
        figures.delivered = figures.delivered.max(upto);
        if now {
            figures.rows_total += size.rows;
            figures.deliveries_total += 1;
            (figures.state, figures.error) = (SinkState::Running, None);
        }
        figures.settle();
    }

    pub(super) fn failed(&self, state: SinkState, error: String) {
        let mut figures = lock(&self.figures);
        figures.failed_deliveries_total += 1;
        (figures.state, figures.error) = (state, Some(error));
    }

    pub(super) fn set_state(&self, state: SinkState) {
        let mut figures = lock(&self.figures);
        figures.state = state;
        if state == SinkState::Running {
            figures.error = None;
        }
    }
}

impl Figures {
    /// Where nothing waits, everything that was committed was delivered.
    fn settle(&mut self) {
        if self.outbox.rows == 0 {
            self.delivered = self.delivered.max(self.committed);
        }
    }
}
