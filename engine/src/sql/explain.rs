//! A plan as text: what `weir explain` prints, and what the operators of its graph are labelled with.
//!
//! Invariant: where literals may not be shown ([`Plan::shows_literals`]), of an expression only the columns are
//! that it reads. Literals are folded, cast and renamed on their way here: no search would find them all.

use std::fmt::Write;
use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::fmt_sql;

use super::type_name;
use crate::aggregate::Order;
use crate::dataflow::plan::{Call, Function, Key, Plan, Step, Window};

/// The dataflow of a plan, in the order in which data flows, one line per step.
///
/// Lines of one subtask are indented below its station; the text ends with a line break.
#[must_use]
pub fn explain(plan: &Plan, parallelism: usize) -> String {
    let words = Words::of(plan);
    let mut text = Text(String::new());
    text.station(&format!("source {}", plan.source), parallelism);
    for (i, field) in plan.scan_schema.fields().iter().enumerate() {
        let label = if i == 0 { "decode" } else { "" };
        let event_time = if i == plan.event_time { ", event time" } else { "" };
        text.line(label, &format!("{} {}{event_time}", field.name(), type_name(field.data_type())));
    }
    if let Some(window) = &plan.window {
        text.line("window", &window_text(window));
        if plan.expands() {
            text.line("", "a row for each of its windows");
        } else if window.slide_ms < window.size_ms {
            let n = window.windows().n_per_row();
            text.line("", &format!("{n} panes of {} make a window", duration(window.slide_ms)));
        }
    }
    text.steps(words, &plan.before, None);
    if let Some(aggregate) = &plan.aggregate {
        let call = |call| words.call(call);
        let key = |key| words.key(key);
        let calls = aggregate.calls.iter().map(call).collect::<Vec<_>>().join(", ");
        text.line("partial", if calls.is_empty() { "nothing but the keys" } else { &calls });
        let keys = aggregate.keys.iter().map(key).collect::<Vec<_>>().join(", ");
        text.line("exchange", &format!("by hash of {keys}"));
        text.station("window", parallelism);
        text.line("merge", &format!("by {keys}"));
        // DataFusion's names of the columns say nothing to a reader.
        let labels = aggregate.keys.iter().map(key).chain(aggregate.calls.iter().map(call));
        text.steps(words, &plan.after, Some(labels.collect()));
    }
    text.result(plan);
    text.0
}

/// The steps on rows, in order, in a few words each: `filter amount > 5`, `project country, amount`.
#[must_use]
pub fn step_labels(plan: &Plan) -> Vec<String> {
    let words = Words::of(plan);
    let label = |step: &Step| match step {
        Step::Filter(predicate) => format!("filter {}", words.expr(predicate, None)),
        Step::Project { schema, .. } => {
            let names: Vec<&str> = schema.fields().iter().map(|field| words.name(field.name())).collect();
            format!("project {}", names.join(", "))
        }
    };
    plan.before.iter().map(label).collect()
}

/// The aggregate calls, in order: `count(*)`, `sum(amount)`. None without an aggregation.
#[must_use]
pub fn call_labels(plan: &Plan) -> Vec<String> {
    let words = Words::of(plan);
    plan.aggregate.iter().flat_map(|aggregate| &aggregate.calls).map(|call| words.call(call)).collect()
}

struct Text(String);

impl Text {
    fn station(&mut self, name: &str, parallelism: usize) {
        let subtasks = if parallelism == 1 { "subtask" } else { "subtasks" };
        self.push(&format!("{name}, {parallelism} {subtasks}"));
    }

    fn line(&mut self, label: &str, text: &str) {
        self.push(&format!("  {label:<9} {text}"));
    }

    fn push(&mut self, line: &str) {
        // Literals in expressions may hold line breaks.
        let line = line.replace('\n', "\\n");
        writeln!(self.0, "{}", line.trim_end()).expect("writing to a String cannot fail");
    }

    /// `labels`: other names for the columns that the first step sees.
    fn steps(&mut self, words: Words, steps: &[Step], mut labels: Option<Vec<String>>) {
        for step in steps {
            match step {
                Step::Filter(predicate) => self.line("filter", &words.expr(predicate, labels.as_deref())),
                Step::Project { exprs, schema } => {
                    let columns = exprs.iter().zip(schema.fields()).map(|(expr, field)| {
                        let (text, name) = (words.expr(expr, labels.as_deref()), words.name(field.name()));
                        if text == name { text } else { format!("{text} AS {name}") }
                    });
                    let columns: Vec<String> = columns.collect();
                    self.line("project", &columns.join(", "));
                    labels = None;
                }
            }
        }
    }

    fn result(&mut self, plan: &Plan) {
        self.push(if plan.aggregate.is_some() { "result table" } else { "result table, appended to" });
        for (i, field) in plan.output.fields().iter().enumerate() {
            let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
            let key = match plan.key.iter().position(|position| *position == i) {
                Some(n) => format!(", key {}", n + 1),
                None => String::new(),
            };
            self.line("column", &format!("{} {}{not_null}{key}", field.name(), type_name(field.data_type())));
        }
    }
}

/// How to say what a plan holds.
#[derive(Clone, Copy)]
struct Words {
    shows_literals: bool,
}

