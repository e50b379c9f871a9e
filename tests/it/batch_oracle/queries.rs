//! Random queries that can't fail on a row: what they compute stays small.

use std::fmt::Write as _;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

/// Windows, tumbling where the slide is the size, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    pub(super) size_ms: i64,
    pub(super) slide_ms: i64,
    pub(super) offset_ms: i64,
}

/// A query whose FROM differs between streaming and batch.
#[derive(Debug)]
pub(super) struct Query {
    /// `{from}` stands for the table.
    template: String,
    windows: Option<Windows>,
    n_columns: usize,
    /// Of the first columns; none without GROUP BY.
    n_key_columns: usize,
}

// A cast stands around something that is no argument elsewhere: inside DataFusion it has the name of what
// it casts, and two columns of one name are refused.
const INTS: &[&str] = &[
    "id",
    "k",
    "quantity",
    "quantity + 1",
    "id % 7",
    "k * 2 - quantity",
    "-k",
    "CASE WHEN flag THEN quantity ELSE 0 END",
    "CASE WHEN 3 < quantity THEN k END",
    "coalesce(k, -1)",
    "abs(k)",
    "character_length(name)",
    "nullif(quantity, 3)",
    "CAST(price + 0.5 AS BIGINT)",
    "CAST(name = 'a' AS INT)",
    "date_part('second', at)",
];
const FLOATS: &[&str] = &[
    "amount",
    "amount * 2.0",
    "amount + quantity",
    "amount / 4",
    "coalesce(amount, 0.0)",
    "CAST(quantity AS DOUBLE) / 4.0",
    "CASE WHEN flag THEN amount ELSE -amount END",
    "abs(amount)",
];
const DECIMALS: &[&str] =
    &["price", "price * 2", "price + 1.25", "-price", "nullif(price, 0)", "CAST(k + 1 AS DECIMAL(8, 3))"];
const TEXTS: &[&str] = &[
    "name",
    "upper(name)",
    "name || '-'",
    "coalesce(name, 'none')",
    "substr(name, 1, 1)",
    "CASE WHEN flag THEN name WHEN k = 1 THEN 'one' END",
    "CAST(k + 2 AS VARCHAR)",
    "concat(name, '/', k)",
];
const BOOLS: &[&str] = &[
    "flag",
    "NOT flag",
    "2 < quantity",
    "name LIKE '%b%'",
    "k IS NULL",
    "amount < 0 OR flag",
    "amount < 100 AND flag",
    "k IN (1, 2, NULL)",
    "k NOT IN (0, 1)",
    "price BETWEEN 1 AND 30",
    "name IS DISTINCT FROM 'a'",
    "flag IS NOT FALSE",
    "nullif(name, '') IS NOT NULL",
    "id % 3 = 0",
];
const TIMES: &[&str] = &["at", "at + INTERVAL '1' SECOND", "date_trunc('second', at)"];

fn one_of<'a>(rng: &mut StdRng, choices: &[&[&'a str]]) -> &'a str {
    let of_type = choices.choose(rng).expect("there are choices");
    of_type.choose(rng).expect("there are choices")
}

impl Query {
    pub(super) fn windows(&self) -> Option<Windows> {
        self.windows
    }

    pub(super) fn is_grouped(&self) -> bool {
        self.n_key_columns != 0
    }

    /// How many of the first columns identify a row: all of them where there is no key.
    pub(super) fn n_key_columns(&self) -> usize {
        if self.is_grouped() { self.n_key_columns } else { self.n_columns }
    }

    pub(super) fn streaming(&self) -> String {
        // Rows that ORDER BY leaves equal are ordered by arrival.
        let template = self.template.replace("{by arrival}", "").replace("{, arrival}", "");
        let Some(Windows { size_ms, slide_ms, offset_ms }) = self.windows else {
            return template.replace("{from}", "t");
        };
        let mut durations = vec![size_ms];
        let function = if slide_ms == size_ms { "TUMBLE" } else { "HOP" };
        if slide_ms != size_ms {
            durations.insert(0, slide_ms);
        }
        if offset_ms != 0 {
            durations.push(offset_ms);
        }
        let durations: Vec<String> =
            durations.iter().map(|ms| format!("INTERVAL '{ms} milliseconds'")).collect();
        let from = format!("{function}(TABLE t, DESCRIPTOR(at), {})", durations.join(", "));
        template.replace("{from}", &from)
    }

