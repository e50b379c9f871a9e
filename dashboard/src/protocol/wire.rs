//! The types of the wire, from JSON, by hand: what serde derives for the few that every visit reads is 10 KB to load.
//!
//! Invariant: reads what the derived readers read; the tests hold each type against its own.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use weir_api::{
    Column, Dashboard, DashboardEntry, DashboardList, Delta, Event, Pipeline, PipelineDetail, PipelineState,
    PipelinesResponse, Problem, ReplayResponse, Row, Snapshot, Source, SqlResponse, Status, WriterSchema,
};

use super::json;

/// What an answer holds.
pub trait Wire: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is missing or of another type.
    fn read(value: Value) -> Result<Self, String>;
}

/// Reads an answer from its text.
///
/// # Errors
/// It is no JSON, or as [`Wire::read`].
pub fn read<T: Wire>(text: &str) -> Result<T, String> {
    T::read(serde_json::from_str(text).map_err(|error| error.to_string())?)
}

/// Reads an event from its `event:` line and its `data:`; `None` for a name that this version does not know.
///
/// # Errors
/// `data` is not what `name` promises. The stream can't be trusted any more: begin anew with a snapshot.
pub fn event(name: &str, data: &str) -> Result<Option<Event>, String> {
    Ok(Some(match name {
        "snapshot" => Event::Snapshot(read(data)?),
        "delta" => Event::Delta(read(data)?),
        "status" => Event::Status(read(data)?),
        _ => return Ok(None),
    }))
}

