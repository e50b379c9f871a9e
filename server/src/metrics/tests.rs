//! The exposition: names, units and values, and what repeats.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Metrics;
use crate::testing::{revenue, view};

fn exposition() -> String {
    let metrics = Metrics::default();
    let table = revenue(3, Some(5_000), true, &[]);
    metrics.committed("revenue", revenue(2, None, true, &[]).facts());
    metrics.committed("revenue", table.facts());
    metrics.committed("revenue", table.facts());
    metrics.request("GET", "/api/v1/pipelines/{name}", 200, Duration::from_millis(3));
    metrics.request("GET", "/api/v1/pipelines/{name}", 404, Duration::from_secs(60));
    metrics.conflated("revenue", 2);
    metrics.conflated("revenue", 3);
    metrics.stream_clients(1);
    metrics.render(&[view("revenue", Some(table)), view("say \"hi\"\\", None)], 7_500)
}

#[test]
fn every_documented_metric_has_its_value() {
    let text = exposition();
    for line in [
        r#"weir_source_records_total{pipeline="revenue",source="orders",topic="shop.orders"} 90"#,
        r#"weir_source_bytes_total{pipeline="revenue",source="orders",topic="shop.orders"} 9000"#,
        r#"weir_source_lag_records{pipeline="revenue",source="orders",topic="shop.orders",partition="0"} 10"#,
        r#"weir_watermark_lag_seconds{pipeline="revenue"} 2.5"#,
        r#"weir_late_rows_total{pipeline="revenue"} 1"#,
        r#"weir_tombstones_total{pipeline="revenue"} 2"#,
        r#"weir_dead_letters_total{pipeline="revenue",reason="late_row"} 1"#,
        r#"weir_dead_letters_total{pipeline="revenue",reason="bad_framing"} 0"#,
        r#"weir_epoch_duration_seconds_bucket{pipeline="revenue",le="0.0025"} 0"#,
        r#"weir_epoch_duration_seconds_bucket{pipeline="revenue",le="0.005"} 2"#,
        r#"weir_epoch_duration_seconds_count{pipeline="revenue"} 2"#,
        r#"weir_epoch_duration_seconds_sum{pipeline="revenue"} 0.008"#,
        r#"weir_epoch_bytes_total{pipeline="revenue"} 300"#,
        r#"weir_operator_rows_total{pipeline="revenue",operator="source"} 180"#,
        r#"weir_operator_busy_ratio{pipeline="revenue",operator="window"} 0.25"#,
        r#"weir_state_bytes{pipeline="revenue",operator="window"} 7"#,
        r#"weir_stream_clients 1"#,
        r#"weir_stream_conflated_total{pipeline="revenue"} 5"#,
        r#"weir_stream_conflated_total{pipeline="say \"hi\"\\"} 0"#,
        r#"weir_epoch_duration_seconds_count{pipeline="say \"hi\"\\"} 0"#,
        r#"weir_http_requests_total{method="GET",path="/api/v1/pipelines/{name}",status="404"} 1"#,
        r#"weir_http_request_duration_seconds_bucket{method="GET",path="/api/v1/pipelines/{name}",le="30.0"} 1"#,
        r#"weir_http_request_duration_seconds_bucket{method="GET",path="/api/v1/pipelines/{name}",le="+Inf"} 2"#,
        r#"weir_source_records_total{pipeline="say \"hi\"\\",source="orders",topic="shop.orders"} 90"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn the_documentation_has_every_metric() {
    let page = include_str!("../../../docs/http.md");
    for line in exposition().lines() {
        let Some(rest) = line.strip_prefix("# TYPE ") else { continue };
        let name = rest.strip_suffix(" counter").map(|name| format!("{name}_total"));
        let name = name.unwrap_or_else(|| rest.split(' ').next().unwrap_or_default().to_owned());
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn exposition_follows_the_format() {
    let text = exposition();
    assert!(text.ends_with("# EOF\n"));
    let mut families: BTreeSet<String> = BTreeSet::new();
    let mut samples: BTreeSet<String> = BTreeSet::new();
    let mut family = String::new();
    let mut kind = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, found) = rest.split_once(' ').expect("a name and a type");
            assert!(families.insert(name.to_owned()), "family {name} appears twice");
            (family, kind) = (name.to_owned(), found.to_owned());
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (name, unit) = rest.split_once(' ').expect("a name and a unit");
            assert!(name.ends_with(&format!("_{unit}")), "{line}");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect("a name");
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let ours = suffixes.iter().any(|suffix| name == format!("{family}{suffix}"));
            assert!(ours, "{line} is not of the {kind} {family}");
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            assert!(samples.insert(sample.to_owned()), "{sample} appears twice");
            value.parse::<f64>().expect("a number");
        }
    }
}
