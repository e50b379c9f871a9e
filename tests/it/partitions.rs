//! Partitions that are silent, and partitions that are added.

use std::time::{Duration, Instant};

use crate::looker::Looker;
use crate::producer::{Producer, To, Topics, Writer};
use crate::services::services;
use crate::weir::Project;

use apache_avro::types::Value as Avro;
use serde_json::json;

const SCHEMA: &str = r#"{"type": "record", "name": "tick", "fields": [{"name": "n", "type": "long"}]}"#;

const SQL: &str = "SELECT window_start, sum(n) AS total
FROM TUMBLE(TABLE NAME, DESCRIPTOR(kafka_timestamp), INTERVAL '10' SECOND) GROUP BY window_start";

const TOTALS: &str = "SELECT CAST(window_start AS BIGINT) AS start, total, _final FROM totals ORDER BY start";

#[test]
fn a_silent_partition_holds_windows_open_until_it_is_idle() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("silent", 2);
    let writer = Writer::register(&services.registry.url, "silent-value", SCHEMA);
    let producer = Producer::new(bootstrap);
    let tick = |partition, timestamp_ms, n| {
        let value = writer.encode(&[("n", Avro::Long(n))]);
        producer.send(To { topic: "silent", partition, timestamp_ms }, None, Some(&value));
        producer.flush();
    };
    let start = 1_700_000_000_000;
    tick(0, start, 1);
    tick(0, start + 15_000, 2);
    let held = Project::new(&services)
        .source("silent", "watermark: { delay: 0s, idle_timeout: 1h }\n")
        .pipeline("totals", &SQL.replace("NAME", "silent"), "");
    let weir = held.run();
    let row = |start: i64, total: i64, is_final: bool| vec![json!(start), json!(total), json!(is_final)];
    weir.await_rows(TOTALS, &[row(start, 1, false), row(start + 10_000, 2, false)]);
    weir.kill();

    let idle = Project::new(&services)
        .source("silent", "watermark: { delay: 0s, idle_timeout: 500ms }\n")
        .pipeline("totals", &SQL.replace("NAME", "silent"), "");
    let weir = idle.run();
    weir.eventually("the silent partition is idle and a window closes", || {
        // Where all are silent, the watermark stays.
        tick(0, start + 15_000, 0);
        let rows = weir.try_sql(TOTALS).ok()?;
        (rows == [row(start, 1, true), row(start + 10_000, 2, false)]).then_some(())
    });
    // It wakes: its row for a window that closed without it is late, and the floor says why.
    tick(1, start + 5_000, 4);
    tick(1, start + 15_000, 8);
    weir.await_rows(TOTALS, &[row(start, 1, true), row(start + 10_000, 10, false)]);
    weir.await_rows(
        "SELECT partition, \"offset\", reason FROM weir.dead_letters",
        &[vec![json!(1), json!(0), json!("late_row")]],
    );
    weir.await_rows("SELECT partition, next_offset FROM weir.floors", &[vec![json!(1), json!(0)]]);
}

/// Somebody who wonders why nothing becomes final reads which partition is to blame, where it stands and what it takes.
#[test]
fn the_page_names_the_partition_that_holds_a_window_open() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    Topics::new(bootstrap).create("held", 3);
    let writer = Writer::register(&services.registry.url, "held-value", SCHEMA);
    let producer = Producer::new(bootstrap);
    let tick = |partition, second: i64, n| {
        let value = writer.encode(&[("n", Avro::Long(n))]);
        // 22:13:20 of a day.
        let timestamp_ms = 1_700_000_000_000 + second * 1_000;
        producer.send(To { topic: "held", partition, timestamp_ms }, None, Some(&value));
        producer.flush();
    };
    (0..3).for_each(|partition| tick(partition, 4, 1));
    let project = Project::new(&services)
        .source("held", "watermark: { delay: 2s, idle_timeout: 1h }\n")
        .pipeline("totals", &SQL.replace("NAME", "held"), "");
    let weir = project.run();
    let n_final = "SELECT count(*) FROM totals WHERE _final";
    weir.await_rows("SELECT total FROM totals", &[vec![json!(3)]]);
    (0..2).for_each(|partition| tick(partition, 45, 2));

    let mut looker = Looker::start("walk.mjs", &[weir.url()]);
    looker.ask("visit", "/pipelines/totals");
    let text = |looker: &mut Looker, name: &str| {
        let text = looker.ask("text", format!("[data-testid=\"{name}\"]"));
        text.as_str().unwrap_or_default().to_owned()
    };
    let expected = "The window 22:13:20 – 22:13:30 is open because of held 2. Its watermark is 22:13:22, 41 s behind the next \
                    one. It is read to its end: the window closes with a row of 22:13:32 or later in it, or without it once it \
                    has been silent for 1 h 00 min.";
    let await_sentence = |looker: &mut Looker, expected: &str| {
        let limit = Instant::now() + Duration::from_secs(60);
        weir.eventually("the page says who holds the window open", || {
            let said = text(looker, "why-open");
            assert!(Instant::now() < limit, "the page says \"{said}\", not \"{expected}\"");
            said.contains(expected).then_some(())
        });
    };
    await_sentence(&mut looker, expected);
    assert_eq!(text(&mut looker, "waits-for"), "22:13:20 – 22:13:30 waits for held 2");
    let blamed = looker.ask("texts", ".partitions .holds-back td:first-child");
    assert_eq!(blamed, json!(["held 2 holds the others back"]));
    let picture = format!("{}/held.png", env!("CARGO_TARGET_TMPDIR"));
    looker.ask("picture", picture.as_str());
    eprintln!("a picture of the page: {picture}");
    assert_eq!(weir.sql(n_final), [vec![json!(0)]], "it is open");

    // What the sentence asks for closes it, and the next one waits for all.
    tick(2, 12, 4);
    weir.await_rows(n_final, &[vec![json!(1)]]);
    await_sentence(&mut looker, "The window 22:13:30 – 22:13:40 is open because of held 2.");
    tick(2, 45, 4);
    await_sentence(&mut looker, "the partitions are in step, each takes a row of 22:14:12 or later");
}

#[test]
fn an_added_partition_is_read_from_its_beginning() {
    let services = services();
    let bootstrap = &services.kafka.bootstrap;
    let topics = Topics::new(bootstrap);
    topics.create("growing", 1);
    let writer = Writer::register(&services.registry.url, "growing-value", SCHEMA);
    let start = 1_700_000_000_000;
    let tick = |partition, n| {
        let value = writer.encode(&[("n", Avro::Long(n))]);
        // One that is as old as the topic would not know the new partition yet.
        let producer = Producer::new(bootstrap);
        producer.send(To { topic: "growing", partition, timestamp_ms: start }, None, Some(&value));
        producer.flush();
    };
    tick(0, 1);
    let project = Project::new(&services)
        .source("growing", "start: latest\nwatermark: { delay: 0s, idle_timeout: 1h }\n")
        .pipeline("totals", &SQL.replace("NAME", "growing"), "");
    let weir = project.run();
    weir.await_rows("SELECT partition, next_offset FROM weir.partitions", &[vec![json!(0), json!(1)]]);
    tick(0, 2);
    weir.await_rows(TOTALS, &[vec![json!(start), json!(2), json!(false)]]);
    topics.grow("growing", 2);
    let grown = Instant::now();
    tick(1, 4);
    weir.await_rows(TOTALS, &[vec![json!(start), json!(6), json!(false)]]);
    assert!(grown.elapsed() < Duration::from_secs(30), "{:?}", grown.elapsed());
}
