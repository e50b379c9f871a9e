//! Questions that a page asks again and again while it is looked at: what no event tells.
//!
//! Invariants:
//! 1. One question of a kind is under way at most, so that a slow server is not asked more.
//! 2. A hidden tab asks nothing and paints no answer; what is answered too late, for another question or a page that is gone,
//!    is dropped.
//! 3. After a failure the last answer stays: it is old, and the head says so.

use std::future::Future;

use leptos::prelude::*;
use weir_api::{SqlRequest, SqlResponse};

use super::Live;
use crate::protocol::http::{self, Failure};
use crate::protocol::wire::Wire;
use crate::view::late::{self, Late};

/// What was answered; copies are the same.
pub(in crate::page) struct Again<T: Send + Sync + 'static> {
    answer: RwSignal<Option<T>>,
    failure: RwSignal<Option<String>>,
}

impl<T: Send + Sync + 'static> Clone for Again<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Again<T> {}

impl<T: Send + Sync + 'static> Again<T> {
    /// Reads the last answer to the present question, and runs again when there is another.
    pub(in crate::page) fn with<R>(self, read: impl FnOnce(Option<&T>) -> R) -> R {
        self.answer.with(|answer| read(answer.as_ref()))
    }

    /// Why there is no newer answer.
    pub(in crate::page) fn failure(self) -> Option<String> {
        self.failure.get()
    }
}

/// Gets the JSON at a path, unless that is empty, at once and then about every `seconds`.
pub(in crate::page) fn get_again<T: Wire + Send + Sync + 'static>(
    live: Live,
    seconds: f64,
    path: Memo<String>,
) -> Again<T> {
    again(live, seconds, path, async |path: String| http::get::<T>(&path).await)
}

/// Runs a query at once and then about every `seconds`.
pub(in crate::page) fn sql_again(live: Live, seconds: f64, query: Memo<String>) -> Again<SqlResponse> {
    again(live, seconds, query, async |query: String| {
        http::post_alone("/api/v1/sql", &SqlRequest { query, timeout: Some("10s".to_owned()) }).await
    })
}

/// The late rows of `pipelines`, looked for every ten seconds.
pub(in crate::page) fn late_again(live: Live, pipelines: Memo<Vec<String>>) -> Memo<Late> {
    let answer = sql_again(live, 10.0, Memo::new(move |_| pipelines.with(|names| late::query(names))));
    Memo::new(move |_| answer.with(|answer| answer.map(Late::read).unwrap_or_default()))
}

/// Asks `question` (an empty one is none) at once and whenever it changes, and then about every `seconds`.
fn again<T, F>(
    live: Live,
    seconds: f64,
    question: Memo<String>,
    ask: impl Fn(String) -> F + 'static,
) -> Again<T>
where
    T: Send + Sync + 'static,
    F: Future<Output = Result<T, Failure>> + 'static,
{
    let again = Again { answer: RwSignal::new(None), failure: RwSignal::new(None) };
    // The question that is under way, and when the last one was asked.
    let asked = StoredValue::new(None::<String>);
    let asked_ms = StoredValue::new(f64::NEG_INFINITY);
    Effect::new(move |before: Option<String>| {
        // The clock stands still while the tab is hidden.
        let now_ms = live.now_ms();
        let text = question.get();
        let is_new = before.as_ref() != Some(&text);
        if is_new {
            again.answer.set(None);
            again.failure.set(None);
        }
        let is_due = seconds * 1_000.0 <= now_ms - asked_ms.get_value() + 200.0;
        let is_under_way = asked.with_value(|asked| asked.as_ref() == Some(&text));
        if (is_new || is_due) && !is_under_way && !text.is_empty() {
            asked.set_value(Some(text.clone()));
            asked_ms.set_value(now_ms);
            let answer = ask(text.clone());
            let text = text.clone();
            js_sys::futures::spawn_local(async move {
                let answer = answer.await;
                if asked.try_with_value(|asked| asked.as_ref() == Some(&text)) != Some(true) {
                    return;
                }
                asked.set_value(None);
                if document().hidden() {
                    // Nobody looks: asked for again at once by who does.
                    asked_ms.set_value(f64::NEG_INFINITY);
                    return;
                }
                match answer {
                    Ok(answer) => {
                        again.failure.set(None);
                        again.answer.set(Some(answer));
                    }
                    Err(failure) => again.failure.set(Some(failure.sentence())),
                }
            });
        }
        text
    });
    again
}
