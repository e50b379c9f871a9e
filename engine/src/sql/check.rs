//! What can't run continuously, found in the syntax tree, where every position is known.
//!
//! One walk over the query collects all refusals, and takes the window table functions out of FROM
//! (see [`super::tvf`]). What it lets pass may still be refused by DataFusion (names, types) or
//! by lowering (keys, windows).

use std::ops::ControlFlow;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{
    self, Distinct, Expr, GroupByExpr, Ident, LimitClause, ObjectName, Query, Select, SelectFlavor, SetExpr,
    Spanned, TableAlias, TableFactor, TableWithJoins, TypedString, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Span;

use super::TableDef;
use super::casts;
use super::catalog::{Functions, window_table_name};
use super::error::{
    BAD_EXPRESSION, DISTINCT, GROUPING_SETS, JOIN, NO_SOURCE, NOT_ONE_SELECT, ORDERED, OVER, Refusal,
    SECOND_AGGREGATION, SET_OPERATION, SUBQUERY, UNSUPPORTED, WINDOW_FUNCTION,
};
use super::parse::Tokens;
use super::tvf::{self, Call, WindowCall, WindowInput, normalised};
use super::windowed;

/// What the walk learned.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) windows: Vec<WindowCall>,
    /// Whether there is a window table function whose columns are not known.
    pub(super) is_partial: bool,
    /// Where the aggregation is: its GROUP BY or its first aggregate call.
    pub(super) aggregation: Option<Span>,
    /// Function calls: the name as DataFusion knows it, and where it is.
    pub(super) calls: Vec<(String, Span)>,
    /// The GROUP BY expressions of the aggregation, in order; empty for GROUP BY ALL.
    pub(super) group_by: Vec<Span>,
}

/// Walks the query; rewrites its window table functions. What was learned where there are refusals is of as much of the
/// query as could be understood.
pub(super) fn check(
    query: &mut Query,
    tokens: &Tokens,
    tables: &[TableDef],
    functions: &Functions,
) -> (Checked, Vec<Refusal>) {
    let mut checker = Checker {
        tokens,
        tables,
        functions,
        with_names: Vec::new(),
        scopes: Vec::new(),
        selects: Vec::new(),
        checked: Checked::default(),
        refusals: Vec::new(),
    };
    let finished = query.visit(&mut checker).is_continue();
    debug_assert!(finished, "nothing here breaks the walk off");
    (checker.checked, checker.refusals)
}

pub(super) struct Checker<'a> {
    pub(super) tokens: &'a Tokens,
    pub(super) tables: &'a [TableDef],
    pub(super) functions: &'a Functions,

    /// Of the queries being visited.
    pub(super) with_names: Vec<String>,
    /// How many there were in front of each query being visited, innermost last.
    scopes: Vec<usize>,
    /// The first aggregate call of each SELECT being visited, innermost last.
    pub(super) selects: Vec<Option<Span>>,
    pub(super) checked: Checked,
    pub(super) refusals: Vec<Refusal>,
}

