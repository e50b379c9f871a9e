//! The system tables of schema `weir`, from one look at the pipelines.
//!
//! Invariant: every table of a query is made from the same views, so their numbers agree.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use weir_connectors::kafka::table_columns;
use weir_engine::connector::TableColumn;
use weir_engine::result::dead_letters_provider;

use crate::catalog::{PipelineView, lag, since_versions, source_tables};

/// The names of the system tables, in the order of the documentation.
pub(super) const NAMES: [&str; 9] = [
    "pipelines",
    "operators",
    "partitions",
    "epochs",
    "floors",
    "schemas",
    "dead_letters",
    "sinks",
    "columns",
];

/// The rows of a system table; `None` for a name that has none, and for `dead_letters`, which is
/// not made from views but read from the pipelines' state.
///
/// # Errors
/// None in practice: the columns of each table have the same length.
pub(super) fn rows(name: &str, views: &[PipelineView]) -> Option<Result<RecordBatch, ArrowError>> {
    Some(match name {
        "pipelines" => pipelines(views),
        "operators" => operators(views),
        "partitions" => partitions(views),
        "epochs" => epochs(views),
        "floors" => floors(views),
        "schemas" => schemas(views),
        "sinks" => sinks(views),
        "columns" => columns(views),
        _ => return None,
    })
}

/// A table under construction: columns of equal length, in order.
#[derive(Default)]
struct Table {
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl Table {
    fn column(mut self, name: &str, nullable: bool, column: ArrayRef) -> Self {
        self.fields.push(Field::new(name, column.data_type().clone(), nullable));
        self.columns.push(column);
        self
    }

    fn text<'a>(self, name: &str, values: impl Iterator<Item = &'a str>) -> Self {
        self.column(name, false, Arc::new(StringArray::from(values.collect::<Vec<_>>())))
    }

    fn text_or_null<'a>(self, name: &str, values: impl Iterator<Item = Option<&'a str>>) -> Self {
        self.column(name, true, Arc::new(StringArray::from_iter(values)))
    }

    /// Counters stay below 2^63: one a nanosecond takes 292 years.
    fn count(self, name: &str, values: impl Iterator<Item = u64>) -> Self {
        let values = values.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        self.column(name, false, Arc::new(Int64Array::from_iter_values(values)))
    }

    fn bigint(self, name: &str, values: impl Iterator<Item = i64>) -> Self {
        self.column(name, false, Arc::new(Int64Array::from_iter_values(values)))
    }

    fn bigint_or_null(self, name: &str, values: impl Iterator<Item = Option<i64>>) -> Self {
        self.column(name, true, Arc::new(Int64Array::from_iter(values)))
    }

    fn int(self, name: &str, values: impl Iterator<Item = i32>) -> Self {
        self.column(name, false, Arc::new(Int32Array::from_iter_values(values)))
    }

    fn double(self, name: &str, values: impl Iterator<Item = f64>) -> Self {
        self.column(name, false, Arc::new(Float64Array::from_iter_values(values)))
    }

    fn flag(self, name: &str, values: impl Iterator<Item = bool>) -> Self {
        self.column(name, false, Arc::new(BooleanArray::from(values.collect::<Vec<_>>())))
    }

    fn instant(self, name: &str, values: impl Iterator<Item = Option<i64>>) -> Self {
        let values = TimestampMillisecondArray::from_iter(values).with_timezone("UTC");
        self.column(name, true, Arc::new(values))
    }

    fn finish(self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.columns)
    }
}

fn pipelines(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let facts = || views.iter().map(PipelineView::facts);
    let counters = || facts().map(|facts| facts.map(|facts| facts.counters).unwrap_or_default());
    Table::default()
        .text("name", views.iter().map(|view| view.name.as_str()))
        .text("state", views.iter().map(|view| view.state.as_str()))
        .count("epoch", facts().map(|facts| facts.map_or(0, |facts| facts.epoch.0)))
        .instant("committed_at", facts().map(|facts| facts.and_then(|facts| facts.committed_at_ms)))
        .instant("watermark", facts().map(|facts| facts.and_then(|facts| facts.watermark_ms)))
        .count("rows_in", counters().map(|counters| counters.rows_in))
        .count("rows_out", counters().map(|counters| counters.rows_out))
        .count("late_rows", counters().map(|counters| counters.late_rows))
        .count("tombstones", counters().map(|counters| counters.tombstones))
        .count("dead_letters", counters().map(|counters| counters.dead_letters))
        .text_or_null("error", views.iter().map(PipelineView::error))
        .count("lost_records", counters().map(|counters| counters.lost_records))
        .count("dead_letters_replayed", counters().map(|counters| counters.dead_letters_replayed))
        .count("dead_letters_expired", counters().map(|counters| counters.dead_letters_expired))
        .finish()
}

