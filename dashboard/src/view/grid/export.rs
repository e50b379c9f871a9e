//! The answer as a file: what is on the screen, in its order, and not what another run of the query would give.

use super::answer::Answer;
use super::cells;
use super::select::row_at;
use crate::protocol::time::{self, MILLISECOND};

/// Tables that a file's name names.
const TABLES_NAMED: usize = 3;

/// A file's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the server writes it: a header; null is empty, an empty string is `""`.
    Csv,
    /// An object a row.
    Ndjson,
}

impl Form {
    /// `revenue-20261129T194130Z.csv`: the result tables that were read, and when.
    pub fn file_name(self, answer: &Answer, at_ms: f64) -> String {
        let tables: Vec<&str> = answer.epochs().keys().map(String::as_str).take(TABLES_NAMED).collect();
        let name = if tables.is_empty() { "answer".to_owned() } else { tables.join("-") };
        // Whole seconds; the cast saturates.
        let instant = (at_ms / 1_000.0) as i64 * 1_000 * MILLISECOND;
        let time = time::instant_text(instant).replace(['-', ':'], "");
        let ending = match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
        };
        format!("{name}-{time}.{ending}")
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// The bytes of the file.
pub fn file(answer: &Answer, order: Option<&[u32]>, form: Form) -> Vec<u8> {
    let names: Vec<&str> = answer.columns().iter().map(|column| column.name.as_str()).collect();
    let mut out = String::new();
    if form == Form::Csv {
        out.push_str(&names.iter().map(|name| field(name)).collect::<Vec<_>>().join(","));
        out.push('\n');
    }
    let names: Vec<String> = names.iter().map(|name| serde_json::Value::from(*name).to_string()).collect();
    for place in 0..answer.n_rows() {
        let row = answer.row(row_at(order, place));
        for (at, (json, name)) in cells::split(row).into_iter().zip(&names).enumerate() {
            match form {
                Form::Csv => {
                    out.push_str(if at == 0 { "" } else { "," });
                    if !cells::is_null(json) {
                        out.push_str(&field(&cells::text(json)));
                    }
                }
                Form::Ndjson => {
                    out.push(if at == 0 { '{' } else { ',' });
                    out.push_str(name);
                    out.push(':');
                    out.push_str(json);
                }
            }
        }
        out.push_str(match (form, names.is_empty()) {
            (Form::Csv, _) => "\n",
            (Form::Ndjson, false) => "}\n",
            (Form::Ndjson, true) => "{}\n",
        });
    }
    out.into_bytes()
}

fn field(text: &str) -> String {
    let needs_quotes = text.is_empty() || text.contains(['"', ',', '\n', '\r']);
    if needs_quotes { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::answer::of;
    use super::*;

    #[test]
    fn names_of_files_say_what_is_in_them() {
        let name = Form::Csv.file_name(&of(&[], &[]), 1_795_981_290_750.0);
        assert_eq!(name, "revenue-20261129T194130Z.csv");
        assert_eq!(Form::Ndjson.file_name(&Answer::default(), 0.0), "answer-19700101T000000Z.ndjson");
    }

    #[test]
    fn files_hold_every_value_as_it_was_written() {
        let answer = of(
            &[("n", "BIGINT"), ("a \"b\"", "VARCHAR")],
            &["[9223372036854775807,\"x,\\\"y\\\"\"]", "[null,\"\"]", "[1.50,[1,2]]"],
        );
        let text = |order, form| String::from_utf8(file(&answer, order, form)).expect("UTF-8");
        assert_eq!(
            text(None, Form::Csv),
            "n,\"a \"\"b\"\"\"\n9223372036854775807,\"x,\"\"y\"\"\"\n,\"\"\n1.50,\"[1,2]\"\n"
        );
        assert_eq!(
            text(Some(&[2, 0, 1]), Form::Ndjson),
            "{\"n\":1.50,\"a \\\"b\\\"\":[1,2]}\n{\"n\":9223372036854775807,\"a \\\"b\\\"\":\"x,\\\"y\\\"\"}\n{\"n\":null,\"a \\\"b\\\"\":\"\"}\n"
        );
    }
}
