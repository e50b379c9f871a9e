//! Named points where a test makes the process die, as by `kill -9`.
//!
//! `WEIR_FAILPOINT=before_commit:3` aborts at the third pass of `before_commit`. Only builds with debug
//! assertions have these points; there, without the variable, a pass costs one relaxed atomic load.
//! In a simulation a pass ends the simulated process instead.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The variable that arms a point: its name, a colon, the number of the pass that is the last.
pub const VARIABLE: &str = "WEIR_FAILPOINT";

/// A step of an epoch or of recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The folder is open; nothing of it is read.
    RecoverOpen,
    /// Operators, tables and facts are as they were committed; nothing is written.
    RecoverRestore,
    /// The folder says what it belongs to; no actor runs.
    RecoverIdentity,
    /// The topic's partitions are known and fit what was read; none of them is read.
    RecoverAssign,
    /// A source subtask has flushed its rows and its report is not yet on its way.
    Report,
    /// All source subtasks have reported; the barrier is not yet on its way.
    Barrier,
    /// A window subtask has ended the epoch; the committer does not have its part.
    HandOver,
    /// Behind everything of an epoch but the write itself: what was prepared is lost.
    BeforeCommit,
    /// Behind the synced write and before anybody was told of it.
    AfterCommit,
    /// Readers see the epoch; the coordinator does not know.
    AfterPublish,
    /// Behind what fences a sink's earlier writers, before anything is delivered to it.
    SinkOpened,
    /// Before rows that were read from the outbox are given to a sink.
    BeforeDelivery,
    /// Behind what a sink writes aside: the rows do not count yet.
    DeliveryWritten,
    /// The rows count, but are not where readers look.
    DeliveryDecided,
    /// Readers see the rows, before the sink's thread hears of it.
    DeliveryVisible,
    /// Behind a delivery that was applied, before that is noted: it will be found out at the next start.
    AfterDelivery,
    /// Behind the note that rows were delivered, which is not synced.
    DeliveryNoted,
}

impl Point {
    /// Those that every pipeline passes, in their order.
    pub const PIPELINE: [Self; 10] = [
        Self::RecoverOpen,
        Self::RecoverRestore,
        Self::RecoverIdentity,
        Self::RecoverAssign,
        Self::Report,
        Self::Barrier,
        Self::HandOver,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::AfterPublish,
    ];

    /// Those of a sink, in their order: not every sink has them all.
    pub const SINK: [Self; 7] = [
        Self::SinkOpened,
        Self::BeforeDelivery,
        Self::DeliveryWritten,
        Self::DeliveryDecided,
        Self::DeliveryVisible,
        Self::AfterDelivery,
        Self::DeliveryNoted,
    ];

    /// Those of a pipeline with a file sink, in their order, from the commit on.
    pub const FILE_SINK: [Self; 9] = [
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::SinkOpened,
        Self::BeforeDelivery,
        Self::DeliveryWritten,
        Self::DeliveryDecided,
        Self::DeliveryVisible,
        Self::AfterDelivery,
        Self::DeliveryNoted,
    ];

    /// Those of a pipeline with a Kafka sink, in their order, from the commit on.
    pub const KAFKA_SINK: [Self; 8] = [
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::SinkOpened,
        Self::BeforeDelivery,
        Self::DeliveryWritten,
        Self::DeliveryDecided,
        Self::AfterDelivery,
        Self::DeliveryNoted,
    ];

    /// Its name in the variable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RecoverOpen => "recover_open",
            Self::RecoverRestore => "recover_restore",
            Self::RecoverIdentity => "recover_identity",
            Self::RecoverAssign => "recover_assign",
            Self::Report => "report",
            Self::Barrier => "barrier",
            Self::HandOver => "hand_over",
            Self::BeforeCommit => "before_commit",
            Self::AfterCommit => "after_commit",
            Self::AfterPublish => "after_publish",
            Self::SinkOpened => "sink_opened",
            Self::BeforeDelivery => "before_delivery",
            Self::DeliveryWritten => "delivery_written",
            Self::DeliveryDecided => "delivery_decided",
            Self::DeliveryVisible => "delivery_visible",
            Self::AfterDelivery => "after_delivery",
            Self::DeliveryNoted => "delivery_noted",
        }
    }
}

static OFF: AtomicBool = AtomicBool::new(false);
static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

struct Armed {
    name: String,
    passes_left: AtomicU64,
}

/// Passes the point; does not return where the environment says so.
pub fn pass(point: Point) {
    #[cfg(test)]
    simulated::pass(point);
    if cfg!(debug_assertions) && !OFF.load(Ordering::Relaxed) {
        pass_armed(point);
    }
}

#[cold]
fn pass_armed(point: Point) {
    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().as_deref().and_then(parse));
    let Some(armed) = armed else {
        OFF.store(true, Ordering::Relaxed);
        return;
    };
    if armed.name == point.name() && armed.passes_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn parse(value: &str) -> Option<Armed> {
    let (name, pass) = value.split_once(':')?;
    let passes_left = AtomicU64::new(pass.parse().ok().filter(|pass| *pass != 0)?);
    Some(Armed { name: name.to_owned(), passes_left })
}

/// Points that end a simulated process: one that runs on this thread only.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;

    use super::Point;

    thread_local! {
        static ARMED: Cell<Option<(Point, u64)>> = const { Cell::new(None) };
    }

    /// What unwinds out of the step that passed the point.
    pub(crate) struct Died(pub(crate) Point);

    /// Arms the `pass`-th pass of `point` (from 1) on this thread; `None` disarms.
    pub(crate) fn arm(at: Option<(Point, u64)>) {
        ARMED.set(at);
    }

    pub(super) fn pass(point: Point) {
        match ARMED.get() {
            Some((armed, 1)) if armed == point => {
                ARMED.set(None);
                std::panic::resume_unwind(Box::new(Died(point)));
            }
            Some((armed, passes)) if armed == point => ARMED.set(Some((armed, passes - 1))),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_stand_at_their_index_those_of_a_sink_last() {
        for (i, point) in Point::PIPELINE.into_iter().chain(Point::SINK).enumerate() {
            assert_eq!(point as usize, i, "{}", point.name());
        }
    }
}
