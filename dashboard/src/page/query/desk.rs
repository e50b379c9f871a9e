//! The query that is written, the one that runs, and the last answer. They live as long as the tab: who comes back to
//! the page finds everything as it was.
//!
//! Invariants:
//! 1. One query runs at most. A new one ends the one before, and ending one ends it on the server: the request is cut.
//! 2. An answer is shown while it comes. That of a live query is shown when it is whole, so that nothing flickers.

use std::cell::OnceCell;

use leptos::prelude::*;
use web_sys::AbortController;
use weir_api::{CONTENT_TYPE_ROWS, Problem, SqlRequest};

use crate::chart::plotted::Axes;
use crate::page::shell::{Live, Route};
use crate::protocol::body;
use crate::protocol::http::Failure;
use crate::view::grid::answer::{Answer, Ended};
use crate::view::grid::sort::Sort;
use crate::view::history::{Entry, History};
use crate::view::query;

const HISTORY_KEY: &str = "weir-queries";
/// What the server allows at most; a person cancels what takes too long.
const TIMEOUT: &str = "300s";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wrong {
    pub(super) failure: Failure,
    /// The query that it is about.
    pub(super) query: String,
}

impl Wrong {
    pub(super) fn problem(&self) -> Option<&Problem> {
        match &self.failure {
            Failure::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}

/// A run that is under way.
struct Run {
    abort: AbortController,
    query: String,
    is_live: bool,
    answer: Answer,
    is_shown: bool,
}

/// A handle; copies are the same desk.
#[derive(Clone, Copy)]
pub(super) struct Desk {
    pub(super) text: RwSignal<String>,
    pub(super) wrong: RwSignal<Option<Wrong>>,
    pub(super) history: RwSignal<History>,
    pub(super) sort: RwSignal<Option<Sort>>,
    /// Runs again by itself.
    pub(super) is_live: RwSignal<bool>,
    /// Whether a chart is shown above the grid, and what was chosen for it.
    pub(super) is_drawn: RwSignal<bool>,
    pub(super) axes: RwSignal<Option<Axes>>,
    pub(super) is_running: RwSignal<bool>,
    was_cancelled: RwSignal<bool>,
    /// The query that a person ran last.
    last: RwSignal<String>,
    /// The answer that is shown, and the query that it is of.
    answer: StoredValue<(Answer, String), LocalStorage>,
    /// Counts what is added to the answer.
    frame: RwSignal<u64>,
    /// Counts the answers: rows of another one are other rows.
    number: RwSignal<u64>,
    run: StoredValue<Option<Run>, LocalStorage>,
    /// Counts the runs: what an old one still delivers is ignored.
    generation: StoredValue<u32>,
    started_ms: StoredValue<f64>,
}

thread_local! {
    static DESK: OnceCell<(Owner, Desk)> = const { OnceCell::new() };
}

impl Desk {
    /// The desk of this tab.
    pub(super) fn of_tab() -> Self {
        DESK.with(|desk| {
            let (_, desk) = desk.get_or_init(|| {
                // Its own owner: it outlives the page that asks for it first.
                let owner = Owner::new_root(None);
                let desk = owner.with(Self::new);
                (owner, desk)
            });
            *desk
        })
    }

    fn new() -> Self {
        let kept = window()
            .local_storage()
            .ok()
            .flatten()
            .and_then(|kept| kept.get_item(HISTORY_KEY).ok().flatten());
        Self {
            text: RwSignal::new(String::new()),
            wrong: RwSignal::new(None),
            history: RwSignal::new(History::parse(&kept.unwrap_or_default())),
            sort: RwSignal::new(None),
            is_live: RwSignal::new(false),
            is_drawn: RwSignal::new(false),
            axes: RwSignal::new(None),
            is_running: RwSignal::new(false),
            was_cancelled: RwSignal::new(false),
            last: RwSignal::new(String::new()),
            answer: StoredValue::new_local((Answer::default(), String::new())),
            frame: RwSignal::new(0),
            number: RwSignal::new(0),
            run: StoredValue::new_local(None),
            generation: StoredValue::new(0),
            started_ms: StoredValue::new(f64::NEG_INFINITY),
        }
    }

    /// Reads the answer, and runs again when it has more rows or is another.
    pub(super) fn with<T>(self, read: impl FnOnce(&Answer) -> T) -> T {
        self.frame.track();
        self.answer.with_value(|(answer, _)| read(answer))
    }

    /// The query that the answer is of.
    pub(super) fn answered(self) -> String {
        self.number.track();
        self.answer.with_value(|(_, query)| query.clone())
    }

    /// Whether a query runs, or is the last that did: nothing has to be done to have its outcome.
    pub(super) fn knows(self, query: &str) -> bool {
        self.run.with_value(|run| run.as_ref().is_some_and(|run| run.query == query))
            || self.answer.with_value(|(_, answered)| answered == query)
            || self.wrong.with_untracked(|wrong| wrong.as_ref().is_some_and(|wrong| wrong.query == query))
    }

    /// Whether the answer that is shown is of a query before the last one: that runs, failed or was cancelled.
    pub(super) fn is_outdated(self) -> bool {
        let answered = self.answered();
        self.number.get() != 0 && self.last.with(|last| *last != answered)
    }

    /// The number of the answer, for keys of its rows; 0: there is none.
    pub(super) fn number(self) -> u64 {
        self.number.get()
    }

    /// Runs the query that is written, and names it in the address.
    pub(super) fn start(self, route: Route) {
        let query = self.text.get_untracked();
        if query.trim().is_empty() {
            return;
        }
        route.go(|address| address.query = Some(query.clone()));
        self.is_live.set(false);
        self.begin(query, false);
    }

    /// Runs the query of the answer again, where that is no longer of the newest epochs.
    pub(super) fn refresh(self, live: Live) {
        if self.is_running.get_untracked() || !self.is_live.get_untracked() {
            return;
        }
        let since = js_sys::Date::now() - self.started_ms.get_value();
        let newest = |pipeline: &str| {
            live.read(|store| {
                let of_table = store.table(pipeline).map(|table| table.epoch());
                let of_status = store.pipelines().iter().find(|it| it.name == pipeline).map(|it| it.epoch);
                of_table.max(of_status)
            })
        };
        let is_due = self.answer.with_value(|(answer, _)| query::is_due(answer.epochs(), newest, since));
        if is_due {
            let query = self.answer.with_value(|(_, query)| query.clone());
            self.begin(query, true);
        }
    }

    fn begin(self, query: String, is_live: bool) {
        self.cut();
        let Ok(abort) = AbortController::new() else { return };
        let signal = abort.signal();
        let generation = self.generation.try_update_value(|generation| {
            *generation = generation.wrapping_add(1);
            *generation
        });
        self.was_cancelled.set(false);
        if !is_live {
            self.wrong.set(None);
            self.last.set(query.clone());
        }
        self.started_ms.set_value(js_sys::Date::now());
        self.run.set_value(Some(Run {
            abort,
            query: query.clone(),
            is_live,
            answer: Answer::default(),
            is_shown: false,
        }));
        self.is_running.set(true);
        js_sys::futures::spawn_local(async move {
            let request = SqlRequest { query, timeout: Some(TIMEOUT.to_owned()) };
            let take = |bytes: &[u8]| {
                if generation == Some(self.generation.get_value()) { self.take(bytes) } else { Ok(false) }
            };
            let ended = body::post("/api/v1/sql", CONTENT_TYPE_ROWS, &request, &signal, take).await;
            if generation == Some(self.generation.get_value()) {
                self.ended(ended);
            }
        });
    }

    /// Adds bytes to the answer that comes; `false`: enough.
    fn take(self, bytes: &[u8]) -> Result<bool, String> {
        let push = |answer: &mut Answer| {
            let more = answer.push(bytes)?;
            Ok((more, answer.n_rows() != 0, *answer.ended() == Ended::Full))
        };
        let taken = self.run.try_update_value(|run| {
            let run = run.as_mut()?;
            let taken: Result<(bool, bool, bool), String> = match run.is_shown {
                true => self.answer.try_update_value(|(answer, _)| push(answer))?,
                false => push(&mut run.answer),
            };
            Some((taken, run.is_shown, run.is_live))
        });
        // The run may have been cancelled meanwhile.
        let Some((taken, is_shown, is_live)) = taken.flatten() else { return Ok(false) };
        let (more, has_rows, is_full) = taken?;
        if is_shown {
            self.frame.update(|frame| *frame += 1);
        } else if has_rows && !is_live {
            self.show();
        }
        if is_full {
            // The server need not make what is not kept.
            self.run.with_value(|run| run.iter().for_each(|run| run.abort.abort()));
        }
        Ok(more)
    }

    /// Puts the answer that comes in the place of the one before.
    fn show(self) {
        self.run.update_value(|run| {
            let Some(run) = run.as_mut().filter(|run| !run.is_shown) else { return };
            run.is_shown = true;
            self.answer.set_value((std::mem::take(&mut run.answer), run.query.clone()));
        });
        if self.run.with_value(|run| run.as_ref().is_some_and(|run| !run.is_live)) {
            self.sort.set(None);
        }
        self.wrong.set(None);
        self.number.update(|number| *number += 1);
        self.frame.update(|frame| *frame += 1);
    }

    fn ended(self, ended: Result<(), Failure>) {
        let now_ms = js_sys::Date::now();
        let (query, is_live) = self
            .run
            .with_value(|run| run.as_ref().map(|run| (run.query.clone(), run.is_live)).unwrap_or_default());
        let outcome = match ended {
            Ok(()) => {
                self.show();
                self.answer.update_value(|(answer, _)| answer.trim());
                self.frame.update(|frame| *frame += 1);
                let is_broken = self.with(|answer| *answer.ended() == Ended::NotYet);
                if is_broken {
                    self.wrong.set(Some(Wrong { failure: Failure::Unreachable, query: query.clone() }));
                }
                self.answer.with_value(|(answer, _)| query::summary(answer))
            }
            // The next epoch asks again, and the head says meanwhile that there is no connection.
            Err(failure) if is_live && is_passing(&failure) => String::new(),
            Err(failure) => {
                self.is_live.set(false);
                let outcome = failure.sentence();
                self.wrong.set(Some(Wrong { failure, query: query.clone() }));
                outcome
            }
        };
        self.run.set_value(None);
        self.is_running.set(false);
        if !is_live {
            self.remember(Entry { query, at_ms: now_ms, outcome });
        }
    }

    /// Ends the run, on the server too. What has come of it stays.
    pub(super) fn cancel(self) {
        self.is_live.set(false);
        if let Some(query) = self.cut() {
            self.was_cancelled.set(true);
            self.remember(Entry { query, at_ms: js_sys::Date::now(), outcome: "cancelled".to_owned() });
        }
    }

    /// Ends the run that is under way; its query, if there was one.
    fn cut(self) -> Option<String> {
        let run = self.run.try_update_value(Option::take).flatten();
        self.generation.update_value(|generation| *generation = generation.wrapping_add(1));
        self.is_running.set(false);
        run.map(|run| {
            run.abort.abort();
            run.query
        })
    }

    fn remember(self, entry: Entry) {
        self.history.update(|history| history.add(entry));
        self.keep_history();
    }

    /// Keeps the history for the next visit; a browser that keeps nothing goes on without.
    pub(super) fn keep_history(self) {
        if let Ok(Some(kept)) = window().local_storage() {
            let text = self.history.with_untracked(History::text);
            drop(kept.set_item(HISTORY_KEY, &text));
        }
    }

    /// What is said of the run and its answer.
    pub(super) fn sentence(self) -> String {
        self.number.track();
        let has_answer = self.number.get() != 0;
        let summary = || self.with(query::summary);
        let is_live = self.is_live.get();
        match (self.is_running.get() && !is_live, self.was_cancelled.get()) {
            (true, _) => "Running.".to_owned(),
            (_, true) => "Cancelled.".to_owned(),
            _ if self.wrong.with(Option::is_some) || !has_answer => String::new(),
            _ => summary(),
        }
    }
}

/// Whether asking again may help.
fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable => true,
        Failure::Refused(problem) => matches!(problem.status, 429 | 503),
        Failure::Unreadable(_) => false,
    }
}
