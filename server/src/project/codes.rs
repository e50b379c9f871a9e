//! The codes of project errors, and the page `docs/errors.md` that is made from them.
//!
//! Invariants:
//! 1. A code never changes its meaning and is never reused.
//! 2. Every code that a person can meet is on the page; a test compares it with this table.

use crate::problem::Code as RequestCode;

/// What is wrong with a project file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    Syntax,
    UnknownKey,
    MissingKey,
    WrongType,
    BadValue,
    Variable,
    BadName,
    UnknownReference,
    DuplicateKey,
    NotSupportedYet,
    Unreadable,
    RefusedProperty,
    Source,
    EventTime,
    PanelColumn,
    StateChanged,
    Sink,
    NoTable,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Syntax,
        Self::UnknownKey,
        Self::MissingKey,
        Self::WrongType,
        Self::BadValue,
        Self::Variable,
        Self::BadName,
        Self::UnknownReference,
        Self::DuplicateKey,
        Self::NotSupportedYet,
        Self::Unreadable,
        Self::RefusedProperty,
        Self::Source,
        Self::EventTime,
        Self::PanelColumn,
        Self::StateChanged,
        Self::Sink,
        Self::NoTable,
    ];

    /// The number, as in `[E0102]`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.describe().0
    }

    /// A few words.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.describe().1
    }

    /// What it means and what to do.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        self.describe().2
    }

    fn describe(self) -> (&'static str, &'static str, &'static str) {
        TABLE[self as usize]
    }
}

/// Number, title, explanation; in the order of [`Code::ALL`].
const TABLE: [(&str, &str, &str); 18] = [
    (
        "E0101",
        "the file is not YAML that Weir reads",
        "A bracket or quote is not closed, the indentation is wrong, or the file uses anchors, aliases, tags or \
         several documents, which project files may not. The position is where reading stopped; the mistake is \
         there or just before.",
    ),
    (
        "E0102",
        "unknown key",
        "No key of that name exists here. Every key does what it says or is refused, so that a typing mistake \
         never becomes a setting that silently does nothing.",
    ),
    ("E0103", "a required key is missing", "Add the key that the message names."),
    (
        "E0104",
        "a value has the wrong shape",
        "A single value, a list (`[a, b]`) or a map (`{ a: b }`) was expected and another of them found, or \
         nothing at all.",
    ),
    (
        "E0105",
        "a value is not one of those allowed",
        "Durations are a whole number and one of ms, s, m, h, d (`250ms`, `7d`), instants RFC 3339 \
         (`2026-11-22T00:00:00Z`); other keys take the words or the range that the message names.",
    ),
    (
        "E0106",
        "an environment variable can't be put in",
        "`${NAME}` needs the variable NAME; `${NAME:-default}` does not. A plain `${` is written `$${`.",
    ),
    (
        "E0107",
        "a name is not allowed",
        "Sources, pipelines, sinks, dashboards and connections are named by small letters, digits and `_`, \
         beginning with a letter; their files end in `.yaml`. A project's name may also hold capital letters, \
         `.` and `-`. Beside weir.yaml there is no other YAML file, unless its name begins with a dot: it would not be \
         read.",
    ),
    (
        "E0108",
        "what is referred to does not exist",
        "A source or a sink names a connection of weir.yaml, a panel or a sink a pipeline of the project.",
    ),
    ("E0109", "a key appears twice", "Remove one of them. A column of `metadata` appears once, too."),
    (
        "E0110",
        "not supported yet",
        "The key or file is part of Weir's design, but this version can't do it. It is refused rather than \
         ignored.",
    ),
    (
        "E0111",
        "a file can't be read",
        "It does not exist, is not a file, is larger than 1 MiB, is not UTF-8, or may not be read by this user. \
         A project needs at least weir.yaml and one pipeline.",
    ),
    (
        "E0112",
        "a Kafka property that can't be set",
        "Offsets, groups, transactions and brokers are Weir's own business: exactly-once results depend on them. \
         Others of librdkafka's are passed on. For sinks: `compression.…`, `linger.ms`, `batch.size`, \
         `batch.num.messages`, `message.max.bytes`. For sources: all but `security.protocol: plaintext`, \
         `isolation.level`, `check.crcs: true` and the sizes and waits of fetches (`fetch.…`, \
         `max.partition.fetch.bytes`) also have the topic read by librdkafka instead of Weir's faster reader.",
    ),
    (
        "E0113",
        "a source can't be used as a table",
        "The registry does not know the subject or version, the schema is not valid Avro or no record, or \
         librdkafka refuses a property. Or a record in the schema contains itself: give the source a schema \
         without that field, see [schemas.md](schemas.md#which-types-are-columns).",
    ),
    (
        "E0114",
        "the event time is not a timestamp column",
        "`event_time` names a column of the reader schema with logical type timestamp-millis, -micros or \
         -nanos (local ones too). Without the key, the Kafka timestamp is the event time.",
    ),
    (
        "E0115",
        "a panel shows a column that its pipeline does not have",
        "`x`, `y` and `series` name columns of the pipeline's SELECT.",
    ),
    (
        "E0116",
        "the kept state belongs to another query",
        "The data directory holds state of this pipeline for another SQL, topic, event time or other column \
         types. Nothing was touched. Put the old query back, or start the pipeline over with `weir reset`.",
    ),
    (
        "E0117",
        "a sink can't take the pipeline's rows",
        "Avro has no type or no name for a column, which the message names: cast it, or give it another name with AS. \
         Or the sink would write to the topic that its pipeline reads.",
    ),
    (
        "E0118",
        "a panel's pipeline keeps no result table",
        "With `retention: 0s` a pipeline's rows go to its sinks only. Give it a retention, at least as long as the \
         panel's `last`, or remove the panel.",
    ),
];

