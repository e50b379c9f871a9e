//! The list of pipelines: one row each, worst first, and one sentence about all of them.
//!
//! Invariant: the order changes only with the kind of trouble, never with a figure: rows do not jump while one reads.

use std::collections::BTreeMap;

use weir_api::{Pipeline, PipelineState, Sink, SqlResponse};

use super::number::{bytes, fixed, grouped, millis, of, rate, si, span};
use crate::protocol::time::{self, MILLISECOND};
use crate::store::Store;
use crate::store::pulse::Pulse;

/// Behind by more than this is worth a look: it is drawn in the colour of warnings.
const LAG_WARNING_MS: f64 = 60_000.0;

/// Asks for what [`Extras::read_epochs`] reads.
pub const EPOCHS_QUERY: &str =
    "SELECT pipeline, avg(duration_ms), max(duration_ms) FROM weir.epochs GROUP BY pipeline";
/// Asks for what [`Extras::read_sinks`] reads.
pub const SINKS_QUERY: &str = "SELECT sink, pipeline, state, outbox_rows, outbox_bytes, delivered_epoch, error FROM weir.sinks ORDER BY sink";

/// What statuses do not say: how long epochs take, and how sinks are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extras {
    /// Mean and longest, in milliseconds, of the epochs that the server remembers.
    epoch_ms: BTreeMap<String, (f64, f64)>,
    sinks: Vec<Sink>,
}

impl Extras {
    /// Takes the answer to [`EPOCHS_QUERY`].
    pub fn read_epochs(&mut self, answer: &SqlResponse) {
        let row = |row: &weir_api::Row| {
            Some((row.first()?.as_str()?.to_owned(), (of(row.get(1)?)?, of(row.get(2)?)?)))
        };
        self.epoch_ms = answer.rows.iter().filter_map(row).collect();
    }

    /// Takes the answer to [`SINKS_QUERY`].
    pub fn read_sinks(&mut self, answer: &SqlResponse) {
        let row = |row: &weir_api::Row| {
            let text = |at: usize| row.get(at)?.as_str().map(str::to_owned);
            let count = |at: usize| row.get(at)?.as_u64();
            Some(Sink {
                sink: text(0)?,
                pipeline: text(1)?,
                state: text(2)?,
                outbox_rows: count(3)?,
                outbox_bytes: count(4)?,
                delivered_epoch: count(5)?,
                error: text(6),
            })
        };
        self.sinks = answer.rows.iter().filter_map(row).collect();
    }

    fn sinks_of<'a>(&'a self, pipeline: &'a str) -> impl Iterator<Item = &'a Sink> {
        self.sinks.iter().filter(move |sink| sink.pipeline == pipeline)
    }
}

/// A sink of a pipeline, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkRow {
    pub name: String,
    pub state: String,
    /// `1,204 rows waiting, 1.2 MB`; empty where nothing waits.
    pub waiting: String,
    /// The last epoch that it has whole.
    pub delivered: String,
    pub error: Option<String>,
    /// It does not deliver, and should.
    pub is_bad: bool,
}

impl From<&Sink> for SinkRow {
    fn from(sink: &Sink) -> Self {
        let waiting = match sink.outbox_rows {
            0 => String::new(),
            n => format!("{} rows waiting, {}", grouped(&n.to_string()), bytes(sink.outbox_bytes as f64)),
        };
        Self {
            name: sink.sink.clone(),
            state: sink.state.clone(),
            waiting,
            delivered: grouped(&sink.delivered_epoch.to_string()),
            error: sink.error.clone(),
            is_bad: matches!(&*sink.state, "retrying" | "down" | "failed"),
        }
    }
}

