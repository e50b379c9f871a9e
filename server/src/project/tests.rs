//! Projects in, typed settings or messages out.

use expect_test::{Expect, expect};
use weir_connectors::kafka::{Metadata, Naming, SchemaChoice, SubjectNames};
use weir_engine::connector::{Emit, Start};
use weir_schemas::wire::Framing;

use super::*;

const ROOT: (&str, &str) = (
    "weir.yaml",
    "project: shop\nconnections:\n  shop:\n    type: kafka\n    bootstrap_servers: ${KAFKA:-localhost:9092}\n    schema_registry: { url: http://localhost:8081, username: weir, password: \"${PASSWORD}\" }\n",
);
const ORDERS: (&str, &str) =
    ("sources/orders.yaml", "connection: shop\ntopic: shop.orders\nevent_time: ordered_at\n");
const REVENUE: (&str, &str) = ("pipelines/revenue.yaml", "sql: |\n  SELECT * FROM orders\n");

fn env(name: &str) -> Option<String> {
    match name {
        "PASSWORD" => Some("hunter2".to_owned()),
        "SECRET" => Some("s3cr3t".to_owned()),
        _ => None,
    }
}

fn write(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn load(files: &[(&str, &str)]) -> Result<Project, Problems> {
    Project::load(write(files).path(), &env)
}

/// Loads the files over the three good ones and compares all messages.
fn check(files: &[(&str, &str)], expected: Expect) {
    let good =
        [ROOT, ORDERS, REVENUE].into_iter().filter(|(path, _)| files.iter().all(|(other, _)| path != other));
    let all: Vec<(&str, &str)> = good.chain(files.iter().copied()).collect();
    let messages = match load(&all) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    };
    assert!(!messages.contains("hunter2") && !messages.contains("s3cr3t"), "{messages}");
    expected.assert_eq(&messages);
}

fn resources() -> Resources {
    Resources { parallelism: 3, state_bytes_max: 1 << 30 }
}

#[test]
fn a_project_has_the_defaults_that_are_documented() {
    let project = load(&[ROOT, ORDERS, REVENUE]).unwrap();
    assert_eq!(project.name, "shop");
    let orders = &project.sources["orders"];
    assert_eq!(orders.schema, SchemaChoice::Latest { subject: "shop.orders-value".to_owned() });
    assert_eq!(orders.start, Start::Earliest);
    let watermark = orders.watermark;
    assert_eq!((watermark.delay_ms, watermark.idle_timeout_ms), (5_000, 30_000));
    assert_eq!((watermark.max_ahead_ms, watermark.max_drift_ms), (86_400_000, 3_600_000));
    let options = project.pipelines["revenue"].options("revenue", resources(), false);
    assert_eq!((options.epoch_ms, options.lateness_ms, options.retention_ms), (250, 0, 604_800_000));
    assert_eq!((options.provisional, options.parallelism), (true, 3));
    assert_eq!((options.group_bytes_max, options.state_bytes_max), (16 << 20, 1 << 30));
    assert!(!format!("{project:?}").contains("hunter2"));
}

