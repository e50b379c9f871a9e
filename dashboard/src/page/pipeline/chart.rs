//! The live chart of the chosen pipeline with its legend: the canvas, the pointer on it, and which series stand out.

use leptos::html;
use leptos::prelude::*;

use crate::chart::frame::Frame;
use crate::chart::legend::{self, Entry};
use crate::chart::paint::{self, Emphasis};
use crate::chart::series::{self, ChartData, Slots};
use crate::page::shell::{Live, Theme};
use crate::page::size::follow_size;
use crate::view::zone::Zone;

/// What the pointer needs to know of the last painting.
type Painted = StoredValue<Option<Frame>, LocalStorage>;

#[component]
pub(super) fn Chart(
    live: Live,
    theme: Theme,
    zone: Memo<Zone>,
    name: Memo<String>,
    measure: Memo<Option<String>>,
) -> impl IntoView {
    let slots = StoredValue::new(Slots::default());
    let data = Memo::new(move |_| {
        let measure = measure.get()?;
        live.read(|store| {
            let table = name.with(|name| store.table(name))?;
            slots.try_update_value(|slots| series::build(table, &measure, slots))?
        })
    });
    let emphasis = Emphasis { hovered: RwSignal::new(None), isolated: RwSignal::new(None) };
    Effect::new(move |_| {
        name.track();
        emphasis.isolated.set(None);
        emphasis.hovered.set(None);
    });
    let canvas = NodeRef::<html::Canvas>::new();
    let painted: Painted = StoredValue::new_local(None);
    let size = follow_size(canvas);
    Effect::new(move |_| {
        let (width, height) = size.get();
        theme.is_dark();
        let Some(canvas) = canvas.get() else { return };
        let frame = data.with(|data| {
            let data = data.as_ref()?;
            let (hovered, isolated) = (emphasis.hovered.get(), emphasis.isolated.get());
            zone.with(|zone| paint::paint(&canvas, data, width, height, hovered, isolated, zone))
        });
        painted.set_value(frame);
    });
    let hover = move |event: web_sys::PointerEvent| {
        let place = f64::from(event.offset_x());
        let hit = data.with_untracked(|data| {
            let data = data.as_ref()?;
            painted.with_value(|frame| frame.as_ref()?.hit(data, place))
        });
        if emphasis.hovered.get_untracked() != hit {
            emphasis.hovered.set(hit);
        }
    };
    let label = move || {
        let name = name.get();
        let measure = measure.get().unwrap_or_default();
        format!("{measure} of {name} by window; the table of newest rows has the same numbers")
    };
    let nothing_to_draw = move || measure.with(Option::is_none);
    view! {
        <figure class="chart">
            <p class="message" hidden=Signal::derive(move || !nothing_to_draw())>"No column of this pipeline is a number, so there is nothing to draw."</p>
            <canvas
                node_ref=canvas
                data-testid="chart"
                role="img"
                aria-label=label
                hidden=nothing_to_draw
                on:pointermove=hover
                on:pointerdown=hover
                on:pointerleave=move |_| emphasis.hovered.set(None)
            ></canvas>
            <Legend data zone emphasis />
        </figure>
    }
}

/// Each series with its mark and its value in the window under the pointer, else in the newest complete one. A click
/// isolates a series.
#[component]
fn Legend(data: Memo<Option<ChartData>>, zone: Memo<Zone>, emphasis: Emphasis) -> impl IntoView {
    let legend = Memo::new(move |_| {
        let hovered = emphasis.hovered.get();
        let legend = |data: &ChartData| zone.with(|zone| legend::legend(data, hovered, zone));
        data.with(|data| data.as_ref().map(legend).unwrap_or_default())
    });
    let window = move || legend.with(|legend| legend.window.clone());
    let labels = Memo::new(move |_| {
        legend.with(|legend| {
            legend.entries.iter().map(|entry| (entry.label.clone(), entry.slot)).collect::<Vec<_>>()
        })
    });
    view! {
        <figcaption class="legend">
            <p class="legend-head figure" data-testid="legend-window">{window}</p>
            <ul>
                <For
                    each=move || labels.get()
                    key=Clone::clone
                    children=move |(label, mark)| view! { <LegendEntry legend label mark emphasis /> }
                />
            </ul>
            <p class="quiet">{Signal::derive(move || legend.with(|legend| legend.note.clone()))}</p>
        </figcaption>
    }
}

#[component]
fn LegendEntry(
    legend: Memo<legend::Legend>,
    label: String,
    mark: usize,
    emphasis: Emphasis,
) -> impl IntoView {
    let isolated = emphasis.isolated;
    let value = {
        let label = label.clone();
        let of = move |entries: &[Entry]| {
            entries.iter().find(|entry| entry.label == label).map(|entry| entry.value.clone())
        };
        move || legend.with(|legend| of(&legend.entries))
    };
    let is_isolated = {
        let label = label.clone();
        move || isolated.with(|isolated| isolated.as_ref() == Some(&label))
    };
    let pressed = is_isolated.clone();
    let is_faded = {
        let is_isolated = is_isolated.clone();
        move || isolated.with(Option::is_some) && !is_isolated()
    };
    let toggle = {
        let label = label.clone();
        move |_| isolated.set(if is_isolated() { None } else { Some(label.clone()) })
    };
    view! {
        <li class:faded=is_faded>
            <button
                type="button"
                class="plain"
                aria-pressed=Signal::derive(move || if pressed() { "true" } else { "false" })
                on:click=toggle
            >
                <svg class=format!("swatch series-{mark}") viewBox="-6 -6 12 12" aria-hidden="true">
                    <path d=legend::mark_path(mark) />
                </svg>
                <span class="label">{label.clone()}</span>
                <span class="value figure">{value}</span>
            </button>
        </li>
    }
}
