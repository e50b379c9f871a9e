//! Why a window is still open: which partition it waits for, how far that one is, and what it takes.
//!
//! Rules: a window closes when `window_end + lateness <= watermark`; the watermark is the least of the active
//! partitions, each of which is at its newest event time − `delay`; a partition that has been read to its end and stays
//! silent for `idle_timeout` is no longer active.

use weir_api::{Partition, Pipeline, PipelineState, Timing};

use super::number::{grouped, whole_span};
use super::windows::window_text;
use super::zone::Zone;
use crate::protocol::time::{self, MILLISECOND};

/// Partitions that differ by less are in step: they differ by how batches happened to be read.
pub const STEP_OUT: i64 = 2 * time::SECOND;

/// The window that closes next, and what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// In a few words, for a headline: `12:04:30 – 12:04:40 waits for shop.orders 3`.
    pub headline: String,
    /// The whole answer.
    pub sentence: String,
    /// The place of the partition that is to blame in the list, if one is.
    pub culprit: Option<usize>,
}

/// Why the next window is still open; `None` for a pipeline without windows or without any partition yet.
/// `watermark` is the pipeline's, in microseconds.
pub fn waiting(
    timing: &Timing,
    partitions: &[Partition],
    watermark: Option<i64>,
    zone: &Zone,
) -> Option<Waiting> {
    let slide = timing.window_slide_ms?.checked_mul(MILLISECOND)?;
    let size = timing.window_size_ms?.checked_mul(MILLISECOND)?;
    if partitions.is_empty() || slide <= 0 {
        return None;
    }
    let scene = Scene { timing, partitions, zone };
    let Some(watermark) = watermark else { return Some(scene.before_the_first()) };
    let lateness = timing.lateness_ms.saturating_mul(MILLISECOND);
    let offset = timing.window_offset_ms.unwrap_or(0).saturating_mul(MILLISECOND);
    // The least end that the watermark has not passed; ends are aligned as starts are, since size is whole slides.
    let passed = watermark.checked_sub(lateness)?.checked_sub(offset)?;
    let end = (passed.div_euclid(slide) + 1).checked_mul(slide)?.checked_add(offset)?;
    let window = window_text(end.checked_sub(size)?, end, zone);
    let closes_at = end.checked_add(lateness)?;
    Some(scene.open(&window, closes_at, watermark))
}

/// Why no window of a pipeline that reads nothing closes; `None`: it reads.
pub fn at_rest(pipeline: &Pipeline) -> Option<Waiting> {
    let why = match (pipeline.state, &pipeline.error) {
        (PipelineState::Running, None) => return None,
        (PipelineState::Running, Some(_)) => "while its source does not answer",
        (PipelineState::Starting, _) => "while the pipeline is starting",
        (PipelineState::Stopped, _) => "since the pipeline has stopped",
        (PipelineState::Failed, _) => "since the pipeline has failed",
    };
    let sentence = format!("Nothing is read {why}: windows that are open stay open.");
    Some(Waiting { headline: String::new(), sentence, culprit: None })
}

struct Scene<'a> {
    timing: &'a Timing,
    partitions: &'a [Partition],
    zone: &'a Zone,
}

