//! Commands that end by themselves, and those that are refused.

use std::io::{Read as _, Write as _};
use std::path::Path;

use expect_test::expect;

use crate::weir::{Running, command, outcome, weir, write};

const ROOT: (&str, &str) = (
    "weir.yaml",
    "project: shop\nconnections:\n  shop: { type: kafka, bootstrap_servers: '127.0.0.1:1', schema_registry: { url: 'http://127.0.0.1:1' } }\n",
);
const SCHEMA: (&str, &str) = (
    "sources/orders.avsc",
    r#"{"type":"record","name":"o","fields":[{"name":"country","type":"string"},{"name":"amount","type":"int"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#,
);
const ORDERS: (&str, &str) = (
    "sources/orders.yaml",
    "connection: shop\ntopic: orders\nschema: { file: orders.avsc }\nevent_time: at\n",
);
const REVENUE: (&str, &str) = (
    "pipelines/revenue.yaml",
    "sql: |\n  SELECT window_end, country, sum(amount) AS revenue\n  FROM TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '10' SECOND)\n  GROUP BY window_end, country\n",
);

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[ROOT, SCHEMA, ORDERS, REVENUE]);
    write(dir.path(), files);
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn check_accepts_a_project_without_mistakes() {
    let dir = project(&[]);
    let (code, stdout, stderr) = outcome(&weir(&["check", text(dir.path())]));
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    expect![[r#"
        shop: right. Sources: 1, pipelines: 1, sinks: 0, dashboards: 0
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn check_tells_mistakes_in_sql_sources_and_panels_where_they_stand() {
    let dir = project(&[
        (
            "sources/clicks.yaml",
            "connection: shop\ntopic: c\nschema: { file: orders.avsc }\nevent_time: amount\n",
        ),
        (
            "pipelines/wrong.yaml",
            "epoch: 1s\nsql: |\n  SELECT country,\n         contry AS x\n  FROM orders\n",
        ),
        (
            "dashboards/d.yaml",
            "title: D\npanels:\n  - { title: P, pipeline: revenue, chart: stat, y: revenu }\n",
        ),
        ("pipelines/audit.yaml", "sql: SELECT amount FROM orders\nretention: 0s\n"),
        ("dashboards/audit.yaml", "title: A\npanels:\n  - title: P\n    pipeline: audit\n    chart: table\n"),
    ]);
    let (code, stdout, stderr) = outcome(&weir(&["check", text(dir.path())]));
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    expect![[r#"
        dashboards/audit.yaml:4:15: error: pipeline "audit" keeps no result table to show: its retention is 0s [E0118]
        dashboards/d.yaml:3:52: error: pipeline "revenue" has no column "revenu", did you mean "revenue"? [E0115]
        pipelines/wrong.yaml:4:10: error: unknown column "contry" [E0204]
          hint: did you mean "country"?
        sources/clicks.yaml:4:13: error: event time "amount" is a column of type Int32, not a timestamp, did you mean "at"? [E0114]
    "#]].assert_eq(&stderr);
}

#[test]
fn check_tells_what_a_kafka_sink_can_not_write() {
    let sink = |from: &str, topic: &str, emit: &str| {
        format!("from: {from}\ntype: kafka\nconnection: shop\ntopic: {topic}\nemit: {emit}\n")
    };
    let plain = "sql: SELECT to_timestamp_seconds(amount) AS seconds, at FROM orders\n";
    let dir = project(&[
        ("pipelines/plain.yaml", plain),
        ("sinks/a.yaml", &sink("revenue", "orders", "final")),
        ("sinks/b.yaml", &sink("plain", "out", "final")),
        ("sinks/c.yaml", &sink("plain", "orders2", "updates")),
        ("sinks/d.yaml", &sink("revenue", "out", "updates")),
    ]);
    let (code, stdout, stderr) = outcome(&weir(&["check", text(dir.path())]));
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    expect![[r#"
        sinks/a.yaml:4:8: error: its pipeline reads topic "orders": what it writes there it would read again [E0117]
        sinks/b.yaml:4:8: error: column "seconds": Avro has no type for Timestamp(s): cast it to TIMESTAMP(3) [E0117]
        sinks/c.yaml:4:8: error: column "seconds": Avro has no type for Timestamp(s): cast it to TIMESTAMP(3) [E0117]
        sinks/c.yaml:5:1: error: a pipeline without GROUP BY has no key to update by: say "emit: final" [E0105]
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn check_tells_mistakes_in_sql_beside_those_in_yaml() {
    let dir = project(&[
        ("sources/clicks.yaml", "connection: shop\ntopic: c\nschema: 5\n"),
        ("pipelines/wrong.yaml", "sql: SELECT contry FROM orders\n"),
        ("pipelines/other.yaml", "sql: SELECT a FROM clicks\n"),
        ("dashboards/d.yaml", "titel: D\n"),
    ]);
    let (code, stdout, stderr) = outcome(&weir(&["check", text(dir.path())]));
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    expect![[r#"
        dashboards/d.yaml:1:1: error: unknown key "titel", did you mean "title"? [E0102]
        dashboards/d.yaml:1:1: error: a dashboard needs the key "panels" [E0103]
        pipelines/wrong.yaml:1:13: error: unknown column "contry" [E0204]
          hint: did you mean "country"?
        sources/clicks.yaml:3:9: error: "schema" can't be "5": it is latest, follow, { subject: s, version: 3 } or { file: orders.avsc } [E0105]
    "#]].assert_eq(&stderr);
}

#[test]
fn check_tells_no_mistakes_that_another_one_makes() {
    // Without the mistyped key the event time would be another, and "at" no time to make windows by.
    let orders = "connection: shop\ntopic: orders\nschema: { file: orders.avsc }\nevent_tme: at\n";
    let wrong = "sql: >\n  SELECT contry,\n         amount + 1\n  FROM orders WHERE amonut > 1\n";
    let dir = project(&[("sources/orders.yaml", orders), ("pipelines/clicks.yaml", wrong)]);
    let (code, _, stderr) = outcome(&weir(&["check", text(dir.path())]));
    assert_eq!(code, 2, "{stderr}");
    expect![[r#"
        pipelines/clicks.yaml:3:10: error: an expression needs AS [E0217]
          hint: write amount + 1 AS name
        sources/orders.yaml:4:1: error: unknown key "event_tme", did you mean "event_time"? [E0102]
    "#]]
    .assert_eq(&stderr);
    write(dir.path(), &[ORDERS]);
    let (_, _, stderr) = outcome(&weir(&["check", text(dir.path())]));
    expect![[r#"
        pipelines/clicks.yaml:2:10: error: unknown column "contry" [E0204]
          hint: did you mean "country"?
        pipelines/clicks.yaml:3:10: error: an expression needs AS [E0217]
          hint: write amount + 1 AS name
        pipelines/clicks.yaml:4:21: error: unknown column "amonut" [E0204]
          hint: did you mean "amount"?
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn two_signals_at_once_are_one() {
    let dir = project(&[]);
    let mut run = Running::start(command(&["run", text(dir.path()), "--listen", "127.0.0.1:0"]));
    run.wait_for("pipeline waits");
    let (code, seen) = run.terminate_twice();
    assert_eq!(code, Some(0));
    assert!(seen.contains("pipeline stopped"), "{seen}");
}

#[test]
fn a_signal_ends_a_start_that_waits_for_the_registry() {
    // It takes connections, and never answers.
    let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", registry.local_addr().unwrap());
    let root = format!(
        "connections:\n  shop: {{ type: kafka, bootstrap_servers: '127.0.0.1:1', schema_registry: {{ url: '{url}' }} }}\n"
    );
    let orders = "connection: shop\ntopic: orders\nevent_time: at\n";
    let dir = project(&[("weir.yaml", &format!("project: shop\n{root}")), ("sources/orders.yaml", orders)]);
    let run = Running::start(command(&["run", text(dir.path()), "--listen", "127.0.0.1:0"]));
    let asked = registry.accept().unwrap();
    let (code, elapsed) = run.terminate();
    assert_eq!(code, Some(0));
    assert!(elapsed.as_secs() < 3, "{elapsed:?}");
    drop(asked);
}

#[test]
fn hosts_and_origins_that_no_request_could_name_are_refused() {
    let dir = project(&[]);
    for (flag, value) in [
        ("--allow-host", ""),
        ("--allow-host", "*"),
        ("--allow-host", "http://weir"),
        ("--allow-origin", "wiki.example.com"),
        ("--allow-origin", "https://wiki.example.com/page"),
    ] {
        let (code, _, stderr) = outcome(&weir(&["run", text(dir.path()), flag, value]));
        assert_eq!(code, 2, "{flag} {value}: {stderr}");
        assert!(stderr.contains(&format!("{flag} \"{value}\" is not")), "{stderr}");
    }
}

/// The status of an answer to a request with these headers.
fn status(url: &str, headers: &str) -> u16 {
    let mut stream = std::net::TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "GET /healthz HTTP/1.1\r\nconnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn hosts_and_origins_that_are_allowed_are_let_in_and_no_others() {
    let dir = project(&[]);
    let allowed = ["--allow-host", "weir.example.com", "--allow-origin", "https://wiki.example.com"];
    let data_dir = dir.path().join("kept");
    let listen = ["run", text(dir.path()), "--listen", "127.0.0.1:0", "--data-dir", text(&data_dir)];
    let mut run = Running::start(command(&[&listen[..], &allowed].concat()));
    let url = run.url("listening");
    for (expected, headers) in [
        (200, "host: localhost\r\n"),
        (200, "host: weir.example.com\r\n"),
        (200, "host: weir.example.com\r\norigin: https://wiki.example.com\r\n"),
        (403, "host: weir.example.net\r\n"),
        (403, "host: localhost\r\norigin: https://wiki.example.net\r\n"),
    ] {
        assert_eq!(status(&url, headers), expected, "{headers}");
    }
    assert_eq!(run.terminate().0, Some(0));
    assert!(data_dir.exists() && !dir.path().join(".weir").exists());
}

#[test]
fn check_names_what_it_could_not_ask() {
    let dir = project(&[("sources/orders.yaml", "connection: shop\ntopic: orders\nevent_time: at\n")]);
    let (code, _, stderr) = outcome(&weir(&["check", text(dir.path())]));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("sources/orders.yaml: unchecked: "), "{stderr}");
    let unnamed = "sql: SELECT amount + 1 FROM orders ORDER BY country\n";
    write(dir.path(), &[("pipelines/typo.yaml", "sql: SELEC 1\n"), ("pipelines/unnamed.yaml", unnamed)]);
    let (code, _, stderr) = outcome(&weir(&["check", text(dir.path()), "--offline"]));
    assert_eq!(code, 2, "what is wrong with SQL whatever its columns are needs no schema: {stderr}");
    expect![[r#"
        sources/orders.yaml: unchecked: source "orders": could not ask the schema registry: --offline
        pipelines/revenue.yaml: unchecked: source "orders": could not ask the schema registry: --offline
        pipelines/typo.yaml:1:6: error: expected an SQL statement, found SELEC [E0201]
        pipelines/unnamed.yaml:1:13: error: an expression needs AS [E0217]
          hint: write amount + 1 AS name
        pipelines/unnamed.yaml:1:36: error: ORDER BY needs all rows, and a stream has no end [E0206]
          hint: leave it out: rows come in the order in which windows close; order where you query the result table
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn check_says_which_registry_it_asked_to_whoever_set_its_address() {
    let root = "project: shop\nconnections:\n  shop: { type: kafka, bootstrap_servers: '127.0.0.1:1', schema_registry: { url: '${REGISTRY}', username: weir, password: '${PASSWORD}' } }\n";
    let orders = "connection: shop\ntopic: orders\nevent_time: at\n";
    let dir = project(&[("weir.yaml", root), ("sources/orders.yaml", orders)]);
    let check = |registry: &str, password: &str| {
        let mut check = command(&["check", text(dir.path())]);
        let output = check.env("REGISTRY", registry).env("PASSWORD", password).output().unwrap();
        outcome(&output).2
    };
    let told = check("http://127.0.0.1:2", "hunter2");
    assert!(told.contains("http://127.0.0.1:2/subjects/orders-value"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let told = check("http://weir:hunter2@127.0.0.1:2", "hunter2");
    assert!(told.contains("unchecked") && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_new_project_is_right_and_nothing_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop");
    let new = ["new", text(&shop)];
    let (code, stdout, stderr) = outcome(&weir(&new));
    assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
    assert!(stderr.contains(&format!("weir check {}", shop.display())), "{stderr}");

    let (code, _, stderr) = outcome(&weir(&["check", text(&shop)]));
    assert_eq!(
        (code, stderr.as_str()),
        (0, "shop: right. Sources: 1, pipelines: 1, sinks: 0, dashboards: 1\n")
    );
    let (code, _, stderr) = outcome(&weir(&["inspect", text(&shop)]));
    assert_eq!(code, 1);
    assert!(stderr.contains("is a project, not a data directory, and has none yet"), "{stderr}");

    std::fs::remove_file(shop.join("weir.yaml")).unwrap();
    let (code, _, stderr) = outcome(&weir(&new));
    assert_eq!(code, 2);
    assert_eq!(stderr, format!("error: \"{}\" is not empty: name a new folder\n", shop.display()));
    assert!(!shop.join("weir.yaml").exists());
    let (code, _, stderr) = outcome(&weir(&["new", text(&dir.path().join("my shop"))]));
    assert_eq!(code, 2);
    assert!(stderr.contains("\"my shop\" can't name a project"), "{stderr}");
    assert!(!dir.path().join("my shop").exists());
}

#[test]
fn an_address_that_is_taken_is_told_with_what_names_another() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = project(&[]);
    let (code, _, stderr) = outcome(&weir(&["run", text(dir.path()), "--listen", &address]));
    assert_eq!(code, 1, "{stderr}");
    let told = format!(
        "error: could not listen on {address}: another process does (--listen names another address)\n"
    );
    assert!(stderr.ends_with(&told), "{stderr}");
}

#[test]
fn explain_prints_the_dataflow_to_stdout() {
    let dir = project(&[]);
    let (code, stdout, stderr) = outcome(&weir(&["explain", text(dir.path()), "revenue"]));
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.contains("orders") && stdout.contains("window"), "{stdout}");
    let (code, _, stderr) = outcome(&weir(&["explain", text(dir.path()), "revenu"]));
    assert_eq!(code, 2);
    expect![[r#"
        error: there is no pipeline "revenu", did you mean "revenue"?
    "#]]
    .assert_eq(&stderr);
}

#[test]
fn columns_that_no_query_can_read_are_named() {
    let wide = r#""fields":[{"name":"wide","type":{"type":"bytes","logicalType":"decimal","precision":99}},"#;
    let dir = project(&[(SCHEMA.0, &SCHEMA.1.replace("\"fields\":[", wide))]);
    for args in [vec!["check", text(dir.path())], vec!["explain", text(dir.path()), "revenue"]] {
        let (code, _, stderr) = outcome(&weir(&args));
        assert_eq!(code, 0, "{stderr}");
        assert!(stderr.starts_with("sources/orders.yaml: column \"wide\" is left out: "), "{stderr}");
    }
}

#[test]
fn a_schema_in_which_a_record_contains_itself_is_refused_where_it_is_named() {
    let recursive =
        SCHEMA.1.replace("\"fields\":[", "\"fields\":[{\"name\":\"former\",\"type\":[\"null\",\"o\"]},");
    assert_ne!(recursive, SCHEMA.1);
    let dir = project(&[(SCHEMA.0, &recursive)]);
    for args in [vec!["check", text(dir.path())], vec!["explain", text(dir.path()), "revenue"]] {
        let (code, stdout, stderr) = outcome(&weir(&args));
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        expect![[r#"
            sources/orders.yaml:3:1: error: the reader schema can't be used: record "o" contains itself in field "former", and a table's columns can't nest without end: give the source a schema of its own without that field (schema: { file: … }, or an earlier version, schema: { subject: …, version: … }); records written with this one are then still read, and what they have there is passed over [E0113]
        "#]]
        .assert_eq(&stderr);
    }
}

#[test]
fn what_is_not_there_yet_or_not_safe_is_refused() {
    let dir = project(&[]);
    let dir = text(dir.path());
    for (args, part) in [
        (vec!["schema", "sauce"], "\"sauce\" is no kind of file: project, source, pipeline, sink, dashboard"),
        (
            vec!["run", dir, "--skip-lost", "revenu"],
            "there is no pipeline \"revenu\", did you mean \"revenue\"?",
        ),
        (vec!["run", dir, "--listen", "0.0.0.0:0"], "--allow-unauthenticated"),
        (vec!["run", dir, "--lisen", "127.0.0.1:0"], "--listen"),
        (vec!["demo", "--listen", "0.0.0.0:0"], "loopback"),
    ] {
        let (code, stdout, stderr) = outcome(&weir(&args));
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}

#[test]
fn help_teaches_with_an_example_on_stdout() {
    for args in [vec!["--help"], vec!["run", "--help"], vec!["sql", "--help"], vec!["check", "--help"]] {
        let (code, stdout, stderr) = outcome(&weir(&args));
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(stdout.contains("Example:"), "{args:?}: {stdout}");
    }
}

#[test]
fn a_query_to_nobody_fails_and_says_what_to_do() {
    let (code, stdout, stderr) = outcome(&weir(&["sql", "SELECT 1", "--server", "http://127.0.0.1:1"]));
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("is weir running?"), "{stderr}");
    for (server, hint) in [("127.0.0.1:8080", "as in http://127.0.0.1:8080"), ("ftp://x", "https://")] {
        let (code, _, stderr) = outcome(&weir(&["sql", "SELECT 1", "--server", server]));
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(hint), "{stderr}");
    }
}

#[test]
fn a_run_waits_for_its_broker_keeps_its_folder_and_stops_when_told() {
    let dir = project(&[]);
    let run = ["run", text(dir.path()), "--listen", "127.0.0.1:0"];
    let mut first = Running::start(command(&run));
    let url = first.url("listening");
    let ready =
        ureq::get(format!("{url}/readyz")).config().http_status_as_error(false).build().call().unwrap();
    assert_eq!(ready.status(), 503);

    let (code, _, stderr) = outcome(&weir(&run));
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("in use by another weir"), "{stderr}");

    let (code, elapsed) = first.terminate();
    assert_eq!(code, Some(0));
    assert!(elapsed.as_secs() < 10, "{elapsed:?}");

    let project = text(dir.path());
    for args in [vec!["inspect", project], vec!["sql", "SHOW TABLES", "--data-dir", project]] {
        let (code, _, stderr) = outcome(&weir(&args));
        assert_eq!(code, 1);
        assert!(stderr.contains(&format!("did you mean \"{project}/.weir\"?")), "{stderr}");
    }
}

#[test]
fn values_from_the_environment_are_in_no_log() {
    let root = "project: shop\nconnections:\n  shop: { type: kafka, bootstrap_servers: '${BROKER}', schema_registry: { url: 'http://127.0.0.1:1' } }\n";
    let dir = project(&[("weir.yaml", root)]);
    let mut command = command(&["run", text(dir.path()), "--listen", "127.0.0.1:0"]);
    command.env("BROKER", "broker.secret.invalid:9092").env("WEIR_LOG", "debug");
    let mut run = Running::start(command);
    run.wait_for("pipeline waits");
    let seen = run.seen.join("\n");
    assert!(!seen.contains("broker.secret.invalid"), "{seen}");
    assert_eq!(run.terminate().0, Some(0));
}
