//! What tables and columns there are: for the list of tables, for completion and for panels.

use std::cell::OnceCell;

use leptos::prelude::*;
use weir_api::{SqlRequest, SqlResponse};

use crate::page::shell::Live;
use crate::protocol::http;
use crate::view::complete::{COLUMNS_QUERY, Catalog};

/// A handle; copies are the same tables.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    pub(super) catalog: RwSignal<Catalog>,
}

thread_local! {
    static TABLES: OnceCell<(Owner, Tables)> = const { OnceCell::new() };
}

impl Tables {
    /// The tables that this tab knows.
    pub(super) fn of_tab() -> Self {
        TABLES.with(|tables| {
            let (_, tables) = tables.get_or_init(|| {
                let owner = Owner::new_root(None);
                let tables = owner.with(|| Self { catalog: RwSignal::new(Catalog::default()) });
                (owner, tables)
            });
            *tables
        })
    }

    /// Asks for the tables and their columns, and again when a pipeline comes or is ready.
    pub(super) fn look_up(self, live: Live) {
        let pipelines = Memo::new(move |_| {
            live.read(|store| {
                let pipelines = store.pipelines().iter();
                pipelines.map(|pipeline| (pipeline.name.clone(), pipeline.epoch != 0)).collect::<Vec<_>>()
            })
        });
        Effect::new(move |_| {
            pipelines.with(|_| ());
            js_sys::futures::spawn_local(async move {
                let (tables, columns) = (ask("SHOW TABLES").await, ask(COLUMNS_QUERY).await);
                // The next look is that of the next change; what is known stays meanwhile.
                if let (Some(tables), Some(columns)) = (tables, columns) {
                    self.catalog.set(Catalog::read(&tables.rows, &columns.rows));
                }
            });
        });
    }
}

async fn ask(query: &str) -> Option<SqlResponse> {
    let request = SqlRequest { query: query.to_owned(), timeout: Some("10s".to_owned()) };
    http::post_alone("/api/v1/sql", &request).await.ok()
}