impl VisitorMut for Checker<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.scopes.push(self.with_names.len());
        self.check_query(query);
        self.check_body(&query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.with_names.truncate(self.scopes.pop().unwrap_or(0));
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.check_select(select);
        self.check_group_by(&select.group_by);
        self.selects.push(None);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let call = self.selects.pop().flatten();
        let (grouped, keys) = match &select.group_by {
            GroupByExpr::All(_) => (true, Vec::new()),
            GroupByExpr::Expressions(keys, _) => (!keys.is_empty(), keys.iter().map(Spanned::span).collect()),
        };
        let group_by = keys.first().map(|first: &Span| self.tokens.keyword_before(&[Keyword::GROUP], *first));
        let having = select.having.as_ref().map(Spanned::span);
        let at = if grouped { group_by.or(call).or_else(|| Some(select.span())) } else { call.or(having) };
        let Some(at) = at else { return ControlFlow::Continue(()) };
        if self.checked.aggregation.is_some() {
            self.refuse(
                SECOND_AGGREGATION,
                at,
                "a second aggregation: a pipeline has one",
                "aggregate once per window, and query the result table for the rest",
            );
        }
        self.checked.aggregation = Some(at);
        self.checked.group_by = keys;
        casts::name_in_select(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.check_table_factor(factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.check_expr(expr);
        ControlFlow::Continue(())
    }
}

impl Checker<'_> {
    pub(super) fn refuse(
        &mut self,
        code: &'static str,
        at: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let at = if at == Span::empty() { self.tokens.first() } else { at };
        self.refusals.push(Refusal::new(code, at, message).hint(hint));
    }

    fn check_query(&mut self, query: &Query) {
        if let Some(with) = &query.with {
            if with.recursive {
                let at = self.tokens.keyword_after(&[Keyword::RECURSIVE], with.span());
                self.refuse(
                    UNSUPPORTED,
                    at,
                    "WITH RECURSIVE is not supported",
                    "write WITH without RECURSIVE",
                );
            }
            for cte in &with.cte_tables {
                let name = normalised(&cte.alias.name);
                if self.tables.iter().any(|table| table.name == name) {
                    let message = format!("\"{name}\" is a source: WITH would hide it");
                    self.refuse(
                        UNSUPPORTED,
                        cte.alias.name.span,
                        message,
                        "give the WITH query another name",
                    );
                }
                self.with_names.push(name);
            }
        }
        let body_end = Span::new(query.body.span().end, query.body.span().end);
        if let Some(order_by) = &query.order_by {
            let at = match order_by.span() {
                span if span == Span::empty() => self.tokens.keyword_after(&[Keyword::ORDER], body_end),
                span => self.tokens.keyword_before(&[Keyword::ORDER], span),
            };
            self.refuse(
                ORDERED,
                at,
                "ORDER BY needs all rows, and a stream has no end",
                "leave it out: rows come in the order in which windows close; order where you query the result table",
            );
        }
        if query.limit_clause.is_some() || query.fetch.is_some() {
            let at = match &query.limit_clause {
                Some(LimitClause::LimitOffset { limit: None, .. }) => {
                    self.tokens.keyword_after(&[Keyword::OFFSET], body_end)
                }
                _ => self.tokens.keyword_after(&[Keyword::LIMIT, Keyword::FETCH, Keyword::OFFSET], body_end),
            };
            self.refuse(
                ORDERED,
                at,
                "LIMIT needs an end, and a stream has none",
                "leave it out, and limit where you query the result table",
            );
        }
        let other_clauses = [
            (!query.locks.is_empty(), "FOR UPDATE"),
            (query.for_clause.is_some(), "FOR XML or JSON"),
            (query.settings.is_some(), "SETTINGS"),
            (query.format_clause.is_some(), "FORMAT"),
            (!query.pipe_operators.is_empty(), "a pipe operator"),
        ];
        self.refuse_clauses(&other_clauses, query.body.span());
    }

    fn check_body(&mut self, body: &SetExpr) {
        let at = body.span();
        match body {
            // Nested queries and both sides of a set operation are visited on their own.
            SetExpr::Select(_) | SetExpr::Query(_) => {}
            SetExpr::SetOperation { op, right, .. } => {
                let keywords = [Keyword::UNION, Keyword::EXCEPT, Keyword::INTERSECT, Keyword::MINUS];
                let at = self.tokens.keyword_before(&keywords, right.span());
                let message = format!("{op} is not supported");
                self.refuse(
                    SET_OPERATION,
                    at,
                    message,
                    "make a pipeline of each side, and combine their result tables where you query them",
                );
            }
            SetExpr::Values(_) => {
                let at = self.tokens.keyword_before(&[Keyword::VALUES], at);
                self.refuse(NO_SOURCE, at, "VALUES is not a stream", "read a source: SELECT … FROM source");
            }
            SetExpr::Table(table) => {
                let name = table.table_name.as_deref().unwrap_or("source");
                let hint = format!("write SELECT * FROM {name}");
                self.refuse(NOT_ONE_SELECT, at, "a pipeline is one SELECT, not TABLE", hint);
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                let hint = "write what the result table shall hold: SELECT … FROM …";
                self.refuse(NOT_ONE_SELECT, at, "a pipeline is one SELECT", hint);
            }
        }
    }

    fn check_select(&mut self, select: &Select) {
        let at = select.select_token.0.span;
        match &select.distinct {
            None | Some(Distinct::All) => {}
            Some(Distinct::Distinct | Distinct::On(_)) => {
                let at = self.tokens.keyword_after(&[Keyword::DISTINCT], at);
                self.refuse(
                    DISTINCT,
                    at,
                    "SELECT DISTINCT would remember every row for ever",
                    "write GROUP BY window_start, window_end and the columns",
                );
            }
        }
        match select.from.as_slice() {
            [] => self.refuse(
                NO_SOURCE,
                at,
                "a SELECT without FROM reads no source",
                "read a source: SELECT … FROM source",
            ),
            [first, rest @ ..] => {
                for table in std::iter::once(first).chain(rest) {
                    self.check_joins(table);
                }
                if let Some(second) = rest.first() {
                    self.refuse_join(second.relation.span());
                }
            }
        }
        let named_window = select.named_window.first().map(|window| window.0.span);
        if let Some(at) = named_window {
            self.refuse_over(at);
        }
        let other_clauses = [
            (!select.optimizer_hints.is_empty(), "an optimizer hint"),
            (select.select_modifiers.is_some(), "a SELECT modifier"),
            (select.top.is_some(), "TOP"),
            (select.exclude.is_some(), "EXCLUDE behind the columns"),
            (select.into.is_some(), "INTO"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
            (!select.sort_by.is_empty(), "SORT BY"),
            (select.qualify.is_some(), "QUALIFY"),
            (select.value_table_mode.is_some(), "SELECT AS VALUE or STRUCT"),
            (select.flavor != SelectFlavor::Standard, "FROM in front of SELECT"),
        ];
        self.refuse_clauses(&other_clauses, at);
    }

    fn refuse_clauses(&mut self, clauses: &[(bool, &str)], at: Span) {
        for (_, clause) in clauses.iter().filter(|(used, _)| *used) {
            self.refuse(UNSUPPORTED, at, format!("{clause} is not supported"), "leave it out");
        }
    }

    fn check_group_by(&mut self, group_by: &GroupByExpr) {
        let (GroupByExpr::All(modifiers) | GroupByExpr::Expressions(_, modifiers)) = group_by;
        if !modifiers.is_empty() {
            let at = match group_by {
                GroupByExpr::Expressions(keys, _) => keys.last().map(Spanned::span),
                GroupByExpr::All(_) => None,
            };
            self.refuse_grouping_sets(at.unwrap_or_else(|| self.tokens.first()));
        }
    }

    fn refuse_grouping_sets(&mut self, at: Span) {
        self.refuse(
            GROUPING_SETS,
            at,
            "grouping sets, ROLLUP and CUBE are not supported",
            "make a pipeline of each grouping",
        );
    }

    fn check_joins(&mut self, table: &TableWithJoins) {
        if let Some(join) = table.joins.first() {
            let at = join.relation.span();
            let at = self.tokens.keyword_before(&[Keyword::JOIN, Keyword::APPLY], at);
            self.refuse_join(at);
        }
    }

    fn refuse_join(&mut self, at: Span) {
        self.refuse(
            JOIN,
            at,
            "joins are not supported yet: a pipeline reads one source",
            "make a pipeline of each source, and join their result tables where you query them",
        );
    }

    pub(super) fn refuse_over(&mut self, at: Span) {
        self.refuse(
            OVER,
            at,
            "functions OVER a window of rows are not supported",
            "aggregate per time window: FROM TUMBLE(…) GROUP BY window_start, window_end",
        );
    }

    fn check_table_factor(&mut self, factor: &mut TableFactor) {
        let at = factor.span();
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                let Some(call) = args.take() else { return self.check_table_name(name) };
                match tvf::read(name, &call.args, self.tables, &self.with_names, self.tokens) {
                    Ok(Call { window, query, wrong }) => {
                        self.refusals.extend(wrong);
                        match query {
                            None => self.replace_by_table(name, alias, window),
                            Some(query) => {
                                let alias = alias.take();
                                self.replace_by_query(factor, alias, window, query);
                            }
                        }
                    }
                    Err(refusal) => {
                        self.checked.is_partial = true;
                        self.refusals.push(refusal);
                    }
                }
            }
            TableFactor::Derived { lateral: false, sample: None, .. } => {}
            TableFactor::NestedJoin { table_with_joins, .. } => self.check_joins(table_with_joins),
            TableFactor::TableFunction { expr, .. } => {
                // Its call is refused here, not again as an expression.
                *expr = Expr::value(Value::Null);
                self.refuse(
                    UNSUPPORTED,
                    self.tokens.keyword_before(&[Keyword::TABLE], at),
                    "FROM TABLE(…) is not supported",
                    "leave TABLE(…) out: FROM TUMBLE(TABLE t, …)",
                );
            }
            _ => self.refuse(
                UNSUPPORTED,
                at,
                "FROM takes a source, TUMBLE(…), HOP(…) or a subquery",
                "leave the rest out",
            ),
        }
    }

    fn check_table_name(&mut self, name: &ObjectName) {
        let [part] = name.0.as_slice() else {
            let hint = "sources have no schema in front of their name";
            return self.refuse(
                super::error::UNKNOWN_TABLE,
                name.span(),
                format!("unknown table \"{name}\""),
                hint,
            );
        };
        let Some(ident) = part.as_ident() else { return };
        if self.with_names.contains(&normalised(ident)) {
            return;
        }
        if let Err(refusal) = tvf::find_table(ident, self.tables, &self.with_names) {
            self.refusals.push(refusal);
        }
    }

    /// Puts the window's own table in place of the call, under the table's name.
    fn replace_by_table(
        &mut self,
        name: &mut ObjectName,
        alias: &mut Option<TableAlias>,
        window: WindowCall,
    ) {
        let WindowInput::Table(table) = window.input else { return };
        if let Some(taken) = self.tables[table]
            .schema
            .fields()
            .iter()
            .find(|field| tvf::WINDOW_COLUMNS.contains(&field.name().as_str()))
        {
            let message = format!("the source has a column \"{}\" of its own", taken.name());
            let hint = "rename it in the source's schema, or read the source without a window table function";
            self.refuse(WINDOW_FUNCTION, name.span(), message, hint);
        }
        let table = window.name.clone();
        let position = self.checked.windows.len();
        let replaced = Ident::with_quote_and_span('"', name.span(), window_table_name(position));
        *name = ObjectName::from(replaced);
        alias.get_or_insert(TableAlias { explicit: false, name: table, columns: Vec::new(), at: None });
        self.checked.windows.push(window);
    }

    /// Puts a query that adds the window columns in place of the call; the walk goes on into it.
    fn replace_by_query(
        &mut self,
        factor: &mut TableFactor,
        alias: Option<TableAlias>,
        window: WindowCall,
        query: TableFactor,
    ) {
        let WindowInput::Query { descriptor } = &window.input else { return };
        let position = self.checked.windows.len();
        let of_with = matches!(query, TableFactor::Table { .. }).then(|| TableAlias {
            explicit: false,
            name: window.name.clone(),
            columns: Vec::new(),
            at: None,
        });
        let subquery = windowed::select_of(position, descriptor, query);
        *factor = TableFactor::Derived { lateral: false, subquery, alias: alias.or(of_with), sample: None };
        self.checked.windows.push(window);
    }

    fn check_expr(&mut self, expr: &Expr) {
        let at = expr.span();
        match expr {
            Expr::Function(function) => self.check_function(function),
            Expr::Exists { .. } => self.refuse_subquery(self.tokens.keyword_before(&[Keyword::EXISTS], at)),
            Expr::Subquery(_) | Expr::InSubquery { .. } => self.refuse_subquery(at),
            Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => self.refuse_grouping_sets(at),
            Expr::Prefixed { prefix, .. } => {
                let message = format!("{prefix} is not an expression");
                self.refuse(
                    UNSUPPORTED,
                    prefix.span,
                    message,
                    "TABLE t is the first argument of TUMBLE or HOP in FROM",
                );
            }
            Expr::TypedString(literal) => self.check_literal(literal),
            Expr::Value(value) if matches!(value.value, Value::Placeholder(_)) => {
                self.refuse(
                    UNSUPPORTED,
                    at,
                    format!("the placeholder {value} has no value"),
                    "write the value",
                );
            }
            _ => {}
        }
    }

    /// A literal that is no value of its type is a mistake, whether a row gets there or not.
    fn check_literal(&mut self, literal: &TypedString) {
        let (data_type, example) = match &literal.data_type {
            ast::DataType::Date => (DataType::Date32, "DATE '2026-01-31'"),
            ast::DataType::Time(..) => (DataType::Time64(TimeUnit::Nanosecond), "TIME '12:34:56'"),
            ast::DataType::Timestamp(..) => {
                (DataType::Timestamp(TimeUnit::Nanosecond, None), "TIMESTAMP '2026-01-31T12:34:56Z'")
            }
            _ => return,
        };
        let Value::SingleQuotedString(text) = &literal.value.value else { return };
        if ScalarValue::from(text.as_str()).cast_to(&data_type).is_err() {
            let message = format!("{literal} is none");
            self.refuse(BAD_EXPRESSION, literal.value.span, message, format!("write it as in {example}"));
        }
    }

    pub(super) fn refuse_subquery(&mut self, at: Span) {
        self.refuse(
            SUBQUERY,
            at,
            "a subquery in an expression is not supported",
            "write the values: IN ('a', 'b')",
        );
    }
}
