//! `table`: the newest rows as they are.

use weir_api::Chart;

use super::{Kind, Way};

pub(super) const KIND: Kind =
    Kind { chart: Chart::Table, word: "table", way: Way::Rows, needs: &[], takes: &[], size: (6, 2) };
