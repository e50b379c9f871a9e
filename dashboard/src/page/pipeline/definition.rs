//! What the pipeline is: its SQL, the columns of its result table and of its sources, and the schemas its records were written
//! with.

use leptos::prelude::*;
use weir_api::PipelineDetail;

use crate::page::cell::breaking;
use crate::page::shell::{Again, Live, Route, sql_again};
use crate::view::address::Page;
use crate::view::schemas::{self, SourceView, WriterView};

#[component]
pub(super) fn Definition(
    live: Live,
    route: Route,
    name: Memo<String>,
    detail: Again<PipelineDetail>,
) -> impl IntoView {
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
            <Schemas live route name detail />
        </section>
    }
}

/// What the sources are read as, and the schemas of the writers that were met so far.
#[component]
fn Schemas(live: Live, route: Route, name: Memo<String>, detail: Again<PipelineDetail>) -> impl IntoView {
    let sources = Memo::new(move |_| {
        detail.with(|detail| detail.map(|detail| detail.sources.clone()).unwrap_or_default())
    });
    let of_sources =
        sql_again(live, 10.0, Memo::new(move |_| sources.with(|sources| schemas::columns_query(sources))));
    let of_writers =
        sql_again(live, 10.0, Memo::new(move |_| name.with(|name| schemas::writers_query(name))));
    let sources =
        Memo::new(move |_| of_sources.with(|answer| answer.map(schemas::columns).unwrap_or_default()));
    let writers =
        Memo::new(move |_| of_writers.with(|answer| answer.map(schemas::writers).unwrap_or_default()));
    let href = move || {
        route.link(|address| {
            *address = address.at(Page::Sql);
            address.query = Some(name.with(|name| schemas::sql(name)));
        })
    };
    let is_refused =
        Memo::new(move |_| writers.with(|writers| writers.iter().any(|writer| !writer.refused.is_empty())));
    view! {
        <div class="definition-panes">
            <div class="scroll" tabindex="0" role="region" aria-label="Writer schemas" hidden=Signal::derive(move || writers.with(Vec::is_empty))>
                <table class="schemas" class:no-detail=Signal::derive(move || !is_refused.get()) data-testid="schemas">
                    <caption>
                        "Schemas that records were written with, and since when. "
                        <a href=Signal::derive(href)>"Each partition in SQL"</a>
                    </caption>
                    <thead>
                        <tr>
                            <th scope="col">"Id"</th>
                            <th scope="col">"Subject and version"</th>
                            <th scope="col">"Partition, from offset"</th>
                            <th scope="col">"Can't be read"</th>
                        </tr>
                    </thead>
                    <tbody>{move || writers.get().into_iter().map(writer).collect_view()}</tbody>
                </table>
            </div>
            <div data-testid="source-columns">{move || sources.get().into_iter().map(source).collect_view()}</div>
        </div>
    }
}

fn writer(writer: WriterView) -> impl IntoView {
    let from = writer.from.into_iter().map(|from| view! { <li>{from}</li> });
    view! {
        <tr>
            <td class="figure">{writer.id}</td>
            <td>{breaking(&writer.version)}</td>
            <td class="figure"><ul class="offsets">{from.collect_view()}</ul></td>
            <td class="error">{writer.refused}</td>
        </tr>
    }
}

fn source(source: SourceView) -> impl IntoView {
    let column = |[name, sql_type, nullable]: [String; 3]| {
        view! {
            <tr>
                <th scope="row">{breaking(&name)}</th>
                <td class="quiet">{sql_type}</td>
                <td class="quiet">{nullable}</td>
            </tr>
        }
    };
    view! {
        <table class="columns">
            <caption>{source.caption}</caption>
            <tbody>{source.columns.into_iter().map(column).collect_view()}</tbody>
        </table>
    }
}
