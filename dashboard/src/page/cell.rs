//! What stands in cells of tables: a value that changes, and names that break well.

use leptos::prelude::*;

/// What a column of a table of rows holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Both bounds of a window, as `view::windows::window_text` writes them.
    Window,
    Number,
    Text,
}

impl Kind {
    /// Of the columns that have heads like this.
    pub(super) fn all<'a>(heads: impl Iterator<Item = (&'a str, bool)>) -> Vec<Self> {
        let kind = |(at, (name, is_numeric)): (usize, (&str, bool))| match (at, name, is_numeric) {
            (_, _, true) => Self::Number,
            (0, "window", false) => Self::Window,
            _ => Self::Text,
        };
        heads.enumerate().map(kind).collect()
    }
}

/// A cell whose text changes. The end of a window is an element of its own: a phone, which has no room for it, hides it.
pub(super) fn cell(kind: Kind, text: impl Fn() -> Option<String> + Send + Sync + 'static) -> AnyView {
    let text = Memo::new(move |_| text().unwrap_or_default());
    match kind {
        Kind::Number => view! { <td class="num figure">{text}</td> }.into_any(),
        Kind::Text => view! { <td title=text>{text}</td> }.into_any(),
        Kind::Window => {
            let at = move |text: &str| text.find(" – ").unwrap_or(text.len());
            let start = move || text.with(|text| text[..at(text)].to_owned());
            let rest = move || text.with(|text| text[at(text)..].to_owned());
            view! { <td title=text>{start}<span class="window-end">{rest}</span></td> }.into_any()
        }
    }
}

/// A name that, where it has no room in a line, is broken behind an underscore.
pub(super) fn breaking(name: &str) -> impl IntoView + use<> {
    name.split_inclusive('_').map(|part| view! { {part.to_owned()} <wbr /> }).collect_view()
}
