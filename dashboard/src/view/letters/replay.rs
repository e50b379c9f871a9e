//! Dead letters that are run again: what that means before it is done, and what came of it.

use weir_api::{ReplayRequest, ReplayResponse};

use super::Choice;
use super::summary::{Counts, time_condition};
use crate::view::address::Range;
use crate::view::number::grouped;

/// What the button does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub pipeline: String,
    pub request: ReplayRequest,
    pub sentence: String,
}

/// What can be run again of what is chosen; `None`: nothing, or that of several pipelines.
pub fn offer(counts: &Counts, choice: &Choice, range: Option<Range>) -> Option<Offer> {
    let n = Some(counts.runnable(choice)).filter(|n| *n != 0)?;
    let pipeline = counts.only_pipeline(choice)?;
    let n = match n {
        1 => "One dead letter".to_owned(),
        n => format!("{} dead letters", grouped(&n.to_string())),
    };
    let sentence = format!(
        "{n} of {pipeline}, late rows apart. Each record is decoded with the schemas of now and counted once, in those of \
         its windows that are still open; what fails again stays a dead letter."
    );
    let request = ReplayRequest { reason: choice.reason.clone(), condition: time_condition(range) };
    Some(Offer { pipeline, request, sentence })
}

/// What came of it.
pub fn outcome(pipeline: &str, answer: &ReplayResponse) -> String {
    let grouped = |n: u64| grouped(&n.to_string());
    let ReplayResponse { replayed, failed_again, stopped } = answer;
    let rest = stopped.as_ref().map(|why| format!(" The rest was left: {why}.")).unwrap_or_default();
    format!(
        "{pipeline}: {} were counted, {} are dead letters still.{rest}",
        grouped(*replayed),
        grouped(*failed_again)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(rows: &[(&str, &str, u64)]) -> Counts {
        let rows: Vec<_> =
            rows.iter().map(|(pipeline, reason, n)| json!([pipeline, reason, n, null, null])).collect();
        let answer = json!({"columns": [], "row_count": 0, "truncated": false, "epochs": {}, "elapsed_ms": 1.0, "rows": rows});
        Counts::read(&serde_json::from_value(answer).expect("an answer"))
    }

    #[test]
    fn what_is_run_again_is_of_one_pipeline_and_not_late() {
        let one = counts(&[("revenue", "bad_payload", 1_200), ("revenue", "late_row", 7)]);
        let offered = offer(&one, &Choice::default(), None).expect("something");
        assert_eq!((&*offered.pipeline, offered.request.clone()), ("revenue", ReplayRequest::default()));
        assert!(offered.sentence.starts_with("1,200 dead letters of revenue, late rows apart."));
        let late = Choice { reason: Some("late_row".into()), ..Choice::default() };
        assert_eq!(offer(&one, &late, None), None);
        let two = counts(&[("revenue", "bad_payload", 1), ("clicks", "unknown_schema", 1)]);
        assert_eq!(offer(&two, &Choice::default(), None), None, "of which?");
        let choice =
            Choice { pipeline: Some("clicks".into()), reason: Some("unknown_schema".into()), place: None };
        let offered = offer(&two, &choice, Some(Range::Last(60_000))).expect("something");
        assert!(offered.sentence.starts_with("One dead letter of clicks"));
        assert_eq!(offered.request.reason.as_deref(), Some("unknown_schema"));
        assert!(offered.request.condition.is_some_and(|condition| condition.contains("60000 milliseconds")));
    }

    #[test]
    fn outcome_says_what_was_left() {
        let answer =
            ReplayResponse { replayed: 1_200, failed_again: 4, stopped: Some("the registry is away".into()) };
        assert_eq!(
            outcome("revenue", &answer),
            "revenue: 1,200 were counted, 4 are dead letters still. The rest was left: the registry is away."
        );
    }
}
