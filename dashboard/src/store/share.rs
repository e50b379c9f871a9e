//! One connection for all tabs of a browser: the tab that leads has the stream, and every tab folds the same events.
//!
//! ```text
//!                        ┌─► Seat ──► Store of the tab that leads
//! stream ──► Hub ─ Frame ┼─► Seat ──► Store of another tab
//!             ▲          └─► Seat ──► …
//!             └── Want ─── each Seat, when it comes, when it wants something else, when it is out of step
//! ```
//!
//! Invariants:
//! 1. A frame says behind which event it comes, and a tab folds it only if it has that one: an id says exactly what its
//!    holder has. So neither a message that came late nor another tab that leads makes a gap or a double. A tab that is
//!    out of step asks, and gets all that it wants as of one id.
//! 2. The stream carries what all tabs want. It is opened anew where somebody wants more, and not just for less. A tab for whose
//!    tables it has no room is told so, and has one of its own: none waits for what never comes.
//! 3. Plain values in and out: who carries the messages is not known here.

use weir_api::{Event, Snapshot};

use super::Store;
use crate::protocol::sse::Frame;
use crate::protocol::tabs::Message;
use crate::protocol::wire;
use crate::protocol::{TABLES_MAX, Wanted};

/// The tab that leads: what all tabs want, and what is known of it.
#[derive(Debug)]
pub struct Hub {
    store: Store,
    tabs: Vec<(String, Wanted)>,
}

impl Hub {
    /// Goes on where the tab is that leads from now on.
    pub fn new(tab: &str, own: &Store) -> Self {
        let mut hub = Self { store: Store::default(), tabs: vec![(tab.to_owned(), own.wanted().clone())] };
        hub.store.want(own.wanted().clone());
        // What this tab has fits, as it has been folded once.
        if fold_state(&mut hub.store, own.last_id(), &snapshots(own, own.wanted())).is_err() {
            hub.store.forget_id();
        }
        hub
    }

    /// What the stream is to carry, and behind which event.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A tab wants this from now on. Returns whether the stream must be opened anew, and the tabs that have no room in it.
    pub fn want(&mut self, tab: &str, wanted: Wanted) -> (bool, Vec<String>) {
        match self.tabs.iter_mut().find(|(known, _)| known == tab) {
            Some((_, before)) => *before = wanted,
            None => self.tabs.push((tab.to_owned(), wanted)),
        }
        let mut without_room = Vec::new();
        // The first is this tab itself; those that came last go.
        while 1 < self.tabs.len() && TABLES_MAX < self.all().tables.len() {
            without_room.extend(self.tabs.pop().map(|(tab, _)| tab));
        }
        let (all, carried) = (self.all(), self.store.wanted());
        let is_carried = all.tables.iter().all(|table| carried.tables.contains(table))
            && (all.tables.is_empty() || all.last_ms <= carried.last_ms);
        (!is_carried && self.store.want(all), without_room)
    }

    /// Whether a tab has said what it wants, and is not gone.
    pub fn knows(&self, tab: &str) -> bool {
        self.tabs.iter().any(|(known, _)| known == tab)
    }

    /// A tab is gone.
    pub fn gone(&mut self, tab: &str) {
        self.tabs.retain(|(known, _)| known != tab);
    }

    /// Leaves out what nobody wants any more. Returns whether the stream must be opened anew.
    pub fn tidy(&mut self) -> bool {
        let all = self.all();
        let is_less = all.tables.len() < self.store.wanted().tables.len();
        is_less && self.store.want(all)
    }

    /// The next connection shall begin with snapshots.
    pub fn forget_id(&mut self) {
        self.store.forget_id();
    }

    /// What a tab that has folded up to `after` needs to be in step, if anything; `ask` is what it says.
    pub fn answer(&self, tab: &str, ask: u64, after: Option<&str>) -> Option<Message> {
        if after.is_some() && after == self.store.last_id() {
            return None;
        }
        let (_, wanted) = self.tabs.iter().find(|(known, _)| known == tab)?;
        Some(Message::State {
            tab: tab.to_owned(),
            ask,
            id: self.store.last_id().map(str::to_owned),
            snapshots: snapshots(&self.store, wanted),
        })
    }

