//! The rows of a panel in a stretch of time that was chosen: asked for over SQL, again while they are not complete.

use std::sync::Arc;

use leptos::prelude::*;
use weir_api::{SqlRequest, SqlResponse};

use crate::page::shell::Live;
use crate::protocol::http::{self, Failure};

/// Between two questions while the rows still change, in milliseconds.
const PAUSE_MS: f64 = 2_000.0;

/// The last answer; copies are the same.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    answer: RwSignal<Option<Arc<SqlResponse>>>,
    failure: RwSignal<Option<String>>,
}

impl Asked {
    pub(super) fn answer(self) -> Option<Arc<SqlResponse>> {
        self.answer.get()
    }

    pub(super) fn failure(self) -> Option<String> {
        self.failure.get()
    }
}

/// Asks `question`, if there is one, at once and until the answer to it came when `is_complete`. An old answer goes when
/// there is another question.
pub(super) fn ask(live: Live, question: Memo<Option<String>>, is_complete: Memo<bool>) -> Asked {
    let asked = Asked { answer: RwSignal::new(None), failure: RwSignal::new(None) };
    // What is under way; when the last question was asked, and whether no other need follow it.
    let under_way = StoredValue::new(None::<String>);
    let asked_ms = StoredValue::new(f64::NEG_INFINITY);
    let is_last = StoredValue::new(false);
    Effect::new(move |before: Option<Option<String>>| {
        // The clock stands still while the tab is hidden.
        let now_ms = live.now_ms();
        let text = question.get();
        let complete = is_complete.get();
        let is_new = before.as_ref() != Some(&text);
        if is_new {
            asked.answer.set(None);
            asked.failure.set(None);
            is_last.set_value(false);
        }
        let Some(query) = text.clone() else { return text };
        let is_due = PAUSE_MS <= now_ms - asked_ms.get_value() && !is_last.get_value();
        let is_under_way = under_way.with_value(|asked| asked.as_ref() == Some(&query));
        if (is_new || is_due) && !is_under_way {
            under_way.set_value(Some(query.clone()));
            asked_ms.set_value(now_ms);
            js_sys::futures::spawn_local(async move {
                let request = SqlRequest { query: query.clone(), timeout: Some("10s".to_owned()) };
                let answer = http::post_alone::<SqlResponse>("/api/v1/sql", &request).await;
                if under_way.try_with_value(|asked| asked.as_ref() == Some(&query)) != Some(true) {
                    return;
                }
                under_way.set_value(None);
                is_last.set_value(complete && answer.is_ok());
                take(asked, answer);
            });
        }
        text
    });
    asked
}

fn take(asked: Asked, answer: Result<SqlResponse, Failure>) {
    match answer {
        Ok(answer) => {
            asked.failure.set(None);
            asked.answer.set(Some(Arc::new(answer)));
        }
        Err(failure) => asked.failure.set(Some(failure.sentence())),
    }
}
