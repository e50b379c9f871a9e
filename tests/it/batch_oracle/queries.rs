//! Random queries: what stands in FROM, filters, one aggregation or none, and what is made of its results.
//!
//! ```text
//! {windowed} ─► SELECT *, … AS x0 ─► WHERE ─► GROUP BY … HAVING ─► SELECT …, … AS b0 WHERE … ─► columns
//! ```
//!
//! No more than one expression fails on some rows, and none else can, so that those rows are known: batch
//! leaves them out. The same of one expression over aggregates.

use std::fmt::Write as _;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use super::expressions::{Columns, Kind, spelled};

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
    /// What is around `{rows}`: FROM and WHERE.
    template: String,
    /// In front of the SELECT: names in `from`.
    with: String,
    /// `{windowed}` stands for the table.
    from: String,
    filter: Option<String>,
    /// A query that the windows are around, with `{hidden}` for batch's own columns; none: the table itself.
    inner: Option<String>,
    windows: Option<Windows>,
    n_columns: usize,
    /// Of the first columns; none without GROUP BY.
    n_key_columns: usize,
    /// On which rows the query fails, in columns of the table.
    failing_rows: Option<&'static str>,
    failing_groups: Option<FailingGroups>,
}

#[derive(Debug)]
struct FailingGroups {
    /// Those for which this is true.
    condition: &'static str,
    /// A query of the groups that get as far, without the condition.
    reached: String,
}

