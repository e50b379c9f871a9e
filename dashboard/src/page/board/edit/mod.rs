//! Changing a dashboard in the browser: the panels show the draft at once, the file under git stays the truth. What comes
//! out is its YAML, to be copied or saved.
//!
//! Invariant: a draft is kept in the browser until it is discarded, so that a reload loses nothing; the server never has
//! it.

mod form;
mod strip;

use leptos::html;
use leptos::prelude::*;
use weir_api::{Chart, Dashboard, Panel};

use super::{Board, export};
use crate::chart::kind::fit;
use crate::view::board::yaml::yaml;

use form::Form;
pub(super) use strip::Strip;

/// The dashboard as it is being changed; copies are the same.
#[derive(Clone, Copy)]
pub(super) struct Draft {
    name: Memo<String>,
    dashboard: RwSignal<Option<Dashboard>>,
    /// The panel that the form is about.
    selected: RwSignal<usize>,
}

impl Draft {
    /// Takes up the draft that was kept for the dashboard of this name, now and for each other name.
    pub(super) fn start(name: Memo<String>) -> Self {
        let draft = Self { name, dashboard: RwSignal::new(None), selected: RwSignal::new(0) };
        Effect::new(move |_| {
            let kept = name.with(|name| kept(name));
            draft.selected.set(0);
            draft.dashboard.set(kept);
        });
        draft
    }

    pub(super) fn dashboard(self) -> Option<Dashboard> {
        self.dashboard.get()
    }

    pub(super) fn is_there(self) -> bool {
        self.dashboard.with(Option::is_some)
    }

    /// Begins with the dashboard as the server has it.
    pub(super) fn begin(self, dashboard: Dashboard) {
        self.set(Some(dashboard));
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

    /// Moves a panel to the place of another.
    fn shift(self, from: usize, to: usize) {
        self.change(|dashboard| {
            if from < dashboard.panels.len() && to < dashboard.panels.len() {
                let panel = dashboard.panels.remove(from);
                dashboard.panels.insert(to, panel);
            }
        });
        self.selected.set(to);
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
        draft.change(|dashboard| dashboard.panels.push(new_panel(pipeline.unwrap_or_default())));
        let n_panels =
            draft.dashboard.with_untracked(|dashboard| dashboard.as_ref().map_or(0, |it| it.panels.len()));
        draft.selected.set(n_panels.saturating_sub(1));
    };
    let title = move || {
        draft.dashboard.with(|dashboard| dashboard.as_ref().map(|it| it.title.clone()).unwrap_or_default())
    };
    let file = move || format!("dashboards/{}.yaml", board.name.get());
    view! {
        <section class="editor" aria-labelledby="editor" data-testid="editor">
            <div class="section-head">
                <h2 id="editor">"Editing"</h2>
                <p class="quiet">
                    "The panels below show the draft. It stays in this browser; the file "
                    <code>{file}</code>
                    " is changed by you, and read at the next start."
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
                <button type="button" data-testid="draft-discard" on:click=move |_| draft.discard()>"Discard the draft"</button>
            </div>
            {move || has_form.get().then(|| view! { <Form board /> })}
            <File board />
        </section>
    }
}

/// The draft as its file.
#[component]
fn File(board: Board) -> impl IntoView {
    let text = Memo::new(move |_| {
        board.draft.dashboard.with(|dashboard| dashboard.as_ref().map(yaml).unwrap_or_default())
    });
    let shown = NodeRef::<html::Pre>::new();
    let was_copied = RwSignal::new(false);
    let copy = move |_| {
        let is_copied = text.with_untracked(|text| export::copy(text));
        if is_copied {
            was_copied.set(true);
            set_timeout(move || was_copied.set(false), std::time::Duration::from_secs(2));
        } else if let Some(shown) = shown.get_untracked()
            && let Ok(Some(selection)) = window().get_selection()
        {
            // Without a clipboard the text is at least selected.
            drop(selection.select_all_children(&shown));
        }
    };
    let save = move |_| {
        text.with_untracked(|text| {
            export::save(&format!("{}.yaml", board.name.get_untracked()), "application/yaml", text)
        });
    };
    view! {
        <details class="file">
            <summary data-testid="draft-file">"The file"</summary>
            <pre node_ref=shown tabindex="0" role="region" aria-label="YAML" data-testid="draft-yaml">{text}</pre>
        </details>
        <div class="actions">
            <button type="button" data-testid="draft-copy" on:click=copy>
                {move || if was_copied.get() { "Copied" } else { "Copy the YAML" }}
            </button>
            <button type="button" data-testid="draft-save" on:click=save>"Save the file"</button>
        </div>
    }
}
