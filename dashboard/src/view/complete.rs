//! What may be written where the cursor stands: tables, columns, functions, words.
//!
//! Invariant: nothing is offered inside a text, a comment or a number.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use weir_api::{Column, Row};

mod functions;
mod tokens;

use functions::FUNCTIONS;
use tokens::{Kind, Token};

/// Options at most: the editor narrows them while one types.
const OPTIONS_MAX: usize = 400;

/// Asks for what [`Catalog::read`] reads.
pub const COLUMNS_QUERY: &str = "SELECT kind, table_name, name, type, nullable FROM weir.columns";

/// What is known of the server's tables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// As one writes them: `revenue`, `weir.pipelines`.
    pub tables: Vec<String>,
    /// Of the tables that are ready.
    pub columns: BTreeMap<String, Vec<Column>>,
}

impl Catalog {
    /// Reads the answers to SHOW TABLES and to [`COLUMNS_QUERY`]. Sources are no tables of queries.
    pub fn read(tables: &[Row], columns: &[Row]) -> Self {
        let text = |row: &Row, at: usize| row.get(at).and_then(|value| value.as_str()).map(str::to_owned);
        let table = |row: &Row| match (text(row, 0)?.as_str(), text(row, 1)?) {
            ("public", name) => Some(name),
            (schema, name) => Some(format!("{schema}.{name}")),
        };
        let mut catalog = Self { tables: tables.iter().filter_map(table).collect(), ..Self::default() };
        for row in columns {
            let column = || {
                let nullable = row.get(4)?.as_bool()?;
                Some((text(row, 1)?, Column { name: text(row, 2)?, sql_type: text(row, 3)?, nullable }))
            };
            if let Some((table, column)) = column().filter(|_| text(row, 0).as_deref() != Some("source")) {
                catalog.columns.entry(table).or_default().push(column);
            }
        }
        catalog
    }

    /// The tables with the results of pipelines.
    pub fn results(&self) -> impl Iterator<Item = &String> {
        self.tables.iter().filter(|table| !table.starts_with("weir."))
    }
}

/// What is offered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Completion {
    /// Where the word begins that an option replaces, in UTF-16 units.
    pub from: usize,
    pub options: Vec<Choice>,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    pub label: String,
    /// What is written.
    pub apply: String,
    pub detail: String,
    /// What fits better comes first, between options that match as well.
    pub boost: i32,
}

/// The options at a place of the query, which is in UTF-16 units.
pub fn complete(query: &str, at: usize, catalog: &Catalog) -> Option<Completion> {
    let at = byte_of(query, at);
    let tokens = tokens::tokens(query);
    let inside = tokens.iter().find(|token| token.start < at && at <= token.end);
    if inside.is_some_and(|token| matches!(token.kind, Kind::Text | Kind::Comment | Kind::Number)) {
        return None;
    }
    let from = inside.filter(|token| token.kind == Kind::Word).map_or(at, |token| token.start);
    let before: Vec<&Token> =
        tokens.iter().filter(|token| token.end <= from && token.kind != Kind::Comment).collect();
    let last = |n: usize| before.len().checked_sub(n).map(|place| before[place].text(query));
    let named = named_tables(query, &tokens, catalog);
    let mut options = Vec::new();
    if last(1) == Some(".") {
        let qualifier = last(2).map(tokens::unquoted)?;
        members(&qualifier, &named, catalog, &mut options);
    } else {
        let wants_table =
            last(1).is_some_and(|word| ["from", "join", "describe"].contains(&&*word.to_lowercase()));
        let wants_table = wants_table || (last(1) == Some(",") && follows_from(query, &before));
        if wants_table {
            options.extend(catalog.tables.iter().map(|table| choice(table, table.clone(), "table", 5)));
        } else {
            everything(&named, catalog, &mut options);
        }
    }
    options.truncate(OPTIONS_MAX);
    (!options.is_empty()).then(|| Completion { from: query[..from].encode_utf16().count(), options })
}

/// Names that stand for tables in the query, their own and what follows AS, with the tables.
fn named_tables(query: &str, tokens: &[Token], catalog: &Catalog) -> Vec<(String, String)> {
    let words: Vec<String> = tokens
        .iter()
        .filter(|token| token.kind != Kind::Comment)
        .map(|token| match token.kind {
            Kind::Word => tokens::unquoted(token.text(query)),
            _ => token.text(query).to_owned(),
        })
        .collect();
    let mut named = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let qualified = (words.get(at + 1).map(String::as_str) == Some("."))
            .then(|| words.get(at + 2).map(|name| format!("{}.{name}", words[at])))
            .flatten();
        let is_table = |name: &String| catalog.tables.contains(name);
        let (table, after) = match qualified {
            Some(name) if is_table(&name) => (name, at + 3),
            _ if is_table(&words[at]) && (at == 0 || words[at - 1] != ".") => (words[at].clone(), at + 1),
            _ => {
                at += 1;
                continue;
            }
        };
        let own = table.rsplit('.').next().unwrap_or(&table).to_owned();
        named.push((own, table.clone()));
        let alias = match words.get(after).map(String::as_str) {
            Some(word) if word.eq_ignore_ascii_case("as") => words.get(after + 1),
            _ => words.get(after),
        };
        if let Some(alias) = alias.filter(|alias| is_name(alias) && !is_keyword(alias)) {
            named.push((alias.clone(), table));
        }
        at = after;
    }
    named.dedup();
    named
}