/// Expressions that fail on the rows for which the condition is true, and only there.
const FAILING: &[(&str, Kind, &str)] = &[
    ("(12 / k)", Kind::Int, "k = 0"),
    ("(id % (quantity - 3))", Kind::Int, "quantity = 3"),
    ("{cast}CASE WHEN k = 2 THEN name ELSE '7' END{as INT|Int32}", Kind::Int, "k = 2 AND name IS NOT NULL"),
    ("{cast}id / 7{as TINYINT|Int8}", Kind::Int, "896 <= id"),
    ("(9223372036854775807 - k)", Kind::Other, "k < 0"),
    ("{cast}price * 3{as DECIMAL(4, 2)|Decimal128(4, 2)}", Kind::Decimal, "100 <= abs(price * 3)"),
    ("make_date(2026, quantity + 6, 1)", Kind::Date, "6 < quantity OR quantity < -5"),
    (
        "(at + {cast}concat(id * 100000, ' days'){as INTERVAL|Interval(MonthDayNano)})",
        Kind::Other,
        "951 <= id",
    ),
    (
        "(day + {cast}concat(id * 900, ' years'){as INTERVAL|Interval(MonthDayNano)})",
        Kind::Other,
        "day IS NOT NULL AND 290 <= id",
    ),
    ("sqrt({cast}k{as DOUBLE|Float64})", Kind::Other, "k < 0"),
    ("chr(k + 1)", Kind::Text, "k < -1"),
];
/// The same of groups.
const FAILING_GROUPS: &[(&str, &str)] = &[
    ("100 / (count(*) - 2)", "count(*) = 2"),
    ("{cast}sum(quantity){as TINYINT|Int8}", "sum(quantity) NOT BETWEEN -128 AND 127"),
    ("9223372036854775000 + 300 * count(DISTINCT id)", "2 < count(DISTINCT id)"),
];

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
        let template = self.template.replace("{rows}", &self.rows("")).replace("{not failing}", "");
        let template = template.replace("{by arrival}", "").replace("{, arrival}", "");
        let inner = self.inner.as_ref().map(|inner| format!("({})", inner.replace("{hidden}", "")));
        let Some(Windows { size_ms, slide_ms, offset_ms }) = self.windows else {
            let table = inner.map_or_else(|| "t".to_owned(), |inner| format!("{inner} AS t"));
            return spelled(&template.replace("{windowed}", &table), true);
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
        let table = inner.unwrap_or_else(|| "t".to_owned());
        let windowed = format!("{function}(TABLE {table}, DESCRIPTOR(at), {}) AS t", durations.join(", "));
        spelled(&template.replace("{windowed}", &windowed), true)
    }

    pub(super) fn batch(&self) -> String {
        let not_failing = self
            .failing_groups
            .as_ref()
            .map_or(String::new(), |groups| format!(" AND ({}) IS NOT TRUE", groups.condition));
        self.in_batch(&self.template.replace("{not failing}", &not_failing), true)
    }

    /// A query for the number of records on which this one fails.
    pub(super) fn failing_rows(&self) -> Option<String> {
        let condition = self.failing_rows?;
        let rows = self.rows(&format!("({condition}) AND NOT lettered"));
        let rows = format!(
            "{}SELECT count(*) AS n FROM (SELECT DISTINCT partition, \"offset\" {rows}) AS f",
            self.with
        );
        Some(self.in_batch(&rows, false))
    }

    /// A query for the number of groups on which this one fails.
    pub(super) fn failing_groups(&self) -> Option<String> {
        let groups = self.failing_groups.as_ref()?;
        let failing = format!("{} AND ({})", groups.reached, groups.condition);
        Some(self.in_batch(&format!("SELECT count(*) AS n FROM ({failing}) AS f"), true))
    }

    /// FROM and WHERE, with another condition or an empty one.
    fn rows(&self, condition: &str) -> String {
        let conditions: Vec<&str> = self
            .filter
            .as_deref()
            .into_iter()
            .chain(Some(condition).filter(|text| !text.is_empty()))
            .collect();
        let filter = if conditions.is_empty() { "" } else { " WHERE " };
        format!("FROM {}{filter}{}", self.from, conditions.join(" AND "))
    }

    fn in_batch(&self, template: &str, without_failing: bool) -> String {
        let template = template.replace("{rows}", &self.rows(""));
        let template = template.replace("{by arrival}", " ORDER BY at, partition, \"offset\"");
        let template = template.replace("{, arrival}", ", at, partition, \"offset\"");
        let hidden = ", partition, \"offset\", lettered, w";
        let inner = self
            .inner
            .as_ref()
            .map_or_else(|| "t".to_owned(), |inner| format!("({})", inner.replace("{hidden}", hidden)));
        let condition = self.failing_rows.filter(|_| without_failing);
        let filter = condition.map_or(String::new(), |condition| format!(" WHERE ({condition}) IS NOT TRUE"));
        let windows = self.windows.map_or(String::new(), |Windows { size_ms, .. }| {
            let at = |shift_ms: i64| {
                format!("arrow_cast(w + INTERVAL '{shift_ms} milliseconds', 'Timestamp(ms, \"UTC\")')")
            };
            format!(
                ", {} AS window_start, {} AS window_end, {} AS window_time",
                at(0),
                at(size_ms),
                at(size_ms - 1)
            )
        });
        let windowed = format!("(SELECT t.*{windows} FROM {inner} AS t{filter}) AS t");
        spelled(&template.replace("{windowed}", &windowed), false)
    }
}

/// A query over the columns of the random table.
pub(super) fn random_query(rng: &mut StdRng) -> Query {
    let size_ms = [1_000, 5_000, 7_000, 10_000, 60_000][rng.random_range(0..5)];
    let offset_ms = if rng.random_bool(0.3) { rng.random_range(-8_000..8_000) } else { 0 };
    let n_panes = if rng.random_bool(0.5) { 1 } else { [2, 4, 5, 20, 40][rng.random_range(0..5)] };
    let windows = Windows { size_ms, slide_ms: size_ms / n_panes, offset_ms };
    let draft = Draft::new(rng);
    if rng.random_bool(0.15) { draft.without_aggregation(rng, windows) } else { draft.grouped(rng, windows) }
}

/// What stands in front of the aggregation.
struct Draft {
    columns: Columns,
    /// In front of the SELECT.
    with: String,
    from: String,
    filter: Option<String>,
    inner: Option<String>,
    failing: Option<(&'static str, Kind, &'static str)>,
}