    pub(super) fn batch(&self) -> String {
        let Some(Windows { size_ms, .. }) = self.windows else {
            return self.template.replace("{from}", "t");
        };
        let template = self.template.replace("{by arrival}", " ORDER BY at, partition, offset");
        let template = template.replace("{, arrival}", ", at, partition, offset");
        let at = |shift_ms: i64| {
            format!("arrow_cast(w + INTERVAL '{shift_ms} milliseconds', 'Timestamp(ms, \"UTC\")')")
        };
        let from = format!(
            "(SELECT t.*, {} AS window_start, {} AS window_end, {} AS window_time FROM t) AS t",
            at(0),
            at(size_ms),
            at(size_ms - 1)
        );
        template.replace("{from}", &from)
    }
}

/// A query over the columns of the random table.
pub(super) fn random_query(rng: &mut StdRng) -> Query {
    let size_ms = [1_000, 5_000, 7_000, 10_000, 60_000][rng.random_range(0..5)];
    let offset_ms = if rng.random_bool(0.3) { rng.random_range(-8_000..8_000) } else { 0 };
    let n_panes = if rng.random_bool(0.5) { 1 } else { [2, 4, 5, 20, 40][rng.random_range(0..5)] };
    let windows = Windows { size_ms, slide_ms: size_ms / n_panes, offset_ms };
    if rng.random_bool(0.15) {
        return without_aggregation(rng, windows);
    }
    grouped(rng, windows)
}

fn without_aggregation(rng: &mut StdRng, windows: Windows) -> Query {
    let windows = rng.random_bool(0.5).then_some(windows);
    let n_columns = rng.random_range(1..6);
    let mut columns: Vec<&str> =
        (0..n_columns).map(|_| one_of(rng, &[INTS, FLOATS, DECIMALS, TEXTS, BOOLS, TIMES])).collect();
    if windows.is_some() {
        columns[0] = ["window_start", "window_end", "window_time"].choose(rng).expect("three");
    }
    let columns: Vec<String> =
        columns.iter().enumerate().map(|(i, expr)| format!("{expr} AS c{i}")).collect();
    let template = format!("SELECT {} FROM {{from}}{}", columns.join(", "), random_where(rng));
    Query { template, windows, n_columns, n_key_columns: 0 }
}

fn random_where(rng: &mut StdRng) -> String {
    if rng.random_bool(0.5) { String::new() } else { format!(" WHERE {}", one_of(rng, &[BOOLS])) }
}

fn grouped(rng: &mut StdRng, windows: Windows) -> Query {
    let mut keys = vec!["window_start", "window_end"];
    match rng.random_range(0..3) {
        0 => drop(keys.remove(0)),
        1 => drop(keys.pop()),
        _ => {}
    }
    for _ in 0..rng.random_range(0..4) {
        let key = one_of(rng, &[INTS, FLOATS, DECIMALS, TEXTS, TEXTS, BOOLS]);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut columns: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("{key} AS k{i}")).collect();
    let n_aggregates = rng.random_range(1..6);
    // One for all calls: batch refuses some that differ.
    let order = random_order(rng);
    for i in 0..n_aggregates {
        columns.push(format!("{} AS a{i}", random_result(rng, &order)));
    }
    let mut order = keys.clone();
    order.shuffle(rng);
    let mut template = format!(
        "SELECT {} FROM {{from}}{} GROUP BY {}",
        columns.join(", "),
        random_where(rng),
        order.join(", ")
    );
    if rng.random_bool(0.25) {
        write!(template, " HAVING {}", random_having(rng)).expect("memory does not fail");
    }
    // Around the aggregation: a filter on what it computed, in one of two spellings.
    match rng.random_range(0..6) {
        0 => template = format!("SELECT * FROM ({template}) AS g WHERE a0 IS NOT NULL"),
        1 => {
            template =
                format!("WITH g AS ({template}) SELECT * FROM g WHERE k0 < TIMESTAMP '1970-01-01T00:00:40Z'")
        }
        _ => {}
    }
    Query { template, windows: Some(windows), n_columns: columns.len(), n_key_columns: keys.len() }
}

/// A column over aggregates.
fn random_result(rng: &mut StdRng, order: &str) -> String {
    match rng.random_range(0..10) {
        0 => format!("{} + count(*)", random_sum(rng, INTS)),
        1 => format!("coalesce({}, 0)", random_sum(rng, INTS)),
        2 => "max(id) - min(id)".to_owned(),
        3 => format!("CASE WHEN 2 < count(*) THEN {} END", random_sum(rng, FLOATS)),
        _ => random_aggregate(rng, order),
    }
}

