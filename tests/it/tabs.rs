//! Many tabs of one browser: they share one connection, whoever of them goes; a hidden one rests; where a network holds
//! event streams back, the page asks instead.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::looker::Looker;
use crate::proxy::{Cable, Gate, holding_streams};
use crate::services::services;
use crate::till::{Customers, Till, now_ms};
use crate::weir::{Project, Weir};

/// HTTP/1.1 allows a browser six connections to a server.
const N_TABS: usize = 12;
/// Of those, so many show the rows of the pipeline; the others the overview and SQL.
const N_ROWS: usize = 8;
/// Trouble with the connection has to be said within this.
const NOTICED_MS: u64 = 2_000;

fn sql(topic: &str) -> String {
    format!(
        "SELECT window_start, window_end, count(*) AS orders, sum(amount) AS revenue\n\
         FROM TUMBLE(TABLE {topic}, DESCRIPTOR(ordered_at), INTERVAL '3' SECOND)\n\
         GROUP BY window_start, window_end"
    )
}

const BOARD: &str = "title: Board
panels:
  - { title: Revenue, pipeline: revenue, chart: area, x: window_start, y: revenue }
  - { title: Orders, pipeline: revenue, chart: stat, y: orders }
  - { title: Orders by window, pipeline: revenue, chart: line, x: window_start, y: orders, unit: orders }
  - { title: Rows, pipeline: revenue, chart: table }
";

struct Scene {
    weir: Weir,
    customers: Customers,
}

/// A pipeline `revenue` over `topic`, to which orders come.
fn scene(topic: &'static str) -> Scene {
    let services = services();
    let till = Till::new(&services, topic);
    let source = "event_time: ordered_at\nwatermark: { delay: 1s }\n";
    let weir = Project::new(&services)
        .source(topic, source)
        .pipeline("revenue", &sql(topic), "")
        .dashboard("board", BOARD)
        .run();
    weir.await_ready();
    Scene { weir, customers: Customers::come(till) }
}

/// What a tab shows: the connection's state, and orders, revenue and `final` of each line.
fn shown(looker: &mut Looker, tab: &Value) -> (String, Vec<Vec<Value>>) {
    let answer = looker.ask("shown", tab.clone());
    let state = answer["state"].as_str().unwrap_or_default().to_owned();
    let lines = answer["rows"].as_array().expect("an array").iter().map(|row| {
        let cells = row["cells"].as_array().expect("an array");
        let number = |cell: &Value| cell.as_str().and_then(|text| text.replace(',', "").parse::<i64>().ok());
        let mut line: Vec<Value> = cells[1..].iter().map(|cell| json!(number(cell))).collect();
        line.push(row["final"].clone());
        line
    });
    let lines = lines.collect();
    (state, lines)
}

fn await_live(weir: &Weir, looker: &mut Looker, tabs: &[Value]) {
    weir.eventually("every tab is live", || {
        tabs.iter().all(|tab| shown(looker, tab).0 == "live").then_some(())
    });
}

/// Each tab shows what SQL says; call it when no more orders come.
fn assert_shows_sql(weir: &Weir, looker: &mut Looker, tabs: &[Value]) {
    let query = "SELECT orders, revenue, _final FROM revenue ORDER BY window_start DESC LIMIT 40";
    for tab in tabs {
        let mut seen = String::new();
        let until = Instant::now() + Duration::from_secs(60);
        weir.eventually("the tab shows what SQL says", || {
            let (rows, shown) = (weir.sql(query), shown(looker, tab).1);
            seen = format!("tab {tab}: SQL {rows:?}\npage {shown:?}");
            assert!(Instant::now() < until, "{seen}");
            (rows == shown).then_some(())
        });
    }
}

fn n_streams(weir: &Weir) -> u64 {
    let metrics = ureq::get(format!("{}/metrics", weir.url())).call().expect("weir answers");
    let text = metrics.into_body().read_to_string().expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix("weir_stream_clients "));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no weir_stream_clients in {text}"))
}

