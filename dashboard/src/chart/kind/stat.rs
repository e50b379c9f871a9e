//! `stat`: one number, as text.

use weir_api::Chart;

use super::{Key, Kind, Way};

pub(super) const KIND: Kind = Kind {
    chart: Chart::Stat,
    word: "stat",
    way: Way::Figure,
    // A count needs no `y`; the server says so where one is missing.
    needs: &[Key::Y],
    takes: &[Key::Aggregate, Key::Unit],
    size: (3, 1),
};
