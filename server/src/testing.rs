//! Stand-ins for running pipelines, for this crate's tests.

use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::DataFusionError;
use weir_engine::Epoch;
use weir_engine::connector::{Emit, Reason, TableColumn};
use weir_engine::dataflow::plan::{Plan, Window};
use weir_engine::facts::{Counters, EpochFact, Facts, PartitionFact};
use weir_engine::pipeline::{Live, OperatorLive, SinkLive, SinkState, State};

use crate::catalog::{Catalog, Committed, PipelineView, RowIter, Waits};
use crate::pipeline::{Running, SourceTable};

/// A committed table held in memory.
pub(crate) struct FakeTable {
    pub(crate) facts: Facts,
    pub(crate) key: Vec<usize>,
    /// The time of each row, ascending.
    pub(crate) times: Vec<i64>,
    pub(crate) batch: RecordBatch,
}

impl Committed for FakeTable {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    fn key(&self) -> Vec<usize> {
        self.key.clone()
    }

    fn scan_newest_first(&self, after_ms: Option<i64>) -> Result<RowIter<'_>, DataFusionError> {
        let wanted = self.times.iter().map(|time| Some(after_ms.is_none_or(|after_ms| after_ms < *time)));
        let batch = filter_record_batch(&self.batch, &BooleanArray::from_iter(wanted))?;
        // In small batches, as the engine gives them.
        let slice = |at: usize| Ok(batch.slice(at, 1_000.min(batch.num_rows() - at)));
        let slices: Vec<_> = (0..batch.num_rows()).step_by(1_000).map(slice).collect();
        Ok(Box::new(slices.into_iter().rev()))
    }

    fn provider(self: Arc<Self>) -> Arc<dyn TableProvider> {
        memory(self.batch.clone())
    }

    fn dead_letters(self: Arc<Self>, pipeline: &str) -> Arc<dyn TableProvider> {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("pipeline", Arc::new(StringArray::from(vec![pipeline]))),
            ("source", Arc::new(StringArray::from(vec!["orders"]))),
            ("topic", Arc::new(StringArray::from(vec!["shop.orders"]))),
            ("partition", Arc::new(Int32Array::from(vec![0]))),
            ("offset", Arc::new(Int64Array::from(vec![17]))),
            ("record_time", Arc::new(TimestampMillisecondArray::from(vec![1_000]).with_timezone("UTC"))),
            ("schema_id", Arc::new(Int64Array::from(vec![None]))),
            ("reason", Arc::new(StringArray::from(vec![Reason::BadFraming.as_str()]))),
            ("detail", Arc::new(StringArray::from(vec!["no magic byte"]))),
            ("key", Arc::new(BinaryArray::from(vec![None]))),
            ("payload", Arc::new(BinaryArray::from(vec![Some(b"x".as_slice())]))),
            ("epoch", Arc::new(Int64Array::from(vec![3]))),
        ];
        memory(
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
                .expect("a batch"),
        )
    }
}

fn memory(batch: RecordBatch) -> Arc<dyn TableProvider> {
    Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("one schema"))
}

/// A row of `revenue`: end of its window in milliseconds, country, orders, whether it is final.
pub(crate) type RevenueRow = (i64, String, i64, bool);

/// Rows of the table `revenue`.
pub(crate) fn revenue_batch(rows: &[RevenueRow]) -> RecordBatch {
    let ends = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.0)).with_timezone("UTC");
    let countries = StringArray::from_iter_values(rows.iter().map(|row| row.1.as_str()));
    let orders = Int64Array::from_iter_values(rows.iter().map(|row| row.2));
    let finals = BooleanArray::from_iter(rows.iter().map(|row| Some(row.3)));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(ends), Arc::new(countries), Arc::new(orders), Arc::new(finals)];
    let names = ["window_end", "country", "orders", "_final"];
    let field = |(name, column): (&str, &ArrayRef)| Field::new(name, column.data_type().clone(), false);
    let fields: Vec<Field> = names.into_iter().zip(&columns).map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("columns of one length")
}

