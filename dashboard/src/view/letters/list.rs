//! The newest dead letters that fit the choice, a line each.

use serde_json::Value;
use weir_api::SqlResponse;

use super::reasons;
use super::summary::{pipeline_condition, reason_condition, time_condition, whole_where};
use super::{Choice, Place, bytes};
use crate::protocol::time;
use crate::view::address::Range;
use crate::view::number::grouped;
use crate::view::zone::Zone;

/// Lines at most: what was before is reached by narrowing the time.
pub const LINES_MAX: usize = 100;

/// Asks for what [`lines`] reads.
pub fn query(choice: &Choice, range: Option<Range>) -> String {
    let conditions = [pipeline_condition(choice), reason_condition(choice), time_condition(range)];
    format!(
        "SELECT pipeline, topic, partition, \"offset\", record_time, reason, left(detail, 300), epoch, \
         CASE WHEN partition IS NULL THEN payload END AS group_key \
         FROM weir.dead_letters{} ORDER BY record_time DESC NULLS LAST, epoch DESC, \"offset\" DESC LIMIT {LINES_MAX}",
        whole_where(&conditions)
    )
}

/// One dead letter. Texts are ready to show.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    pub place: Place,
    /// Its index in the palette.
    pub slot: usize,
    pub title: String,
    pub pipeline: String,
    /// The record's own time; `–` where it has none.
    pub day: String,
    pub clock: String,
    /// `shop.orders/3 at 1,024`.
    pub origin: String,
    pub detail: String,
    /// Its time, microseconds.
    pub instant: Option<i64>,
}

/// The lines of an answer to [`query`]; rows that can't be named are left out.
pub fn lines(answer: &SqlResponse, zone: &Zone) -> Vec<Line> {
    answer.rows.iter().filter_map(|row| line(row, zone)).collect()
}

fn line(row: &[Value], zone: &Zone) -> Option<Line> {
    let [pipeline, topic, partition, offset, record_time, reason, detail, epoch, group_key] = row else {
        return None;
    };
    let pipeline = pipeline.as_str()?.to_owned();
    let topic = topic.as_str()?.to_owned();
    let (place, origin) = match (partition.as_i64(), offset.as_i64()) {
        (Some(partition), Some(offset)) => {
            let partition = i32::try_from(partition).ok()?;
            let origin = format!("{topic}/{partition} at {}", grouped(&offset.to_string()));
            (Place::Record { pipeline: pipeline.clone(), topic, partition, offset }, origin)
        }
        _ => {
            let epoch = epoch.as_u64()?;
            let key = group_key.as_str().and_then(bytes::from_base64)?;
            let key = bytes::hex(&key).replace(' ', "");
            (Place::Group { pipeline: pipeline.clone(), epoch, key }, "a group of rows".to_owned())
        }
    };
    let instant = record_time.as_str().and_then(time::parse_instant);
    let reason = reason.as_str()?;
    Some(Line {
        place,
        slot: reasons::slot(reason),
        title: reasons::title(reason).to_owned(),
        pipeline,
        day: instant.map_or_else(|| "–".to_owned(), |instant| zone.date(instant)),
        clock: instant.map_or_else(|| "–".to_owned(), |instant| zone.clock(instant)),
        origin,
        detail: detail.as_str()?.to_owned(),
        instant,
    })
}

/// What stands above the list.
pub fn sentence(total: u64, n_lines: usize) -> String {
    let n_all = grouped(&total.to_string());
    match (total, n_lines) {
        (0, _) => "None fits.".to_owned(),
        (1, _) => "One.".to_owned(),
        (total, n) if (n as u64) < total => {
            format!(
                "The newest {n} of {n_all}. A bar of the chart, or a stretch of time, shows those before."
            )
        }
        _ => format!("{n_all}, the newest first."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_name_the_record_or_the_group() {
        let answer = json!({"columns": [], "row_count": 2, "truncated": false, "epochs": {}, "elapsed_ms": 1.0, "rows": [
            ["revenue", "shop.orders", 3, 1_024, "2026-11-24T12:01:02.500Z", "late_row", "late by 3 s", 812, null],
            ["revenue", "shop.orders", null, null, null, "evaluation_error", "overflow", 813, "AP8="],
            ["revenue", "shop.orders", null, null, null, "evaluation_error", "no payload", 813, null],
        ]});
        let lines = lines(&serde_json::from_value(answer).expect("an answer"), &Zone::default());
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (&*lines[0].clock, &*lines[0].origin, &*lines[0].title),
            ("12:01:02", "shop.orders/3 at 1,024", "Late")
        );
        let group = Place::Group { pipeline: "revenue".into(), epoch: 813, key: "00ff".into() };
        assert_eq!((&lines[1].place, &*lines[1].day), (&group, "–"));
    }

    #[test]
    fn query_is_bounded() {
        let choice = Choice { reason: Some("late_row".into()), ..Choice::default() };
        let query = query(&choice, Some(Range::Last(60_000)));
        assert!(
            query.contains(
                "WHERE reason = 'late_row' AND (record_time IS NULL OR record_time >= now() - INTERVAL '60000 milliseconds')"
            ),
            "{query}"
        );
        assert!(query.ends_with("LIMIT 100"));
    }

    #[test]
    fn sentence_says_what_is_left_out() {
        assert_eq!(
            [sentence(0, 0), sentence(1, 1), sentence(40, 40)],
            ["None fits.", "One.", "40, the newest first."]
        );
        assert!(sentence(1_234, 100).starts_with("The newest 100 of 1,234."));
    }
}
