//! What is wrong with the query: in words, with the place and what to do.

use leptos::prelude::*;
use weir_api::Problem;

use super::desk::{Desk, Wrong};
use super::editor::Wish;
use crate::view::query;

#[component]
pub(super) fn Trouble(desk: Desk, wish: RwSignal<Option<Wish>>) -> impl IntoView {
    move || desk.wrong.get().map(|wrong| said(&wrong, desk, wish))
}

fn said(wrong: &Wrong, desk: Desk, wish: RwSignal<Option<Wish>>) -> impl IntoView + use<> {
    let problem = wrong.problem().cloned();
    let detail = problem.as_ref().map_or_else(|| wrong.failure.sentence(), |problem| problem.detail.clone());
    let code = problem.as_ref().and_then(|problem| problem.code().map(str::to_owned));
    let hint = problem.as_ref().and_then(|problem| problem.hint.clone());
    let where_it_is = problem.as_ref().and_then(|problem| excerpt(problem, &wrong.query, desk, wish));
    view! {
        <div class="problem" role="alert" data-testid="sql-error">
            <p>
                <strong>{detail}</strong>
                " "
                <code>{code}</code>
            </p>
            {where_it_is}
            {hint.map(|hint| view! { <p class="hint">{hint}</p> })}
        </div>
    }
}

/// The line that is wrong, with a caret, and a way to it.
fn excerpt(
    problem: &Problem,
    text: &str,
    desk: Desk,
    wish: RwSignal<Option<Wish>>,
) -> Option<impl IntoView + use<>> {
    let (line, column) = (problem.line?, problem.column?);
    let (code, caret) = query::excerpt(text, line, column)?;
    let at = query::offset(text, line, column)?;
    // The text may be another by now; then there is no such place.
    let text = text.to_owned();
    let go = move |_| {
        if desk.text.with_untracked(|now| *now == text) {
            wish.set(Some(Wish::GoTo(at)));
        }
    };
    Some(view! {
        <button type="button" class="plain place" on:click=go title="Go there">
            {format!("line {line}, column {column}")}
        </button>
        <pre>{format!("{code}\n{caret}")}</pre>
    })
}
