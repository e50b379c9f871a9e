//! `GET /api/v1/dashboards` and `GET /api/v1/dashboards/{name}`: the files of `dashboards/` as JSON.

use serde::{Deserialize, Serialize};

/// The answer to `GET /api/v1/dashboards`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardList {
    pub dashboards: Vec<DashboardEntry>,
    /// Whether `PUT /api/v1/dashboards/{name}` writes their files; absent from the JSON where not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub editable: bool,
}

/// A dashboard in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DashboardEntry {
    /// Its file's name, without the ending.
    pub name: String,
    pub title: String,
}

/// A dashboard file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    pub title: String,
    pub panels: Vec<Panel>,
}

/// How a panel shows its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Chart {
    Line,
    Area,
    Bar,
    /// One number.
    Stat,
    Table,
    /// The greatest values, in order.
    Top,
}

/// How the values of several rows become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregate {
    Sum,
    Avg,
    Min,
    Max,
    Count,
}

/// One panel of a dashboard. Columns are those of the pipeline's result table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panel {
    pub title: String,
    pub pipeline: String,
    pub chart: Chart,
    /// The column along the horizontal axis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The column that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// One line, area or bar for each value of this column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregate>,
    /// A duration as people write it, such as `30m`: how far back behind the watermark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// What `y` counts, such as `EUR`, `ms` or `B`; without it the end of the column's name may say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// In columns of a grid of twelve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u8>,
    /// In lines of the grid, 1 to 6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u8>,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::round_trip;

    #[test]
    fn panels_keep_what_the_file_says() {
        round_trip::<DashboardList>(r#"{"dashboards":[{"name":"shop","title":"Shop"}]}"#);
        let shop: Dashboard = round_trip(
            r#"{"title":"Shop","panels":[{"title":"Revenue by country","pipeline":"revenue","chart":"line","x":"window_start","y":"revenue","series":"country","last":"30m"},{"title":"Orders now","pipeline":"revenue","chart":"stat","y":"orders","aggregate":"sum","unit":"EUR","width":3,"height":1}]}"#,
        );
        assert_eq!(shop.panels[1].chart, Chart::Stat);
        assert_eq!(shop.panels[1].aggregate, Some(Aggregate::Sum));
        assert_eq!((shop.panels[0].width, shop.panels[1].width), (None, Some(3)));
    }
}
