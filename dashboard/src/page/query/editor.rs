//! The field in which queries are written: CodeMirror, once it is loaded, and a plain field until then and where it
//! can't be.
//!
//! `dashboard/editor` is the other side: what is called here is defined there.

use js_sys::futures::JsFuture;
use js_sys::{Function, Object, Promise, Reflect};
use leptos::html;
use leptos::prelude::*;
use serde::Serialize;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};

use super::catalog::Tables;
use super::desk::Desk;
use crate::page::shell::Route;
use crate::view::complete;
use crate::view::query;

/// What the editor is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Put the cursor there, in UTF-16 units.
    GoTo(u32),
    /// Write a text where the cursor is.
    Insert(String),
}

/// The mounted editor, and what it calls, which must live as long.
struct Mounted {
    handle: JsValue,
    _calls: Vec<Closure<dyn FnMut(JsValue, JsValue) -> JsValue>>,
}

impl Mounted {
    fn call(&self, name: &str, arguments: &[JsValue]) {
        let method =
            Reflect::get(&self.handle, &name.into()).ok().and_then(|it| it.dyn_into::<Function>().ok());
        if let Some(method) = method {
            let arguments: js_sys::Array = arguments.iter().collect();
            // A mistake in there is in the console; the page goes on.
            drop(method.apply(&self.handle, &arguments));
        }
    }
}

#[component]
pub(super) fn Editor(
    desk: Desk,
    route: Route,
    tables: Tables,
    wish: RwSignal<Option<Wish>>,
) -> impl IntoView {
    let host = NodeRef::<html::Div>::new();
    let field = NodeRef::<html::Textarea>::new();
    let mounted = StoredValue::new_local(None::<Mounted>);
    let is_mounted = RwSignal::new(false);
    Effect::new(move |_| {
        let Some(host) = host.get() else { return };
        js_sys::futures::spawn_local(async move {
            let Some(editor) = mount(&host, desk, route, tables).await else { return };
            let had_focus =
                field.get_untracked().is_some_and(|field| document().active_element() == Some(field.into()));
            // The page may be gone by now.
            if mounted.try_set_value(Some(editor)).is_none() {
                is_mounted.set(true);
                if had_focus {
                    wish.set(Some(Wish::GoTo(u32::MAX)));
                }
            }
        });
    });
    follow(desk, wish, field, mounted, is_mounted);
    let on_key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
            event.prevent_default();
            desk.start(route);
        }
    };
    view! {
        <div>
            {move || (!is_mounted.get()).then(|| view! {
                <textarea
                    data-testid="sql-input"
                    aria-label="Query"
                    node_ref=field
                    rows="5"
                    spellcheck="false"
                    autocomplete="off"
                    autocapitalize="off"
                    prop:value=Signal::derive(move || desk.text.get())
                    on:input=move |event| desk.text.set(event_target_value(&event))
                    on:keydown=on_key
                ></textarea>
            })}
            <div node_ref=host class="codemirror" hidden=Signal::derive(move || !is_mounted.get()) data-testid="sql-editor"></div>
        </div>
    }
}

/// Tells the editor what changes elsewhere: the text, what is wrong with it, what it is to do.
fn follow(
    desk: Desk,
    wish: RwSignal<Option<Wish>>,
    field: NodeRef<html::Textarea>,
    mounted: StoredValue<Option<Mounted>, LocalStorage>,
    is_mounted: RwSignal<bool>,
) {
    let with = move |call: &dyn Fn(&Mounted)| mounted.with_value(|mounted| mounted.iter().for_each(call));
    on_cleanup(move || with(&|editor| editor.call("destroy", &[])));
    Effect::new(move |_| {
        is_mounted.track();
        let text = JsValue::from_str(&desk.text.get());
        with(&|editor| editor.call("setText", std::slice::from_ref(&text)));
    });
    Effect::new(move |_| {
        is_mounted.track();
        let (from, to) = desk.wrong.with(|wrong| underlined(wrong.as_ref()?, desk)).unwrap_or((0, 0));
        with(&|editor| editor.call("setProblem", &[from.into(), to.into()]));
    });
    Effect::new(move |_| {
        let Some(wished) = wish.get() else { return };
        match (is_mounted.get_untracked(), field.get_untracked(), wished) {
            (true, _, Wish::GoTo(at)) => with(&|editor| editor.call("focusAt", &[at.into()])),
            (true, _, Wish::Insert(text)) => {
                let text = JsValue::from_str(&text);
                with(&|editor| editor.call("insert", std::slice::from_ref(&text)));
            }
            // Refused only for a field that has no selection, which this one has.
            (false, Some(field), Wish::GoTo(at)) => {
                drop(field.focus().and_then(|()| field.set_selection_range(at, at)));
            }
            (false, _, Wish::Insert(text)) => desk.text.update(|before| *before += &text),
            (false, None, Wish::GoTo(_)) => {}
        }
    });
}

/// Where the query that is written is wrong, if it is the one that was.
fn underlined(wrong: &super::desk::Wrong, desk: Desk) -> Option<(u32, u32)> {
    let problem = wrong.problem()?;
    let is_same = desk.text.with_untracked(|text| *text == wrong.query);
    is_same.then(|| query::underlined(&wrong.query, problem.line?, problem.column?)).flatten()
}

/// Loads the editor and puts it into `host`; `None` where it can't be loaded.
async fn mount(host: &web_sys::HtmlElement, desk: Desk, route: Route, tables: Tables) -> Option<Mounted> {
    // Defined by boot.js: a program can't name a module whose file's name has a hash.
    let load: Function = Reflect::get(&js_sys::global(), &"weirEditor".into()).ok()?.dyn_into().ok()?;
    let loading: Promise = load.call0(&JsValue::NULL).ok()?.dyn_into().ok()?;
    let module = JsFuture::from(loading).await.ok()?;
    let mount: Function = Reflect::get(&module, &"mount".into()).ok()?.dyn_into().ok()?;
    let page = Object::new();
    let set = |name: &str, value: &JsValue| Reflect::set(&page, &name.into(), value).ok();
    let text = desk.text.try_get_untracked()?;
    set("text", &JsValue::from_str(&text))?;
    set("label", &JsValue::from_str("Query"))?;
    let changed = Closure::<dyn FnMut(JsValue, JsValue) -> JsValue>::new(move |text: JsValue, _| {
        if let Some(text) = text.as_string()
            && desk.text.with_untracked(|before| *before != text)
        {
            desk.text.set(text);
        }
        JsValue::UNDEFINED
    });
    let run = Closure::<dyn FnMut(JsValue, JsValue) -> JsValue>::new(move |_, _| {
        desk.start(route);
        JsValue::UNDEFINED
    });
    let offered =
        Closure::<dyn FnMut(JsValue, JsValue) -> JsValue>::new(move |text: JsValue, at: JsValue| {
            // Places are far below what a double holds exactly.
            let (Some(text), Some(at)) = (text.as_string(), at.as_f64()) else { return JsValue::NULL };
            let completion =
                tables.catalog.with_untracked(|catalog| complete::complete(&text, at as usize, catalog));
            completion.and_then(|completion| to_js(&completion)).unwrap_or(JsValue::NULL)
        });
    set("changed", changed.as_ref())?;
    set("run", run.as_ref())?;
    set("complete", offered.as_ref())?;
    let handle = mount.call2(&JsValue::NULL, host, &page).ok()?;
    Some(Mounted { handle, _calls: vec![changed, run, offered] })
}

fn to_js(value: &impl Serialize) -> Option<JsValue> {
    js_sys::JSON::parse(&serde_json::to_string(value).ok()?).ok()
}