    /// Folds the next event of the stream, and returns it for this tab's [`Seat::fold`], with the id it comes behind.
    ///
    /// # Errors
    /// It does not fit, and the id is forgotten: connect anew.
    pub fn fold(&mut self, frame: &Frame) -> Result<(Option<String>, Option<Event>), String> {
        let after = self.store.last_id().map(str::to_owned);
        let folded = wire::event(&frame.name, &frame.data).and_then(|event| {
            self.store.fold(&frame.id, event.clone()).map_err(|error| error.to_string())?;
            Ok((after, event))
        });
        if folded.is_err() {
            self.store.forget_id();
        }
        folded
    }

    /// Whether there is no other tab to tell.
    pub fn is_alone(&self) -> bool {
        self.tabs.len() <= 1
    }

    fn all(&self) -> Wanted {
        let mut all = Wanted::default();
        for (_, wanted) in &self.tabs {
            all.tables.extend_from_slice(&wanted.tables);
            all.last_ms = all.last_ms.max(wanted.last_ms);
        }
        all.tables.sort_unstable();
        all.tables.dedup();
        all
    }
}

/// A tab's place among the others.
#[derive(Debug, Default)]
pub struct Seat {
    tab: String,
    /// The state was asked for and has not come.
    waits: bool,
    n_asked: u64,
}

impl Seat {
    /// `tab` is a name that no other tab has.
    pub fn new(tab: String) -> Self {
        Self { tab, waits: false, n_asked: 0 }
    }

    pub fn tab(&self) -> &str {
        &self.tab
    }

    /// What to say when the tab comes, when it wants something else, and when no answer came for a while.
    pub fn want(&mut self, store: &Store) -> Message {
        self.waits = true;
        self.n_asked += 1;
        let after = store.last_id().map(str::to_owned);
        Message::Want { tab: self.tab.clone(), ask: self.n_asked, wanted: store.wanted().clone(), after }
    }

    /// Whether an answer is waited for.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Takes what the tab that leads says, and returns what to say to it, if anything.
    pub fn take(&mut self, store: &mut Store, message: &Message) -> Option<Message> {
        match message {
            Message::Lead => Some(self.want(store)),
            // What can't be read is as good as lost: what comes behind it is out of step.
            Message::Frame { after, frame } => {
                let event = wire::event(&frame.name, &frame.data).ok()?;
                self.fold(store, after.as_deref(), &frame.id, event)
            }
            // An answer to what was asked before may lack what is wanted now.
            Message::State { tab, ask, id, snapshots } if *tab == self.tab && *ask == self.n_asked => {
                let folded = fold_state(store, id.as_deref(), snapshots);
                self.done(store, folded.is_ok());
                None
            }
            _ => None,
        }
    }

    /// Takes an event that comes behind `after`, and returns what to say to the tab that leads, if anything.
    pub fn fold(
        &mut self,
        store: &mut Store,
        after: Option<&str>,
        id: &str,
        event: Option<Event>,
    ) -> Option<Message> {
        if after.is_some() && after != store.last_id() {
            return (!self.waits).then(|| self.want(store));
        }
        let folded = store.fold(id, event);
        self.done(store, folded.is_ok());
        None
    }

    fn done(&mut self, store: &mut Store, is_folded: bool) {
        // What does not fit now would not fit at once either: it is asked for again after a while.
        self.waits = !is_folded;
        if !is_folded {
            store.forget_id();
        }
    }
}

/// The data of a snapshot of each wanted table that is there.
fn snapshots(store: &Store, wanted: &Wanted) -> Vec<String> {
    let tables = wanted.tables.iter().filter_map(|name| store.table(name));
    tables.map(|table| wire::snapshot_text(table.snapshot())).collect()
}

fn fold_state(store: &mut Store, id: Option<&str>, snapshots: &[String]) -> Result<(), String> {
    for snapshot in snapshots {
        let snapshot: Snapshot = wire::read(snapshot)?;
        store.fold("", Some(Event::Snapshot(snapshot))).map_err(|error| error.to_string())?;
    }
    match id {
        Some(id) => store.fold(id, None).map_err(|error| error.to_string()),
        None => {
            store.forget_id();
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
