//! The draft as its file: shown, copied, downloaded, and saved where the server writes it.

use leptos::html;
use leptos::prelude::*;

use crate::page::board::{Board, export, path};
use crate::protocol::http::{self, Failure};
use crate::view::board::yaml::yaml;

#[component]
pub(super) fn File(board: Board) -> impl IntoView {
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
    let download = move |_| {
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
            <button type="button" data-testid="draft-save" on:click=download>"Download the file"</button>
            <Save board text />
        </div>
    }
}

/// The status of an answer where the dashboard is not the one that the draft began with.
const PRECONDITION_FAILED: u16 = 412;

/// What became of saving.
#[derive(Debug, Clone, PartialEq)]
enum Saved {
    No,
    Asked,
    Refused(String),
    /// Somebody else has saved since the draft began.
    Outdated(String),
}

/// Where `weir run --edit` runs.
#[component]
fn Save(board: Board, text: Memo<String>) -> impl IntoView {
    let saved = RwSignal::new(Saved::No);
    // What was refused may be mended by now.
    Effect::new(move |_| {
        text.with(|_| ());
        saved.set(Saved::No);
    });
    let save = move |_| {
        let overwrites = matches!(saved.get_untracked(), Saved::Outdated(_));
        saved.set(Saved::Asked);
        let tag = board.draft.tag().filter(|_| !overwrites);
        let (name, text) = (board.name.get_untracked(), text.get_untracked());
        js_sys::futures::spawn_local(async move {
            match http::put(&path(&name), "application/yaml", &text, tag.as_deref()).await {
                // The page may show another dashboard by now.
                Ok(()) if board.name.try_get_untracked().as_ref() == Some(&name) => board.draft.was_written(),
                Ok(()) => {}
                Err(Failure::Refused(problem)) if problem.status == PRECONDITION_FAILED => {
                    drop(saved.try_set(Saved::Outdated(problem.detail)));
                }
                Err(failure) => drop(saved.try_set(Saved::Refused(failure.sentence()))),
            }
        });
    };
    let refused = move || match saved.get() {
        Saved::Refused(why) => format!("Not saved: {why}."),
        Saved::Outdated(why) => format!("Not saved: {why}. \"Close\" shows theirs; your draft stays."),
        Saved::No | Saved::Asked => String::new(),
    };
    view! {
        <button
            type="button"
            class="primary"
            data-testid="draft-write"
            hidden=Signal::derive(move || !board.live.is_editable())
            disabled=Signal::derive(move || saved.get() == Saved::Asked)
            on:click=save
        >
            {move || match saved.get() {
                Saved::Outdated(_) => "Save over theirs".to_owned(),
                _ => format!("Save dashboards/{}.yaml", board.name.get()),
            }}
        </button>
        <p class="error" role="alert" data-testid="draft-refused">{refused}</p>
    }
}
