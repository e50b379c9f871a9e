//! What stands behind a panel's numbers: the query, the epoch, the watermark, how many rows.

use leptos::html;
use leptos::prelude::*;

use super::Board;
use super::panel::Source;
use crate::view::address::Page;
use crate::view::board::{shown, sql};
use crate::view::number::grouped;

/// The query whose answer is what the panel shows.
pub(super) fn sql_of(source: Source) -> Option<String> {
    source.read(|panel, table, columns, chosen| {
        let span = shown::span(panel, table, columns, chosen);
        sql::query(panel, table, columns, span)
    })
}

/// The texts of the dialog, as of the moment it was opened.
#[derive(Clone, Default, PartialEq)]
struct Facts {
    title: String,
    pipeline: String,
    epoch: String,
    watermark: String,
    n_rows: String,
    sql: String,
}

fn facts(source: Source) -> Option<Facts> {
    let grid = source.grid()?;
    let sql = sql_of(source)?;
    source.read(|panel, table, _, _| {
        let watermark = source.board.zone.with(|zone| {
            table.watermark().map(|watermark| {
                format!("{}, {} {}", zone.date(watermark), zone.clock(watermark), zone.label)
            })
        });
        Facts {
            title: panel.title.clone(),
            pipeline: panel.pipeline.clone(),
            epoch: grouped(&table.epoch().to_string()),
            watermark: watermark.unwrap_or_else(|| "none yet".to_owned()),
            n_rows: format!(
                "{} of the {} that the page holds",
                grouped(&grid.n_rows.to_string()),
                grouped(&table.len().to_string())
            ),
            sql,
        }
    })
}

#[component]
pub(super) fn Inspect(board: Board) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let shown = RwSignal::new(Facts::default());
    Effect::new(move |_| {
        let (Some(source), Some(dialog)) = (board.inspected.get(), dialog.get()) else { return };
        match untrack(|| facts(source)) {
            Some(facts) => {
                shown.set(facts);
                // Refused only where it is open already.
                drop(dialog.show_modal());
            }
            None => board.inspected.set(None),
        }
    });
    let text =
        move |part: fn(&Facts) -> &str| Signal::derive(move || shown.with(|facts| part(facts).to_owned()));
    let sql_href = move || {
        let mut address = board.route.address().at(Page::Sql);
        address.query = Some(shown.with(|facts| facts.sql.clone()));
        address.href()
    };
    let pipeline_href =
        move || board.route.link_to(Page::Pipeline(shown.with(|facts| facts.pipeline.clone())));
    let close = move || {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    view! {
        <dialog
            class="inspect"
            node_ref=dialog
            data-testid="inspect"
            aria-labelledby="inspect-title"
            on:close=move |_| board.inspected.set(None)
        >
            <h2 id="inspect-title">{text(|facts| &facts.title)}</h2>
            <dl>
                <dt>"Pipeline"</dt>
                <dd><a href=pipeline_href>{text(|facts| &facts.pipeline)}</a></dd>
                <dt>"Epoch"</dt>
                <dd class="num" data-testid="inspect-epoch">{text(|facts| &facts.epoch)}</dd>
                <dt>"Watermark"</dt>
                <dd class="num">{text(|facts| &facts.watermark)}</dd>
                <dt>"Rows behind it"</dt>
                <dd class="num" data-testid="inspect-rows">{text(|facts| &facts.n_rows)}</dd>
            </dl>
            <h3>"The query that gives these numbers"</h3>
            <pre tabindex="0" role="region" aria-label="SQL" data-testid="inspect-sql">{text(|facts| &facts.sql)}</pre>
            <div class="actions">
                <a class="button" href=sql_href>"Open in SQL"</a>
                <button type="button" on:click=move |_| close()>"Close"</button>
            </div>
        </dialog>
    }
}
