//! The list of pipelines and the sentence about all of them.

use serde_json::json;
use weir_api::Event;

use super::*;

pub(in crate::view) fn pipeline(name: &str, state: PipelineState) -> Pipeline {
    Pipeline {
        name: name.into(),
        state,
        epoch: 1_234,
        committed_at: None,
        watermark: Some("1970-01-01T00:00:10.000Z".into()),
        lost_records: 0,
        dead_letters_replayed: 0,
        dead_letters_expired: 0,
        rows_in: 0,
        rows_out: 0,
        late_rows: 0,
        tombstones: 0,
        dead_letters: 1_000,
        error: None,
    }
}

fn store(states: &[(&str, PipelineState)]) -> Store {
    let mut store = Store::default();
    store.set_pipelines(states.iter().map(|(name, state)| pipeline(name, *state)).collect());
    store
}

fn beat(store: &mut Store, name: &str, lag_records: u64, dead_letters: u64) {
    let status = format!(
        r#"{{"pipeline":"{name}","state":"running","epoch":1234,"watermark":"1970-01-01T00:00:10.000Z","lag_records":{lag_records},"rows_per_second":0,"late_rows":0,"dead_letters":{dead_letters}}}"#
    );
    store.fold("1", Event::parse("status", &status).expect("a status")).expect("fits");
}

fn said(store: &Store, extras: &Extras, now_ms: f64) -> (Vec<String>, Summary) {
    let rows = rows(store, extras, now_ms);
    let summary = summary(&rows, extras);
    (rows.into_iter().map(|row| row.name).collect(), summary)
}

fn answer(rows: serde_json::Value) -> SqlResponse {
    let answer = json!({"columns": [], "rows": rows, "row_count": 0, "truncated": false, "epochs": {}, "elapsed_ms": 1.0});
    serde_json::from_value(answer).expect("an answer")
}

fn sinks(rows: serde_json::Value) -> Extras {
    let mut extras = Extras::default();
    extras.read_sinks(&answer(rows));
    extras.read_losses(&answer(json!([])));
    extras
}

#[test]
fn worst_stands_first_and_is_named() {
    let store = store(&[
        ("a", PipelineState::Running),
        ("b", PipelineState::Stopped),
        ("c", PipelineState::Failed),
        ("d", PipelineState::Running),
    ]);
    let down = sinks(json!([["out", "d", "down", 1_204, 1_250_000, 7, "no broker"]]));
    let (names, summary) = said(&store, &down, 11_000.0);
    assert_eq!(names, ["c", "d", "b", "a"]);
    assert_eq!(summary.kind, "bad");
    assert_eq!(summary.text, "c has failed, out does not take the rows of d; 1 more needs a look.");
    let rows = rows(&store, &down, 11_000.0);
    assert_eq!(rows[1].sinks[0].waiting, "1,204 rows waiting, 1.25 MB");
}

#[test]
fn all_is_well_when_nothing_is_wrong() {
    let one = store(&[("a", PipelineState::Running)]);
    let delivers = sinks(json!([["out", "a", "running", 0, 0, 7, null]]));
    assert_eq!(
        said(&one, &delivers, 11_000.0).1.text,
        "All is well: the pipeline is running, the sink delivers."
    );
    let two = store(&[("a", PipelineState::Running), ("b", PipelineState::Running)]);
    let (_, well) = said(&two, &sinks(json!([])), 11_000.0);
    assert_eq!(well.kind, "well");
    assert_eq!(Lives::default().losses_query(), "", "asked once it is known which epochs are new");
    let (_, unknown) = said(&two, &Extras::default(), 11_000.0);
    assert_eq!(
        (unknown.kind, &*unknown.text),
        ("none", "Asking for dead letters; all 2 pipelines are running.")
    );
    let note = "2,000 dead letters are kept: records that were not counted, or late for a window. Each pipeline keeps \
                its own: a record that two read may be there twice.";
    assert_eq!(well.note, note, "older ones are said, too");
    assert!(summary(&[], &delivers).text.starts_with("This project has no pipelines."));
}

#[test]
fn behind_is_who_has_something_to_read() {
    let mut store = store(&[("busy", PipelineState::Running), ("quiet", PipelineState::Running)]);
    beat(&mut store, "busy", 5, 1_000);
    beat(&mut store, "quiet", 0, 1_000);
    let (_, summary) = said(&store, &Extras::default(), 81_000.0);
    assert_eq!(summary.text, "busy is 1 min 11 s behind.");
    assert_eq!(summary.kind, "warn");
}

