//! What must be said of a panel: how complete it is, and why there is nothing in it.

use weir_api::{Panel, PipelineState};

use super::cells::Columns;
use super::span::words;
use crate::protocol::time::MILLISECOND;
use crate::store::Store;
use crate::store::table::Table;
use crate::view::address::Range;
use crate::view::detail::trouble;
use crate::view::late::Late;
use crate::view::number::grouped;
use crate::view::zone::Zone;

/// What a panel has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing yet.
    Waiting,
    /// No row.
    Empty,
    /// The panel can't be drawn as it is written.
    Wrong,
    Ready,
}

impl Stage {
    /// For the style sheet and for tests.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Empty => "empty",
            Self::Wrong => "wrong",
            Self::Ready => "ready",
        }
    }
}

/// What is said of a panel; an empty sentence says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub stage: Stage,
    pub sentence: String,
    /// `last 30 min`; empty where what is shown says it itself, or the page does for all.
    pub span: String,
    /// `complete up to 12:04:30`.
    pub complete: String,
    /// `136 late`: rows that came after their windows had closed, and are not in these numbers; empty: none did.
    pub late: String,
    /// Its pipeline does not run: its numbers are those of before.
    pub is_old: bool,
}

/// What a panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub range: Range,
    pub n_rows: usize,
    /// Of one number the bounds of its windows, in microseconds since 1970.
    pub windows: Option<(i64, i64)>,
}

/// What is said of a panel whose rows come from `table`.
pub fn state(
    store: &Store,
    panel: &Panel,
    table: Option<&Table>,
    shown: Shown,
    late: &Late,
    zone: &Zone,
) -> State {
    let Shown { range, n_rows, windows } = shown;
    let live = store.table(&panel.pipeline);
    let complete = live.map(|live| complete(live, range, zone)).unwrap_or_default();
    let late = match live.map_or(0, |live| late_rows(panel, live, shown, late)) {
        0 => String::new(),
        n => format!("{} late", grouped(&n.to_string())),
    };
    let pipeline = store.pipelines().iter().find(|pipeline| pipeline.name == panel.pipeline);
    let trouble = pipeline.map(|pipeline| trouble(&panel.pipeline, pipeline)).unwrap_or_default();
    let name = &panel.pipeline;
    let (stage, sentence) = match (pipeline, table) {
        (None, None) if !store.pipelines().is_empty() => {
            (Stage::Wrong, format!("There is no pipeline \"{name}\". The overview has all there are."))
        }
        (_, None) if !trouble.is_empty() => (Stage::Waiting, trouble),
        (_, None) => (Stage::Waiting, format!("Waiting for the rows of {name}.")),
        (_, Some(table)) => match Columns::find(panel, table) {
            Err(problem) => (Stage::Wrong, format!("{problem} Edit the dashboard to choose another.")),
            Ok(_) if n_rows == 0 && trouble.is_empty() => {
                (Stage::Empty, empty(live.unwrap_or(table), range, zone))
            }
            Ok(_) if n_rows == 0 => (Stage::Empty, trouble),
            Ok(_) if trouble.is_empty() && table.truncated() => (Stage::Ready, cut(table)),
            Ok(_) if trouble.is_empty() => (Stage::Ready, trouble),
            // The reason stands where all of the pipeline does, once.
            Ok(_) => (Stage::Ready, format!("{name} gets nothing new: these are its last numbers.")),
        },
    };
    let is_old =
        pipeline.is_some_and(|pipeline| pipeline.state != PipelineState::Running || pipeline.error.is_some());
    let span = match range {
        Range::Last(_) if windows.is_none() => words(range, zone),
        _ => String::new(),
    };
    State { stage, sentence, span, complete, late, is_old }
}

/// How complete the numbers of a table are, as far as the range reaches.
fn complete(table: &Table, range: Range, zone: &Zone) -> String {
    let has_windows = table.places().window_start.or(table.places().window_end).is_some();
    let until = table.complete_until().or(table.watermark().filter(|_| !has_windows));
    match (range, until.max(table.watermark().filter(|_| table.is_empty()))) {
        (Range::Between { to, .. }, Some(until)) if to <= until => "complete".to_owned(),
        (_, Some(until)) => format!("complete up to {}", zone.clock(until)),
        (_, None) => "nothing complete yet".to_owned(),
    }
}

/// How many late rows the windows that are shown are without.
fn late_rows(panel: &Panel, table: &Table, shown: Shown, late: &Late) -> u64 {
    let (from, to) = match (shown.windows, shown.range, table.watermark()) {
        (Some(windows), ..) => windows,
        (None, Range::Between { from, to }, _) => (from, to),
        (None, Range::Last(last_ms), Some(until)) => {
            (until.saturating_sub(last_ms.saturating_mul(MILLISECOND)), until)
        }
        (None, Range::Last(_) | Range::Until(_), _) => return 0,
    };
    late.between(&panel.pipeline, from, to)
}

fn empty(table: &Table, range: Range, zone: &Zone) -> String {
    match range {
        _ if table.watermark().is_none() => "No rows yet. They appear as soon as records arrive.".to_owned(),
        Range::Last(_) => {
            format!(
                "No rows in the {} before the watermark. A longer span may have some.",
                words(range, zone)
            )
        }
        Range::Between { from, .. }
            if table.watermark().is_some_and(|watermark| watermark + 60_000 * MILLISECOND < from) =>
        {
            "This stretch of time lies ahead of the watermark. Rows appear as it gets there.".to_owned()
        }
        Range::Between { .. } | Range::Until(_) => {
            format!("No rows in {}. Another stretch may have some.", words(range, zone))
        }
    }
}

