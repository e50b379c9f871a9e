//! The connection of the tab that leads: it is made, read, cut and made again here, and what it brings goes to all tabs.

use web_sys::AbortController;

use super::live::{Inner, Live, performance_ms};
use crate::protocol::connection::{Action, Way};
use crate::protocol::http::Failure;
use crate::protocol::sse::{Frame, Parser};
use crate::protocol::tabs::{Link, Message};
use crate::protocol::{poll, stream};
use crate::store::share::Hub;

/// A server's clock that differs by less is taken to be the browser's: its date header has whole seconds.
const CLOCK_TOLERANCE_MS: f64 = 2_000.0;

impl Live {
    /// Looks after the connection, if this tab leads.
    pub(super) fn drive(self) {
        let now_ms = performance_ms();
        let jitter = js_sys::Math::random();
        let action = self.update(|inner| {
            if inner.hub.is_none() || !inner.is_wanted {
                return Action::Nothing;
            }
            let action = inner.connection.step(now_ms, jitter);
            if action == Action::Drop {
                inner.cut();
                inner.post(inner.link());
            }
            action
        });
        if action == Action::Connect {
            self.connect();
        }
    }

    fn connect(self) {
        let Ok(abort) = AbortController::new() else { return };
        let signal = abort.signal();
        let opened = self.update(|inner| {
            inner.cut();
            inner.abort = Some(abort);
            let store = inner.hub.as_ref()?.store();
            let after = store.last_id().map(str::to_owned);
            Some((inner.generation, inner.connection.way(), store.wanted().clone(), after))
        });
        let Some((generation, way, wanted, after)) = opened else { return };
        js_sys::futures::spawn_local(async move {
            let on_open = |date_ms| self.opened(generation, date_ms);
            let ended = match way {
                Way::Stream => {
                    let mut parser = Parser::default();
                    let on_bytes = |bytes: &[u8]| {
                        let mut frames = Vec::new();
                        let broken = |error| format!("the stream is broken: {error:?}");
                        parser.push(bytes, &mut frames).map_err(broken)?;
                        self.take(generation, frames)
                    };
                    stream::read(&wanted.path(after.as_deref()), &signal, on_open, on_bytes).await
                }
                Way::Poll => {
                    let on_frames = |frames| self.take(generation, frames);
                    poll::ask(&wanted, after, &signal, on_open, on_frames).await
                }
            };
            if let Err(failure) = ended {
                self.ended(generation, &failure);
            }
        });
    }

    fn opened(self, generation: u32, date_ms: Option<f64>) {
        let is_ours = self.update(|inner| {
            let is_ours = inner.generation == generation;
            if is_ours {
                inner.connection.opened(performance_ms());
                let offset_ms = date_ms.map_or(0.0, |date_ms| date_ms - js_sys::Date::now());
                inner.clock_offset_ms = if offset_ms.abs() < CLOCK_TOLERANCE_MS { 0.0 } else { offset_ms };
                inner.post(inner.link());
            }
            is_ours
        });
        if is_ours {
            self.fetch_list();
            self.look();
        }
    }

    fn take(self, generation: u32, frames: Vec<Frame>) -> Result<(), String> {
        self.update(|inner| inner.take(generation, frames))?;
        self.folded();
        Ok(())
    }

    fn ended(self, generation: u32, failure: &Failure) {
        self.update(|inner| {
            if inner.generation != generation {
                return;
            }
            inner.cut();
            // A server that refuses may do so because of the id.
            if matches!(failure, Failure::Refused(_))
                && let Some(hub) = &mut inner.hub
            {
                hub.forget_id();
            }
            let (now_ms, jitter, reason) = (performance_ms(), js_sys::Math::random(), failure.sentence());
            if failure.is_not_permitted() {
                inner.connection.not_permitted(now_ms, jitter, reason);
            } else {
                inner.connection.failed(now_ms, jitter, reason);
            }
            inner.post(inner.link());
        });
        self.look();
    }
}

impl Inner {
    /// Ends the present connection, if there is one, and takes the next number.
    pub(super) fn cut(&mut self) {
        if let Some(abort) = self.abort.take() {
            abort.abort();
        }
        self.generation = self.generation.wrapping_add(1);
    }

    /// How the connection is, for the other tabs.
    pub(super) fn link(&self) -> Message {
        Message::Link(if self.connection.is_open() {
            Link::Open { clock_offset_ms: self.clock_offset_ms as i64 }
        } else {
            let is_not_permitted = self.connection.is_not_permitted();
            Link::Failed { reason: self.connection.reason().to_owned(), is_not_permitted }
        })
    }

    /// Folds what a connection delivered, and tells the other tabs.
    fn take(&mut self, generation: u32, frames: Vec<Frame>) -> Result<(), String> {
        if self.generation != generation {
            return Ok(());
        }
        self.connection.heard(performance_ms());
        let is_alone = self.hub.as_ref().is_none_or(Hub::is_alone);
        if frames.is_empty() && !is_alone {
            self.post(Message::Link(Link::Heard));
        }
        for frame in frames {
            let Some(hub) = &mut self.hub else { break };
            let (after, event) = hub.fold(&frame)?;
            // This tab is never out of step with itself, or was asked for what it wants already.
            let asked = self.seat.fold(&mut self.store, after.as_deref(), &frame.id, event);
            if !is_alone {
                self.post(Message::Frame { after, frame });
            }
            if let Some(asked) = asked {
                self.hear(asked);
            }
        }
        Ok(())
    }
}