#[test]
fn all_is_not_well_while_records_are_lost() {
    let running = ["a", "b", "c"].map(|name| (name, PipelineState::Running));
    let mut store = store(&running);
    let mut extras = Extras::default();
    let lives = json!([["a", 3.5, 100, 900, 40, 0], ["b", 1.0, null, 1_000, 0, 7]]);
    extras.lives = Lives::read(&answer(lives));
    let query = extras.lives.losses_query();
    let conditions = "'15 minutes' OR pipeline = 'a' AND epoch >= 100 GROUP BY pipeline";
    assert!(query.ends_with(conditions), "{query}");
    extras.read_losses(&answer(json!([["a", 1, 1], ["c", 1_204, 4]])));
    let (names, said_of_all) = said(&store, &extras, 11_000.0);
    assert_eq!((names.join(" ").as_str(), said_of_all.kind), ("a c b", "warn"));
    assert_eq!(
        said_of_all.text,
        "a and c have 1,205 new dead letters in the last 15 min, 5 of them late rows."
    );
    assert_eq!(
        said_of_all.note,
        "1,060 dead letters are kept: records that were not counted, or late for a window. 40 dead letters are kept no \
         longer. 7 records are gone from Kafka before being read. Each pipeline keeps its own: a record that two read may \
         be there twice."
    );
    let of_a = &rows(&store, &extras, 0.0)[0];
    assert_eq!((&*of_a.epoch_time, &*of_a.dead_letters_recent), ("3.5 ms", "+1"));
    beat(&mut store, "b", 0, 1_000);
    beat(&mut store, "b", 0, 1_002);
    extras.read_losses(&answer(json!([])));
    let (names, said_of_all) = said(&store, &extras, 11_000.0);
    assert_eq!(names, ["b", "a", "c"]);
    assert_eq!(
        said_of_all.text, "b has 2 new dead letters in the last 15 min.",
        "seen before it is answered"
    );
}

#[test]
fn who_loses_records_and_is_long_behind_stands_before_who_only_loses_them() {
    let running = ["a", "b", "c"].map(|name| (name, PipelineState::Running));
    let mut store = store(&running);
    let mut extras = Extras::default();
    extras.read_losses(&answer(json!([["a", 1, 1], ["b", 2, 0]])));
    for (name, lag_records) in [("a", 0), ("b", 5), ("c", 0)] {
        beat(&mut store, name, lag_records, 1_000);
    }
    let (names, said_of_all) = said(&store, &extras, 81_000.0);
    assert_eq!(names, ["b", "a", "c"]);
    let sentence =
        "b and a have 3 new dead letters in the last 15 min, 1 of them late rows, and one is long behind.";
    assert_eq!(said_of_all.text, sentence);
}

#[test]
fn the_query_has_the_minutes_that_are_said() {
    assert!(LIVES_QUERY.contains(&format!("INTERVAL '{RECENT_MINUTES} minutes'")));
}

#[test]
fn who_waits_is_said_with_what_for() {
    let mut list = vec![pipeline("a", PipelineState::Starting), pipeline("b", PipelineState::Running)];
    list.iter_mut().for_each(|it| it.error = Some("the broker has not answered yet.".into()));
    list.push(pipeline("c", PipelineState::Running));
    let mut store = Store::default();
    store.set_pipelines(list);
    let (names, summary) = said(&store, &sinks(json!([])), 11_000.0);
    assert_eq!((names.join(" ").as_str(), summary.kind), ("a b c", "warn"));
    assert_eq!(summary.text, "2 pipelines wait: the broker has not answered yet.");
}

#[test]
fn what_went_wrong_of_late_is_told_apart() {
    let mut store = store(&[("a", PipelineState::Running)]);
    assert_eq!(rows(&store, &Extras::default(), 0.0)[0].rows_per_second, "–");
    beat(&mut store, "a", 0, 1_000);
    beat(&mut store, "a", 0, 1_003);
    let row = &rows(&store, &Extras::default(), 0.0)[0];
    assert_eq!((&*row.dead_letters, &*row.dead_letters_recent, &*row.late_rows_recent), ("1,003", "+3", ""));
}

#[test]
fn small_line_ends_at_the_right_edge() {
    let points = |rates: &[f64]| spark_points(rates.iter().copied());
    assert_eq!(points(&[5.0]), "");
    assert_eq!(points(&[0.0, 5.0]), "59.0,15.0 60.0,1.0");
    assert_eq!(points(&[0.0, 0.0]), "59.0,15.0 60.0,15.0");
}
