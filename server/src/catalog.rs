//! What those who read see of the running pipelines: one consistent look per request.
//!
//! Invariants:
//! 1. A reader takes [`Catalog::pipelines`] once and answers from it: state, counters and rows of a
//!    pipeline in one answer are of the same committed epoch.
//! 2. A view blocks nobody: it holds reference-counted snapshots of committed epochs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use weir_api::PipelineState;
use weir_connectors::kafka::grown;
use weir_engine::connector::TableColumn;
use weir_engine::dataflow::plan::Plan;
use weir_engine::facts::{Facts, PartitionFact};
use weir_engine::pipeline::{Live, SinkLive, State};
use weir_engine::result::{Snapshot, dead_letters_provider};

use crate::encode::instant;
use crate::pipeline::{Entry, Pipelines, Running, SourceTable};

/// The pipelines of a project, as they are now.
pub trait Catalog: Send + Sync {
    /// The project's name.
    fn project(&self) -> &str;
    /// All pipelines, ascending by name.
    fn pipelines(&self) -> Vec<PipelineView>;
    /// The pipeline of that name, once the engine has started it.
    fn running(&self, name: &str) -> Option<Arc<dyn Running>>;
}

/// The catalog of a running process.
pub struct Project {
    pub name: String,
    pub pipelines: Arc<Pipelines>,
}

impl Catalog for Project {
    fn project(&self) -> &str {
        &self.name
    }

    fn pipelines(&self) -> Vec<PipelineView> {
        self.pipelines.iter().map(|entry| PipelineView::of(entry)).collect()
    }

    fn running(&self, name: &str) -> Option<Arc<dyn Running>> {
        self.pipelines.get(name)?.running().cloned()
    }
}

/// A pipeline's result table and facts at one committed epoch: the engine's snapshot, or a test's
/// stand-in. It never changes and blocks nobody.
pub trait Committed: Send + Sync {
    /// What the pipeline knew of itself at this epoch.
    fn facts(&self) -> &Facts;
    /// The columns of the SELECT, `_final` last.
    fn schema(&self) -> SchemaRef;
    /// Positions of the key's columns; empty for a table that is appended to.
    fn key(&self) -> Vec<usize>;
    /// The rows later than `after_ms` (of `window_end`, else the event time); all rows if `None`.
    /// Provisional ones come first, then final ones, batch by batch from the newest back; within a
    /// batch rows are in the order they were written.
    ///
    /// # Errors
    /// The state could not be read.
    fn scan_newest_first(&self, after_ms: Option<i64>) -> Result<RowIter<'_>, DataFusionError>;
    /// The result table, for SQL.
    fn provider(self: Arc<Self>) -> Arc<dyn TableProvider>;
    /// The dead letters, for SQL: the columns of `weir.dead_letters`.
    fn dead_letters(self: Arc<Self>, pipeline: &str) -> Arc<dyn TableProvider>;
}

/// Batches of a scan.
pub type RowIter<'a> = Box<dyn Iterator<Item = Result<RecordBatch, DataFusionError>> + Send + 'a>;

/// How long a pipeline waits for rows, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    pub delay_ms: i64,
    pub idle_timeout_ms: i64,
    pub lateness_ms: i64,
}

/// The tables of the sources that are read, by name, as they are to whoever writes a query now: of a source with
/// several pipelines the newest version that one of them was started with or has met since.
#[must_use]
pub fn source_tables(views: &[PipelineView]) -> BTreeMap<&str, SourceTable> {
    let mut tables: BTreeMap<&str, SourceTable> = BTreeMap::new();
    let version = |table: &SourceTable| table.subject.as_ref().map(|(_, version)| *version);
    for view in views {
        let Some(table) = view.source_table() else { continue };
        if tables.get(view.source.as_str()).is_none_or(|known| version(known) < version(&table)) {
            tables.insert(&view.source, table);
        }
    }
    tables
}

/// The least version of a subject that is known to have a column, by source, subject and column: of those that a pipeline was
/// started with or has met since.
#[must_use]
pub fn since_versions(views: &[PipelineView]) -> HashMap<(&str, &str, &TableColumn), u32> {
    let mut since = HashMap::new();
    for view in views {
        let Some((begun, (subject, version))) =
            view.reads.as_deref().and_then(|begun| Some((begun, begun.subject.as_ref()?)))
        else {
            continue;
        };
        let met = view.facts().map(|facts| facts.schemas.as_slice()).unwrap_or_default();
        let met = met.iter().filter(|seen| seen.subject.as_deref() == Some(subject));
        let met = met.filter_map(|seen| Some((seen.version?, seen.table.as_slice())));
        for (version, columns) in std::iter::once((*version, begun.columns.as_slice())).chain(met) {
            for column in columns {
                let least = since.entry((view.source.as_str(), subject.as_str(), column)).or_insert(version);
                *least = version.min(*least);
            }
        }
    }
    since
}

