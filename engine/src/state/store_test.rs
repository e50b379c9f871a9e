//! The store against a model, against damage, and against a process that dies.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use proptest::prelude::*;

use super::failpoint::Point;
use super::frame::Kind;
use super::*;
use crate::connector::SchemaSeen;
use crate::facts::{EpochFact, Facts, FloorFact, PartitionFact};
use crate::time::Epoch;
use crate::time::window::PaneId;

fn memory() -> Memory {
    Memory::new(8 << 20, 16 << 20)
}

fn settings(parallelism: usize) -> Settings {
    Settings {
        parallelism,
        lateness_ms: 0,
        provisional: true,
        retention_ms: 1,
        group_bytes_max: 16 << 20,
        dead_letters_kept_ms: 604_800_000,
    }
}

fn states(groups: &BTreeMap<i64, i64>) -> RecordBatch {
    RecordBatch::try_from_iter([
        ("key", Arc::new(Int64Array::from_iter_values(groups.keys().copied())) as _),
        ("sum", Arc::new(Int64Array::from_iter_values(groups.values().copied())) as _),
    ])
    .expect("equal lengths")
}

type Groups = BTreeMap<(u16, PaneId), BTreeMap<i64, i64>>;

fn load(store: &Store) -> Groups {
    let (mut groups, mut epochs) = (Groups::new(), BTreeMap::new());
    store
        .load_panes(&mut |block: PaneBlock| {
            let pane = (block.subtask, block.pane);
            let last = epochs.insert(pane, block.epoch);
            assert!(last <= Some(block.epoch), "blocks of a pane come in ascending order");
            let column = |i: usize| block.states.column(i).as_primitive::<Int64Type>().values();
            let rows = column(0).iter().copied().zip(column(1).iter().copied());
            groups.entry(pane).or_default().extend(rows);
            Ok(())
        })
        .expect("readable");
    groups
}

fn partition(partition: i32, next_offset: i64) -> PartitionFact {
    PartitionFact {
        partition,
        next_offset,
        watermark_ms: Some(-1),
        idle: false,
        floor_ms: None,
        bounded_end: Some(i64::MAX),
        name: (partition == 1).then(|| "a.avro#0f".to_owned()),
        end_offset: None,
    }
}

fn floor(epoch: u64) -> FloorFact {
    FloorFact { epoch: Epoch(epoch), partition: 0, next_offset: -1, floor_ms: 5 }
}

fn seen(schema_id: u32, compatible: bool) -> SchemaSeen {
    SchemaSeen {
        schema_id,
        subject: Some("shop.orders-value".to_owned()),
        version: None,
        partition: 1,
        first_offset: 17,
        compatible,
        detail: "writer \"a\", reader \"b\"".to_owned(),
        table: Vec::new(),
    }
}

/// Facts of an epoch that keep the last few epochs and floors only, as the coordinator does.
fn facts(epoch: u64) -> Facts {
    let epoch_fact = |epoch: u64| EpochFact {
        epoch: Epoch(epoch),
        committed_at_ms: 1_000,
        duration_ms: 1.5,
        rows_in: epoch,
        bytes_written: 10,
    };
    Facts {
        epoch: Epoch(epoch),
        committed_at_ms: Some(1_000),
        watermark_ms: Some(-7),
        partitions: Arc::new(vec![partition(0, i64::MAX), partition(3, epoch.cast_signed())]),
        epochs: Arc::new((epoch.saturating_sub(4).max(1)..=epoch).map(epoch_fact).collect()),
        floors: Arc::new((epoch / 3..=epoch / 2).map(floor).collect()),
        schemas: Arc::new((1..=2).map(|id| seen(id, !epoch.is_multiple_of(5))).collect()),
        ..Facts::default()
    }
}

#[derive(Debug, Clone)]
enum Action {
    Put {
        pane: PaneId,
        key: i64,
        sum: i64,
    },
    /// All groups of a pane anew, older blocks deleted.
    Rewrite {
        pane: PaneId,
    },
    Close {
        pane: PaneId,
    },
    /// Every group to another subtask.
    Rescale {
        parallelism: u16,
    },
}

