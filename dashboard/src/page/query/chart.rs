//! An answer as a chart above its grid, which has the same numbers as text.

use leptos::html;
use leptos::prelude::*;
use weir_api::Column;

use super::desk::Desk;
use crate::chart::axes as lines;
use crate::chart::frame::Frame;
use crate::chart::kind::{self, Scene, Way};
use crate::chart::legend::{self, legend};
use crate::chart::paint::paint_drawing;
use crate::chart::plotted::{self, Axes, CHARTS, ROWS_MAX};
use crate::chart::series::ChartData;
use crate::page::shell::Theme;
use crate::page::size::follow_size;
use crate::view::board::cells::is_time;
use crate::view::number::{grouped, is_numeric};
use crate::view::zone::Zone;

/// What is drawn, and where the pointer is; copies are the same.
#[derive(Clone, Copy)]
struct Picture {
    data: Memo<ChartData>,
    zone: Memo<Zone>,
    theme: Theme,
    painted: RwSignal<Option<Frame>>,
    /// The start of the window, or the category, that is pointed at.
    hovered: RwSignal<Option<i64>>,
}

#[component]
pub(super) fn ChartOf(desk: Desk, theme: Theme, zone: Memo<Zone>) -> impl IntoView {
    let columns = Memo::new(move |_| {
        desk.number();
        desk.with(|answer| answer.columns().to_vec())
    });
    let axes = Memo::new(move |_| {
        let kept = desk.axes.get().filter(|axes| columns.with(|columns| axes.fits(columns)));
        kept.or_else(|| columns.with(|columns| Axes::guess(columns)))
    });
    let data = Memo::new(move |_| {
        let drawn = axes.with(|axes| {
            let table = desk.with(plotted::table)?;
            plotted::data(&table, axes.as_ref()?)
        });
        drawn.unwrap_or_default()
    });
    let picture = Picture { data, zone, theme, painted: RwSignal::new(None), hovered: RwSignal::new(None) };
    let note = move || match (axes.with(Option::is_none), desk.with(|answer| answer.n_rows())) {
        (true, _) => "A chart needs a column of numbers, and another to put along its axis.".to_owned(),
        (false, n) if ROWS_MAX < n => {
            format!(
                "The first 10,000 of {} rows are drawn. Aggregate in the query to see all.",
                grouped(&n.to_string())
            )
        }
        _ => String::new(),
    };
    view! {
        <div class="answer-chart" data-testid="sql-chart">
            <Pickers desk columns axes />
            <p class="quiet" data-testid="sql-chart-note">{note}</p>
            <div class="answer-plot" hidden=Signal::derive(move || axes.with(Option::is_none))>
                <Plot picture />
                <Legend picture />
            </div>
        </div>
    }
}

#[component]
fn Pickers(desk: Desk, columns: Memo<Vec<Column>>, axes: Memo<Option<Axes>>) -> impl IntoView {
    let change = move |change: fn(&mut Axes, String), to: String| {
        if let Some(mut axes) = axes.get_untracked() {
            change(&mut axes, to);
            desk.axes.set(Some(axes));
        }
    };
    let names = move |fits: fn(&Column) -> bool| {
        Signal::derive(move || {
            columns.with(|columns| {
                columns
                    .iter()
                    .filter(|column| fits(column))
                    .map(|column| column.name.clone())
                    .collect::<Vec<_>>()
            })
        })
    };
    let chosen = move |read: fn(&Axes) -> String| {
        Signal::derive(move || axes.with(|axes| axes.as_ref().map(read).unwrap_or_default()))
    };
    let charts = Signal::stored(CHARTS.map(|(_, word)| word.to_owned()).to_vec());
    let chart_word = |axes: &Axes| {
        CHARTS.iter().find(|(chart, _)| *chart == axes.chart).map_or("", |(_, word)| word).to_owned()
    };
    let set_chart = |axes: &mut Axes, word: String| {
        if let Some((chart, _)) = CHARTS.iter().find(|(_, each)| *each == word) {
            axes.chart = *chart;
        }
    };
    let set_series = |axes: &mut Axes, name: String| axes.series = Some(name).filter(|name| !name.is_empty());
    view! {
        <div class="form-fields" hidden=Signal::derive(move || axes.with(Option::is_none))>
            <Pick label="Chart" options=charts value=chosen(chart_word) choose=move |to| change(set_chart, to) />
            <Pick label="X" options=names(|_| true) value=chosen(|axes| axes.x.clone()) choose=move |to| change(|axes, to| axes.x = to, to) />
            <Pick label="Y" options=names(is_numeric) value=chosen(|axes| axes.y.clone()) choose=move |to| change(|axes, to| axes.y = to, to) />
            <Pick
                label="Series"
                options=names(|column| !is_time(column))
                value=chosen(|axes| axes.series.clone().unwrap_or_default())
                choose=move |to| change(set_series, to)
                may_be_none=true
            />
        </div>
    }
}

