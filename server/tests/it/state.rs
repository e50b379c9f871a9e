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

#[test]
fn state_of_another_query_is_refused_and_of_the_same_one_goes_on() {
    let kafka = MockKafka::start(1).unwrap();
    kafka.create_topic("orders", 2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let root = format!(
        "project: shop\nconnections:\n  shop: {{ type: kafka, bootstrap_servers: '{}', schema_registry: {{ url: 'http://127.0.0.1:1' }} }}\n",
        kafka.bootstrap_servers()
    );
    write(
        dir,
        &[
            ("weir.yaml", &root),
            ("sources/orders.avsc", SCHEMA),
            (
                "sources/orders.yaml",
                "connection: shop\ntopic: orders\nschema: { file: orders.avsc }\nevent_time: at\n",
            ),
            ("pipelines/counts.yaml", &pipeline(10, "")),
        ],
    );
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
