//! Dead letters as they are found again: by id, whole, and where an earlier version wrote them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{Field, Int64Type, Schema};

use super::block::{Meta, TIME};
use super::model_test::{commit, dead_letter, open, spec};
use super::*;
use crate::connector::Reason;
use crate::facts::Facts;
use crate::state::{Series as Name, Settings};
use crate::time::Epoch;

fn facts(epoch: u64) -> Facts {
    Facts { epoch: Epoch(epoch), committed_at_ms: Some(1_000), ..Facts::default() }
}

fn id(epoch: u64, offset: i64) -> LetterId {
    LetterId { epoch: Epoch(epoch), partition: 0, offset }
}

#[test]
fn letters_are_found_whole_by_their_ids_in_whatever_block_they_are() {
    let dir = tempfile::tempdir().expect("made");
    let mut opened = open(dir.path());
    let letter =
        |offset: i64| DeadLetter { payload: Some(vec![0; 10 * offset as usize]), ..dead_letter(offset) };
    let mut last = None;
    for epoch in 1..=60_u64 {
        let group = DeadLetter { partition: None, offset: None, ..letter(0) };
        let dead_letters = vec![letter(epoch as i64), group];
        last = Some(commit(&mut opened, facts(epoch), &Changes { dead_letters, ..Changes::default() }).0);
    }
    let snapshot = last.expect("committed");
    let wanted = [id(3, 3), id(3, 4), id(41, 41), id(59, 59), id(77, 77)];
    let found = snapshot.letters(&wanted, u64::MAX).expect("read");
    let expected = [3, 41, 59].map(|offset| (id(offset as u64, offset), letter(offset)));
    assert_eq!(found, expected, "headers and all");
    let few = snapshot.letters(&wanted, 1).expect("read");
    assert!(!few.is_empty() && few.len() < 3, "no more than fit: {}", few.len());

    let again = letter(41).again(Why::new(Reason::LateRow, "late".to_owned()), "orders");
    let changes =
        Changes { replayed: wanted.to_vec(), dead_letters: vec![again.clone()], ..Changes::default() };
    let (after, _) = commit(&mut opened, facts(61), &changes);
    assert_eq!(after.letters(&wanted, u64::MAX).expect("read"), [], "they are none any more");
    assert_eq!(after.letters(&[id(61, 41)], u64::MAX).expect("read"), [(id(61, 41), again)]);
    assert_eq!(snapshot.letters(&wanted, u64::MAX).expect("read"), expected, "a snapshot never changes");
    let n_left = after.dead_letters(Some(&[3])).expect("a column").map(|rows| rows.expect("read").num_rows());
    assert_eq!(n_left.sum::<usize>(), 120 - 3 + 1);
}

#[test]
fn letters_of_an_earlier_version_have_what_it_knew() {
    let dir = tempfile::tempdir().expect("made");
    let mut opened = open(dir.path());
    let rows = dead_letter::batches(&[dead_letter(7)], Epoch(1)).expect("rows").remove(0);
    let before: Vec<usize> = (0..=dead_letter::EPOCH).collect();
    let rows = rows.project(&before).expect("columns");
    let time = Arc::new(Field::new(TIME, arrow::datatypes::DataType::Int64, false));
    let fields = rows.schema().fields().iter().cloned().chain([time]).collect::<Vec<_>>();
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Int64Array::from(vec![900])) as ArrayRef);
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("fits");
    let mut tx = opened.store.begin(Epoch(1));
    let meta = |stored_bytes| Meta {
        order: 0,
        rows: 1,
        stored_bytes,
        raw_bytes: 100,
        time_min_ms: 900,
        time_max_ms: 900,
        ranges: vec![None],
        columns: 0,
    };
    tx.put_block(Name::DeadLetters, 0, &rows, meta).expect("written");
    tx.set_facts(&facts(1), Settings::default());
    tx.commit().expect("committed");
    opened.tables = Tables::open(&opened.store, spec()).expect("listed");

    let kept_then = DeadLetter { headers: Vec::new(), operator: None, missed_ms: None, ..dead_letter(7) };
    // Merged with those of now, at last.
    for epoch in 2..40 {
        let dead_letters = vec![dead_letter(epoch as i64 + 10)];
        let (snapshot, _) =
            commit(&mut opened, facts(epoch), &Changes { dead_letters, ..Changes::default() });
        let found = snapshot.letters(&[id(1, 7)], u64::MAX).expect("read");
        assert_eq!(found, [(id(1, 7), kept_then.clone())]);
        let rows =
            snapshot.dead_letters(Some(&[12, 13])).expect("columns").next().expect("rows").expect("read");
        assert!(rows.column(0).is_null(0) && rows.column(1).as_primitive::<Int64Type>().value(0) == 0);
    }
}
