//! One number, what it is of, and what forms behind it.

use leptos::prelude::*;

use super::panel::Content;
use crate::view::board::figure::FigureView;

/// A number of more characters is written smaller.
const LONG: usize = 9;

#[component]
pub(super) fn Figure(content: Memo<Content>) -> impl IntoView {
    let text = move |part: fn(&FigureView) -> &str| {
        Signal::derive(move || content.with(|content| part(&content.figure).to_owned()))
    };
    let is_final = move || content.with(|content| content.figure.is_final);
    view! {
        <div class="stat">
            <p
                class="stat-value figure"
                class:provisional=Signal::derive(move || !is_final())
                class:long=Signal::derive(move || content.with(|content| LONG < content.figure.value.chars().count()))
                data-testid="panel-value"
                data-final=Signal::derive(move || if is_final() { "true" } else { "false" })
            >
                <span>{text(|figure| &figure.value)}</span>
                <span class="unit">{text(|figure| &figure.unit)}</span>
            </p>
            <svg class="stat-spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
                <polyline points=text(|figure| &figure.spark) />
            </svg>
            <p class="stat-of figure">{text(|figure| &figure.of)}</p>
            <p class="stat-next figure">{text(|figure| &figure.next)}</p>
        </div>
    }
}
