//! One panel: its rows, what they come to, and the box around them.

use std::sync::Arc;

use leptos::prelude::*;
use weir_api::Panel;

use super::Board;
use super::asked::{Asked, ask};
use super::edit::{ResizeGrip, Strip};
use super::figure::Figure;
use super::legend::Legend;
use super::menu::Menu;
use super::plot::Plot;
use super::rows::Rows;
use super::until::Until;
use crate::chart::gather::gather;
use crate::chart::kind::{self, Way};
use crate::chart::series::{ChartData, Slots};
use crate::store::table::Table;
use crate::view::address::{Page, Range};
use crate::view::board::cells::Columns;
use crate::view::board::figure::{self, FigureView};
use crate::view::board::grid::{Grid, grid};
use crate::view::board::shown;
use crate::view::board::span::{last_ms, of_panel};
use crate::view::board::state::{Shown, Stage, State, state};
use crate::view::board::unit::Unit;

/// A panel and where its rows are; copies are the same.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) board: Board,
    pub(super) at: usize,
    pub(super) panel: Memo<Option<Panel>>,
    /// What tells that the stream's rows are other ones: epochs of other pipelines cost this panel nothing.
    version: Memo<Option<(u64, Option<i64>, i64, usize)>>,
    /// The rows of a stretch of time that was chosen.
    answered: Memo<Option<Arc<Table>>>,
    asked: Asked,
}

impl Source {
    fn new(board: Board, at: usize) -> Self {
        let panel = Memo::new(move |_| {
            board.dashboard.with(|dashboard| dashboard.as_ref().and_then(|it| it.panels.get(at).cloned()))
        });
        let of_live = move |read: fn(&Panel, &Table, Option<Range>) -> Option<String>| {
            panel.with(|panel| {
                let panel = panel.as_ref()?;
                let chosen = of_panel(panel, board.chosen.get());
                board.live.read(|store| read(panel, store.table(&panel.pipeline)?, chosen))
            })
        };
        let question = Memo::new(move |_| of_live(shown::question));
        let is_complete = Memo::new(move |_| {
            let Some(Range::Between { to, .. } | Range::Until(to)) = board.chosen.get() else { return true };
            let watermark = panel.with(|panel| {
                let panel = panel.as_ref()?;
                board.live.read(|store| store.table(&panel.pipeline).and_then(Table::complete_until))
            });
            watermark.is_some_and(|watermark| to <= watermark)
        });
        let version = Memo::new(move |_| {
            panel.with(|panel| {
                let panel = panel.as_ref()?;
                board.live.read(|store| {
                    let table = store.table(&panel.pipeline)?;
                    Some((table.epoch(), table.watermark(), table.last(), table.len()))
                })
            })
        });
        let asked = ask(board.live, question, is_complete);
        let answered = Memo::new_with_compare(
            move |_| {
                let answer = asked.answer()?;
                panel.with_untracked(|panel| {
                    let panel = panel.as_ref()?;
                    let answered = untrack(|| {
                        board.live.read(|store| {
                            shown::answered(&panel.pipeline, &answer, store.table(&panel.pipeline)?)
                        })
                    });
                    answered.map(Arc::new)
                })
            },
            |before, now| !matches!((before, now), (Some(Some(before)), Some(Some(now))) if Arc::ptr_eq(before, now)),
        );
        Self { board, at, panel, version, answered, asked }
    }

    /// Reads the panel and its rows, if there are any, and runs again when they changed.
    pub(super) fn read<T>(self, read: impl FnOnce(&Panel, &Table, Columns, Option<Range>) -> T) -> Option<T> {
        self.panel.with(|panel| {
            let panel = panel.as_ref()?;
            let chosen = of_panel(panel, self.board.chosen.get());
            let found = |table: &Table| {
                let columns = Columns::find(panel, table).ok()?;
                Some(read(panel, table, columns, chosen))
            };
            match chosen {
                Some(Range::Between { .. }) => self.answered.with(|answered| found(answered.as_deref()?)),
                _ => {
                    self.version.with(|_| ());
                    untrack(|| self.board.live.read(|store| found(store.table(&panel.pipeline)?)))
                }
            }
        })
    }

    /// The epoch of the rows that are shown; who asks does not run again with it.
    pub(super) fn epoch(self) -> Option<u64> {
        untrack(|| self.read(|_, table, _, _| table.epoch()))
    }

    /// The panel's numbers, all of them and exact.
    pub(super) fn grid(self) -> Option<Grid> {
        self.read(|panel, table, columns, chosen| {
            let reach = shown::reach(panel, table.watermark(), chosen);
            grid(panel, table, columns, reach, chosen)
        })
    }

    /// What is said of the panel, which shows `content`.
    fn state(self, content: &Content) -> Option<State> {
        self.panel.with(|panel| {
            let panel = panel.as_ref()?;
            let chosen = of_panel(panel, self.board.chosen.get());
            let is_held = matches!(chosen, Some(Range::Between { .. }));
            let range = match chosen {
                Some(range) if is_held => range,
                _ => Range::Last(last_ms(panel, chosen)),
            };
            let is_number = matches!(kind::of(panel.chart).way, Way::Figure) && content.n_rows != 0;
            let windows = is_number.then_some(content.figure.bounds);
            let shown = Shown { range, n_rows: content.n_rows, windows };
            let answered = self.answered.get();
            let mut state = self.board.live.read(|store| {
                let live = store.table(&panel.pipeline).filter(|_| !is_held);
                let table = live.or(answered.as_deref().filter(|_| is_held));
                self.board
                    .zone
                    .with(|zone| self.board.late.with(|late| state(store, panel, table, shown, late, zone)))
            });
            if let Some(failure) = self.asked.failure().filter(|_| is_held) {
                state.sentence = format!("These times can't be asked for: {failure}.");
            }
            Some(state)
        })
    }
}

