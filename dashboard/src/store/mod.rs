//! All that the page knows of the server, folded from events; plain Rust.
//!
//! Invariants:
//! 1. [`Store::last_id`] is the id of the last event that was folded, whole: whatever is folded is behind it, whatever
//!    is not comes again after a reconnect. So no cut makes a gap or a double.
//! 2. An event that does not fit leaves everything as it was; the caller forgets the id and begins anew with snapshots.
//! 3. Bounded: only wanted tables, [`table::MAX_ROWS`] rows each, [`pulse::HISTORY`] rates a pipeline.

pub mod pulse;
pub mod share;
pub mod table;

use std::fmt;

use weir_api::{Event, Pipeline, Snapshot, Status};

use crate::protocol::Wanted;
use pulse::Pulse;
use table::Table;

/// An event that does not fit what was there. Begin anew with snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoldError {
    /// A delta of a table of which there was no snapshot.
    NoSnapshot { table: String },
    /// A row or key with another number of values than the snapshot's columns or key.
    Shape { table: String, expected: usize, found: usize },
    /// The key names a column that is not there.
    KeyColumn { table: String, column: String },
}

impl fmt::Display for FoldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSnapshot { table } => write!(f, "changes of \"{table}\" came before its snapshot"),
            Self::Shape { table, expected, found } => {
                write!(f, "a row of \"{table}\" has {found} values instead of {expected}")
            }
            Self::KeyColumn { table, column } => {
                write!(f, "the key of \"{table}\" names a column \"{column}\" that it does not have")
            }
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Store {
    wanted: Wanted,
    /// By name. Lists: they are short, and each kind of map is 2 KB of the page.
    tables: Vec<(String, Table)>,
    pipelines: Vec<Pipeline>,
    pulses: Vec<(String, Pulse)>,
    last_id: Option<String>,
    /// A status contradicts the list of pipelines, which alone carries reasons.
    list_outdated: bool,
}

impl Store {
    /// Sets what to keep; tables that are no longer wanted are dropped. Returns whether the stream must be opened anew
    /// (it starts with snapshots then: an id belongs to the stream that gave it).
    pub fn want(&mut self, wanted: Wanted) -> bool {
        if wanted == self.wanted {
            return false;
        }
        self.tables.retain(|(name, _)| wanted.tables.contains(name));
        self.wanted = wanted;
        self.last_id = None;
        true
    }

    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The id to continue behind; `None` begins with snapshots.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The next connection shall begin with snapshots.
    pub fn forget_id(&mut self) {
        self.last_id = None;
    }

    /// Folds one event; `None` is one that this version does not know, of which only the id counts.
    ///
    /// # Errors
    /// The event does not fit; nothing has changed. Call [`Store::forget_id`] and connect anew.
    pub fn fold(&mut self, id: &str, event: Option<Event>) -> Result<(), FoldError> {
        match event {
            Some(Event::Snapshot(snapshot)) => self.fold_snapshot(snapshot)?,
            Some(Event::Delta(delta)) if self.wanted.tables.contains(&delta.table) => {
                let (name, epoch, watermark) = (delta.table.clone(), delta.epoch, delta.watermark.clone());
                match named(&mut self.tables, &name) {
                    Some(table) => table.fold(delta)?,
                    None => return Err(FoldError::NoSnapshot { table: name }),
                }
                self.advance(&name, epoch, watermark);
            }
            Some(Event::Status(status)) => self.fold_status(status),
            Some(Event::Delta(_)) | None => {}
        }
        if !id.is_empty() {
            self.last_id = Some(id.to_owned());
        }
        Ok(())
    }

    /// Takes the list of pipelines as the server just gave it.
    pub fn set_pipelines(&mut self, pipelines: Vec<Pipeline>) {
        self.pulses.retain(|(name, _)| pipelines.iter().any(|pipeline| pipeline.name == *name));
        self.pipelines = pipelines;
        self.list_outdated = false;
    }

    /// Whether the list of pipelines should be fetched; says so once.
    pub fn take_list_outdated(&mut self) -> bool {
        std::mem::take(&mut self.list_outdated)
    }

    pub fn pipelines(&self) -> &[Pipeline] {
        &self.pipelines
    }

    pub fn pulse(&self, pipeline: &str) -> Option<&Pulse> {
        self.pulses.iter().find(|(name, _)| name == pipeline).map(|(_, pulse)| pulse)
    }

    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|(known, _)| known == name).map(|(_, table)| table)
    }

    fn fold_snapshot(&mut self, snapshot: Snapshot) -> Result<(), FoldError> {
        if self.wanted.tables.contains(&snapshot.table) {
            let (name, epoch, watermark) =
                (snapshot.table.clone(), snapshot.epoch, snapshot.watermark.clone());
            let table = Table::new(snapshot, self.wanted.last_ms)?;
            match named(&mut self.tables, &name) {
                Some(before) => *before = table,
                None => self.tables.push((name.clone(), table)),
            }
            self.advance(&name, epoch, watermark);
        }
        Ok(())
    }

    /// A pipeline's rows may be ahead of its last status, never behind what the list says: both are one screen.
    fn advance(&mut self, name: &str, epoch: u64, watermark: Option<String>) {
        let pipeline = self.pipelines.iter_mut().find(|pipeline| pipeline.name == name);
        if let Some(pipeline) = pipeline.filter(|pipeline| pipeline.epoch <= epoch) {
            pipeline.epoch = epoch;
            pipeline.watermark = watermark;
        }
    }

    fn fold_status(&mut self, status: Status) {
        let Some(pipeline) = self.pipelines.iter_mut().find(|pipeline| pipeline.name == status.pipeline)
        else {
            self.list_outdated = true;
            return;
        };
        self.list_outdated |= pipeline.state != status.state;
        pipeline.state = status.state;
        pipeline.late_rows = status.late_rows;
        pipeline.dead_letters = status.dead_letters;
        pipeline.error.clone_from(&status.error);
        match named(&mut self.pulses, &status.pipeline) {
            Some(pulse) => pulse.beat(&status),
            None => {
                let mut pulse = Pulse::default();
                pulse.beat(&status);
                self.pulses.push((status.pipeline.clone(), pulse));
            }
        }
        self.advance(&status.pipeline, status.epoch, status.watermark);
    }
}

