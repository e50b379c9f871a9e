//! A project that is started again: what it kept, and what no longer fits.

use std::path::Path;

use weir_connectors::mock::MockKafka;

use crate::weir::{Running, command, outcome, weir, write};

const SCHEMA: &str = r#"{"type":"record","name":"o","fields":[{"name":"country","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;

fn pipeline(seconds: u32, format: &str) -> String {
    format!(
        "sql: |\n  SELECT window_end, count(*) AS orders{format}\n  FROM TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '{seconds}' SECOND)\n  GROUP BY window_end\n"
    )
}

/// Starts the project and stops it once its pipeline runs.
fn run_once(dir: &Path) {
    let mut run = Running::start(command(&["run", dir.to_str().unwrap(), "--listen", "127.0.0.1:0"]));
    run.wait_for("pipeline started");
    assert_eq!(run.terminate().0, Some(0));
}

/// A project over `orders` of that Kafka.
fn shop(kafka: &MockKafka) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = format!(
        "project: shop\nconnections:\n  shop: {{ type: kafka, bootstrap_servers: '{}', schema_registry: {{ url: 'http://127.0.0.1:1' }} }}\n",
        kafka.bootstrap_servers()
    );
    let orders = "connection: shop\ntopic: orders\nschema: { file: orders.avsc }\nevent_time: at\n";
    write(
        folder.path(),
        &[
            ("weir.yaml", &root),
            ("sources/orders.avsc", SCHEMA),
            ("sources/orders.yaml", orders),
            ("pipelines/counts.yaml", &pipeline(10, "")),
        ],
    );
    folder
}

/// Every file below `dir` with its length and when it was changed.
fn files(dir: &Path) -> Vec<(std::path::PathBuf, u64, std::time::SystemTime)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let (path, meta) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
        if meta.is_dir() {
            all.extend(files(&path));
        }
        all.push((path, meta.len(), meta.modified().unwrap()));
    }
    all.sort();
    all
}

#[test]
fn inspect_shows_what_is_kept_and_writes_nothing() {
    let kafka = MockKafka::start(1).unwrap();
    kafka.create_topic("orders", 2).unwrap();
    let folder = shop(&kafka);
    write(folder.path(), &[("sinks/files.yaml", "from: counts\ntype: file\npath: out\n")]);
    run_once(folder.path());
    let data_dir = folder.path().join(".weir");
    let before = files(&data_dir);
    let inspect = ["inspect", data_dir.to_str().unwrap(), "--format", "json"];
    let (code, stdout, stderr) = outcome(&weir(&inspect));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let shown: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(shown["format_version"], 1);
    let counts = &shown["pipelines"][0];
    assert_eq!(
        (counts["name"].as_str(), counts["incarnation"].as_u64()),
        (Some("counts"), Some(1)),
        "{stdout}"
    );
    assert_eq!((counts["topic"].as_str(), counts["source"].as_str()), (Some("orders"), Some("orders")));
    let waiting = &counts["sinks"][0];
    assert_eq!((waiting["sink"].as_str(), waiting["outbox_rows"].as_u64()), (Some("files"), Some(0)));
    let query = "SELECT sink, pipeline, state, outbox_rows FROM weir.sinks";
    let offline = ["sql", query, "--format", "csv", "--data-dir", data_dir.to_str().unwrap()];
    let (code, answer, stderr) = outcome(&weir(&offline));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(answer, "sink,pipeline,state,outbox_rows\nfiles,counts,stopped,0\n");
    let (code, text, _) = outcome(&weir(&inspect[..2]));
    assert_eq!(code, 0);
    assert!(text.contains("  sink files: delivered up to epoch "), "{text}");
    assert!(text.contains("\ncounts\n  epoch ") && text.contains("  source orders: topic orders"), "{text}");
    assert_eq!(files(&data_dir), before);
}