/// One pipeline at one moment.
#[derive(Clone)]
pub struct PipelineView {
    pub name: String,
    /// As it stands in the pipeline's file.
    pub sql: String,
    /// The source file's name, and the topic it names.
    pub source: String,
    pub topic: String,
    /// What it was started to read; `None` before that.
    pub reads: Option<Arc<SourceTable>>,
    pub state: State,
    /// Why it failed, or what it waits for.
    pub error: Option<String>,
    /// Whether it keeps a result table: `retention` is not 0.
    pub retained: bool,
    /// Delay and idle timeout of its source and its own lateness; `None`: a stopped one, of which they are not known.
    pub waits: Option<Waits>,
    /// `None` until its schema is known.
    pub plan: Option<Arc<Plan>>,
    /// The newest committed epoch; `None` until it has recovered.
    pub snapshot: Option<Arc<dyn Committed>>,
    pub live: Live,
}

impl PipelineView {
    /// What an entry shows now.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let spec = entry.spec();
        let plan = entry.plan();
        let read =
            plan.as_ref().and_then(|plan| spec.sources.iter().find(|source| source.name == plan.source));
        let source = read.or(spec.sources.first());
        let (state, error) = entry.state();
        Self {
            name: spec.name.clone(),
            sql: spec.sql.clone(),
            source: source.map(|source| source.name.clone()).unwrap_or_default(),
            topic: source.map(|source| source.topic.clone()).unwrap_or_default(),
            reads: entry.reads().cloned(),
            state,
            error,
            retained: spec.options.retention_ms != 0,
            waits: source.map(|source| Waits {
                delay_ms: source.watermark.delay_ms,
                idle_timeout_ms: source.watermark.idle_timeout_ms,
                lateness_ms: spec.options.lateness_ms,
            }),
            plan,
            snapshot: entry.snapshot().map(|snapshot| snapshot as Arc<dyn Committed>),
            live: entry.live(),
        }
    }

    /// Its source as a table, at the newest committed epoch: grown by newer versions where the source follows them.
    #[must_use]
    pub fn source_table(&self) -> Option<SourceTable> {
        let begun = self.reads.as_deref()?;
        let met = self.facts().map(|facts| facts.schemas.as_slice()).unwrap_or_default();
        Some(match (grown(&begun.columns, met), &begun.subject) {
            (Some((columns, version)), Some((subject, _))) => {
                SourceTable { columns, subject: Some((subject.clone(), version)) }
            }
            _ => begun.clone(),
        })
    }

    /// The result table at the newest committed epoch: `None` without one, or before recovery.
    #[must_use]
    pub fn table(&self) -> Option<&Arc<dyn Committed>> {
        self.snapshot.as_ref().filter(|_| self.retained)
    }

    /// What the pipeline knew of itself at the newest committed epoch.
    #[must_use]
    pub fn facts(&self) -> Option<&Facts> {
        self.snapshot.as_ref().map(|snapshot| snapshot.facts())
    }

    /// Why it failed, what it waits for, or what its broker is being asked again for.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref().or(self.live.trouble.as_deref())
    }

    /// The end offset of a partition, as far as the broker has said; of one that is gone as it was.
    #[must_use]
    pub fn end_offset(&self, fact: &PartitionFact) -> Option<i64> {
        let ends = &self.live.end_offsets;
        let end = ends.binary_search_by_key(&fact.partition, |end| end.0).ok().map(|i| ends[i].1);
        end.or(fact.end_offset)
    }

    /// Records not yet read, over all partitions; `None` until the broker has said where each ends.
    #[must_use]
    pub fn lag_records(&self) -> Option<u64> {
        let facts = self.facts()?;
        if self.live.end_offsets.is_empty() {
            return None;
        }
        let next = |partition: i32| {
            let partitions = &facts.partitions;
            partitions
                .binary_search_by_key(&partition, |fact| fact.partition)
                .ok()
                .map(|i| partitions[i].next_offset)
        };
        let lag = |&(partition, end): &(i32, i64)| next(partition).map(|next| lag(next, end));
        self.live.end_offsets.iter().map(lag).sum()
    }

    /// The row of `weir.pipelines`.
    #[must_use]
    pub fn summary(&self) -> weir_api::Pipeline {
        let facts = self.facts();
        let counters = facts.map(|facts| facts.counters).unwrap_or_default();
        weir_api::Pipeline {
            name: self.name.clone(),
            state: api_state(self.state),
            epoch: facts.map_or(0, |facts| facts.epoch.0),
            committed_at: facts.and_then(|facts| facts.committed_at_ms).map(instant),
            watermark: facts.and_then(|facts| facts.watermark_ms).map(instant),
            rows_in: counters.rows_in,
            rows_out: counters.rows_out,
            late_rows: counters.late_rows,
            tombstones: counters.tombstones,
            dead_letters: counters.dead_letters,
            lost_records: counters.lost_records,
            dead_letters_replayed: counters.dead_letters_replayed,
            dead_letters_expired: counters.dead_letters_expired,
            error: self.error().map(str::to_owned),
        }
    }

    /// When its windows close.
    #[must_use]
    pub fn timing(&self) -> Option<weir_api::Timing> {
        let Waits { delay_ms, idle_timeout_ms, lateness_ms } = self.waits?;
        let window = self.plan.as_ref().and_then(|plan| plan.window.as_ref());
        Some(weir_api::Timing {
            delay_ms,
            idle_timeout_ms,
            lateness_ms,
            window_size_ms: window.map(|window| window.size_ms),
            window_slide_ms: window.map(|window| window.slide_ms),
            window_offset_ms: window.map(|window| window.offset_ms),
        })
    }

    /// The rows of `weir.sinks`.
    #[must_use]
    pub fn sinks(&self) -> Vec<weir_api::Sink> {
        let sink = |sink: &SinkLive| weir_api::Sink {
            sink: sink.sink.clone(),
            pipeline: self.name.clone(),
            state: sink.state.as_str().to_owned(),
            outbox_rows: sink.outbox_rows,
            outbox_bytes: sink.outbox_bytes,
            delivered_epoch: sink.delivered_epoch.0,
            error: sink.error.clone(),
        };
        self.live.sinks.iter().map(sink).collect()
    }

    /// The rows of `weir.partitions`.
    #[must_use]
    pub fn partitions(&self) -> Vec<weir_api::Partition> {
        let partition = |fact: &PartitionFact| {
            let end_offset = self.end_offset(fact);
            weir_api::Partition {
                pipeline: self.name.clone(),
                source: self.source.clone(),
                topic: fact.place().unwrap_or(&self.topic).to_owned(),
                partition: fact.partition,
                next_offset: fact.next_offset,
                end_offset,
                lag_records: end_offset.map(|end| lag(fact.next_offset, end)),
                watermark: fact.watermark_ms.map(instant),
                idle: fact.idle,
            }
        };
        self.facts().map(|facts| facts.partitions.iter().map(partition).collect()).unwrap_or_default()
    }
}

