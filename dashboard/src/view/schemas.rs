//! What a pipeline's records are written with and read as: the columns of its source, and each writer schema with the offsets
//! from which it was met.
//!
//! Invariant: bounded by [`ROWS_MAX`] columns and as many partitions of schemas, whatever the server knows.

use serde_json::Value;
use weir_api::SqlResponse;

use super::number::{exact_cell, grouped};

/// Rows that are asked for.
pub const ROWS_MAX: usize = 1_000;
/// Partitions that are named of a schema.
const PARTITIONS_SHOWN: usize = 6;

/// Asks for what [`columns`] reads.
pub fn columns_query(sources: &[String]) -> String {
    let names: Vec<String> = sources.iter().map(|name| quoted(name)).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            "SELECT source, name, type, nullable, subject, version, since_version FROM weir.columns WHERE source IN ({}) \
             ORDER BY source, position LIMIT {ROWS_MAX}",
            names.join(", ")
        ),
    }
}

/// Asks for what [`writers`] reads.
pub fn writers_query(pipeline: &str) -> String {
    format!(
        "SELECT schema_id, subject, version, compatible, detail, partition, first_offset FROM weir.schemas \
         WHERE pipeline = {} ORDER BY schema_id, partition LIMIT {ROWS_MAX}",
        quoted(pipeline)
    )
}

/// The query that shows them all, for those who go on from there.
pub fn sql(pipeline: &str) -> String {
    format!(
        "SELECT schema_id, subject, version, partition, first_offset, compatible, detail\nFROM weir.schemas\nWHERE pipeline = {}\n\
         ORDER BY partition, first_offset",
        quoted(pipeline)
    )
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The table that a source is read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceView {
    /// `Columns of orders, as version 3 of orders-value has them`.
    pub caption: String,
    /// Name, type, and what else there is to say: `nullable, since version 3`. Of columns that were there from the first version
    /// known no version is said.
    pub columns: Vec<[String; 3]>,
}

/// The sources of an answer to [`columns_query`].
pub fn columns(answer: &SqlResponse) -> Vec<SourceView> {
    let mut sources: Vec<(String, SourceView)> = Vec::new();
    // The first version known of the source before.
    let mut first = None;
    for (at, row) in answer.rows.iter().enumerate() {
        let [source, name, sql_type, nullable, subject, version, since] = row.as_slice() else { continue };
        let source = exact_cell(source);
        if sources.last().is_none_or(|(last, _)| *last != source) {
            let of_source = answer.rows[at..].iter().take_while(|row| row.first() == answer.rows[at].first());
            first = of_source.filter_map(|row| row.get(6)?.as_u64()).min();
            let read_as = match (subject.as_str(), version.as_u64()) {
                (Some(subject), Some(version)) => format!(", as version {version} of {subject} has them"),
                _ => String::new(),
            };
            let caption = format!("Columns of the source {source}{read_as}");
            sources.push((source, SourceView { caption, columns: Vec::new() }));
        }
        let nullable = (*nullable == Value::Bool(true)).then(|| "nullable".to_owned());
        let since = since.as_u64().filter(|since| first < Some(*since)).map(|n| format!("since version {n}"));
        let notes = [nullable, since].into_iter().flatten().collect::<Vec<_>>().join(", ");
        if let Some((_, view)) = sources.last_mut() {
            view.columns.push([exact_cell(name), exact_cell(sql_type), notes]);
        }
    }
    sources.into_iter().map(|(_, view)| view).collect()
}

/// A schema that records were written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriterView {
    pub id: String,
    /// `orders-value 3`; empty where the registry did not say it.
    pub version: String,
    /// Why its records can't be read; empty: they can.
    pub refused: String,
    /// `0 from 1,024`, partition and offset, one each, and how many more there are.
    pub from: Vec<String>,
}

/// The schemas of an answer to [`writers_query`], by id.
pub fn writers(answer: &SqlResponse) -> Vec<WriterView> {
    let mut writers: Vec<(WriterView, usize)> = Vec::new();
    for row in &answer.rows {
        let [id, subject, version, compatible, detail, partition, offset] = row.as_slice() else { continue };
        let id = exact_cell(id);
        if writers.last().is_none_or(|(last, _)| last.id != id) {
            let version = match (subject.as_str(), version.as_u64()) {
                (Some(subject), Some(version)) => format!("{subject} {version}"),
                (subject, _) => subject.unwrap_or_default().to_owned(),
            };
            let refused = match compatible {
                Value::Bool(false) => {
                    detail.as_str().filter(|detail| !detail.is_empty()).unwrap_or("not compatible")
                }
                _ => "",
            };
            writers.push((WriterView { id, version, refused: refused.to_owned(), from: Vec::new() }, 0));
        }
        if let Some((writer, n_partitions)) = writers.last_mut() {
            *n_partitions += 1;
            if writer.from.len() < PARTITIONS_SHOWN {
                let offset = grouped(&exact_cell(offset));
                writer.from.push(format!("{} from {offset}", exact_cell(partition)));
            }
        }
    }
    let told = writers.into_iter().map(|(mut writer, n_partitions)| {
        if let n @ 1.. = n_partitions - writer.from.len() {
            writer.from.push(format!("and {n} more"));
        }
        writer
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(rows: Value) -> SqlResponse {
        let answer = json!({"columns": [], "rows": rows, "row_count": 0, "truncated": false, "epochs": {}, "elapsed_ms": 1.0});
        serde_json::from_value(answer).expect("an answer")
    }

    #[test]
    fn a_source_has_its_columns_and_their_version() {
        let sources = columns(&answer(json!([
            ["clicks", "at", "BIGINT", false, null, null, null],
            ["orders", "note", "VARCHAR", true, "orders-value", 3, 3],
            ["orders", "id", "BIGINT", false, "orders-value", 3, 2],
        ])));
        let captions: Vec<&str> = sources.iter().map(|source| &*source.caption).collect();
        assert_eq!(
            captions,
            [
                "Columns of the source clicks",
                "Columns of the source orders, as version 3 of orders-value has them"
            ]
        );
        assert_eq!(sources[1].columns[0], ["note", "VARCHAR", "nullable, since version 3"].map(String::from));
        assert_eq!(sources[1].columns[1][2], "", "there from the first version known");
        assert_eq!(columns_query(&[]), "", "nothing is asked of no source");
        assert!(columns_query(&["a".into(), "b'c".into()]).contains("IN ('a', 'b''c')"));
    }

    #[test]
    fn schemas_are_told_with_the_offsets_that_they_were_met_at() {
        let mut rows = vec![
            json!([7, "orders-value", 1, true, "", 0, 0]),
            json!([7, "orders-value", 1, true, "", 1, 1_024]),
            json!([9, null, null, false, "field \"id\" has no default", 1, 2_048]),
        ];
        rows.extend((0..8).map(|partition| json!([12, "orders-value", 4, true, "", partition, 5])));
        let writers = writers(&answer(json!(rows)));
        let told = |writer: &WriterView| {
            format!("{} | {} | {} | {}", writer.id, writer.version, writer.refused, writer.from.join(", "))
        };
        assert_eq!(told(&writers[0]), "7 | orders-value 1 |  | 0 from 0, 1 from 1,024");
        assert_eq!(told(&writers[1]), "9 |  | field \"id\" has no default | 1 from 2,048");
        assert_eq!((writers[2].from.len(), &*writers[2].from[6]), (7, "and 2 more"));
        assert_eq!(writers.len(), 3);
    }
}
