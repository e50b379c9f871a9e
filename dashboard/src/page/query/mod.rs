//! The query box: SQL over result and system tables, its answer, its error.

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;
use web_sys::AbortController;
use weir_api::{Problem, SqlRequest, SqlResponse};

use super::shell::{ListState, Live, Route};
use crate::protocol::Wanted;
use crate::protocol::http::{self, Failure};
use crate::view::number::{exact_cell, is_numeric};
use crate::view::query::{self, MAX_RENDERED_ROWS};

/// How the last run ended; the text is the query it was.
#[derive(Clone)]
enum Outcome {
    Answer(Arc<SqlResponse>),
    Failed(Failure, String),
    Cancelled,
}

/// The state of the box; copies are the same box.
#[derive(Clone, Copy)]
struct Run {
    text: RwSignal<String>,
    is_running: RwSignal<bool>,
    outcome: RwSignal<Option<Outcome>>,
    abort: StoredValue<Option<AbortController>, LocalStorage>,
}

#[component]
pub(super) fn Query(live: Live, route: Route) -> impl IntoView {
    live.want(Wanted::default());
    let run = Run {
        text: RwSignal::new(route.address().query.unwrap_or_default()),
        is_running: RwSignal::new(false),
        outcome: RwSignal::new(None),
        abort: StoredValue::new_local(None),
    };
    suggest(live, run.text);
    Effect::new(move |_| run.follow(route.with(|address| address.query.clone())));
    let field = NodeRef::<html::Textarea>::new();
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
            event.prevent_default();
            run.start(route);
        }
    };
    view! {
        <section class="query" aria-labelledby="query">
            <div class="section-head">
                <h2 id="query">"SQL"</h2>
                <p class="quiet">"One SELECT over result tables and the system tables of the schema " <code>"weir"</code> "."</p>
            </div>
            <label class="unseen" for="sql-text">"Query"</label>
            <textarea
                id="sql-text"
                data-testid="sql-input"
                node_ref=field
                rows="5"
                spellcheck="false"
                autocomplete="off"
                autocapitalize="off"
                prop:value=Signal::derive(move || run.text.get())
                on:input=move |event| run.text.set(event_target_value(&event))
                on:keydown=on_key
            ></textarea>
            <div class="actions">
                <button
                    type="button"
                    class="primary"
                    data-testid="sql-run"
                    disabled=Signal::derive(move || run.is_running.get())
                    on:click=move |_| run.start(route)
                >
                    "Run"
                </button>
                <kbd>"Ctrl+Enter"</kbd>
                <button
                    type="button"
                    data-testid="sql-cancel"
                    hidden=Signal::derive(move || !run.is_running.get())
                    on:click=move |_| run.cancel()
                >
                    "Cancel"
                </button>
                <p class="quiet" role="status" data-testid="sql-summary">{Signal::derive(move || run.sentence())}</p>
            </div>
            {move || run.outcome.get().map(|outcome| match outcome {
                Outcome::Answer(answer) => answer_table(&answer).into_any(),
                Outcome::Failed(failure, text) => error_box(&failure, text, field).into_any(),
                Outcome::Cancelled => ().into_any(),
            })}
        </section>
    }
}

impl Run {
    fn start(self, route: Route) {
        let query = self.text.get_untracked();
        let Ok(abort) = AbortController::new() else { return };
        if self.is_running.get_untracked() || query.trim().is_empty() {
            return;
        }
        let signal = abort.signal();
        route.replace(|address| address.query = Some(query.clone()));
        self.abort.set_value(Some(abort));
        self.is_running.set(true);
        js_sys::futures::spawn_local(async move {
            let request = SqlRequest { query, timeout: None };
            let answer = http::post::<SqlResponse>("/api/v1/sql", &request, &signal).await;
            self.is_running.set(false);
            self.outcome.set(Some(match answer {
                Ok(answer) => Outcome::Answer(Arc::new(answer)),
                Err(_) if signal.aborted() => Outcome::Cancelled,
                Err(failure) => Outcome::Failed(failure, request.query),
            }));
        });
    }

