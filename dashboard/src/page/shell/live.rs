//! What the page knows of the server, behind every component: from this tab's connection, or from the tab's that leads.
//!
//! ```text
//! Live ─┬─ link  the connection, where this tab leads ──► frames ─┬─► store ──► components, once per frame
//!       └─ tabs  the other tabs of this browser ◄─────────────────┘
//! ```
//!
//! Invariants:
//! 1. Components read; only this folder folds. A component that read [`Live::track`] runs again once per frame in which
//!    something was folded: all of a screen step together.
//! 2. A hidden tab folds and does not paint: browsers run no frames for it.
//! 3. What an old connection still delivers is ignored: each has a number, and only the newest counts.
//! 4. One tab of a browser has a connection; a tab that hears of none takes its place.

use std::cell::RefCell;
use std::time::Duration;

use leptos::prelude::*;
use send_wrapper::SendWrapper;
use web_sys::AbortController;
use weir_api::{DashboardEntry, DashboardList, PipelinesResponse};

use super::tabs::Tabs;
use crate::protocol::Wanted;
use crate::protocol::connection::{Connection, Health};
use crate::protocol::http;
use crate::protocol::tabs::{Link, Message};
use crate::store::Store;
use crate::store::share::{Hub, Seat};
use crate::view::health::HealthView;

/// How often connection and clock are looked at; the two-second promise is kept to this accuracy.
const STEP: Duration = Duration::from_millis(200);
/// A tab that takes over hears for so long what the others want, so as not to open a stream for each.
const GATHER_MS: f64 = 60.0;
/// An answer of the tab that leads that has not come for so long is asked for again.
const ASK_AGAIN_MS: f64 = 1_000.0;
/// What nobody wants any more stays in the stream for so long: who leaves a page may come back.
const TIDY_MS: f64 = 10_000.0;

/// Whether there is a list of pipelines to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::page) enum ListState {
    Loading,
    Ready,
    Failed(String),
}

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) seat: Seat,
    /// There where this tab leads.
    pub(super) hub: Option<Hub>,
    tabs: Option<Tabs>,
    /// There was no room for this tab in the other's stream: until it leads it has one of its own and hears nobody.
    is_apart: bool,
    /// The other tabs know that this one lives.
    is_seated: bool,
    asked_ms: f64,
    tidied_ms: f64,
    /// Of this tab's connection, or what the tab that leads says of its own.
    pub(super) connection: Connection,
    pub(super) abort: Option<AbortController>,
    /// There is something to connect for.
    pub(super) is_wanted: bool,
    /// The number of the newest connection.
    pub(super) generation: u32,
    /// The server's clock minus the browser's.
    pub(super) clock_offset_ms: f64,
    frame_is_due: bool,
    list_is_asked_for: bool,
}

/// A handle; copies are the same connection.
#[derive(Clone, Copy)]
pub(in crate::page) struct Live {
    /// As long as the page: no signal, since what changes here says so by `frame`.
    inner: &'static SendWrapper<RefCell<Inner>>,
    frame: RwSignal<u64>,
    health: RwSignal<HealthView>,
    now_ms: RwSignal<f64>,
    list: RwSignal<ListState>,
    project: RwSignal<Option<String>>,
    dashboards: RwSignal<Option<Vec<DashboardEntry>>>,
    is_editable: RwSignal<bool>,
}

impl Live {
    /// Starts, for as long as the page lives; it connects with the first [`Live::want`].
    pub(super) fn start() -> Self {
        let tab = format!("{:x}", (js_sys::Math::random() * 2_f64.powi(52)) as u64);
        let inner = Inner {
            store: Store::default(),
            seat: Seat::new(tab.clone()),
            hub: None,
            tabs: None,
            is_apart: false,
            is_seated: false,
            asked_ms: f64::NEG_INFINITY,
            tidied_ms: 0.0,
            connection: Connection::default(),
            abort: None,
            is_wanted: false,
            generation: 0,
            clock_offset_ms: 0.0,
            frame_is_due: false,
            list_is_asked_for: false,
        };
        let live = Self {
            inner: Box::leak(Box::new(SendWrapper::new(RefCell::new(inner)))),
            frame: RwSignal::new(0),
            health: RwSignal::new(HealthView::from(Health::Connecting)),
            now_ms: RwSignal::new(js_sys::Date::now()),
            list: RwSignal::new(ListState::Loading),
            project: RwSignal::new(None),
            dashboards: RwSignal::new(None),
            is_editable: RwSignal::new(false),
        };
        match Tabs::find(move |message| live.hear(message)) {
            Some(tabs) => {
                tabs.live(&tab, move || live.sit_down());
                live.update(|inner| inner.tabs = Some(tabs));
            }
            None => live.lead(),
        }
        set_interval(move || live.step(), STEP);
        window_event_listener_untyped("online", move |_| live.retry());
        // A tab that goes away says nothing more: its connection is not broken, and the next tab has one at once.
        window_event_listener_untyped("pagehide", move |_| {
            live.update(|inner| {
                inner.cut();
                inner.connection.restart(performance_ms());
            });
        });
        window_event_listener_untyped("visibilitychange", move |_| {
            if !document().hidden() {
                live.retry();
            }
        });
        live.fetch_list();
        live
    }

