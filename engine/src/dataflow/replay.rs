//! Dead letters that are run again: what is asked of a source subtask, and what comes of it.
//!
//! ```text
//! snapshot N ─ request ─► Event ─► Control ─► source subtask ─ rows, report ─► … ─► epoch M: one write ─► Replayed
//! ```
//!
//! Invariants:
//! 1. The letters that were taken and what their rows change are of one epoch: whatever crashes, a letter is still there
//!    or its record was counted, once.
//! 2. One request at a time: the next one looks at a snapshot that has what became of the one before.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::plan::Plan;
use crate::connector::Reason;
use crate::result::{DeadLetter, LetterId, Snapshot};
use crate::state::Error;

/// Letters of one request are in blocks of about so many bytes in memory: what is rewritten in an epoch.
const REQUEST_BYTES_MAX: u64 = 32 << 20;

/// Letters to be run again, and who wants to know what became of them.
#[derive(Debug)]
pub struct Replay {
    /// By partition and offset.
    pub letters: Vec<(LetterId, DeadLetter)>,
    pub reply: Sender<Replayed>,
}

/// What became of letters that were run again. All of it is committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Letters that were taken.
    pub taken: u64,
    /// Of these the ones that are dead letters again, with what is wrong now.
    pub again: u64,
    /// Why the others were left as they are, such as a registry that is away.
    pub stopped: Option<String>,
}

/// Whether the record of a letter with this reason may be run again: only one that has been counted nowhere. A late row
/// may count in later windows; where a row is made for each of a record's windows, so may one that fails in another.
#[must_use]
pub fn runs_again(plan: &Plan, reason: Reason) -> bool {
    match reason {
        Reason::LateRow => false,
        Reason::EvaluationError => !plan.expands(),
        _ => true,
    }
}

/// A request to run those of `ids` again that are in the snapshot and may be; of many the first so many. `None` where
/// there are none.
///
/// # Errors
/// The snapshot can't be read.
pub fn request(
    snapshot: &Snapshot,
    plan: &Plan,
    ids: &[LetterId],
) -> Result<Option<(Replay, Receiver<Replayed>)>, Error> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    let mut letters = snapshot.letters(&ids, REQUEST_BYTES_MAX)?;
    letters.retain(|(_, letter)| runs_again(plan, letter.reason));
    if letters.is_empty() {
        return Ok(None);
    }
    let (reply, replayed) = bounded(1);
    Ok(Some((Replay { letters, reply }, replayed)))
}
