//! Named points where a test makes the process die, as by `kill -9`.
//!
//! `WEIR_FAILPOINT=before_commit:3` aborts at the third pass of `before_commit`. Without the
//! variable a pass costs one relaxed atomic load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The variable that arms a point: its name, a colon, the number of the pass that is the last.
pub const VARIABLE: &str = "WEIR_FAILPOINT";

/// Behind everything of an epoch but the write itself: what was prepared is lost.
pub const BEFORE_COMMIT: &str = "before_commit";
/// Behind the synced write and before anybody was told of it.
pub const AFTER_COMMIT: &str = "after_commit";

/// Behind what fences a sink's earlier writers, before anything is delivered to it.
pub const SINK_OPENED: &str = "sink_opened";
/// Before rows that were read from the outbox are given to a sink.
pub const BEFORE_DELIVERY: &str = "before_delivery";
/// Behind a delivery that was applied, before that is noted: it will be found out at the next start.
pub const AFTER_DELIVERY: &str = "after_delivery";
/// Behind the note that rows were delivered, which is not synced.
pub const DELIVERY_NOTED: &str = "delivery_noted";

static OFF: AtomicBool = AtomicBool::new(false);
static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

struct Armed {
    name: String,
    passes_left: AtomicU64,
}

/// Passes the point `name`; does not return where the environment says so.
pub fn pass(name: &str) {
    if !OFF.load(Ordering::Relaxed) {
        pass_armed(name);
    }
}

#[cold]
fn pass_armed(name: &str) {
    let armed = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().as_deref().and_then(parse));
    let Some(armed) = armed else {
        OFF.store(true, Ordering::Relaxed);
        return;
    };
    if armed.name == name && armed.passes_left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

fn parse(value: &str) -> Option<Armed> {
    let (name, pass) = value.split_once(':')?;
    let passes_left = AtomicU64::new(pass.parse().ok().filter(|pass| *pass != 0)?);
    Some(Armed { name: name.to_owned(), passes_left })
}
