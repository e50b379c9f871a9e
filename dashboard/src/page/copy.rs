//! To the clipboard, and to files of the person's machine.

use js_sys::futures::JsFuture;
use js_sys::{Array, Reflect};
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, HtmlDocument, HtmlTextAreaElement, Url};

/// How long a button says that it has copied.
const SAID: std::time::Duration = std::time::Duration::from_millis(1_600);

/// Copies a text. Whether it could.
pub(super) async fn copy(text: String) -> bool {
    // Browsers have it on HTTPS and on loopback only.
    let clipboard = Reflect::get(&window().navigator(), &"clipboard".into()).unwrap_or(JsValue::UNDEFINED);
    if !clipboard.is_undefined()
        && JsFuture::from(window().navigator().clipboard().write_text(&text)).await.is_ok()
    {
        return true;
    }
    copy_by_selection(&text).unwrap_or(false)
}

/// The old way: a field with the text, selected.
fn copy_by_selection(text: &str) -> Option<bool> {
    let document = document();
    let before = document.active_element();
    let field: HtmlTextAreaElement = document.create_element("textarea").ok()?.dyn_into().ok()?;
    field.set_class_name("unseen");
    field.set_value(text);
    document.body()?.append_child(&field).ok()?;
    field.select();
    let copied = document.dyn_into::<HtmlDocument>().ok()?.exec_command("copy").unwrap_or(false);
    field.remove();
    if let Some(before) = before.and_then(|before| before.dyn_into::<web_sys::HtmlElement>().ok()) {
        // The focus goes back where it was; nothing is lost where it can't.
        drop(before.focus());
    }
    Some(copied)
}

/// Hands bytes to the browser as a file to keep; it says itself what became of it.
pub(super) fn save(name: &str, media_type: &str, bytes: &[u8]) {
    if hand_over(name, media_type, bytes).is_none() {
        web_sys::console::error_1(&format!("{name} could not be handed to the browser").into());
    }
}

fn hand_over(name: &str, media_type: &str, bytes: &[u8]) -> Option<()> {
    let parts = Array::of1(&js_sys::Uint8Array::from(bytes));
    let kind = BlobPropertyBag::new();
    kind.set_type(media_type);
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &kind).ok()?;
    let url = Url::create_object_url_with_blob(&blob).ok()?;
    let link: HtmlAnchorElement = document().create_element("a").ok()?.dyn_into().ok()?;
    link.set_href(&url);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&url).ok()
}

/// A button that copies what `text` gives when it is pressed, and says so.
#[component]
pub(super) fn CopyButton(
    label: &'static str,
    #[prop(into)] text: Callback<(), String>,
    #[prop(optional)] testid: &'static str,
) -> impl IntoView {
    let said = RwSignal::new(None::<bool>);
    let press = move |_| {
        let text = text.run(());
        js_sys::futures::spawn_local(async move {
            let copied = copy(text).await;
            // The button may be gone by now.
            if said.try_set(Some(copied)).is_none() {
                set_timeout(move || said.update(|said| *said = None), SAID);
            }
        });
    };
    let shown = move || match said.get() {
        None => label,
        Some(true) => "Copied",
        Some(false) => "Can't copy here",
    };
    view! {
        <button type="button" class="small" data-testid=testid on:click=press>
            <span aria-live="polite">{shown}</span>
        </button>
    }
}