impl Scene<'_> {
    /// The pipeline has no watermark: some partition has not been heard of.
    fn before_the_first(&self) -> Waiting {
        let culprit =
            self.partitions.iter().position(|partition| !partition.idle && partition.watermark.is_none());
        let sentence = match culprit {
            Some(at) => self.unheard(at, "No window can close yet"),
            None => "No window can close yet: no row has come.".to_owned(),
        };
        let headline = match culprit {
            Some(at) => format!("waits for the first row of {}", self.name(at)),
            None => "waits for the first row".to_owned(),
        };
        Waiting { headline, sentence, culprit }
    }

    fn open(&self, window: &str, closes_at: i64, watermark: i64) -> Waiting {
        let start = format!("The window {window} is open");
        if self.partitions.iter().all(|partition| partition.idle) {
            let sentence = format!(
                "{start} because all partitions are idle: the watermark stays at {} until {} comes.",
                self.zone.clock(watermark),
                self.row_needed(closes_at),
            );
            return Waiting { headline: format!("{window} waits for any row"), sentence, culprit: None };
        }
        let active = || {
            let active = self.partitions.iter().enumerate().filter(|(_, partition)| !partition.idle);
            active.map(|(at, partition)| (mark(partition), at))
        };
        let slowest = active().min();
        let Some((Some(least), at)) = slowest else {
            let at = slowest.map(|(_, at)| at);
            let sentence = at.map_or_else(|| format!("{start}."), |at| self.unheard(at, &start));
            let name = at.map_or_else(|| "a partition".to_owned(), |at| self.name(at));
            return Waiting {
                headline: format!("{window} waits for the first row of {name}"),
                sentence,
                culprit: at,
            };
        };
        let next = active().filter(|(_, other)| *other != at).filter_map(|(mark, _)| mark).min();
        let gap = next.map_or(0, |next| next - least);
        if STEP_OUT <= gap && least < closes_at {
            let sentence = format!(
                "{start} because of {}. {}",
                self.name(at),
                self.holds_back(at, least, gap, closes_at)
            );
            return Waiting {
                headline: format!("{window} waits for {}", self.name(at)),
                sentence,
                culprit: Some(at),
            };
        }
        // To the second that is shown: whoever subtracts gets the same.
        let shown = watermark.div_euclid(time::SECOND) * time::SECOND;
        let to_go = whole_span(((closes_at - shown).max(0) / MILLISECOND) as f64);
        let others = match active().count() {
            1 => format!("{} takes {}", self.name(at), self.row_needed(closes_at)),
            _ => format!("the partitions are in step, each takes {}", self.row_needed(closes_at)),
        };
        let others = others + &self.left_out();
        let sentence = format!(
            "{start} until the watermark is at {}. It is at {}, {to_go} to go: {others}.",
            self.zone.clock(closes_at),
            self.zone.clock(watermark),
        );
        Waiting { headline: format!("{window} closes in {to_go} of event time"), sentence, culprit: None }
    }

    /// Who is not waited for; empty: nobody.
    fn left_out(&self) -> String {
        let idle: Vec<usize> = (0..self.partitions.len()).filter(|at| self.partitions[*at].idle).collect();
        match *idle {
            [] => String::new(),
            [at] => format!("; {} is idle and not waited for", self.name(at)),
            _ => format!("; {} idle partitions are not waited for", idle.len()),
        }
    }

    fn holds_back(&self, at: usize, least: i64, gap: i64, closes_at: i64) -> String {
        let behind = whole_span((gap / MILLISECOND) as f64);
        let mut text =
            format!("Its watermark is {}, {behind} behind the next one. ", self.zone.clock(least),);
        let row = self.row_needed(closes_at);
        text.push_str(&match self.partitions[at].lag_records {
            Some(0) => format!(
                "It is read to its end: the window closes with {row} in it, or without it once it has been silent for {}.",
                self.idle_timeout()
            ),
            Some(lag) => {
                format!("It has {} to read: the window closes when {row} is among them.", records(lag))
            }
            None => format!("The window closes when {row} is read from it."),
        });
        text
    }

    fn unheard(&self, at: usize, start: &str) -> String {
        let rest = match self.partitions[at].lag_records {
            Some(0) | None => format!(
                "It holds the watermark back until it has one, or has been silent at its end for {}",
                self.idle_timeout()
            ),
            Some(lag) => format!("It has {} to read", records(lag)),
        };
        format!("{start} because no row of {} has come. {rest}.", self.name(at))
    }

    /// Which row moves a partition far enough.
    fn row_needed(&self, closes_at: i64) -> String {
        let delay = self.timing.delay_ms.saturating_mul(MILLISECOND);
        format!("a row of {} or later", self.zone.clock(closes_at.saturating_add(delay)))
    }

    fn idle_timeout(&self) -> String {
        whole_span(self.timing.idle_timeout_ms as f64)
    }

    fn name(&self, at: usize) -> String {
        partition_name(&self.partitions[at])
    }
}

/// Topic and number.
pub fn partition_name(partition: &Partition) -> String {
    format!("{} {}", partition.topic, partition.partition)
}

/// A partition's watermark, in microseconds.
pub fn mark(partition: &Partition) -> Option<i64> {
    partition.watermark.as_deref().and_then(time::parse_instant)
}

