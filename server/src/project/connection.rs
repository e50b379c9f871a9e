//! weir.yaml: the project's name, its connections, its registry, and defaults for all pipelines.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use weir_connectors::PropertyError;
use weir_connectors::kafka::check_property;

use super::codes::Code;
use super::fields::{Fields, Sheet};
use super::pipeline::Defaults;
use super::text::{Opaque, Text};
use super::value;
use super::yaml::{Key, Node, Pos};
use crate::registry::DEFAULT_LISTEN;

/// A Kafka cluster and its schema registry.
#[derive(Debug, Clone)]
pub struct Connection {
    pub bootstrap_servers: Opaque,
    pub registry: Registry,
    /// Handed to librdkafka.
    pub properties: Vec<(String, Opaque)>,
    /// Of the connection's name in weir.yaml.
    pub at: Pos,
}

/// A schema registry that speaks Confluent's API.
#[derive(Debug, Clone)]
pub struct Registry {
    pub url: Opaque,
    /// Name and password.
    pub credentials: Option<(Opaque, Opaque)>,
}

/// A schema registry of our own, beside the pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedded {
    pub listen: SocketAddr,
}

/// weir.yaml.
#[derive(Debug, Default)]
pub(crate) struct Root {
    pub(crate) project: Option<String>,
    pub(crate) connections: BTreeMap<String, Connection>,
    pub(crate) defaults: Defaults,
    pub(crate) registry: Option<Embedded>,
    /// The names of all connections, those with a mistake inside too.
    pub(crate) names: Vec<String>,
}

pub(crate) fn read(sheet: &mut Sheet<'_>, node: &Node) -> Option<Root> {
    let mut fields = Fields::new(sheet, "weir.yaml", node)?;
    let mut root = Root::default();
    if let Some(text) = fields.text("project") {
        if value::is_project_name(text.as_str()) {
            root.project = Some(text.as_str().to_owned());
        } else {
            let message =
                format!("{} can't name a project: use letters, digits, \"_\", \"-\" and \".\"", text.shown());
            fields.sheet.problem(text.at, Code::BadName, message);
        }
    }
    for (key, node) in fields.map("connections") {
        if let Some(message) = value::bad_name("connection", &key.name) {
            fields.sheet.problem(key.at, Code::BadName, message);
        }
        root.names.push(key.name.clone());
        if let Some(connection) = connection(fields.sheet, key.at, node) {
            root.connections.insert(key.name.clone(), connection);
        }
    }
    if let Some(node) = fields.node("pipelines")
        && let Some(mut settings) = Fields::new(fields.sheet, "\"pipelines\"", node)
    {
        root.defaults = Defaults::read(&mut settings, Some(&root.names));
        settings.finish();
    }
    root.registry = fields.node("registry").and_then(|node| embedded(fields.sheet, node));
    fields.finish();
    Some(root)
}

fn embedded(sheet: &mut Sheet<'_>, node: &Node) -> Option<Embedded> {
    let mut fields = Fields::new(sheet, "\"registry\"", node)?;
    let listen = fields.text("listen");
    fields.finish();
    let address = listen.as_ref().map_or(DEFAULT_LISTEN, Text::as_str).parse::<SocketAddr>();
    if let (Some(text), Err(_)) = (&listen, &address) {
        sheet.bad_value("\"listen\"", text, "an address and a port, such as 127.0.0.1:8081");
    }
    Some(Embedded { listen: address.ok()? })
}

fn connection(sheet: &mut Sheet<'_>, at: Pos, node: &Node) -> Option<Connection> {
    let mut fields = Fields::new(sheet, "a connection", node)?;
    fields.require("type");
    let kind = fields.choice("type", &[("kafka", ())]);
    let servers = fields.required_address("bootstrap_servers");
    fields.require("schema_registry");
    let registry = fields.node("schema_registry").and_then(|node| registry(fields.sheet, node));
    let properties = fields.map("properties");
    // All of them, so that each mistake is told.
    let properties: Vec<_> = properties.iter().map(|(key, node)| property(fields.sheet, key, node)).collect();
    fields.finish();
    kind?;
    let servers = servers?;
    if servers.as_str().split(',').any(|server| server.trim().is_empty()) {
        sheet.bad_value("\"bootstrap_servers\"", &servers, "one host:port or several, with commas between");
        return None;
    }
    let properties: Option<Vec<_>> = properties.into_iter().collect();
    let bootstrap_servers = opaque(&servers);
    Some(Connection { bootstrap_servers, registry: registry?, properties: properties?, at })
}

fn registry(sheet: &mut Sheet<'_>, node: &Node) -> Option<Registry> {
    let mut fields = Fields::new(sheet, "\"schema_registry\"", node)?;
    let url = fields.required_address("url");
    let (username, password) = (fields.text("username"), fields.text("password"));
    let missing = match (&username, &password) {
        (Some(_), None) => fields.node("password").is_none().then_some("password"),
        (None, Some(_)) => fields.node("username").is_none().then_some("username"),
        _ => None,
    };
    if let Some(key) = missing {
        fields.require(key);
    }
    fields.finish();
    let url = url?;
    if !["http://", "https://"].iter().any(|scheme| url.as_str().starts_with(scheme)) {
        sheet.bad_value("\"url\"", &url, "it begins with http:// or https://");
        return None;
    }
    let credentials = username.zip(password).map(|(name, password)| (opaque(&name), opaque(&password)));
    Some(Registry { url: opaque(&url), credentials })
}

fn property(sheet: &mut Sheet<'_>, key: &Key, node: &Node) -> Option<(String, Opaque)> {
    let text = sheet.text(&format!("property \"{}\"", key.name), node)?;
    if let Err(error) = check_property(&key.name, text.as_str()) {
        let (at, code) = match error {
            PropertyError::Unknown { .. } => (key.at, Code::UnknownKey),
            PropertyError::Invalid { .. } => (text.at, Code::BadValue),
            _ => (key.at, Code::RefusedProperty),
        };
        sheet.problem(at, code, error.to_string());
        return None;
    }
    Some((key.name.clone(), opaque(&text)))
}

fn opaque(text: &Text) -> Opaque {
    Opaque::new(text.as_str())
}
