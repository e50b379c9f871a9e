//! The page `/sql` in a real Chromium: answers of any length, errors at their place, what is cancelled and what is kept.
//! All by keyboard where a keyboard is enough.

use serde_json::{Value, json};

use crate::looker::Looker;
use crate::services::services;
use crate::till::{Customers, Till};
use crate::weir::{Project, Weir};

const TOPIC: &str = "asked";
const SQL: &str = "SELECT window_start, window_end, count(*) AS orders
FROM TUMBLE(TABLE asked, DESCRIPTOR(ordered_at), INTERVAL '3' SECOND) GROUP BY window_start, window_end";
/// Queries that a server runs at the same time; see `Limits`.
const RUNNING_MAX: usize = 16;
/// Hours of work.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 100000000000) a WHERE a.value % 7 = 3";
const LONG: &str = "SELECT value, 'row ' || value AS text FROM generate_series(1, 100000) ORDER BY value";

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

fn id(name: &str) -> String {
    format!("[data-testid=\"{name}\"]")
}

/// The desk, and who sits at it.
struct Desk<'a> {
    weir: &'a Weir,
    looker: Looker,
}

impl Desk<'_> {
    fn ask(&mut self, deed: &str, of: impl AsRef<str>) -> Value {
        self.looker.ask(deed, of.as_ref())
    }

    fn text(&mut self, name: &str) -> String {
        text(&self.ask("text", id(name))).to_owned()
    }

    fn write(&mut self, query: &str) {
        let of = json!({ "selector": id("sql-input"), "text": query });
        self.ask("fill", of.to_string());
    }

    fn run(&mut self, query: &str) {
        self.write(query);
        self.ask("press", "Control+Enter");
    }

    fn await_summary(&mut self, part: &str) {
        let mut seen = String::new();
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let (weir, looker) = (self.weir, &mut self.looker);
        weir.eventually("the summary says it", || {
            seen = text(&looker.ask("text", id("sql-summary"))).to_owned();
            assert!(std::time::Instant::now() < limit, "the summary says \"{seen}\", not \"{part}\"");
            seen.contains(part).then_some(())
        });
    }

    /// Presses Tab until something has the focus.
    fn tab_to(&mut self, name: &str) {
        let reached = (0..60).any(|_| {
            self.ask("press", "Tab");
            self.ask("focus", "") == name
        });
        assert!(reached, "no Tab leads to {name}");
    }
}

#[test]
fn answers_are_long_and_errors_have_a_place() {
    let services = services();
    let till = Till::new(&services, TOPIC);
    let source = "event_time: ordered_at\nwatermark: { delay: 1s }\n";
    let board = "title: Shop\npanels:\n  - { title: Latest, pipeline: counted, chart: stat, y: orders }\n";
    let project =
        Project::new(&services).source(TOPIC, source).pipeline("counted", SQL, "").dashboard("shop", board);
    let weir = project.run();
    weir.await_ready();
    let customers = Customers::come(till);
    weir.eventually("there are orders", || (!weir.sql("SELECT * FROM counted").is_empty()).then_some(()));
    let mut desk = Desk { weir: &weir, looker: Looker::start("walk.mjs", &[weir.url()]) };

    a_long_answer_is_scrolled_ordered_copied_and_saved(&mut desk);
    it_is_there_when_one_comes_back(&mut desk);
    an_error_is_underlined(&mut desk);
    an_answer_is_never_taken_for_that_of_another_query(&mut desk);
    tables_are_there_whatever_was_asked(&mut desk);
    a_cancelled_query_ends_on_the_server(&mut desk);
    a_live_query_goes_on(&mut desk);
    a_plan_is_a_tree_and_an_answer_a_panel(&mut desk);
    a_link_has_how_the_answer_is_looked_at(&mut desk);
    history_survives_a_reload(&mut desk);
    keys_are_enough(&mut desk);
    customers.go();
}

