//! The page in a real Chromium: numbers form, change and become final, and survive a server that is
//! killed. `tests/browser/page.mjs` looks and types, this side produces, kills and judges.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::looker::Looker;
use crate::services::services;
use crate::till::{Customers, FIRST_ID, Till, now_ms};
use crate::weir::{Project, Weir};

const TOPIC: &str = "watched";
const SQL: &str =
    "SELECT window_start, window_end, count(*) AS orders, sum(amount) AS revenue, max(id) AS newest
FROM TUMBLE(TABLE watched, DESCRIPTOR(ordered_at), INTERVAL '3' SECOND)
GROUP BY window_start, window_end";
/// Rows that the page shows.
const N_LINES: usize = 40;
/// Orders that are watched on their way to the page, at least.
const N_WATCHED: i64 = 60;
/// A server that is gone has to be noticed within this.
const NOTICED_MS: i64 = 2_000;
/// Generous: the figure is printed, and is the epoch's length on a machine that has nothing else to do.
const PAINTED_MS: i64 = 5_000;

/// What was painted, frame by frame, as far as it changed.
struct History(Value);

/// A row as it was shown from a moment on.
#[derive(Debug)]
struct Shown {
    at_ms: i64,
    /// Orders, revenue, newest id.
    numbers: Vec<i64>,
    is_final: bool,
}

impl History {
    fn of(looker: &mut Looker) -> Self {
        Self(looker.ask("history", ""))
    }

    /// By window, in the order of time.
    fn windows(&self) -> BTreeMap<&str, Vec<Shown>> {
        let mut windows: BTreeMap<&str, Vec<Shown>> = BTreeMap::new();
        for row in self.0["rows"].as_array().expect("an array") {
            let numbers = row["numbers"].as_array().expect("an array").iter();
            windows.entry(text(&row["window"])).or_default().push(Shown {
                at_ms: row["at"].as_i64().expect("milliseconds"),
                numbers: numbers.map(|number| ungrouped(text(number))).collect(),
                is_final: row["final"].as_bool().expect("true or false"),
            });
        }
        windows
    }

    /// When the connection was first shown as other than live from `from_ms` on.
    fn noticed_ms(&self, from_ms: i64) -> Option<i64> {
        let states = self.0["states"].as_array().expect("an array").iter();
        let mut troubles = states.filter(|state| text(&state["state"]) == "reconnecting");
        troubles.find_map(|state| state["at"].as_i64().filter(|at_ms| from_ms <= *at_ms))
    }

    fn state(&self) -> &str {
        self.0["states"].as_array().expect("an array").last().map_or("", |state| text(&state["state"]))
    }

    /// Whether a window was seen with several numbers while it was provisional, and then final.
    fn has_a_window_that_formed(&self) -> bool {
        self.windows().values().any(|shown| {
            let provisional = shown.iter().filter(|row| !row.is_final);
            2 < provisional.count() && shown.last().is_some_and(|row| row.is_final)
        })
    }

    /// How many orders came in since the page showed the first.
    fn n_watched(&self) -> i64 {
        let windows = self.windows();
        let newest = || windows.values().flatten().map(|row| row.numbers[2]);
        newest().max().zip(newest().min()).map_or(0, |(last, first)| last - first)
    }

