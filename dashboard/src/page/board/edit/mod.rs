//! Changing a dashboard in the browser: the panels show the draft at once, the file under git stays the truth. What comes
//! out is its YAML: copied, downloaded or, where the server may write it, saved.
//!
//! Invariants:
//! 1. A draft is kept in the browser until it is discarded or saved, so that a reload loses nothing. It is shown while the
//!    address says so: the way back leaves it, as "Close" does.
//! 2. It is saved over nothing but what it began with, unless a person says so.

mod file;
mod form;
mod grip;
mod strip;

use leptos::prelude::*;
use weir_api::{Chart, Dashboard, Panel};

use super::{Board, path};
use crate::chart::kind::fit;
use crate::page::shell::Route;
use crate::protocol::http;

use file::File;
use form::Form;
pub(super) use grip::ResizeGrip;
pub(super) use strip::Strip;

/// A click that discards has to be followed by another within this.
const SURE_FOR: std::time::Duration = std::time::Duration::from_secs(4);
/// After so long the server has been asked again for what was written.
const ASKED_AGAIN: std::time::Duration = std::time::Duration::from_secs(7);

/// The dashboard as it is being changed; copies are the same.
#[derive(Clone, Copy)]
pub(super) struct Draft {
    name: Memo<String>,
    route: Route,
    dashboard: RwSignal<Option<Dashboard>>,
    /// Whether there is one, and it is shown: what hangs on that is not made anew with each change.
    is_open: Memo<bool>,
    /// What it began with, unless it was taken up.
    begun: StoredValue<Option<Dashboard>>,
    /// The panel that the form is about.
    selected: RwSignal<usize>,
    /// Where a panel that is dragged would go.
    target: RwSignal<Option<usize>>,
    /// What was done, for those who don't see it.
    said: RwSignal<String>,
    /// What was written a moment ago, until the server is asked again.
    written: RwSignal<Option<Dashboard>>,
}

impl Draft {
    /// Takes up the draft that was kept for the dashboard of this name, now and for each other name.
    pub(super) fn start(name: Memo<String>, route: Route) -> Self {
        let dashboard = RwSignal::new(None);
        let draft = Self {
            name,
            route,
            dashboard,
            is_open: Memo::new(move |_| {
                dashboard.with(Option::is_some) && route.with(|address| address.edit)
            }),
            begun: StoredValue::new(None),
            selected: RwSignal::new(0),
            target: RwSignal::new(None),
            said: RwSignal::new(String::new()),
            written: RwSignal::new(None),
        };
        Effect::new(move |_| {
            let kept = name.with(|name| kept(name));
            draft.begun.set_value(None);
            draft.selected.set(0);
            draft.written.set(None);
            draft.dashboard.set(kept);
        });
        draft
    }

    /// The draft that is open, or what was written a moment ago.
    pub(super) fn dashboard(self) -> Option<Dashboard> {
        if self.is_open() { self.dashboard.get() } else { self.written.get() }
    }

    /// Whether the file was written a moment ago.
    pub(super) fn is_saved(self) -> bool {
        self.written.with(Option::is_some)
    }

    /// Whether a panel that is dragged would take this one's place.
    pub(super) fn is_target(self, at: usize) -> bool {
        self.target.get() == Some(at)
    }

    /// The draft is the file now.
    fn was_written(self) {
        self.written.set(self.dashboard.get_untracked());
        self.discard();
        set_timeout(move || drop(self.written.try_set(None)), ASKED_AGAIN);
    }

    pub(super) fn is_open(self) -> bool {
        self.is_open.get()
    }

    /// Whether there is one.
    pub(super) fn is_kept(self) -> bool {
        self.dashboard.with(Option::is_some)
    }

    /// Shows the draft that there is, or begins one.
    pub(super) fn open(self, shown: Dashboard) {
        self.begin(shown, |draft| draft.route.go(|address| address.edit = true));
    }

    /// Opens the draft with a panel more: the first one, and selected.
    pub(super) fn pin(self, shown: Dashboard, panel: Panel) {
        self.begin(shown, move |draft| {
            draft.change(|dashboard| dashboard.panels.insert(0, panel));
            draft.selected.set(0);
            draft.said.set("The panel is the first one of the draft.".to_owned());
            draft.route.replace(|address| address.edit = true);
        });
    }

    /// Goes on with the draft that there is, or with one of the dashboard as the server has it now; where that does not
    /// answer, as it is shown.
    fn begin(self, shown: Dashboard, then: impl FnOnce(Self) + 'static) {
        if self.dashboard.with_untracked(Option::is_some) {
            return then(self);
        }
        let name = self.name.get_untracked();
        js_sys::futures::spawn_local(async move {
            let (dashboard, tag) = http::get_tagged(&path(&name)).await.unwrap_or((shown, None));
            // The page may show another dashboard by now.
            if self.name.try_get_untracked().as_ref() == Some(&name) {
                keep(&key(TAG, &name), tag.as_deref());
                self.begun.set_value(Some(dashboard.clone()));
                self.set(Some(dashboard));
                then(self);
            }
        });
    }

    /// Names what the draft began with.
    fn tag(self) -> Option<String> {
        kept_text(&key(TAG, &self.name.get_untracked()))
    }

    /// Shows the dashboard as the server has it. The draft stays, if anything of it is another.
    fn close(self) {
        let is_same = self.begun.with_value(|begun| self.dashboard.with_untracked(|draft| draft == begun));
        if is_same {
            self.discard();
        } else {
            self.route.go(|address| address.edit = false);
        }
    }