/// One pipeline. Texts are ready to show; `–` where there is nothing yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRow {
    pub name: String,
    pub state: &'static str,
    /// Why it failed, or what it waits for.
    pub error: Option<String>,
    pub rows_per_second: String,
    /// Points of the small line, in a box of 60 by 16: `x,y x,y …`; empty with fewer than two rates.
    pub spark: String,
    /// How far the watermark is behind the clock.
    pub watermark_lag: String,
    pub lag_is_long: bool,
    /// Records that wait in Kafka.
    pub lag_records: String,
    pub late_rows: String,
    /// `+3` of the last minute; empty where there were none.
    pub late_rows_recent: String,
    pub dead_letters: String,
    pub dead_letters_recent: String,
    /// The mean time from a barrier to the end of the synced write.
    pub epoch_time: String,
    /// The number of the last committed epoch.
    pub epoch: String,
    pub sinks: Vec<SinkRow>,
    /// What is wrong, the gravest first; `None`: all is well.
    pub trouble: Option<Trouble>,
}

/// What is wrong with a pipeline; the order is that of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Failed,
    /// A sink that does not take rows.
    Sink,
    /// The watermark is far behind the clock although there is something to read.
    Behind,
    Starting,
    Stopped,
}

/// The rows of all pipelines, worst first and then in the server's order. `now_ms` is the server's clock, since 1970.
pub fn rows(store: &Store, extras: &Extras, now_ms: f64) -> Vec<PipelineRow> {
    let mut rows: Vec<PipelineRow> =
        store.pipelines().iter().map(|pipeline| row(store, extras, pipeline, now_ms)).collect();
    // `None` sorts first; all is well comes last.
    rows.sort_by_key(|row| (row.trouble.is_none(), row.trouble));
    rows
}

fn row(store: &Store, extras: &Extras, pipeline: &Pipeline, now_ms: f64) -> PipelineRow {
    let unseen = Pulse::default();
    let pulse = store.pulse(&pipeline.name).unwrap_or(&unseen);
    let lag_ms = lag_ms(pipeline, now_ms);
    // A topic in which nothing happens has an old watermark and nothing wrong.
    let has_work =
        pulse.lag_records().is_none_or(|lag| lag != 0) || pulse.rate().is_some_and(|rate| rate != 0.0);
    let running = pipeline.state == PipelineState::Running;
    let lag_is_long = running && has_work && lag_ms.is_some_and(|lag_ms| LAG_WARNING_MS < lag_ms);
    let sinks: Vec<SinkRow> = extras.sinks_of(&pipeline.name).map(SinkRow::from).collect();
    let recent = |n: u64| if n == 0 { String::new() } else { format!("+{}", grouped(&n.to_string())) };
    let trouble = match pipeline.state {
        PipelineState::Failed => Some(Trouble::Failed),
        _ if sinks.iter().any(|sink| sink.is_bad) => Some(Trouble::Sink),
        PipelineState::Starting => Some(Trouble::Starting),
        PipelineState::Stopped => Some(Trouble::Stopped),
        PipelineState::Running => lag_is_long.then_some(Trouble::Behind),
    };
    PipelineRow {
        name: pipeline.name.clone(),
        state: pipeline.state.as_str(),
        error: pipeline.error.clone(),
        rows_per_second: pulse.rate().map_or_else(dash, rate),
        spark: spark_points(pulse.rates()),
        watermark_lag: lag_ms.map_or_else(dash, span),
        lag_is_long,
        lag_records: pulse.lag_records().map_or_else(dash, |lag| si(lag as f64)),
        late_rows: grouped(&pipeline.late_rows.to_string()),
        late_rows_recent: recent(pulse.late_rows_recent()),
        dead_letters: grouped(&pipeline.dead_letters.to_string()),
        dead_letters_recent: recent(pulse.dead_letters_recent()),
        epoch_time: extras.epoch_ms.get(&pipeline.name).map_or_else(dash, |(mean, _)| millis(*mean)),
        epoch: grouped(&pipeline.epoch.to_string()),
        sinks,
        trouble,
    }
}

/// How far a pipeline's watermark is behind the clock, in milliseconds.
pub fn lag_ms(pipeline: &Pipeline, now_ms: f64) -> Option<f64> {
    let watermark = time::parse_instant(pipeline.watermark.as_deref()?)?;
    Some((now_ms - (watermark / MILLISECOND) as f64).max(0.0))
}

