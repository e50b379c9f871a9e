//! The query that is written, the one that runs, and the last answer. They live as long as the tab: who comes back to
//! the page finds everything as it was.
//!
//! Invariants:
//! 1. One query runs at most. A new one ends the one before, and ending one ends it on the server: the request is cut.
//! 2. An answer is shown while it comes. That of a live query is shown when it is whole, so that nothing flickers.
//! 3. An answer is never taken for that of another query: one that stays while another query runs, was cancelled or
//!    failed is [`Desk::is_old`], and nothing can be made of it.

use std::cell::OnceCell;

use leptos::prelude::*;
use web_sys::AbortController;
use weir_api::{CONTENT_TYPE_ROWS, Problem, SqlRequest};

use crate::chart::plotted::Axes;
use crate::page::shell::{Live, Route};
use crate::protocol::body;
use crate::protocol::http::Failure;
use crate::protocol::time;
use crate::view::grid::answer::{Answer, Ended};
use crate::view::grid::sort::Sort;
use crate::view::history::{Entry, History};
use crate::view::number::span;
use crate::view::query;
use crate::view::sql_look::Look;

const HISTORY_KEY: &str = "weir-queries";
/// Nobody looks on for longer, and whoever has gone meanwhile is not there to cancel; `weir sql` allows more.
const TIMEOUT_MS: i64 = 60_000;
/// A run that takes longer leaves nothing in sight that could be taken for its outcome; a shorter one changes what is there
/// in one step.
const SLOW: std::time::Duration = std::time::Duration::from_millis(300);

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

