//! How the answer to a query is looked at, as part of the page's address: chart, order, live.
//!
//! Invariant: what [`Look::take`] does not understand stays at its default.

use weir_api::Column;

use super::grid::sort::Sort;
use crate::protocol::percent_encode;

/// What stands where in a chart, by names; what is empty or `None` is chosen by the page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drawn {
    /// `line`, `area` or `bar`; empty: the page's choice, of all of it.
    pub chart: String,
    pub x: String,
    pub y: String,
    pub series: Option<String>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    pub drawn: Option<Drawn>,
    /// The column that the rows are ordered by, and whether downwards.
    pub order: Option<(String, bool)>,
    pub is_live: bool,
}

/// The word for a chart of the page's choice.
const AUTO: &str = "auto";

impl Look {
    /// Takes a pair of the address.
    pub fn take(&mut self, name: &str, value: Option<String>) {
        match (name, value) {
            ("live", Some(_)) => self.is_live = true,
            ("order", Some(value)) => {
                let column = value.strip_prefix('-');
                self.order = Some((column.unwrap_or(&value).to_owned(), column.is_some()));
            }
            ("chart", Some(value)) => {
                self.drawn.get_or_insert_default().chart = if value == AUTO { String::new() } else { value };
            }
            ("chart-x", Some(value)) => self.drawn.get_or_insert_default().x = value,
            ("chart-y", Some(value)) => self.drawn.get_or_insert_default().y = value,
            ("chart-series", value) => self.drawn.get_or_insert_default().series = value,
            _ => {}
        }
    }

    /// The pairs that [`Look::take`] reads.
    pub fn pairs(&self) -> Vec<String> {
        let mut pairs = Vec::new();
        let mut add = |name: &str, value: &str| pairs.push(format!("{name}={}", percent_encode(value)));
        match &self.drawn {
            Some(drawn) if drawn.chart.is_empty() => add("chart", AUTO),
            Some(Drawn { chart, x, y, series }) => {
                add("chart", chart);
                add("chart-x", x);
                add("chart-y", y);
                series.iter().for_each(|series| add("chart-series", series));
            }
            None => {}
        }
        if let Some((column, is_descending)) = &self.order {
            add("order", &format!("{}{column}", if *is_descending { "-" } else { "" }));
        }
        if self.is_live {
            add("live", "1");
        }
        pairs
    }

    /// The order of an answer with these columns.
    pub fn sort(&self, columns: &[Column]) -> Option<Sort> {
        let (name, is_descending) = self.order.as_ref()?;
        let column = columns.iter().position(|column| column.name == *name)?;
        Some(Sort { column, is_descending: *is_descending })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(look: &Look) -> Look {
        let mut read = Look::default();
        for pair in look.pairs() {
            let (name, value) = pair.split_once('=').expect("a pair");
            read.take(name, Some(value.to_owned()).filter(|value| !value.is_empty()));
        }
        read
    }

    #[test]
    fn a_link_looks_the_same() {
        let drawn = Drawn { chart: "area".into(), x: "at".into(), y: "n".into(), series: Some("c".into()) };
        let order = Some(("n".to_owned(), true));
        let look = Look { drawn: Some(drawn.clone()), order, is_live: true };
        assert_eq!(again(&look), look);
        assert_eq!(look.pairs().join("&"), "chart=area&chart-x=at&chart-y=n&chart-series=c&order=-n&live=1");
        let guessed = Look { drawn: Some(Drawn::default()), ..Look::default() };
        assert_eq!(again(&guessed), guessed);
        let single = Look { drawn: Some(Drawn { series: None, ..drawn }), ..Look::default() };
        assert_eq!(again(&single), single);
        assert_eq!(Look::default().pairs(), [""; 0]);
    }

    #[test]
    fn order_is_that_of_a_column_by_name() {
        let column = |name: &str| Column { name: name.into(), sql_type: "BIGINT".into(), nullable: true };
        let look = Look { order: Some(("n".into(), false)), ..Look::default() };
        assert_eq!(look.sort(&[column("a"), column("n")]), Some(Sort { column: 1, is_descending: false }));
        assert_eq!(look.sort(&[column("a")]), None);
    }
}