/// A code of refused SQL, its title, and an SQL text with what is said of it.
pub type RefusedExample<'a> = (&'a str, &'a str, Option<(&'a str, &'a str)>);

/// The text of `docs/errors.md`. `sql`: the codes of refused pipelines.
#[must_use]
pub fn page(sql: &[RefusedExample<'_>]) -> String {
    let mut page = String::from(
        "# Errors\n\nEvery mistake in a project and every refused query has a code. `weir check DIR` shows all of them at \
         once, with their places.\n\nThis page is made from the tables in the code: \
         `UPDATE_EXPECT=1 cargo test -p weir-server errors_page` writes it anew.\n\n## Project files\n",
    );
    for code in Code::ALL {
        let (code, title, explanation) = code.describe();
        page.push_str(&format!("\n### {code}: {title}\n\n{explanation}\n"));
    }
    page.push_str(
        "\n## SQL of a pipeline\n\nThe message says what was found and where, in line and column of the SQL; in parentheses, or \
         behind `hint`, the nearest form that can run. The examples are run by the tests.\n",
    );
    for (code, title, example) in sql {
        page.push_str(&format!("\n### {code}: {title}\n\n"));
        match example {
            Some((sql, told)) => page.push_str(&format!("```sql\n{sql}\n```\n```\n{told}\n```\n")),
            None => page.push_str("The mistake is Weir's, not yours. Please report the SQL.\n"),
        }
    }
    page.push_str(
        "\n## Requests over HTTP\n\nThe body of the answer is RFC 9457 `application/problem+json`; \
         [http.md](http.md) has the requests.\n\n| code | status | what is wrong | what to do |\n| --- | --- | --- | --- |\n",
    );
    for code in RequestCode::ALL {
        let (number, status, title, advice) = (code.as_str(), code.status(), code.title(), code.advice());
        page.push_str(&format!("| {number} | {status} | {title} | {advice} |\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    #[test]
    fn errors_page_is_the_table() {
        let sql: Vec<RefusedExample<'_>> =
            weir_engine::sql::CODES.iter().map(|(code, title)| (*code, *title, refused(code))).collect();
        expect_file!["../../../docs/errors.md"].assert_eq(&page(&sql));
    }

    /// The first example of a code among the refusals that the tests of SQL provoke, and what is said of it.
    fn refused(code: &str) -> Option<(&'static str, &'static str)> {
        let all = include_str!("../../../tests/slt/refusals.slt");
        let (_, section) = all.split_once(&format!("\n# {code}\n"))?;
        let (_, example) = section.split_once("statement error\n")?;
        let (sql, rest) = example.split_once("\n----\n")?;
        Some((sql, rest.split("\n\n").next()?.trim_end()))
    }

    #[test]
    fn codes_are_in_order_and_distinct() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
        assert!(Code::ALL.iter().enumerate().all(|(i, code)| *code as usize == i), "as in the table");
    }
}
