//! The page of a dashboard: a grid of panels that step together, one crosshair, one stretch of time.
//!
//! ```text
//! GET dashboards/NAME ──► Board ──► stream of all tables ──► rows of each panel ─┬─► Plot (canvas), Figure, Rows
//!                          │                                                    └─► Legend, Inspect, CSV
//!          Draft ─────────┤
//!                         └─ a chosen stretch of time ──► SQL, a question for each panel
//! ```

mod asked;
mod between;
mod controls;
mod edit;
mod export;
mod figure;
mod inspect;
mod legend;
mod menu;
mod panel;
mod plot;
mod rows;
mod until;

use leptos::html;
use leptos::prelude::*;
use weir_api::{Dashboard, Panel};

use super::shell::{Again, ListState, Live, Route, Theme, get_again, late_again};
use crate::protocol::{Wanted, percent_encode};
use crate::view::address::{Page, Range};
use crate::view::board::span;
use crate::view::late::Late;
use crate::view::zone::Zone;

use controls::Controls;
use edit::{Draft, Editor};
use inspect::Inspect;
use panel::{PanelBox, Source};

/// How far back the stream reaches while a chosen stretch of time is looked at: for columns, watermark and epoch.
const STANDBY_MS: i64 = 60_000;

/// What all parts of the page share; copies are the same.
#[derive(Clone, Copy)]
struct Board {
    live: Live,
    route: Route,
    theme: Theme,
    zone: Memo<Zone>,
    name: Memo<String>,
    /// The draft, else as the server has it.
    dashboard: Memo<Option<Dashboard>>,
    draft: Draft,
    chosen: Memo<Option<Range>>,
    late: Memo<Late>,
    /// The label of the series that is shown alone.
    only: Memo<Option<String>>,
    crosshair: RwSignal<Option<Crosshair>>,
    /// The panel of which more is told.
    inspected: RwSignal<Option<Source>>,
}

/// Where the pointer is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Crosshair {
    /// As [`ChartData::shared`](crate::chart::series::ChartData::shared) has it: the same window in all panels.
    place: f64,
    /// The panel whose axis that is; `None`: a time, which all panels have.
    panel: Option<usize>,
}

#[component]
pub(super) fn BoardPage(
    live: Live,
    route: Route,
    theme: Theme,
    zone: Memo<Zone>,
    name: Memo<String>,
) -> impl IntoView {
    let path = Memo::new(move |_| name.with(|name| path(name)));
    // A dashboard changes with the server's start only; until it is there it is asked for again.
    let answer = get_again::<Dashboard>(live, 5.0, path);
    let draft = Draft::start(name, route);
    let dashboard =
        Memo::new(move |_| draft.dashboard().or_else(|| answer.with(|dashboard| dashboard.cloned())));
    let tables = Memo::new(move |_| dashboard.with(|it| it.as_ref().map(span::tables).unwrap_or_default()));
    let board = Board {
        live,
        route,
        theme,
        zone,
        name,
        dashboard,
        draft,
        late: late_again(live, tables),
        chosen: Memo::new(move |_| route.with(|address| address.range)),
        only: Memo::new(move |_| route.with(|address| address.only.clone())),
        crosshair: RwSignal::new(None),
        inspected: RwSignal::new(None),
    };
    let wanted = Memo::new(move |_| {
        let chosen = board.chosen.get();
        board.dashboard.with(|dashboard| {
            let dashboard = dashboard.as_ref()?;
            let last_ms = match chosen {
                Some(Range::Between { .. } | Range::Until(_)) => STANDBY_MS,
                _ => span::reach_ms(dashboard, chosen),
            };
            let tables = known(live, span::tables(dashboard));
            Some(Wanted { tables, last_ms })
        })
    });
    Effect::new(move |_| live.want(wanted.get().unwrap_or_default()));
    take_pin(board);
    let n_panels = Memo::new(move |_| {
        board.dashboard.with(|dashboard| dashboard.as_ref().map_or(0, |it| it.panels.len()))
    });
    // A panel that is not there enlarges nothing.
    let enlarged = Memo::new(move |_| {
        let panel = route.with(|address| address.panel)?.checked_sub(1)?;
        (panel < n_panels.get()).then_some(panel)
    });
    let whole = NodeRef::<html::Div>::new();
    view! {
        <div class="board" node_ref=whole data-testid="board">
            <Controls board whole enlarged />
            {move || draft.is_open().then(|| view! { <Editor board /> })}
            <Absence board answer n_panels />
            <div class="panels" class:enlarged=Signal::derive(move || enlarged.get().is_some())>
                <For
                    each=move || 0..n_panels.get()
                    key=|at| *at
                    children=move |at| view! { <PanelBox board at enlarged /> }
                />
            </div>
            <Inspect board />
        </div>
    }
}

/// Where the server has a dashboard.
fn path(name: &str) -> String {
    format!("/api/v1/dashboards/{}", percent_encode(name))
}

/// Those that the server has a stream of, as far as it has said which.
fn known(live: Live, mut tables: Vec<String>) -> Vec<String> {
    if live.list() == ListState::Ready {
        tables.retain(|name| live.read(|store| store.pipelines().iter().any(|it| it.name == *name)));
    }
    tables
}

/// Puts the panel that the address names into the draft, once there is a dashboard to have it.
fn take_pin(board: Board) {
    Effect::new(move |_| {
        let Some(pin) = board.route.with(|address| address.pin.clone()) else { return };
        let Some(dashboard) = board.dashboard.get() else { return };
        // What is no panel is passed over, as all of an address that is not understood.
        if let Ok(panel) = serde_json::from_str::<Panel>(&pin) {
            board.draft.pin(dashboard, panel);
        }
        board.route.replace(|address| address.pin = None);
    });
}

/// Why there are no panels, if there are none.
#[component]
fn Absence(board: Board, answer: Again<Dashboard>, n_panels: Memo<usize>) -> impl IntoView {
    let sentence = Memo::new(move |_| {
        let name = board.name.get();
        match (board.dashboard.with(Option::is_some), answer.failure()) {
            (true, _) if n_panels.get() == 0 => match board.draft.is_open() {
                true => "No panels yet. \"Add a panel\" makes one.".to_owned(),
                false => format!(
                    "No panels yet. \"Edit\" adds one; those of the file dashboards/{name}.yaml appear here."
                ),
            },
            (true, _) => String::new(),
            (false, Some(failure)) => format!("There is nothing to show: {failure}."),
            (false, None) => "Asking the server for the dashboard.".to_owned(),
        }
    });
    view! {
        <section class="notice" aria-label="State" hidden=Signal::derive(move || sentence.with(String::is_empty))>
            <p data-testid="board-message">
                {sentence}
                " "
                <a href=Signal::derive(move || board.route.link_to(Page::Overview))>"The overview has all dashboards."</a>
            </p>
        </section>
    }
}
