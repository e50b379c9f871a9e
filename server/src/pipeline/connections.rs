//! The clients of a project's connections: one registry client each, shared by all pipelines.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_connectors::kafka::KafkaConnection;
use weir_schemas::SchemaRegistry;
use weir_schemas::registry::HttpRegistry;
use weir_schemas::registry::http::Credentials;

use crate::project::{Code, Connection, Problems, Project, ROOT_FILE};

/// By the connections' names in weir.yaml.
#[derive(Clone)]
pub struct Connections(BTreeMap<String, KafkaConnection>);

impl Connections {
    /// Clients that talk to what weir.yaml names. Asks nothing yet.
    ///
    /// # Errors
    /// A registry's address is not one.
    pub fn new(project: &Project) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut connections = BTreeMap::new();
        for (name, connection) in &project.connections {
            let registry = &connection.registry;
            let credentials = registry.credentials.as_ref().map(|(username, password)| Credentials {
                username: username.expose().to_owned(),
                password: password.expose().to_owned(),
            });
            match HttpRegistry::new(registry.url.expose(), credentials.as_ref()) {
                Ok(registry) => drop(connections.insert(name.clone(), kafka(connection, Arc::new(registry)))),
                Err(error) => {
                    let message = project.redactor.apply(&error.to_string());
                    problems.push(ROOT_FILE, connection.at, Code::BadValue, message);
                }
            }
        }
        problems.or(Self(connections))
    }

    /// Clients that ask `registry` instead of those that weir.yaml names.
    #[must_use]
    pub fn with_registry(project: &Project, registry: &Arc<dyn SchemaRegistry>) -> Self {
        let with = |connection| kafka(connection, Arc::clone(registry));
        Self(project.connections.iter().map(|(name, each)| (name.clone(), with(each))).collect())
    }

    /// The clients of a connection.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&KafkaConnection> {
        self.0.get(name)
    }
}

fn kafka(connection: &Connection, registry: Arc<dyn SchemaRegistry>) -> KafkaConnection {
    let properties = connection.properties.iter();
    KafkaConnection {
        bootstrap_servers: connection.bootstrap_servers.expose().to_owned(),
        properties: properties.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        registry,
    }
}