/// The table `revenue` at an epoch, keyed by window and country; or appended to, without a key.
pub(crate) fn revenue(
    epoch: u64,
    watermark_ms: Option<i64>,
    keyed: bool,
    rows: &[RevenueRow],
) -> Arc<dyn Committed> {
    let partition = PartitionFact {
        partition: 0,
        next_offset: 90,
        watermark_ms,
        idle: false,
        floor_ms: None,
        bounded_end: None,
        name: None,
        end_offset: None,
    };
    let fact = |epoch| EpochFact {
        epoch: Epoch(epoch),
        committed_at_ms: 1_000 * i64::try_from(epoch).expect("small"),
        duration_ms: 4.0,
        rows_in: 10,
        bytes_written: 100,
    };
    Arc::new(FakeTable {
        facts: Facts {
            epoch: Epoch(epoch),
            committed_at_ms: Some(1_795_348_800_250),
            watermark_ms,
            closed_ms: watermark_ms,
            counters: Counters {
                rows_in: 90,
                rows_out: 5,
                late_rows: 1,
                tombstones: 2,
                dead_letters: 3,
                lost_records: 0,
                dead_letters_replayed: 1,
                dead_letters_expired: 0,
            },
            partitions: Arc::new(vec![partition]),
            epochs: Arc::new((1..=epoch).map(fact).collect()),
            ..Facts::default()
        },
        key: if keyed { vec![0, 1] } else { vec![] },
        times: rows.iter().map(|row| row.0).collect(),
        batch: revenue_batch(rows),
    })
}

/// A plan of 10-second windows whose end is the first column.
pub(crate) fn plan() -> Arc<Plan> {
    let schema = revenue_batch(&[]).schema();
    Arc::new(Plan {
        sql: "SELECT …".to_owned(),
        shown_sql: "SELECT …".to_owned(),
        source: "orders".to_owned(),
        scan: vec![],
        scan_schema: schema.clone(),
        event_time: 0,
        window: Some(Window { size_ms: 10_000, slide_ms: 10_000, offset_ms: 0, columns: vec![] }),
        before: vec![],
        aggregate: None,
        after: vec![],
        output: schema,
        key: vec![0, 1],
        window_start: None,
        window_end: Some(0),
        fingerprint: 1,
    })
}

/// What such a pipeline reads.
fn source_table() -> SourceTable {
    let column = |name: &str, sql_type: &str| TableColumn {
        name: name.to_owned(),
        sql_type: sql_type.to_owned(),
        nullable: false,
    };
    let columns = vec![column("country", "VARCHAR"), column("ordered_at", "TIMESTAMP(3) WITH TIME ZONE")];
    SourceTable { columns, subject: Some(("shop.orders-value".to_owned(), 3)) }
}

/// A running pipeline with this table.
pub(crate) fn view(name: &str, snapshot: Option<Arc<dyn Committed>>) -> PipelineView {
    let operator = |operator: &str, kind, subtask| OperatorLive {
        operator: operator.to_owned(),
        kind,
        subtask,
        rows_in: 90,
        rows_out: 40,
        rows_judged: 80,
        rows_kept: 60,
        busy_ratio: 0.25,
        blocked_ratio: 0.0,
        state_bytes: 7,
    };
    let mut dead_letters_total = [0; Reason::ALL.len()];
    dead_letters_total[Reason::ALL.len() - 1] = 1;
    PipelineView {
        name: name.to_owned(),
        sql: "SELECT …".to_owned(),
        source: "orders".to_owned(),
        topic: "shop.orders".to_owned(),
        reads: snapshot.is_some().then(|| Arc::new(source_table())),
        state: State::Running,
        error: None,
        retained: true,
        waits: Some(Waits { delay_ms: 5_000, idle_timeout_ms: 30_000, lateness_ms: 0 }),
        plan: snapshot.is_some().then(plan),
        snapshot,
        live: Live {
            sinks: vec![SinkLive {
                sink: "revenue_out".to_owned(),
                kind: "file",
                emit: Emit::Final,
                state: SinkState::Retrying,
                outbox_rows: 7,
                outbox_bytes: 512,
                delivered_epoch: Epoch(2),
                error: Some("no space left".to_owned()),
                rows_total: 40,
                deliveries_total: 4,
                failed_deliveries_total: 1,
            }],
            end_offsets: vec![(0, 100)],
            operators: vec![
                operator("source", "source", 0),
                operator("source", "source", 1),
                operator("window", "window", 0),
                // Of the same name as its source could be.
                operator("source", "sink", 0),
            ],
            unread: Vec::new(),
            trouble: None,
            records_total: 90,
            bytes_total: 9_000,
            dead_letters_total,
            tombstones_total: 2,
            lost_records_total: 0,
            letters_replayed_total: 1,
            letters_expired_total: 0,
            epoch_bytes_total: 300,
        },
    }
}

/// Pipelines that a test sets.
#[derive(Default)]
pub(crate) struct FakeCatalog(pub(crate) Mutex<Vec<PipelineView>>);

impl FakeCatalog {
    pub(crate) fn new(views: Vec<PipelineView>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(views)))
    }
}

impl Catalog for FakeCatalog {
    fn project(&self) -> &str {
        "shop"
    }

    fn pipelines(&self) -> Vec<PipelineView> {
        self.0.lock().expect("not poisoned").clone()
    }

    fn running(&self, _name: &str) -> Option<Arc<dyn Running>> {
        None
    }
}
