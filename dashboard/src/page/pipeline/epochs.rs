//! The newest epochs as three strips, with what the pointer is on in words.

use leptos::html;
use leptos::prelude::*;

use crate::page::shell::{Live, sql_again};
use crate::view::epochs::{self, HEIGHT, WIDTH};
use crate::view::zone::Zone;

#[component]
pub(super) fn Epochs(live: Live, zone: Memo<Zone>, name: Memo<String>) -> impl IntoView {
    let answer = sql_again(live, 1.0, Memo::new(move |_| name.with(|name| epochs::query(name))));
    let list = Memo::new(move |_| answer.with(|answer| answer.map(epochs::read)));
    let strips = Memo::new(move |_| list.with(|list| epochs::strips(list.as_deref().unwrap_or_default())));
    let hovered = RwSignal::new(None::<usize>);
    let field = NodeRef::<html::Div>::new();
    let hover = move |event: web_sys::PointerEvent| {
        let Some(field) = field.get_untracked() else { return };
        let bounds = field.get_bounding_client_rect();
        let share = (f64::from(event.client_x()) - bounds.left()) / bounds.width().max(1.0);
        hovered.set(list.with_untracked(|list| epochs::hit(list.as_ref().map_or(0, Vec::len), share)));
    };
    let sentence = Signal::derive(move || match (answer.failure(), list.get()) {
        (Some(reason), _) => format!("The epochs can't be shown: {reason}."),
        (None, None) => "Asking the server.".to_owned(),
        (None, Some(list)) => match hovered.get().and_then(|at| list.get(at)) {
            Some(epoch) => zone.with(|zone| epochs::readout(epoch, zone)),
            None => epochs::summary(&list),
        },
    });
    let strip = move |at: usize| {
        let part = move |part: fn(&epochs::Strip) -> String| {
            Signal::derive(move || strips.with(|strips| part(&strips[at])))
        };
        view! {
            <div class="strip">
                <p class="quiet">{part(|strip| strip.name.to_owned())}</p>
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" aria-hidden="true">
                    <path d=part(|strip| strip.path.clone()) />
                </svg>
                <p class="quiet figure num">{part(|strip| strip.top.clone())}</p>
            </div>
        }
    };
    view! {
        <section class="epochs" aria-labelledby="epochs">
            <div class="section-head">
                <h2 id="epochs">"Epochs"</h2>
            </div>
            <p class="answer figure" data-testid="epochs">{sentence}</p>
            <div class="strips" hidden=move || list.with(|list| list.as_ref().is_none_or(Vec::is_empty)) on:pointermove=hover on:pointerleave=move |_| hovered.set(None)>
                {[0, 1, 2].map(strip).collect_view()}
                <div class="field" node_ref=field></div>
            </div>
        </section>
    }
}
