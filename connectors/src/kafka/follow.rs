//! `schema: follow`: what a newer writer schema makes of the table, while it is read.
//!
//! ```text
//! a record of a schema not met before ─► table_of ─► columns, kept with the epoch of that record ─► grown ─► shown
//! ```
//!
//! Invariants:
//! 1. The table only grows: a version without one of its columns, or with another type there, is not followed.
//! 2. What a running pipeline reads does not depend on it: its reader schema stays the one it was started with.

use std::sync::Arc;

use arrow::datatypes::Schema;
use weir_engine::connector::{SchemaSeen, TableColumn};
use weir_engine::sql::type_name;
use weir_schemas::{ReaderSchema, SchemaText, SeenSchema};

use super::Metadata;
use super::table::Table;
use crate::error::{ConfigError, chain};

/// A source that follows its subject.
pub struct Follow {
    reader: Arc<ReaderSchema>,
    event_time: Option<String>,
    metadata: Vec<Metadata>,
    /// Of the table by `reader`.
    columns: Vec<TableColumn>,
}

impl Follow {
    /// A table that is read with `reader`; event time and metadata as in a
    /// [`KafkaSourceConfig`](super::KafkaSourceConfig).
    ///
    /// # Errors
    /// [`ConfigError`] where it is none.
    pub fn new(
        reader: Arc<ReaderSchema>,
        event_time: Option<String>,
        metadata: Vec<Metadata>,
    ) -> Result<Self, ConfigError> {
        let (values, left_out) = (reader.arrow_schema(), reader.left_out());
        let table = Table::new(&values, left_out, event_time.as_deref(), &metadata)?;
        Ok(Self { columns: table_columns(&table.schema()), reader, event_time, metadata })
    }

    /// The columns of the table, were it read with this schema; none where it is no newer version, or has no more
    /// columns.
    ///
    /// # Errors
    /// Why the table can't follow a newer version, for a person.
    pub(super) fn table_of(&self, seen: &SeenSchema) -> Result<Vec<TableColumn>, String> {
        let is_newer = self.reader.subject().is_some_and(|(subject, version)| {
            seen.subject.as_deref() == Some(subject) && Some(version) < seen.version
        });
        match seen.schema.as_ref().filter(|_| is_newer && seen.compatible) {
            Some(newer) => self.next(newer),
            None => Ok(Vec::new()),
        }
    }

    /// The columns that the table has more in a newer version, whose records it can read.
    ///
    /// # Errors
    /// Why the table can't follow it, for a person.
    pub fn gained(&self, newer: &SchemaText) -> Result<Vec<TableColumn>, String> {
        let mut columns = self.next(newer)?;
        columns.retain(|column| !self.columns.contains(column));
        Ok(columns)
    }

    fn next(&self, newer: &SchemaText) -> Result<Vec<TableColumn>, String> {
        let not = |why: String| format!("the table does not follow it: {why}");
        let message = self.reader.source().message.clone();
        let newer = SchemaText { message, ..newer.clone() };
        let newer = ReaderSchema::new(newer).map_err(|error| not(chain(&error)))?;
        // Else what the topic has already would be dead letters to whoever reads with it.
        let issues = newer.check_writer(self.reader.source()).map_err(|error| not(chain(&error)))?;
        if let Some(issue) = issues.iter().find(|issue| !issue.conditional) {
            return Err(not(format!("older records could not be read with it: {issue}")));
        }
        let (event_time, metadata) = (self.event_time.clone(), self.metadata.clone());
        let Self { columns, .. } =
            Self::new(Arc::new(newer), event_time, metadata).map_err(|error| not(chain(&error)))?;
        match missing(&self.columns, &columns) {
            Some(column) => {
                Err(not(format!("column \"{}\" is not there as {}", column.name, type_of(column))))
            }
            None if columns.len() == self.columns.len() => Ok(Vec::new()),
            None => Ok(columns),
        }
    }
}

/// A column's type, with whether it may be null.
#[must_use]
pub fn type_of(column: &TableColumn) -> String {
    format!("{}{}", column.sql_type, if column.nullable { "" } else { " NOT NULL" })
}

