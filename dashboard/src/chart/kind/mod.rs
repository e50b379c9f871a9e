//! The kinds of chart. To add one: its word in `weir_api::Chart` and in the server's list, a file here, a line in
//! [`KINDS`].

mod area;
mod bar;
mod line;
mod piled;
mod stat;
mod table;
mod top;

use weir_api::{Aggregate, Chart, Panel};

use super::draw::Drawing;
use super::series::{ChartData, Point, Series};
use crate::view::zone::Zone;

/// One kind of chart.
pub struct Kind {
    pub chart: Chart,
    /// As the file spells it.
    pub word: &'static str,
    pub way: Way,
    /// The keys that it needs, and those that it may have besides `title`, `pipeline` and `last`.
    pub needs: &'static [Key],
    pub takes: &'static [Key],
    /// Columns and lines of the grid where the file does not say it.
    pub size: (u8, u8),
}

/// How a kind is shown.
#[derive(Clone, Copy)]
pub enum Way {
    /// Shapes on a canvas, with a legend of the series where `has_legend`.
    Canvas { draw: fn(&Scene<'_>) -> Drawing, has_legend: bool },
    /// One number in text.
    Figure,
    /// The panel's rows as a table.
    Rows,
}

/// A key of a panel that names a column or how rows become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    X,
    Y,
    Series,
    Aggregate,
    Unit,
}

/// What a kind draws, and where.
pub struct Scene<'a> {
    pub data: &'a ChartData,
    pub width: f64,
    pub height: f64,
    /// The label of the series that is shown alone.
    pub isolated: Option<&'a str>,
    /// What clocks show.
    pub zone: &'a Zone,
}

/// All kinds, in the order in which they are offered.
pub const KINDS: [Kind; 6] = [line::KIND, area::KIND, bar::KIND, stat::KIND, table::KIND, top::KIND];

/// The kind that draws a chart.
pub fn of(chart: Chart) -> &'static Kind {
    KINDS.iter().find(|kind| kind.chart == chart).unwrap_or(&KINDS[0])
}

impl Key {
    /// As the file spells it.
    pub fn word(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Series => "series",
            Self::Aggregate => "aggregate",
            Self::Unit => "unit",
        }
    }
}

/// The keys that a panel needs and does not have, and drops those that do nothing in its kind: the server refuses both.
pub fn fit(panel: &mut Panel) -> Vec<Key> {
    let kind = of(panel.chart);
    let takes = |key: Key| kind.needs.contains(&key) || kind.takes.contains(&key);
    for (key, value) in [
        (Key::X, &mut panel.x),
        (Key::Y, &mut panel.y),
        (Key::Series, &mut panel.series),
        (Key::Unit, &mut panel.unit),
    ] {
        value.take_if(|_| !takes(key));
    }
    panel.aggregate.take_if(|_| !takes(Key::Aggregate));
    let counts = panel.chart == Chart::Stat && panel.aggregate == Some(Aggregate::Count);
    let is_missing = |key: &&Key| match key {
        Key::X => panel.x.is_none(),
        Key::Y => panel.y.is_none() && !counts,
        Key::Series => panel.series.is_none(),
        Key::Aggregate | Key::Unit => false,
    };
    kind.needs.iter().filter(is_missing).copied().collect()
}

/// How strongly a series is drawn that is not the one that is shown alone.
const FADED: f64 = 0.12;

impl Scene<'_> {
    /// Whether a series of this label is shown alone; others fade.
    fn has_isolated(&self) -> bool {
        self.isolated.is_some_and(|isolated| self.data.series.iter().any(|series| series.label == isolated))
    }

    fn is_isolated(&self, series: &Series) -> bool {
        self.isolated == Some(&*series.label)
    }

    fn alpha(&self, series: &Series) -> f64 {
        if self.has_isolated() && !self.is_isolated(series) { FADED } else { 1.0 }
    }

    /// The least and the greatest value, zero included.
    fn extent(&self) -> (f64, f64) {
        let values = || self.data.series.iter().flat_map(|series| &series.points).map(|point| point.value);
        (values().fold(0.0, f64::min), values().fold(0.0, f64::max))
    }
}

/// A run of points in two: those that are final, and the rest with the last final one before them.
fn stretches(points: &[Point]) -> (&[Point], &[Point]) {
    let n_final = points.iter().take_while(|point| point.is_final).count();
    (&points[..n_final], &points[if n_final < points.len() { n_final.saturating_sub(1) } else { n_final }..])
}

#[cfg(test)]
mod tests;
