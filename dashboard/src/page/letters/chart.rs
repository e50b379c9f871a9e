//! When they came: stacked bars over time. A click, or Enter, goes into the time of a bar.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use crate::page::shell::{Live, Route, sql_again};
use crate::view::address::Range;
use crate::view::letters::Choice;
use crate::view::letters::summary::{self, Bar, Bars, Counts, HEIGHT, WIDTH};
use crate::view::zone::Zone;

#[component]
pub(super) fn Chart(
    live: Live,
    route: Route,
    zone: Memo<Zone>,
    choice: Memo<Choice>,
    range: Memo<Option<Range>>,
    counts: Memo<Option<Counts>>,
) -> impl IntoView {
    let span = Memo::new(move |_| {
        let now_ms = live.now_ms();
        counts.with(|counts| counts.as_ref()?.span(range.get(), now_ms))
    });
    let step = Memo::new(move |_| span.get().map(|span| span.step));
    let query = Memo::new(move |_| match step.get() {
        Some(step) => choice.with(|choice| summary::bars_query(choice, range.get(), step)),
        None => String::new(),
    });
    let answer = sql_again(live, 5.0, query);
    // The last picture stays while the next one is asked for.
    let bars = Memo::new(move |before: Option<&Bars>| {
        let now = answer.with(|answer| {
            let (answer, span) = (answer?, span.get()?);
            Some(zone.with(|zone| summary::bars(answer, span, zone)))
        });
        now.or_else(|| before.cloned()).unwrap_or_default()
    });
    let pointer = Pointer { route, bars, at: RwSignal::new(None) };
    let pointed = pointer.at;
    let paths = move || {
        let path =
            |(slot, path): (usize, String)| view! { <path class=format!("bar reason-{slot}") d=path /> };
        bars.with(|bars| bars.paths.clone()).into_iter().map(path).collect_view()
    };
    let last = move || bars.with(|bars| bars.bars.len().saturating_sub(1).to_string());
    view! {
        <figure class="letters-chart" hidden=Signal::derive(move || bars.with(|bars| bars.bars.is_empty()))>
            <p class="most figure" aria-hidden="true">{move || bars.with(|bars| bars.most.clone())}</p>
            <div
                class="plot"
                role="slider"
                tabindex="0"
                data-testid="letters-chart"
                aria-label="Time of dead letters. Arrows choose a bar, Enter goes into its time"
                aria-valuemin="0"
                aria-valuemax=last
                aria-valuenow=move || pointed.get().unwrap_or(0).to_string()
                aria-valuetext=move || pointer.caption()
                on:pointermove=move |event| pointer.follow(&event)
                on:pointerdown=move |event| pointer.follow(&event)
                on:pointerleave=move |_| pointed.set(None)
                on:click=move |_| pointer.go()
                on:keydown=move |event| pointer.on_key(&event)
            >
                <svg viewBox=format!("0 0 {WIDTH} {HEIGHT}") preserveAspectRatio="none" aria-hidden="true">
                    <path class="pointed" d=move || pointer.mark() />
                    {paths}
                </svg>
            </div>
            <figcaption class="figure">
                <span>{move || bars.with(|bars| bars.from.clone())}</span>
                <span class="caption" data-testid="letters-caption">{move || pointer.caption()}</span>
                <span>{move || bars.with(|bars| bars.to.clone())}</span>
            </figcaption>
        </figure>
    }
}

/// The bar that the pointer or the arrows are on; copies are the same.
#[derive(Clone, Copy)]
struct Pointer {
    route: Route,
    bars: Memo<Bars>,
    at: RwSignal<Option<usize>>,
}

impl Pointer {
    fn with<T>(self, read: impl FnOnce(Option<&Bar>) -> T) -> T {
        let at = self.at.get();
        self.bars.with(|bars| read(at.and_then(|at| bars.bars.get(at))))
    }

    fn caption(self) -> String {
        let step = move || self.bars.with(|bars| bars.step.clone());
        self.with(|bar| bar.map(|bar| bar.text.clone())).unwrap_or_else(step)
    }

    /// The outline of the bar's stretch.
    fn mark(self) -> Option<String> {
        self.with(|bar| {
            bar.map(|bar| format!("M{:.2} 0h{:.2}V{HEIGHT}h{:.2}z", bar.left, bar.width, -bar.width))
        })
    }

    /// Goes into the time of the bar.
    fn go(self) {
        let stretch =
            untrack(|| self.with(|bar| bar.map(|bar| Range::Between { from: bar.from, to: bar.to })));
        if let Some(stretch) = stretch {
            self.route.go(|address| {
                address.range = Some(stretch);
                address.letters.place = None;
            });
            self.at.set(None);
        }
    }

    fn follow(self, event: &web_sys::PointerEvent) {
        let target = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let width = target.map_or(0.0, |target| target.get_bounding_client_rect().width());
        let at = self.bars.with_untracked(|bars| bars.at(f64::from(event.offset_x()) / width.max(1.0)));
        if self.at.get_untracked() != at {
            self.at.set(at);
        }
    }

    fn on_key(self, event: &web_sys::KeyboardEvent) {
        let n_bars = self.bars.with_untracked(|bars| bars.bars.len());
        let at = self.at.get_untracked();
        match event.key().as_str() {
            "ArrowLeft" => self.at.set(at.unwrap_or(n_bars).checked_sub(1)),
            "ArrowRight" => self.at.set(Some(at.map_or(0, |at| at + 1)).filter(|at| *at < n_bars)),
            "Escape" => self.at.set(None),
            "Enter" | " " => self.go(),
            _ => return,
        }
        event.prevent_default();
    }
}
