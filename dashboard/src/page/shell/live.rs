//! The one live connection and the store behind every component.
//!
//! Invariants:
//! 1. Components read; only this file folds. A component that read [`Live::track`] runs again once per frame in which
//!    something was folded: all of a screen step together.
//! 2. A hidden tab folds and does not paint: browsers run no frames for it.
//! 3. What an old connection still delivers is ignored: each has a number, and only the newest counts.

use std::time::Duration;

use leptos::prelude::*;
use web_sys::AbortController;
use weir_api::{DashboardEntry, DashboardList, Event, PipelinesResponse};

use crate::protocol::connection::{Action, Connection, Health};
use crate::protocol::http::{self, Failure};
use crate::protocol::sse::{Frame, Parser};
use crate::protocol::{Wanted, stream};
use crate::store::Store;
use crate::view::health::HealthView;

/// How often connection and clock are looked at; the two-second promise is kept to this accuracy.
const STEP: Duration = Duration::from_millis(200);
/// A server's clock that differs by less is taken to be the browser's: its date header has whole seconds.
const CLOCK_TOLERANCE_MS: f64 = 2_000.0;

/// Whether there is a list of pipelines to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::page) enum ListState {
    Loading,
    Ready,
    Failed(String),
}

struct Inner {
    store: Store,
    connection: Connection,
    abort: Option<AbortController>,
    /// There is something to connect for.
    is_wanted: bool,
    /// The number of the newest connection.
    generation: u32,
    /// The server's clock minus the browser's.
    clock_offset_ms: f64,
    frame_is_due: bool,
    list_is_asked_for: bool,
}

/// A handle; copies are the same connection.
#[derive(Clone, Copy)]
pub(in crate::page) struct Live {
    inner: StoredValue<Inner, LocalStorage>,
    frame: RwSignal<u64>,
    health: RwSignal<HealthView>,
    now_ms: RwSignal<f64>,
    list: RwSignal<ListState>,
    project: RwSignal<Option<String>>,
    dashboards: RwSignal<Option<Vec<DashboardEntry>>>,
}

impl Live {
    /// Starts, for as long as the page lives; it connects with the first [`Live::want`].
    pub(super) fn start() -> Self {
        let inner = Inner {
            store: Store::default(),
            connection: Connection::default(),
            abort: None,
            is_wanted: false,
            generation: 0,
            clock_offset_ms: 0.0,
            frame_is_due: false,
            list_is_asked_for: false,
        };
        let live = Self {
            inner: StoredValue::new_local(inner),
            frame: RwSignal::new(0),
            health: RwSignal::new(HealthView::from(Health::Connecting)),
            now_ms: RwSignal::new(js_sys::Date::now()),
            list: RwSignal::new(ListState::Loading),
            project: RwSignal::new(None),
            dashboards: RwSignal::new(None),
        };
        set_interval(move || live.step(), STEP);
        let retry = move || {
            live.inner.update_value(|inner| inner.connection.retry_now());
            live.step();
        };
        window_event_listener_untyped("online", move |_| retry());
        window_event_listener_untyped("visibilitychange", move |_| {
            if !document().hidden() {
                retry();
            }
        });
        live.fetch_list();
        live
    }

    /// Makes the caller run again when something was folded.
    pub(in crate::page) fn track(self) {
        self.frame.track();
    }

    /// Reads the store, and runs again when it changed.
    pub(in crate::page) fn read<T>(self, read: impl FnOnce(&Store) -> T) -> T {
        self.track();
        self.inner.with_value(|inner| read(&inner.store))
    }

    pub(in crate::page) fn health(self) -> HealthView {
        self.health.get()
    }

    /// The server's clock in milliseconds since 1970, to the second.
    pub(in crate::page) fn now_ms(self) -> f64 {
        self.now_ms.get()
    }

    pub(in crate::page) fn list(self) -> ListState {
        self.list.get()
    }

    pub(in crate::page) fn project(self) -> Option<String> {
        self.project.get()
    }

    /// The project's dashboards, by name; `None` until the server has said them.
    pub(in crate::page) fn dashboards(self) -> Option<Vec<DashboardEntry>> {
        self.dashboards.get()
    }

    /// Sets what the stream carries.
    pub(in crate::page) fn want(self, wanted: Wanted) {
        let changed = self.inner.try_update_value(|inner| {
            let changed = inner.store.want(wanted) || !inner.is_wanted;
            inner.is_wanted = true;
            if changed {
                inner.cut();
                inner.connection.restart();
            }
            changed
        });
        if changed == Some(true) {
            self.step();
            self.request_frame();
        }
    }

    fn step(self) {
        let now_ms = performance_ms();
        let jitter = js_sys::Math::random();
        let action = self.inner.try_update_value(|inner| {
            if !inner.is_wanted {
                return Action::Nothing;
            }
            let action = inner.connection.step(now_ms, jitter);
            if action == Action::Drop {
                inner.cut();
            }
            action
        });
        if action == Some(Action::Connect) {
            self.connect();
        }
        self.look();
    }

    /// Shows what the connection and the clock are; a hidden tab has nothing to show.
    fn look(self) {
        if document().hidden() {
            return;
        }
        let health =
            self.inner.with_value(|inner| HealthView::from(inner.connection.health(performance_ms())));
        if self.health.with_untracked(|shown| *shown != health) {
            self.health.set(health);
        }
        let now_ms = js_sys::Date::now() + self.inner.with_value(|inner| inner.clock_offset_ms);
        if 1_000.0 <= (now_ms - self.now_ms.get_untracked()).abs() {
            self.now_ms.set(now_ms);
        }
    }

