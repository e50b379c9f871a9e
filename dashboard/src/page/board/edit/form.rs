//! The keys of one panel as fields; only those that its kind of chart knows.

use leptos::prelude::*;
use weir_api::{Aggregate, Panel};

use crate::chart::kind::{self, KINDS, Key};
use crate::chart::plotted::Axes;
use crate::page::board::Board;
use crate::protocol::time;
use crate::view::board::cells::is_time;
use crate::view::number::is_numeric;

const AGGREGATES: [(&str, Aggregate); 5] = [
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("count", Aggregate::Count),
];

/// Which columns fit a key.
#[derive(Clone, Copy, PartialEq)]
enum Fits {
    Any,
    Numbers,
    /// Times first.
    Axis,
}

#[component]
pub(super) fn Form(board: Board) -> impl IntoView {
    let draft = board.draft;
    let panel = Memo::new(move |_| {
        let at = draft.selected.get();
        draft.dashboard.with(|dashboard| dashboard.as_ref().and_then(|it| it.panels.get(at).cloned()))
    });
    let change =
        move |change: Box<dyn FnOnce(&mut Panel)>| draft.change_panel(draft.selected.get_untracked(), change);
    let pipelines = Memo::new(move |_| {
        board.live.read(|store| store.pipelines().iter().map(|it| it.name.clone()).collect::<Vec<_>>())
    });
    let words: Vec<String> = KINDS.iter().map(|kind| kind.word.to_owned()).collect();
    let text = move |label: &'static str,
                     hint: &'static str,
                     read: fn(&Panel) -> String,
                     write: fn(&mut Panel, String)| {
        let value = move || panel.with(|panel| panel.as_ref().map(read).unwrap_or_default());
        let typed = move |event| {
            let text = event_target_value(&event);
            change(Box::new(move |panel| write(panel, text)));
        };
        view! {
            <label>
                <span>{label}</span>
                <input type="text" placeholder=hint data-testid=format!("field-{}", label.to_lowercase()) prop:value=value on:change=typed />
            </label>
        }
    };
    view! {
        <div class="form-fields" data-testid="panel-form">
            {text("Title", "", |panel| panel.title.clone(), |panel, text| panel.title = text)}
            <Choice
                label="Pipeline"
                options=pipelines
                value=Signal::derive(move || panel.with(|panel| panel.as_ref().map(|it| it.pipeline.clone())))
                choose=Callback::new(move |name: Option<String>| {
                    change(Box::new(move |panel| {
                        panel.pipeline = name.unwrap_or_default();
                        (panel.x, panel.y, panel.series) = (None, None, None);
                    }));
                })
                may_be_none=false
            />
            <Choice
                label="Chart"
                options=Signal::stored(words)
                value=Signal::derive(move || panel.with(|panel| panel.as_ref().map(|it| kind::of(it.chart).word.to_owned())))
                choose=Callback::new(move |word: Option<String>| {
                    let chosen = KINDS.iter().find(|kind| Some(kind.word) == word.as_deref()).map(|kind| kind.chart);
                    change(Box::new(move |panel| {
                        panel.chart = chosen.unwrap_or(panel.chart);
                        propose(board, panel);
                    }));
                })
                may_be_none=false
            />
            <ColumnChoice board panel key=Key::X label="X" fits=Fits::Axis />
            <ColumnChoice board panel key=Key::Y label="Y" fits=Fits::Numbers />
            <ColumnChoice board panel key=Key::Series label="Series" fits=Fits::Any />
            <AggregateChoice board panel />
            {text("Last", "30m", |panel| panel.last.clone().unwrap_or_default(), |panel, text| panel.last = non_empty(text))}
            {move || takes(panel, Key::Unit).then(|| text("Unit", "EUR, ms, B", |panel| panel.unit.clone().unwrap_or_default(), |panel, text| panel.unit = non_empty(text)))}
            <Missing panel />
        </div>
    }
}

/// Fills a panel that names no column yet with those that its chart most likely shows.
fn propose(board: Board, panel: &mut Panel) {
    if panel.x.is_some() || panel.y.is_some() {
        return;
    }
    let axes = untrack(|| board.live.read(|store| Axes::guess(store.table(&panel.pipeline)?.columns())));
    if let Some(axes) = axes {
        (panel.x, panel.y, panel.series) = (Some(axes.x), Some(axes.y), panel.series.take().or(axes.series));
    }
}