fn records(n: u64) -> String {
    match n {
        1 => "1 record".to_owned(),
        n => format!("{} records", grouped(&n.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::view::partitions;

    const TIMING: Timing = Timing {
        delay_ms: 5_000,
        idle_timeout_ms: 30_000,
        lateness_ms: 0,
        window_size_ms: Some(10_000),
        window_slide_ms: Some(10_000),
        window_offset_ms: Some(0),
    };

    fn partition(number: i32, second: Option<i64>, lag_records: u64, idle: bool) -> Partition {
        Partition { lag_records: Some(lag_records), ..partitions::tests::partition(number, second, idle) }
    }

    fn said(partitions: &[Partition]) -> (String, Option<usize>) {
        let active = || partitions.iter().filter(|partition| !partition.idle);
        let watermark = match active().map(mark).min() {
            Some(least) => least,
            None => partitions.iter().filter_map(mark).max(),
        };
        let waiting = waiting(&TIMING, partitions, watermark, &Zone::default()).expect("windows");
        (waiting.sentence, waiting.culprit)
    }

    #[test]
    fn partition_that_holds_back_is_named_with_what_it_takes() {
        let silent = [partition(0, Some(95), 0, false), partition(3, Some(33), 0, false)];
        assert_eq!(
            said(&silent),
            (
                "The window 00:00:30 – 00:00:40 is open because of shop.orders 3. Its watermark is 00:00:33, 1 min 02 s \
                 behind the next one. It is read to its end: the window closes with a row of 00:00:45 or later in it, or \
                 without it once it has been silent for 30 s."
                    .into(),
                Some(1)
            )
        );
        let busy = [partition(0, Some(95), 0, false), partition(3, Some(33), 12_300, false)];
        assert!(said(&busy).0.ends_with(
            "It has 12,300 records to read: the window closes when a row of 00:00:45 or later is among them."
        ));
    }

    #[test]
    fn partitions_in_step_say_how_far_it_is() {
        let in_step = [partition(0, Some(37), 0, false), partition(1, Some(36), 0, false)];
        assert_eq!(
            said(&in_step),
            (
                "The window 00:00:30 – 00:00:40 is open until the watermark is at 00:00:40. It is at 00:00:36, 4 s to \
                 go: the partitions are in step, each takes a row of 00:00:45 or later."
                    .into(),
                None
            )
        );
        let idle = [partition(0, Some(37), 0, false), partition(1, Some(3), 0, true)];
        let (sentence, culprit) = said(&idle);
        assert_eq!(culprit, None, "an idle partition holds nobody back");
        let end = "3 s to go: shop.orders 0 takes a row of 00:00:45 or later; shop.orders 1 is idle and not waited for.";
        assert!(sentence.ends_with(end), "{sentence}");
        let zone = Zone::default();
        let between = waiting(&TIMING, &in_step, Some(36 * time::SECOND + 900_000), &zone).expect("windows");
        assert!(between.sentence.contains("It is at 00:00:36, 4 s to go"), "{}", between.sentence);
    }

    #[test]
    fn silence_of_all_and_partitions_never_heard_of_are_explained() {
        let idle = [partition(0, Some(37), 0, true)];
        assert_eq!(
            said(&idle).0,
            "The window 00:00:30 – 00:00:40 is open because all partitions are idle: the watermark stays at 00:00:37 \
             until a row of 00:00:45 or later comes."
        );
        let unheard = [partition(0, Some(37), 0, false), partition(7, None, 0, false)];
        assert_eq!(
            said(&unheard),
            (
                "No window can close yet because no row of shop.orders 7 has come. It holds the watermark back until it \
                 has one, or has been silent at its end for 30 s."
                    .into(),
                Some(1)
            )
        );
        assert_eq!(waiting(&TIMING, &[], None, &Zone::default()), None);
        let appends = Timing { window_size_ms: None, window_slide_ms: None, ..TIMING };
        assert_eq!(waiting(&appends, &idle, Some(0), &Zone::default()), None);
    }

    #[test]
    fn who_reads_nothing_closes_nothing() {
        let mut pipeline = crate::view::pipelines::tests::pipeline("a", PipelineState::Running);
        assert_eq!(at_rest(&pipeline), None);
        pipeline.error = Some("no broker".into());
        let said = |pipeline: &Pipeline| at_rest(pipeline).expect("it is said").sentence;
        let sentence = "Nothing is read while its source does not answer: windows that are open stay open.";
        assert_eq!(said(&pipeline), sentence);
        pipeline.state = PipelineState::Starting;
        assert!(said(&pipeline).starts_with("Nothing is read while the pipeline is starting:"));
    }

    #[test]
    fn lateness_and_offset_move_the_closing() {
        let timing = Timing { lateness_ms: 20_000, window_offset_ms: Some(3_000), ..TIMING };
        let partitions = [partition(0, Some(37), 0, false)];
        let waiting =
            waiting(&timing, &partitions, Some(37 * time::SECOND), &Zone::default()).expect("windows");
        assert!(waiting.sentence.starts_with(
            "The window 00:00:13 – 00:00:23 is open until the watermark is at 00:00:43. It is at 00:00:37, 6 s to go"
        ), "{}", waiting.sentence);
    }

    proptest! {
        /// Whoever is blamed is active and behind all other active ones.
        #[test]
        fn culprit_is_the_slowest_active_one(
            seconds in prop::collection::vec((0..200_i64, any::<bool>()), 1..6),
        ) {
            let partitions: Vec<Partition> = (0..)
                .zip(&seconds)
                .map(|(number, (second, idle))| partition(number, Some(*second), 0, *idle))
                .collect();
            if let (_, Some(at)) = said(&partitions) {
                prop_assert!(!partitions[at].idle);
                let others = partitions.iter().enumerate().filter(|(other, it)| *other != at && !it.idle);
                prop_assert!(others.clone().count() > 0);
                for (_, other) in others {
                    prop_assert!(mark(&partitions[at]).map(|own| own + STEP_OUT) <= mark(other));
                }
            }
        }
    }
}
