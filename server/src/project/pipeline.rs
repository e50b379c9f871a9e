//! pipelines/*.yaml: SQL kept up to date, and its settings.

use weir_engine::aggregate::GROUP_BYTES_MAX;
use weir_engine::pipeline::PipelineOptions;
use weir_engine::result::LettersKept;

use super::fields::{Fields, Sheet};
use super::sink;
use super::source::{self, MAX_DURATION_MS};
use super::text::Text;
use super::yaml::{Node, Pos};

/// Shorter epochs would cost more in synced writes than they show; longer ones are no live view.
const EPOCH_MS: (i64, i64) = (10, 600_000);
/// Of `group_memory`: less than a record is nothing, and more would not fit into a block of state.
const GROUP_BYTES: (u64, u64) = (1 << 10, 1 << 28);
/// Of `state_memory`.
const STATE_BYTES: (u64, u64) = (1 << 20, 1 << 50);
/// More subtasks than any machine has cores; each costs a thread and a Kafka client.
pub(super) const MAX_PARALLELISM: u64 = 256;
/// Of `dead_letters`: what is kept for less than a minute, nobody sees.
const LETTERS_MS_MIN: i64 = 60_000;
const LETTERS_BYTES: (u64, u64) = (1 << 20, 1 << 50);
const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// A pipeline file.
#[derive(Debug, Clone)]
pub struct Pipeline {
    sql: Text,
    pub settings: Settings,
    /// Where its dead letters go, too.
    pub letters_topic: Option<LettersTopic>,
}

/// A topic for dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LettersTopic {
    /// `None`: that of the pipeline's source.
    pub connection: Option<String>,
    pub topic: String,
    /// Where `topic` stands.
    pub file: String,
    pub at: Pos,
}

/// A pipeline's settings, defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub epoch_ms: i64,
    pub lateness_ms: i64,
    pub provisional: bool,
    pub retention_ms: i64,
    /// `None`: the smaller of cores and partitions.
    pub parallelism: Option<usize>,
    pub group_bytes_max: u64,
    /// `None`: a share of the machine's memory.
    pub state_bytes_max: Option<u64>,
    pub letters: LettersKept,
}

/// What a pipeline may use where its file says nothing.
#[derive(Debug, Clone, Copy)]
pub struct Resources {
    pub parallelism: usize,
    pub state_bytes_max: usize,
}

/// The settings that are given, in weir.yaml for all pipelines or in a pipeline's own file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    epoch_ms: Option<i64>,
    lateness_ms: Option<i64>,
    provisional: Option<bool>,
    retention_ms: Option<i64>,
    parallelism: Option<usize>,
    group_bytes_max: Option<u64>,
    state_bytes_max: Option<u64>,
    letters: Letters,
}

/// What is given of `dead_letters`.
#[derive(Debug, Clone, Default)]
struct Letters {
    age_ms: Option<i64>,
    bytes: Option<u64>,
    topic: Option<LettersTopic>,
}

impl Letters {
    fn read(fields: &mut Fields<'_, '_>, connections: Option<&[String]>) -> Self {
        let Some(node) = fields.node("dead_letters") else { return Self::default() };
        let fields = Fields::new(fields.sheet, "\"dead_letters\"", node);
        let Some(mut fields) = fields else { return Self::default() };
        let age_ms = fields.duration("retention", LETTERS_MS_MIN, MAX_DURATION_MS);
        let bytes = fields.size("size", LETTERS_BYTES.0, LETTERS_BYTES.1);
        let topic = Self::topic(&mut fields, connections);
        fields.finish();
        Self { age_ms, bytes, topic }
    }

    fn topic(fields: &mut Fields<'_, '_>, connections: Option<&[String]>) -> Option<LettersTopic> {
        let connection = source::known_connection(fields, connections);
        let topic = fields.node("topic").and_then(|_| sink::topic(fields));
        if connection.is_some() {
            fields.require("topic");
        }
        let topic = topic?;
        Some(LettersTopic {
            connection: connection.map(|connection| connection.as_str().to_owned()),
            topic: topic.as_str().to_owned(),
            file: fields.sheet.file.to_owned(),
            at: topic.at,
        })
    }