fn dash() -> String {
    "–".to_owned()
}

/// One sentence that says whether all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub text: String,
    /// `well`, `warn`, `bad` or `none`: for the style sheet and for tests.
    pub kind: &'static str,
}

/// What is to be said of all pipelines; `rows` as [`rows`] gives them.
pub fn summary(rows: &[PipelineRow]) -> Summary {
    let say = |kind, text: String| Summary { text, kind };
    if rows.is_empty() {
        let text = "This project has no pipelines. Add a file to its folder pipelines and start Weir again.";
        return say("none", text.to_owned());
    }
    let mut troubles: Vec<String> = rows.iter().filter_map(sentence).collect();
    let n_troubled = troubles.len();
    if n_troubled == 0 {
        let n_sinks = rows.iter().map(|row| row.sinks.len()).sum::<usize>();
        let pipelines = match rows.len() {
            1 => "the pipeline is running".to_owned(),
            n => format!("all {n} pipelines are running"),
        };
        let sinks = match n_sinks {
            0 => String::new(),
            1 => ", the sink delivers".to_owned(),
            n => format!(", all {n} sinks deliver"),
        };
        return say("well", format!("All is well: {pipelines}{sinks}."));
    }
    let kind = if rows[0].trouble <= Some(Trouble::Sink) { "bad" } else { "warn" };
    troubles.truncate(2);
    let more = match n_troubled - troubles.len() {
        0 => String::new(),
        1 => "; 1 more needs a look".to_owned(),
        n => format!("; {n} more need a look"),
    };
    say(kind, format!("{}{more}.", troubles.join(", ")))
}

/// What is wrong with a pipeline, as part of a sentence.
fn sentence(row: &PipelineRow) -> Option<String> {
    let name = &row.name;
    Some(match row.trouble? {
        Trouble::Failed => format!("{name} has failed"),
        Trouble::Sink => {
            let sink = row.sinks.iter().find(|sink| sink.is_bad).map_or("a sink", |sink| &*sink.name);
            format!("{sink} does not take the rows of {name}")
        }
        Trouble::Behind => format!("{name} is {} behind", row.watermark_lag),
        Trouble::Starting => format!("{name} is starting"),
        Trouble::Stopped => format!("{name} has stopped"),
    })
}

