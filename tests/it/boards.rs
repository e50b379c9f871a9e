//! A dashboard in a real Chromium: it lives, zooms, isolates, gives its numbers away, and can be changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::looker::Looker;
use crate::producer::{Producer, Topics};
use crate::services::services;
use crate::shop::{self, Shop};
use crate::weir::{Project, Weir};

const TOPIC: &str = "board_orders";
const BOARD: &str = "title: Board
panels:
  - { title: Revenue, pipeline: revenue, chart: area, x: window_start, y: revenue, series: country, last: 7d }
  - { title: Orders, pipeline: revenue, chart: stat, y: orders, last: 7d }
  - { title: Orders by window, pipeline: revenue, chart: line, x: window_start, y: orders, last: 7d }
  - { title: Best countries, pipeline: revenue, chart: top, y: revenue, series: country, last: 7d }
  - { title: By country, pipeline: revenue, chart: bar, x: country, y: orders, last: 7d }
  - { title: Rows, pipeline: revenue, chart: table, last: 7d }
";
const N_PANELS: usize = 6;

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

/// The rows of a CSV file without its head, every value as text; no value here has a comma.
fn csv_rows(csv: &str) -> Vec<Vec<String>> {
    csv.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn sql_rows(weir: &Weir, query: &str) -> Vec<Vec<String>> {
    let cell = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    weir.sql(query).iter().map(|row| row.iter().map(cell).collect()).collect()
}

fn await_all_ready(weir: &Weir, looker: &mut Looker) {
    let ready = json!(vec!["ready"; N_PANELS]);
    weir.eventually("every panel shows something", || {
        (looker.ask("stages", json!("")) == ready).then_some(())
    });
}

/// The numbers that are saved are those that SQL gives to the query that the panel shows.
fn assert_csv_equals_sql(weir: &Weir, looker: &mut Looker, panels: &[usize]) {
    for panel in panels {
        let inspected = looker.ask("inspect", json!(panel));
        let csv = looker.ask("csv", json!(panel));
        let expected = sql_rows(weir, text(&inspected["sql"]));
        let mut saved = csv_rows(text(&csv["text"]));
        // A table of rows is asked for newest first, without an order among rows of one window.
        let mut expected = expected;
        if text(&inspected["sql"]).starts_with("SELECT *") {
            saved.sort();
            expected.sort();
        }
        assert!(!saved.is_empty(), "panel {panel} saves rows");
        assert_eq!(saved, expected, "panel {panel}: {}", inspected["sql"]);
    }
}

#[test]
fn a_dashboard_lives_zooms_and_gives_its_numbers_away() {
    let services = services();
    Topics::new(&services.kafka.bootstrap).create(TOPIC, 2);
    let producer = Producer::new(&services.kafka.bootstrap);
    let mut shop = Shop::new(&services.registry.url, TOPIC, 2, 7);
    shop.write(&producer, 8_000);
    let project = Project::new(&services)
        .source(TOPIC, shop::SOURCE)
        .pipeline("revenue", &shop::revenue(TOPIC), "")
        .dashboard("board", BOARD);
    let weir = project.run();
    weir.await_ready();

    let mut looker = Looker::start("board.mjs", &[weir.url()]);
    looker.ask("open", json!("/d/board"));
    await_all_ready(&weir, &mut looker);

    // Live: more orders change the picture and the number without a hand.
    let before = (looker.ask("picture", json!(1)), looker.ask("text", json!([2, "panel-value"])));
    shop.write(&producer, 2_000);
    weir.eventually("the panels change", || {
        let after = (looker.ask("picture", json!(1)), looker.ask("text", json!([2, "panel-value"])));
        (after.0 != before.0 && after.1 != before.1).then_some(())
    });
    weir.await_rows(&shop::query("revenue"), &shop.expected());
    let epoch = weir.epoch("revenue");
    weir.eventually("the page has the last epoch", || {
        let shown = looker.ask("inspect", json!(1));
        (text(&shown["epoch"]).replace(',', "") == epoch.to_string()).then_some(())
    });
    assert_csv_equals_sql(&weir, &mut looker, &[1, 2, 3, 4, 5, 6]);
    let png = looker.ask("png", json!(1));
    assert!(text(&png["name"]) == "revenue.png" && 5_000 < png["bytes"].as_u64().unwrap_or(0), "{png}");

    assert_one_crosshair(&mut looker);
    assert_a_series_alone(&weir, &mut looker);
    assert_a_zoom_is_in_the_address(&weir, &mut looker);
    assert_bounds_can_be_named(&weir, &mut looker);
    assert_keyboard_alone(&weir, &mut looker);

    let complaints = looker.ask("complaints", json!(""));
    assert_eq!(complaints, json!({ "errors": [], "foreign": [] }));
}

/// All panels with a time axis show the values of one instant.
fn assert_one_crosshair(looker: &mut Looker) {
    let windows = looker.ask("hover", json!([1, 0.5]));
    let windows = windows.as_array().expect("an array");
    assert_eq!(windows[0], windows[1], "area and line");
    assert!(text(&windows[0]).contains("final"), "{windows:?}");
}

fn assert_a_series_alone(weir: &Weir, looker: &mut Looker) {
    let all = looker.ask("picture", json!(1));
    looker.ask("isolate", json!([1, "DE"]));
    assert_eq!(looker.ask("address", json!("")), "/d/board?only=DE");
    weir.eventually("the picture has one series", || (looker.ask("picture", json!(1)) != all).then_some(()));
    looker.ask("reload", json!(""));
    await_all_ready(weir, looker);
    assert_eq!(looker.ask("alone", json!(1)), json!(["DE"]));
    looker.ask("isolate", json!([1, "DE"]));
    assert_eq!(looker.ask("address", json!("")), "/d/board");
}

fn assert_a_zoom_is_in_the_address(weir: &Weir, looker: &mut Looker) {
    looker.ask("drag", json!([1, 0.3, 0.6]));
    let address = looker.ask("address", json!(""));
    assert!(text(&address).starts_with("/d/board?from=20"), "{address}");
    await_all_ready(weir, looker);
    let zoomed = looker.ask("rows", json!(3));
    let n_zoomed = zoomed.as_array().map_or(0, Vec::len);
    assert!(1 < n_zoomed, "{zoomed}");
    assert_csv_equals_sql(weir, looker, &[1, 3, 4, 5]);
    looker.ask("reload", json!(""));
    await_all_ready(weir, looker);
    assert_eq!(looker.ask("rows", json!(3)), zoomed, "a reload gives the same screen");
    looker.ask("back", json!(""));
    await_all_ready(weir, looker);
    assert_eq!(looker.ask("address", json!("")), "/d/board");
}

fn assert_bounds_can_be_named(weir: &Weir, looker: &mut Looker) {
    looker.ask("click", json!("between"));
    let mut show = |from: &str, to: &str| {
        for (field, value) in [("between-from", from), ("between-to", to)] {
            looker.ask("fill", json!([field, value]));
        }
        looker.ask("click", json!("between-show"));
        looker.ask("address", json!(""))
    };
    assert_eq!(show("2026-11-22T13:00", "2026-11-22T12:00"), "/d/board", "the wrong way round");
    let address = show("2026-11-22T12:00", "2026-11-22T12:30:05");
    assert_eq!(address, "/d/board?from=2026-11-22T12:00:00Z&to=2026-11-22T12:30:05Z");
    looker.ask("back", json!(""));
    await_all_ready(weir, looker);
}

fn assert_keyboard_alone(weir: &Weir, looker: &mut Looker) {
    let last = looker.ask("press", json!([1, ["End"]]));
    let before = looker.ask("press", json!([1, ["ArrowLeft"]]));
    assert_ne!(last, before, "the crosshair moves");
    let rows = looker.ask("keyboard_table", json!(1));
    assert!(0 < rows.as_u64().unwrap_or(0), "the table has rows");
    looker.ask("press", json!([1, ["Home", "+"]]));
    assert!(text(&looker.ask("address", json!(""))).contains("from="), "plus zooms");
    await_all_ready(weir, looker);
}

#[test]
fn a_dashboard_that_was_changed_is_a_file_that_weir_takes() {
    let services = services();
    let topic = "board_drafts";
    Topics::new(&services.kafka.bootstrap).create(topic, 1);
    let producer = Producer::new(&services.kafka.bootstrap);
    Shop::new(&services.registry.url, topic, 1, 9).write(&producer, 1_000);
    let project = Project::new(&services)
        .source(topic, shop::SOURCE)
        .pipeline("revenue", &shop::revenue(topic), "")
        .dashboard("draft", "title: Draft\npanels: []\n");
    let weir = project.run();
    weir.await_ready();
    let mut looker = Looker::start("board.mjs", &[weir.url()]);
    looker.ask("open", json!("/d/draft"));
    looker.ask("click", json!("edit"));
    looker.ask("click", json!("draft-add"));
    // What the chart may show is known by now.
    weir.eventually("the new panel has rows", || {
        (looker.ask("stages", json!("")) == json!(["ready"])).then_some(())
    });
    for (field, value) in [
        ("field-title", "Orders: all of them"),
        ("field-chart", "bar"),
        ("field-series", "country"),
        ("field-last", "7d"),
    ] {
        weir.eventually("the field can be filled", || {
            // The columns are known once the stream carries the table.
            (looker.ask("fill", json!([field, value])) == Value::Null).then_some(())
        });
    }
    weir.eventually("the draft is drawn", || {
        (looker.ask("stages", json!("")) == json!(["ready"])).then_some(())
    });
    looker.ask("reload", json!(""));
    weir.eventually("the draft is kept", || {
        (looker.ask("stages", json!("")) == json!(["ready"])).then_some(())
    });
    assert_eq!(looker.ask("hidden", json!("draft-write")), json!(true), "this server writes no files");
    assert_panels_are_dragged(&weir, &mut looker);
    let yaml = looker.ask("content", json!("draft-yaml"));
    assert_eq!(looker.ask("complaints", json!("")), json!({ "errors": [], "foreign": [] }));
    drop(weir);

    let project = project.dashboard("draft", text(&yaml));
    let weir = project.run();
    let served = ureq::get(&format!("{}/api/v1/dashboards/draft", weir.url())).call().expect("weir answers");
    let served: BTreeMap<String, Value> = served.into_body().read_json().expect("JSON");
    assert_eq!(
        served["panels"],
        json!([{ "title": "Orders: all of them", "pipeline": "revenue", "chart": "bar", "x": "window_start", "y": "orders",
            "series": "country", "last": "7d", "width": 9, "height": 3 }])
    );
}

/// A second panel is added before the first, which is dragged before it, there and back by keys, and the first one's corner to another size.
fn assert_panels_are_dragged(weir: &Weir, looker: &mut Looker) {
    let titles = |looker: &mut Looker| looker.ask("titles", json!(""));
    looker.ask("click", json!("draft-add"));
    let (orders, new) = ("Orders: all of them", "New panel");
    weir.eventually("a panel is added below its form", || {
        (titles(looker) == json!([new, orders])).then_some(())
    });
    looker.ask("carry", json!([2, 1]));
    assert_eq!(titles(looker), json!([orders, new]), "dragged to the first place");
    looker.ask("grip", json!([1, "grip-move", ["ArrowRight"]]));
    assert_eq!(titles(looker), json!([new, orders]), "moved by a key");
    looker.ask("grip", json!([2, "grip-move", ["ArrowLeft"]]));
    assert_eq!(titles(looker), json!([orders, new]), "and back");
    // Six columns and two lines become eight and two by hand, then nine and three by keys.
    looker.ask("stretch", json!([1, 2, 0]));
    looker.ask("grip", json!([1, "grip-resize", ["ArrowRight", "ArrowDown"]]));
    looker.ask("remove", json!(2));
    assert_eq!(titles(looker), json!([orders]));
}

#[test]
fn a_dashboard_is_saved_from_the_page_where_that_was_asked_for() {
    let services = services();
    let topic = "board_saved";
    Topics::new(&services.kafka.bootstrap).create(topic, 1);
    let producer = Producer::new(&services.kafka.bootstrap);
    Shop::new(&services.registry.url, topic, 1, 10).write(&producer, 1_000);
    let project = Project::new(&services)
        .source(topic, shop::SOURCE)
        .pipeline("revenue", &shop::revenue(topic), "")
        .dashboard("draft", "title: Draft\npanels: []\n");
    let weir = project.run_with(&["--edit"]);
    weir.await_ready();
    let mut looker = Looker::start("board.mjs", &[weir.url()]);
    looker.ask("open", json!("/d/draft"));
    looker.ask("click", json!("edit"));
    looker.ask("fill", json!(["draft-title", "Saved"]));
    looker.ask("click", json!("draft-add"));
    // Who closes it, or goes back, sees the dashboard as it is; the draft is still there.
    for leave in ["click", "back"] {
        looker.ask(leave, json!("draft-close"));
        weir.eventually("the dashboard is shown as it is", || {
            (looker.ask("content", json!("board-title")) == "Draft").then_some(())
        });
        assert_eq!(looker.ask("content", json!("edit")), "Go on editing");
        looker.ask("click", json!("edit"));
        assert_eq!(looker.ask("content", json!("board-title")), "Saved");
    }
    // Somebody else saves meanwhile.
    let path = format!("{}/api/v1/dashboards/draft", weir.url());
    let theirs = "title: Theirs\npanels: []\n";
    ureq::put(&path).header("content-type", "application/yaml").send(theirs).expect("it is saved");
    looker.ask("click", json!("draft-write"));
    weir.eventually("that is said", || {
        let said = looker.ask("content", json!("draft-refused"));
        text(&said).contains("saved by somebody else since you began").then_some(())
    });
    assert_eq!(looker.ask("content", json!("draft-write")), "Save over theirs");
    looker.ask("click", json!("draft-write"));
    weir.eventually("the draft is the dashboard", || {
        (looker.ask("count", json!("editor")) == 0 && looker.ask("content", json!("board-title")) == "Saved")
            .then_some(())
    });
    assert_eq!(looker.ask("content", json!("board-saved")), "Saved as dashboards/draft.yaml");
    looker.ask("reload", json!(""));
    weir.eventually("the server has it", || {
        (looker.ask("content", json!("board-title")) == "Saved").then_some(())
    });
    drop(weir);
    let weir = project.run();
    let served = ureq::get(&format!("{}/api/v1/dashboards/draft", weir.url())).call().expect("weir answers");
    let served: BTreeMap<String, Value> = served.into_body().read_json().expect("JSON");
    assert_eq!(served["title"], "Saved", "the file was written");
}