impl Draft {
    fn new(rng: &mut StdRng) -> Self {
        let mut columns = Columns::of_table();
        let mut n_added = 0;
        let mut added = |rng: &mut StdRng, columns: &mut Columns| {
            let mut list = String::new();
            let known = columns.clone();
            for _ in 0..rng.random_range(1..3) {
                let (expr, kind) = known.any(rng, Kind::ANY, 2);
                write!(list, ", {expr} AS x{n_added}").expect("memory does not fail");
                columns.add(&format!("x{n_added}"), kind);
                n_added += 1;
            }
            list
        };
        let inner = rng.random_bool(0.25).then(|| {
            let filter = if rng.random_bool(0.3) { " WHERE id % 5 <> 0" } else { "" };
            let list = added(rng, &mut columns);
            format!(
                "SELECT id, at, k, name, flag, amount, price, quantity, day{list}{{hidden}} FROM t{filter}"
            )
        });
        let (mut with, mut from) = (String::new(), "{windowed}".to_owned());
        for i in 0..[0, 0, 0, 1, 2][rng.random_range(0..5)] {
            let filter = if rng.random_bool(0.3) {
                format!(" WHERE {}", columns.expr(rng, Kind::Bool, 1))
            } else {
                String::new()
            };
            let layer = format!("SELECT *{} FROM {from}{filter}", added(rng, &mut columns));
            if rng.random_bool(0.5) {
                let comma = if with.is_empty() { "WITH " } else { ", " };
                write!(with, "{comma}v{i} AS ({layer})").expect("memory does not fail");
                from = format!("v{i}");
            } else {
                from = format!("({layer}) AS s{i}");
            }
        }
        let filter = rng.random_bool(0.5).then(|| format!("({})", columns.expr(rng, Kind::Bool, 2)));
        let failing = rng.random_bool(0.25).then(|| *FAILING.choose(rng).expect("there are some"));
        if !with.is_empty() {
            with.push(' ');
        }
        Self { columns, with, from, filter, inner, failing }
    }

    fn query(
        self,
        template: String,
        windows: Option<Windows>,
        n_columns: usize,
        n_key_columns: usize,
    ) -> Query {
        Query {
            template,
            with: self.with,
            from: self.from,
            filter: self.filter,
            inner: self.inner,
            windows,
            n_columns,
            n_key_columns,
            failing_rows: self.failing.map(|(_, _, condition)| condition),
            failing_groups: None,
        }
    }

    fn without_aggregation(self, rng: &mut StdRng, windows: Windows) -> Query {
        let windows = rng.random_bool(0.5).then_some(windows);
        let n_columns = rng.random_range(1..6);
        let mut columns: Vec<String> =
            (0..n_columns).map(|_| self.columns.any(rng, Kind::ANY, 2).0).collect();
        if windows.is_some() {
            let bounds = ["window_start", "window_end", "window_time"];
            (*bounds.choose(rng).expect("three")).clone_into(&mut columns[0]);
        }
        columns.extend(self.failing.map(|(expr, ..)| expr.to_owned()));
        let n_columns = columns.len();
        let columns: Vec<String> =
            columns.iter().enumerate().map(|(i, expr)| format!("{expr} AS c{i}")).collect();
        let template = format!("{}SELECT {} {{rows}}", self.with, columns.join(", "));
        self.query(template, windows, n_columns, 0)
    }