impl Words {
    fn of(plan: &Plan) -> Self {
        Self { shows_literals: plan.shows_literals() }
    }

    /// An expression as SQL: texts in quotes, columns by their labels. Without literals: `…(amount, country)`.
    fn expr(self, expr: &Arc<dyn PhysicalExpr>, labels: Option<&[String]>) -> String {
        let label = |column: &Column| labels.and_then(|labels| labels.get(column.index()));
        if !self.shows_literals {
            let name = |column: &Column| match label(column) {
                Some(label) => label.clone(),
                None => self.name(column.name()).to_owned(),
            };
            if let Some(column) = expr.downcast_ref::<Column>() {
                return name(column);
            }
            let mut read: Vec<Column> = collect_columns(expr).into_iter().collect();
            read.sort_by_key(Column::index);
            return format!("…({})", read.iter().map(name).collect::<Vec<_>>().join(", "));
        }
        let readable = Arc::clone(expr).transform_up(|e| {
            if let Some(column) = e.downcast_ref::<Column>()
                && let Some(label) = label(column)
            {
                return Ok(Transformed::yes(Arc::new(Column::new(label, column.index())) as _));
            }
            match e.downcast_ref::<Literal>().map(Literal::value) {
                Some(ScalarValue::Utf8(Some(text))) => {
                    let quoted = format!("'{}'", text.replace('\'', "''"));
                    Ok(Transformed::yes(Arc::new(Column::new(&quoted, 0)) as _))
                }
                _ => Ok(Transformed::no(e)),
            }
        });
        // Some expressions refuse columns in place of literals; they print as they are.
        let readable = readable.map_or_else(|_| Arc::clone(expr), |transformed| transformed.data);
        fmt_sql(readable.as_ref()).to_string()
    }

    /// A column's name. Where nobody gave it one it is its expression's text, literals and all.
    fn name(self, name: &str) -> &str {
        let is_plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if self.shows_literals || is_plain { name } else { "…" }
    }

    fn key(self, key: &Key) -> String {
        match key {
            Key::WindowStart => "window_start".to_owned(),
            Key::WindowEnd => "window_end".to_owned(),
            Key::Expr(expr) => self.expr(expr, None),
        }
    }

    fn call(self, call: &Call) -> String {
        let (function, distinct) = match &call.function {
            Function::Distinct(function) => (&**function, "DISTINCT "),
            Function::Collect { order: Order::Distinct(_), .. } => (&call.function, "DISTINCT "),
            function => (function, ""),
        };
        let name = match function {
            Function::Count => "count",
            Function::Sum => "sum",
            Function::Avg => "avg",
            Function::Min => "min",
            Function::Max => "max",
            Function::Moments { sample: true, root: false } => "var_samp",
            Function::Moments { sample: false, root: false } => "var_pop",
            Function::Moments { sample: true, root: true } => "stddev_samp",
            Function::Moments { sample: false, root: true } => "stddev_pop",
            Function::BoolAnd => "bool_and",
            Function::BoolOr => "bool_or",
            Function::FirstLast { last: false, .. } => "first_value",
            Function::FirstLast { last: true, .. } => "last_value",
            Function::Collect { udf, .. } | Function::Other { udf } => udf.name(),
            Function::Distinct(_) => unreachable!("DISTINCT is said once"),
        };
        let n_keys = call.function.order().map_or(0, Order::n_keys);
        let (own, keys) = call.args.split_at(call.args.len() - n_keys);
        let mut args = match own {
            [] => "*".to_owned(),
            args => args.iter().map(|arg| self.expr(arg, None)).collect::<Vec<_>>().join(", "),
        };
        if let Some(Order::Rows(options)) = call.function.order() {
            let key = |(key, options): (&Arc<dyn PhysicalExpr>, &SortOptions)| {
                format!("{}{}", self.expr(key, None), if options.descending { " DESC" } else { "" })
            };
            let keys = keys.iter().zip(options).map(key).chain(["arrival".to_owned()]);
            args.push_str(&format!(" ORDER BY {}", keys.collect::<Vec<_>>().join(", ")));
        }
        if let Some(Order::Distinct(SortOptions { descending: true, .. })) = call.function.order() {
            args.push_str(&format!(" ORDER BY {} DESC", self.expr(&own[0], None)));
        }
        let filter = call.filter.as_ref().map(|f| format!(" FILTER (WHERE {})", self.expr(f, None)));
        format!("{name}({distinct}{args}){}", filter.unwrap_or_default())
    }
}

fn window_text(window: &Window) -> String {
    let mut text = if window.size_ms == window.slide_ms {
        format!("TUMBLE, size {}", duration(window.size_ms))
    } else {
        format!("HOP, slide {}, size {}", duration(window.slide_ms), duration(window.size_ms))
    };
    if window.offset_ms != 0 {
        text.push_str(&format!(", offset {}", duration(window.offset_ms)));
    }
    for column in &window.columns {
        text.push_str(&format!(", adds window_{}", format!("{column:?}").to_lowercase()));
    }
    text
}

/// A duration as project files write it, in the largest unit that divides it.
fn duration(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match UNITS.iter().find(|(unit, _)| ms % unit == 0) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}