/// What a panel shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Content {
    pub(super) data: ChartData,
    pub(super) figure: FigureView,
    pub(super) n_rows: usize,
}

fn content(source: Source, slots: StoredValue<Slots>) -> Content {
    let board = source.board;
    // The rows are read without tracking what the reading asks for.
    board.zone.with(|_| ());
    let of = |panel: &Panel, table: &Table, columns: Columns, chosen: Option<Range>| {
        let reach = shown::reach(panel, table.watermark(), chosen);
        match kind::of(panel.chart).way {
            Way::Canvas { .. } => {
                let data =
                    slots.try_update_value(|slots| gather(panel, table, columns, reach, chosen, slots));
                let data = data.unwrap_or_default();
                let n_rows = data.series.iter().map(|series| series.points.len()).sum();
                Content { data, n_rows, ..Content::default() }
            }
            Way::Figure => {
                let unit = Unit::of(panel.unit.as_deref(), panel.y.as_deref());
                let Some(figure) = figure::figure(panel, table, columns, chosen) else {
                    return Content::default();
                };
                let view = board.zone.with(|zone| figure::view(&figure, &unit, zone));
                Content { figure: view, n_rows: 1, ..Content::default() }
            }
            Way::Rows => {
                let n_rows = crate::view::board::cells::kept(table, columns, reach).count();
                Content { n_rows, ..Content::default() }
            }
        }
    };
    source.read(of).unwrap_or_default()
}

/// Where to look when a panel has nothing to show: at its pipeline, or, if there is none, at all there are.
#[component]
fn NextStep(source: Source, hidden: Signal<bool>) -> impl IntoView {
    let board = source.board;
    let pipeline = Memo::new(move |_| {
        let name = source.panel.with(|panel| panel.as_ref().map(|panel| panel.pipeline.clone()))?;
        let is_known = board.live.read(|store| store.pipelines().iter().any(|it| it.name == name));
        is_known.then_some(name)
    });
    let href = move || board.route.link_to(pipeline.get().map_or(Page::Overview, Page::Pipeline));
    let label =
        move || pipeline.get().map_or_else(|| "To the overview".to_owned(), |name| format!("Look at {name}"));
    view! { <a href=href hidden=hidden data-testid="panel-next">{label}</a> }
}

#[component]
pub(super) fn PanelBox(board: Board, at: usize, enlarged: Memo<Option<usize>>) -> impl IntoView {
    let source = Source::new(board, at);
    let slots = StoredValue::new(Slots::default());
    let content = Memo::new(move |_| content(source, slots));
    let state = Memo::new(move |_| content.with(|content| source.state(content)));
    let kind = Memo::new(move |_| source.panel.with(|panel| panel.as_ref().map(|panel| panel.chart)));
    let title = Memo::new(move |_| {
        source.panel.with(|panel| panel.as_ref().map(|it| it.title.clone()).unwrap_or_default())
    });
    let size = Memo::new(move |_| {
        source.panel.with(|panel| {
            let panel = panel.as_ref()?;
            let (width, height) = kind::of(panel.chart).size;
            Some((panel.width.unwrap_or(width), panel.height.unwrap_or(height)))
        })
    });
    let is_old = Memo::new(move |_| state.with(|state| state.as_ref().is_some_and(|state| state.is_old)));
    let class = move || {
        let mark = if board.draft.is_target(at) { " target" } else { "" };
        let age = if is_old.get() { " stale" } else { "" };
        size.get()
            .map(|(width, height)| format!("panel wide-{width} high-{height}{mark}{age}"))
            .unwrap_or_default()
    };
    let as_table = RwSignal::new(false);
    let text = move |part: fn(&State) -> &str| {
        Signal::derive(move || {
            state.with(|state| state.as_ref().map(|state| part(state).to_owned()).unwrap_or_default())
        })
    };
    let is_ready =
        move || state.with(|state| state.as_ref().is_some_and(|state| state.stage == Stage::Ready));
    let body = move || {
        let chart = kind.get()?;
        Some(match kind::of(chart).way {
            Way::Rows => view! { <Rows source /> }.into_any(),
            _ if as_table.get() => view! { <Rows source /> }.into_any(),
            Way::Figure => view! { <Figure content /> }.into_any(),
            Way::Canvas { has_legend, .. } => view! {
                <Plot source content title />
                {has_legend.then(|| view! { <Legend source content /> })}
            }
            .into_any(),
        })
    };
    view! {
        <section
            class=class
            data-testid=format!("panel-{}", at + 1)
            data-panel=at
            data-stage=text(|state| state.stage.word())
            aria-labelledby=format!("panel-title-{at}")
            hidden=Signal::derive(move || enlarged.get().is_some_and(|enlarged| enlarged != at))
        >
            {move || board.draft.is_open().then(|| view! { <Strip board at /> })}
            <div class="panel-head">
                <h2 id=format!("panel-title-{at}")>{title}</h2>
                <Until source span=text(|state| &state.span) complete=text(|state| &state.complete) late=text(|state| &state.late) />
                <Menu source content title complete=text(|state| &state.complete) as_table enlarged />
            </div>
            <div class="panel-said" hidden=Signal::derive(move || text(|state| &state.sentence).with(String::is_empty))>
                <p class="panel-message" data-testid="panel-message">{text(|state| &state.sentence)}</p>
                <NextStep source hidden=Signal::derive(is_ready) />
            </div>
            <div class="panel-body" hidden=Signal::derive(move || !is_ready())>{body}</div>
            {move || board.draft.is_open().then(|| view! { <ResizeGrip board at /> })}
        </section>
    }
}