#[test]
fn every_setting_is_read() {
    let root = format!(
        "{}pipelines: {{ epoch: 1s, lateness: 2s, parallelism: 4, state_memory: 2TiB, group_memory: 64KiB }}\n",
        ROOT.1
    );
    let orders = "connection: shop\ntopic: t\nformat: avro\nframing: single_object\nschema: { subject: s, version: 3 }\nstart: 2026-11-22T00:00:00Z\nmetadata: [key, offset]\nwatermark: { delay: 1s, idle_timeout: 2s, max_ahead: 3s, max_drift: 4s }\n";
    let clicks = "connection: shop\ntopic: c\nschema: { file: ../clicks.avsc }\nstart: latest\n";
    let views = "connection: shop\ntopic: v\nschema: follow\n";
    let revenue = "sql: SELECT 1\nlateness: 3s\nprovisional: false\nretention: 2d\ngroup_memory: 32MiB\n";
    let dashboard = "title: Shop\npanels:\n  - { title: A, pipeline: revenue, chart: stat, y: orders, aggregate: sum, last: 30m }\n";
    let project = load(&[
        ("weir.yaml", &root),
        ("sources/orders.yaml", orders),
        ("sources/clicks.yaml", clicks),
        ("sources/views.yaml", views),
        ("clicks.avsc", "{}"),
        ("pipelines/revenue.yaml", revenue),
        ("dashboards/shop.yaml", dashboard),
        ("README.md", "not ours"),
    ])
    .unwrap();
    let orders = &project.sources["orders"];
    assert_eq!(orders.schema, SchemaChoice::Version { subject: "s".to_owned(), version: 3 });
    assert_eq!(
        (orders.framing, project.sources["views"].framing),
        (Framing::SingleObject, Framing::Confluent)
    );
    assert_eq!(orders.start, Start::At(1_795_305_600_000));
    assert_eq!(orders.metadata, [Metadata::Key, Metadata::Offset]);
    assert_eq!((orders.watermark.delay_ms, orders.watermark.max_drift_ms), (1_000, 4_000));
    assert_eq!(project.sources["clicks"].schema, SchemaChoice::File("{}".to_owned()));
    assert_eq!(project.sources["views"].schema, SchemaChoice::Follow { subject: "v-value".to_owned() });
    let options = project.pipelines["revenue"].options("revenue", resources(), true);
    assert_eq!((options.epoch_ms, options.lateness_ms, options.retention_ms), (1_000, 3_000, 172_800_000));
    assert_eq!((options.provisional, options.parallelism), (false, 4));
    assert_eq!((options.group_bytes_max, options.state_bytes_max), (32 << 20, 2 << 40));
    let dashboard = &project.dashboards["shop"].dashboard;
    assert_eq!(dashboard.panels[0].last.as_deref(), Some("30m"));
}

#[test]
fn a_protobuf_source_names_its_message_and_may_follow() {
    let of = |more: &str| format!("connection: shop\ntopic: o\n{more}");
    let load_one = |more: &str| load(&[ROOT, ("sources/orders.yaml", of(more).as_str()), REVENUE]);
    let project = load_one("format: protobuf\nmessage: shop.Order\nschema: follow\n").unwrap();
    let orders = &project.sources["orders"];
    assert_eq!(orders.message.as_deref(), Some("shop.Order"));
    assert_eq!(orders.schema, SchemaChoice::Follow { subject: "o-value".to_owned() });
    let refused = |more: &str| load_one(more).unwrap_err().to_string();
    let message = refused("format: json\nmessage: Order\n");
    assert!(message.contains("\"message\" is a key of \"format: protobuf\" alone"), "{message}");
    let follow = refused("format: json\nschema: follow\n");
    assert!(follow.contains("only a source with \"format: avro\" or \"protobuf\" can follow"), "{follow}");
}

