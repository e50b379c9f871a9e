//! What a number counts, and how it is written: short on an axis, in full in a legend.

use crate::view::number::{bytes, fixed, grouped, millis, si};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Unit {
    #[default]
    None,
    Millis,
    Seconds,
    Bytes,
    /// Of one; written in percent.
    Share,
    /// Written behind the number as it is.
    Other(String),
}

impl Unit {
    /// What the file says, else what the end of the column's name says.
    pub fn of(stated: Option<&str>, column: Option<&str>) -> Self {
        match stated {
            Some("ms") => Self::Millis,
            Some("s") => Self::Seconds,
            Some("B" | "bytes") => Self::Bytes,
            Some("%" | "ratio") => Self::Share,
            Some(other) => Self::Other(other.to_owned()),
            None => {
                let column = column.unwrap_or_default();
                let endings = [
                    ("_ms", Self::Millis),
                    ("_seconds", Self::Seconds),
                    ("_bytes", Self::Bytes),
                    ("_ratio", Self::Share),
                ];
                let known = endings.into_iter().find(|(ending, _)| column.ends_with(ending));
                known.map_or(Self::None, |(_, unit)| unit)
            }
        }
    }

    /// What stands above the axis, where the labels do not carry it; else empty.
    pub fn axis_text(&self) -> &str {
        match self {
            Self::Other(text) => text,
            _ => "",
        }
    }

    /// A label of an axis, at most four digits and an SI step.
    pub fn short(&self, value: f64) -> String {
        match self {
            Self::None | Self::Other(_) => si(value),
            Self::Bytes => bytes(value),
            Self::Millis => time_text(value),
            Self::Seconds => time_text(value * 1_000.0),
            Self::Share => format!("{} %", si(value * 100.0)),
        }
    }

    /// A number with all its integer digits and so many decimals, [`n_decimals`] of all that it stands among: what changes from
    /// epoch to epoch keeps its width. As [`Unit::short`] where it is next to nothing or has more digits than it is exact to.
    pub fn full(&self, value: f64, n_decimals: usize) -> String {
        match self {
            Self::Other(unit) => format!("{} {unit}", self.bare(value, n_decimals)),
            _ => self.bare(value, n_decimals),
        }
    }

    /// As [`Unit::full`], without what [`Unit::axis_text`] says.
    pub fn bare(&self, value: f64, n_decimals: usize) -> String {
        let is_plain = value == 0.0 || (0.01..1e15).contains(&value.abs());
        match self {
            Self::None | Self::Other(_) if is_plain => grouped(&fixed(value, n_decimals)),
            Self::Millis => steady_time(value),
            Self::Seconds => steady_time(value * 1_000.0),
            Self::Share if is_plain => grouped(&fixed(value * 100.0, 1)) + " %",
            _ => self.short(value),
        }
    }
}

/// The decimals that numbers have which stand together, or one after the other: none if all are whole, else two.
pub fn n_decimals(values: impl IntoIterator<Item = f64>) -> usize {
    if values.into_iter().all(|value| value.fract() == 0.0) { 0 } else { 2 }
}

/// As [`time_text`], with the same number of decimals in each unit.
fn steady_time(value_ms: f64) -> String {
    match value_ms.abs() {
        size if (999.5..60_000.0).contains(&size) => grouped(&fixed(value_ms / 1_000.0, 2)) + " s",
        size if (60_000.0..7_200_000.0).contains(&size) => grouped(&fixed(value_ms / 60_000.0, 1)) + " min",
        _ => time_text(value_ms),
    }
}

fn time_text(value_ms: f64) -> String {
    match value_ms.abs() {
        0.0 => "0 s".to_owned(),
        size if size < 60_000.0 => {
            let text = millis(value_ms.abs());
            if value_ms < 0.0 { format!("-{text}") } else { text }
        }
        size if size < 7_200_000.0 => format!("{} min", si(value_ms / 60_000.0)),
        _ => format!("{} h", si(value_ms / 3_600_000.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_from_the_file_or_the_name() {
        assert_eq!(Unit::of(None, Some("load_ms")), Unit::Millis);
        assert_eq!(Unit::of(Some("EUR"), Some("load_ms")), Unit::Other("EUR".into()));
        assert_eq!(Unit::of(None, Some("orders")), Unit::None);
    }

    #[test]
    fn numbers_are_short_on_an_axis_and_full_in_a_legend() {
        let texts = |unit: Unit, value| (unit.short(value), unit.full(value, 2));
        let pair = |short: &str, full: &str| (short.to_owned(), full.to_owned());
        assert_eq!(texts(Unit::None, 12_345.678), pair("12.35 k", "12,345.68"));
        assert_eq!(texts(Unit::Other("EUR".into()), 1_250.5), pair("1.25 k", "1,250.50 EUR"));
        assert_eq!(texts(Unit::Millis, 1_500.0), pair("1.5 s", "1.50 s"));
        assert_eq!(texts(Unit::Millis, -12.0), pair("-12 ms", "-12 ms"));
        assert_eq!(texts(Unit::Seconds, 600.0), pair("10 min", "10.0 min"));
        assert_eq!(texts(Unit::Bytes, 2_000_000.0), pair("2 MB", "2 MB"));
        assert_eq!(texts(Unit::Share, 0.125), pair("12.5 %", "12.5 %"));
        let full = [-0.0, -0.001, 3e-10, 0.019].map(|value| Unit::None.full(value, 2));
        assert_eq!(full, ["0.00", "-0.001", "3e-10", "0.02"]);
        let huge = [1e15, 1.23e18].map(|value| Unit::Other("EUR".into()).full(value, 0));
        assert_eq!(huge, ["1 P EUR", "1.23 E EUR"]);
    }

    #[test]
    fn numbers_that_stand_together_have_as_many_decimals() {
        assert_eq!([n_decimals([3.0, -7.0]), n_decimals([3.0, 7.5]), n_decimals([])], [0, 2, 0]);
        let texts = [8.0, 12.5].map(|value| Unit::None.full(value, n_decimals([8.0, 12.5])));
        assert_eq!(texts, ["8.00", "12.50"]);
    }
}
