//! What tables and columns there are, for completion and for panels: asked for once, columns when their table is named.

use std::cell::OnceCell;

use leptos::prelude::*;
use weir_api::{Column, SqlRequest, SqlResponse};

use crate::protocol::http;
use crate::view::complete::{Catalog, unknown_tables};
use crate::view::query;

/// Of so many result tables the columns are asked for before they are named.
const TABLES_MAX: usize = 40;

/// A handle; copies are the same tables.
#[derive(Clone, Copy)]
pub(super) struct Tables {
    pub(super) catalog: RwSignal<Catalog>,
    /// What was asked for, so that it is asked for once.
    asked: StoredValue<Vec<String>>,
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
                let tables = owner.with(|| Self {
                    catalog: RwSignal::new(Catalog::default()),
                    asked: StoredValue::new(Vec::new()),
                });
                (owner, tables)
            });
            *tables
        })
    }

    /// A query for the newest rows of a table; runs again when its columns are known.
    pub(super) fn suggestion(self, table: Option<&str>) -> String {
        self.catalog.with(|catalog| {
            let columns = table.and_then(|table| catalog.columns.get(table));
            query::suggestion(table, columns.map_or(&[], Vec::as_slice))
        })
    }

    /// Asks for the tables and the columns of result tables, and for those of others that the text names by and by.
    pub(super) fn look_up(self, text: RwSignal<String>) {
        js_sys::futures::spawn_local(async move {
            let Some(answer) = ask("SHOW TABLES".to_owned()).await else { return };
            let name = |row: &weir_api::Row| match (row.first()?.as_str()?, row.get(1)?.as_str()?) {
                ("public", name) => Some(name.to_owned()),
                (schema, name) => Some(format!("{schema}.{name}")),
            };
            let tables: Vec<String> = answer.rows.iter().filter_map(name).collect();
            let results: Vec<String> = tables.iter().filter(|table| !table.contains('.')).cloned().collect();
            self.catalog.update(|catalog| catalog.tables = tables);
            for table in results.into_iter().take(TABLES_MAX) {
                self.ask_for_columns(table).await;
            }
        });
        Effect::new(move |_| {
            let unknown = self.catalog.with(|catalog| text.with(|text| unknown_tables(text, catalog)));
            for table in unknown {
                js_sys::futures::spawn_local(self.ask_for_columns(table));
            }
        });
    }

    async fn ask_for_columns(self, table: String) {
        let is_asked = self.asked.with_value(|asked| asked.contains(&table));
        if is_asked {
            return;
        }
        self.asked.update_value(|asked| asked.push(table.clone()));
        let Some(answer) = ask(format!("SHOW COLUMNS FROM {table}")).await else {
            // Its pipeline may be ready later.
            self.asked.update_value(|asked| asked.retain(|asked| *asked != table));
            return;
        };
        let column = |row: &weir_api::Row| {
            Some(Column {
                name: row.first()?.as_str()?.to_owned(),
                sql_type: row.get(1)?.as_str()?.to_owned(),
                nullable: row.get(2)?.as_bool()?,
            })
        };
        let columns = answer.rows.iter().filter_map(column).collect();
        self.catalog.update(|catalog| drop(catalog.columns.insert(table, columns)));
    }
}

async fn ask(query: String) -> Option<SqlResponse> {
    http::post_alone("/api/v1/sql", &SqlRequest { query, timeout: Some("10s".to_owned()) }).await.ok()
}
