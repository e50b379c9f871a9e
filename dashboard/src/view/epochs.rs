//! The newest epochs as strips: how long each took, how many rows it read, how much it wrote.
//!
//! Invariant: the strips have one place per epoch and a fixed number of elements; the heights of a strip share a scale
//! that starts at zero and steps in 1, 2, 5.

use weir_api::SqlResponse;

use super::number::{bytes, grouped, millis, of, si};
use super::zone::Zone;
use crate::protocol::time;

/// Epochs in a strip: a minute of those of 250 ms.
pub const MAX_EPOCHS: usize = 240;
/// The width of a strip in its own units: one per epoch.
pub const WIDTH: f64 = MAX_EPOCHS as f64;
pub const HEIGHT: f64 = 40.0;

/// Asks for what [`read`] reads.
pub fn query(pipeline: &str) -> String {
    let name = pipeline.replace('\'', "''");
    format!(
        "SELECT epoch, committed_at, duration_ms, rows_in, bytes_written FROM weir.epochs WHERE pipeline = '{name}' \
         ORDER BY epoch DESC LIMIT {MAX_EPOCHS}"
    )
}

/// One committed epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    pub number: u64,
    /// Microseconds since 1970.
    pub committed_at: i64,
    pub duration_ms: f64,
    pub rows_in: f64,
    pub bytes_written: f64,
}

/// The epochs in an answer to [`query`], oldest first.
pub fn read(answer: &SqlResponse) -> Vec<Epoch> {
    let row = |row: &weir_api::Row| {
        Some(Epoch {
            number: row.first()?.as_u64()?,
            committed_at: time::parse_instant(row.get(1)?.as_str()?)?,
            duration_ms: of(row.get(2)?)?,
            rows_in: of(row.get(3)?)?,
            bytes_written: of(row.get(4)?)?,
        })
    };
    answer.rows.iter().rev().filter_map(row).collect()
}

/// One strip: what it shows, the top of its scale, its bars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    pub name: &'static str,
    pub top: String,
    /// The `d` of an SVG path in a box of [`WIDTH`] by [`HEIGHT`]; the newest epoch stands at the right edge.
    pub path: String,
}

/// Duration, rows and bytes.
pub fn strips(epochs: &[Epoch]) -> [Strip; 3] {
    let strip = |name, value: fn(&Epoch) -> f64, text: fn(f64) -> String| {
        let most = top(epochs.iter().map(value).fold(0.0, f64::max));
        let first = MAX_EPOCHS.saturating_sub(epochs.len());
        let bars = epochs.iter().enumerate().map(|(at, epoch)| {
            // What is not nothing is seen.
            let height = if value(epoch) == 0.0 { 0.0 } else { (value(epoch) / most * HEIGHT).max(0.75) };
            format!("M{}.1 {HEIGHT}v{:.1}h.8V{HEIGHT}z", first + at, -height)
        });
        Strip { name, top: text(most), path: bars.collect() }
    };
    [
        strip("duration", |epoch| epoch.duration_ms, millis),
        strip("rows read", |epoch| epoch.rows_in, si),
        strip("written", |epoch| epoch.bytes_written, bytes),
    ]
}

/// The place of the epoch at a share of the width, 0 to 1; `None` left of the first.
pub fn hit(n_epochs: usize, share: f64) -> Option<usize> {
    // The cast saturates; a share outside of the strip finds nothing.
    let at = (share.clamp(0.0, 1.0) * WIDTH) as usize;
    at.min(MAX_EPOCHS - 1).checked_sub(MAX_EPOCHS.saturating_sub(n_epochs))
}

/// `epoch 1,812 at 12:04:30: 3.1 ms, 412 rows, 12.4 kB`.
pub fn readout(epoch: &Epoch, zone: &Zone) -> String {
    format!(
        "epoch {} at {}: {}, {} rows, {}",
        grouped(&epoch.number.to_string()),
        zone.clock(epoch.committed_at),
        millis(epoch.duration_ms),
        grouped(&epoch.rows_in.to_string()),
        bytes(epoch.bytes_written)
    )
}