fn operators(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let rows =
        || views.iter().flat_map(|view| view.live.operators.iter().map(move |operator| (view, operator)));
    Table::default()
        .text("pipeline", rows().map(|(view, _)| view.name.as_str()))
        .text("operator", rows().map(|(_, operator)| operator.operator.as_str()))
        .text("kind", rows().map(|(_, operator)| operator.kind))
        .int("subtask", rows().map(|(_, operator)| i32::try_from(operator.subtask).unwrap_or(i32::MAX)))
        .count("rows_in", rows().map(|(_, operator)| operator.rows_in))
        .count("rows_out", rows().map(|(_, operator)| operator.rows_out))
        .double("busy_ratio", rows().map(|(_, operator)| operator.busy_ratio))
        .double("blocked_ratio", rows().map(|(_, operator)| operator.blocked_ratio))
        .count("state_bytes", rows().map(|(_, operator)| operator.state_bytes))
        .finish()
}

fn partitions(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let of = |view| PipelineView::facts(view).map(|facts| facts.partitions.as_slice()).unwrap_or_default();
    let rows = || views.iter().flat_map(|view| of(view).iter().map(move |fact| (view, fact)));
    let behind = |next, end: Option<i64>| end.map(|end| i64::try_from(lag(next, end)).unwrap_or(i64::MAX));
    Table::default()
        .text("pipeline", rows().map(|(view, _)| view.name.as_str()))
        .text("source", rows().map(|(view, _)| view.source.as_str()))
        .text("topic", rows().map(|(view, fact)| fact.place().unwrap_or(&view.topic)))
        .int("partition", rows().map(|(_, fact)| fact.partition))
        .bigint("next_offset", rows().map(|(_, fact)| fact.next_offset))
        .bigint_or_null("end_offset", rows().map(|(view, fact)| view.end_offset(fact)))
        .bigint_or_null(
            "lag_records",
            rows().map(|(view, fact)| behind(fact.next_offset, view.end_offset(fact))),
        )
        .instant("watermark", rows().map(|(_, fact)| fact.watermark_ms))
        .flag("idle", rows().map(|(_, fact)| fact.idle))
        .finish()
}

fn epochs(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let rows = || {
        let kept =
            |view: &'_ PipelineView| view.snapshot.as_ref().map(|snapshot| snapshot.facts().epochs.clone());
        views.iter().filter_map(move |view| kept(view).map(|epochs| (view, epochs)))
    };
    let mut names = Vec::new();
    let mut facts = Vec::new();
    for (view, epochs) in rows() {
        for fact in epochs.iter() {
            names.push(view.name.as_str());
            facts.push(fact.clone());
        }
    }
    Table::default()
        .text("pipeline", names.into_iter())
        .count("epoch", facts.iter().map(|fact| fact.epoch.0))
        .instant("committed_at", facts.iter().map(|fact| Some(fact.committed_at_ms)))
        .double("duration_ms", facts.iter().map(|fact| fact.duration_ms))
        .count("rows_in", facts.iter().map(|fact| fact.rows_in))
        .count("bytes_written", facts.iter().map(|fact| fact.bytes_written))
        .finish()
}

fn floors(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let of = |view| PipelineView::facts(view).map(|facts| facts.floors.as_slice()).unwrap_or_default();
    let rows = || views.iter().flat_map(|view| of(view).iter().map(move |fact| (view, fact)));
    Table::default()
        .text("pipeline", rows().map(|(view, _)| view.name.as_str()))
        .count("epoch", rows().map(|(_, fact)| fact.epoch.0))
        .text("source", rows().map(|(view, _)| view.source.as_str()))
        .text("topic", rows().map(|(view, _)| view.topic.as_str()))
        .int("partition", rows().map(|(_, fact)| fact.partition))
        .bigint("next_offset", rows().map(|(_, fact)| fact.next_offset))
        .instant("floor", rows().map(|(_, fact)| Some(fact.floor_ms)))
        .finish()
}