/// Whether the last comma stands in a list of tables.
fn follows_from(query: &str, before: &[&Token]) -> bool {
    let words = before.iter().rev().map(|token| token.text(query).to_lowercase());
    let mut clauses = words.filter(|word| {
        ["select", "from", "where", "group", "order", "by", "having", "on", "with"].contains(&word.as_str())
    });
    clauses.next().as_deref() == Some("from")
}

/// What may stand behind `qualifier.`: the tables of a schema, or the columns of a table.
fn members(qualifier: &str, named: &[(String, String)], catalog: &Catalog, options: &mut Vec<Choice>) {
    let prefix = format!("{qualifier}.");
    let tables = catalog.tables.iter().filter_map(|table| table.strip_prefix(&prefix));
    options.extend(tables.map(|table| choice(table, table.to_owned(), "table", 5)));
    let own = named.iter().find(|(name, _)| name == qualifier).map(|(_, table)| table.as_str());
    columns_of(own.unwrap_or(qualifier), catalog, options);
}

fn everything(named: &[(String, String)], catalog: &Catalog, options: &mut Vec<Choice>) {
    let tables: BTreeSet<&str> = named.iter().map(|(_, table)| table.as_str()).collect();
    for table in &tables {
        columns_of(table, catalog, options);
    }
    if tables.is_empty() {
        // Nobody has said yet which table it is to be: the columns of all results, each with the first that has it.
        for table in catalog.results() {
            let from = options.len();
            columns_of(table, catalog, options);
            options[from..].iter_mut().for_each(|option| option.detail += &format!(", {table}"));
        }
    }
    let mut seen = BTreeSet::new();
    options.retain(|option| seen.insert(option.label.clone()));
    let aliases: BTreeSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    options.extend(aliases.into_iter().map(|name| choice(name, quoted(name), "table", 4)));
    options.extend(FUNCTIONS.iter().map(|(name, detail)| choice(name, format!("{name}("), detail, 1)));
    options.extend(KEYWORDS.iter().map(|word| choice(word, (*word).to_owned(), "", 0)));
    let others = catalog.tables.iter().filter(|table| !named.iter().any(|(name, _)| name == *table));
    options.extend(others.map(|table| choice(table, table.clone(), "table", -1)));
}

fn columns_of(table: &str, catalog: &Catalog, options: &mut Vec<Choice>) {
    let columns = catalog.columns.get(table).into_iter().flatten();
    options.extend(
        columns.map(|column| choice(&column.name, quoted(&column.name), &column.sql_type.to_lowercase(), 6)),
    );
}

fn choice(label: &str, apply: String, detail: &str, boost: i32) -> Choice {
    Choice { label: label.to_owned(), apply, detail: detail.to_owned(), boost }
}

/// A name as it must be written.
pub fn quoted(name: &str) -> String {
    if is_name(name) && name.to_lowercase() == name && !is_keyword(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
        && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.split(' ').any(|keyword| keyword.eq_ignore_ascii_case(word)))
}

fn byte_of(query: &str, at: usize) -> usize {
    let mut n_units = 0;
    for (byte, letter) in query.char_indices() {
        if at <= n_units {
            return byte;
        }
        n_units += letter.len_utf16();
    }
    query.len()
}