/// Some of them side panes.
fn panes() -> impl Strategy<Value = PaneId> {
    (-2..3i64, prop::option::weighted(0.4, 0..3i64))
        .prop_map(|(start_ms, side_ms)| PaneId { start_ms: start_ms * 10, side_ms })
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (panes(), 0..5i64, any::<i64>())
            .prop_map(|(pane, key, sum)| Action::Put { pane, key, sum }),
        1 => panes().prop_map(|pane| Action::Rewrite { pane }),
        1 => panes().prop_map(|pane| Action::Close { pane }),
    ]
}

#[derive(Debug, Clone)]
enum Epochs {
    Commit(Vec<Action>),
    Rescale(u16),
    /// Prepared, and lost with the process.
    Lose(Vec<Action>),
    Reopen,
}

fn epochs() -> impl Strategy<Value = Epochs> {
    let actions = || prop::collection::vec(action(), 0..6);
    prop_oneof![
        6 => actions().prop_map(Epochs::Commit),
        1 => (1..4u16).prop_map(Epochs::Rescale),
        1 => actions().prop_map(Epochs::Lose),
        1 => Just(Epochs::Reopen),
    ]
}

struct Model {
    parallelism: u16,
    groups: Groups,
}

impl Model {
    fn apply(&mut self, actions: &[Action], tx: &mut Transaction) {
        for (seq, action) in actions.iter().enumerate() {
            let seq = u16::try_from(seq).expect("few");
            let epoch = tx.epoch();
            match *action {
                Action::Put { pane, key, sum } => {
                    let subtask = u16::try_from(key).expect("small") % self.parallelism;
                    let changed = BTreeMap::from([(key, sum)]);
                    tx.put_pane(subtask, pane, seq, &states(&changed)).expect("written");
                    self.groups.entry((subtask, pane)).or_default().extend(changed);
                }
                Action::Rewrite { pane } => {
                    for (at, groups) in &self.groups {
                        if at.1 == pane {
                            tx.put_pane(at.0, pane, seq, &states(groups)).expect("written");
                            tx.delete_pane_before(at.0, pane, epoch);
                        }
                    }
                }
                Action::Close { pane } => {
                    (0..self.parallelism).for_each(|subtask| tx.delete_pane(subtask, pane));
                    self.groups.retain(|at, _| at.1 != pane);
                }
                Action::Rescale { parallelism } => {
                    self.parallelism = parallelism;
                    let mut moved = Groups::new();
                    for (at, groups) in std::mem::take(&mut self.groups) {
                        for (key, sum) in groups {
                            let subtask = u16::try_from(key).expect("small") % parallelism;
                            moved.entry((subtask, at.1)).or_default().insert(key, sum);
                        }
                    }
                    for (at, groups) in &moved {
                        tx.put_pane(at.0, at.1, seq, &states(groups)).expect("written");
                    }
                    tx.delete_subtasks_before(epoch).expect("readable");
                    self.groups = moved;
                }
            }
        }
        tx.set_facts(&facts(epoch_of(tx)), settings(self.parallelism.into()));
    }
}

fn epoch_of(tx: &Transaction) -> u64 {
    tx.epoch().0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn state_after_any_sequence_is_that_of_the_last_commit(
        sequence in prop::collection::vec(epochs(), 1..25),
    ) {
        let (dir, memory) = (tempfile::tempdir().expect("made"), memory());
        let mut store = Store::open(dir.path(), &memory).expect("opened");
        let (mut model, mut epoch) = (Model { parallelism: 1, groups: Groups::new() }, 0);
        for step in sequence {
            match step {
                Epochs::Commit(actions) => {
                    epoch += 1;
                    let mut tx = store.begin(Epoch(epoch));
                    model.apply(&actions, &mut tx);
                    prop_assert!(0 < tx.commit().expect("committed"));
                }
                Epochs::Rescale(parallelism) => {
                    epoch += 1;
                    let mut tx = store.begin(Epoch(epoch));
                    model.apply(&[Action::Rescale { parallelism }], &mut tx);
                    tx.commit().expect("committed");
                }
                Epochs::Lose(actions) => {
                    let mut tx = store.begin(Epoch(epoch + 1));
                    let mut lost =
                        Model { parallelism: model.parallelism, groups: model.groups.clone() };
                    lost.apply(&actions, &mut tx);
                }
                Epochs::Reopen => {
                    drop(store);
                    store = Store::open(dir.path(), &memory).expect("opened");
                }
            }
        }
        drop(store);
        for store in [
            Store::open_read_only(dir.path()).expect("opened"),
            Store::open(dir.path(), &memory).expect("opened"),
        ] {
            prop_assert_eq!(load(&store), model.groups.clone());
            let expected = (epoch != 0)
                .then(|| Recovered { facts: facts(epoch), settings: settings(model.parallelism.into()) });
            prop_assert_eq!(store.recovered(), expected);
        }
    }
}

