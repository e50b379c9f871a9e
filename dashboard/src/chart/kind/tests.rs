//! What the kinds draw, as shapes.

use super::*;
use crate::chart::draw::{Dash, Fill, Ink, Shape};
use crate::chart::series::Axis;

const SECOND: i64 = 1_000_000;

fn data(chart: Chart, n_windows: i64, n_final: i64, labels: &[&str]) -> ChartData {
    let point = |at: i64| Point {
        start: at * 10 * SECOND,
        end: (at + 1) * 10 * SECOND,
        value: 10.0,
        is_final: at < n_final,
        firm: 0.0,
    };
    let series = labels.iter().enumerate().map(|(slot, label)| Series {
        label: (*label).to_owned(),
        slot,
        points: (0..n_windows).map(point).collect(),
    });
    ChartData {
        series: series.collect(),
        n_series_total: labels.len(),
        step: 10 * SECOND,
        joins: 15 * SECOND,
        watermark: Some(n_final * 10 * SECOND),
        last: 100_000 * SECOND,
        as_bars: chart == Chart::Bar,
        is_stacked: matches!(chart, Chart::Area | Chart::Bar),
        ..ChartData::default()
    }
}

fn draw(chart: Chart, data: &ChartData, isolated: Option<&str>) -> Drawing {
    let Way::Canvas { draw, .. } = of(chart).way else { panic!("{chart:?} is not drawn") };
    draw(&Scene { data, width: 800.0, height: 300.0, isolated, zone: &Zone::default() })
}

#[test]
fn every_chart_has_a_kind_and_every_word_is_its_own() {
    for chart in [Chart::Line, Chart::Area, Chart::Bar, Chart::Stat, Chart::Table, Chart::Top] {
        assert_eq!(of(chart).chart, chart);
        assert_eq!(serde_json::to_value(chart).expect("a word"), of(chart).word);
    }
}

#[test]
fn a_panel_is_fitted_to_its_kind() {
    let mut panel =
        crate::view::board::cells::tests::panel(Chart::Top, Some("window_start"), "revenue", None);
    assert_eq!(fit(&mut panel), [Key::Series]);
    assert_eq!((panel.x.as_deref(), panel.y.as_deref()), (None, Some("revenue")));
    panel.chart = Chart::Table;
    assert!(fit(&mut panel).is_empty());
    assert_eq!(panel.y, None);
}

#[test]
fn provisional_lines_are_dashed_and_their_marks_hollow() {
    let drawing = draw(Chart::Line, &data(Chart::Line, 20, 17, &["a"]), None);
    let lines: Vec<(Dash, usize)> = drawing
        .plot
        .iter()
        .filter_map(|shape| match shape {
            Shape::Line { dash, points, .. } => Some((*dash, points.len())),
            _ => None,
        })
        .collect();
    // From the last final one; the newest, which has only begun, has a mark alone.
    assert_eq!(lines, [(Dash::Solid, 17), (Dash::Provisional, 3)]);
    let marks = drawing.plot.iter().filter_map(|shape| match shape {
        Shape::Marks { is_hollow, places, .. } => Some((*is_hollow, places.len())),
        _ => None,
    });
    assert_eq!(marks.collect::<Vec<_>>(), [(false, 17), (true, 3)]);
}

#[test]
fn provisional_surfaces_are_hatched() {
    // The newest window of each series stands alone in an area.
    for (chart, n_alone) in [(Chart::Area, 2), (Chart::Bar, 0)] {
        let drawing = draw(chart, &data(chart, 20, 17, &["a", "b"]), None);
        let fills: Vec<Fill> = drawing
            .plot
            .iter()
            .filter_map(|shape| match shape {
                Shape::Boxes { fill, .. } | Shape::Area { fill, .. } => Some(*fill),
                _ => None,
            })
            .collect();
        let of_both = [Fill::Solid, Fill::Hatched].repeat(2).into_iter();
        assert_eq!(fills, of_both.chain([Fill::Hatched].repeat(n_alone)).collect::<Vec<_>>(), "{chart:?}");
        assert_eq!(drawing.frame.map(|frame| frame.y.to), Some(20.0), "{chart:?} stacks");
    }
}