#[test]
fn every_format_of_a_query_has_its_rows() {
    let kafka = MockKafka::start(1).unwrap();
    kafka.create_topic("orders", 2).unwrap();
    let folder = shop(&kafka);
    run_once(folder.path());
    let data_dir = folder.path().join(".weir");
    let query = "SELECT name, '' AS empty, error, rows_in FROM weir.pipelines";
    for (format, expected) in [
        ("csv", "name,empty,error,rows_in\ncounts,\"\",,0\n"),
        ("ndjson", "{\"name\":\"counts\",\"empty\":\"\",\"error\":null,\"rows_in\":0}\n"),
        ("json", "\"rows\":[[\"counts\",\"\",null,0]],\"row_count\":1,\"truncated\":false"),
        ("json", "}\n"),
        ("table", "(1 row)\n"),
    ] {
        let words = ["sql", query, "--format", format, "--data-dir", data_dir.to_str().unwrap()];
        let (code, stdout, stderr) = outcome(&weir(&words));
        assert_eq!((code, stderr.as_str()), (0, ""), "{format}");
        let is_whole = matches!(format, "csv" | "ndjson");
        assert!(stdout.contains(expected) && (!is_whole || stdout == expected), "{format}: {stdout}");
    }
    let (code, stdout, stderr) =
        outcome(&weir(&["sql", "SELECT 1 / 0", "--data-dir", data_dir.to_str().unwrap()]));
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    assert!(stderr.contains("[E0303]"), "{stderr}");
}

