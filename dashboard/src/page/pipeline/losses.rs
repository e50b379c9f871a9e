//! Late rows and dead letters over the last hour, by reason.

use leptos::prelude::*;
use weir_api::SqlResponse;

use crate::page::shell::{Live, Route, sql_again};
use crate::view::address::Page;
use crate::view::losses::{self, HEIGHT, Losses, MINUTES};
use crate::view::zone::Zone;

#[component]
pub(super) fn LossesOf(live: Live, route: Route, zone: Memo<Zone>, name: Memo<String>) -> impl IntoView {
    let answer = sql_again(live, 10.0, Memo::new(move |_| name.with(|name| losses::query(name))));
    let strips = Memo::new(move |_| {
        let now_ms = live.now_ms();
        let strips = |answer: &SqlResponse| zone.with(|zone| losses::strips(answer, now_ms, zone));
        answer.with(|answer| answer.map(strips))
    });
    let sentence = Signal::derive(move || {
        match (answer.failure(), strips.with(|strips| strips.as_ref().map(Vec::len))) {
            (Some(reason), _) => Some(format!("Dead letters can't be shown: {reason}.")),
            (None, None) => Some("Asking the server.".to_owned()),
            (None, Some(0)) => Some("None: every record so far could be used, and none was late.".to_owned()),
            (None, Some(_)) => None,
        }
    });
    let link = move |reason: Option<String>| {
        route.link(|address| {
            *address = address.at(Page::Letters);
            // All that are kept are counted here.
            address.range = None;
            address.letters.pipeline = Some(name.get());
            address.letters.reason = reason;
        })
    };
    let line = move |losses: Losses| {
        let reason = losses.reason.clone();
        view! {
            <tr>
                <th scope="row">
                    <a href=Signal::derive(move || link(Some(reason.clone())))>{losses.reason}</a>
                </th>
                <td class="losses-strip" aria-hidden="true">
                    <svg viewBox=format!("0 0 {MINUTES} {HEIGHT}") preserveAspectRatio="none">
                        <path d=losses.path />
                    </svg>
                </td>
                <td class="num figure">{losses.total}</td>
                <td class="num figure">{losses.last}</td>
            </tr>
        }
    };
    view! {
        <section class="losses" aria-labelledby="losses" data-testid="losses">
            <div class="section-head">
                <h2 id="losses">"Late rows and dead letters"</h2>
                <a href=Signal::derive(move || link(None)) hidden=Signal::derive(move || sentence.with(Option::is_some))>"Look into them"</a>
            </div>
            <p class="message" hidden=Signal::derive(move || sentence.with(Option::is_none))>{sentence}</p>
            <table hidden=Signal::derive(move || sentence.with(Option::is_some))>
                <thead>
                    <tr>
                        <th scope="col">"Reason"</th>
                        <th scope="col">"Last hour"</th>
                        <th scope="col" class="num">"Kept"</th>
                        <th scope="col" class="num">"Newest"</th>
                    </tr>
                </thead>
                <tbody>{move || strips.get().unwrap_or_default().into_iter().map(line).collect_view()}</tbody>
            </table>
        </section>
    }
}