#[test]
fn an_epoch_number_is_never_used_twice() {
    let dir = tempfile::tempdir().expect("made");
    let store = Store::open(dir.path(), &memory()).expect("opened");
    for epoch in [1, 5] {
        commit(&store, epoch).expect("ascending");
    }
    let refusal = commit(&store, 5).expect_err("used twice").to_string();
    assert_eq!(refusal, "epoch 5 cannot be committed after epoch 5");
}

fn commit(store: &Store, epoch: u64) -> Result<u64, Error> {
    let mut tx = store.begin(Epoch(epoch));
    tx.put_pane(0, PaneId::whole(0), 0, &states(&BTreeMap::from([(1, epoch.cast_signed())])))?;
    tx.set_facts(&facts(epoch), settings(1));
    tx.commit()
}

fn identity() -> Identity {
    Identity {
        event_time: 0,
        fingerprint: u64::MAX,
        sql: "SELECT '\u{1F600}'\n".to_owned(),
        shown_sql: "SELECT '${FACE}'\n".to_owned(),
        source: "orders".to_owned(),
        source_identity: "topic=shop.orders".to_owned(),
        reader_schema: "{\"type\":\"record\"}".to_owned(),
        source_schema: Arc::new(Schema::new(vec![Field::new("amount", DataType::Decimal128(18, 2), true)])),
        topic_id: None,
        incarnation: 1,
    }
}

#[test]
fn a_second_opener_is_refused_and_the_identity_is_kept() {
    let (dir, memory) = (tempfile::tempdir().expect("made"), memory());
    let path = dir.path().join("pipelines/revenue");
    assert!(matches!(Store::open_read_only(&path), Err(Error::Storage { .. })));
    let store = Store::open(&path, &memory).expect("opened");
    assert_eq!(store.identity().expect("readable"), None);
    store.set_identity(&identity()).expect("written");
    assert!(matches!(Store::open(&path, &memory), Err(Error::Locked { .. })));
    drop(store);
    let files = || {
        let entries = std::fs::read_dir(&path).expect("a folder").map(|entry| {
            let entry = entry.expect("readable");
            (entry.file_name(), entry.metadata().expect("known").modified().expect("known"))
        });
        entries.collect::<BTreeMap<_, _>>()
    };
    let before = files();
    let store = Store::open_read_only(&path).expect("opened");
    assert_eq!(store.identity().expect("readable"), Some(identity()));
    assert!(store.set_identity(&identity()).is_err(), "read only");
    assert_eq!(files(), before, "nothing is written");
}

#[test]
fn a_folder_whose_making_was_cut_short_holds_nothing_and_can_be_opened() {
    let (dir, memory) = (tempfile::tempdir().expect("made"), memory());
    let path = dir.path().join("revenue");
    assert!(!Store::exists(&path));
    // RocksDB makes the default family, then the others: here it got no further.
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    drop(rocksdb::DB::open(&options, &path).expect("made"));
    assert!(!Store::exists(&path));
    let store = Store::open(&path, &memory).expect("opened");
    assert_eq!(store.identity().expect("readable"), None);
    drop(store);
    assert!(Store::exists(&path));
}

