//! Random expressions of each type that can't fail on a row: what they compute stays small.
//!
//! A cast is written `{cast}x{as INT|Int32}`: for streaming that is `CAST(x AS INT)`, for batch
//! `arrow_cast(x, 'Int32')`, since inside DataFusion a CAST has the name of what it casts, and two columns of
//! one name are refused. What stands between `{again}` and `{/again}` is for streaming only.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// What a query may see, by type. Values of whole numbers are below some thousands, floats are multiples of
/// an eighth: their sums are exact.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    pub(super) ints: Vec<String>,
    pub(super) floats: Vec<String>,
    pub(super) decimals: Vec<String>,
    pub(super) texts: Vec<String>,
    pub(super) bools: Vec<String>,
    pub(super) times: Vec<String>,
    pub(super) dates: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Float,
    Decimal,
    Text,
    Bool,
    Time,
    Date,
    /// Of a type that expressions here don't take, or a float that rounding may turn.
    Other,
}

impl Kind {
    pub(super) const NUMBERS: &[Self] = &[Self::Int, Self::Float, Self::Decimal];
    pub(super) const ANY: &[Self] =
        &[Self::Int, Self::Float, Self::Decimal, Self::Text, Self::Bool, Self::Time, Self::Date];
}

impl Columns {
    /// Those of the random table.
    pub(super) fn of_table() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            ints: names(&["id", "k", "quantity"]),
            floats: names(&["amount"]),
            decimals: names(&["price"]),
            texts: names(&["name"]),
            bools: names(&["flag"]),
            times: names(&["at"]),
            dates: names(&["day"]),
        }
    }

    /// Adds a column, but none that expressions don't take.
    pub(super) fn add(&mut self, name: &str, kind: Kind) {
        if kind != Kind::Other {
            self.of_mut(kind).push(name.to_owned());
        }
    }

    pub(super) fn has(&self, kind: Kind) -> bool {
        kind != Kind::Other && !self.of(kind).is_empty()
    }

    fn of(&self, kind: Kind) -> &Vec<String> {
        match kind {
            Kind::Int => &self.ints,
            Kind::Float => &self.floats,
            Kind::Decimal => &self.decimals,
            Kind::Text => &self.texts,
            Kind::Bool => &self.bools,
            Kind::Time => &self.times,
            Kind::Date => &self.dates,
            Kind::Other => unreachable!("there are no such expressions"),
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Vec<String> {
        match kind {
            Kind::Int => &mut self.ints,
            Kind::Float => &mut self.floats,
            Kind::Decimal => &mut self.decimals,
            Kind::Text => &mut self.texts,
            Kind::Bool => &mut self.bools,
            Kind::Time => &mut self.times,
            Kind::Date => &mut self.dates,
            Kind::Other => unreachable!("there are no such expressions"),
        }
    }

    /// An expression of one of `kinds`, and of which.
    pub(super) fn any(&self, rng: &mut StdRng, kinds: &[Kind], depth: usize) -> (String, Kind) {
        let kind = *kinds.choose(rng).expect("there are kinds");
        (self.expr(rng, kind, depth), kind)
    }

    /// An expression of `kind` that is at most so deep.
    pub(super) fn expr(&self, rng: &mut StdRng, kind: Kind, depth: usize) -> String {
        if depth == 0 || rng.random_bool(0.3) || !self.has(kind) {
            return self.leaf(rng, kind);
        }
        match rng.random_range(0..10) {
            0 => self.case(rng, kind, depth - 1),
            1 => {
                let (first, second) = (self.expr(rng, kind, depth - 1), self.expr(rng, kind, 0));
                format!("coalesce({first}, {second})")
            }
            2 => {
                let (first, second) = (self.expr(rng, kind, depth - 1), self.expr(rng, kind, 0));
                format!("nullif({first}, {second})")
            }
            _ => match kind {
                Kind::Int => self.int(rng, depth - 1),
                Kind::Float => self.float(rng, depth - 1),
                Kind::Decimal => self.decimal(rng, depth - 1),
                Kind::Text => self.text(rng, depth - 1),
                Kind::Bool => self.bool(rng, depth - 1),
                Kind::Time => self.time(rng, depth - 1),
                Kind::Date => self.date(rng, depth - 1),
                Kind::Other => unreachable!("there are no such expressions"),
            },
        }
    }

    /// A column, or now and then a constant.
    pub(super) fn leaf(&self, rng: &mut StdRng, kind: Kind) -> String {
        if self.has(kind) && !rng.random_bool(0.15) {
            return self.of(kind).choose(rng).expect("there is one").clone();
        }
        let constants: &[&str] = match kind {
            Kind::Int => &["0", "1", "7", "-3"],
            Kind::Float => &["0.5", "2.0", "-1.25"],
            Kind::Decimal => &["{cast}1.25{as DECIMAL(10, 2)|Decimal128(10, 2)}"],
            Kind::Text => &["'a'", "''", "'none'"],
            Kind::Bool => &["true", "false"],
            Kind::Time => &["arrow_cast('1970-01-01T00:00:20Z', 'Timestamp(ms, \"UTC\")')"],
            Kind::Date => &["DATE '1970-01-02'", "DATE '2026-02-28'"],
            Kind::Other => unreachable!("there are no such expressions"),
        };
        (*constants.choose(rng).expect("there is one")).to_owned()
    }

    fn case(&self, rng: &mut StdRng, kind: Kind, depth: usize) -> String {
        let then = self.expr(rng, kind, depth);
        let other = self.expr(rng, kind, 0);
        match rng.random_range(0..4) {
            0 => format!("CASE WHEN {} THEN {then} END", self.expr(rng, Kind::Bool, depth)),
            1 => {
                let second = self.expr(rng, Kind::Bool, 0);
                let first = self.expr(rng, Kind::Bool, depth);
                format!("CASE WHEN {first} THEN {then} WHEN {second} THEN {other} ELSE {then} END")
            }
            2 if self.has(Kind::Int) => {
                format!("CASE {} WHEN 1 THEN {then} WHEN 2 THEN {other} END", self.expr(rng, Kind::Int, 0))
            }
            _ => format!("CASE WHEN {} THEN {then} ELSE {other} END", self.expr(rng, Kind::Bool, depth)),
        }
    }

    fn int(&self, rng: &mut StdRng, depth: usize) -> String {
        let of = |rng: &mut StdRng, kind| self.expr(rng, kind, depth);
        match rng.random_range(0..18) {
            0 => format!("({} + {})", of(rng, Kind::Int), of(rng, Kind::Int)),
            1 => format!("({} - {})", of(rng, Kind::Int), of(rng, Kind::Int)),
            2 => format!("({} * {})", of(rng, Kind::Int), rng.random_range(-4..9)),
            3 => format!("({} % 7)", of(rng, Kind::Int)),
            4 => format!("({} / nullif({}, 0))", of(rng, Kind::Int), of(rng, Kind::Int)),
            5 => format!("(- {})", of(rng, Kind::Int)),
            6 => format!("abs({})", of(rng, Kind::Int)),
            7 => format!("greatest({}, {})", of(rng, Kind::Int), of(rng, Kind::Int)),
            8 => format!("{{cast}}{} % 1000{{as INT|Int32}}", of(rng, Kind::Int)),
            9 => format!("{{cast}}{}{{as BIGINT|Int64}}", of(rng, Kind::Int)),
            10 => format!("{{cast}}{}{{as INT|Int32}}", of(rng, Kind::Bool)),
            11 => format!("character_length({})", of(rng, Kind::Text)),
            12 => format!("{{try}}{}{{as INT|Int32}}", of(rng, Kind::Text)),
            // In batch a comparison with a constant asks the decimal itself, unless there is something between.
            13 => format!("nullif({{cast}}{}{{as BIGINT|Int64}}, 12345)", of(rng, Kind::Decimal)),
            14 => format!("nullif({{cast}}{}{{as BIGINT|Int64}}, 12345)", of(rng, Kind::Float)),
            15 => format!("({} - DATE '1970-01-01')", of(rng, Kind::Date)),
            16 => {
                let part = ["minute", "second", "dow", "epoch"].choose(rng).expect("there are some");
                format!("{{cast}}date_part('{part}', {}){{as BIGINT|Int64}}", of(rng, Kind::Time))
            }
            _ => format!("({} & 12)", of(rng, Kind::Int)),
        }
    }

    fn float(&self, rng: &mut StdRng, depth: usize) -> String {
        let of = |rng: &mut StdRng, kind| self.expr(rng, kind, depth);
        match rng.random_range(0..8) {
            0 => format!("({} + {})", of(rng, Kind::Float), of(rng, Kind::Float)),
            1 => format!("({} - {})", of(rng, Kind::Float), of(rng, Kind::Float)),
            2 => format!("({} * 2.0)", of(rng, Kind::Float)),
            3 => format!("({} / 4)", of(rng, Kind::Float)),
            4 => format!("({} + {})", of(rng, Kind::Float), of(rng, Kind::Int)),
            5 => format!("abs({})", of(rng, Kind::Float)),
            6 => format!("floor({})", of(rng, Kind::Float)),
            _ => format!("({{cast}}{}{{as DOUBLE|Float64}} / 8.0)", of(rng, Kind::Int)),
        }
    }

    /// Precisions grow, but stay below 38 digits.
    fn decimal(&self, rng: &mut StdRng, depth: usize) -> String {
        let small = |rng: &mut StdRng| self.expr(rng, Kind::Decimal, depth.min(1));
        match rng.random_range(0..9) {
            0 => format!("({} + 1.25)", small(rng)),
            1 => format!("({} * 2)", self.leaf(rng, Kind::Decimal)),
            2 => format!("({} - {})", small(rng), self.leaf(rng, Kind::Decimal)),
            3 => format!("(- {})", small(rng)),
            4 => format!("abs({})", small(rng)),
            5 => format!("({} / 4)", self.leaf(rng, Kind::Decimal)),
            6 => format!("({} % 3)", self.leaf(rng, Kind::Decimal)),
            7 => format!(
                "{{cast}}{} % 1000{{as DECIMAL(8, 3)|Decimal128(8, 3)}}",
                self.expr(rng, Kind::Int, depth)
            ),
            _ => format!("nullif({{cast}}{}{{as DECIMAL(20, 1)|Decimal128(20, 1)}}, 12345)", small(rng)),
        }
    }

    fn text(&self, rng: &mut StdRng, depth: usize) -> String {
        let of = |rng: &mut StdRng, kind| self.expr(rng, kind, depth);
        let text = of(rng, Kind::Text);
        match rng.random_range(0..14) {
            0 => format!("upper({text})"),
            1 => format!("lower({text})"),
            2 => format!("({text} || '-')"),
            3 => format!("substr({text}, 1, 1)"),
            4 => format!("reverse({text})"),
            5 => format!("replace({text}, 'b', 'xy')"),
            6 => format!("lpad({text}, 3, '*')"),
            7 => format!("concat({text}, '/', {})", of(rng, Kind::Int)),
            8 => format!("left({text}, 2)"),
            9 => format!("{{cast}}{}{{as VARCHAR|Utf8}}", of(rng, Kind::Int)),
            10 => format!("{{cast}}{}{{as VARCHAR|Utf8}}", self.leaf(rng, Kind::Decimal)),
            11 => format!("{{cast}}{}{{as VARCHAR|Utf8}}", of(rng, Kind::Date)),
            12 => format!("to_char({}, '%H:%M')", of(rng, Kind::Time)),
            _ => format!("({text} || {})", of(rng, Kind::Text)),
        }
    }

    fn bool(&self, rng: &mut StdRng, depth: usize) -> String {
        let of = |rng: &mut StdRng, kind| self.expr(rng, kind, depth);
        match rng.random_range(0..14) {
            0 => format!("({} AND {})", of(rng, Kind::Bool), of(rng, Kind::Bool)),
            1 => format!("({} OR {})", of(rng, Kind::Bool), of(rng, Kind::Bool)),
            2 => format!("(NOT {})", of(rng, Kind::Bool)),
            3 => {
                let (expr, _) = self.any(rng, Kind::ANY, depth);
                format!("({expr} IS {}NULL)", ["", "NOT "][rng.random_range(0..2)])
            }
            4 => format!("({} IN (1, 2, NULL))", of(rng, Kind::Int)),
            5 => format!("({} NOT IN (0, 1))", of(rng, Kind::Int)),
            6 => format!("({} BETWEEN 1 AND {})", of(rng, Kind::Int), of(rng, Kind::Int)),
            7 => format!("({} LIKE '%b%')", of(rng, Kind::Text)),
            8 => format!("({} IS {}TRUE)", of(rng, Kind::Bool), ["", "NOT "][rng.random_range(0..2)]),
            9 => format!("({} = 'a')", of(rng, Kind::Text)),
            n => {
                const OPERATORS: [&str; 7] = ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"];
                let op = OPERATORS[rng.random_range(0..OPERATORS.len())];
                let kinds = if n == 10 { Kind::ANY } else { Kind::NUMBERS };
                let kind = *kinds.choose(rng).expect("there are some");
                format!("({} {op} {})", of(rng, kind), self.expr(rng, kind, 0))
            }
        }
    }

    fn time(&self, rng: &mut StdRng, depth: usize) -> String {
        let time = self.expr(rng, Kind::Time, depth);
        // Text of which NULL makes no interval.
        let one = format!("coalesce({}, 1)", self.leaf(rng, Kind::Int));
        match rng.random_range(0..6) {
            0 => format!("({time} + INTERVAL '1' SECOND)"),
            1 => format!("({time} - INTERVAL '1 month')"),
            2 => format!("date_trunc('minute', {time})"),
            3 => format!("date_bin(INTERVAL '7 seconds', {time})"),
            4 => format!(
                "({time} + {{cast}}concat({}, ' seconds'){{as INTERVAL|Interval(MonthDayNano)}})",
                one
            ),
            _ => format!("({time} - INTERVAL '1 day 1500 milliseconds')"),
        }
    }

    fn date(&self, rng: &mut StdRng, depth: usize) -> String {
        let date = self.expr(rng, Kind::Date, depth);
        match rng.random_range(0..5) {
            0 => format!("({date} + INTERVAL '1' DAY)"),
            1 => format!("({date} - INTERVAL '1 month')"),
            2 => format!("{{cast}}{}{{as DATE|Date32}}", self.expr(rng, Kind::Time, depth)),
            3 => format!("make_date(2026, 1 + abs({} % 12), 1)", self.expr(rng, Kind::Int, depth)),
            _ => format!("{{cast}}{{cast}}{date}{{as VARCHAR|Utf8}}{{as DATE|Date32}}"),
        }
    }
}

/// The text for streaming, or for batch.
pub(super) fn spelled(template: &str, is_streaming: bool) -> String {
    if is_streaming {
        let text = template.replace("{cast}", "CAST(").replace("{try}", "TRY_CAST(");
        let mut text = text.replace("{again}", "").replace("{/again}", "");
        while let Some((before, rest)) = text.split_once("{as ") {
            let (sql, rest) = rest.split_once('|').expect("two types");
            let (_, after) = rest.split_once('}').expect("an end");
            text = format!("{before} AS {sql}){after}");
        }
        return text;
    }
    let mut text = template.replace("{cast}", "arrow_cast(").replace("{try}", "arrow_try_cast(");
    while let Some((before, rest)) = text.split_once("{as ") {
        let (_, rest) = rest.split_once('|').expect("two types");
        let (arrow, after) = rest.split_once('}').expect("an end");
        text = format!("{before}, '{arrow}'){after}");
    }
    while let Some((before, rest)) = text.split_once("{again}") {
        let (_, after) = rest.split_once("{/again}").expect("an end");
        text = format!("{before}{after}");
    }
    text
}