fn cut(table: &Table) -> String {
    format!("More rows than the page keeps: these are the newest {}.", grouped(&table.len().to_string()))
}

#[cfg(test)]
mod tests {
    use weir_api::{Chart, Event, PipelinesResponse};

    use super::*;
    use crate::protocol::Wanted;
    use crate::view::board::cells::tests::panel;

    const SECOND: i64 = 1_000_000;

    fn store(pipeline_state: &str, rows: &str) -> Store {
        let list = format!(
            r#"{{"pipelines":[{{"name":"revenue","state":"{pipeline_state}","epoch":1,"committed_at":null,"watermark":null,"rows_in":0,"rows_out":0,"late_rows":0,"tombstones":0,"dead_letters":0,"error":null}}]}}"#
        );
        let list: PipelinesResponse = serde_json::from_str(&list).expect("a list");
        let data = format!(
            r#"{{"table":"revenue","epoch":7,"watermark":"1970-01-01T00:00:35.000Z","columns":[{{"name":"window_end","type":"TIMESTAMP(3)","nullable":false}},{{"name":"_final","type":"BOOLEAN","nullable":false}}],"key":["window_end"],"rows":[{rows}]}}"#
        );
        let mut store = Store::default();
        store.set_pipelines(list.pipelines);
        store.want(Wanted { tables: vec!["revenue".into()], last_ms: 1_800_000 });
        store.fold("1", Event::parse("snapshot", &data).expect("a snapshot")).expect("fits");
        store
    }

    fn of(store: &Store, y: &str, range: Range) -> State {
        let (panel, late) = (panel(Chart::Line, None, y, None), crate::view::late::tests::late());
        let table = store.table("revenue");
        let shown = Shown { range, n_rows: table.map_or(0, Table::len), windows: None };
        state(store, &panel, table, shown, &late, &Zone::default())
    }

    fn check(store: &Store, y: &str, range: Range, expected: (Stage, &str, &str)) {
        let state = of(store, y, range);
        assert_eq!((state.stage, state.sentence.as_str(), state.complete.as_str()), expected);
    }

    #[test]
    fn every_panel_says_how_complete_it_is() {
        let store = store("running", r#"["1970-01-01T00:00:30.000",true],["1970-01-01T00:00:40.000",false]"#);
        let ready = |complete| (Stage::Ready, "", complete);
        check(&store, "_final", Range::Last(60_000), ready("complete up to 00:00:30"));
        check(&store, "_final", Range::Between { from: 0, to: 30 * SECOND }, ready("complete"));
        check(
            &store,
            "_final",
            Range::Between { from: 0, to: 31 * SECOND },
            ready("complete up to 00:00:30"),
        );
    }

    #[test]
    fn numbers_say_how_many_rows_came_too_late_for_them() {
        let store = store("running", r#"["1970-01-01T00:00:30.000",true]"#);
        let late = |range| of(&store, "_final", range).late;
        assert_eq!(late(Range::Last(60_000)), "4 late");
        assert_eq!(late(Range::Last(15_000)), "");
        assert_eq!(late(Range::Between { from: 0, to: 5 * SECOND }), "1 late");
        let (panel, of) = (panel(Chart::Stat, None, "_final", None), crate::view::late::tests::late());
        let of_one = |windows| {
            let shown = Shown { range: Range::Last(60_000), n_rows: 1, windows };
            let state = state(&store, &panel, store.table("revenue"), shown, &of, &Zone::default());
            (state.span, state.late)
        };
        let said = |span: &str, late: &str| (span.to_owned(), late.to_owned());
        assert_eq!(of_one(None), said("last 1 min", "4 late"));
        assert_eq!(of_one(Some((0, 10 * SECOND))), said("", "1 late"), "a number's own windows");
    }

    #[test]
    fn absence_is_explained_and_says_what_to_do() {
        let quiet = store("running", "");
        let sentence = "No rows in the last 1 min before the watermark. A longer span may have some.";
        check(&quiet, "_final", Range::Last(60_000), (Stage::Empty, sentence, "complete up to 00:00:35"));
        let sentence = "This panel names the column \"profit\", which revenue does not have. Edit the dashboard to choose another.";
        check(&quiet, "profit", Range::Last(60_000), (Stage::Wrong, sentence, "complete up to 00:00:35"));
        let failed = store("failed", "");
        let sentence = "revenue has failed. Its numbers are those of its last epoch.";
        check(&failed, "_final", Range::Last(60_000), (Stage::Empty, sentence, "complete up to 00:00:35"));
        let rows = store("failed", r#"["1970-01-01T00:00:30.000",true]"#);
        let sentence = "revenue gets nothing new: these are its last numbers.";
        check(&rows, "_final", Range::Last(60_000), (Stage::Ready, sentence, "complete up to 00:00:30"));
        let unknown = Store::default();
        check(&unknown, "n", Range::Last(60_000), (Stage::Waiting, "Waiting for the rows of revenue.", ""));
    }
}