    /// How long each order took from before it was sent until a number with it was painted.
    fn waits_ms(&self, till: &Till) -> Vec<i64> {
        let mut painted: Vec<(i64, i64)> =
            self.windows().values().flatten().map(|row| (row.at_ms, row.numbers[2])).collect();
        painted.sort_unstable();
        let first_ms = painted.first().map_or(i64::MAX, |(at_ms, _)| *at_ms);
        let made = (FIRST_ID..).zip(&till.made_ms).filter(|(_, made_ms)| first_ms < **made_ms);
        let waits = made.filter_map(|(id, made_ms)| {
            painted.iter().find(|(_, newest)| id <= *newest).map(|(at_ms, _)| at_ms - made_ms)
        });
        waits.collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

/// Of `1,000,042`, as the page writes it.
fn ungrouped(number: &str) -> i64 {
    number.replace(',', "").parse().unwrap_or_else(|_| panic!("a number, not \"{number}\""))
}

/// No number that somebody saw is taken back, and none changes once it is final.
fn assert_nothing_was_taken_back(history: &History) {
    for (window, shown) in history.windows() {
        for pair in shown.windows(2) {
            assert!(!pair[0].is_final, "{window} was final: {pair:?}");
            let is_less = pair[0].numbers.iter().zip(&pair[1].numbers).any(|(before, after)| after < before);
            assert!(!is_less, "{window} lost something: {pair:?}");
        }
    }
}

fn assert_the_box_runs_sql(looker: &mut Looker) {
    assert_eq!(
        looker.ask("answer", "SELECT min(newest) > 0 AS yes, 40 + 2 AS n FROM revenue"),
        json!(["true", "42"])
    );
    let problem = looker.ask("problem", "SELECT\n  nonsense FROM revenue");
    for part in ["nonsense", "line 2, column 3"] {
        assert!(text(&problem).contains(part), "no \"{part}\" in {problem}");
    }
}

/// The page shows the rows of SQL, newest window first, and all of the orders are in them.
fn assert_page_equals_sql(weir: &Weir, looker: &mut Looker, n_orders: usize) {
    let counted = [vec![json!(n_orders), json!(7 * n_orders)]];
    weir.await_rows("SELECT sum(orders), sum(revenue) FROM revenue", &counted);
    let newest = "SELECT orders, revenue, newest, _final FROM revenue ORDER BY window_start DESC";
    let mut seen = String::new();
    let limit = std::time::Instant::now() + Duration::from_secs(60);
    weir.eventually("the page shows what SQL says", || {
        let sql = weir.sql(newest);
        let shown = looker.ask("rows", "");
        let shown = shown.as_array().expect("an array").iter().map(|line| {
            let cells = line["cells"].as_array().expect("an array");
            let mut row: Vec<Value> = cells[1..].iter().map(|cell| json!(ungrouped(text(cell)))).collect();
            row.push(line["final"].clone());
            row
        });
        let shown: Vec<Vec<Value>> = shown.collect();
        if shown.iter().eq(sql.iter().take(N_LINES)) {
            return Some(());
        }
        seen = format!("SQL {sql:?}\npage {shown:?}");
        assert!(std::time::Instant::now() < limit, "{seen}");
        None
    });
}

/// The console has nothing but connections that failed while the server was away, and the answer to
/// the query that was wrong.
fn assert_no_complaints(looker: &mut Looker, away_ms: std::ops::RangeInclusive<i64>) {
    let complaints = looker.ask("complaints", "");
    assert_eq!(complaints["foreign"], json!([]), "requests to other hosts");
    let is_expected = |error: &&Value| {
        let (message, url) = (text(&error["text"]), text(&error["url"]));
        let was_away = away_ms.contains(&error["at"].as_i64().expect("milliseconds"));
        was_away && message.contains("net::ERR_")
            || message.contains("status of 400") && url.ends_with("/api/v1/sql")
    };
    let errors = complaints["errors"].as_array().expect("an array");
    let unexpected: Vec<&Value> = errors.iter().filter(|error| !is_expected(error)).collect();
    assert!(unexpected.is_empty(), "console: {unexpected:#?}");
}

#[test]
fn a_browser_sees_numbers_change_and_survives_a_killed_server() {
    let services = services();
    let till = Till::new(&services, TOPIC);
    let source = "event_time: ordered_at\nwatermark: { delay: 1s }\n";
    let project = Project::new(&services).source(TOPIC, source).pipeline("revenue", SQL, "");
    let weir = project.run();
    weir.await_ready();
    let customers = Customers::come(till);

    let mut looker = Looker::start("page.mjs", &[weir.url(), "/#pipeline=revenue"]);
    weir.eventually("the pipeline is shown as running", || {
        (looker.ask("pipeline", "revenue") == "running").then_some(())
    });
    weir.eventually("numbers change before they are final", || {
        let history = History::of(&mut looker);
        (history.has_a_window_that_formed() && N_WATCHED <= history.n_watched()).then_some(())
    });
    assert_eq!(looker.ask("address", ""), "/pipelines/revenue");
    assert_the_box_runs_sql(&mut looker);
    let till = customers.go();
    assert_page_equals_sql(&weir, &mut looker, till.made_ms.len());
    let mut waits_ms = History::of(&mut looker).waits_ms(&till);
    waits_ms.sort_unstable();
    assert!(N_WATCHED / 2 <= waits_ms.len() as i64, "{} orders were watched", waits_ms.len());
    let [median_ms, p95_ms] = [50, 95].map(|percent| waits_ms[(waits_ms.len() - 1) * percent / 100]);
    eprintln!("produced to painted: median {median_ms} ms, p95 {p95_ms} ms of {} orders", waits_ms.len());
    assert!(p95_ms < PAINTED_MS, "produced to painted: {waits_ms:?} ms");

    // Killed while orders come in, and back at the same address.
    let customers = Customers::come(till);
    let address = weir.url().trim_start_matches("http://").to_owned();
    let killed_ms = now_ms();
    weir.kill();
    let noticed_ms = crate::services::eventually("the page says so", Duration::from_secs(60), || {
        History::of(&mut looker).noticed_ms(killed_ms)
    });
    assert!(noticed_ms - killed_ms <= NOTICED_MS, "noticed after {} ms", noticed_ms - killed_ms);
    let weir = project.run_at(&address);
    weir.eventually("the page is live again", || (History::of(&mut looker).state() == "live").then_some(()));
    let back_ms = now_ms();
    let till = customers.go();
    assert_page_equals_sql(&weir, &mut looker, till.made_ms.len());
    assert_nothing_was_taken_back(&History::of(&mut looker));
    assert_no_complaints(&mut looker, killed_ms..=back_ms);
}
