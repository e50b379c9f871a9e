//! The table that a topic is: the reader schema's columns, the metadata columns, the event time.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use weir_schemas::LeftOut;

use super::Metadata;
use crate::error::ConfigError;
use crate::suggest;

impl Metadata {
    /// The column's name.
    #[must_use]
    pub fn column(self) -> &'static str {
        match self {
            Self::Timestamp => "kafka_timestamp",
            Self::Partition => "kafka_partition",
            Self::Offset => "kafka_offset",
            Self::Key => "kafka_key",
        }
    }

    fn field(self) -> Field {
        let (data_type, nullable) = match self {
            Self::Timestamp => (DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())), true),
            Self::Partition => (DataType::Int32, false),
            Self::Offset => (DataType::Int64, false),
            Self::Key => (DataType::Binary, true),
        };
        Field::new(self.column(), data_type, nullable)
    }
}

/// Columns `0..n_values` are those of the reader schema, in its order; behind them come
/// `metadata`, in that order.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    schema: SchemaRef,
    n_values: usize,
    metadata: Vec<Metadata>,
    event_time: usize,
}

impl Table {
    /// `event_time: None` means `kafka_timestamp`, which is then a column even if `metadata` does
    /// not have it. A metadata column asked for twice is one column.
    pub(crate) fn new(
        values: &Schema,
        left_out: &[LeftOut],
        event_time: Option<&str>,
        metadata: &[Metadata],
    ) -> Result<Self, ConfigError> {
        let event_time = event_time.unwrap_or(Metadata::Timestamp.column());
        let mut columns: Vec<Metadata> = Vec::new();
        let by_record = (event_time == Metadata::Timestamp.column()).then_some(Metadata::Timestamp);
        for column in metadata.iter().copied().chain(by_record) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        if let Some(taken) = columns.iter().find(|column| values.index_of(column.column()).is_ok()) {
            return Err(ConfigError::NameTaken { name: taken.column().to_owned() });
        }
        let mut fields = values.fields().to_vec();
        fields.extend(columns.iter().map(|column| Arc::new(column.field())));
        let schema = Arc::new(Schema::new(fields));
        let event_time = find_event_time(&schema, left_out, event_time)?;
        Ok(Self { schema, n_values: values.fields().len(), metadata: columns, event_time })
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Position of the event time: a timestamp column.
    pub(crate) fn event_time(&self) -> usize {
        self.event_time
    }

    /// What fills the column at `position`: `Err` is a metadata column, `Ok` the position in the
    /// reader schema.
    pub(crate) fn origin(&self, position: usize) -> Result<usize, Metadata> {
        if position < self.n_values { Ok(position) } else { Err(self.metadata[position - self.n_values]) }
    }
}

fn find_event_time(schema: &Schema, left_out: &[LeftOut], name: &str) -> Result<usize, ConfigError> {
    let is_timestamp = |field: &Field| matches!(field.data_type(), DataType::Timestamp(..));
    let timestamps: Vec<&str> = schema
        .fields()
        .iter()
        .filter(|field| is_timestamp(field))
        .map(|field| field.name().as_str())
        .collect();
    let only = || match timestamps[..] {
        [only] => Some(only.to_owned()),
        _ => None,
    };
    let Ok(position) = schema.index_of(name) else {
        if let Some(LeftOut { reason, .. }) = left_out.iter().find(|left_out| left_out.field == name) {
            return Err(ConfigError::EventTimeLeftOut { name: name.to_owned(), reason: reason.clone() });
        }
        let suggestion = suggest::nearest(name, timestamps.iter().copied()).or_else(only);
        return Err(ConfigError::NoSuchEventTime { name: name.to_owned(), suggestion });
    };
    let field = schema.field(position);
    if !is_timestamp(field) {
        return Err(ConfigError::EventTimeType {
            name: name.to_owned(),
            found: field.data_type().to_string(),
            suggestion: only(),
        });
    }
    Ok(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> Schema {
        let timestamp = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
        Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("ordered_at", timestamp, false),
        ])
    }

    fn names(table: &Table) -> Vec<String> {
        table.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    #[test]
    fn kafka_timestamp_is_a_column_where_it_is_the_event_time() {
        let table = Table::new(&orders(), &[], None, &[Metadata::Offset]).unwrap();
        assert_eq!(names(&table), ["id", "ordered_at", "kafka_offset", "kafka_timestamp"]);
        assert_eq!(table.event_time(), 3);
        assert_eq!(table.origin(1), Ok(1));
        assert_eq!(table.origin(3), Err(Metadata::Timestamp));

        let table = Table::new(&orders(), &[], Some("ordered_at"), &[]).unwrap();
        assert_eq!(names(&table), ["id", "ordered_at"]);
        assert_eq!(table.event_time(), 1);
    }

    #[test]
    fn event_time_that_is_no_timestamp_is_refused_with_the_nearest_that_is() {
        let message = |event_time| Table::new(&orders(), &[], Some(event_time), &[]).unwrap_err().to_string();
        assert_eq!(
            message("orderd_at"),
            "event time \"orderd_at\" is not a column of the table, did you mean \"ordered_at\"?"
        );
        assert_eq!(
            message("id"),
            "event time \"id\" is a column of type Int64, not a timestamp, did you mean \"ordered_at\"?"
        );
    }

    #[test]
    fn event_time_that_can_not_be_a_column_is_refused_with_the_reason() {
        let left_out = [LeftOut { field: "at".into(), reason: "it is a union".into() }];
        let error = Table::new(&orders(), &left_out, Some("at"), &[]).unwrap_err();
        assert_eq!(error.to_string(), "event time \"at\" is not a column of the table: it is a union");
    }

    #[test]
    fn field_with_the_name_of_a_metadata_column_is_refused() {
        let schema = Schema::new(vec![Field::new("kafka_offset", DataType::Int64, false)]);
        let error = Table::new(&schema, &[], None, &[Metadata::Offset]).unwrap_err();
        assert!(error.to_string().contains("\"kafka_offset\""), "{error}");
    }
}