    fn discard(self) {
        self.set(None);
        keep(&key(TAG, &self.name.get_untracked()), None);
        self.route.replace(|address| address.edit = false);
    }

    fn set(self, dashboard: Option<Dashboard>) {
        let text = dashboard.as_ref().and_then(|dashboard| serde_json::to_string(dashboard).ok());
        keep(&key(DRAFT, &self.name.get_untracked()), text.as_deref());
        self.dashboard.set(dashboard);
    }

    /// Changes the draft, if there is one.
    fn change(self, change: impl FnOnce(&mut Dashboard)) {
        let Some(mut dashboard) = self.dashboard.get_untracked() else { return };
        change(&mut dashboard);
        self.set(Some(dashboard));
    }

    /// Changes a panel, and drops what does nothing in its kind of chart.
    fn change_panel(self, at: usize, change: impl FnOnce(&mut Panel)) {
        self.change(|dashboard| {
            if let Some(panel) = dashboard.panels.get_mut(at) {
                change(panel);
                fit(panel);
            }
        });
    }

    fn n_panels(self) -> usize {
        self.dashboard.with_untracked(|dashboard| dashboard.as_ref().map_or(0, |it| it.panels.len()))
    }

    fn panel(self, at: usize) -> Option<Panel> {
        self.dashboard.with_untracked(|dashboard| dashboard.as_ref()?.panels.get(at).cloned())
    }

    /// Moves a panel to the place of another.
    fn shift(self, from: usize, to: usize) {
        self.change(|dashboard| {
            if from < dashboard.panels.len() && to < dashboard.panels.len() {
                let panel = dashboard.panels.remove(from);
                dashboard.panels.insert(to, panel);
            }
        });
        self.selected.set(to);
        self.said.set(format!("Panel {} is panel {} now.", from + 1, to + 1));
    }
}

/// What is kept of a dashboard: its draft, and the tag of what that began with.
const DRAFT: &str = "weir-draft";
const TAG: &str = "weir-draft-of";

fn key(what: &str, name: &str) -> String {
    format!("{what}-{name}")
}

fn kept(name: &str) -> Option<Dashboard> {
    serde_json::from_str(&kept_text(&key(DRAFT, name))?).ok()
}

fn kept_text(key: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(key).ok()?
}

/// A browser that keeps nothing (private windows) loses the draft with the page.
fn keep(key: &str, text: Option<&str>) {
    let Ok(Some(storage)) = window().local_storage() else { return };
    drop(match text {
        Some(text) => storage.set_item(key, text),
        None => storage.remove_item(key),
    });
}

/// A first panel: the newest rows of a pipeline, which need no choice.
fn new_panel(pipeline: String) -> Panel {
    Panel {
        title: "New panel".to_owned(),
        pipeline,
        chart: Chart::Table,
        x: None,
        y: None,
        series: None,
        aggregate: None,
        last: None,
        unit: None,
        width: None,
        height: None,
    }
}

/// The bench above the panels while a draft is there.
#[component]
pub(super) fn Editor(board: Board) -> impl IntoView {
    let draft = board.draft;
    let has_form = Memo::new(move |_| {
        draft
            .dashboard
            .with(|dashboard| dashboard.as_ref().is_some_and(|it| draft.selected.get() < it.panels.len()))
    });
    let add = move |_| {
        let pipeline =
            untrack(|| board.live.read(|store| store.pipelines().first().map(|first| first.name.clone())));
        // Below its form, where it is seen while it becomes what it is to be.
        draft.change(|dashboard| dashboard.panels.insert(0, new_panel(pipeline.unwrap_or_default())));
        draft.selected.set(0);
    };
    let title = move || {
        draft.dashboard.with(|dashboard| dashboard.as_ref().map(|it| it.title.clone()).unwrap_or_default())
    };
    let is_sure = RwSignal::new(false);
    let discard = move |_| {
        if is_sure.get_untracked() {
            draft.discard();
        } else {
            is_sure.set(true);
            // The editor may be gone by then.
            let unsure = move || {
                let _gone = is_sure.try_set(false);
            };
            set_timeout(unsure, SURE_FOR);
        }
    };
    let file = move || format!("dashboards/{}.yaml", board.name.get());
    view! {
        <section class="editor" aria-labelledby="editor" data-testid="editor">
            <div class="section-head">
                <h2 id="editor">"Editing"</h2>
                <p class="quiet">
                    "The panels below show the draft. It stays in this browser; the file "
                    <code>{file}</code>
                    {move || if board.live.is_editable() { " is written when you save." } else { " is changed by you, and read at the next start." }}
                </p>
            </div>
            <div class="editor-bar">
                <label>
                    <span>"Title"</span>
                    <input
                        type="text"
                        data-testid="draft-title"
                        prop:value=title
                        on:input=move |event| draft.change(|dashboard| dashboard.title = event_target_value(&event))
                    />
                </label>
                <button type="button" class="primary" data-testid="draft-add" on:click=add>"Add a panel"</button>
                <button type="button" data-testid="draft-close" title="Shows the dashboard as it is; the draft stays" on:click=move |_| draft.close()>"Close"</button>
                <button type="button" data-testid="draft-discard" on:click=discard>
                    {move || if is_sure.get() { "Discard it for good" } else { "Discard the draft" }}
                </button>
            </div>
            {move || has_form.get().then(|| view! { <Form board /> })}
            <File board />
            <p class="unseen" role="status">{draft.said}</p>
        </section>
    }
}