const KEYWORDS: [&str; 52] = [
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "HAVING",
    "ORDER BY",
    "LIMIT",
    "OFFSET",
    "WITH",
    "AS",
    "ON",
    "USING",
    "JOIN",
    "LEFT JOIN",
    "RIGHT JOIN",
    "FULL JOIN",
    "INNER JOIN",
    "CROSS JOIN",
    "UNION ALL",
    "EXCEPT",
    "INTERSECT",
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "LIKE",
    "ILIKE",
    "IS NULL",
    "IS NOT NULL",
    "EXISTS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST(",
    "TRY_CAST(",
    "INTERVAL",
    "TIMESTAMP",
    "DATE",
    "TRUE",
    "FALSE",
    "NULL",
    "ASC",
    "DESC",
    "NULLS LAST",
    "OVER (",
    "PARTITION BY",
    "EXPLAIN",
    "SHOW TABLES",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let column = |name: &str, sql_type: &str| Column {
            name: name.into(),
            sql_type: sql_type.into(),
            nullable: true,
        };
        Catalog {
            tables: ["revenue", "page_views", "weir.dead_letters", "weir.pipelines"].map(String::from).into(),
            columns: BTreeMap::from([
                ("revenue".to_owned(), vec![column("country", "VARCHAR"), column("Total", "DOUBLE")]),
                (
                    "weir.dead_letters".to_owned(),
                    vec![column("reason", "VARCHAR"), column("offset", "BIGINT")],
                ),
            ]),
        }
    }

    /// The labels at the bar in the text, and where the word begins.
    fn labels(text: &str) -> Option<(usize, Vec<String>)> {
        let at = text.find('|').expect("a bar");
        let query = text.replace('|', "");
        let completion = complete(&query, query[..at].encode_utf16().count(), &catalog())?;
        Some((completion.from, completion.options.into_iter().map(|option| option.label).collect()))
    }

    fn first(text: &str) -> Vec<String> {
        labels(text).map(|(_, labels)| labels.into_iter().take(2).collect()).unwrap_or_default()
    }

    #[test]
    fn tables_follow_from_and_columns_follow_tables() {
        let (from, tables) = labels("SELECT * FROM re|").expect("tables");
        assert_eq!((from, tables.len()), (14, 4));
        assert_eq!(first("SELECT * FROM revenue, |"), ["revenue", "page_views"]);
        assert_eq!(first("SELECT | FROM revenue"), ["country", "Total"]);
        assert_eq!(first("SELECT a.| FROM revenue AS a"), ["country", "Total"]);
        assert_eq!(first("SELECT revenue.c| FROM revenue"), ["country", "Total"]);
        assert_eq!(first("SELECT * FROM weir.|"), ["dead_letters", "pipelines"]);
        assert_eq!(first("SELECT * FROM weir.dead_letters d WHERE d.|"), ["reason", "offset"]);
        assert_eq!(first("SELECT * FROM revenue ORDER BY co|"), ["country", "Total"]);
        assert_eq!(labels("é = SELECT re| FROM revenue").expect("columns").0, 11);
    }

    #[test]
    fn columns_of_all_results_are_offered_before_a_table_is_named() {
        assert_eq!(first("SELECT |"), ["country", "Total"]);
        let (_, all) = labels("SELECT | FROM revenue").expect("options");
        assert_eq!(all.iter().filter(|label| *label == "revenue").count(), 1, "a table is offered once");
        assert!(!all.contains(&"offset".to_owned()), "not of a table that is not named");
    }

    #[test]
    fn nothing_is_offered_in_texts_and_comments() {
        for text in ["SELECT 'fr|'", "SELECT 1 -- fr|", "SELECT /* |*/ 1", "SELECT 12|", "SELECT 'fr|"] {
            assert_eq!(labels(text), None, "{text}");
        }
        assert!(labels("SELECT 'a' fr|").is_some());
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        let completion = complete("SELECT  FROM weir.dead_letters, revenue", 7, &catalog()).expect("columns");
        let applied: Vec<&str> = completion.options.iter().take(4).map(|option| &*option.apply).collect();
        assert_eq!(applied, ["country", "\"Total\"", "reason", "\"offset\""]);
    }

    #[test]
    fn columns_are_offered_before_their_table_is_named() {
        let completion = complete("SELECT cou", 10, &catalog()).expect("columns");
        let first: Vec<(&str, &str)> =
            completion.options.iter().take(2).map(|option| (&*option.label, &*option.detail)).collect();
        assert_eq!(first, [("country", "varchar, revenue"), ("Total", "double, revenue")]);
        let (_, labels) = labels("SELECT | FROM revenue").expect("all");
        assert_eq!(labels.iter().filter(|label| *label == "revenue").count(), 1, "a table is offered once");
    }

    #[test]
    fn catalog_is_read_from_what_the_server_says() {
        let rows = |text: &str| serde_json::from_str::<Vec<Row>>(text).expect("rows");
        let tables = rows(r#"[["public","revenue"],["weir","epochs"],[1]]"#);
        let columns = rows(
            r#"[["source","orders","id","BIGINT",false],["result","revenue","n","BIGINT",false],
                ["system","weir.epochs","epoch","BIGINT",false],["result","revenue","c","VARCHAR",true],["result"]]"#,
        );
        let catalog = Catalog::read(&tables, &columns);
        assert_eq!(catalog.tables, ["revenue", "weir.epochs"]);
        assert_eq!(catalog.results().collect::<Vec<_>>(), ["revenue"]);
        assert_eq!(catalog.columns.keys().collect::<Vec<_>>(), ["revenue", "weir.epochs"]);
        let names: Vec<&str> = catalog.columns["revenue"].iter().map(|column| &*column.name).collect();
        assert_eq!((names, catalog.columns["revenue"][1].nullable), (vec!["n", "c"], true));
    }
}
