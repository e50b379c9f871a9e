//! `weir registry` over HTTP, as it is sent: media types, limits, who is let in, and its end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use expect_test::expect;

use crate::weir::{Running, command, outcome, weir, write};

const V1: &str = "application/vnd.schemaregistry.v1+json";

/// A registry on a free port, its data below a folder.
struct Registry {
    running: Running,
    address: String,
}

impl Registry {
    fn start(data_dir: &str, more: &[&str]) -> Self {
        let arguments = [&["registry", "--listen", "127.0.0.1:0", "--data-dir", data_dir], more].concat();
        let mut running = Running::start(command(&arguments));
        let url = running.url("the schema registry is listening");
        Self { running, address: url.trim_start_matches("http://").to_owned() }
    }

    /// Status line and headers in lower case, and the body.
    fn send(&self, head: &str, body: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = if head.contains("\r\nhost:") {
            head.to_owned()
        } else {
            format!("{head}\r\nhost: {}", self.address)
        };
        let length =
            if body.is_empty() { String::new() } else { format!("\r\ncontent-length: {}", body.len()) };
        let request = format!("{head}{length}\r\nconnection: close\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }

    #[track_caller]
    fn check(&self, head: &str, body: &str, status: &str, part: &str) -> String {
        let (answer, text) = self.send(head, body);
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{head}: {answer}\n{text}");
        assert!(text.contains(part), "{head}: {text}");
        answer
    }
}

const SCHEMA: &str = r#"{"schema": "{\"type\": \"string\"}"}"#;

fn post(content_type: &str) -> String {
    format!("POST /subjects/s/versions HTTP/1.1\r\ncontent-type: {content_type}")
}

#[test]
fn media_types_are_those_of_the_original() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::start(dir.path().to_str().unwrap(), &[]);
    for content_type in [
        V1,
        "application/vnd.schemaregistry+json",
        "application/JSON; charset=utf-8",
        "application/octet-stream",
    ] {
        let answer = registry.check(&post(content_type), SCHEMA, "200", r#"{"id":1}"#);
        assert!(answer.contains(&format!("content-type: {V1}")), "{answer}");
        assert!(answer.contains("x-content-type-options: nosniff"), "{answer}");
    }
    registry.check(&post("text/plain"), SCHEMA, "415", r#""error_code":415"#);
    registry.check(&post(V1), "{", "422", r#""error_code":42201"#);
    for (accept, media_type) in [
        (format!("{V1}, application/vnd.schemaregistry+json, application/json"), V1),
        ("application/json".to_owned(), "application/json"),
        ("*/*".to_owned(), V1),
    ] {
        let answer =
            registry.check(&format!("GET /subjects HTTP/1.1\r\naccept: {accept}"), "", "200", r#"["s"]"#);
        assert!(answer.contains(&format!("content-type: {media_type}\r\n")), "{accept}: {answer}");
    }
    registry.check("GET /subjects HTTP/1.1\r\naccept: text/html", "", "406", r#""error_code":406"#);
    registry.check("GET /nowhere HTTP/1.1", "", "404", r#""error_code":404"#);
    registry.check("PATCH /subjects HTTP/1.1", "", "405", r#""error_code":405"#);
    let (head, body) = registry.send("HEAD /subjects HTTP/1.1", "");
    assert!(head.starts_with("http/1.1 200 ") && body.is_empty(), "{head} {body}");
    let head = format!("{}\r\ncontent-length: 7000000", post(V1));
    registry.check(&head, "", "413", r#""error_code":413"#);
}

#[test]
fn pages_of_others_are_kept_out_and_those_that_are_allowed_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["--allow-host", "registry.example.com", "--allow-origin", "https://ui.example.com"];
    let registry = Registry::start(dir.path().to_str().unwrap(), &more);
    let get = "GET /subjects HTTP/1.1";
    registry.check(&format!("{get}\r\nhost: evil.example"), "", "403", r#""error_code":403"#);
    registry.check(&format!("{get}\r\norigin: https://evil.example"), "", "403", "--allow-origin");
    registry.check(&format!("{get}\r\nhost: registry.example.com"), "", "200", "[]");
    let foreign = "origin: https://ui.example.com";
    let answer = registry.check(&format!("{get}\r\n{foreign}"), "", "200", "[]");
    assert!(answer.contains("access-control-allow-origin: https://ui.example.com"), "{answer}");
    let asked = format!("OPTIONS /config HTTP/1.1\r\n{foreign}\r\naccess-control-request-method: PUT");
    let answer = registry.check(&asked, "", "204", "");
    assert!(answer.contains("access-control-allow-methods: get, post, put, delete"), "{answer}");
}

#[test]
fn schemas_are_there_after_a_stop_alone_and_inside_run() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let registry = Registry::start(data, &[]);
    registry.check(&post(V1), SCHEMA, "200", r#"{"id":1}"#);
    let (code, _, stderr) = outcome(&weir(&["registry", "--listen", "127.0.0.1:0", "--data-dir", data]));
    assert!(code == 1 && stderr.contains("is in use by another weir"), "{stderr}");
    let (code, took) = registry.running.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");

    let project = dir.path().join("shop");
    let files = [
        (
            "weir.yaml",
            "connections:\n  shop: { type: kafka, bootstrap_servers: '127.0.0.1:1', schema_registry: { url: 'http://127.0.0.1:1' } }\nregistry: { listen: 127.0.0.1:0 }\n",
        ),
        ("sources/names.yaml", "connection: shop\ntopic: names\n"),
        ("pipelines/all.yaml", "sql: SELECT * FROM names\n"),
    ];
    write(&project, &files);
    let arguments = ["run", project.to_str().unwrap(), "--listen", "127.0.0.1:0", "--data-dir", data];
    let mut running = Running::start(command(&arguments));
    let url = running.url("the schema registry is listening");
    let registry = Registry { running, address: url.trim_start_matches("http://").to_owned() };
    registry.check("GET /schemas/ids/1 HTTP/1.1", "", "200", "string");
    assert_eq!(registry.running.terminate().0, Some(0));
}

#[test]
fn an_address_that_others_reach_is_refused_unless_it_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (code, _, stderr) =
        outcome(&weir(&["registry", "--listen", "0.0.0.0:0", "--data-dir", data.to_str().unwrap()]));
    assert!(code == 2 && stderr.contains("--allow-unauthenticated"), "{stderr}");
    assert!(!data.exists(), "nothing is made before the command line is right");
}

/// Registers the next version of `orders-value`.
fn register(registry: &Registry, schema: &str) {
    let body = serde_json::json!({ "schema": schema }).to_string();
    let path = format!("POST /subjects/orders-value/versions HTTP/1.1\r\ncontent-type: {V1}");
    registry.check(&path, &body, "200", "id");
}

/// The `weir.yaml` of a project that asks this registry; there is no Kafka.
fn connection(registry: &Registry) -> String {
    format!(
        "connections:\n  shop: {{ type: kafka, bootstrap_servers: '127.0.0.1:1', schema_registry: {{ url: 'http://{}' }} }}\n",
        registry.address
    )
}

#[test]
fn check_tells_which_versions_are_read_and_what_a_next_one_would_break() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::start(dir.path().join("data").to_str().unwrap(), &[]);
    let schema = |fields: &str| format!(r#"{{"type":"record","name":"Order","fields":[{fields}]}}"#);
    let (id, text) = (r#"{"name":"id","type":"long"}"#, r#"{"name":"note","type":"string","default":""}"#);
    let total = r#"{"name":"total","type":"long"}"#;
    registry.check(
        &format!("PUT /config HTTP/1.1\r\ncontent-type: {V1}"),
        r#"{"compatibility": "NONE"}"#,
        "200",
        "NONE",
    );
    for fields in [
        id.to_owned(),
        format!("{id},{text}"),
        r#"{"name":"id","type":"string"}"#.to_owned(),
        format!("{id},{total}"),
    ] {
        register(&registry, &schema(&fields));
    }
    let connection = connection(&registry);
    let project = dir.path().join("shop");
    write(
        &project,
        &[
            ("weir.yaml", &connection),
            (
                "sources/orders.yaml",
                "connection: shop\ntopic: orders\nschema: { subject: orders-value, version: 2 }\n",
            ),
            ("pipelines/notes.yaml", "sql: SELECT id, note FROM orders\n"),
            ("pipelines/ids.yaml", "sql: SELECT id FROM orders\n"),
            ("pipelines/all.yaml", "sql: SELECT * FROM orders\n"),
            (
                "dashboards/shop.yaml",
                "title: Shop\npanels:\n  - { title: Notes, pipeline: all, chart: bar, x: note, y: id }\n",
            ),
        ],
    );
    let check = |more: &[&str]| {
        let arguments = [&["check", project.to_str().unwrap()], more].concat();
        let (code, stdout, stderr) = outcome(&weir(&arguments));
        assert_eq!(stdout, "");
        (code, stderr.replace(&format!("{}/", dir.path().display()), ""))
    };
    let (code, told) = check(&[]);
    assert_eq!(code, 0, "{told}");
    expect![[r#"
        sources/orders.yaml: "orders-value", read with version 2
          versions 1 to 2: read
          version 3: not read: its records become dead letters
            id: the writer's string can't be read as long: the types differ and there is no promotion
            as the reader schema it would break
              dashboards/shop.yaml:3:51: error: pipeline "all" has no column "note" [E0115]
              pipelines/notes.yaml:1:17: error: unknown column "note" [E0204]
                hint: there are "id", "kafka_timestamp"
          version 4: read
            as the reader schema it would break
              dashboards/shop.yaml:3:51: error: pipeline "all" has no column "note" [E0115]
              pipelines/notes.yaml:1:17: error: unknown column "note" [E0204]
                hint: there are "id", "total", "kafka_timestamp"
        shop: right. Sources: 1, pipelines: 3, sinks: 0, dashboards: 1
    "#]]
    .assert_eq(&told);

    let next = |fields: &str| {
        let file = dir.path().join("next.avsc");
        std::fs::write(&file, schema(fields)).unwrap();
        check(&["--next", &format!("orders={}", file.display())])
    };
    let (code, told) = next(&format!("{id},{text},{total}"));
    assert!(code == 0 && told.contains("next.avsc: read\n"), "{told}");
    let (code, told) = next(r#"{"name":"id","type":"long"}"#);
    assert_eq!(code, 1, "{told}");
    expect![[r#"
          next.avsc: read
            as the reader schema it would break
              dashboards/shop.yaml:3:51: error: pipeline "all" has no column "note" [E0115]
              pipelines/notes.yaml:1:17: error: unknown column "note" [E0204]
                hint: there are "id", "kafka_timestamp"
        error: a new version would break what is there
    "#]]
    .assert_eq(told.split_once("with a next version\n").unwrap().1);
}

#[test]
fn check_tells_what_a_table_that_follows_gains_with_each_version() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::start(dir.path().join("data").to_str().unwrap(), &[]);
    let schema =
        |fields: &[&str]| format!(r#"{{"type":"record","name":"Order","fields":[{}]}}"#, fields.join(","));
    let [id, note, unit, total, more] = [
        r#"{"name":"id","type":"long"}"#,
        r#"{"name":"note","type":"string","default":""}"#,
        r#"{"name":"unit","type":"string","default":"m"}"#,
        r#"{"name":"total","type":"long","default":0}"#,
        r#"{"name":"more","type":["null","long"],"default":null}"#,
    ];
    for fields in [&[id, note][..], &[id, note, unit], &[id, unit, total]] {
        register(&registry, &schema(fields));
    }
    let connection = connection(&registry);
    let project = dir.path().join("shop");
    write(
        &project,
        &[
            ("weir.yaml", &connection),
            ("sources/orders.yaml", "connection: shop\ntopic: orders\nschema: follow\n"),
            ("pipelines/ids.yaml", "sql: SELECT id FROM orders\n"),
        ],
    );
    let next = |fields: &[&str]| {
        let file = dir.path().join("next.avsc");
        std::fs::write(&file, schema(fields)).unwrap();
        let next = format!("orders={}", file.display());
        let (code, _, stderr) = outcome(&weir(&["check", project.to_str().unwrap(), "--next", &next]));
        (code, stderr.replace(&format!("{}/", dir.path().display()), ""))
    };
    let (code, told) = next(&[id, unit, total, more]);
    assert_eq!(code, 0, "{told}");
    expect![[r#"
        sources/orders.yaml: "orders-value", read with version 3 and followed
          version 1: read
          version 2: read
            the table gains "unit" VARCHAR NOT NULL
          version 3: read
            the table does not follow it: column "note" is not there as VARCHAR NOT NULL
        sources/orders.yaml: with a next version
          next.avsc: read
            the table gains "more" BIGINT
        shop: right. Sources: 1, pipelines: 1, sinks: 0, dashboards: 0
    "#]]
    .assert_eq(&told);
    let (_, told) = next(&[id, r#"{"name":"unit","type":"long"}"#, total]);
    let why = "    the table does not follow it: its records can't be read: unit: ";
    assert!(told.contains(why), "{told}");
}

#[test]
fn check_says_that_a_version_whose_record_contains_itself_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::start(dir.path().join("data").to_str().unwrap(), &[]);
    let schema =
        |fields: &[&str]| format!(r#"{{"type":"record","name":"Order","fields":[{}]}}"#, fields.join(","));
    let [id, former, unit] = [
        r#"{"name":"id","type":"long"}"#,
        r#"{"name":"former","type":["null","Order"],"default":null}"#,
        r#"{"name":"unit","type":"string","default":"m"}"#,
    ];
    let connection = connection(&registry);
    let project = dir.path().join("shop");
    let check = |choice: &str, more: &[&str]| {
        let source = format!("connection: shop\ntopic: orders\nschema: {choice}\n");
        write(
            &project,
            &[
                ("weir.yaml", &connection),
                ("sources/orders.yaml", &source),
                ("pipelines/ids.yaml", "sql: SELECT id FROM orders\n"),
            ],
        );
        let (code, _, stderr) = outcome(&weir(&[&["check", project.to_str().unwrap()], more].concat()));
        (code, stderr.replace(&format!("{}/", dir.path().display()), ""))
    };
    register(&registry, &schema(&[id]));
    // Before it is registered.
    let file = dir.path().join("next.avsc");
    std::fs::write(&file, schema(&[id, former])).unwrap();
    let next = format!("orders={}", file.display());
    let (code, told) = check("follow", &["--next", &next]);
    assert_eq!(code, 0, "{told}");
    expect![[r#"
        sources/orders.yaml: "orders-value", read with version 1 and followed
          version 1: read
        sources/orders.yaml: with a next version
          next.avsc: read
            the table does not follow it: record "Order" contains itself in field "former", and a table's columns can't nest without end: give the source a schema of its own without that field (schema: { file: … }, or an earlier version, schema: { subject: …, version: … }); records written with this one are then still read, and what they have there is passed over
        shop: right. Sources: 1, pipelines: 1, sinks: 0, dashboards: 0
    "#]].assert_eq(&told);
    let (code, told) = check("latest", &["--next", &next]);
    assert_eq!(code, 1, "{told}");
    expect![[r#"
        sources/orders.yaml: "orders-value", read with version 1
          version 1: read
        sources/orders.yaml: with a next version
          next.avsc: read
            as the reader schema it would break
              sources/orders.yaml:3:1: error: the reader schema can't be used: record "Order" contains itself in field "former", and a table's columns can't nest without end: give the source a schema of its own without that field (schema: { file: … }, or an earlier version, schema: { subject: …, version: … }); records written with this one are then still read, and what they have there is passed over [E0113]
        error: a new version would break what is there
    "#]].assert_eq(&told);

    // Among versions: the table is that of the others.
    register(&registry, &schema(&[id, former]));
    let (code, told) = check("follow", &[]);
    assert_eq!(code, 0, "{told}");
    expect![[r#"
        sources/orders.yaml: "orders-value", read with version 1 and followed
          version 1: read
          version 2: read
            the table does not follow it: record "Order" contains itself in field "former", and a table's columns can't nest without end: give the source a schema of its own without that field (schema: { file: … }, or an earlier version, schema: { subject: …, version: … }); records written with this one are then still read, and what they have there is passed over
        shop: right. Sources: 1, pipelines: 1, sinks: 0, dashboards: 0
    "#]].assert_eq(&told);
    let (code, told) = check("latest", &[]);
    assert_eq!(code, 2, "{told}");
    expect![[r#"
        sources/orders.yaml:3:1: error: the reader schema can't be used: record "Order" contains itself in field "former", and a table's columns can't nest without end: give the source a schema of its own without that field (schema: { file: … }, or an earlier version, schema: { subject: …, version: … }); records written with this one are then still read, and what they have there is passed over [E0113]
    "#]].assert_eq(&told);
    let (code, told) = check("{ subject: orders-value, version: 1 }", &[]);
    assert_eq!(code, 0, "{told}");
    expect![[r#"
        sources/orders.yaml: "orders-value", read with version 1
          version 1: read
          version 2: read
            as the reader schema it would break
              sources/orders.yaml:3:1: error: the reader schema can't be used: record "Order" contains itself in field "former", and a table's columns can't nest without end: give the source a schema of its own without that field (schema: { file: … }, or an earlier version, schema: { subject: …, version: … }); records written with this one are then still read, and what they have there is passed over [E0113]
        shop: right. Sources: 1, pipelines: 1, sinks: 0, dashboards: 0
    "#]].assert_eq(&told);
    register(&registry, &schema(&[id, unit]));
    let (code, told) = check("follow", &[]);
    assert_eq!(code, 0, "{told}");
    expect![[r#"
        sources/orders.yaml: "orders-value", read with version 3 and followed
          version 1: read
          version 2: read
            the table does not follow it: record "Order" contains itself in field "former", and a table's columns can't nest without end: give the source a schema of its own without that field (schema: { file: … }, or an earlier version, schema: { subject: …, version: … }); records written with this one are then still read, and what they have there is passed over
          version 3: read
            the table gains "unit" VARCHAR NOT NULL
        shop: right. Sources: 1, pipelines: 1, sinks: 0, dashboards: 0
    "#]].assert_eq(&told);
}