#[test]
fn reset_makes_a_pipeline_start_over_and_only_when_agreed_and_unused() {
    let kafka = MockKafka::start(1).unwrap();
    kafka.create_topic("orders", 2).unwrap();
    let folder = shop(&kafka);
    let dir = folder.path().to_str().unwrap();
    let (code, _, stderr) = outcome(&weir(&["reset", dir, "counts", "--yes"]));
    assert_eq!(code, 1);
    assert!(stderr.contains("there is no data directory"), "{stderr}");
    assert!(!folder.path().join(".weir").exists());
    run_once(folder.path());

    let mut run = Running::start(command(&["run", dir, "--listen", "127.0.0.1:0"]));
    run.wait_for("pipeline started");
    for words in [&["reset", dir, "counts", "--yes"][..], &["run", dir, "--listen", "127.0.0.1:0"]] {
        let (code, _, stderr) = outcome(&weir(words));
        assert_eq!(code, 1);
        assert!(stderr.contains(".weir\" is in use by another weir, process "), "{stderr}");
    }
    assert_eq!(run.terminate().0, Some(0));

    let (code, _, stderr) = outcome(&weir(&["reset", dir, "count", "--yes"]));
    assert_eq!(code, 2);
    assert!(stderr.contains("there is no pipeline \"count\", did you mean \"counts\"?"), "{stderr}");
    let not_agreed = command(&["reset", dir, "counts"]).stdin(std::process::Stdio::null()).output().unwrap();
    let (code, _, stderr) = outcome(&not_agreed);
    assert_eq!(code, 1);
    assert!(stderr.contains("will forget") && stderr.contains("nothing was done"), "{stderr}");

    // Another query would be refused: it starts over with it.
    write(folder.path(), &[("pipelines/counts.yaml", &pipeline(20, ""))]);
    write(folder.path(), &[("sinks/files.yaml", "from: counts\ntype: file\npath: out\n")]);
    let (code, _, stderr) = outcome(&weir(&["reset", dir, "counts", "--yes"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("as incarnation 2"), "{stderr}");
    assert!(stderr.contains("  sink \"files\" gets rows again"), "{stderr}");
    let data_dir = folder.path().join(".weir");
    let (code, stdout, stderr) =
        outcome(&weir(&["sql", "--data-dir", data_dir.to_str().unwrap(), "SELECT 1 AS one"]));
    assert!(code == 0 && stdout.contains("one"), "a pipeline that was reset has no table: {stderr}");
    run_once(folder.path());
    let (_, stdout, _) = outcome(&weir(&["inspect", data_dir.to_str().unwrap(), "--format", "json"]));
    let shown: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(shown["pipelines"][0]["incarnation"], 2);
}

#[test]
fn state_of_another_query_is_refused_and_of_the_same_one_goes_on() {
    let kafka = MockKafka::start(1).unwrap();
    kafka.create_topic("orders", 2).unwrap();
    let folder = shop(&kafka);
    let dir = folder.path();
    run_once(dir);

    let run = ["run", dir.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    write(dir, &[("pipelines/counts.yaml", &pipeline(20, ""))]);
    let (code, stdout, stderr) = outcome(&weir(&run));
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    assert!(stderr.contains("pipelines/counts.yaml:2:3: error: the state of this pipeline"), "{stderr}");
    assert!(stderr.contains("[E0116]") && stderr.contains("INTERVAL '10' SECOND"), "{stderr}");

    write(dir, &[("pipelines/counts.yaml", &pipeline(10, "  -- the same, and more of it"))]);
    run_once(dir);

    let data_dir = dir.join(".weir");
    let query = ["sql", "SELECT name, state FROM weir.pipelines", "--format", "csv", "--data-dir"];
    let query: Vec<&str> = query.into_iter().chain([data_dir.to_str().unwrap()]).collect();
    assert_eq!(outcome(&weir(&query)), (0, "name,state\ncounts,stopped\n".to_owned(), String::new()));
}

#[test]
fn values_of_variables_in_sql_are_planned_with_and_never_shown() {
    let kafka = MockKafka::start(1).unwrap();
    kafka.create_topic("orders", 2).unwrap();
    let folder = shop(&kafka);
    let dir = folder.path();
    let sql = "sql: >\n  SELECT window_end, count(*) FILTER (WHERE country <> '${COUNTRY}') AS orders,\n  sum(length(country) * ${K}) AS l\n  FROM TUMBLE(TABLE orders, DESCRIPTOR(at), INTERVAL '10' SECOND)\n  WHERE length(country) > ${K}\n  GROUP BY window_end\n";
    write(dir, &[("pipelines/counts.yaml", sql)]);
    let run = ["run", dir.to_str().unwrap(), "--listen", "127.0.0.1:0"];
    let with = |args: &[&str], country: &str, k: &str| {
        let mut command = command(args);
        command.env("COUNTRY", country).env("K", k);
        command
    };
    let mut running = Running::start(with(&run, "Atlantis", "4917503"));
    let url = running.url("listening");
    running.wait_for("pipeline started");
    let detail = ureq::get(format!("{url}/api/v1/pipelines/counts")).call().unwrap();
    let detail = detail.into_body().read_to_string().unwrap();
    assert_eq!(running.terminate().0, Some(0));
    let data_dir = dir.join(".weir");
    let data_dir = data_dir.to_str().unwrap();
    let (code, text, _) = outcome(&weir(&["inspect", data_dir]));
    let (_, json, _) = outcome(&weir(&["inspect", data_dir, "--format", "json"]));
    let (_, explained, _) = outcome(
        &with(&["explain", dir.to_str().unwrap(), "counts"], "Atlantis", "4917503").output().unwrap(),
    );
    for shown in [&detail, &text, &json, &explained] {
        assert!(!shown.contains("Atlantis") && !shown.contains("4917503"), "{shown}");
        assert!(shown.contains("${COUNTRY}") || shown.contains("…(country)"), "{shown}");
    }
    // What is kept is planned anew, with its values and without the environment.
    let (code_sql, _, stderr) = outcome(&weir(&["sql", "SELECT * FROM counts", "--data-dir", data_dir]));
    assert_eq!((code, code_sql), (0, 0), "{stderr}");

    let (code, _, stderr) = outcome(&with(&run, "Lemuria", "4917503").output().unwrap());
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("[E0116]") && stderr.contains("variable in its SQL had another value"),
        "{stderr}"
    );
    assert!(!stderr.contains("Atlantis") && !stderr.contains("Lemuria"), "{stderr}");
    let (_, _, stderr) = outcome(&with(&["check", dir.to_str().unwrap()], "Atlantis", "x").output().unwrap());
    let told = "pipelines/counts.yaml:3:25: error: unknown column \"${K}\" [E0204]";
    assert!(stderr.contains(told) && !stderr.contains("\"x\""), "{stderr}");
}