/// What is shown.
#[derive(Default)]
struct Shown {
    answer: Answer,
    /// The query that it is of.
    query: String,
    /// When that was run, milliseconds since 1970.
    at_ms: f64,
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
    /// The run has taken longer than [`SLOW`].
    is_slow: RwSignal<bool>,
    /// The query that was run last; not by itself.
    asked: RwSignal<String>,
    /// How the answer that is awaited is to be looked at, as the address had it.
    pub(super) awaited: RwSignal<Option<Look>>,
    /// Said in the place of what is said of the answer.
    note: RwSignal<Option<String>>,
    /// The answer that is shown.
    answer: StoredValue<Shown, LocalStorage>,
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
            is_slow: RwSignal::new(false),
            asked: RwSignal::new(String::new()),
            awaited: RwSignal::new(None),
            note: RwSignal::new(None),
            answer: StoredValue::new_local(Shown::default()),
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
        self.answer.with_value(|shown| read(&shown.answer))
    }

    /// The query that the answer is of.
    pub(super) fn answered(self) -> String {
        self.number.track();
        self.answer.with_value(|shown| shown.query.clone())
    }

    /// When the answer's query was run, milliseconds since 1970.
    pub(super) fn answered_at_ms(self) -> f64 {
        self.answer.with_value(|shown| shown.at_ms)
    }

    /// The query that was run last, whatever became of it.
    pub(super) fn asked(self) -> String {
        self.asked.get()
    }

    /// Whether the answer is that of another query than the one that was run last.
    pub(super) fn is_old(self) -> bool {
        self.number.get() != 0
            && self.asked.with(|asked| self.answer.with_value(|shown| shown.query != *asked))
    }

    /// Whether that is to be seen: not while an answer may come within a moment.
    pub(super) fn looks_old(self) -> bool {
        self.is_old() && (!self.is_running.get() || self.is_slow.get())
    }

    /// Goes back from what was run last to the query of the answer.
    pub(super) fn return_to_answer(self, route: Route) {
        self.cancel();
        let query = self.answer.with_value(|shown| shown.query.clone());
        self.text.set(query.clone());
        self.asked.set(query.clone());
        self.note.set(None);
        route.go(|address| address.query = Some(query));
    }

    /// Whether a query is the last that was run, whatever became of it.
    pub(super) fn has_run(self, query: &str) -> bool {
        self.asked.with_untracked(|asked| asked == query)
    }

    /// Whether the answer to a query is there, with no need to run it.
    pub(super) fn has_answer(self, query: &str) -> bool {
        self.number.get_untracked() != 0 && self.answer.with_value(|shown| shown.query == query)
    }

    /// The number of the answer, for keys of its rows; 0: there is none.
    pub(super) fn number(self) -> u64 {
        self.number.get()
    }

    /// Runs the query that is written, and names it in the address.
    pub(super) fn start(self, route: Route) {
        let query = self.text.get_untracked();
        if query.trim().is_empty() {
            self.cancel();
            self.note.set(Some("Nothing to run: write a query first.".to_owned()));
            return;
        }
        self.asked.set(query.clone());
        self.awaited.set(None);
        route.go(|address| address.query = Some(query.clone()));
        self.is_live.set(false);
        self.begin(query, false);
    }

    /// Runs the query of the address; its answer is to look as that says.
    pub(super) fn open(self, query: String, look: Look) {
        self.text.set(query.clone());
        self.asked.set(query.clone());
        self.awaited.set(Some(look));
        self.is_live.set(false);
        self.begin(query, false);
    }

    /// How the answer is looked at; `None` while one is awaited of which the address knows more.
    pub(super) fn look(self) -> Option<Look> {
        let has_answer = self.number() != 0;
        let order = self.sort.get().filter(|_| has_answer).and_then(|sort| {
            let name = self.with(|answer| Some(answer.columns().get(sort.column)?.name.clone()))?;
            Some((name, sort.is_descending))
        });
        let axes = self.axes.get();
        let drawn = self.is_drawn.get().then(|| axes.map(|axes| axes.drawn()).unwrap_or_default());
        let look = Look { drawn, order, is_live: self.is_live.get() };
        self.awaited.with(Option::is_none).then_some(look)
    }

    /// Has the answer look as the address says.
    fn look_as_awaited(self) {
        if let Some(look) = self.awaited.get_untracked() {
            self.sort.set(self.answer.with_value(|shown| look.sort(shown.answer.columns())));
            self.is_drawn.set(look.drawn.is_some());
            self.axes.set(look.drawn.and_then(Axes::read));
        }
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
        let is_due = self.answer.with_value(|shown| query::is_due(shown.answer.epochs(), newest, since));
        if is_due {
            let query = self.answer.with_value(|shown| shown.query.clone());
            self.begin(query, true);
        }
    }

    fn begin(self, query: String, is_live: bool) {
        if let Some(run) = self.cut().filter(|run| run.query != query) {
            self.remember_ended(run, "left for another query");
        }
        let Ok(abort) = AbortController::new() else { return };
        let signal = abort.signal();
        let generation = self.generation.try_update_value(|generation| {
            *generation = generation.wrapping_add(1);
            *generation
        });
        self.note.set(None);
        self.is_slow.set(false);
        self.started_ms.set_value(js_sys::Date::now());
        self.run.set_value(Some(Run {
            abort,
            query: query.clone(),
            is_live,
            answer: Answer::default(),
            is_shown: false,
        }));
        self.is_running.set(true);
        let slow = move || {
            if generation == Some(self.generation.get_value()) && self.is_running.get_untracked() {
                self.is_slow.set(true);
                self.wrong.set(None);
            }
        };
        if !is_live {
            set_timeout(slow, SLOW);
        }
        js_sys::futures::spawn_local(async move {
            let request = SqlRequest { query, timeout: Some(time::duration_text(TIMEOUT_MS)) };
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
                true => self.answer.try_update_value(|shown| push(&mut shown.answer))?,
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
            self.answer.set_value(Shown {
                answer: std::mem::take(&mut run.answer),
                query: run.query.clone(),
                at_ms: self.started_ms.get_value(),
            });
        });
        if self.run.with_value(|run| run.as_ref().is_some_and(|run| !run.is_live)) {
            self.sort.set(None);
            self.look_as_awaited();
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
                self.answer.update_value(|shown| shown.answer.trim());
                self.frame.update(|frame| *frame += 1);
                let is_broken = self.with(|answer| *answer.ended() == Ended::NotYet);
                if is_broken {
                    self.wrong.set(Some(Wrong { failure: Failure::Unreachable, query: query.clone() }));
                }
                self.answer.with_value(|shown| query::summary(&shown.answer))
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
        let has_failed = self.wrong.with_untracked(Option::is_some);
        if let Some(look) = self.awaited.get_untracked().filter(|_| !has_failed) {
            self.is_live.set(look.is_live);
            self.awaited.set(None);
        }
        if !is_live {
            self.remember(Entry { query, at_ms: now_ms, outcome });
        }
    }

    /// Ends the run, on the server too. What has come of it stays.
    pub(super) fn cancel(self) {
        self.is_live.set(false);
        self.wrong.set(None);
        if let Some(run) = self.cut() {
            let sentence = match run.is_shown {
                true => self.answer.with_value(|shown| query::cancelled(Some(&shown.answer))),
                false => query::cancelled(None),
            };
            self.note.set(Some(sentence));
            self.remember_ended(run, "cancelled");
        }
    }

    /// Ends the run, if there is one.
    fn cut(self) -> Option<Run> {
        let run = self.run.try_update_value(Option::take).flatten();
        self.generation.update_value(|generation| *generation = generation.wrapping_add(1));
        self.is_running.set(false);
        run.inspect(|run| run.abort.abort())
    }

    /// Keeps a run that did not come to its end.
    fn remember_ended(self, run: Run, how: &str) {
        if !run.is_live {
            let after = span(js_sys::Date::now() - self.started_ms.get_value());
            self.remember(Entry {
                query: run.query,
                at_ms: js_sys::Date::now(),
                outcome: format!("{how} after {after}"),
            });
        }
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

    /// What is said of the run and its answer. Changes once a second while a query runs.
    pub(super) fn sentence(self, live: Live) -> String {
        self.number.track();
        let has_answer = self.number.get() != 0;
        match (self.is_running.get() && !self.is_live.get(), self.note.get()) {
            (true, _) => {
                live.now_ms();
                query::running(js_sys::Date::now() - self.started_ms.get_value(), TIMEOUT_MS as f64)
            }
            (_, Some(note)) => note,
            _ if self.wrong.with(Option::is_some) || !has_answer => String::new(),
            _ => self.with(query::summary),
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