/// The data of a snapshot's event.
pub fn snapshot_text(snapshot: Snapshot) -> String {
    let texts = |texts: Vec<String>| Value::Array(texts.into_iter().map(Value::String).collect());
    let column = |column: Column| {
        object([
            ("name", Value::String(column.name)),
            ("type", Value::String(column.sql_type)),
            ("nullable", Value::Bool(column.nullable)),
        ])
    };
    json::text(&object([
        ("table", Value::String(snapshot.table)),
        ("epoch", snapshot.epoch.into()),
        ("watermark", snapshot.watermark.map_or(Value::Null, Value::String)),
        ("columns", Value::Array(snapshot.columns.into_iter().map(column).collect())),
        ("key", texts(snapshot.key)),
        ("rows", Value::Array(snapshot.rows.into_iter().map(Value::Array).collect())),
        ("truncated", Value::Bool(snapshot.truncated)),
    ]))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    // One by one, as the reader does: a map made at once sorts first, which is 2 KB of the page.
    let mut object = Map::new();
    for (name, value) in members {
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// The members of an object that are not yet read.
struct Members(Map<String, Value>);

impl Members {
    fn of(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err("it is no object".to_owned()),
        }
    }

    /// Null where there is none.
    fn take(&mut self, name: &str) -> Value {
        self.0.remove(name).unwrap_or_default()
    }

    fn text(&mut self, name: &str) -> Result<String, String> {
        self.maybe_text(name)?.ok_or_else(|| wrong(name))
    }

    fn maybe_text(&mut self, name: &str) -> Result<Option<String>, String> {
        match self.take(name) {
            Value::String(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            _ => Err(wrong(name)),
        }
    }

    fn count(&mut self, name: &str) -> Result<u64, String> {
        self.maybe_count(name)?.ok_or_else(|| wrong(name))
    }

    fn maybe_count(&mut self, name: &str) -> Result<Option<u64>, String> {
        match self.take(name) {
            Value::Null => Ok(None),
            value => value.as_u64().map(Some).ok_or_else(|| wrong(name)),
        }
    }

    fn count_or_zero(&mut self, name: &str) -> Result<u64, String> {
        if self.0.contains_key(name) { self.count(name) } else { Ok(0) }
    }

    fn double(&mut self, name: &str) -> Result<f64, String> {
        self.take(name).as_f64().ok_or_else(|| wrong(name))
    }

    fn flag(&mut self, name: &str) -> Result<bool, String> {
        self.take(name).as_bool().ok_or_else(|| wrong(name))
    }

    fn flag_or_false(&mut self, name: &str) -> Result<bool, String> {
        if self.0.contains_key(name) { self.flag(name) } else { Ok(false) }
    }

    fn list<T>(&mut self, name: &str, read: impl Fn(Value) -> Result<T, String>) -> Result<Vec<T>, String> {
        match self.take(name) {
            Value::Array(values) => values.into_iter().map(read).collect(),
            _ => Err(wrong(name)),
        }
    }

    fn rows(&mut self, name: &str) -> Result<Vec<Row>, String> {
        self.list(name, |row| match row {
            Value::Array(row) => Ok(row),
            _ => Err(wrong(name)),
        })
    }

    fn state(&mut self) -> Result<PipelineState, String> {
        const STATES: [PipelineState; 4] =
            [PipelineState::Starting, PipelineState::Running, PipelineState::Stopped, PipelineState::Failed];
        let word = self.text("state")?;
        STATES.into_iter().find(|state| state.as_str() == word).ok_or_else(|| wrong("state"))
    }
}

fn wrong(name: &str) -> String {
    ["its \"", name, "\" is missing or of another type"].concat()
}

impl Wire for PipelinesResponse {
    fn read(value: Value) -> Result<Self, String> {
        let mut members = Members::of(value)?;
        Ok(Self {
            project: members.maybe_text("project")?,
            pipelines: members.list("pipelines", Pipeline::read)?,
        })
    }
}

impl Wire for Pipeline {
    fn read(value: Value) -> Result<Self, String> {
        let mut members = Members::of(value)?;
        Ok(Self {
            name: members.text("name")?,
            state: members.state()?,
            epoch: members.count("epoch")?,
            committed_at: members.maybe_text("committed_at")?,
            watermark: members.maybe_text("watermark")?,
            rows_in: members.count("rows_in")?,
            rows_out: members.count("rows_out")?,
            late_rows: members.count("late_rows")?,
            tombstones: members.count("tombstones")?,
            dead_letters: members.count("dead_letters")?,
            lost_records: members.count_or_zero("lost_records")?,
            dead_letters_replayed: members.count_or_zero("dead_letters_replayed")?,
            dead_letters_expired: members.count_or_zero("dead_letters_expired")?,
            error: members.maybe_text("error")?,
        })
    }
}

impl Wire for DashboardList {
    fn read(value: Value) -> Result<Self, String> {
        let entry = |value| {
            let mut members = Members::of(value)?;
            Ok(DashboardEntry { name: members.text("name")?, title: members.text("title")? })
        };
        let mut members = Members::of(value)?;
        let dashboards = members.list("dashboards", entry)?;
        Ok(Self { dashboards, editable: members.flag_or_false("editable")? })
    }
}

impl Wire for Problem {
    fn read(value: Value) -> Result<Self, String> {
        let mut members = Members::of(value)?;
        Ok(Self {
            problem_type: members.text("type")?,
            title: members.text("title")?,
            status: u16::try_from(members.count("status")?).map_err(|_| wrong("status"))?,
            detail: members.text("detail")?,
            hint: members.maybe_text("hint")?,
            line: members.maybe_count("line")?,
            column: members.maybe_count("column")?,
        })
    }
}

impl Wire for SqlResponse {
    fn read(value: Value) -> Result<Self, String> {
        let mut members = Members::of(value)?;
        let Value::Object(read) = members.take("epochs") else { return Err(wrong("epochs")) };
        let mut epochs = BTreeMap::new();
        for (pipeline, epoch) in read {
            epochs.insert(pipeline, epoch.as_u64().ok_or_else(|| wrong("epochs"))?);
        }
        Ok(Self {
            columns: members.list("columns", column)?,
            rows: members.rows("rows")?,
            row_count: members.count("row_count")?,
            truncated: members.flag("truncated")?,
            epochs,
            elapsed_ms: members.double("elapsed_ms")?,
        })
    }
}

impl Wire for Snapshot {
    fn read(value: Value) -> Result<Self, String> {
        let mut members = Members::of(value)?;
        let text = |value: Value| value.as_str().map(str::to_owned).ok_or_else(|| wrong("key"));
        Ok(Self {
            table: members.text("table")?,
            epoch: members.count("epoch")?,
            watermark: members.maybe_text("watermark")?,
            columns: members.list("columns", column)?,
            key: members.list("key", text)?,
            rows: members.rows("rows")?,
            truncated: members.flag_or_false("truncated")?,
        })
    }
}

impl Wire for Delta {
    fn read(value: Value) -> Result<Self, String> {
        let mut members = Members::of(value)?;
        Ok(Self {
            table: members.text("table")?,
            epoch: members.count("epoch")?,
            watermark: members.maybe_text("watermark")?,
            upserts: members.rows("upserts")?,
            deletes: members.rows("deletes")?,
        })
    }
}

impl Wire for Status {
    fn read(value: Value) -> Result<Self, String> {
        let mut members = Members::of(value)?;
        Ok(Self {
            pipeline: members.text("pipeline")?,
            state: members.state()?,
            epoch: members.count("epoch")?,
            watermark: members.maybe_text("watermark")?,
            lag_records: members.maybe_count("lag_records")?,
            rows_per_second: members.double("rows_per_second")?,
            late_rows: members.count("late_rows")?,
            dead_letters: members.count("dead_letters")?,
            error: members.maybe_text("error")?,
        })
    }
}

fn column(value: Value) -> Result<Column, String> {
    let mut members = Members::of(value)?;
    Ok(Column {
        name: members.text("name")?,
        sql_type: members.text("type")?,
        nullable: members.flag("nullable")?,
    })
}

/// Types that only a part reads: their derived readers are loaded with it.
macro_rules! derived {
    ($($read:ty),*) => {$(
        impl Wire for $read {
            fn read(value: Value) -> Result<Self, String> {
                serde_json::from_value(value).map_err(|error| error.to_string())
            }
        }
    )*};
}

derived!(Dashboard, PipelineDetail, ReplayResponse, Source, WriterSchema);

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    const PIPELINE: &str = r#"{"name":"revenue","state":"failed","epoch":812,"committed_at":"2026-11-22T12:04:30.250Z","watermark":"2026-11-22T12:04:25.000Z","rows_in":100,"rows_out":20,"late_rows":1,"tombstones":2,"dead_letters":18446744073709551615,"lost_records":4,"dead_letters_replayed":2,"dead_letters_expired":1,"error":"gone","added_later":[1]}"#;
    const SNAPSHOT: &str = r#"{"table":"t","epoch":7,"watermark":null,"columns":[{"name":"n","type":"BIGINT","nullable":true},{"name":"_final","type":"BOOLEAN","nullable":false}],"key":["n"],"rows":[[9007199254740993,false],[0.1,true],["12.50",null]],"truncated":true}"#;

    /// Reads `json` and each object that lacks one of its members or has null there, as the derived reader does.
    fn check<T: Wire + DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(json: &str) {
        let whole: Value = serde_json::from_str(json).expect("JSON");
        assert!(T::read(whole.clone()).is_ok(), "{json} can't be read: {:?}", T::read(whole.clone()));
        let members = whole.as_object().expect("an object");
        let lacking = members.keys().map(|name| {
            let mut members = members.clone();
            members.remove(name);
            members
        });
        let with = |other: Value| {
            members.keys().map(move |name| {
                let mut members = members.clone();
                members.insert(name.clone(), other.clone());
                members
            })
        };
        let all = [members.clone()]
            .into_iter()
            .chain(lacking)
            .chain(with(Value::Null))
            .chain(with(Value::from(-1)));
        for members in all {
            let value = Value::Object(members);
            assert_eq!(
                T::read(value.clone()).ok(),
                serde_json::from_value::<T>(value.clone()).ok(),
                "{value}"
            );
        }
    }

    #[test]
    fn types_are_read_as_their_derived_readers_do() {
        check::<Pipeline>(PIPELINE);
        check::<PipelinesResponse>(&format!(r#"{{"project":"shop","pipelines":[{PIPELINE}]}}"#));
        check::<DashboardList>(r#"{"dashboards":[{"name":"shop","title":"Shop"}],"editable":true}"#);
        check::<Problem>(
            r#"{"type":"urn:weir:error:E0301","title":"t","status":400,"detail":"d","hint":"h","line":1,"column":8}"#,
        );
        check::<SqlResponse>(
            r#"{"columns":[{"name":"n","type":"INT","nullable":true}],"rows":[[1],[null]],"row_count":2,"truncated":false,"epochs":{"t":7},"elapsed_ms":3}"#,
        );
        check::<Delta>(r#"{"table":"t","epoch":8,"watermark":"w","upserts":[[1,true]],"deletes":[["k"]]}"#);
        check::<Status>(
            r#"{"pipeline":"t","state":"running","epoch":8,"watermark":"w","lag_records":7,"rows_per_second":1250.5,"late_rows":1,"dead_letters":2,"error":"away"}"#,
        );
        check::<Snapshot>(SNAPSHOT);
        let snapshot: Snapshot = serde_json::from_str(SNAPSHOT).expect("a snapshot");
        assert_eq!(read::<Snapshot>(&snapshot_text(snapshot.clone())), Ok(snapshot));
    }

    #[test]
    fn event_is_chosen_by_its_name() {
        assert!(matches!(event("snapshot", SNAPSHOT), Ok(Some(Event::Snapshot(_)))));
        assert_eq!(event("added_later", "?"), Ok(None));
        assert!(event("delta", SNAPSHOT).is_err());
        assert!(event("delta", "{").is_err());
    }
}