/// Columns as they are shown.
#[must_use]
pub fn table_columns(schema: &Schema) -> Vec<TableColumn> {
    let column = |field: &Arc<arrow::datatypes::Field>| TableColumn {
        name: field.name().clone(),
        sql_type: type_name(field.data_type()),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

/// The columns of a table and the version that has them, after all that was met: the newest that has every column
/// of those before it. `None`: the table is still the one that was begun with.
#[must_use]
pub fn grown(begun: &[TableColumn], met: &[SchemaSeen]) -> Option<(Vec<TableColumn>, u32)> {
    let mut met: Vec<_> = met
        .iter()
        .filter(|seen| !seen.table.is_empty())
        .filter_map(|seen| Some((seen.version?, &seen.table[..])))
        .collect();
    met.sort_by_key(|(version, _)| *version);
    let mut grown: Option<(&[TableColumn], u32)> = None;
    for (version, table) in met {
        if missing(grown.map_or(begun, |(table, _)| table), table).is_none() {
            grown = Some((table, version));
        }
    }
    grown.map(|(table, version)| (table.to_vec(), version))
}

/// A column that `newer` does not have as it was.
fn missing<'a>(older: &'a [TableColumn], newer: &[TableColumn]) -> Option<&'a TableColumn> {
    older.iter().find(|column| !newer.contains(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = r#"{"type": "record", "name": "r", "fields": [
        {"name": "id", "type": "long"}, {"name": "kind", "type": "string"}]}"#;

    fn follow() -> Follow {
        let reader = Arc::new(ReaderSchema::parse(V1).unwrap().with_subject("s", 1));
        Follow::new(reader, None, Vec::new()).unwrap()
    }

    fn seen(version: u32, fields: &str) -> SeenSchema {
        let text = format!(r#"{{"type": "record", "name": "r", "fields": [{fields}]}}"#);
        SeenSchema {
            schema_id: 10 + version,
            subject: Some("s".to_owned()),
            version: Some(version),
            record: 0,
            compatible: true,
            detail: String::new(),
            schema: Some(Arc::new(SchemaText::from(text.as_str()))),
        }
    }

    fn names(columns: &[TableColumn]) -> Vec<&str> {
        columns.iter().map(|column| column.name.as_str()).collect()
    }

    const BOTH: &str = r#"{"name": "id", "type": "long"}, {"name": "kind", "type": "string"}"#;

    #[test]
    fn a_table_has_the_columns_of_a_newer_version_of_its_subject() {
        let more = format!(r#"{BOTH}, {{"name": "note", "type": "string", "default": ""}}"#);
        let columns = follow().table_of(&seen(2, &more)).unwrap();
        assert_eq!(names(&columns), ["id", "kind", "note", "kafka_timestamp"]);
        assert_eq!(type_of(&columns[2]), "VARCHAR NOT NULL");
        let other = SeenSchema { subject: Some("t".to_owned()), ..seen(2, &more) };
        let refused = SeenSchema { compatible: false, ..seen(2, &more) };
        for stays in [seen(1, &more), other, refused, seen(2, BOTH)] {
            assert_eq!(follow().table_of(&stays), Ok(Vec::new()), "{stays:?}");
        }
    }

    #[test]
    fn a_version_that_would_take_something_away_is_not_followed_and_says_why() {
        let note = r#"{"name": "note", "type": "string", "default": ""}"#;
        for (fields, why) in [
            (
                format!(r#"{{"name": "id", "type": "long"}}, {note}"#),
                "column \"kind\" is not there as VARCHAR NOT NULL",
            ),
            (
                format!(
                    r#"{{"name": "id", "type": "double"}}, {{"name": "kind", "type": "string"}}, {note}"#
                ),
                "column \"id\" is not there as BIGINT NOT NULL",
            ),
            (
                format!(r#"{BOTH}, {{"name": "note", "type": "string"}}"#),
                "older records could not be read with it: note",
            ),
            (
                format!(r#"{BOTH}, {{"name": "kafka_timestamp", "type": "int", "default": 0}}"#),
                "kafka_timestamp",
            ),
            (
                format!(r#"{BOTH}, {note}, {{"name": "former", "type": ["null", "r"], "default": null}}"#),
                "record \"r\" contains itself in field \"former\"",
            ),
        ] {
            let told = follow().table_of(&seen(2, &fields)).unwrap_err();
            assert!(told.starts_with("the table does not follow it: ") && told.contains(why), "{told}");
        }
    }

    #[test]
    fn the_newest_version_that_only_adds_is_the_table() {
        let column =
            |name: &str| TableColumn { name: name.to_owned(), sql_type: "INT".to_owned(), nullable: false };
        let met = |version, table: &[&str]| SchemaSeen {
            schema_id: version,
            subject: None,
            version: Some(version),
            partition: 0,
            first_offset: 0,
            compatible: true,
            detail: String::new(),
            table: table.iter().map(|name| column(name)).collect(),
        };
        let begun = [column("a")];
        let all = [met(4, &["a", "c"]), met(3, &["a", "b", "c"]), met(1, &[]), met(2, &["a", "b"])];
        let of =
            |met: &[SchemaSeen]| grown(&begun, met).map(|(table, version)| (names(&table).concat(), version));
        assert_eq!(of(&all[2..3]), None);
        assert_eq!(of(&all[2..]), Some(("ab".to_owned(), 2)));
        // Version 4 has no "b" any more.
        assert_eq!(of(&all), Some(("abc".to_owned(), 3)));
    }
}