#[test]
fn files_of_a_folder_are_a_source() {
    let of = |more: &str| format!("type: files\npath: ../data/*.avro\n{more}");
    let latest = of("event_time: at\n");
    let filed = of("event_time: at\nschema: { file: orders.avsc }\nstart: latest\n");
    let files = [
        ROOT,
        ("sources/orders.yaml", latest.as_str()),
        ("sources/filed.yaml", filed.as_str()),
        ("sources/orders.avsc", "{}"),
        REVENUE,
    ];
    let project = load(&files).unwrap();
    let orders = &project.sources["orders"];
    let Place::Files { pattern, shown } = &orders.place else { panic!("{:?}", orders.place) };
    assert!(pattern.ends_with("sources/../data/*.avro"), "relative to the file: {}", pattern.display());
    assert_eq!(
        (shown.as_str(), orders.topic(), orders.connection()),
        ("../data/*.avro", "../data/*.avro", None)
    );
    assert_eq!(orders.schema, SchemaChoice::Latest { subject: "../data/*.avro".to_owned() });
    let filed = &project.sources["filed"];
    assert_eq!((&filed.schema, filed.start), (&SchemaChoice::File("{}".to_owned()), Start::Latest));
    check(
        &[
            ("sources/a.yaml", "type: file\npath: x\n"),
            ("sources/b.yaml", "type: files\ntopic: t\nformat: avro\n"),
            (
                "sources/c.yaml",
                "type: files\npath: ../*/x.avro\nevent_time: at\nstart: 2026-11-22T00:00:00Z\n",
            ),
            ("sources/d.yaml", &of("event_time: at\nschema: { subject: s }\nmetadata: [key]\n")),
            ("sources/e.yaml", &of("event_time: at\nschema: follow\n").replace("*.avro", "")),
        ],
        expect![[r#"
            sources/a.yaml:1:7: error: "type" can't be "file": one of "kafka", "files" [E0105]
            sources/b.yaml:1:1: error: a source needs the key "event_time" [E0103]
            sources/b.yaml:1:1: error: a source needs the key "path" [E0103]
            sources/b.yaml:2:1: error: unknown key "topic" [E0102]
            sources/b.yaml:3:1: error: unknown key "format" [E0102]
            sources/c.yaml:2:7: error: "path" can't be "../*/x.avro": it is a folder and a name in which "*" and "?" may stand, such as ../data/*.avro [E0105]
            sources/c.yaml:4:1: error: records of files have no time of their own to start at: it is earliest or latest [E0105]
            sources/d.yaml:4:1: error: of files "schema" is latest, that of the last one by name, or { file: orders.avsc } [E0105]
            sources/d.yaml:5:1: error: unknown key "metadata" [E0102]
            sources/e.yaml:2:7: error: "path" can't be "../data/": it is a folder and a name in which "*" and "?" may stand, such as ../data/*.avro [E0105]
        "#]],
    );
}

#[test]
fn dead_letters_go_to_the_topic_of_the_pipeline_or_of_all() {
    let root = format!(
        "{}pipelines: {{ dead_letters: {{ size: 2GiB, topic: all.dead, connection: shop }} }}\n",
        ROOT.1
    );
    let own = "sql: SELECT 1\ndead_letters: { retention: 1d, topic: own.dead }\n";
    let files = [
        ("weir.yaml", root.as_str()),
        ORDERS,
        ("pipelines/a.yaml", "sql: SELECT 1\n"),
        ("pipelines/b.yaml", own),
    ];
    let project = load(&files).unwrap();
    let topic = |name: &str| project.pipelines[name].letters_topic.clone().unwrap();
    let told = |LettersTopic { connection, topic, file, at }| (connection, topic, file, at.line);
    let text = str::to_owned;
    assert_eq!(told(topic("a")), (Some(text("shop")), text("all.dead"), text("weir.yaml"), 7));
    assert_eq!(told(topic("b")), (None, text("own.dead"), text("pipelines/b.yaml"), 2));
    assert_eq!(project.pipelines["b"].settings.letters.bytes, 2 << 30);
    assert_eq!(load(&[ROOT, ORDERS, REVENUE]).unwrap().pipelines["revenue"].letters_topic, None);
    check(
        &[
            ("pipelines/a.yaml", "sql: SELECT 1\ndead_letters: { connection: shp }\n"),
            ("pipelines/b.yaml", "sql: SELECT 1\ndead_letters: { topic: a b }\n"),
            ("pipelines/c.yaml", "sql: SELECT 1\ndead_letters: { topic: _weir_progress }\n"),
        ],
        expect![[r#"
            pipelines/a.yaml:2:15: error: "dead_letters" needs the key "topic" [E0103]
            pipelines/a.yaml:2:29: error: weir.yaml has no connection "shp", did you mean "shop"? [E0108]
            pipelines/b.yaml:2:24: error: "topic" can't be "a b": Kafka takes at most 249 letters, digits, ".", "_" and "-" [E0105]
            pipelines/c.yaml:2:24: error: "topic" can't be "_weir_progress": Weir keeps there how far its sinks are [E0105]
        "#]],
    );
}

#[test]
fn all_mistakes_are_told_at_once_in_order() {
    check(
        &[
            ("sources/orders.yaml", "connection: shp\n\ntopc: shop.orders\nwatermark: { delay: 5 }\n"),
            (
                "pipelines/revenue.yaml",
                "sql: [1]\nparallelism: 0\nepoch: 1ms\ngroup_memory: 1GiB\nstate_memory: 5\n",
            ),
            ("pipelines/Bad.yaml", "epoch: ${SECRET}\nsql: SELECT ${NONE}\n"),
            ("sinks/out.yaml", "from: revenue\n"),
            (
                "dashboards/d.yaml",
                "title: D\npanels:\n- {title: P, pipeline: revenu, chart: line, x: a}\n- {title: P, pipeline: revenue, chart: pie}\n",
            ),
        ],
        expect![[r#"
            dashboards/d.yaml:3:3: error: a line panel needs the key "y" [E0103]
            dashboards/d.yaml:3:24: error: there is no pipeline "revenu", did you mean "revenue"? [E0108]
            dashboards/d.yaml:4:40: error: "chart" can't be "pie": one of "line", "area", "bar", "stat", "table", "top" [E0105]
            pipelines/Bad.yaml:1:1: error: "Bad" can't name a pipeline: use at most 64 small letters, digits and "_", beginning with a letter [E0107]
            pipelines/Bad.yaml:1:8: error: "epoch" can't be "${SECRET}": write a whole number and ms, s, m, h or d, such as 250ms or 10s [E0105]
            pipelines/Bad.yaml:2:13: error: environment variable "NONE" is not set; "${NONE:-…}" would give it a default [E0106]
            pipelines/revenue.yaml:1:6: error: "sql" has to be a single value, not a list [E0104]
            pipelines/revenue.yaml:2:14: error: "parallelism" can't be "0": a whole number from 1 to 256 [E0105]
            pipelines/revenue.yaml:3:8: error: "epoch" can't be "1ms": from 10ms to 10m [E0105]
            pipelines/revenue.yaml:4:15: error: "group_memory" can't be "1GiB": write a whole number and KiB, MiB, GiB or TiB, such as 64MiB, from 1KiB to 256MiB [E0105]
            pipelines/revenue.yaml:5:15: error: "state_memory" can't be "5": write a whole number and KiB, MiB, GiB or TiB, such as 64MiB, from 1MiB to 1024TiB [E0105]
            sinks/out.yaml:1:1: error: a sink needs the key "type" [E0103]
            sources/orders.yaml:1:13: error: weir.yaml has no connection "shp", did you mean "shop"? [E0108]
            sources/orders.yaml:3:1: error: unknown key "topc", did you mean "topic"? [E0102]
            sources/orders.yaml:4:21: error: "delay" can't be "5": write a whole number and ms, s, m, h or d, such as 250ms or 10s [E0105]
        "#]],
    );
}

#[test]
fn a_file_that_is_no_yaml_is_told_where() {
    check(
        &[("pipelines/revenue.yaml", "sql: |\n  SELECT 1\n epoch: 1s\n")],
        expect![[r#"
        pipelines/revenue.yaml:3:2: error: while parsing a block mapping, did not find expected key [E0101]
    "#]],
    );
    check(
        &[("weir.yaml", "connections: {\n")],
        expect![[r#"
            weir.yaml:2:1: error: while parsing a node, did not find expected node content [E0101]
        "#]],
    );
}

#[test]
fn keys_twice_and_values_of_the_wrong_shape_are_refused() {
    check(
        &[(
            "sources/orders.yaml",
            "connection: shop\ntopic: a\ntopic: a b\nmetadata: [key, header, offset, key]\nschema: { file: no.avsc, subject: s }\nstart: 2026-11-22\nformat: xml\n",
        )],
        expect![[r#"
            sources/orders.yaml:3:1: error: key "topic" is already on line 2 [E0109]
            sources/orders.yaml:4:17: error: an item of "metadata" can't be "header": one of "timestamp", "partition", "offset", "key" [E0105]
            sources/orders.yaml:4:33: error: "metadata" has "key" already [E0109]
            sources/orders.yaml:5:9: error: "schema" can't be this map: it is latest, follow, { subject: s, version: 3 } or { file: orders.avsc } [E0104]
            sources/orders.yaml:6:8: error: "start" can't be "2026-11-22": earliest, latest or an instant such as 2026-11-22T00:00:00Z [E0105]
            sources/orders.yaml:7:9: error: "format" can't be "xml": one of "avro", "json", "csv", "protobuf", "raw" [E0105]
        "#]],
    );
    check(
        &[(
            "sources/orders.yaml",
            "connection: shop\ntopic:\nmetadata: key\nschema: { file: no.avsc }\nwatermark: 5s\n",
        )],
        expect![[r#"
            sources/orders.yaml:2:6: error: "topic" has no value [E0104]
            sources/orders.yaml:3:11: error: "metadata" has to be a list, not a single value [E0104]
            sources/orders.yaml:4:17: error: could not read schema file "no.avsc": No such file or directory (os error 2) [E0111]
            sources/orders.yaml:5:12: error: "watermark" has to be a map of keys, not a single value [E0104]
        "#]],
    );
}

#[test]
fn connections_are_whole() {
    check(
        &[(
            "weir.yaml",
            "project: my shop\nconnections:\n  Shop: { type: kafka }\n  shop: { type: pulsar, bootstrap_servers: a, schema_registry: { url: '${SECRET}', username: u }, properties: { group.id: \"${SECRET}\", fetch.min.byte: 1, fetch.min.bytes: \"${SECRET}\" } }\nsink: 1\n",
        )],
        expect![[r#"
            weir.yaml:1:10: error: "my shop" can't name a project: use letters, digits, "_", "-" and "." [E0107]
            weir.yaml:3:3: error: "Shop" can't name a connection: use at most 64 small letters, digits and "_", beginning with a letter [E0107]
            weir.yaml:3:9: error: a connection needs the key "bootstrap_servers" [E0103]
            weir.yaml:3:9: error: a connection needs the key "schema_registry" [E0103]
            weir.yaml:4:17: error: "type" can't be "pulsar": "kafka" is the only choice [E0105]
            weir.yaml:4:64: error: "schema_registry" needs the key "password" [E0103]
            weir.yaml:4:71: error: "url" can't be "${SECRET}": it begins with http:// or https:// [E0105]
            weir.yaml:4:113: error: property "group.id" can't be set: Weir assigns partitions itself and joins no consumer group [E0112]
            weir.yaml:4:136: error: unknown property "fetch.min.byte", did you mean "fetch.min.bytes"? [E0102]
            weir.yaml:4:172: error: property "fetch.min.bytes" does not take this value: Invalid value for configuration property "fetch.min.bytes" [E0105]
            weir.yaml:5:1: error: unknown key "sink" [E0102]
        "#]],
    );
}

#[test]
fn files_that_would_not_be_read_are_refused() {
    check(
        &[
            ("source/x.yaml", ""),
            ("pipelines/b.yml", ""),
            ("orders.yaml", ""),
            ("wier.yml", ""),
            (".pre-commit-config.yaml", "not ours"),
        ],
        expect![[r#"
        orders.yaml:1:1: error: this file would not be read: move it to sources/, pipelines/, sinks/ or dashboards/, or out of the project [E0107]
        pipelines/b.yml:1:1: error: name it b.yaml: other files are not read [E0107]
        source:1:1: error: unknown folder "source", did you mean "sources"? [E0107]
        wier.yml:1:1: error: this file would not be read, did you mean "weir.yaml"? [E0107]
    "#]],
    );
}

#[test]
fn a_place_in_the_sql_is_a_place_in_the_file() {
    let revenue = "# c\nsql: |\n  SELECT\n    ${SECRET} nope\n";
    let project = load(&[ROOT, ORDERS, ("pipelines/revenue.yaml", revenue)]).unwrap();
    let pipeline = &project.pipelines["revenue"];
    assert_eq!(pipeline.sql(), "SELECT\n  s3cr3t nope\n");
    assert_eq!(pipeline.shown_sql(), "SELECT\n  ${SECRET} nope\n");
    assert_eq!(pipeline.position(2, 10), Pos { line: 4, column: 15 });
    assert_eq!(project.redactor.apply("no column s3cr3t"), "no column ${SECRET}");
}

#[test]
fn sinks_have_the_keys_of_their_type() {
    let file = "from: revenue\ntype: file\npath: out/\noutbox: 64MiB\n";
    let kafka =
        "from: revenue\ntype: kafka\nconnection: shop\ntopic: shop.revenue\nformat: avro\nemit: updates\n";
    let blackhole = "from: revenue\ntype: blackhole\n";
    let sinks = [("sinks/f.yaml", file), ("sinks/k.yaml", kafka), ("sinks/b.yaml", blackhole)];
    let files = [&[ROOT, ORDERS, REVENUE][..], &sinks].concat();
    let project = load(&files).unwrap();
    let (f, b) = (&project.sinks["f"], &project.sinks["b"]);
    let SinkKind::File { folder } = &f.kind else { panic!("{:?}", f.kind) };
    assert!(folder.ends_with("sinks/out/"), "relative to the file: {}", folder.display());
    assert_eq!((f.outbox_bytes_max, f.emit), (64 << 20, Emit::Final));
    assert_eq!((b.outbox_bytes_max, &b.kind), (1 << 30, &SinkKind::Blackhole));
    let k = &project.sinks["k"];
    let SinkKind::Kafka { connection, topic, naming, .. } = &k.kind else { panic!("{:?}", k.kind) };
    assert_eq!((&**connection, &**topic, k.emit), ("shop", "shop.revenue", Emit::Updates));
    assert_eq!(*naming, Naming { subjects: SubjectNames::Topic, record: None, docs: Vec::new() });
    let named = format!("{kafka}subject_names: topic_record\nrecord: shop.Revenue\n");
    let project = load(&[ROOT, ORDERS, REVENUE, ("sinks/k.yaml", &named)]).unwrap();
    let SinkKind::Kafka { naming, .. } = &project.sinks["k"].kind else { panic!("a topic") };
    assert_eq!(
        (naming.subjects, naming.record.as_deref()),
        (SubjectNames::TopicRecord, Some("shop.Revenue"))
    );
    check(
        &[
            ("sinks/a.yaml", "from: revenu\ntype: blackhole\npath: out\n"),
            ("sinks/b.yaml", "from: revenue\ntype: file\nformat: csv\nemit: updates\noutbox: 1KiB\n"),
            ("sinks/c.yaml", "from: revenue\ntype: kafka\ntopic: t t\npath: out\n"),
            (
                "sinks/d.yaml",
                "from: revenue\ntype: kafka\nconnection: shp\ntopic: _weir_progress\nformat: json\nrecord: a-b\n",
            ),
        ],
        expect![[r#"
            sinks/a.yaml:1:7: error: there is no pipeline "revenu", did you mean "revenue"? [E0108]
            sinks/a.yaml:3:1: error: unknown key "path" [E0102]
            sinks/b.yaml:1:1: error: a sink needs the key "path" [E0103]
            sinks/b.yaml:3:9: error: "format" can't be "csv": "parquet" is the only choice [E0105]
            sinks/b.yaml:4:1: error: a file can't be updated: say "emit: final", which writes each row once [E0105]
            sinks/b.yaml:5:9: error: "outbox" can't be "1KiB": write a whole number and KiB, MiB, GiB or TiB, such as 64MiB, from 1MiB to 1024TiB [E0105]
            sinks/c.yaml:1:1: error: a sink needs the key "connection" [E0103]
            sinks/c.yaml:3:8: error: "topic" can't be "t t": Kafka takes at most 249 letters, digits, ".", "_" and "-" [E0105]
            sinks/c.yaml:4:1: error: unknown key "path" [E0102]
            sinks/d.yaml:3:13: error: weir.yaml has no connection "shp", did you mean "shop"? [E0108]
            sinks/d.yaml:4:8: error: "topic" can't be "_weir_progress": Weir keeps there how far its sinks are [E0105]
            sinks/d.yaml:5:9: error: "format" can't be "json": "avro" is the only choice [E0105]
            sinks/d.yaml:6:9: error: "record" can't be "a-b": a name of Avro, such as shop.Revenue: letters, digits and "_", with dots between [E0105]
        "#]],
    );
}

#[test]
fn a_registry_of_its_own_listens_where_it_says() {
    let root = |registry: &str| format!("{}{registry}\n", ROOT.1);
    let listen = |registry: &str| {
        load(&[("weir.yaml", &root(registry)), ORDERS, REVENUE])
            .unwrap()
            .registry
            .map(|at| at.listen.to_string())
    };
    assert_eq!(listen(""), None);
    assert_eq!(listen("registry: {}").as_deref(), Some("127.0.0.1:8081"));
    assert_eq!(listen("registry: { listen: '[::1]:9' }").as_deref(), Some("[::1]:9"));
    check(
        &[("weir.yaml", &root("registry: { listen: localhost }"))],
        expect![[r#"
        weir.yaml:7:21: error: "listen" can't be "localhost": an address and a port, such as 127.0.0.1:8081 [E0105]
    "#]],
    );
    check(
        &[("weir.yaml", &root("registry: { port: 8081 }"))],
        expect![[r#"
        weir.yaml:7:13: error: unknown key "port" [E0102]
    "#]],
    );
    check(
        &[("weir.yaml", &root("registry: true"))],
        expect![[r#"
        weir.yaml:7:11: error: "registry" has to be a map of keys, not a single value [E0104]
    "#]],
    );
}
