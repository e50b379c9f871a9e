//! Avro schema JSON to [`Schema`], by the Avro 1.12 specification, "Schema Declaration".
//!
//! As lenient as the Java library where leniency harms nobody: unknown attributes and invalid
//! logical types are ignored, a default is looked at only when a reader needs it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Body, Definition, Field, Kind, Logical, Name, Node, Schema};
use crate::error::SchemaError;

/// Nesting that is refused: deeper schemas are an attack or a mistake, and every walk over a
/// schema uses stack per level.
const MAX_DEPTH: usize = 64;

/// Larger schema texts are refused. The largest that we know of in use have a few hundred KiB.
const MAX_TEXT_BYTES: usize = 4 << 20;

impl Schema {
    /// Parses `text`; the named types of `references` (each after those it needs) are known to it.
    ///
    /// # Errors
    /// [`SchemaError`] that says where and why.
    pub(crate) fn parse(text: &str, references: &[String]) -> Result<Self, SchemaError> {
        let total_bytes = references.iter().map(String::len).sum::<usize>() + text.len();
        if total_bytes > MAX_TEXT_BYTES {
            return Err(SchemaError::new(format!(
                "a schema of {total_bytes} bytes is larger than {MAX_TEXT_BYTES}"
            )));
        }
        let mut parser = Parser { definitions: Vec::new(), by_name: HashMap::new(), depth: 0 };
        for reference in references {
            parser.document(reference)?;
        }
        let root = parser.document(text)?;
        Ok(Self { root, definitions: parser.definitions })
    }
}

struct Parser {
    definitions: Vec<Definition>,
    by_name: HashMap<String, usize>,
    depth: usize,
}

impl Parser {
    fn document(&mut self, text: &str) -> Result<Node, SchemaError> {
        let json: Value = match serde_json::from_str(text) {
            Ok(json) => json,
            // Registries may hold a bare primitive name.
            Err(_) if primitive(text.trim()).is_some() => Value::String(text.trim().into()),
            Err(error) => return Err(SchemaError::new(format!("the schema is not JSON: {error}"))),
        };
        self.node(&json, "")
    }

