//! The list of pipelines: one row each, and one sentence about all of them.

use weir_api::{Pipeline, PipelineState};

use super::number::{grouped, rate, si, span};
use crate::protocol::time::{self, MILLISECOND};
use crate::store::Store;

/// Behind by more than this is worth a look: it is drawn in the colour of warnings.
const LAG_WARNING_MS: f64 = 60_000.0;

/// One pipeline. Texts are ready to show; `–` where there is nothing yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineRow {
    pub name: String,
    pub state: &'static str,
    /// Why it failed, or what it waits for.
    pub error: Option<String>,
    pub rows_per_second: String,
    /// Points of the small line, in a box of 60 by 16: `x,y x,y …`; empty with fewer than two rates.
    pub spark: String,
    /// How far the watermark is behind the clock.
    pub watermark_lag: String,
    pub lag_is_long: bool,
    /// Records that wait in Kafka.
    pub lag_records: String,
    pub late_rows: String,
    pub dead_letters: String,
    pub epoch: String,
}

/// The rows of all pipelines, in the server's order. `now_ms` is the server's clock, since 1970.
pub fn rows(store: &Store, now_ms: f64) -> Vec<PipelineRow> {
    store.pipelines().iter().map(|pipeline| row(store, pipeline, now_ms)).collect()
}

fn row(store: &Store, pipeline: &Pipeline, now_ms: f64) -> PipelineRow {
    let pulse = store.pulse(&pipeline.name);
    let rates = pulse.map_or(&[][..], |pulse| pulse.rates());
    let running = pipeline.state == PipelineState::Running;
    let lag_ms = lag_ms(pipeline, now_ms);
    PipelineRow {
        name: pipeline.name.clone(),
        state: pipeline.state.as_str(),
        error: pipeline.error.clone(),
        rows_per_second: rates.last().map_or_else(dash, |&per_second| rate(per_second)),
        spark: spark_points(rates),
        watermark_lag: lag_ms.map_or_else(dash, span),
        lag_is_long: running && lag_ms.is_some_and(|lag_ms| LAG_WARNING_MS < lag_ms),
        lag_records: pulse.and_then(|pulse| pulse.lag_records()).map_or_else(dash, |lag| si(lag as f64)),
        late_rows: grouped(&pipeline.late_rows.to_string()),
        dead_letters: grouped(&pipeline.dead_letters.to_string()),
        epoch: grouped(&pipeline.epoch.to_string()),
    }
}

fn lag_ms(pipeline: &Pipeline, now_ms: f64) -> Option<f64> {
    let watermark = time::parse_instant(pipeline.watermark.as_deref()?)?;
    Some((now_ms - (watermark / MILLISECOND) as f64).max(0.0))
}

fn dash() -> String {
    "–".to_owned()
}

/// One sentence that says whether all is well.
pub fn summary(pipelines: &[Pipeline]) -> String {
    let count = |state| pipelines.iter().filter(|pipeline| pipeline.state == state).count();
    let (n_all, n_running) = (pipelines.len(), count(PipelineState::Running));
    let mut others = Vec::new();
    for state in [PipelineState::Failed, PipelineState::Starting, PipelineState::Stopped] {
        match count(state) {
            0 => {}
            n => others.push(format!("{n} {}", state.as_str())),
        }
    }
    match (n_all, others.is_empty()) {
        (0, _) => "This project has no pipelines. Add a file to its folder pipelines and start Weir again."
            .to_owned(),
        (1, true) => "The pipeline is running.".to_owned(),
        (_, true) => format!("All {n_all} pipelines are running."),
        (_, false) => format!("{n_running} of {n_all} pipelines running, {}.", others.join(", ")),
    }
}

/// The points of a line in a box of 60 by 16, newest rate at the right edge. The scale starts at zero, so that a
/// steady rate is a steady line and not a zoomed tremble.
fn spark_points(rates: &[f64]) -> String {
    const WIDTH: f64 = 60.0;
    const HEIGHT: f64 = 16.0;
    if rates.len() < 2 {
        return String::new();
    }
    let most = rates.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let step = WIDTH / (crate::store::pulse::HISTORY - 1) as f64;
    let first_x = WIDTH - step * (rates.len() - 1) as f64;
    let points = rates.iter().enumerate().map(|(at, per_second)| {
        let x = first_x + step * at as f64;
        let y = HEIGHT - 1.0 - (HEIGHT - 2.0) * (per_second / most);
        format!("{x:.1},{y:.1}")
    });
    points.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(name: &str, state: PipelineState) -> Pipeline {
        Pipeline {
            name: name.into(),
            state,
            epoch: 1_234,
            committed_at: None,
            watermark: Some("1970-01-01T00:00:10.000Z".into()),
            lost_records: 0,
            rows_in: 0,
            rows_out: 0,
            late_rows: 0,
            tombstones: 0,
            dead_letters: 1_000,
            error: None,
        }
    }

    #[test]
    fn sentence_names_what_is_not_running() {
        let running = || pipeline("a", PipelineState::Running);
        assert!(summary(&[]).starts_with("This project has no pipelines."));
        assert_eq!(summary(&[running()]), "The pipeline is running.");
        assert_eq!(summary(&[running(), running()]), "All 2 pipelines are running.");
        let failed = pipeline("b", PipelineState::Failed);
        assert_eq!(summary(&[running(), failed]), "1 of 2 pipelines running, 1 failed.");
    }

    #[test]
    fn lag_is_long_only_where_rows_should_flow() {
        let mut store = Store::default();
        let states = [PipelineState::Running, PipelineState::Stopped];
        store.set_pipelines(states.map(|state| pipeline(state.as_str(), state)).into());
        let rows = rows(&store, 81_000.0);
        assert_eq!(rows[0].watermark_lag, "1 min 11 s");
        assert_eq!([rows[0].lag_is_long, rows[1].lag_is_long], [true, false]);
        assert_eq!((&*rows[0].rows_per_second, &*rows[0].dead_letters), ("–", "1,000"));
    }

    #[test]
    fn small_line_ends_at_the_right_edge() {
        assert_eq!(spark_points(&[5.0]), "");
        assert_eq!(spark_points(&[0.0, 5.0]), "59.0,15.0 60.0,1.0");
        assert_eq!(spark_points(&[0.0, 0.0]), "59.0,15.0 60.0,15.0");
    }
}
