//! dashboards/*.yaml: panels over pipelines.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_api::{Aggregate, Chart, Panel};
use weir_engine::dataflow::plan::Plan;

use super::codes::Code;
use super::fields::{Fields, Sheet};
use super::problem::Problems;
use super::source::MAX_DURATION_MS;
use super::suggest::did_you_mean;
use super::text::Text;
use super::yaml::{Node, Pos};

/// The words of `chart`.
pub(super) const CHARTS: [(&str, Chart); 6] = [
    ("line", Chart::Line),
    ("area", Chart::Area),
    ("bar", Chart::Bar),
    ("stat", Chart::Stat),
    ("table", Chart::Table),
    ("top", Chart::Top),
];
/// The words of `aggregate`.
pub(super) const AGGREGATES: [(&str, Aggregate); 5] = [
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("count", Aggregate::Count),
];

/// Columns of the grid on which panels stand.
pub(super) const MAX_WIDTH: u64 = 12;
/// Lines of the grid that a panel may take.
pub(super) const MAX_HEIGHT: u64 = 6;

/// A dashboard file.
#[derive(Debug, Clone)]
pub struct Dashboard {
    pub dashboard: weir_api::Dashboard,
    /// What its panels name, to be checked against the pipelines.
    pub uses: Vec<Use>,
    /// The pipelines that its panels show, and where they say so.
    pub(crate) shows: Vec<(String, Pos)>,
}

/// A column of a pipeline that a panel names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub pipeline: String,
    pub column: String,
    /// The column in quotes, fit to be shown.
    pub shown: String,
    pub at: Pos,
}

/// Panels whose columns their pipelines do not have. `plans`: of the pipelines that could be planned.
pub fn check_columns<'a>(
    dashboards: impl Iterator<Item = (&'a str, &'a Dashboard)>,
    plans: &BTreeMap<&str, Arc<Plan>>,
) -> Problems {
    let mut problems = Problems::default();
    for (name, dashboard) in dashboards {
        for each in &dashboard.uses {
            let Some(plan) = plans.get(each.pipeline.as_str()) else { continue };
            let columns = plan.output.fields().iter().map(|field| field.name().as_str());
            if !columns.clone().any(|column| column == each.column) {
                let hint = did_you_mean(&each.column, columns);
                let message = format!("pipeline \"{}\" has no column {}{hint}", each.pipeline, each.shown);
                problems.push(&format!("dashboards/{name}.yaml"), each.at, Code::PanelColumn, message);
            }
        }
    }
    problems
}

/// Reads a dashboard file; `pipelines` are the names of those that exist.
pub(crate) fn read(sheet: &mut Sheet<'_>, node: &Node, pipelines: &[String]) -> Option<Dashboard> {
    let mut fields = Fields::new(sheet, "a dashboard", node)?;
    let title = fields.required_text("title");
    fields.require("panels");
    let (mut panels, mut uses, mut shows) = (Vec::new(), Vec::new(), Vec::new());
    for node in fields.list("panels") {
        panels.push(panel(fields.sheet, node, pipelines, &mut uses, &mut shows));
    }
    fields.finish();
    let panels: Option<Vec<Panel>> = panels.into_iter().collect();
    let dashboard = weir_api::Dashboard { title: title?.as_str().to_owned(), panels: panels? };
    Some(Dashboard { dashboard, uses, shows })
}

fn panel(
    sheet: &mut Sheet<'_>,
    node: &Node,
    pipelines: &[String],
    uses: &mut Vec<Use>,
    shows: &mut Vec<(String, Pos)>,
) -> Option<Panel> {
    let mut fields = Fields::new(sheet, "a panel", node)?;
    let title = fields.required_text("title");
    let pipeline = fields.required_text("pipeline");
    fields.require("chart");
    let chart = fields.choice("chart", &CHARTS);
    let (x, y, series) = (fields.text("x"), fields.text("y"), fields.text("series"));
    let aggregate = fields.choice("aggregate", &AGGREGATES);
    let last = fields.text("last");
    let duration = fields.duration("last", 1, MAX_DURATION_MS);
    let unit = fields.text("unit");
    let mut cells = |key, max| fields.integer(key, 1, max).and_then(|n| u8::try_from(n).ok());
    let (width, height) = (cells("width", MAX_WIDTH), cells("height", MAX_HEIGHT));
    if let Some(chart) = chart {
        needs(&mut fields, chart, aggregate);
    }
    fields.finish();
    let pipeline = pipeline?;
    sheet.reference("there is no pipeline", &pipeline, pipelines);
    let name = pipeline.as_str();
    shows.push((name.to_owned(), pipeline.at));
    uses.extend([&x, &y, &series].into_iter().flatten().map(|text| Use {
        pipeline: name.to_owned(),
        column: text.as_str().to_owned(),
        shown: text.shown(),
        at: text.at,
    }));
    if last.is_some() {
        duration?;
    }
    let owned = |text: Option<Text>| text.map(|text| text.as_str().to_owned());
    Some(Panel {
        title: title?.as_str().to_owned(),
        pipeline: name.to_owned(),
        chart: chart?,
        x: owned(x),
        y: owned(y),
        series: owned(series),
        aggregate,
        last: owned(last),
        unit: owned(unit),
        width,
        height,
    })
}

/// Notes the keys that a chart can't do without, and those that do nothing in it.
fn needs(fields: &mut Fields<'_, '_>, chart: Chart, aggregate: Option<Aggregate>) {
    let (needed, useless): (&[&str], &[&str]) = match chart {
        Chart::Line | Chart::Area | Chart::Bar => (&["x", "y"], &[]),
        Chart::Stat if aggregate == Some(Aggregate::Count) => (&[], &["x", "series"]),
        Chart::Stat => (&["y"], &["x", "series"]),
        Chart::Top => (&["y", "series"], &["x"]),
        Chart::Table => (&[], &["x", "y", "series", "aggregate", "unit"]),
    };
    let chart = CHARTS.iter().find(|(_, each)| *each == chart).map_or("", |(word, _)| word);
    for key in needed {
        if !fields.has(key) {
            let message = format!("a {chart} panel needs the key \"{key}\"");
            fields.sheet.problem(fields.at, Code::MissingKey, message);
        }
    }
    for key in useless {
        if fields.has(key) {
            let (at, message) = (fields.position(key), format!("\"{key}\" does nothing in a {chart} panel"));
            fields.sheet.problem(at, Code::UnknownKey, message);
        }
    }
}
