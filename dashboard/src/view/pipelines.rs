//! The list of pipelines: one row each, worst first, and one sentence about all of them.
//!
//! Invariants:
//! 1. The order changes only with the kind of trouble, never with a figure: rows do not jump while one reads.
//! 2. All is well only where every record of the last [`RECENT_MINUTES`] was counted. What was not counted before is said, too.

use weir_api::{Pipeline, PipelineState, Sink, SqlResponse};

use super::number::{bytes, fixed, grouped, millis, of, rate, si, span};
use crate::protocol::time::{self, MILLISECOND};
use crate::store::Store;
use crate::store::pulse::Pulse;

/// Behind by more than this is worth a look: it is drawn in the colour of warnings.
const LAG_WARNING_MS: f64 = 60_000.0;

/// New dead letters are a trouble for so long. A pipeline remembers its newest thousand epochs only, which may be less: of what
/// became a dead letter before, the record itself has to be as young.
pub const RECENT_MINUTES: u32 = 15;

/// Asks for what [`Lives::read`] reads. The interval is [`RECENT_MINUTES`].
pub const LIVES_QUERY: &str = "SELECT p.name, avg(e.duration_ms), min(e.epoch) FILTER (WHERE e.committed_at >= now() - INTERVAL '15 minutes'), \
     max(p.dead_letters_replayed), max(p.dead_letters_expired), max(p.lost_records) \
     FROM weir.pipelines p LEFT JOIN weir.epochs e ON e.pipeline = p.name GROUP BY p.name";
/// Asks for what [`Extras::read_sinks`] reads.
pub const SINKS_QUERY: &str = "SELECT sink, pipeline, state, outbox_rows, outbox_bytes, delivered_epoch, error FROM weir.sinks ORDER BY sink";

/// What statuses do not say: how long epochs take, which records were not counted of late, and how sinks are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extras {
    pub lives: Lives,
    /// Dead letters of the last [`RECENT_MINUTES`], and how many of them are late rows, by pipeline; `None`: not known yet.
    losses: Option<Vec<(String, u64, u64)>>,
    sinks: Vec<Sink>,
}

/// What is known of each pipeline's life.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lives(Vec<Life>);

/// Of one pipeline. Counts are those of its life.
#[derive(Debug, Clone, PartialEq, Default)]
struct Life {
    pipeline: String,
    /// The mean of the epochs that the server remembers, in milliseconds.
    epoch_ms: Option<f64>,
    /// The first epoch of the last [`RECENT_MINUTES`].
    first_recent: Option<u64>,
    replayed: u64,
    expired: u64,
    lost: u64,
}

impl Lives {
    /// Reads the answer to [`LIVES_QUERY`].
    pub fn read(answer: &SqlResponse) -> Self {
        let row = |row: &weir_api::Row| {
            let count = |at: usize| row.get(at)?.as_u64();
            Some(Life {
                pipeline: row.first()?.as_str()?.to_owned(),
                epoch_ms: of(row.get(1)?),
                first_recent: count(2),
                replayed: count(3)?,
                expired: count(4)?,
                lost: count(5)?,
            })
        };
        Self(answer.rows.iter().filter_map(row).collect())
    }

    /// Asks for what [`Extras::read_losses`] reads: dead letters of the last [`RECENT_MINUTES`], by the record's time or by the
    /// epoch in which it became one. Empty while nothing is known.
    pub fn losses_query(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut query = format!(
            "SELECT pipeline, count(*), count(*) FILTER (WHERE reason = 'late_row') FROM weir.dead_letters \
             WHERE record_time >= now() - INTERVAL '{RECENT_MINUTES} minutes'"
        );
        for life in &self.0 {
            if let Some(first) = life.first_recent {
                let name = life.pipeline.replace('\'', "''");
                query += &format!(" OR pipeline = '{name}' AND epoch >= {first}");
            }
        }
        query + " GROUP BY pipeline"
    }

    fn of(&self, pipeline: &str) -> Option<&Life> {
        self.0.iter().find(|life| life.pipeline == pipeline)
    }
}

impl Extras {
    /// Takes the answer to [`Lives::losses_query`].
    pub fn read_losses(&mut self, answer: &SqlResponse) {
        let row = |row: &weir_api::Row| {
            Some((row.first()?.as_str()?.to_owned(), row.get(1)?.as_u64()?, row.get(2)?.as_u64()?))
        };
        self.losses = Some(answer.rows.iter().filter_map(row).collect());
    }