fn a_long_answer_is_scrolled_ordered_copied_and_saved(desk: &mut Desk<'_>) {
    let link = format!("/sql?q={}", LONG.replace(' ', "%20").replace('\'', "%27"));
    desk.ask("visit", link);
    desk.await_summary("100,000 rows in");
    let scrolled = desk.ask("scroll", id("sql-result"));
    eprintln!("scrolling through 100,000 rows: {scrolled}");
    assert!(scrolled["n_elements"].as_u64().is_some_and(|n| n < 1_500), "{scrolled}");
    assert!(scrolled["p95_ms"].as_f64().is_some_and(|ms| ms < 250.0), "{scrolled}");
    let cells = format!("{} [role=\"gridcell\"]", id("sql-result"));
    let looker = &mut desk.looker;
    desk.weir.eventually("the last row is there", || {
        let seen = looker.ask("texts", cells.as_str());
        seen.as_array().is_some_and(|seen| seen.contains(&json!("row 100000"))).then_some(())
    });

    // The first press of a head orders up, the second down.
    let head = format!("{} [role=\"columnheader\"] button", id("sql-result"));
    desk.ask("click", &head);
    desk.ask("click", &head);
    desk.ask("click", id("sql-result"));
    desk.ask("press", "Control+Home");
    assert_eq!(desk.text("sql-cell"), "value 100000");
    desk.ask("press", "Control+End");
    desk.ask("press", "Shift+End");
    desk.ask("press", "Control+c");
    assert_eq!(desk.ask("clipboard", ""), "value\ttext\n1\trow 1\n");
    assert_eq!(desk.text("sql-copied"), "Copied 1 row of 2 columns.");
    let place = desk.text("sql-place");
    assert!(place.contains(" to 100,000 of 100,000, row 100,000 chosen"), "{place}");
    let file = desk.ask("saved", id("sql-save-csv"));
    let name = text(&file["name"]);
    assert!(name.starts_with("answer-20") && name.ends_with("Z.csv"), "{name}");
    let csv = text(&file["text"]);
    assert!(csv.starts_with("value,text\n100000,row 100000\n99999,row 99999\n"), "{}", &csv[..60]);
    assert_eq!(csv.lines().count(), 100_001);
}

fn it_is_there_when_one_comes_back(desk: &mut Desk<'_>) {
    let before = desk.text("sql-summary");
    desk.ask("click", "a.brand");
    assert_eq!(desk.ask("path", ""), "/");
    desk.ask("click", "nav.pages a[href^=\"/sql\"]");
    assert_eq!(desk.text("sql-summary"), before, "it did not run again");
    let address = desk.ask("path", "");
    assert!(text(&address).starts_with("/sql?q=SELECT"), "{address}");
}

fn an_error_is_underlined(desk: &mut Desk<'_>) {
    desk.run("SELECT\n  ordres FROM counted");
    assert_eq!(desk.text("sql-problem"), "ordres");
    let said = desk.text("sql-error");
    for part in ["ordres", "line 2, column 3", "did you mean \"orders\"?", "E0301"] {
        assert!(said.contains(part), "no \"{part}\" in {said}");
    }
}

fn an_answer_is_never_taken_for_that_of_another_query(desk: &mut Desk<'_>) {
    let shown = |desk: &mut Desk<'_>, name: &str| desk.ask("is_shown", id(name)) == true;
    desk.run("SELECT 40 + 2 AS n");
    desk.await_summary("1 row in");
    assert!(!shown(desk, "sql-old") && shown(desk, "sql-save-csv"));
    desk.run("SELECT nn FROM counted");
    desk.text("sql-error");
    assert!(desk.text("sql-old").contains("SELECT 40 + 2 AS n"));
    assert!(!shown(desk, "sql-save-csv"), "nothing can be made of an old answer");
    desk.run(ENDLESS);
    desk.weir.eventually("nothing of the error is left", || {
        (desk.looker.ask("count", id("sql-error")) == 0).then_some(())
    });
    assert!(shown(desk, "sql-old"));
    desk.ask("click", id("sql-cancel"));
    desk.await_summary("Cancelled.");
    assert!(shown(desk, "sql-old"));
    let past = desk.text("sql-past-query");
    assert!(past.contains("generate_series") && past.contains("cancelled after"), "{past}");
    desk.ask("click", id("sql-old-return"));
    desk.await_summary("1 row in");
    assert!(shown(desk, "sql-save-csv") && !shown(desk, "sql-old"));
    assert_eq!(desk.ask("path", ""), "/sql?q=SELECT%2040%20%2B%202%20AS%20n");

    desk.ask("focus_on", id("sql-input"));
    for keys in ["Control+a", "Delete", "Control+Enter"] {
        desk.ask("press", keys);
    }
    desk.await_summary("Nothing to run");
}

fn tables_are_there_whatever_was_asked(desk: &mut Desk<'_>) {
    let counted = format!("{} li:has(> .table-name:text-is(\"counted\"))", id("sql-tables"));
    desk.ask("click", format!("{counted} .twist"));
    let columns = desk.ask("texts", format!("{counted} .table-columns li"));
    assert!(columns.to_string().contains("orders") && columns.to_string().contains("bigint"), "{columns}");
    desk.ask("click", format!("{counted} .table-name"));
    desk.await_summary("counted at epoch");
    let address = desk.ask("path", "");
    assert!(text(&address).contains("ORDER%20BY%20window_start%20DESC"), "{address}");
}

