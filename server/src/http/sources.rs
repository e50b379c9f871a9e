//! Where records come from, and the schemas they were written with: for people who look at a dead letter.
//!
//! Invariants:
//! 1. What came from an environment variable is not shown: addresses are as weir.yaml writes them.
//! 2. A registry is asked on threads where waiting hurts nobody, by few requests at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use weir_api::{Source, WriterSchema};
use weir_schemas::{RegistryError, SchemaId, SchemaRegistry};

use super::AppState;
use super::api::missing;
use super::respond::json;
use crate::problem::{Code, Fault};

/// A registry that is away must not hold threads: others wait for their turn.
const ASKING_MAX: usize = 2;
const ASKING_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the records of a source are, and who knows their schemas.
#[derive(Debug, Clone)]
pub struct Origin {
    pub topic: String,
    /// Fit to be shown.
    pub bootstrap_servers: String,
    pub registry: Arc<dyn SchemaRegistry>,
}

/// The origins of a project's sources, by name.
#[derive(Debug)]
pub struct Origins {
    by_name: BTreeMap<String, Origin>,
    turns: Arc<Semaphore>,
}

impl Origins {
    #[must_use]
    pub fn new(by_name: BTreeMap<String, Origin>) -> Self {
        Self { by_name, turns: Arc::new(Semaphore::new(ASKING_MAX)) }
    }

    fn get(&self, name: &str) -> Result<&Origin, Fault> {
        let names = || self.by_name.keys().map(String::as_str);
        self.by_name.get(name).ok_or_else(|| missing("source", name, names()))
    }

    async fn ask(&self, origin: &Origin, id: u32) -> Result<WriterSchema, Fault> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| away("the server stops"))?;
        let registry = Arc::clone(&origin.registry);
        let asked = tokio::task::spawn_blocking(move || {
            // Until it has answered, also where nobody waits any more.
            let _turn = turn;
            registry.by_id(SchemaId(id))
        });
        match asked.await {
            Ok(Ok(schema)) => Ok(WriterSchema {
                schema_id: id,
                schema: schema.text.clone(),
                references: schema.references.clone(),
            }),
            Ok(Err(RegistryError::NotFound { what })) => {
                Err(Fault::new(Code::NotFound, format!("the schema registry has no {what}")))
            }
            // Its text names the registry's address, which may be nobody's business.
            Ok(Err(error)) => {
                tracing::warn!(%error, schema_id = id, "a schema could not be looked up");
                Err(away("it is away, or its answer is no schema"))
            }
            Err(_) => Err(Fault::new(Code::Internal, "the look-up ended unexpectedly")),
        }
    }
}

fn away(why: &str) -> Fault {
    Fault::new(Code::NotReady, format!("the schema registry can't be asked: {why}"))
        .hint("try again in a moment")
}

/// Where the records of a source come from.
pub(super) async fn source(
    State(app): State<Arc<AppState>>,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    let origin = app.origins.get(&name)?;
    json(&Source { topic: origin.topic.clone(), bootstrap_servers: origin.bootstrap_servers.clone(), name })
}

/// The schema of an id, from the registry of a source.
pub(super) async fn schema(
    State(app): State<Arc<AppState>>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, Fault> {
    let origin = app.origins.get(&name)?;
    let id = id.parse().map_err(|_| Fault::new(Code::NotFound, format!("\"{id}\" is no schema id")))?;
    match timeout(ASKING_TIMEOUT, app.origins.ask(origin, id)).await {
        Ok(schema) => json(&schema?),
        Err(_) => Err(away("it does not answer")),
    }
}