    /// With the losses that were known before, if there was anything.
    #[must_use]
    pub fn with_losses_of(mut self, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            self.losses.clone_from(&before.losses);
        }
        self
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

    /// Dead letters of late, and those of them that are late rows.
    fn losses(&self, pipeline: &str) -> (u64, u64) {
        let mut losses = self.losses.iter().flatten();
        losses.find(|(name, ..)| name == pipeline).map_or((0, 0), |(_, all, late)| (*all, *late))
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
    /// `+3` of the last [`RECENT_MINUTES`]; empty where there were none.
    pub late_rows_recent: String,
    pub dead_letters: String,
    pub dead_letters_recent: String,
    /// Counts behind those texts: of late, of those the late rows, and of its life.
    losses: Losses,
    /// The mean time from a barrier to the end of the synced write.
    pub epoch_time: String,
    /// The number of the last committed epoch.
    pub epoch: String,
    pub sinks: Vec<SinkRow>,
    /// What is wrong, the gravest first; `None`: all is well.
    pub trouble: Option<Trouble>,
}

/// Records of a pipeline that were not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Losses {
    recent: u64,
    recent_late: u64,
    /// Dead letters that are kept and were not run again.
    kept: u64,
    /// Dead letters that are kept no longer.
    expired: u64,
    /// Records that were deleted before they were read.
    lost: u64,
}

impl Losses {
    fn of(pipeline: &Pipeline, pulse: &Pulse, extras: &Extras) -> Self {
        let unknown = Life::default();
        let life = extras.lives.of(&pipeline.name).unwrap_or(&unknown);
        let (asked, asked_late) = extras.losses(&pipeline.name);
        // Statuses come sooner than an answer, and answers reach further back.
        let recent = asked.max(pulse.dead_letters_recent());
        let gone = life.replayed.saturating_add(life.expired);
        Self {
            recent,
            recent_late: asked_late.max(pulse.late_rows_recent()).min(recent),
            kept: pipeline.dead_letters.saturating_sub(gone),
            expired: life.expired,
            lost: life.lost,
        }
    }
}

/// What is wrong with a pipeline; the order is that of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Failed,
    /// A sink that does not take rows.
    Sink,
    /// It waits for what it reads from.
    Waiting,
    /// Records of the last minutes were not counted.
    Losing,
    /// The watermark is far behind the clock although there is something to read.
    Behind,
    Starting,
    Stopped,
}