/// Overwrites the value at `key` with what `damage` makes of it.
fn damage(dir: &Path, family: &str, key: &[u8], damage: impl Fn(&mut Vec<u8>)) {
    let memory = memory();
    let db =
        rocksdb::DB::open_cf_descriptors(&memory.database(false), dir, memory.families()).expect("opened");
    let family = db.cf_handle(family).expect("a family");
    let mut value = db.get_cf(family, key).expect("readable").expect("there");
    damage(&mut value);
    db.put_cf(family, key, value).expect("written");
}

#[test]
fn damaged_values_are_named_errors() {
    let dir = tempfile::tempdir().expect("made");
    let open = || Store::open(dir.path(), &memory());
    let store = open().expect("opened");
    store.set_identity(&identity()).expect("written");
    commit(&store, 1).expect("committed");
    drop(store);

    damage(dir.path(), memory::STATE, &pane_key(), |value| value[40] ^= 1);
    damage(dir.path(), "default", key::IDENTITY, |value| value.truncate(9));
    let store = open().expect("the head is intact");
    let refusal = store.load_panes(&mut |_| Ok(())).expect_err("damaged").to_string();
    assert!(refusal.starts_with("the block of state [00, 00, 80, "), "{refusal}");
    assert!(refusal.contains("is damaged: its checksum is"), "{refusal}");
    let refusal = store.identity().expect_err("damaged").to_string();
    assert!(refusal.starts_with("the pipeline's identity is damaged: its checksum"), "{refusal}");
    drop(store);

    damage(dir.path(), "default", key::HEAD, |value| value[0] = 9);
    assert_eq!(
        open().expect_err("unknown").to_string(),
        "the last epoch's head has format version 9, this version of weir reads version 1"
    );
}

fn pane_key() -> Vec<u8> {
    key::PaneKey { subtask: 0, pane: PaneId::whole(0), epoch: Epoch(1), seq: 0 }.encode()
}

#[test]
fn records_are_pinned() {
    let pinned = |kind, payload: &str| {
        let mut value = frame::begin(kind);
        value.extend_from_slice(payload.as_bytes());
        frame::seal(value)
    };
    let all = facts(1);
    let head = r#"{"epoch":1,"committed_at_ms":1000,"watermark_ms":-7,"closed_ms":null,"counters":{"rows_in":0,"rows_out":0,"late_rows":0,"tombstones":0,"dead_letters":0},"settings":{"parallelism":2,"lateness_ms":0,"provisional":true,"retention_ms":1,"group_bytes_max":16777216,"dead_letters_kept_ms":604800000},"partitions":[{"partition":0,"next_offset":9223372036854775807,"watermark_ms":-1,"idle":false,"floor_ms":null,"bounded_end":9223372036854775807},{"partition":3,"next_offset":1,"watermark_ms":-1,"idle":false,"floor_ms":null,"bounded_end":9223372036854775807}]}"#;
    let written = record::encode(Kind::Head, &record::Head::of(&all, settings(2)));
    assert_eq!(written, pinned(Kind::Head, head));
    let before = head.replace(r#","group_bytes_max":16777216,"dead_letters_kept_ms":604800000"#, "");
    let before: record::Head<'_> = serde_json::from_str(&before).unwrap();
    assert_eq!(before.recovered().settings, settings(2), "as it was before it was a setting");
    let epoch = r#"{"epoch":1,"committed_at_ms":1000,"duration_ms":1.5,"rows_in":1,"bytes_written":10}"#;
    assert_eq!(record::encode(Kind::Epoch, &all.epochs[0]), pinned(Kind::Epoch, epoch));
    let set = r#"{"epoch":1,"partition":0,"next_offset":-1,"floor_ms":5}"#;
    assert_eq!(record::encode(Kind::Floor, &floor(1)), pinned(Kind::Floor, set));
    let schema = r#"{"schema_id":1,"subject":"shop.orders-value","version":null,"partition":1,"first_offset":17,"compatible":true,"detail":"writer \"a\", reader \"b\""}"#;
    assert_eq!(record::encode(Kind::Schema, &seen(1, true)), pinned(Kind::Schema, schema));
}

/// Runs in a process of its own, below: commits epochs into the folder it is given.
#[test]
fn commits_until_it_dies() {
    let Some(dir) = std::env::var_os("WEIR_STORE_TEST_DIR") else { return };
    let store = Store::open(Path::new(&dir), &memory()).expect("opened");
    for epoch in 1..=10 {
        commit(&store, epoch).expect("committed");
    }
}

#[test]
fn a_killed_process_leaves_the_epoch_whole_or_not_at_all() {
    for (point, last_epoch) in [(Point::BeforeCommit, 2), (Point::AfterCommit, 3)] {
        let dir = tempfile::tempdir().expect("made");
        let killed = std::process::Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "state::store_test::commits_until_it_dies"])
            .env("WEIR_STORE_TEST_DIR", dir.path())
            .env(failpoint::VARIABLE, format!("{}:3", point.name()))
            .output()
            .expect("started");
        assert!(!killed.status.success(), "{point:?}: {killed:?}");
        let store = Store::open(dir.path(), &memory()).expect("opened");
        assert_eq!(store.recovered().expect("committed").facts, facts(last_epoch), "{point:?}");
        let sums = BTreeMap::from([(1, last_epoch.cast_signed())]);
        assert_eq!(load(&store), Groups::from([((0, PaneId::whole(0)), sums)]), "{point:?}");
    }
}