    fn grouped(self, rng: &mut StdRng, windows: Windows) -> Query {
        let keys = self.keys(rng);
        // One for all calls: batch refuses some that differ.
        let order = self.order(rng);
        let mut results: Vec<(String, Kind)> =
            (0..rng.random_range(1..6)).map(|_| self.result(rng, &order)).collect();
        if let Some((expr, kind, _)) =
            self.failing.filter(|(expr, ..)| !keys.iter().any(|(key, _)| key == expr))
        {
            let function =
                if kind == Kind::Text { "max" } else { ["max", "count", "min"][rng.random_range(0..3)] };
            results.push((format!("{function}({expr})"), Kind::Other));
        }
        let failing_group = rng.random_bool(0.2).then(|| FAILING_GROUPS.choose(rng).expect("there are some"));
        results.extend(failing_group.map(|(expr, _)| ((*expr).to_owned(), Kind::Other)));

        let mut selected: Vec<String> =
            keys.iter().enumerate().map(|(i, (key, _))| format!("{key} AS k{i}")).collect();
        selected.extend(results.iter().enumerate().map(|(i, (expr, _))| format!("{expr} AS a{i}")));
        let mut group_by: Vec<&str> = keys.iter().map(|(key, _)| key.as_str()).collect();
        group_by.shuffle(rng);
        let group_by = group_by.join(", ");
        let having = if rng.random_bool(0.25) || failing_group.is_some() {
            format!(" HAVING ({}){{not failing}}", self.having(rng))
        } else {
            String::new()
        };
        let aggregated = format!("SELECT {} {{rows}} GROUP BY {group_by}{having}", selected.join(", "));
        let reached = format!(
            "{}SELECT count(*) AS n {{rows}} GROUP BY {group_by}{}",
            self.with,
            having.replace("{not failing}", "")
        );

        let mut seen = Columns::default();
        keys.iter().enumerate().for_each(|(i, (_, kind))| seen.add(&format!("k{i}"), *kind));
        results.iter().enumerate().for_each(|(i, (_, kind))| seen.add(&format!("a{i}"), *kind));
        let n_keys = keys.len();
        let (template, n_columns) = around(rng, &self.with, aggregated, n_keys, selected.len(), &seen);
        let failing_groups = failing_group.map(|(_, condition)| FailingGroups { condition, reached });
        Query { failing_groups, ..self.query(template, Some(windows), n_columns, n_keys) }
    }

    fn keys(&self, rng: &mut StdRng) -> Vec<(String, Kind)> {
        let mut keys = vec!["window_start", "window_end"];
        match rng.random_range(0..3) {
            0 => drop(keys.remove(0)),
            1 => drop(keys.pop()),
            _ => {}
        }
        let mut keys: Vec<(String, Kind)> =
            keys.into_iter().map(|key| (key.to_owned(), Kind::Time)).collect();
        const KINDS: &[Kind] =
            &[Kind::Int, Kind::Decimal, Kind::Text, Kind::Text, Kind::Bool, Kind::Date, Kind::Time];
        for _ in 0..rng.random_range(0..4) {
            let depth = rng.random_range(0..3);
            let (key, kind) = self.columns.any(rng, KINDS, depth);
            // A number would be a position.
            if !keys.iter().any(|(known, _)| *known == key) && key.parse::<f64>().is_err() {
                keys.push((key, kind));
            }
        }
        if let Some((expr, kind, _)) = self.failing.filter(|_| rng.random_bool(0.3)) {
            keys.push((expr.to_owned(), kind));
        }
        keys
    }

    /// A column over aggregates.
    fn result(&self, rng: &mut StdRng, order: &str) -> (String, Kind) {
        let sum = |rng: &mut StdRng, kind| {
            let argument = self.columns.expr(rng, kind, 2);
            format!("sum({argument}){}", self.filter(rng))
        };
        match rng.random_range(0..11) {
            0 => (format!("{} + count(*)", sum(rng, Kind::Int)), Kind::Int),
            1 => (format!("coalesce({}, 0)", sum(rng, Kind::Int)), Kind::Int),
            2 => ("max(id) - min(id)".to_owned(), Kind::Int),
            3 => (format!("CASE WHEN 2 < count(*) THEN {} END", sum(rng, Kind::Float)), Kind::Float),
            4 => (format!("nullif({}, {})", sum(rng, Kind::Int), sum(rng, Kind::Int)), Kind::Int),
            5 => (format!("{{cast}}{}{{as VARCHAR|Utf8}}", sum(rng, Kind::Int)), Kind::Text),
            _ => self.aggregate(rng, order),
        }
    }

