//! The partitions of a pipeline: how far each is, and which one holds the others back.

use weir_api::Partition;

use super::number::{grouped, span};
use crate::protocol::time::{self, MILLISECOND};

/// Partitions that differ by less are in step: they differ by how batches happened to be read.
const STEP_OUT: i64 = 2 * time::SECOND;

/// One partition, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRow {
    /// Topic and number.
    pub name: String,
    pub next_offset: String,
    pub lag_records: String,
    pub watermark: String,
    /// How far its watermark is behind the clock, or that it is idle.
    pub behind: String,
    /// Its watermark is the pipeline's: windows wait for it.
    pub holds_back: bool,
}

/// The rows of all partitions, in the server's order. `now_ms` is the server's clock.
pub fn rows(partitions: &[Partition], now_ms: f64) -> Vec<PartitionRow> {
    let watermark = |partition: &Partition| partition.watermark.as_deref().and_then(time::parse_instant);
    let active = || partitions.iter().filter(|partition| !partition.idle);
    // One not yet heard of holds back all others.
    let least = active().map(watermark).min();
    let most = active().map(watermark).max();
    let differs = match (least, most) {
        (Some(Some(least)), Some(Some(most))) => STEP_OUT <= most - least,
        (least, most) => least != most,
    };
    let rows = partitions.iter().map(|partition| {
        let own = watermark(partition);
        let behind = match own {
            _ if partition.idle => "idle".to_owned(),
            Some(own) => span(now_ms - (own / MILLISECOND) as f64),
            None => "no row yet".to_owned(),
        };
        PartitionRow {
            name: format!("{} {}", partition.topic, partition.partition),
            next_offset: grouped(&partition.next_offset.to_string()),
            lag_records: partition.lag_records.map_or_else(|| "–".into(), |lag| grouped(&lag.to_string())),
            watermark: own.map_or_else(|| "–".into(), time::clock_text),
            behind,
            holds_back: differs && !partition.idle && Some(own) == least,
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32, watermark: Option<&str>, idle: bool) -> Partition {
        Partition {
            pipeline: "revenue".into(),
            source: "orders".into(),
            topic: "shop.orders".into(),
            partition: number,
            next_offset: 1_234,
            end_offset: None,
            lag_records: None,
            watermark: watermark.map(str::to_owned),
            idle,
        }
    }

    #[test]
    fn slowest_active_partition_holds_back() {
        let partitions = [
            partition(0, Some("1970-01-01T00:00:05.000Z"), true),
            partition(1, Some("1970-01-01T00:00:20.000Z"), false),
            partition(2, Some("1970-01-01T00:00:10.000Z"), false),
        ];
        let seen: Vec<(String, bool)> =
            rows(&partitions, 30_000.0).into_iter().map(|row| (row.behind, row.holds_back)).collect();
        assert_eq!(seen, [("idle".into(), false), ("10 s".into(), false), ("20 s".into(), true)]);
        let unheard = [partition(0, None, false), partition(1, Some("1970-01-01T00:00:20.000Z"), false)];
        let rows = rows(&unheard, 30_000.0);
        assert_eq!((&*rows[0].behind, rows[0].holds_back, rows[1].holds_back), ("no row yet", true, false));
    }

    #[test]
    fn partitions_in_step_hold_nobody_back() {
        let same = ["1970-01-01T00:00:20.000Z", "1970-01-01T00:00:21.999Z"];
        let same = same.map(|watermark| partition(0, Some(watermark), false));
        assert!(rows(&same, 30_000.0).iter().all(|row| !row.holds_back));
    }
}