    fn connect(self) {
        let Ok(abort) = AbortController::new() else { return };
        let signal = abort.signal();
        let opened = self.inner.try_update_value(|inner| {
            inner.cut();
            inner.abort = Some(abort);
            (inner.generation, inner.store.wanted().path(inner.store.last_id()))
        });
        let Some((generation, path)) = opened else { return };
        js_sys::futures::spawn_local(async move {
            let mut parser = Parser::default();
            let mut frames = Vec::new();
            let on_open = |date_ms| self.opened(generation, date_ms);
            let on_bytes = |bytes: &[u8]| self.take(generation, bytes, &mut parser, &mut frames);
            if let Err(failure) = stream::read(&path, &signal, on_open, on_bytes).await {
                self.ended(generation, &failure);
            }
        });
    }

    fn opened(self, generation: u32, date_ms: Option<f64>) {
        self.inner.update_value(|inner| {
            if inner.generation == generation {
                inner.connection.opened(performance_ms());
                let offset_ms = date_ms.map_or(0.0, |date_ms| date_ms - js_sys::Date::now());
                let is_ours = offset_ms.abs() < CLOCK_TOLERANCE_MS;
                inner.clock_offset_ms = if is_ours { 0.0 } else { offset_ms };
            }
        });
        self.fetch_list();
        self.look();
    }

    fn take(
        self,
        generation: u32,
        bytes: &[u8],
        parser: &mut Parser,
        frames: &mut Vec<Frame>,
    ) -> Result<(), String> {
        parser.push(bytes, frames).map_err(|error| format!("the stream is broken: {error:?}"))?;
        let folded = self.inner.try_update_value(|inner| inner.take(generation, frames));
        folded.unwrap_or(Ok(()))?;
        self.request_frame();
        if self.inner.try_update_value(|inner| inner.store.take_list_outdated()) == Some(true) {
            self.fetch_list();
        }
        Ok(())
    }

    fn ended(self, generation: u32, failure: &Failure) {
        self.inner.update_value(|inner| {
            if inner.generation == generation {
                inner.cut();
                // A server that refuses may do so because of the id.
                if matches!(failure, Failure::Refused(_)) {
                    inner.store.forget_id();
                }
                inner.connection.failed(performance_ms(), js_sys::Math::random(), failure.sentence());
            }
        });
        self.look();
    }

    /// Bumps the frame once in the next animation frame, however often it is asked for.
    fn request_frame(self) {
        let was_due = self.inner.try_update_value(|inner| std::mem::replace(&mut inner.frame_is_due, true));
        if was_due == Some(false) {
            request_animation_frame(move || {
                self.inner.update_value(|inner| inner.frame_is_due = false);
                self.frame.update(|frame| *frame += 1);
            });
        }
    }

    /// Asks for the list of pipelines, unless it is being asked for.
    fn fetch_list(self) {
        let was_asked_for =
            self.inner.try_update_value(|inner| std::mem::replace(&mut inner.list_is_asked_for, true));
        if was_asked_for != Some(false) {
            return;
        }
        js_sys::futures::spawn_local(async move {
            let answer = http::get::<PipelinesResponse>("/api/v1/pipelines").await;
            self.inner.update_value(|inner| inner.list_is_asked_for = false);
            match answer {
                Ok(answer) => {
                    self.inner.update_value(|inner| {
                        inner.connection.expect_status(!answer.pipelines.is_empty());
                        inner.store.set_pipelines(answer.pipelines);
                    });
                    self.project.set(answer.project);
                    self.list.set(ListState::Ready);
                    self.request_frame();
                }
                // An old list is better than none, and the header says that it is old.
                Err(failure) if self.list.get_untracked() != ListState::Ready => {
                    self.list.set(ListState::Failed(failure.sentence()));
                }
                Err(_) => {}
            }
            // They change with the server's start only, after which the list is asked for too.
            if let Ok(list) = http::get::<DashboardList>("/api/v1/dashboards").await {
                self.dashboards.set(Some(list.dashboards));
            }
        });
    }
}

impl Inner {
    /// Ends the present connection, if there is one, and takes the next number.
    fn cut(&mut self) {
        if let Some(abort) = self.abort.take() {
            abort.abort();
        }
        self.generation = self.generation.wrapping_add(1);
    }

    /// Folds what a connection delivered, and forgets the id where something does not fit.
    fn take(&mut self, generation: u32, frames: &mut Vec<Frame>) -> Result<(), String> {
        if self.generation != generation {
            return Ok(());
        }
        self.connection.heard(performance_ms());
        let folded = frames.drain(..).try_for_each(|frame| self.fold(&frame));
        if folded.is_err() {
            self.store.forget_id();
        }
        folded
    }

    fn fold(&mut self, frame: &Frame) -> Result<(), String> {
        let event = Event::parse(&frame.name, &frame.data).map_err(|error| error.to_string())?;
        self.store.fold(&frame.id, event).map_err(|error| error.to_string())
    }
}

/// A clock that never goes back.
fn performance_ms() -> f64 {
    window().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}