    fn filter(&self, rng: &mut StdRng) -> String {
        if rng.random_bool(0.3) {
            format!(" FILTER (WHERE {})", self.columns.expr(rng, Kind::Bool, 1))
        } else {
            String::new()
        }
    }

    fn aggregate(&self, rng: &mut StdRng, order: &str) -> (String, Kind) {
        let any = |rng: &mut StdRng, kinds: &[Kind]| self.columns.any(rng, kinds, 2);
        const DISCRETE: &[Kind] = &[Kind::Int, Kind::Decimal, Kind::Text, Kind::Bool, Kind::Date, Kind::Time];
        let (call, kind) = match rng.random_range(0..25) {
            0 => ("count(*)".to_owned(), Kind::Int),
            1 => (format!("count({})", any(rng, Kind::ANY).0), Kind::Int),
            2 | 3 => {
                let (argument, kind) = any(rng, Kind::NUMBERS);
                (format!("sum({argument})"), kind)
            }
            4 => (format!("avg({})", any(rng, Kind::NUMBERS).0), Kind::Other),
            5 | 6 => {
                let (argument, kind) = any(rng, Kind::ANY);
                (format!("{}({argument})", ["min", "max"][rng.random_range(0..2)]), kind)
            }
            7 | 8 => {
                let function = ["var", "var_pop", "stddev", "stddev_pop"][rng.random_range(0..4)];
                (
                    format!("{function}({})", one_of(rng, &["quantity", "amount", "price", "id % 7"])),
                    Kind::Other,
                )
            }
            9 | 10 => {
                let function = ["bool_and", "bool_or"][rng.random_range(0..2)];
                (format!("{function}({})", any(rng, &[Kind::Bool]).0), Kind::Bool)
            }
            11 | 12 => (format!("count(DISTINCT {})", any(rng, DISCRETE).0), Kind::Int),
            // Batch has other types: BIGINT UNSIGNED, and text with long offsets.
            13 => {
                let call = format!("approx_distinct({})", any(rng, &[Kind::Int, Kind::Text]).0);
                return (format!("{{cast}}{call}{}{{as BIGINT|Int64}}", self.filter(rng)), Kind::Int);
            }
            14 | 15 => {
                let (argument, kind) = any(rng, Kind::ANY);
                let function = ["first_value", "last_value", "array_agg"][rng.random_range(0..3)];
                let call = format!("{function}({argument}{order})");
                let kind = if function == "array_agg" { Kind::Other } else { kind };
                // In batch last_value panics where FILTER leaves no row.
                if function == "last_value" {
                    return (call, kind);
                }
                (call, kind)
            }
            16 => {
                let call = format!("string_agg({}, '+'{order})", any(rng, &[Kind::Text]).0);
                return (format!("{{cast}}{call}{}{{as VARCHAR|Utf8}}", self.filter(rng)), Kind::Text);
            }
            17 => {
                let (argument, kind) = any(rng, Kind::ANY);
                (format!("nth_value({argument}, 2{order})"), kind)
            }
            18 => {
                let function = ["median", "approx_median"][rng.random_range(0..2)];
                (format!("{function}({})", any(rng, &[Kind::Int, Kind::Float]).0), Kind::Other)
            }
            19 | 20 => {
                let (argument, kind) = any(rng, &[Kind::Int, Kind::Decimal]);
                let function = ["sum", "avg"][rng.random_range(0..2)];
                (
                    format!("{function}(DISTINCT {argument})"),
                    if function == "sum" { kind } else { Kind::Other },
                )
            }
            21 => {
                // Batch can't plan it of more than a column.
                const KINDS: [Kind; 4] = [Kind::Int, Kind::Decimal, Kind::Text, Kind::Date];
                let kind = *KINDS.choose(rng).expect("four");
                let argument = self.columns.leaf(rng, kind);
                let direction = ["", " DESC"][rng.random_range(0..2)];
                (format!("array_agg(DISTINCT {argument} ORDER BY {argument}{direction})"), Kind::Other)
            }
            22 => {
                let function = ["bit_and", "bit_or", "bit_xor"][rng.random_range(0..3)];
                (format!("{function}({})", any(rng, &[Kind::Int]).0), Kind::Other)
            }
            _ => {
                let function = ["covar_pop", "covar_samp", "regr_slope", "regr_avgx"][rng.random_range(0..4)];
                let arguments = ["quantity", "amount", "id % 7", "coalesce(k, -1)"];
                (format!("{function}({}, {})", one_of(rng, &arguments), one_of(rng, &arguments)), Kind::Other)
            }
        };
        (format!("{call}{}", self.filter(rng)), kind)
    }

