//! What the pipeline is: its SQL, the columns of its result table, and the schemas its records were written with.

use leptos::prelude::*;
use serde_json::Value;
use weir_api::PipelineDetail;

use crate::page::cell::breaking;
use crate::page::shell::{Again, Live, sql_again};
use crate::view::number::exact_cell;

#[component]
pub(super) fn Definition(live: Live, name: Memo<String>, detail: Again<PipelineDetail>) -> impl IntoView {
    let sql = Memo::new(move |_| detail.with(|detail| detail.map(|detail| detail.sql.clone())));
    let columns = Memo::new(move |_| {
        let columns = |name: &String| {
            live.read(|store| {
                let table = store.table(name)?;
                let line = |(at, column): (usize, &weir_api::Column)| {
                    let is_key = table.key().contains(&at);
                    (column.name.clone(), column.sql_type.clone(), is_key)
                };
                Some(table.columns().iter().enumerate().map(line).collect::<Vec<_>>())
            })
        };
        name.with(columns).unwrap_or_default()
    });
    let column = |(name, sql_type, is_key): (String, String, bool)| {
        view! {
            <tr>
                <th scope="row">{breaking(&name)}</th>
                <td class="quiet">{sql_type}</td>
                <td class="quiet">{is_key.then_some("key")}</td>
            </tr>
        }
    };
    view! {
        <section class="definition" aria-labelledby="definition" data-testid="definition">
            <div class="section-head">
                <h2 id="definition">"Definition"</h2>
            </div>
            <div class="definition-panes">
                <pre class="sql" data-testid="pipeline-sql" tabindex="0" role="region" aria-label="SQL">{Signal::derive(move || sql.get())}</pre>
                <table class="columns" hidden=Signal::derive(move || columns.with(Vec::is_empty))>
                    <caption>"Columns of the result table"</caption>
                    <tbody>{move || columns.get().into_iter().map(column).collect_view()}</tbody>
                </table>
            </div>
            <Schemas live name />
        </section>
    }
}

/// The schemas of the writers that were met so far.
#[component]
fn Schemas(live: Live, name: Memo<String>) -> impl IntoView {
    let query = Memo::new(move |_| {
        let name = name.with(|name| name.replace('\'', "''"));
        format!(
            "SELECT DISTINCT schema_id, subject, version, compatible, detail FROM weir.schemas \
             WHERE pipeline = '{name}' ORDER BY schema_id LIMIT 50"
        )
    });
    let schemas = sql_again(live, 10.0, query);
    let schema = |row: weir_api::Row| {
        let text = |value: &Value| match value {
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            value => exact_cell(value),
        };
        let cells = row.iter().map(|value| view! { <td>{text(value)}</td> });
        view! { <tr>{cells.collect_view()}</tr> }
    };
    let schemas = Memo::new(move |_| {
        schemas.with(|answer| answer.map(|answer| answer.rows.clone()).unwrap_or_default())
    });
    // Only what is not compatible has one.
    let has_detail = Signal::derive(move || {
        schemas
            .with(|rows| rows.iter().filter_map(|row| row.last()?.as_str()).any(|detail| !detail.is_empty()))
    });
    view! {
        <div class="scroll" tabindex="0" role="region" aria-label="Schemas" hidden=Signal::derive(move || schemas.with(Vec::is_empty))>
            <table class="schemas" class:no-detail=Signal::derive(move || !has_detail.get())>
                <caption>"Schemas its records were written with"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Id"</th>
                        <th scope="col">"Subject"</th>
                        <th scope="col">"Version"</th>
                        <th scope="col">"Compatible"</th>
                        <th scope="col">"Detail"</th>
                    </tr>
                </thead>
                <tbody>{move || schemas.get().into_iter().map(schema).collect_view()}</tbody>
            </table>
        </div>
    }
}