    /// Asks at once, not after the rest of the pause: something may have changed.
    pub(super) fn retry(self) {
        self.update(|inner| inner.connection.retry_now());
        self.step();
    }

    /// The other tabs can see that this one lives: it may speak to them, and wait for its turn to lead.
    fn sit_down(self) {
        self.update(|inner| {
            inner.is_seated = true;
            if let Some(tabs) = &inner.tabs {
                tabs.lead(move || self.lead());
            }
            inner.ask();
        });
    }

    /// From now on this tab has the connection.
    fn lead(self) {
        self.update(|inner| {
            inner.is_apart = false;
            inner.hub = Some(Hub::new(inner.seat.tab(), &inner.store));
            let now_ms = performance_ms();
            let was_told = inner.connection.has_heard();
            inner.connection.restart(if was_told { now_ms + GATHER_MS } else { now_ms });
            inner.post(Message::Lead);
        });
        self.step();
    }

    /// Takes what another tab says.
    fn hear(self, message: Message) {
        if self.update(|inner| inner.is_apart) {
            return;
        }
        let is_folded = matches!(message, Message::Frame { .. } | Message::State { .. });
        let was_open = self.update(|inner| inner.connection.is_open());
        let tab = match &message {
            Message::Want { tab, .. } => Some(tab.clone()),
            _ => None,
        };
        let is_new = self.update(|inner| {
            let is_new =
                tab.as_ref().is_some_and(|tab| inner.hub.as_ref().is_some_and(|hub| !hub.knows(tab)));
            inner.hear(message);
            is_new
        });
        if let Some(tab) = tab.filter(|_| is_new) {
            self.await_end(&tab);
        }
        if is_folded {
            self.folded();
        } else {
            self.drive();
        }
        if !was_open && self.update(|inner| inner.connection.is_open()) {
            self.fetch_list();
            self.look();
        }
    }

    /// Makes the caller run again when something was folded.
    pub(in crate::page) fn track(self) {
        self.frame.track();
    }

    /// Reads the store, and runs again when it changed.
    pub(in crate::page) fn read<T>(self, read: impl FnOnce(&Store) -> T) -> T {
        self.track();
        read(&self.inner.borrow().store)
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

    /// Whether the server writes the files of dashboards.
    pub(in crate::page) fn is_editable(self) -> bool {
        self.is_editable.get()
    }

    /// Leaves out what another tab wants once that is gone.
    fn await_end(self, tab: &str) {
        let gone = tab.to_owned();
        let forget = move || {
            self.update(|inner| inner.hub.iter_mut().for_each(|hub| hub.gone(&gone)));
        };
        self.update(|inner| {
            if let Some(tabs) = &inner.tabs {
                tabs.await_end(tab, forget);
            }
        });
    }

    /// Sets what the stream carries for this tab.
    pub(in crate::page) fn want(self, wanted: Wanted) {
        let changed = self.update(|inner| {
            let changed = inner.store.want(wanted) || !inner.is_wanted;
            inner.is_wanted = true;
            if changed {
                inner.ask();
            }
            changed
        });
        if changed {
            self.step();
            self.request_frame();
        }
    }

    /// Changes what is behind the page; `change` calls nothing that does so, too.
    pub(super) fn update<T>(self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.inner.borrow_mut())
    }

    fn step(self) {
        self.update(Inner::step);
        self.drive();
        self.look();
    }

    /// Something was folded.
    pub(super) fn folded(self) {
        self.request_frame();
        if self.update(|inner| inner.store.take_list_outdated()) {
            self.fetch_list();
        }
    }

    /// Shows what the connection and the clock are; a hidden tab has nothing to show.
    pub(super) fn look(self) {
        if document().hidden() {
            return;
        }
        let health = self.update(|inner| HealthView::from(inner.connection.health(performance_ms())));
        if self.health.with_untracked(|shown| *shown != health) {
            self.health.set(health);
        }
        let now_ms = js_sys::Date::now() + self.update(|inner| inner.clock_offset_ms);
        if 1_000.0 <= (now_ms - self.now_ms.get_untracked()).abs() {
            self.now_ms.set(now_ms);
        }
    }