fn schemas(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let of = |view| PipelineView::facts(view).map(|facts| facts.schemas.as_slice()).unwrap_or_default();
    let rows = || views.iter().flat_map(|view| of(view).iter().map(move |fact| (view, fact)));
    Table::default()
        .text("source", rows().map(|(view, _)| view.source.as_str()))
        .bigint("schema_id", rows().map(|(_, fact)| fact.schema_id.into()))
        .text_or_null("subject", rows().map(|(_, fact)| fact.subject.as_deref()))
        .bigint_or_null("version", rows().map(|(_, fact)| fact.version.map(Into::into)))
        .int("partition", rows().map(|(_, fact)| fact.partition))
        .bigint("first_offset", rows().map(|(_, fact)| fact.first_offset))
        .flag("compatible", rows().map(|(_, fact)| fact.compatible))
        .text("detail", rows().map(|(_, fact)| fact.detail.as_str()))
        .text("pipeline", rows().map(|(view, _)| view.name.as_str()))
        .finish()
}

fn sinks(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let rows = || views.iter().flat_map(|view| view.live.sinks.iter().map(move |sink| (view, sink)));
    Table::default()
        .text("sink", rows().map(|(_, sink)| sink.sink.as_str()))
        .text("pipeline", rows().map(|(view, _)| view.name.as_str()))
        .text("state", rows().map(|(_, sink)| sink.state.as_str()))
        .count("outbox_rows", rows().map(|(_, sink)| sink.outbox_rows))
        .count("outbox_bytes", rows().map(|(_, sink)| sink.outbox_bytes))
        .count("delivered_epoch", rows().map(|(_, sink)| sink.delivered_epoch.0))
        .text_or_null("error", rows().map(|(_, sink)| sink.error.as_deref()))
        .finish()
}

/// A row of `weir.columns`.
struct Described {
    /// `source`, `result` or `system`.
    kind: &'static str,
    /// As one writes it.
    table: String,
    /// 1-based.
    position: i32,
    column: TableColumn,
    /// What a source is read as, and the least version that is known to have the column.
    subject: Option<(String, i64)>,
    since: Option<i64>,
}

/// The columns of all tables: of the sources, which only queries of pipelines can name, of results and of these.
fn columns(views: &[PipelineView]) -> Result<RecordBatch, ArrowError> {
    let since = since_versions(views);
    let mut found = Vec::new();
    for (source, table) in source_tables(views) {
        let subject = table.subject.map(|(subject, version)| (subject, version.into()));
        found.extend((1..).zip(table.columns).map(|(position, column)| Described {
            kind: "source",
            table: source.to_owned(),
            position,
            since: subject.as_ref().and_then(|(subject, _): &(String, i64)| {
                since.get(&(source, subject.as_str(), &column)).map(|version| (*version).into())
            }),
            column,
            subject: subject.clone(),
        }));
    }
    let mut add = |kind, table: &str, columns: Vec<TableColumn>| {
        found.extend((1..).zip(columns).map(|(position, column)| Described {
            kind,
            table: table.to_owned(),
            position,
            column,
            subject: None,
            since: None,
        }));
    };
    for view in views {
        let Some(committed) = view.table() else { continue };
        add("result", &view.name, table_columns(&committed.schema()));
    }
    for name in NAMES {
        let schema = match name {
            "columns" => described(&[])?.schema(),
            "dead_letters" => dead_letters_provider(Vec::new()).schema(),
            // Without rows, for the columns.
            name => match rows(name, &[]) {
                Some(batch) => batch?.schema(),
                None => continue,
            },
        };
        add("system", &format!("weir.{name}"), table_columns(&schema));
    }
    described(&found)
}

fn described(rows: &[Described]) -> Result<RecordBatch, ArrowError> {
    let rows = || rows.iter();
    Table::default()
        .text_or_null("source", rows().map(|row| (row.kind == "source").then_some(row.table.as_str())))
        .int("position", rows().map(|row| row.position))
        .text("name", rows().map(|row| row.column.name.as_str()))
        .text("type", rows().map(|row| row.column.sql_type.as_str()))
        .flag("nullable", rows().map(|row| row.column.nullable))
        .text_or_null("subject", rows().map(|row| row.subject.as_ref().map(|(subject, _)| subject.as_str())))
        .bigint_or_null("version", rows().map(|row| row.subject.as_ref().map(|(_, version)| *version)))
        .bigint_or_null("since_version", rows().map(|row| row.since))
        .text("kind", rows().map(|row| row.kind))
        .text("table_name", rows().map(|row| row.table.as_str()))
        .finish()
}
