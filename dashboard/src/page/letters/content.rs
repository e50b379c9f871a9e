//! What is in a record: its fields beside its bytes. Pointing at a field marks its bytes.

use std::ops::Range;

use leptos::html;
use leptos::prelude::*;
use weir_api::WriterSchema;

use crate::page::copy::CopyButton;
use crate::page::shell::Again;
use crate::page::size::follow_size;
use crate::view::letters::avro::Field;
use crate::view::letters::bytes;
use crate::view::letters::record::{self, Content, Letter};

/// A letter of the dump in pixels, and what stands around its lines. The style sheet has a smaller font on a phone.
const LETTER: f64 = 7.9;
const AROUND: f64 = 26.0;

#[component]
pub(super) fn ContentOf(letter: Letter, schema: Again<WriterSchema>) -> impl IntoView {
    let n_bytes = letter.payload.len();
    let payload = StoredValue::new(letter.payload.clone());
    let content = Memo::new(move |_| {
        let failure = schema.failure();
        schema.with(|answer| {
            let schema = answer.map(Ok).or_else(|| failure.as_deref().map(Err));
            record::content(&letter, schema)
        })
    });
    let marked = RwSignal::new(None::<Range<usize>>);
    let sentence = move || {
        content.with(|content| match content {
            Content::Fields { sentence, .. }
            | Content::Text { sentence, .. }
            | Content::Bytes { sentence } => sentence.clone(),
        })
    };
    let is_broken = move || content.with(|content| !record::blamed(content, n_bytes).is_empty());
    let body = move || {
        content.with(|content| match content {
        Content::Fields { decoded, .. } => view! { <Fields fields=decoded.fields.clone() marked /> }.into_any(),
        Content::Text { text, .. } => view! { <pre class="letter-text" tabindex="0" role="region" aria-label="Text">{text.clone()}</pre> }.into_any(),
        Content::Bytes { .. } => ().into_any(),
    })
    };
    let beside = NodeRef::<html::Div>::new();
    let size = follow_size(beside);
    let per_line = Memo::new(move |_| {
        let fits = bytes::line_letters(16) as f64 * LETTER + AROUND <= size.get().0;
        if fits { 16 } else { 8 }
    });
    let pieces = move || {
        let marked = marked.get();
        let range = marked.unwrap_or_else(|| content.with(|content| record::blamed(content, n_bytes)));
        let piece = |piece: bytes::Piece| match piece.is_marked {
            true => view! { <mark>{piece.text}</mark> }.into_any(),
            false => piece.text.into_any(),
        };
        payload
            .with_value(|payload| bytes::dump(payload, per_line.get(), range))
            .into_iter()
            .map(piece)
            .collect_view()
    };
    view! {
        <div class="letter-content">
            <h3>"Content"</h3>
            <p class="message" class:broken=is_broken data-testid="letter-end" hidden=Signal::derive(move || sentence().is_empty())>{sentence}</p>
            <div class="letter-panes">
                <div data-testid="letter-fields">{body}</div>
                <div node_ref=beside>
                    <pre class="dump" tabindex="0" role="region" aria-label="Bytes" data-testid="letter-bytes">{pieces}</pre>
                    <p class="quiet" hidden=bytes::cut_sentence(n_bytes).is_none()>{bytes::cut_sentence(n_bytes)}</p>
                    <CopyButton label="Copy the bytes as hex" text=move |()| payload.with_value(|payload| bytes::hex(payload)) testid="letter-copy-hex" />
                </div>
            </div>
        </div>
    }
}

#[component]
fn Fields(fields: Vec<Field>, marked: RwSignal<Option<Range<usize>>>) -> impl IntoView {
    let line = move |field: Field| {
        let (of_pointer, of_focus) = (field.bytes.clone(), field.bytes.clone());
        view! {
            <tr
                tabindex="0"
                on:pointerenter=move |_| marked.set(Some(of_pointer.clone()))
                on:focus=move |_| marked.set(Some(of_focus.clone()))
                on:pointerleave=move |_| marked.set(None)
                on:blur=move |_| marked.set(None)
            >
                <th scope="row">
                    {field.path}
                    <span class="type">{field.type_name}</span>
                </th>
                <td class="value figure">{field.text}</td>
            </tr>
        }
    };
    let is_empty = fields.is_empty();
    view! {
        <div class="scroll">
            <table class="fields" hidden=is_empty>
                <caption class="unseen">"Fields. Pointing at one marks its bytes."</caption>
                <tbody>{fields.into_iter().map(line).collect_view()}</tbody>
            </table>
        </div>
    }
}
