//! Avro schemas, read from their JSON: only what decoding for a person needs.

use std::collections::BTreeMap;

use serde_json::Value;

/// Levels of a schema's own nesting; deeper ones are not read.
const NESTING_MAX: usize = 64;

/// A schema and the named types that it uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    root: Kind,
    named: BTreeMap<String, Kind>,
}

/// A type.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    Boolean,
    Int(Logical),
    Long(Logical),
    Float,
    Double,
    Bytes(Logical),
    String,
    Fixed(usize, Logical),
    Enum(Vec<String>),
    Array(Box<Kind>),
    Map(Box<Kind>),
    Union(Vec<Kind>),
    Record(Vec<(String, Kind)>),
    /// A named type, by its full name.
    Named(String),
}

/// What a number or bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logical {
    None,
    Decimal { scale: usize },
    Named(String),
}

impl Schema {
    /// Reads a schema; `references` are those that it refers to, each after those that it refers to itself.
    ///
    /// # Errors
    /// Why it is no schema that can be read here.
    pub fn parse(text: &str, references: &[String]) -> Result<Self, String> {
        let mut named = BTreeMap::new();
        for reference in references {
            parse_text(reference, &mut named)?;
        }
        let root = parse_text(text, &mut named)?;
        Ok(Self { root, named })
    }

    pub fn root(&self) -> &Kind {
        &self.root
    }

    /// The type behind a name, which may be a name only in a broken schema.
    pub fn resolve<'a>(&'a self, kind: &'a Kind) -> Option<&'a Kind> {
        match kind {
            Kind::Named(name) => self.named.get(name).filter(|kind| !matches!(kind, Kind::Named(_))),
            kind => Some(kind),
        }
    }
}

fn parse_text(text: &str, named: &mut BTreeMap<String, Kind>) -> Result<Kind, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    Parser { named }.kind(&json, "", 0)
}

struct Parser<'a> {
    named: &'a mut BTreeMap<String, Kind>,
}

impl Parser<'_> {
    fn kind(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Kind, String> {
        if NESTING_MAX < depth {
            return Err("it nests too deeply".to_owned());
        }
        match json {
            Value::String(name) => {
                Ok(primitive(name, Logical::None).unwrap_or_else(|| Kind::Named(full_name(name, namespace))))
            }
            Value::Array(branches) => {
                let kinds = branches.iter().map(|branch| self.kind(branch, namespace, depth + 1));
                Ok(Kind::Union(kinds.collect::<Result<_, _>>()?))
            }
            Value::Object(_) => self.object(json, namespace, depth),
            _ => Err("a type is neither a name, a list nor an object".to_owned()),
        }
    }

    fn object(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Kind, String> {
        let logical = logical(json);
        let member = |name: &str| json.get(name).ok_or_else(|| format!("a type has no \"{name}\""));
        let type_name = match member("type")? {
            Value::String(name) => name.as_str(),
            inner => return self.kind(inner, namespace, depth + 1),
        };
        let kind = match type_name {
            "array" => {
                return Ok(Kind::Array(Box::new(self.kind(member("items")?, namespace, depth + 1)?)));
            }
            "map" => return Ok(Kind::Map(Box::new(self.kind(member("values")?, namespace, depth + 1)?))),
            "record" | "error" => return self.record(json, namespace, depth),
            "enum" => {
                let symbols = member("symbols")?.as_array().into_iter().flatten();
                Kind::Enum(symbols.filter_map(|symbol| symbol.as_str().map(str::to_owned)).collect())
            }
            "fixed" => {
                let size = member("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                Kind::Fixed(size.ok_or("the size of a fixed type is no number")?, logical)
            }
            name => {
                return Ok(
                    primitive(name, logical).unwrap_or_else(|| Kind::Named(full_name(name, namespace)))
                );
            }
        };
        let (name, _) = name_of(json, namespace)?;
        self.named.insert(name.clone(), kind);
        Ok(Kind::Named(name))
    }

    fn record(&mut self, json: &Value, namespace: &str, depth: usize) -> Result<Kind, String> {
        let (name, inner) = name_of(json, namespace)?;
        let mut fields = Vec::new();
        for field in json.get("fields").and_then(Value::as_array).into_iter().flatten() {
            let field_name = field.get("name").and_then(Value::as_str).ok_or("a field has no name")?;
            let kind = field.get("type").ok_or_else(|| format!("field \"{field_name}\" has no type"))?;
            fields.push((field_name.to_owned(), self.kind(kind, &inner, depth + 1)?));
        }
        self.named.insert(name.clone(), Kind::Record(fields));
        Ok(Kind::Named(name))
    }
}

/// The full name of a named type, and the namespace of what is in it.
fn name_of(json: &Value, namespace: &str) -> Result<(String, String), String> {
    let name = json.get("name").and_then(Value::as_str).ok_or("a named type has no name")?;
    let own = json.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
    let full = full_name(name, own);
    let inner = full.rsplit_once('.').map_or("", |(inner, _)| inner).to_owned();
    Ok((full, inner))
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn logical(json: &Value) -> Logical {
    match json.get("logicalType").and_then(Value::as_str) {
        Some("decimal") => {
            let scale = json.get("scale").and_then(Value::as_u64).unwrap_or(0);
            Logical::Decimal { scale: usize::try_from(scale).unwrap_or(usize::MAX) }
        }
        Some(name) => Logical::Named(name.to_owned()),
        None => Logical::None,
    }
}

fn primitive(name: &str, logical: Logical) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int(logical),
        "long" => Kind::Long(logical),
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes(logical),
        "string" => Kind::String,
        _ => return None,
    })
}
