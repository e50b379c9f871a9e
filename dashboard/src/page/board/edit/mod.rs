//! Changing a dashboard in the browser: the panels show the draft at once, the file under git stays the truth. What comes
//! out is its YAML: copied, downloaded or, where the server may write it, saved.
//!
//! Invariant: a draft is kept in the browser until it is discarded or saved, so that a reload loses nothing.

mod file;
mod form;
mod grip;
mod strip;

use leptos::prelude::*;
use weir_api::{Chart, Dashboard, Panel};

use super::Board;
use crate::chart::kind::fit;

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
    dashboard: RwSignal<Option<Dashboard>>,
    /// Whether there is one: what hangs on that is not made anew with each change.
    is_there: Memo<bool>,
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
    pub(super) fn start(name: Memo<String>) -> Self {
        let dashboard = RwSignal::new(None);
        let draft = Self {
            name,
            dashboard,
            is_there: Memo::new(move |_| dashboard.with(Option::is_some)),
            selected: RwSignal::new(0),
            target: RwSignal::new(None),
            said: RwSignal::new(String::new()),
            written: RwSignal::new(None),
        };
        Effect::new(move |_| {
            let kept = name.with(|name| kept(name));
            draft.selected.set(0);
            draft.written.set(None);
            draft.dashboard.set(kept);
        });
        draft
    }

    /// The draft, or what was written a moment ago.
    pub(super) fn dashboard(self) -> Option<Dashboard> {
        self.dashboard.get().or_else(|| self.written.get())
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

    pub(super) fn is_there(self) -> bool {
        self.is_there.get()
    }

    /// Begins with the dashboard as the server has it.
    pub(super) fn begin(self, dashboard: Dashboard) {
        self.set(Some(dashboard));
    }

    /// Begins with a dashboard, unless there is a draft of it already, and a panel more: the first one, and selected.
    pub(super) fn pin(self, mut dashboard: Dashboard, panel: Panel) {
        dashboard.panels.insert(0, panel);
        self.set(Some(dashboard));
        self.selected.set(0);
        self.said.set("The panel is the first one of the draft.".to_owned());
    }

    fn discard(self) {
        self.set(None);
    }

    fn set(self, dashboard: Option<Dashboard>) {
        keep(&self.name.get_untracked(), dashboard.as_ref());
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

fn key(name: &str) -> String {
    format!("weir-draft-{name}")
}

fn kept(name: &str) -> Option<Dashboard> {
    let storage = window().local_storage().ok()??;
    serde_json::from_str(&storage.get_item(&key(name)).ok()??).ok()
}

/// A browser that keeps nothing (private windows) loses the draft with the page.
fn keep(name: &str, dashboard: Option<&Dashboard>) {
    let Ok(Some(storage)) = window().local_storage() else { return };
    let kept = match dashboard.and_then(|dashboard| serde_json::to_string(dashboard).ok()) {
        Some(text) => storage.set_item(&key(name), &text),
        None => storage.remove_item(&key(name)),
    };
    drop(kept);
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
