//! The outbox against a model, and its bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::frame::{self, Kind};
use super::outbox::{SinkRecord, Size};
use super::*;
use crate::connector::{Batching, Change, Position};
use crate::facts::Facts;
use crate::time::Epoch;

fn memory() -> Memory {
    Memory::new(8 << 20, 16 << 20)
}

fn rows(ids: &[i64]) -> RecordBatch {
    let ids = Arc::new(Int64Array::from(ids.to_vec())) as _;
    RecordBatch::try_from_iter([("id", ids)]).expect("one column")
}

fn ids(change: &Change) -> Vec<i64> {
    change.rows().column(0).as_primitive::<Int64Type>().values().to_vec()
}

/// Parts of an epoch: which sink, whether keys to delete, how many rows.
type Parts = Vec<(&'static str, bool, usize)>;

#[derive(Debug, Clone)]
enum Action {
    Commit(Parts),
    /// Started and dropped.
    Abort(Parts),
    /// A delivery of at most so many rows.
    Deliver(&'static str, usize),
    /// The sink says that it has a part more than was noted.
    Skip(&'static str),
    Remove(&'static str),
    Reopen,
}

fn sink() -> impl Strategy<Value = &'static str> {
    // One name is the beginning of the other.
    prop::sample::select(vec!["a", "ab"])
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let parts = || prop::collection::vec((sink(), any::<bool>(), 1usize..20), 0..5);
    let action = prop_oneof![
        4 => parts().prop_map(Action::Commit),
        1 => parts().prop_map(Action::Abort),
        4 => (sink(), 1usize..40).prop_map(|(sink, n)| Action::Deliver(sink, n)),
        1 => sink().prop_map(Action::Skip),
        1 => sink().prop_map(Action::Remove),
        1 => Just(Action::Reopen),
    ];
    prop::collection::vec(action, 1..40)
}

type Model = BTreeMap<&'static str, BTreeMap<(u64, u32), Change>>;

fn put(store: &Store, epoch: u64, parts: &Parts, model: &mut Model, commit: bool) {
    let mut tx = store.begin(Epoch(epoch));
    for sink in ["a", "ab"] {
        let of_sink: Vec<_> = parts.iter().filter(|part| part.0 == sink).collect();
        for (i, (_, is_delete, n)) in of_sink.iter().enumerate() {
            let batch = rows(&(0..*n as i64).map(|id| id + epoch as i64 * 100).collect::<Vec<_>>());
            let change = if *is_delete { Change::Deletes(batch) } else { Change::Upserts(batch) };
            let size = tx.put_outbox(sink, i as u32, i + 1 == of_sink.len(), &change).unwrap();
            assert_eq!(size.rows, *n as u64);
            if commit {
                model.entry(sink).or_default().insert((epoch, i as u32), change);
            }
        }
    }
    if commit {
        tx.set_facts(&Facts { epoch: Epoch(epoch), ..Facts::default() }, Settings::default());
        tx.commit().unwrap();
    }
}

fn check(store: &Store, model: &Model) {
    for (sink, parts) in model {
        let all = Batching { rows_max: usize::MAX, bytes_max: usize::MAX, ..Batching::default() };
        let entries = store.read_outbox(sink, None, all).unwrap();
        let found: BTreeMap<_, _> =
            entries.iter().map(|e| ((e.position.epoch.0, e.position.part), e.change.clone())).collect();
        assert_eq!(&found, parts);
        let mut size = Size::default();
        entries.iter().for_each(|entry| size += entry.size);
        assert_eq!(store.outbox_size(sink).unwrap(), size);
        for entry in &entries {
            let next = (entry.position.epoch.0, entry.position.part + 1);
            let is_last = !parts.contains_key(&next);
            assert_eq!(entry.position.last_part, is_last, "{:?}", entry.position);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_outbox_is_a_queue_per_sink(actions in actions()) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), &memory()).unwrap();
        let (mut model, mut epoch) = (Model::new(), 0);
        let mut after: BTreeMap<&str, Position> = BTreeMap::new();
        for action in actions {
            match action {
                Action::Commit(parts) => {
                    epoch += 1;
                    put(&store, epoch, &parts, &mut model, true);
                }
                Action::Abort(parts) => put(&store, epoch + 1, &parts, &mut model, false),
                Action::Deliver(sink, rows_max) => {
                    let limits = Batching { rows_max, ..Batching::default() };
                    let entries = store.read_outbox(sink, after.get(sink).copied(), limits).unwrap();
                    let queue = model.entry(sink).or_default();
                    prop_assert_eq!(entries.is_empty(), queue.is_empty());
                    let n_rows: usize = entries.iter().map(|entry| ids(&entry.change).len()).sum();
                    prop_assert!(n_rows <= rows_max || entries.len() == 1);
                    for entry in &entries {
                        let (position, change) = queue.pop_first().unwrap();
                        prop_assert_eq!(position, (entry.position.epoch.0, entry.position.part));
                        prop_assert_eq!(&change, &entry.change);
                    }
                    let Some(last) = entries.last().map(|entry| entry.position) else { continue };
                    let known = SinkRecord { may_have: None, delivered: Some(last) };
                    store.delivered(sink, entries.iter().map(|entry| entry.position), &known).unwrap();
                    prop_assert_eq!(store.sinks().unwrap().get(sink).copied(), Some(known));
                    after.insert(sink, last);
                }
                Action::Skip(sink) => {
                    let Some(((epoch, part), change)) = model.entry(sink).or_default().pop_first() else { continue };
                    let upto = Position { epoch: Epoch(epoch), part, last_part: true };
                    let dropped = store.drop_outbox_to(sink, upto).unwrap();
                    prop_assert_eq!(dropped.rows, ids(&change).len() as u64);
                    after.insert(sink, upto);
                }
                Action::Remove(sink) => {
                    store.remove_sink(sink).unwrap();
                    model.entry(sink).or_default().clear();
                    prop_assert!(!store.sinks().unwrap().contains_key(sink));
                }
                Action::Reopen => {
                    drop(store);
                    after.clear();
                    store = Store::open(dir.path(), &memory()).unwrap();
                }
            }
            check(&store, &model);
        }
    }
}

#[test]
fn bytes_are_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &memory()).unwrap();
    put(&store, 1, &vec![("a", false, 2), ("a", true, 1)], &mut Model::new(), true);
    let mut frames = Vec::new();
    let (from, end) = (key::outboxes("a"), key::after(&key::outboxes("a")));
    store
        .each_result(&from, &end, |key, bytes| {
            let payload = frame::open(Kind::Outbox, bytes, String::new)?;
            frames.push((key.to_vec(), payload[..9].to_vec()));
            Ok(true)
        })
        .unwrap();
    let expected = [
        (b"oa\0\0\0\0\0\0\0\0\x01\0\0\0\0".to_vec(), vec![0, 2, 0, 0, 0, 16, 0, 0, 0]),
        (b"oa\0\0\0\0\0\0\0\0\x01\0\0\0\x01".to_vec(), vec![3, 1, 0, 0, 0, 8, 0, 0, 0]),
    ];
    assert_eq!(frames, expected, "version 1: flags, rows, bytes in memory; then the IPC stream of ipc.rs");
    let known = SinkRecord {
        may_have: None,
        delivered: Some(Position { epoch: Epoch(3), part: 1, last_part: true }),
    };
    let text = br#"{"may_have":null,"delivered":{"epoch":3,"part":1,"last_part":true}}"#;
    assert_eq!(record::encode(Kind::Sink, &known)[2..2 + text.len()], text[..]);
}
