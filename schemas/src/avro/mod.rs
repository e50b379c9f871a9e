//! Avro schemas as a tree, parsed from JSON.
//!
//! Named types (records, enums, fixed) sit in one table and are referred to by index, so that
//! recursive schemas are plain data.
//!
//! Invariants:
//! 1. Every [`Kind::Named`] index is inside [`Schema::definitions`], and none is
//!    [`Body::Pending`] once parsing is done.
//! 2. Nesting in the schema text is at most 64 levels.

mod default;
mod parse;

use std::fmt;
use std::sync::Arc;

pub(crate) use default::{default_number, encode_default};

/// A parsed schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schema {
    pub(crate) root: Node,
    pub(crate) definitions: Vec<Definition>,
}

/// A type where it is used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) logical: Option<Logical>,
}

/// What is on the wire.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Box<Node>),
    Map(Box<Node>),
    Union(Vec<Node>),
    /// Index into [`Schema::definitions`].
    Named(usize),
}

/// A logical type that is valid for its kind; invalid ones are ignored, as the specification asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    Decimal { precision: u32, scale: u32 },
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    Duration,
}

/// A named type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: Name,
    pub(crate) aliases: Vec<Name>,
    pub(crate) body: Body,
    /// Of a fixed.
    pub(crate) logical: Option<Logical>,
}

/// What a named type is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Record(Vec<Field>),
    Enum {
        symbols: Vec<Arc<str>>,
        default: Option<usize>,
    },
    Fixed(usize),
    /// Being parsed.
    Pending,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) aliases: Vec<String>,
    pub(crate) node: Node,
    pub(crate) default: Option<serde_json::Value>,
}

/// A full name: namespace and name with dots between.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name(pub(crate) String);

impl Name {
    /// What is behind the last dot.
    pub(crate) fn unqualified(&self) -> &str {
        self.0.rsplit('.').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Node {
    pub(crate) fn plain(kind: Kind) -> Self {
        Self { kind, logical: None }
    }
}

impl Schema {
    /// The type's name for a person: `"timestamp-millis"`, `record "shop.Order"`.
    pub(crate) fn describe(&self, node: &Node) -> String {
        if let Some(logical) = node.logical {
            return logical.to_string();
        }
        match &node.kind {
            Kind::Null => "null".into(),
            Kind::Boolean => "boolean".into(),
            Kind::Int => "int".into(),
            Kind::Long => "long".into(),
            Kind::Float => "float".into(),
            Kind::Double => "double".into(),
            Kind::Bytes => "bytes".into(),
            Kind::String => "string".into(),
            Kind::Array(_) => "array".into(),
            Kind::Map(_) => "map".into(),
            Kind::Union(branches) => {
                let names: Vec<_> = branches.iter().map(|b| self.describe(b)).collect();
                format!("union [{}]", names.join(", "))
            }
            Kind::Named(index) => {
                let definition = &self.definitions[*index];
                format!("{} \"{}\"", definition.body.word(), definition.name)
            }
        }
    }
}

impl Schema {
    /// The type's name as a branch of a union in Avro's JSON encoding: without its logical type, and the full
    /// name of what has one.
    pub(crate) fn branch_name(&self, node: &Node) -> String {
        match &node.kind {
            Kind::Named(index) => self.definitions[*index].name.to_string(),
            kind => self.describe(&Node::plain(kind.clone())),
        }
    }
}

impl Body {
    /// `record`, `enum` or `fixed`.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Record(_) | Self::Pending => "record",
            Self::Enum { .. } => "enum",
            Self::Fixed(_) => "fixed",
        }
    }
}

impl fmt::Display for Logical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decimal { precision, scale } => return write!(f, "decimal({precision},{scale})"),
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
            Self::LocalTimestampMicros => "local-timestamp-micros",
            Self::LocalTimestampNanos => "local-timestamp-nanos",
            Self::Duration => "duration",
        })
    }
}