/// The rows of all pipelines, worst first: by their trouble, then those that are long behind, then in the server's order. `now_ms` is the server's clock, since 1970.
pub fn rows(store: &Store, extras: &Extras, now_ms: f64) -> Vec<PipelineRow> {
    let mut rows: Vec<PipelineRow> = Vec::new();
    // `None` sorts first; all is well comes last.
    let rank = |row: &PipelineRow| (row.trouble.is_none(), row.trouble, !row.lag_is_long);
    for pipeline in store.pipelines() {
        let row = row(store, extras, pipeline, now_ms);
        let at = rows.partition_point(|other| rank(other) <= rank(&row));
        rows.insert(at, row);
    }
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
    let recent = |n: u64| if n == 0 { String::new() } else { format!("+{}", figure(n)) };
    let losses = Losses::of(pipeline, pulse, extras);
    let trouble = match pipeline.state {
        PipelineState::Failed => Some(Trouble::Failed),
        _ if sinks.iter().any(|sink| sink.is_bad) => Some(Trouble::Sink),
        PipelineState::Starting | PipelineState::Running if pipeline.error.is_some() => {
            Some(Trouble::Waiting)
        }
        _ if losses.recent != 0 => Some(Trouble::Losing),
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
        late_rows_recent: recent(losses.recent_late),
        dead_letters: grouped(&pipeline.dead_letters.to_string()),
        dead_letters_recent: recent(losses.recent),
        losses,
        epoch_time: extras.lives.of(&pipeline.name).and_then(|life| life.epoch_ms).map_or_else(dash, millis),
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

fn figure(n: u64) -> String {
    grouped(&n.to_string())
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
    /// What was not counted before, calmly; empty: everything was.
    pub note: String,
}

/// What is to be said of all pipelines; `rows` as [`rows`] gives them of `extras`.
pub fn summary(rows: &[PipelineRow], extras: &Extras) -> Summary {
    let say = |kind, text: String| Summary { text, kind, note: note(rows) };
    if rows.is_empty() {
        let text = "This project has no pipelines. Add a file to its folder pipelines and start Weir again.";
        return say("none", text.to_owned());
    }
    // Those that lose records stand beside each other and are one trouble, as those that wait.
    let is_shared = |row: &PipelineRow| matches!(row.trouble, Some(Trouble::Losing | Trouble::Waiting));
    let groups = rows.chunk_by(|above, below| is_shared(above) && above.trouble == below.trouble);
    let mut troubles: Vec<String> = groups.filter_map(sentence).collect();
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
        return match extras.losses {
            Some(_) => say("well", format!("All is well: {pipelines}{sinks}.")),
            None => say("none", format!("Asking for dead letters; {pipelines}{sinks}.")),
        };
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

/// What is wrong with a pipeline, or with some that have the same trouble, as part of a sentence.
fn sentence(rows: &[PipelineRow]) -> Option<String> {
    let row = rows.first()?;
    let name = &row.name;
    Some(match row.trouble? {
        Trouble::Failed => format!("{name} has failed"),
        Trouble::Sink => {
            let sink = row.sinks.iter().find(|sink| sink.is_bad).map_or("a sink", |sink| &*sink.name);
            format!("{sink} does not take the rows of {name}")
        }
        Trouble::Waiting => {
            let error = row.error.as_deref().unwrap_or_default().trim_end_matches('.');
            match rows.len() {
                1 => format!("{name} waits: {error}"),
                n => format!("{n} pipelines wait: {error}"),
            }
        }
        Trouble::Losing => {
            let sum = |part: fn(&Losses) -> u64| rows.iter().map(|row| part(&row.losses)).sum::<u64>();
            let (recent, recent_late) = (sum(|it| it.recent), sum(|it| it.recent_late));
            let late = match recent_late {
                0 => String::new(),
                n if n == recent => ", all late rows".to_owned(),
                n => format!(", {} of them late rows", figure(n)),
            };
            let behind = match (rows.iter().filter(|row| row.lag_is_long).count(), rows) {
                (0, _) => String::new(),
                (_, [row]) => format!(", and is {} behind", row.watermark_lag),
                (1, _) => ", and one is long behind".to_owned(),
                (n, _) if n == rows.len() => ", and all are long behind".to_owned(),
                (n, _) => format!(", and {n} are long behind"),
            };
            let who = match rows {
                [_] => format!("{name} has"),
                [_, other] => format!("{name} and {} have", other.name),
                _ => format!("{} pipelines have", rows.len()),
            };
            let letters = counted(recent, "new dead letter");
            format!("{who} {letters} in the last {RECENT_MINUTES} min{late}{behind}")
        }
        Trouble::Behind => format!("{name} is {} behind", row.watermark_lag),
        Trouble::Starting => format!("{name} is starting"),
        Trouble::Stopped => format!("{name} has stopped"),
    })
}

/// `1 dead letter`, `1,204 dead letters`.
fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", figure(n), if n == 1 { "" } else { "s" })
}

/// What was not counted in the life of all pipelines.
fn note(rows: &[PipelineRow]) -> String {
    let sum = |part: fn(&Losses) -> u64| rows.iter().map(|row| part(&row.losses)).sum::<u64>();
    let parts = [
        (sum(|it| it.kept), "dead letter", "kept: records that were not counted, or late for a window"),
        (sum(|it| it.expired), "dead letter", "kept no longer"),
        (sum(|it| it.lost), "record", "gone from Kafka before being read"),
    ];
    let parts = parts.iter().filter(|(n, ..)| *n != 0);
    let said = parts
        .map(|(n, what, how)| format!("{} {} {how}.", counted(*n, what), if *n == 1 { "is" } else { "are" }));
    let mut said: Vec<String> = said.collect();
    if 1 < rows.iter().filter(|row| row.losses.kept != 0).count() {
        said.push("Each pipeline keeps its own: a record that two read may be there twice.".to_owned());
    }
    said.join(" ")
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
pub(super) mod tests;