/// The points of a line in a box of 60 by 16, newest rate at the right edge. The scale starts at zero, so that a
/// steady rate is a steady line and not a zoomed tremble.
fn spark_points(rates: impl ExactSizeIterator<Item = f64>) -> String {
    const WIDTH: f64 = 60.0;
    const HEIGHT: f64 = 16.0;
    let rates: Vec<f64> = rates.collect();
    if rates.len() < 2 {
        return String::new();
    }
    let most = rates.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let step = WIDTH / (crate::store::pulse::HISTORY - 1) as f64;
    let first_x = WIDTH - step * (rates.len() - 1) as f64;
    let points = rates.iter().enumerate().map(|(at, per_second)| {
        let x = first_x + step * at as f64;
        let y = HEIGHT - 1.0 - (HEIGHT - 2.0) * (per_second / most);
        [fixed(x, 1), fixed(y, 1)].join(",")
    });
    points.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use weir_api::Event;

    use super::*;

    fn pipeline(name: &str, state: PipelineState) -> Pipeline {
        Pipeline {
            name: name.into(),
            state,
            epoch: 1_234,
            committed_at: None,
            watermark: Some("1970-01-01T00:00:10.000Z".into()),
            lost_records: 0,
            dead_letters_replayed: 0,
            dead_letters_expired: 0,
            rows_in: 0,
            rows_out: 0,
            late_rows: 0,
            tombstones: 0,
            dead_letters: 1_000,
            error: None,
        }
    }

    fn store(states: &[(&str, PipelineState)]) -> Store {
        let mut store = Store::default();
        store.set_pipelines(states.iter().map(|(name, state)| pipeline(name, *state)).collect());
        store
    }

    fn beat(store: &mut Store, name: &str, lag_records: u64, dead_letters: u64) {
        let status = format!(
            r#"{{"pipeline":"{name}","state":"running","epoch":1234,"watermark":"1970-01-01T00:00:10.000Z","lag_records":{lag_records},"rows_per_second":0,"late_rows":0,"dead_letters":{dead_letters}}}"#
        );
        store.fold("1", Event::parse("status", &status).expect("a status")).expect("fits");
    }

    fn said(store: &Store, extras: &Extras, now_ms: f64) -> (Vec<String>, Summary) {
        let rows = rows(store, extras, now_ms);
        let summary = summary(&rows);
        (rows.into_iter().map(|row| row.name).collect(), summary)
    }

    fn sinks(rows: serde_json::Value) -> Extras {
        let answer = json!({"columns": [], "rows": rows, "row_count": 0, "truncated": false, "epochs": {}, "elapsed_ms": 1.0});
        let mut extras = Extras::default();
        extras.read_sinks(&serde_json::from_value(answer).expect("an answer"));
        extras
    }

    #[test]
    fn worst_stands_first_and_is_named() {
        let store = store(&[
            ("a", PipelineState::Running),
            ("b", PipelineState::Stopped),
            ("c", PipelineState::Failed),
            ("d", PipelineState::Running),
        ]);
        let down = sinks(json!([["out", "d", "down", 1_204, 1_250_000, 7, "no broker"]]));
        let (names, summary) = said(&store, &down, 11_000.0);
        assert_eq!(names, ["c", "d", "b", "a"]);
        assert_eq!(summary.kind, "bad");
        assert_eq!(summary.text, "c has failed, out does not take the rows of d; 1 more needs a look.");
        let rows = rows(&store, &down, 11_000.0);
        assert_eq!(rows[1].sinks[0].waiting, "1,204 rows waiting, 1.25 MB");
    }

    #[test]
    fn all_is_well_when_nothing_is_wrong() {
        let one = store(&[("a", PipelineState::Running)]);
        let delivers = sinks(json!([["out", "a", "running", 0, 0, 7, null]]));
        assert_eq!(
            said(&one, &delivers, 11_000.0).1.text,
            "All is well: the pipeline is running, the sink delivers."
        );
        let two = store(&[("a", PipelineState::Running), ("b", PipelineState::Running)]);
        assert_eq!(said(&two, &Extras::default(), 11_000.0).1.kind, "well");
        assert!(summary(&[]).text.starts_with("This project has no pipelines."));
    }

    #[test]
    fn behind_is_who_has_something_to_read() {
        let mut store = store(&[("busy", PipelineState::Running), ("quiet", PipelineState::Running)]);
        beat(&mut store, "busy", 5, 1_000);
        beat(&mut store, "quiet", 0, 1_000);
        let (_, summary) = said(&store, &Extras::default(), 81_000.0);
        assert_eq!(summary.text, "busy is 1 min 11 s behind.");
        assert_eq!(summary.kind, "warn");
    }

    #[test]
    fn what_went_wrong_of_late_is_told_apart() {
        let mut store = store(&[("a", PipelineState::Running)]);
        assert_eq!(rows(&store, &Extras::default(), 0.0)[0].rows_per_second, "–");
        beat(&mut store, "a", 0, 1_000);
        beat(&mut store, "a", 0, 1_003);
        let row = &rows(&store, &Extras::default(), 0.0)[0];
        assert_eq!(
            (&*row.dead_letters, &*row.dead_letters_recent, &*row.late_rows_recent),
            ("1,003", "+3", "")
        );
    }

    #[test]
    fn small_line_ends_at_the_right_edge() {
        let points = |rates: &[f64]| spark_points(rates.iter().copied());
        assert_eq!(points(&[5.0]), "");
        assert_eq!(points(&[0.0, 5.0]), "59.0,15.0 60.0,1.0");
        assert_eq!(points(&[0.0, 0.0]), "59.0,15.0 60.0,15.0");
    }
}