    /// Takes the query that the address names by now: after a link, or the way back.
    fn follow(self, query: Option<String>) {
        if let Some(query) = query
            && self.text.with_untracked(|text| *text != query)
        {
            self.text.set(query);
        }
    }

    fn cancel(self) {
        if let Some(abort) = self.abort.try_update_value(Option::take).flatten() {
            abort.abort();
        }
    }

    fn sentence(self) -> String {
        if self.is_running.get() {
            return "Running.".to_owned();
        }
        self.outcome.with(|outcome| match outcome {
            Some(Outcome::Answer(answer)) => query::summary(answer),
            Some(Outcome::Cancelled) => "Cancelled.".to_owned(),
            Some(Outcome::Failed(..)) | None => String::new(),
        })
    }
}

/// Offers a query for the first pipeline, unless there is one already.
fn suggest(live: Live, text: RwSignal<String>) {
    Effect::new(move |was_offered: Option<bool>| {
        if was_offered == Some(true) || live.list() == ListState::Loading {
            return was_offered.unwrap_or(false);
        }
        if text.with_untracked(String::is_empty) {
            let first = live.read(|store| store.pipelines().first().map(|first| first.name.clone()));
            text.set(query::suggestion(first.as_deref()));
        }
        true
    });
}

fn answer_table(answer: &SqlResponse) -> impl IntoView + use<> {
    let heads = answer.columns.iter().map(|column| {
        view! {
            <th scope="col" class:num=is_numeric(column)>
                {column.name.clone()}
                <span class="type">{column.sql_type.to_lowercase()}</span>
            </th>
        }
    });
    let numeric: Vec<bool> = answer.columns.iter().map(is_numeric).collect();
    let rows = answer.rows.iter().take(MAX_RENDERED_ROWS).map(|row| {
        let cells = row.iter().zip(&numeric).map(|(value, &is_numeric)| {
            view! { <td class:num=is_numeric class:null=value.is_null()>{exact_cell(value)}</td> }
        });
        view! { <tr>{cells.collect_view()}</tr> }
    });
    view! {
        <div class="scroll result" tabindex="0" role="region" aria-label="Answer" data-testid="sql-result">
            <table>
                <thead>
                    <tr>{heads.collect_view()}</tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}

fn error_box(failure: &Failure, text: String, field: NodeRef<html::Textarea>) -> impl IntoView + use<> {
    let problem = match failure {
        Failure::Refused(problem) => Some(problem.clone()),
        _ => None,
    };
    let detail = problem.as_ref().map_or_else(|| failure.sentence(), |problem| problem.detail.clone());
    let code = problem.as_ref().and_then(|problem| problem.code().map(str::to_owned));
    let hint = problem.as_ref().and_then(|problem| problem.hint.clone());
    let place = problem.as_ref().and_then(|problem| place(problem, text, field));
    view! {
        <div class="problem" role="alert" data-testid="sql-error">
            <p>
                <strong>{detail}</strong>
                " "
                <code>{code}</code>
            </p>
            {place}
            {hint.map(|hint| view! { <p class="hint">{hint}</p> })}
        </div>
    }
}

/// The line that is wrong, with a caret, and a way to it.
fn place(problem: &Problem, text: String, field: NodeRef<html::Textarea>) -> Option<impl IntoView + use<>> {
    let (line, column) = (problem.line?, problem.column?);
    let (code, caret) = query::excerpt(&text, line, column)?;
    let go = move |_| {
        let Some(field) = field.get_untracked() else { return };
        // Refused only for a field that has no selection, which this one has.
        if let Some(offset) = query::offset(&text, line, column)
            && field.focus().is_ok()
        {
            drop(field.set_selection_range(offset, offset));
        }
    };
    Some(view! {
        <button type="button" class="plain place" on:click=go title="Go there">
            {format!("line {line}, column {column}")}
        </button>
        <pre>{format!("{code}\n{caret}")}</pre>
    })
}