fn a_cancelled_query_ends_on_the_server(desk: &mut Desk<'_>) {
    // One more than may run at the same time: were they not ended, the last would be refused.
    for _ in 0..=RUNNING_MAX {
        desk.run(ENDLESS);
        desk.await_summary("Running");
        desk.ask("click", id("sql-cancel"));
        desk.await_summary("Cancelled");
    }
    desk.run("SELECT 40 + 2 AS n");
    desk.await_summary("1 row in");
    desk.weir.eventually("the server runs no query any more", || desk.weir.try_sql("SELECT 1").ok());
}

fn a_live_query_goes_on(desk: &mut Desk<'_>) {
    desk.run("SELECT sum(orders) AS n FROM counted");
    desk.await_summary("counted at epoch");
    desk.ask("click", id("sql-live"));
    let cell = format!("{} [role=\"gridcell\"]", id("sql-result"));
    let mut numbers = std::collections::BTreeSet::new();
    let (weir, looker) = (desk.weir, &mut desk.looker);
    weir.eventually("the number changes by itself", || {
        numbers.insert(text(&looker.ask("text", cell.as_str())).parse::<u64>().expect("a number"));
        (5 < numbers.len()).then_some(())
    });
    desk.ask("click", id("sql-live"));
}

fn a_plan_is_a_tree_and_an_answer_a_panel(desk: &mut Desk<'_>) {
    desk.run("EXPLAIN SELECT count(*) FROM counted GROUP BY orders");
    desk.await_summary("Planned in");
    let plans = desk.ask("texts", id("sql-plan")).to_string();
    assert!(plans.contains("AggregateExec") && plans.contains("TableScan"), "{plans}");
    desk.run("SELECT window_start, orders FROM counted");
    desk.await_summary("counted at epoch");
    desk.ask("click", id("sql-pin"));
    let panel = desk.text("sql-panel");
    for part in ["pipeline: counted", "chart: bar", "x: window_start", "y: orders"] {
        assert!(panel.contains(part), "no \"{part}\" in {panel}");
    }
    desk.ask("click", id("sql-pin-to"));
    desk.text("draft-title");
    assert!(desk.text("panel-1").contains("Orders"), "the panel is the first of the draft");
    desk.ask("click", id("draft-discard"));
}

fn a_link_has_how_the_answer_is_looked_at(desk: &mut Desk<'_>) {
    desk.ask("visit", "/sql");
    desk.run("SELECT window_start, orders FROM counted");
    desk.await_summary("counted at epoch");
    desk.ask("click", id("sql-draw"));
    let heads = format!("{} [role=\"columnheader\"]", id("sql-result"));
    desk.ask("click", format!("{heads} button"));
    let address = "/sql?q=SELECT%20window_start%2C%20orders%20FROM%20counted&chart=auto&order=window_start";
    assert_eq!(desk.ask("path", ""), address);
    desk.ask("reload", "");
    desk.await_summary("counted at epoch");
    desk.text("sql-chart");
    let of = json!({ "selector": heads, "name": "aria-sort" });
    assert_eq!(desk.ask("attribute", of.to_string()), "ascending");
    assert_eq!(desk.ask("path", ""), address);
}

fn history_survives_a_reload(desk: &mut Desk<'_>) {
    let before = desk.ask("texts", id("sql-past-query"));
    desk.ask("reload", "");
    desk.ask("text", id("sql-past-query"));
    let after = desk.ask("texts", id("sql-past-query"));
    let queries = |texts: &Value| -> Vec<String> {
        let texts = texts.as_array().expect("a list").iter();
        texts.map(|entry| text(entry).lines().next().unwrap_or_default().to_owned()).collect()
    };
    assert!(queries(&before).iter().any(|query| query.contains("generate_series(1, 100000)")), "{before}");
    assert_eq!(queries(&after), queries(&before));
}

fn keys_are_enough(desk: &mut Desk<'_>) {
    desk.ask("visit", "/sql");
    desk.ask("text", id("sql-editor"));
    desk.tab_to("sql-input");
    desk.ask("press", "Control+a");
    // No function begins so.
    desk.ask("type", "SELECT 7 AS seven, 8 AS eight FROM counte");
    desk.weir.eventually("a table is offered", || {
        desk.looker.ask("count", "[role=\"option\"]").as_u64().filter(|n| 0 < *n)
    });
    // An offer that has only just come is not taken, for who types on without looking; Tab does not leave meanwhile.
    desk.ask("press", "Tab");
    desk.ask("frames", "20");
    desk.ask("press", "Tab");
    assert_eq!(desk.ask("focus", ""), "sql-input");
    desk.ask("type", " LIMIT 1");
    desk.ask("press", "Control+Enter");
    desk.await_summary("1 row in");
    desk.tab_to("sql-result");
    desk.ask("press", "ArrowDown");
    desk.ask("press", "ArrowRight");
    assert_eq!(desk.text("sql-cell"), "eight 8");
    desk.ask("press", "Control+c");
    assert_eq!(desk.ask("clipboard", ""), "8");
}