/// What the epochs have in common.
pub fn summary(epochs: &[Epoch]) -> String {
    let (Some(first), Some(last)) = (epochs.first(), epochs.last()) else {
        return "No epoch yet: the first one is committed when the first record is read.".to_owned();
    };
    if let [only] = epochs {
        let (took, rows) = (millis(only.duration_ms), grouped(&only.rows_in.to_string()));
        return format!("The only epoch so far took {took}, with {rows} rows.");
    }
    let mut durations: Vec<f64> = epochs.iter().map(|epoch| epoch.duration_ms).collect();
    durations.sort_by(f64::total_cmp);
    let at = |share: f64| durations[((durations.len() - 1) as f64 * share) as usize];
    let rows: f64 = epochs.iter().map(|epoch| epoch.rows_in).sum();
    let seconds = ((last.committed_at - first.committed_at) as f64 / 1e6).max(0.001);
    format!(
        "The last {} epochs took {} (median), {} at most; one every {}, with {} rows.",
        grouped(&epochs.len().to_string()),
        millis(at(0.5)),
        millis(at(1.0)),
        millis(seconds * 1_000.0 / (epochs.len().saturating_sub(1).max(1)) as f64),
        si((rows / epochs.len() as f64).round())
    )
}

/// The next of 1, 2, 5, 10, … at or above a value; 1 for nothing.
fn top(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let decade = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * decade).find(|top| most <= *top).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn epochs(n: u64) -> Vec<Epoch> {
        let epoch = |n: u64| Epoch {
            number: n + 1,
            committed_at: i64::try_from(n).expect("small") * 250_000,
            duration_ms: n as f64,
            rows_in: 10.0,
            bytes_written: 1_000.0,
        };
        (0..n).map(epoch).collect()
    }

    #[test]
    fn answers_are_read_oldest_first() {
        let answer = json!({"columns": [], "row_count": 2, "truncated": false, "epochs": {}, "elapsed_ms": 1.0, "rows": [
            [1813, "2026-11-24T12:04:30.500Z", 3.12, 5000, 12_400],
            [1812, "2026-11-24T12:04:30.250Z", 2.0, 412, 1_000],
        ]});
        let epochs = read(&serde_json::from_value(answer).expect("an answer"));
        assert_eq!(epochs.iter().map(|epoch| epoch.number).collect::<Vec<_>>(), [1812, 1813]);
        assert_eq!(
            readout(&epochs[1], &Zone::default()),
            "epoch 1,813 at 12:04:30: 3.1 ms, 5,000 rows, 12.4 kB"
        );
        assert!(query("it's").contains("= 'it''s'"));
    }

    #[test]
    fn strips_have_a_bar_for_each_epoch_at_the_right_edge() {
        let [duration, rows, _] = strips(&epochs(3));
        assert_eq!((&*duration.top, &*rows.top), ("2.0 ms", "10"));
        assert_eq!(duration.path, "M237.1 40v-0.0h.8V40zM238.1 40v-20.0h.8V40zM239.1 40v-40.0h.8V40z");
        assert_eq!((hit(3, 0.999), hit(3, 0.98), hit(0, 0.5)), (Some(2), None, None));
    }

    #[test]
    fn summary_says_what_they_have_in_common() {
        assert!(summary(&[]).starts_with("No epoch yet"));
        assert_eq!(summary(&epochs(1)), "The only epoch so far took 0.0 ms, with 10 rows.");
        assert_eq!(
            summary(&epochs(101)),
            "The last 101 epochs took 50 ms (median), 100 ms at most; one every 250 ms, with 10 rows."
        );
    }

    proptest! {
        #[test]
        fn tops_are_above_and_near(most in 1e-6..1e12_f64) {
            let top = top(most);
            prop_assert!(most <= top && top <= most * 2.500_001);
        }
    }
}