fn named<'a, T>(list: &'a mut [(String, T)], name: &str) -> Option<&'a mut T> {
    list.iter_mut().find(|(known, _)| known == name).map(|(_, item)| item)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Option<Event> {
        Event::parse(name, data).expect("documented data")
    }

    fn snapshot(table: &str) -> Option<Event> {
        event(
            "snapshot",
            &format!(
                r#"{{"table":"{table}","epoch":1,"watermark":null,"columns":[{{"name":"k","type":"INT","nullable":false}},{{"name":"_final","type":"BOOLEAN","nullable":false}}],"key":["k"],"rows":[[1,false]]}}"#
            ),
        )
    }

    fn status(state: &str) -> Option<Event> {
        event(
            "status",
            &format!(
                r#"{{"pipeline":"a","state":"{state}","epoch":9,"watermark":null,"lag_records":3,"rows_per_second":2.5,"late_rows":1,"dead_letters":2,"error":"the broker is away"}}"#
            ),
        )
    }

    fn store_that_wants_a() -> Store {
        let mut store = Store::default();
        assert!(store.want(Wanted { tables: vec!["a".into()], last_ms: 60_000 }));
        store
    }

    #[test]
    fn id_moves_only_with_a_folded_event() {
        let mut store = store_that_wants_a();
        store.fold("1", snapshot("a")).expect("a snapshot fits");
        store.fold("2", None).expect("unknown events are skipped");
        let bad = event(
            "delta",
            r#"{"table":"a","epoch":2,"watermark":null,"upserts":[[2,false],[3]],"deletes":[]}"#,
        );
        let refused = store.fold("3", bad);
        assert_eq!(refused, Err(FoldError::Shape { table: "a".into(), expected: 2, found: 1 }));
        assert_eq!(store.last_id(), Some("2"));
        assert_eq!(store.table("a").expect("the snapshot").len(), 1);
    }

    #[test]
    fn another_table_begins_with_a_snapshot() {
        let mut store = store_that_wants_a();
        store.fold("1", snapshot("a")).expect("a snapshot fits");
        assert!(!store.want(Wanted { tables: vec!["a".into()], last_ms: 60_000 }));
        assert!(store.want(Wanted { tables: vec!["b".into()], last_ms: 60_000 }));
        assert_eq!(store.last_id(), None);
        assert!(store.table("a").is_none());
        let delta = event("delta", r#"{"table":"b","epoch":2,"watermark":null,"upserts":[],"deletes":[]}"#);
        assert_eq!(store.fold("2", delta), Err(FoldError::NoSnapshot { table: "b".into() }));
    }

    #[test]
    fn status_updates_the_list_or_asks_for_a_new_one() {
        let mut store = Store::default();
        store.fold("1", status("running")).expect("a status always fits");
        assert!(store.take_list_outdated());
        assert!(!store.take_list_outdated());
        let list = r#"{"name":"a","state":"running","epoch":1,"committed_at":null,"watermark":null,"rows_in":0,"rows_out":0,"late_rows":0,"tombstones":0,"dead_letters":0,"error":null}"#;
        store.set_pipelines(vec![serde_json::from_str(list).expect("a pipeline")]);
        store.fold("2", status("running")).expect("a status always fits");
        assert_eq!((store.pipelines()[0].epoch, store.pipelines()[0].dead_letters), (9, 2));
        assert_eq!(store.pipelines()[0].error.as_deref(), Some("the broker is away"));
        assert_eq!(store.pulse("a").expect("a beat").rate(), Some(2.5));
        assert!(!store.take_list_outdated());
        store.want(Wanted { tables: vec!["a".into()], last_ms: 60_000 });
        store.fold("3", snapshot("a")).expect("a snapshot fits");
        let ahead = event("delta", r#"{"table":"a","epoch":11,"watermark":null,"upserts":[],"deletes":[]}"#);
        store.fold("4", ahead).expect("a delta fits");
        assert_eq!(store.pipelines()[0].epoch, 11, "rows are ahead of the status");
        store.fold("5", status("failed")).expect("a status always fits");
        assert_eq!(store.pipelines()[0].epoch, 11, "a status that was under way does not go back");
        assert!(store.take_list_outdated(), "the list has more of it");
    }
}