/// Records in `[next, end)`; none where the end we know of is older than what was read.
pub(crate) fn lag(next: i64, end: i64) -> u64 {
    u64::try_from(end.saturating_sub(next)).unwrap_or(0)
}

/// The state's name on the wire.
#[must_use]
pub fn api_state(state: State) -> PipelineState {
    match state {
        State::Starting => PipelineState::Starting,
        State::Running => PipelineState::Running,
        State::Stopped => PipelineState::Stopped,
        State::Failed => PipelineState::Failed,
    }
}

impl Committed for Snapshot {
    fn facts(&self) -> &Facts {
        Self::facts(self)
    }

    fn schema(&self) -> SchemaRef {
        Self::schema(self).clone()
    }

    fn key(&self) -> Vec<usize> {
        Self::key(self).to_vec()
    }

    fn scan_newest_first(&self, after_ms: Option<i64>) -> Result<RowIter<'_>, DataFusionError> {
        let rows = Self::scan_newest_first(self, None, after_ms).map_err(external)?;
        Ok(Box::new(rows.map(|batch| batch.map_err(external))))
    }

    fn provider(self: Arc<Self>) -> Arc<dyn TableProvider> {
        Self::provider(&self)
    }

    fn dead_letters(self: Arc<Self>, pipeline: &str) -> Arc<dyn TableProvider> {
        dead_letters_provider(vec![(pipeline.to_owned(), self)])
    }
}

fn external(error: weir_engine::result::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
