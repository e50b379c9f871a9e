//! What is said about one pipeline: how complete its numbers are, and why there are none.

use weir_api::{Pipeline, PipelineState};

use super::number::{grouped, whole_span};
use super::zone::Zone;
use crate::protocol::time::MILLISECOND;
use crate::store::Store;
use crate::store::table::Table;

/// What there is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing, and the sentence says why.
    Nothing,
    /// Rows without windows: a table, no chart.
    Rows,
    /// Windows: chart and table.
    Windows,
}

/// What there is to show, and what must be said of it; an empty sentence says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageView {
    pub stage: Stage,
    pub sentence: String,
}

/// What there is to show of a pipeline.
pub fn stage(store: &Store, name: &str) -> StageView {
    let pipeline = store.pipelines().iter().find(|pipeline| pipeline.name == name);
    let trouble = pipeline.map(|pipeline| trouble(name, pipeline)).unwrap_or_default();
    let (stage, sentence) = match (pipeline, store.table(name)) {
        (None, _) if store.pipelines().is_empty() => (Stage::Nothing, String::new()),
        (None, _) => {
            (Stage::Nothing, format!("There is no pipeline \"{name}\". The overview has all there are."))
        }
        (_, None) if !trouble.is_empty() => (Stage::Nothing, trouble),
        (_, None) => (Stage::Nothing, format!("Waiting for the rows of {name}.")),
        (_, Some(table)) if table.is_empty() => {
            (Stage::Nothing, if trouble.is_empty() { empty(table) } else { trouble })
        }
        (_, Some(table)) => {
            let places = table.places();
            let has_windows = places.window_start.or(places.window_end).is_some();
            let stage = if has_windows { Stage::Windows } else { Stage::Rows };
            (stage, if trouble.is_empty() && table.truncated() { cut(table) } else { trouble })
        }
    };
    StageView { stage, sentence }
}

/// What a person must know before trusting the numbers of a pipeline that is not running.
pub(super) fn trouble(name: &str, pipeline: &Pipeline) -> String {
    let reason = pipeline
        .error
        .as_deref()
        .map(|error| format!(": {}", error.trim_end_matches('.')))
        .unwrap_or_default();
    match pipeline.state {
        PipelineState::Failed => {
            format!("{name} has failed{reason}. Its numbers are those of its last epoch.")
        }
        PipelineState::Starting => format!("{name} is starting{reason}."),
        PipelineState::Stopped => format!("{name} has stopped{reason}. Its numbers do not change any more."),
        PipelineState::Running if pipeline.error.is_some() => {
            format!("{name} gets nothing new{reason}. Its numbers are those of before.")
        }
        PipelineState::Running => String::new(),
    }
}

fn empty(table: &Table) -> String {
    let span = whole_span((table.last() / MILLISECOND) as f64);
    match table.watermark() {
        None => "No rows yet. They appear as soon as records arrive; what has been read of each partition stands below.".to_owned(),
        Some(_) => format!("No rows in the last {span} before the watermark. A longer span may have some."),
    }
}

fn cut(table: &Table) -> String {
    let n_rows = grouped(&table.len().to_string());
    format!("The span holds more rows than the page keeps: these are the newest {n_rows}.")
}

/// The line below the name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// `complete up to 12:04:30`.
    pub complete: String,
    /// Epoch, watermark, date.
    pub small_print: String,
}

/// How complete the numbers of a pipeline are.
pub fn facts(store: &Store, name: &str, zone: &Zone) -> Facts {
    let Some(table) = store.table(name) else { return Facts::default() };
    let epoch = grouped(&table.epoch().to_string());
    let Some(watermark) = table.watermark() else {
        return Facts { complete: "nothing complete yet".into(), small_print: format!("epoch {epoch}") };
    };
    // Rows without windows are final as they come, and the watermark promises that no older one follows; nor does a window that
    // has no rows.
    let has_windows = table.places().window_start.or(table.places().window_end).is_some();
    let complete = match table.complete_until().or((!has_windows || table.is_empty()).then_some(watermark)) {
        Some(until) => format!("complete up to {}", zone.clock(until)),
        None => "nothing complete yet".into(),
    };
    let (clock, date) = (zone.clock(watermark), zone.date(watermark));
    Facts { complete, small_print: format!("watermark {clock} {}, {date}, epoch {epoch}", zone.label) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Wanted;
    use weir_api::{Event, PipelinesResponse};

    fn store(state: &str, error: &str, rows: &str) -> Store {
        let list = format!(
            r#"{{"pipelines":[{{"name":"a","state":"{state}","epoch":1,"committed_at":null,"watermark":null,"rows_in":0,"rows_out":0,"late_rows":0,"tombstones":0,"dead_letters":0,"error":{error}}}]}}"#
        );
        let list: PipelinesResponse = serde_json::from_str(&list).expect("a list");
        let data = format!(
            r#"{{"table":"a","epoch":1812,"watermark":"2026-11-22T12:04:35.000Z","columns":[{{"name":"window_end","type":"TIMESTAMP(3)","nullable":false}},{{"name":"_final","type":"BOOLEAN","nullable":false}}],"key":["window_end"],"rows":[{rows}]}}"#
        );
        let mut store = Store::default();
        store.set_pipelines(list.pipelines);
        store.want(Wanted { tables: vec!["a".into()], last_ms: 1_800_000 });
        store.fold("1", Event::parse("snapshot", &data).expect("a snapshot")).expect("fits");
        store
    }

    #[test]
    fn numbers_say_how_complete_they_are() {
        let store =
            store("running", "null", r#"["2026-11-22T12:04:30.000",true],["2026-11-22T12:04:40.000",false]"#);
        let facts = facts(&store, "a", &Zone::default());
        assert_eq!(facts.complete, "complete up to 12:04:30");
        assert_eq!(facts.small_print, "watermark 12:04:35 UTC, 22 Nov 2026, epoch 1,812");
        assert_eq!(stage(&store, "a"), StageView { stage: Stage::Windows, sentence: String::new() });
    }

    #[test]
    fn absence_is_explained() {
        let quiet = store("running", "null", "");
        assert_eq!(
            stage(&quiet, "a").sentence,
            "No rows in the last 30 min 00 s before the watermark. A longer span may have some."
        );
        let failed = store("failed", r#""the topic was made anew""#, "");
        assert_eq!(
            stage(&failed, "a").sentence,
            "a has failed: the topic was made anew. Its numbers are those of its last epoch."
        );
        let row = r#"["2026-11-22T12:04:30.000",true]"#;
        let cut_off = stage(&store("running", r#""the broker does not answer.""#, row), "a");
        let sentence = "a gets nothing new: the broker does not answer. Its numbers are those of before.";
        assert_eq!((cut_off.stage, cut_off.sentence.as_str()), (Stage::Windows, sentence));
        assert_eq!(
            stage(&failed, "b").sentence,
            "There is no pipeline \"b\". The overview has all there are."
        );
    }
}