/// One of some words.
#[component]
fn Pick(
    label: &'static str,
    options: Signal<Vec<String>>,
    value: Signal<String>,
    #[prop(into)] choose: Callback<String>,
    #[prop(optional)] may_be_none: bool,
) -> impl IntoView {
    let option = move |name: String| {
        let is_chosen = {
            let name = name.clone();
            move || value.with(|value| *value == name)
        };
        view! { <option value=name.clone() selected=is_chosen>{name.clone()}</option> }
    };
    view! {
        <label>
            <span>{label}</span>
            <select data-testid=format!("chart-{}", label.to_lowercase()) on:change=move |event| choose.run(event_target_value(&event))>
                {may_be_none.then(|| view! { <option value="" selected=move || value.with(String::is_empty)>"–"</option> })}
                {move || options.get().into_iter().map(option).collect_view()}
            </select>
        </label>
    }
}

#[component]
fn Plot(picture: Picture) -> impl IntoView {
    let Picture { data, zone, theme, painted, hovered } = picture;
    let canvas = NodeRef::<html::Canvas>::new();
    let size = follow_size(canvas);
    Effect::new(move |_| {
        theme.is_dark();
        let (width, height) = size.get();
        let Some(canvas) = canvas.get() else { return };
        let chart = if data.with(|data| data.as_bars) { weir_api::Chart::Bar } else { line_or_area(data) };
        let Way::Canvas { draw, .. } = kind::of(chart).way else { return };
        if width <= 0.0 || height <= 0.0 {
            return;
        }
        let drawing = zone.with(|zone| {
            data.with(|data| {
                let mut drawing = draw(&Scene { data, width, height, isolated: None, zone });
                if let (Some(frame), Some(start)) = (&drawing.frame, hovered.get()) {
                    drawing.front.extend(lines::crosshair(data, frame, start));
                }
                drawing
            })
        });
        paint_drawing(&canvas, &drawing, width, height);
        if painted.with_untracked(|painted| *painted != drawing.frame) {
            painted.set(drawing.frame);
        }
    });
    let label = move || {
        let said = data.with(|data| zone.with(|zone| legend(data, hovered.get(), zone)));
        let values: Vec<String> =
            said.entries.iter().map(|entry| format!("{} {}", entry.label, entry.value)).collect();
        format!("Chart, {}: {}. The grid below has the same numbers.", said.window, values.join(", "))
    };
    view! {
        <div class="plot">
            <canvas
                node_ref=canvas
                role="img"
                tabindex="0"
                aria-label=label
                data-testid="sql-plot"
                on:pointermove=move |event| point(picture, Some(f64::from(event.offset_x())))
                on:pointerleave=move |_| point(picture, None)
                on:keydown=move |event| key(picture, &event)
            ></canvas>
        </div>
    }
}

fn line_or_area(data: Memo<ChartData>) -> weir_api::Chart {
    if data.with(|data| data.is_stacked) { weir_api::Chart::Area } else { weir_api::Chart::Line }
}

fn point(picture: Picture, place: Option<f64>) {
    let hovered = picture.painted.with_untracked(|frame| {
        let (frame, place) = (frame.as_ref()?, place?);
        picture.data.with_untracked(|data| data.start_near(frame.x.value(place)))
    });
    if picture.hovered.get_untracked() != hovered {
        picture.hovered.set(hovered);
    }
}

/// Arrows go from window to window, or category to category.
fn key(picture: Picture, event: &web_sys::KeyboardEvent) {
    let starts = picture.data.with_untracked(ChartData::starts);
    let at = picture.hovered.get_untracked().and_then(|start| starts.binary_search(&start).ok());
    let last = starts.len().saturating_sub(1);
    let to = match event.key().as_str() {
        "ArrowLeft" => Some(at.map_or(last, |at| at.saturating_sub(1))),
        "ArrowRight" => Some(at.map_or(0, |at| (at + 1).min(last))),
        "Home" => Some(0),
        "End" => Some(last),
        "Escape" => None,
        _ => return,
    };
    event.prevent_default();
    picture.hovered.set(to.and_then(|to| starts.get(to).copied()));
}

#[component]
fn Legend(picture: Picture) -> impl IntoView {
    let Picture { data, zone, hovered, .. } = picture;
    let said = Memo::new(move |_| data.with(|data| zone.with(|zone| legend(data, hovered.get(), zone))));
    let entry = |entry: legend::Entry| {
        view! {
            <li>
                <svg class=format!("swatch series-{}", entry.slot) viewBox="-6 -6 12 12" aria-hidden="true">
                    <path d=legend::mark_path(entry.slot) />
                </svg>
                <span class="label">{entry.label}</span>
                <span class="value figure">{entry.value}</span>
            </li>
        }
    };
    view! {
        <div class="panel-legend">
            <p class="legend-head figure">
                {move || said.with(|said| said.window.clone())}
                <span class="note">{move || said.with(|said| said.note.clone())}</span>
            </p>
            <ul class="plain-legend" tabindex="0" aria-label="Legend">{move || said.with(|said| said.entries.clone()).into_iter().map(entry).collect_view()}</ul>
        </div>
    }
}
