//! Pictures of every page in both themes, on a desk, a tablet and a phone, with nothing, little and much to show. A person has to look
//! at them, in `target/tmp/looks`; that no page is wider than its window and no text is cut, this test sees.

use std::fs;
use std::path::Path;

use apache_avro::types::Value as Avro;
use serde_json::{Value, json};

use crate::looker::Looker;
use crate::producer::{Producer, To, Topics, Writer};
use crate::services::{Services, services};
use crate::shop::SCHEMA;
use crate::till::now_ms;
use crate::weir::{Project, Weir};

const REVENUE: &str = "SELECT window_start, window_end, country, count(*) AS orders, sum(amount) AS revenue
FROM TUMBLE(TABLE TOPIC, DESCRIPTOR(ordered_at), INTERVAL '10' SECOND)
GROUP BY window_start, window_end, country";
const BOARD: &str = "title: Shop
panels:
  - { title: Revenue by country, pipeline: revenue, chart: area, x: window_start, y: revenue, series: country, last: 30m, unit: EUR }
  - { title: Orders now, pipeline: revenue, chart: stat, y: orders, aggregate: sum, width: 3 }
  - { title: Revenue of half an hour, pipeline: revenue, chart: stat, y: revenue, last: 30m, unit: EUR, width: 3 }
  - { title: Orders by window, pipeline: revenue, chart: line, x: window_start, y: orders, series: country, last: 30m }
  - { title: Best countries, pipeline: revenue, chart: top, y: revenue, series: country, last: 30m, unit: EUR }
  - { title: By country, pipeline: revenue, chart: bar, x: country, y: orders, last: 30m }
  - { title: Newest rows, pipeline: revenue, chart: table, last: 30m }
";
const COUNTRIES: [&str; 40] = [
    "DE",
    "FR",
    "AT",
    "CH",
    "IT",
    "ES",
    "PT",
    "NL",
    "BE",
    "LU",
    "DK",
    "SE",
    "NO",
    "FI",
    "IS",
    "IE",
    "GB",
    "PL",
    "CZ",
    "SK",
    "HU",
    "SI",
    "HR",
    "RO",
    "BG",
    "GR",
    "CY",
    "MT",
    "EE",
    "LV",
    "LT",
    "UA",
    "MD",
    "RS",
    "BA",
    "ME",
    "MK",
    "AL",
    "XK",
    "United Kingdom of Great Britain and Northern Ireland",
];

/// How much there is.
#[derive(Clone, Copy, PartialEq)]
enum Amount {
    Nothing,
    Little,
    Plenty,
}

impl Amount {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Little => "little",
            Self::Plenty => "much",
        }
    }

    /// Countries, and seconds of orders.
    fn size(self) -> (usize, i64) {
        match self {
            Self::Nothing => (0, 0),
            Self::Little => (3, 45),
            Self::Plenty => (COUNTRIES.len(), 1_800),
        }
    }
}

