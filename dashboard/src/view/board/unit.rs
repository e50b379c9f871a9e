//! What a number counts, and how it is written: short on an axis, in full in a legend.

use crate::view::number::{bytes, fixed, grouped, millis, si, without_zeros};

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

    /// A number with all its integer digits and at most two decimals, or as [`Unit::short`] where that is how one reads
    /// the unit, or the number is next to nothing or has more digits than it is exact to.
    pub fn full(&self, value: f64) -> String {
        match self {
            Self::Other(unit) => format!("{} {unit}", self.bare(value)),
            _ => self.bare(value),
        }
    }

    /// As [`Unit::full`], without what [`Unit::axis_text`] says.
    pub fn bare(&self, value: f64) -> String {
        let is_plain = value == 0.0 || (0.01..1e15).contains(&value.abs());
        match self {
            Self::None | Self::Other(_) if is_plain => grouped(without_zeros(&fixed(value, 2))),
            _ => self.short(value),
        }
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
        let texts = |unit: Unit, value| (unit.short(value), unit.full(value));
        let pair = |short: &str, full: &str| (short.to_owned(), full.to_owned());
        assert_eq!(texts(Unit::None, 12_345.678), pair("12.35 k", "12,345.68"));
        assert_eq!(texts(Unit::Other("EUR".into()), 1_250.0), pair("1.25 k", "1,250 EUR"));
        assert_eq!(texts(Unit::Millis, 1_500.0), pair("1.5 s", "1.5 s"));
        assert_eq!(texts(Unit::Seconds, 600.0), pair("10 min", "10 min"));
        assert_eq!(texts(Unit::Bytes, 2_000_000.0), pair("2 MB", "2 MB"));
        assert_eq!(texts(Unit::Share, 0.125), pair("12.5 %", "12.5 %"));
        assert_eq!(
            [-0.0, -0.001, 3e-10, 0.019].map(|value| Unit::None.full(value)),
            ["0", "-0.001", "3e-10", "0.02"]
        );
        assert_eq!(
            [1e15, 1.23e18].map(|value| Unit::Other("EUR".into()).full(value)),
            ["1 P EUR", "1.23 E EUR"]
        );
    }
}