#[test]
fn twelve_tabs_share_one_connection_whoever_goes() {
    let Scene { weir, customers } = scene("tabbed");
    let mut looker = Looker::start("page.mjs", &[weir.url(), "/pipelines/revenue"]);
    let mut tabs = vec![looker.ask("first", "")];
    for at in 1..N_TABS {
        let path = match at {
            at if at < N_ROWS => "/pipelines/revenue",
            at if at % 2 == 0 => "/",
            _ => "/sql",
        };
        tabs.push(looker.ask("open", path));
    }
    await_live(&weir, &mut looker, &tabs);
    assert_eq!(n_streams(&weir), 1, "one connection for {N_TABS} tabs");

    // The tab that leads is the first one; then the one that follows it, and so on.
    for _ in 0..3 {
        looker.ask("close", tabs.remove(0));
        weir.eventually("another tab has the connection", || (n_streams(&weir) == 1).then_some(()));
        await_live(&weir, &mut looker, &tabs);
        assert_eq!(n_streams(&weir), 1);
    }
    let till = customers.go();
    let n_orders = till.made_ms.len();
    weir.await_rows(
        "SELECT sum(orders), sum(revenue) FROM revenue",
        &[vec![json!(n_orders), json!(7 * n_orders)]],
    );
    assert_shows_sql(&weir, &mut looker, &tabs[..N_ROWS - 3]);
    let complaints = looker.ask("complaints", "");
    assert_eq!(complaints["errors"], json!([]));
}

#[test]
fn hidden_tab_rests_and_is_right_at_once_when_shown() {
    let Scene { weir, customers } = scene("hidden");
    let mut looker = Looker::start("page.mjs", &[weir.url(), "/pipelines/revenue"]);
    let tab = looker.ask("first", "");
    let tabs = [tab.clone()];
    await_live(&weir, &mut looker, &tabs);
    weir.eventually("rows are shown", || (!shown(&mut looker, &tab).1.is_empty()).then_some(()));
    looker.ask("hide", "");
    let n_rows_in =
        |weir: &Weir| weir.sql("SELECT rows_in FROM weir.pipelines")[0][0].as_u64().expect("a number");
    let (before, changes) = (n_rows_in(&weir), looker.ask("changes", ""));
    weir.eventually("many orders come meanwhile", || (before + 60 < n_rows_in(&weir)).then_some(()));
    assert_eq!(looker.ask("changes", ""), changes, "a hidden tab was painted");
    let till = customers.go();
    let n_orders = till.made_ms.len();
    weir.await_rows(
        "SELECT sum(orders), sum(revenue) FROM revenue",
        &[vec![json!(n_orders), json!(7 * n_orders)]],
    );
    let from = Instant::now();
    looker.ask("show", "");
    assert_shows_sql(&weir, &mut looker, &tabs);
    assert!(from.elapsed() < Duration::from_secs(1), "right {:?} after it was shown", from.elapsed());
}

#[test]
fn where_streams_are_held_back_the_page_asks() {
    let Scene { weir, customers } = scene("polled");
    let url = holding_streams(weir.url());
    let mut looker = Looker::start("page.mjs", &[&url, "/pipelines/revenue"]);
    let tab = looker.ask("first", "");
    let states = |looker: &mut Looker| looker.ask("history", "")["states"].clone();
    weir.eventually("numbers come in spite of the network", || {
        let (state, rows) = shown(&mut looker, &tab);
        (state == "live" && !rows.is_empty()).then_some(())
    });
    // Before, it never looked alive for longer than it may without having heard anything.
    let states = states(&mut looker);
    let states = states.as_array().expect("an array");
    let is = |at: usize, state: &str| states[at]["state"] == state;
    for at in 0..states.len() - 1 {
        let ms = states[at + 1]["at"].as_u64().zip(states[at]["at"].as_u64()).map(|(to, from)| to - from);
        assert!(!is(at, "live") || ms.is_some_and(|ms| ms <= NOTICED_MS + 500), "{states:?}");
    }
    let till = customers.go();
    let n_orders = till.made_ms.len();
    weir.await_rows(
        "SELECT sum(orders), sum(revenue) FROM revenue",
        &[vec![json!(n_orders), json!(7 * n_orders)]],
    );
    assert_shows_sql(&weir, &mut looker, &[tab]);
}

/// The cable is pulled for 2 s, and for `WEIR_CABLE_S` (12): past all the times after which the page tries something else.
fn outages_s() -> [u64; 2] {
    let long = std::env::var("WEIR_CABLE_S").map_or(12, |text| text.parse().expect("a number of seconds"));
    [2, long]
}