    fn kept(&self, all: &Self) -> LettersKept {
        LettersKept {
            age_ms: self.age_ms.or(all.age_ms).unwrap_or(LettersKept::DEFAULT.age_ms),
            bytes: self.bytes.or(all.bytes).unwrap_or(LettersKept::DEFAULT.bytes),
        }
    }
}

impl Defaults {
    /// `connections` are the names of those that exist; `None`: weir.yaml could not be read.
    pub(crate) fn read(fields: &mut Fields<'_, '_>, connections: Option<&[String]>) -> Self {
        let parallelism = fields.integer("parallelism", 1, MAX_PARALLELISM);
        Self {
            epoch_ms: fields.duration("epoch", EPOCH_MS.0, EPOCH_MS.1),
            lateness_ms: fields.duration("lateness", 0, MAX_DURATION_MS),
            provisional: fields.boolean("provisional"),
            retention_ms: fields.duration("retention", 0, MAX_DURATION_MS),
            parallelism: parallelism.and_then(|n| usize::try_from(n).ok()),
            group_bytes_max: fields.size("group_memory", GROUP_BYTES.0, GROUP_BYTES.1),
            state_bytes_max: fields.size("state_memory", STATE_BYTES.0, STATE_BYTES.1),
            letters: Letters::read(fields, connections),
        }
    }

    fn settings(&self, all: &Self) -> Settings {
        Settings {
            epoch_ms: self.epoch_ms.or(all.epoch_ms).unwrap_or(250),
            lateness_ms: self.lateness_ms.or(all.lateness_ms).unwrap_or(0),
            provisional: self.provisional.or(all.provisional).unwrap_or(true),
            retention_ms: self.retention_ms.or(all.retention_ms).unwrap_or(7 * DAY_MS),
            parallelism: self.parallelism.or(all.parallelism),
            group_bytes_max: self.group_bytes_max.or(all.group_bytes_max).unwrap_or(GROUP_BYTES_MAX as u64),
            state_bytes_max: self.state_bytes_max.or(all.state_bytes_max),
            letters: self.letters.kept(&all.letters),
        }
    }
}

impl Pipeline {
    /// The query, environment variables put in. Not to be shown: see [`Self::shown_sql`].
    #[must_use]
    pub fn sql(&self) -> &str {
        self.sql.as_str()
    }

    /// The query as it stands in the file, where a variable's value was put in; else as it is planned.
    #[must_use]
    pub fn shown_sql(&self) -> &str {
        self.sql.fit_to_be_shown()
    }

    /// What the planner says of the query, short values of variables taken out, too.
    #[must_use]
    pub fn redact(&self, message: &str) -> String {
        self.sql.redact_words(message)
    }

    /// The place in the file of a line and column (1-based) of the query.
    #[must_use]
    pub fn position(&self, line: usize, column: usize) -> Pos {
        self.sql.position(line, column)
    }

    /// What the engine wants to know. `default` is used where the file says nothing.
    #[must_use]
    pub fn options(&self, name: &str, default: Resources, bounded: bool) -> PipelineOptions {
        let Settings { epoch_ms, lateness_ms, provisional, retention_ms, .. } = self.settings;
        let Settings { parallelism, group_bytes_max, state_bytes_max, letters, .. } = self.settings;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        PipelineOptions {
            name: name.to_owned(),
            epoch_ms: epoch_ms.unsigned_abs(),
            lateness_ms,
            provisional,
            retention_ms,
            parallelism: parallelism.unwrap_or(default.parallelism),
            group_bytes_max: size(group_bytes_max),
            state_bytes_max: state_bytes_max.map_or(default.state_bytes_max, size),
            letters,
            bounded,
            skip_lost: false,
        }
    }
}

/// Reads a pipeline file. `connections` as in [`Defaults::read`].
pub(crate) fn read(
    sheet: &mut Sheet<'_>,
    node: &Node,
    all: &Defaults,
    connections: Option<&[String]>,
) -> Option<Pipeline> {
    let mut fields = Fields::new(sheet, "a pipeline", node)?;
    let sql = fields.required_text("sql");
    let own = Defaults::read(&mut fields, connections);
    let settings = own.settings(all);
    fields.finish();
    let letters_topic = own.letters.topic.or_else(|| all.letters.topic.clone());
    Some(Pipeline { sql: sql?, settings, letters_topic })
}