    fn node(&mut self, json: &Value, namespace: &str) -> Result<Node, SchemaError> {
        if self.depth >= MAX_DEPTH {
            return Err(SchemaError::new(format!("the schema is nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let node = match json {
            Value::String(name) => self.by_reference(name, namespace),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(object) => self.object(object, namespace),
            other => Err(SchemaError::new(format!("{other} is not a type"))),
        };
        self.depth -= 1;
        node
    }

    fn by_reference(&self, name: &str, namespace: &str) -> Result<Node, SchemaError> {
        if let Some(kind) = primitive(name) {
            return Ok(Node::plain(kind));
        }
        let full = qualify(name, namespace);
        // A name without a namespace may also be one of the null namespace.
        let index = self.by_name.get(&full).or_else(|| self.by_name.get(name));
        match index {
            Some(&index) => Ok(Node { kind: Kind::Named(index), logical: self.definitions[index].logical }),
            None => Err(SchemaError::new(format!("unknown type \"{full}\""))),
        }
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Result<Node, SchemaError> {
        let mut nodes = Vec::with_capacity(branches.len());
        for branch in branches {
            let node = self.node(branch, namespace)?;
            if matches!(node.kind, Kind::Union(_)) {
                return Err(SchemaError::new("a union may not directly contain another union"));
            }
            let same = |other: &Node| match (&node.kind, &other.kind) {
                (Kind::Named(a), Kind::Named(b)) => a == b,
                (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
            };
            if nodes.iter().any(same) {
                return Err(SchemaError::new("a union may not contain the same type twice"));
            }
            nodes.push(node);
        }
        if nodes.is_empty() {
            return Err(SchemaError::new("a union needs a branch"));
        }
        Ok(Node::plain(Kind::Union(nodes)))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<Node, SchemaError> {
        let name = match object.get("type") {
            Some(Value::String(name)) => name.as_str(),
            Some(nested) => return self.node(nested, namespace),
            None => return Err(SchemaError::new("a type object has no \"type\"")),
        };
        let mut node = match name {
            "record" | "error" | "enum" | "fixed" => return self.definition(name, object, namespace),
            "array" => Node::plain(Kind::Array(Box::new(self.part(object, "items", namespace)?))),
            "map" => Node::plain(Kind::Map(Box::new(self.part(object, "values", namespace)?))),
            other => self.by_reference(other, namespace)?,
        };
        if node.logical.is_none() {
            node.logical = logical(object, &node.kind, None);
        }
        Ok(node)
    }

    fn part(&mut self, object: &Map<String, Value>, key: &str, namespace: &str) -> Result<Node, SchemaError> {
        let json = object.get(key).ok_or_else(|| SchemaError::new(format!("\"{key}\" is missing")))?;
        self.node(json, namespace)
    }

    fn definition(
        &mut self,
        word: &str,
        object: &Map<String, Value>,
        outer: &str,
    ) -> Result<Node, SchemaError> {
        let name = text(object, "name")
            .filter(|name| !name.is_empty())
            .ok_or_else(|| SchemaError::new(format!("a {word} needs a name")))?;
        let full = match text(object, "namespace") {
            Some(own) if !name.contains('.') => qualify(name, own),
            _ => qualify(name, outer),
        };
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        if primitive(&full).is_some() {
            return Err(SchemaError::new(format!("\"{full}\" is the name of a primitive type")));
        }
        let aliases =
            texts(object, "aliases").into_iter().map(|alias| Name(qualify(alias, &namespace))).collect();
        let index = self.definitions.len();
        if self.by_name.insert(full.clone(), index).is_some() {
            return Err(SchemaError::new(format!("type \"{full}\" is defined twice")));
        }
        let name = Name(full.clone());
        self.definitions.push(Definition { name, aliases, body: Body::Pending, logical: None });
        let (body, logical) = match word {
            "enum" => (enum_body(object), None),
            "fixed" => {
                let body = fixed_body(object);
                let size = match &body {
                    Ok(Body::Fixed(size)) => Some(*size),
                    _ => None,
                };
                (body, logical(object, &Kind::Named(index), size))
            }
            _ => (self.record_body(object, &namespace), None),
        };
        self.definitions[index].body = body.map_err(|error| error.at(&format!("{word} \"{full}\"")))?;
        self.definitions[index].logical = logical;
        Ok(Node { kind: Kind::Named(index), logical })
    }

    fn record_body(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<Body, SchemaError> {
        let Some(Value::Array(fields)) = object.get("fields") else {
            return Err(SchemaError::new("\"fields\" is missing"));
        };
        let mut names = HashSet::new();
        let mut parsed = Vec::with_capacity(fields.len());
        for field in fields {
            let Some((field, name)) = field.as_object().and_then(|f| Some((f, text(f, "name")?))) else {
                return Err(SchemaError::new("a field needs a name"));
            };
            if !names.insert(name) {
                return Err(SchemaError::new(format!("field \"{name}\" is defined twice")));
            }
            let place = format!("field \"{name}\"");
            parsed.push(Field {
                name: name.into(),
                aliases: texts(field, "aliases").into_iter().map(str::to_owned).collect(),
                node: self.part(field, "type", namespace).map_err(|error| error.at(&place))?,
                default: field.get("default").cloned(),
            });
        }
        Ok(Body::Record(parsed))
    }
}

fn enum_body(object: &Map<String, Value>) -> Result<Body, SchemaError> {
    let symbols: Vec<Arc<str>> = texts(object, "symbols").into_iter().map(Arc::from).collect();
    if symbols.iter().collect::<HashSet<_>>().len() < symbols.len() {
        return Err(SchemaError::new("a symbol is listed twice"));
    }
    let default = match text(object, "default") {
        None => None,
        Some(default) => match symbols.iter().position(|symbol| &**symbol == default) {
            Some(index) => Some(index),
            None => return Err(SchemaError::new(format!("the default \"{default}\" is not a symbol"))),
        },
    };
    Ok(Body::Enum { symbols, default })
}

fn fixed_body(object: &Map<String, Value>) -> Result<Body, SchemaError> {
    let size = object.get("size").and_then(Value::as_u64).and_then(|size| i32::try_from(size).ok());
    match size.and_then(|size| usize::try_from(size).ok()) {
        Some(size) => Ok(Body::Fixed(size)),
        None => Err(SchemaError::new("\"size\" is missing or too large")),
    }
}

/// The logical type of `object`, if it is valid for `kind`; `size` is that of a fixed.
fn logical(object: &Map<String, Value>, kind: &Kind, size: Option<usize>) -> Option<Logical> {
    let name = text(object, "logicalType")?;
    match (name, kind) {
        ("decimal", Kind::Bytes) => decimal(object, None),
        ("decimal", Kind::Named(_)) => decimal(object, Some(size?)),
        ("uuid", Kind::String) => Some(Logical::Uuid),
        ("uuid", Kind::Named(_)) => (size == Some(16)).then_some(Logical::Uuid),
        ("duration", Kind::Named(_)) => (size == Some(12)).then_some(Logical::Duration),
        ("date", Kind::Int) => Some(Logical::Date),
        ("time-millis", Kind::Int) => Some(Logical::TimeMillis),
        ("time-micros", Kind::Long) => Some(Logical::TimeMicros),
        ("timestamp-millis", Kind::Long) => Some(Logical::TimestampMillis),
        ("timestamp-micros", Kind::Long) => Some(Logical::TimestampMicros),
        ("timestamp-nanos", Kind::Long) => Some(Logical::TimestampNanos),
        ("local-timestamp-millis", Kind::Long) => Some(Logical::LocalTimestampMillis),
        ("local-timestamp-micros", Kind::Long) => Some(Logical::LocalTimestampMicros),
        ("local-timestamp-nanos", Kind::Long) => Some(Logical::LocalTimestampNanos),
        _ => None,
    }
}

fn decimal(object: &Map<String, Value>, size: Option<usize>) -> Option<Logical> {
    let number = |key| object.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let precision = number("precision").filter(|precision| 0 < *precision)?;
    let scale = if object.contains_key("scale") { number("scale")? } else { 0 };
    // A fixed of n bytes holds every number of floor(log10(2^(8n-1) - 1)) digits.
    let fits = size.is_none_or(|size| {
        let bits = 8.0 * size as f64 - 1.0;
        f64::from(precision) <= (bits * std::f64::consts::LOG10_2).floor()
    });
    (scale <= precision && fits).then_some(Logical::Decimal { precision, scale })
}

fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

fn qualify(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.trim_start_matches('.').to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn texts<'a>(object: &'a Map<String, Value>, key: &str) -> Vec<&'a str> {
    let array = object.get(key).and_then(Value::as_array);
    array.into_iter().flatten().filter_map(Value::as_str).collect()
}