fn random_sum(rng: &mut StdRng, arguments: &[&'static str]) -> String {
    let argument = arguments.choose(rng).expect("there are some");
    format!("sum({argument}){}", random_filter(rng))
}

fn random_filter(rng: &mut StdRng) -> String {
    if rng.random_bool(0.3) { format!(" FILTER (WHERE {})", one_of(rng, &[BOOLS])) } else { String::new() }
}

fn random_aggregate(rng: &mut StdRng, order: &str) -> String {
    let numbers: &[&[&str]] = &[INTS, FLOATS, DECIMALS];
    let any: &[&[&str]] = &[INTS, FLOATS, DECIMALS, TEXTS, BOOLS, TIMES];
    let call = match rng.random_range(0..23) {
        0 => "count(*)".to_owned(),
        1 => format!("count({})", one_of(rng, &[INTS, FLOATS, DECIMALS, TEXTS, BOOLS])),
        2 | 3 => format!("sum({})", one_of(rng, numbers)),
        4 => format!("avg({})", one_of(rng, numbers)),
        5 => format!("min({})", one_of(rng, &[INTS, FLOATS, DECIMALS, TEXTS, BOOLS, TIMES])),
        6 => format!("max({})", one_of(rng, &[INTS, FLOATS, DECIMALS, TEXTS, BOOLS, TIMES])),
        7 => format!("{}({})", ["var", "var_pop"][rng.random_range(0..2)], one_of(rng, numbers)),
        8 => format!("{}({})", ["stddev", "stddev_pop"][rng.random_range(0..2)], one_of(rng, numbers)),
        9 => format!("bool_and({})", one_of(rng, &[BOOLS])),
        10 => format!("bool_or({})", one_of(rng, &[BOOLS])),
        11 | 12 => format!("count(DISTINCT {})", one_of(rng, &[INTS, FLOATS, DECIMALS, TEXTS, BOOLS, TIMES])),
        // Batch has other types: BIGINT UNSIGNED, and text with long offsets.
        13 => {
            let call = format!("approx_distinct({})", one_of(rng, &[INTS, TEXTS]));
            return format!("CAST({call}{} AS BIGINT)", random_filter(rng));
        }
        14 | 15 => {
            let function = ["first_value", "last_value", "array_agg"][rng.random_range(0..3)];
            let call = format!("{function}({}{order})", one_of(rng, any));
            // In batch last_value panics where FILTER leaves no row.
            if function == "last_value" {
                return call;
            }
            call
        }
        16 => {
            let call = format!("string_agg({}, '+'{order})", one_of(rng, &[TEXTS]));
            return format!("CAST({call}{} AS VARCHAR)", random_filter(rng));
        }
        17 => format!("nth_value({}, 2{order})", one_of(rng, any)),
        18 => {
            let function = ["median", "approx_median"][rng.random_range(0..2)];
            format!("{function}({})", one_of(rng, &[INTS, FLOATS]))
        }
        19 | 20 => {
            let function = ["sum", "avg"][rng.random_range(0..2)];
            format!("{function}(DISTINCT {})", one_of(rng, &[INTS, DECIMALS]))
        }
        21 => {
            let argument = one_of(rng, &[INTS, DECIMALS, TEXTS]);
            let direction = ["", " DESC"][rng.random_range(0..2)];
            format!("array_agg(DISTINCT {argument} ORDER BY {argument}{direction})")
        }
        _ => {
            let function = ["covar_pop", "covar_samp", "regr_slope", "regr_avgx"][rng.random_range(0..4)];
            format!("{function}({}, {})", one_of(rng, &[INTS, FLOATS]), one_of(rng, &[INTS, FLOATS]))
        }
    };
    format!("{call}{}", random_filter(rng))
}

/// An ORDER BY in a call, or none.
fn random_order(rng: &mut StdRng) -> String {
    let direction = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"];
    match rng.random_range(0..3) {
        0 => "{by arrival}".to_owned(),
        n => {
            let keys: Vec<String> = (0..n)
                .map(|_| {
                    let key = one_of(rng, &[INTS, FLOATS, DECIMALS, TEXTS, BOOLS]);
                    format!("{key}{}", direction.choose(rng).expect("there are some"))
                })
                .collect();
            format!(" ORDER BY {}{{, arrival}}", keys.join(", "))
        }
    }
}

/// Only what no rounding can turn.
fn random_having(rng: &mut StdRng) -> String {
    let choices = [
        "1 < count(*)",
        "count(*) < 4",
        "0 < sum(quantity)",
        "min(k) IS NOT NULL",
        "'b' < max(name)",
        "10.03 < sum(amount)",
        "bool_or(flag)",
        "count(DISTINCT name) = 2",
        "0 < count(*) FILTER (WHERE flag) AND max(id) % 2 = 0",
    ];
    (*choices.choose(rng).expect("there are some")).to_owned()
}