/// Orders of the past up to now, and records of every kind that can't be used.
fn write(services: &Services, topic: &str, amount: Amount) {
    Topics::new(&services.kafka.bootstrap).create(topic, 2);
    let writer = Writer::register(&services.registry.url, &format!("{topic}-value"), SCHEMA);
    let producer = Producer::new(&services.kafka.bootstrap);
    let (n_countries, seconds) = amount.size();
    let now_ms = now_ms();
    for second in 0..seconds {
        for (at, country) in COUNTRIES.iter().take(n_countries).enumerate() {
            let at_ms = now_ms - (seconds - second) * 1_000;
            let wave = 1.0 + (second as f64 / 90.0 + at as f64).sin();
            let value = writer.encode(&[
                ("id", Avro::Long(second)),
                ("country", Avro::String((*country).to_owned())),
                ("amount", Avro::Long((900_000.0 * wave) as i64 / (1 + at as i64))),
                ("ordered_at", Avro::TimestampMillis(at_ms)),
            ]);
            let to = To { topic, partition: (second % 2) as i32, timestamp_ms: at_ms };
            producer.send(to, Some(country.as_bytes()), Some(&value));
            let at_second = second as usize % 60 == at;
            if at_second && at % 3 == 0 {
                producer.send(to, Some(b"cut"), Some(&value[..value.len() - 3]));
            }
            if at_second && at % 4 == 0 {
                producer.send(to, None, Some(br#"{"id": 7, "country": "DE", "amount": "many"}"#));
            }
        }
    }
    producer.flush();
}

fn project(services: &Services, amount: Amount) -> Project {
    let topic = format!("looks_{}", amount.word());
    write(services, &topic, amount);
    let sql = REVENUE.replace("TOPIC", &topic);
    let mut project = Project::new(services)
        .source(&topic, "event_time: ordered_at\nwatermark: { delay: 1s, idle_timeout: 5s }\n")
        .pipeline("revenue", &sql, "")
        .dashboard("shop", BOARD);
    if amount == Amount::Plenty {
        for at in 1..8 {
            project = project.pipeline(
                &format!("orders_by_country_and_ten_seconds_for_the_finance_team_{at}"),
                &sql,
                "",
            );
        }
        project = project
            .source("not_there_yet", "event_time: ordered_at\n")
            .pipeline("waits_for_its_topic", &sql.replace(&topic, "not_there_yet"), "")
            .sink("archive", "from: revenue\ntype: file\npath: out/\nformat: parquet\nemit: final\n")
            .sink("nowhere", "from: revenue\ntype: blackhole\nemit: final\n")
            // Its folder can't be made, for a file is there: rows wait, and the error is shown.
            .sink("stuck", "from: revenue\ntype: file\npath: weir.yaml/out\nformat: parquet\nemit: final\n");
        for at in 1..6 {
            project = project
                .dashboard(&format!("board_{at}"), &BOARD.replace("Shop", &format!("Shop number {at}")));
        }
    }
    project
}

/// Waits until all is read that was written.
fn await_read(weir: &Weir, amount: Amount) {
    let (n_countries, seconds) = amount.size();
    let n_orders = n_countries as i64 * seconds;
    let expected = [vec![if n_orders == 0 { Value::Null } else { json!(n_orders) }]];
    weir.await_rows("SELECT sum(orders) FROM revenue", &expected);
}

/// Every page and what a person does on it. Names of pictures, paths, steps.
fn views(amount: Amount) -> Vec<Value> {
    let id = |name: &str| format!("[data-testid=\"{name}\"]");
    let query = "SELECT window_start, country, orders, revenue FROM revenue ORDER BY window_start, country";
    let letters = if amount == Amount::Nothing { "letters-title" } else { "letter-line" };
    let run = |query: &str, then: &str| vec![json!(["query", query]), json!(["await", id(then)])];
    let mut views = vec![
        json!(["overview", "/", [["await", id("boards")]]]),
        json!(["pipeline", "/pipelines/revenue", [["await", id("definition")]]]),
        json!(["board", "/d/shop", [["await", id("panel-7")]]]),
        json!(["editor", "/d/shop", [["click", id("edit")], ["await", id("panel-form")]]]),
        json!(["sql", "/sql", [["await", id("sql-tables")]]]),
        json!(["sql-result", "/sql", run(query, "sql-result")]),
        json!(["letters", "/dead-letters", [["await", id(letters)]]]),
        json!(["between", "/d/shop", [["await", id("panel-7")], ["click", id("between")]]]),
        json!(["palette", "/", [["press", "Control+k"], ["await", id("palette-field")]]]),
    ];
    if amount != Amount::Nothing {
        let drawn = [
            run(query, "sql-result"),
            vec![json!(["click", id("sql-draw")]), json!(["await", id("sql-plot")])],
        ];
        views.extend([
            json!(["sql-chart", "/sql", drawn.concat()]),
            json!(["sql-explain", "/sql", run(&format!("EXPLAIN {query}"), "sql-plan")]),
            json!(["sql-error", "/sql", run("SELECT country,\n  revenu / 0\nFROM revenue", "sql-error")]),
        ]);
    }
    if amount == Amount::Plenty {
        views.extend([
            json!(["place", "/d/shop", [["click", id("edit")], ["click", id("strip-place")]]]),
            json!(["menu", "/", [["click", id("boards-menu")]]]),
            json!([
                "letter",
                "/dead-letters",
                [["click", id("letter-line")], ["await", id("letter-fields")]]
            ]),
            json!(["starting", "/pipelines/waits_for_its_topic", [["await", id("detail-name")]]]),
            json!(["nothing-there", "/d/nobody", [["await", id("board-message")]]]),
            json!(["inspect", "/d/shop", [["click", id("panel-menu")], ["click", id("panel-inspect")]]]),
        ]);
    }
    views
}

#[test]
fn every_page_fits_its_window_in_both_themes() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("looks");
    fs::create_dir_all(&folder).expect("a folder for the pictures");
    let services = services();
    let mut wrong = Vec::new();
    for amount in [Amount::Nothing, Amount::Little, Amount::Plenty] {
        let weir = project(&services, amount).run();
        await_read(&weir, amount);
        let mut looker = Looker::start("looks.mjs", &[weir.url(), folder.to_str().expect("UTF-8")]);
        for mut view in views(amount) {
            view[0] = json!(format!("{}-{}", view[0].as_str().expect("a name"), amount.word()));
            let found = looker.ask("see", view);
            wrong.extend(
                found.as_array().expect("an array").iter().map(|it| it.as_str().unwrap_or("").to_owned()),
            );
        }
        let complaints = looker.ask("complaints", json!(""));
        assert_eq!(complaints["foreign"], json!([]));
    }
    eprintln!("pictures of all pages: {}", folder.display());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