/// What the server would refuse.
#[component]
fn Missing(panel: Memo<Option<Panel>>) -> impl IntoView {
    let missing = move || {
        let missing =
            panel.with(|panel| panel.as_ref().map(|panel| kind::fit(&mut panel.clone())).unwrap_or_default());
        let words: Vec<&str> = missing.into_iter().map(Key::word).collect();
        if words.is_empty() { String::new() } else { format!("Still to choose: {}.", words.join(", ")) }
    };
    let last_is_wrong = move || {
        panel.with(|panel| {
            let last = panel.as_ref().and_then(|panel| panel.last.as_deref());
            last.is_some_and(|last| time::parse_duration_ms(last).is_none_or(|last_ms| last_ms <= 0))
        })
    };
    view! {
        <p class="warn" role="status" data-testid="form-missing">
            {missing}
            {move || last_is_wrong().then_some(" Last is a duration such as 30s, 5m, 2h or 7d.")}
        </p>
    }
}

/// How the rows of one place become one number, where the kind of chart asks for it.
#[component]
fn AggregateChoice(board: Board, panel: Memo<Option<Panel>>) -> impl IntoView {
    let words: Vec<String> = AGGREGATES.iter().map(|(word, _)| (*word).to_owned()).collect();
    let options = Signal::stored(words);
    let value = Signal::derive(move || {
        panel.with(|panel| {
            let aggregate = panel.as_ref()?.aggregate?;
            AGGREGATES.iter().find(|(_, each)| *each == aggregate).map(|(word, _)| (*word).to_owned())
        })
    });
    let choose = Callback::new(move |word: Option<String>| {
        let chosen = AGGREGATES.iter().find(|(each, _)| Some(*each) == word.as_deref());
        let draft = board.draft;
        draft.change_panel(draft.selected.get_untracked(), |panel| {
            panel.aggregate = chosen.map(|(_, aggregate)| *aggregate);
        });
    });
    move || {
        let choice = || view! { <Choice label="Aggregate" options value choose may_be_none=true /> };
        takes(panel, Key::Aggregate).then(choice)
    }
}

fn non_empty(text: String) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn takes(panel: Memo<Option<Panel>>, key: Key) -> bool {
    panel.with(|panel| {
        panel.as_ref().is_some_and(|panel| {
            let kind = kind::of(panel.chart);
            kind.needs.contains(&key) || kind.takes.contains(&key)
        })
    })
}

/// A column of the panel's pipeline, where the kind of chart has a use for it.
#[component]
fn ColumnChoice(
    board: Board,
    panel: Memo<Option<Panel>>,
    key: Key,
    label: &'static str,
    fits: Fits,
) -> impl IntoView {
    let columns = Memo::new(move |_| {
        panel.with(|panel| {
            let panel = panel.as_ref()?;
            board.live.read(|store| {
                let columns =
                    store.table(&panel.pipeline)?.columns().iter().filter(|column| column.name != "_final");
                let columns = columns.filter(|column| fits != Fits::Numbers || is_numeric(column));
                let (times, others): (Vec<_>, Vec<_>) =
                    columns.partition(|column| fits == Fits::Axis && is_time(column));
                Some(times.into_iter().chain(others).map(|column| column.name.clone()).collect::<Vec<_>>())
            })
        })
    });
    let options = Signal::derive(move || columns.get().unwrap_or_default());
    let value = Signal::derive(move || {
        panel.with(|panel| {
            let panel = panel.as_ref()?;
            match key {
                Key::X => panel.x.clone(),
                Key::Y => panel.y.clone(),
                Key::Series => panel.series.clone(),
                Key::Aggregate | Key::Unit => None,
            }
        })
    });
    let choose = Callback::new(move |name: Option<String>| {
        let draft = board.draft;
        draft.change_panel(draft.selected.get_untracked(), |panel| match key {
            Key::X => panel.x = name,
            Key::Y => panel.y = name,
            Key::Series => panel.series = name,
            Key::Aggregate | Key::Unit => {}
        });
    });
    move || takes(panel, key).then(|| view! { <Choice label options value choose may_be_none=true /> })
}

/// One of some words. A value that is not among them, such as a column that is gone, is shown too.
#[component]
fn Choice(
    label: &'static str,
    #[prop(into)] options: Signal<Vec<String>>,
    value: Signal<Option<String>>,
    choose: Callback<Option<String>>,
    may_be_none: bool,
) -> impl IntoView {
    let all = Memo::new(move |_| {
        let mut all = options.get();
        all.extend(value.get().filter(|value| !all.contains(value)));
        all
    });
    let option = move |name: String| {
        let is_chosen = {
            let name = name.clone();
            move || value.with(|value| value.as_ref() == Some(&name))
        };
        view! { <option value=name.clone() selected=is_chosen>{name.clone()}</option> }
    };
    let chosen = move |event| {
        let name = event_target_value(&event);
        choose.run(Some(name).filter(|name| !name.is_empty()));
    };
    view! {
        <label>
            <span>{label}</span>
            <select data-testid=format!("field-{}", label.to_lowercase()) on:change=chosen>
                {may_be_none.then(|| view! { <option value="" selected=move || value.with(Option::is_none)>"–"</option> })}
                {move || all.get().into_iter().map(option).collect_view()}
            </select>
        </label>
    }
}
