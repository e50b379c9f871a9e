//! What bounds the memory of groups: a group that keeps too many rows goes without a result, a pipeline
//! whose open windows hold too much fails, and goes on where it was with more.

use super::*;

fn bounded_run(log: &Log, sql: &str, dir: &Path, options: PipelineOptions) -> PipelineHandle {
    let clock = Arc::new(LookedAtClock::default());
    let handle = try_run(log, sql, dir, options, clock, Arc::new(Recorder::default())).unwrap();
    handle.join();
    handle
}

#[test]
fn too_many_groups_fail_the_pipeline_and_with_more_memory_it_goes_on() {
    // All in windows that stay open until the end, and too many for either subtask alone: when one has
    // ended an epoch the other may still be in it.
    let records: Vec<Record> = (0..60_000).map(|i| (i % 9_000, i, 1)).collect();
    let log = Log::new(vec![records.clone(), records.clone()], 1_000);
    let dir = tempfile::tempdir().unwrap();
    let small = PipelineOptions { state_bytes_max: 1 << 20, ..options(2, true) };
    let handle = bounded_run(&log, SUM_BY_KEY, dir.path(), small);
    let reason = "open windows take more memory than the 1MiB that \"state_memory\" sets aside: raise it, \
                  or make fewer groups or smaller windows";
    let (state, error) = handle.state();
    assert_eq!(state, State::Failed);
    assert!(error.as_deref().is_some_and(|error| error.contains(reason)), "{error:?}");
    let rows_in = handle.snapshot().facts().counters.rows_in;
    assert!(rows_in < 120_000, "{rows_in}");
    drop(handle);
    assert_eq!(run_to_end(&log, SUM_BY_KEY, dir.path(), 2), recompute(&[records.clone(), records]).0);
}

#[test]
fn a_group_with_too_many_rows_is_a_dead_letter_and_others_are_not() {
    let sql = "SELECT window_start, window_end, key, count(*) AS n, sum(DISTINCT amount) AS total \
               FROM HOP(TABLE log, DESCRIPTOR(at), INTERVAL '5' SECOND, INTERVAL '10' SECOND) \
               GROUP BY window_start, window_end, key";
    // Key 0 has few different amounts, key 1 many in each pane, key 2 in both panes of one window together.
    let amount = |i: i64| [i % 50, i, if i < 200 { i } else { 0 }][(i % 3) as usize];
    let records: Vec<Record> =
        (0..3_000).map(|i| (i * 3, i % 3, amount(i))).chain([(30_000, 0, 0)]).collect();
    let log = Log::new(vec![records.clone()], 100);
    for parallelism in [1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let options = PipelineOptions { group_bytes_max: 4 << 10, ..options(parallelism, true) };
        let handle = bounded_run(&log, sql, dir.path(), options);
        assert_eq!(handle.state(), (State::Stopped, None));
        let keys: BTreeSet<(i64, i64)> = rows(&handle.snapshot()).into_keys().collect();
        let expected = [(-5_000, 0), (-5_000, 2), (0, 0), (0, 2), (5_000, 0), (5_000, 2)];
        let last = [(25_000, 0), (30_000, 0)];
        assert_eq!(keys, expected.into_iter().chain(last).collect());
        let letters: Vec<RecordBatch> =
            handle.snapshot().dead_letters(None).unwrap().map(Result::unwrap).collect();
        let column = |name: &str| -> Vec<String> {
            let of = |batch: &RecordBatch| batch.column_by_name(name).unwrap().clone();
            let texts =
                letters.iter().map(of).map(|column| arrow::compute::cast(&column, &DataType::Utf8).unwrap());
            let texts: Vec<ArrayRef> = texts.collect();
            texts
                .iter()
                .flat_map(|column| {
                    column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned())
                })
                .collect()
        };
        assert_eq!(column("reason"), vec!["evaluation_error"; 3]);
        for detail in column("detail") {
            assert_eq!(
                detail,
                "\"sum(DISTINCT log.amount)\": its different values in this group were more than \"group_memory\", now 4KiB: add a column to GROUP BY, \
                 make the windows smaller, or raise it for groups to come"
            );
        }
    }
}