#[test]
fn facts_are_written_as_differences() {
    let dir = tempfile::tempdir().expect("made");
    let store = Store::open(dir.path(), &memory()).expect("opened");
    let with_epochs = |epoch: u64, epochs: VecDeque<EpochFact>| Facts {
        epoch: Epoch(epoch),
        epochs: Arc::new(epochs),
        ..Facts::default()
    };
    let many: VecDeque<_> = (0..1_000)
        .map(|i| EpochFact { rows_in: i, ..facts(1).epochs[0].clone() })
        .enumerate()
        .map(|(i, fact)| EpochFact { epoch: Epoch(i as u64 + 1), ..fact })
        .collect();
    let write = |facts: &Facts| {
        let mut tx = store.begin(facts.epoch);
        tx.set_facts(facts, settings(1));
        tx.commit().expect("committed")
    };
    let all = write(&with_epochs(1_000, many.clone()));
    let mut next = many;
    next.pop_front();
    next.push_back(EpochFact { epoch: Epoch(1_001), ..next[0].clone() });
    let one = write(&with_epochs(1_001, next));
    assert!(one * 100 < all, "{one} of {all} bytes");
}

#[test]
fn a_reset_forgets_all_but_the_epoch_and_the_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &memory()).unwrap();
    assert_eq!(store.incarnation().unwrap(), 1);
    let identity = identity();
    store.set_identity(&identity).unwrap();
    let mut tx = store.begin(Epoch(7));
    tx.put_pane(1, PaneId::whole(10), 0, &states(&BTreeMap::from([(1, 2)]))).unwrap();
    let facts = Facts {
        epoch: Epoch(7),
        partitions: Arc::new(vec![partition(0, 5)]),
        floors: Arc::new(vec![FloorFact { epoch: Epoch(7), partition: 0, next_offset: 1, floor_ms: 2 }]),
        ..Facts::default()
    };
    tx.set_facts(&facts, settings(2));
    tx.commit().unwrap();

    let forgotten = store.forget().unwrap();
    assert_eq!(forgotten, Forgotten { epoch: Epoch(7), incarnation: identity.incarnation + 1 });
    drop(store);
    let store = Store::open(dir.path(), &memory()).unwrap();
    assert!(store.identity().unwrap().is_none() && load(&store).is_empty());
    assert_eq!(store.recovered().unwrap().facts, Facts { epoch: Epoch(7), ..Facts::default() });
    assert_eq!(store.incarnation().unwrap(), forgotten.incarnation);
    let mut again = store.begin(Epoch(7));
    again.set_facts(&Facts { epoch: Epoch(7), ..Facts::default() }, settings(2));
    assert!(matches!(again.commit(), Err(Error::StaleEpoch { .. })), "epochs go on counting");
    assert_eq!(store.forget().unwrap().incarnation, forgotten.incarnation + 1, "never reused");
}