#[test]
fn bars_stand_on_each_other() {
    let drawing = draw(Chart::Bar, &data(Chart::Bar, 1, 1, &["a", "b"]), None);
    let boxes: Vec<[f64; 4]> = drawing
        .plot
        .iter()
        .filter_map(|shape| match shape {
            Shape::Boxes { boxes, .. } => Some(boxes[0]),
            _ => None,
        })
        .collect();
    assert!((boxes[0][1] - (boxes[1][1] + boxes[1][3])).abs() < 1e-9, "{boxes:?}");
}

#[test]
fn what_is_shown_alone_stands_on_the_axis_and_in_front() {
    let drawing = draw(Chart::Area, &data(Chart::Area, 20, 20, &["a", "b"]), Some("b"));
    assert_eq!(drawing.frame.map(|frame| frame.y.to), Some(10.0));
    let drawing = draw(Chart::Line, &data(Chart::Line, 20, 20, &["a", "b"]), Some("a"));
    let alphas = drawing.plot.iter().filter_map(|shape| match shape {
        Shape::Line { alpha, ink, .. } => Some((*ink, *alpha)),
        _ => None,
    });
    assert_eq!(alphas.collect::<Vec<_>>(), [(Ink::Series(1), FADED), (Ink::Series(0), 1.0)]);
    let drawing = draw(Chart::Line, &data(Chart::Line, 20, 20, &["a", "b"]), Some("of another panel"));
    assert!(drawing.plot.iter().all(|shape| !matches!(shape, Shape::Line { alpha, .. } if *alpha < 1.0)));
}

#[test]
fn many_points_cost_no_more_than_the_pixels() {
    let data = data(Chart::Line, 100_000, 100_000, &["a"]);
    let drawing = draw(Chart::Line, &data, None);
    let n_points: usize = drawing
        .plot
        .iter()
        .map(|shape| match shape {
            Shape::Line { points, .. } => points.len(),
            Shape::Marks { places, .. } => places.len(),
            _ => 0,
        })
        .sum();
    assert!(n_points <= 4 * 800, "{n_points} points for 800 pixels");
}

#[test]
fn dense_lines_keep_some_marks_at_the_same_instants() {
    let marks = |n_windows: i64| {
        let drawing = draw(Chart::Line, &data(Chart::Line, n_windows, n_windows, &["a"]), None);
        let frame = drawing.frame.expect("drawn");
        let marks = drawing.plot.into_iter().find_map(|shape| match shape {
            Shape::Marks { places, is_hollow: false, .. } => Some(places),
            _ => None,
        });
        let instant = |(x, _): &(f64, f64)| (frame.x.value(*x) / SECOND as f64).round() as i64;
        marks.expect("marks").iter().map(instant).collect::<Vec<_>>()
    };
    let (before, after) = (marks(1_000), marks(1_001));
    assert!(3 < before.len() && before.len() < 20, "{before:?}");
    assert_eq!(before, after[..before.len()]);
}

#[test]
fn the_greatest_values_have_bars_of_their_share() {
    let names = ["tea", "rum"].map(String::from);
    let point = |at: i64, value| Point { start: at, end: at + 1, value, is_final: at == 0, firm: 0.0 };
    let series = Series { label: "n".into(), slot: 0, points: vec![point(0, 8.0), point(1, 2.0)] };
    let data =
        ChartData { series: vec![series], axis: Axis::Categories(names.into()), ..ChartData::default() };
    let drawing = draw(Chart::Top, &data, None);
    let [Shape::Boxes { boxes: finals, .. }, Shape::Boxes { boxes: others, fill: Fill::Hatched, .. }] =
        &drawing.back[..]
    else {
        panic!("two sets of bars, not {:?}", drawing.back)
    };
    assert!((finals[0][2] / others[0][2] - 4.0).abs() < 1e-9);
}
