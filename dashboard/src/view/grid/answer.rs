//! The lines of a streamed answer, taken as they come.

use std::collections::BTreeMap;

use weir_api::{Column, Problem, RowsEnd, RowsHead};

/// Bytes of rows that are kept. A tab of a browser has room for some hundred million.
pub const BYTES_MAX: usize = 128 << 20;
/// Rows that are kept: browsers lay out no more than some ten million pixels.
pub const ROWS_MAX: usize = 500_000;

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Ended {
    /// There may be more rows.
    #[default]
    NotYet,
    Whole {
        elapsed_ms: f64,
    },
    /// The query failed on the way: what is here is a part.
    Failed(Box<Problem>),
    /// There were more rows than are kept.
    Full,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    columns: Vec<Column>,
    epochs: BTreeMap<String, u64>,
    has_head: bool,
    /// The lines of the rows, without what ends them.
    text: Vec<u8>,
    /// Where each row's line ends.
    ends: Vec<u32>,
    /// A line that has not ended yet.
    partial: Vec<u8>,
    ended: Ended,
}

impl Answer {
    /// Takes bytes; `false`: no more are wanted.
    ///
    /// # Errors
    /// The bytes are not such an answer.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<bool, String> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            bytes = &rest[1..];
            if self.partial.is_empty() {
                self.line(line)?;
            } else {
                self.partial.extend_from_slice(line);
                let line = std::mem::take(&mut self.partial);
                self.line(&line)?;
            }
            if self.ended != Ended::NotYet {
                return Ok(false);
            }
        }
        if BYTES_MAX < self.text.len() + self.partial.len() + bytes.len() {
            self.ended = Ended::Full;
            return Ok(false);
        }
        self.partial.extend_from_slice(bytes);
        Ok(true)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let unreadable = |error: serde_json::Error| error.to_string();
        if !self.has_head {
            let head: RowsHead = serde_json::from_slice(line).map_err(unreadable)?;
            (self.columns, self.epochs, self.has_head) = (head.columns, head.epochs, true);
        } else if line.first() == Some(&b'[') {
            if self.ends.len() == ROWS_MAX || BYTES_MAX < self.text.len() + line.len() {
                self.ended = Ended::Full;
                return Ok(());
            }
            self.text.extend_from_slice(line);
            // Bounded by BYTES_MAX, far below what 32 bits hold.
            self.ends.push(u32::try_from(self.text.len()).map_err(|error| error.to_string())?);
        } else {
            self.ended = match serde_json::from_slice(line).map_err(unreadable)? {
                RowsEnd::Whole { elapsed_ms, .. } => Ended::Whole { elapsed_ms },
                RowsEnd::Failed { problem } => Ended::Failed(Box::new(problem)),
            };
        }
        Ok(())
    }

    /// Gives back what was set aside for rows that did not come.
    pub fn trim(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.partial = Vec::new();
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The committed epoch that was read, by pipeline.
    pub fn epochs(&self) -> &BTreeMap<String, u64> {
        &self.epochs
    }

    pub fn n_rows(&self) -> usize {
        self.ends.len()
    }

    pub fn ended(&self) -> &Ended {
        &self.ended
    }

    /// The JSON array of a row; empty past the last one.
    pub fn row(&self, at: usize) -> &str {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let line = self.ends.get(at).map(|end| &self.text[start..*end as usize]);
        line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default()
    }
}

/// An answer of these columns and rows, for tests.
#[cfg(test)]
pub fn of(columns: &[(&str, &str)], rows: &[&str]) -> Answer {
    let columns = columns.iter().map(|(name, sql_type)| Column {
        name: (*name).to_owned(),
        sql_type: (*sql_type).to_owned(),
        nullable: true,
    });
    let head = RowsHead { columns: columns.collect(), epochs: BTreeMap::from([("revenue".to_owned(), 812)]) };
    let mut answer = Answer::default();
    let lines = std::iter::once(serde_json::to_string(&head).expect("plain data"))
        .chain(rows.iter().map(|row| (*row).to_owned()))
        .chain(std::iter::once(r#"{"row_count":2,"elapsed_ms":3.1}"#.to_owned()));
    for line in lines {
        answer.push(line.as_bytes()).expect("a line");
        answer.push(b"\n").expect("its end");
    }
    answer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "{\"columns\":[{\"name\":\"n\",\"type\":\"BIGINT\",\"nullable\":false},{\"name\":\"t\",\"type\":\"VARCHAR\",\"nullable\":true}],\"epochs\":{\"revenue\":812}}\n[1,\"é\\n\"]\n[2,null]\n{\"row_count\":2,\"elapsed_ms\":3.1}\n";

    #[test]
    fn failure_on_the_way_is_kept_with_the_rows_before() {
        let mut answer = Answer::default();
        answer.push(TEXT.rsplit_once("{\"row").expect("an end").0.as_bytes()).expect("rows");
        assert_eq!((answer.n_rows(), answer.ended()), (2, &Ended::NotYet));
        let problem =
            r#"{"problem":{"type":"urn:weir:error:E0305","title":"t","status":503,"detail":"too long"}}"#;
        assert_eq!(answer.push(format!("{problem}\n").as_bytes()), Ok(false));
        assert!(matches!(answer.ended(), Ended::Failed(problem) if problem.detail == "too long"));
        assert!(Answer::default().push(b"<html>\n").is_err());
    }

    #[test]
    fn more_rows_than_are_kept_are_not_taken() {
        let mut answer = Answer::default();
        let (head, _) = TEXT.split_once('\n').expect("a line");
        answer.push(format!("{head}\n").as_bytes()).expect("the head");
        let rows = "[1]\n".repeat(1_000);
        for _ in 0..ROWS_MAX / 1_000 {
            assert_eq!(answer.push(rows.as_bytes()), Ok(true));
        }
        assert_eq!(answer.push(rows.as_bytes()), Ok(false));
        assert_eq!((answer.n_rows(), answer.ended()), (ROWS_MAX, &Ended::Full));
    }

    proptest! {
        /// However the bytes are cut, the answer is the same.
        #[test]
        fn any_cut_gives_the_same_answer(cuts in prop::collection::vec(0..TEXT.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut answer = Answer::default();
            let mut from = 0;
            for cut in cuts.into_iter().chain([TEXT.len()]) {
                answer.push(&TEXT.as_bytes()[from..cut]).expect("an answer");
                from = cut;
            }
            prop_assert_eq!(answer.n_rows(), 2);
            prop_assert_eq!(answer.row(0), "[1,\"é\\n\"]");
            prop_assert_eq!(answer.row(1), "[2,null]");
            prop_assert_eq!(answer.row(2), "");
            prop_assert_eq!(answer.ended(), &Ended::Whole { elapsed_ms: 3.1 });
            prop_assert_eq!(answer.epochs().get("revenue"), Some(&812));
        }
    }
}