    /// An ORDER BY in a call, or none.
    fn order(&self, rng: &mut StdRng) -> String {
        match rng.random_range(0..3) {
            0 => "{by arrival}".to_owned(),
            n => {
                const KEYS: [&str; 8] = ["id", "k", "quantity % 3", "amount", "price", "name", "flag", "day"];
                const DIRECTIONS: [&str; 4] = ["", " DESC", " NULLS FIRST", " DESC NULLS LAST"];
                let keys: Vec<(&str, &str)> =
                    (0..n).map(|_| (one_of(rng, &KEYS), one_of(rng, &DIRECTIONS))).collect();
                let mut order = format!("{}{}", keys[0].0, keys[0].1);
                for (i, (key, direction)) in keys.iter().enumerate().skip(1) {
                    // In batch first_value and last_value panic at a key that stands there twice.
                    let is_again = keys[..i].iter().any(|(before, _)| before == key);
                    let (open, close) = if is_again { ("{again}", "{/again}") } else { ("", "") };
                    write!(order, "{open}, {key}{direction}{close}").expect("memory does not fail");
                }
                format!(" ORDER BY {order}{{, arrival}}")
            }
        }
    }

    /// Only what no rounding can turn.
    fn having(&self, rng: &mut StdRng) -> String {
        if rng.random_bool(0.3) {
            let (argument, _) = self.columns.any(rng, Kind::ANY, 1);
            return format!("max({argument}) IS NOT NULL");
        }
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
        one_of(rng, &choices).to_owned()
    }
}

fn one_of<'a>(rng: &mut StdRng, choices: &[&'a str]) -> &'a str {
    choices.choose(rng).expect("there are choices")
}

/// Queries around the aggregation, in one of two spellings; and the number of columns of all.
fn around(
    rng: &mut StdRng,
    with: &str,
    aggregated: String,
    n_keys: usize,
    n_columns: usize,
    seen: &Columns,
) -> (String, usize) {
    let mut select = "*".to_owned();
    let mut n_selected = n_columns;
    let n_around = rng.random_range(0..4);
    if n_around < 2 {
        return (format!("{with}{aggregated}"), n_columns);
    }
    if rng.random_bool(0.5) {
        let mut columns: Vec<String> = (0..n_keys).map(|i| format!("k{i}")).collect();
        columns.extend((0..n_columns - n_keys).map(|i| format!("a{i}")));
        for i in 0..rng.random_range(1..3) {
            let (expr, _) = seen.any(rng, Kind::ANY, 2);
            columns.push(format!("{expr} AS b{i}"));
        }
        n_selected = columns.len();
        select = columns.join(", ");
    }
    let filter = match rng.random_range(0..4) {
        0 => String::new(),
        1 => " WHERE a0 IS NOT NULL".to_owned(),
        2 => " WHERE k0 < TIMESTAMP '1970-01-01T00:00:40Z'".to_owned(),
        _ => format!(" WHERE {}", seen.expr(rng, Kind::Bool, 2)),
    };
    let template = if n_around == 2 {
        format!("{with}SELECT {select} FROM ({aggregated}) AS g{filter}")
    } else {
        let with = if with.is_empty() { "WITH".to_owned() } else { format!("{},", with.trim_end()) };
        format!("{with} g AS ({aggregated}) SELECT {select} FROM g{filter}")
    };
    (template, n_selected)
}
