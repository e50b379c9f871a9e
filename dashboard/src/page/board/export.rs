//! Files that the browser saves: a panel's numbers and its picture.

use js_sys::Array;
use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, HtmlCanvasElement, Url};

use super::panel::{Content, Source};
use super::plot::drawing;
use crate::chart::legend::legend;
use crate::chart::paint::paint_picture;
use crate::chart::picture::picture;

/// Saves a text as a file.
pub(super) fn save(name: &str, media_type: &str, text: &str) {
    let options = BlobPropertyBag::new();
    options.set_type(media_type);
    let parts = Array::of1(&JsValue::from_str(text));
    let Ok(blob) = Blob::new_with_str_sequence_and_options(&parts, &options) else { return };
    let Ok(url) = Url::create_object_url_with_blob(&blob) else { return };
    offer(name, &url);
    // The browser holds what it saves; a name that is not known any more costs nothing.
    drop(Url::revoke_object_url(&url));
}

/// Saves a panel's chart as a picture, with its title, how complete it is, and its series.
pub(super) fn save_png(source: Source, content: Memo<Content>, title: &str, complete: &str) {
    let selector = format!("[data-testid=panel-{}] canvas", source.at + 1);
    let found = document().query_selector(&selector).ok().flatten();
    let Some(canvas) = found.and_then(|found| found.dyn_into::<HtmlCanvasElement>().ok()) else { return };
    let size = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
    let Some(drawing) = untrack(|| drawing(source, content, size.0, size.1)) else { return };
    let said =
        untrack(|| content.with(|content| source.board.zone.with(|zone| legend(&content.data, None, zone))));
    let under = format!("{complete}; values: {}", said.window);
    let (picture, width, height) = picture(title, &under, &said, drawing, size);
    let made =
        document().create_element("canvas").ok().and_then(|made| made.dyn_into::<HtmlCanvasElement>().ok());
    let Some(made) = made else { return };
    paint_picture(&made, &canvas, &picture, width, height);
    if let Ok(url) = made.to_data_url() {
        offer(&file_name(title, "png"), &url);
    }
}

/// `revenue-by-country.csv`
pub(super) fn file_name(title: &str, ending: &str) -> String {
    let letters =
        title.chars().map(|letter| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' });
    let words: String = letters.collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    format!("{}.{ending}", if words.is_empty() { "panel".to_owned() } else { words.join("-") })
}

/// Puts a text into the clipboard; `false` where the browser lets nobody write there: over plain HTTP from another machine.
pub(super) fn copy(text: &str) -> bool {
    write_clipboard(text).is_some()
}

fn write_clipboard(text: &str) -> Option<()> {
    let member = |object: &JsValue, name: &str| {
        js_sys::Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
    };
    let clipboard = member(&member(&window(), "navigator")?, "clipboard")?;
    let write: js_sys::Function = member(&clipboard, "writeText")?.dyn_into().ok()?;
    let promise: js_sys::Promise = write.call1(&clipboard, &text.into()).ok()?.dyn_into().ok()?;
    // What is refused later is only a copy that is not there.
    js_sys::futures::spawn_local(async move { drop(js_sys::futures::JsFuture::from(promise).await) });
    Some(())
}

fn offer(name: &str, url: &str) {
    let made = document().create_element("a").ok().and_then(|made| made.dyn_into::<HtmlAnchorElement>().ok());
    let Some(link) = made else { return };
    link.set_href(url);
    link.set_download(name);
    link.click();
}