#[test]
fn pulled_cable_is_said_in_every_tab_and_leaves_no_gap() {
    let Scene { weir, customers } = scene("cable");
    let cable = Cable::to(weir.url());
    let mut looker = Looker::start("page.mjs", &[&cable.url(), "/pipelines/revenue"]);
    let tabs = [looker.ask("first", ""), looker.ask("open", "/pipelines/revenue")];
    for seconds in outages_s() {
        await_live(&weir, &mut looker, &tabs);
        weir.eventually("rows are shown", || (!shown(&mut looker, &tabs[1]).1.is_empty()).then_some(()));
        let (pulled, pulled_ms) = (Instant::now(), now_ms());
        cable.pull();
        // Of the 2 s the last 100 ms are for this look.
        std::thread::park_timeout(Duration::from_millis(1_000 * seconds - 100));
        for tab in &tabs {
            let health = looker.ask("health", tab.clone());
            let text = health["text"].as_str().unwrap_or_default();
            let is_said = text.contains("reconnecting") && text.contains(" old");
            assert!(is_said && health["stale"] == json!(true), "after {:?}: {health}", pulled.elapsed());
        }
        cable.put_back();
        for tab in &tabs {
            let states = looker.ask("history", tab.clone())["states"].clone();
            let troubles = states.as_array().expect("an array").iter();
            let mut troubles = troubles.filter(|state| state["state"] == "reconnecting");
            let said_ms = troubles.find_map(|state| state["at"].as_i64().filter(|at_ms| pulled_ms <= *at_ms));
            let noticed_ms = said_ms.map(|said_ms| said_ms - pulled_ms);
            assert!(
                noticed_ms.is_some_and(|ms| ms <= NOTICED_MS as i64),
                "said after {noticed_ms:?} ms: {states}"
            );
        }
        eprintln!("a cable that was out for {seconds} s was missed in both tabs");
    }
    await_live(&weir, &mut looker, &tabs);
    let till = customers.go();
    let n_orders = till.made_ms.len();
    weir.await_rows(
        "SELECT sum(orders), sum(revenue) FROM revenue",
        &[vec![json!(n_orders), json!(7 * n_orders)]],
    );
    assert_shows_sql(&weir, &mut looker, &tabs);
}

#[test]
fn who_is_not_let_in_is_told_what_to_do_in_every_tab() {
    let Scene { weir, customers } = scene("gated");
    let gate = Gate::before(weir.url());
    let mut looker = Looker::start("page.mjs", &[&gate.url(), "/pipelines/revenue"]);
    let mut tabs = vec![looker.ask("first", "")];
    tabs.extend(["/", "/sql", "/d/board", "/dead-letters"].map(|path| looker.ask("open", path)));
    let await_refusal = |looker: &mut Looker, place: &str| {
        for tab in &tabs {
            weir.eventually("it is said that one is not let in", || {
                let said = looker.ask("refusal", tab.clone());
                let text = said["text"].as_str().unwrap_or_default().to_owned();
                (text.contains("You are not signed in") && said["place"] == place).then_some(())
            });
            let health = looker.ask("health", tab.clone());
            assert!(
                health["text"].as_str().is_some_and(|text| text.starts_with("not permitted")),
                "{health}"
            );
        }
    };
    await_refusal(&mut looker, "whole");
    gate.open();
    await_live(&weir, &mut looker, &tabs);
    for tab in &tabs {
        assert_eq!(looker.ask("refusal", tab.clone()), Value::Null);
    }
    weir.eventually("rows are shown", || (!shown(&mut looker, &tabs[0]).1.is_empty()).then_some(()));
    // What was shown stays, and is old.
    gate.shut();
    await_refusal(&mut looker, "over");
    assert!(!shown(&mut looker, &tabs[0]).1.is_empty());
    assert_eq!(looker.ask("health", tabs[0].clone())["stale"], json!(true));
    for tab in &tabs {
        assert_eq!(looker.ask("faults_now", tab.clone()), json!([]), "what is grey can still be read");
    }
    gate.open();
    await_live(&weir, &mut looker, &tabs);
    drop(customers.go());
}

/// Pages that a person without a mouse, or without sight, comes to.
const PAGES: [&str; 7] = [
    "/",
    "/pipelines/revenue",
    "/d/board",
    "/sql",
    "/sql?q=SELECT%20*%20FROM%20weir.columns&chart=auto",
    "/dead-letters",
    LOST,
];
const LOST: &str = "/no/such/page";

#[test]
fn pages_are_accessible_and_the_keyboard_alone_leads_to_them() {
    let Scene { weir, customers } = scene("access");
    let mut looker = Looker::start("page.mjs", &[weir.url(), "/"]);
    for path in PAGES {
        assert_eq!(looker.ask("faults", path), json!([]), "{path}");
    }
    let overview = looker.ask("heading", "");
    assert_eq!(looker.ask("find", "reve"), "/pipelines/revenue");
    assert_eq!(looker.ask("heading", overview.as_str().expect("a text")), "revenue");
    assert_eq!(looker.ask("find", "overview"), "/");
    assert_eq!(looker.ask("heading", "revenue"), overview);
    let mut errors = looker.ask("complaints", "")["errors"].as_array().cloned().expect("a list");
    // The browser says so itself of a page that is none.
    errors.retain(|error| !error["url"].as_str().is_some_and(|url| url.ends_with(LOST)));
    assert_eq!(errors, [Value::Null; 0], "errors, or breaches of the security policy");
    drop(customers.go());
}