    /// Bumps the frame once in the next animation frame, however often it is asked for.
    fn request_frame(self) {
        let was_due = self.update(|inner| std::mem::replace(&mut inner.frame_is_due, true));
        if !was_due {
            request_animation_frame(move || {
                self.update(|inner| inner.frame_is_due = false);
                self.frame.update(|frame| *frame += 1);
            });
        }
    }

    /// Asks for the list of pipelines, unless it is being asked for.
    pub(super) fn fetch_list(self) {
        let was_asked_for = self.update(|inner| std::mem::replace(&mut inner.list_is_asked_for, true));
        if was_asked_for {
            return;
        }
        js_sys::futures::spawn_local(async move {
            let answer = http::get::<PipelinesResponse>("/api/v1/pipelines").await;
            self.update(|inner| inner.list_is_asked_for = false);
            match answer {
                Ok(answer) => {
                    self.update(|inner| {
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
            // They change with the server's start, after which the list is asked for too, or from a page: this one then shows it.
            if let Ok(list) = http::get::<DashboardList>("/api/v1/dashboards").await {
                self.dashboards.set(Some(list.dashboards));
                self.is_editable.set(list.editable);
            }
        });
    }
}

impl Inner {
    /// Says something to the other tabs.
    pub(super) fn post(&self, message: Message) {
        if let Some(tabs) = self.tabs.as_ref().filter(|_| self.is_seated && !self.is_apart) {
            tabs.post(message);
        }
    }

    /// Says what this tab wants to the one that leads, which may be this one.
    fn ask(&mut self) {
        self.asked_ms = performance_ms();
        let want = self.seat.want(&self.store);
        if self.hub.is_some() { self.hear(want) } else { self.post(want) }
    }

    /// Takes what a tab says, perhaps this one.
    pub(super) fn hear(&mut self, message: Message) {
        let now_ms = performance_ms();
        let Some(hub) = &mut self.hub else {
            match &message {
                Message::Frame { .. } => self.connection.heard(now_ms),
                Message::Link(link) => self.hear_of(link),
                Message::Lead => self.connection.restart(now_ms),
                Message::Full { tab } if tab == self.seat.tab() => self.go_apart(),
                _ => {}
            }
            if let Some(answer) = self.seat.take(&mut self.store, &message) {
                self.post(answer);
            }
            return;
        };
        // Others that lead have done so before: what they still say comes too late.
        let Message::Want { tab, ask, wanted, after } = message else { return };
        let (is_new, without_room) = hub.want(&tab, wanted);
        if is_new {
            self.cut();
            self.connection.restart(now_ms);
        }
        without_room.into_iter().for_each(|tab| self.post(Message::Full { tab }));
        let answer = self.hub.as_ref().and_then(|hub| hub.answer(&tab, ask, after.as_deref()));
        if tab == self.seat.tab() {
            answer.iter().for_each(|answer| drop(self.seat.take(&mut self.store, answer)));
        } else {
            self.post(self.link());
            answer.into_iter().for_each(|answer| self.post(answer));
        }
    }

    /// Has a connection of its own from now on.
    fn go_apart(&mut self) {
        self.is_apart = true;
        self.hub = Some(Hub::new(self.seat.tab(), &self.store));
        self.connection.restart(performance_ms());
    }

    /// Takes what the tab that leads says of its connection.
    fn hear_of(&mut self, link: &Link) {
        let now_ms = performance_ms();
        match link {
            Link::Open { clock_offset_ms } => {
                self.clock_offset_ms = *clock_offset_ms as f64;
                if !self.connection.is_open() {
                    self.connection.opened(now_ms);
                }
            }
            Link::Heard => self.connection.heard(now_ms),
            Link::Failed { reason, is_not_permitted: true } => {
                self.connection.not_permitted(now_ms, 1.0, reason.clone());
            }
            Link::Failed { reason, .. } => self.connection.failed(now_ms, 1.0, reason.clone()),
        }
    }

    /// What has to be done again after a while, besides the connection.
    fn step(&mut self) {
        let now_ms = performance_ms();
        let is_due = ASK_AGAIN_MS <= now_ms - self.asked_ms;
        if let Some(hub) = &mut self.hub {
            if TIDY_MS <= now_ms - self.tidied_ms {
                self.tidied_ms = now_ms;
                if hub.tidy() {
                    self.cut();
                    self.connection.restart(now_ms);
                }
            }
        } else if is_due && self.is_seated && self.seat.waits() {
            self.ask();
        } else if is_due
            && self.is_seated
            && !document().hidden()
            && self.connection.health(now_ms) != Health::Live
        {
            self.asked_ms = now_ms;
            self.post(Message::Poke);
        }
    }
}

/// A clock that never goes back.
pub(super) fn performance_ms() -> f64 {
    window().performance().map_or_else(js_sys::Date::now, |performance| performance.now())
}
