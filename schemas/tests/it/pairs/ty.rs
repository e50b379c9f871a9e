//! Types of Avro as the tests make them up.

use serde_json::{Value as Json, json};

/// A type. Named ones are defined where they are used, once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ty {
    Primitive(&'static str),
    /// The type below, and the logical one.
    Logical(&'static str, &'static str),
    Enum {
        name: String,
        symbols: Vec<String>,
        default: Option<String>,
    },
    Fixed {
        name: String,
        aliases: Vec<String>,
        size: usize,
    },
    Array(Box<Ty>),
    Map(Box<Ty>),
    Record {
        name: String,
        aliases: Vec<String>,
        fields: Vec<Field>,
    },
    Union(Vec<Ty>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) ty: Ty,
    pub(super) default: Option<Json>,
}

pub(super) const NULL: Ty = Ty::Primitive("null");

/// The precision of all decimals here.
pub(super) const PRECISION: u32 = 4;

impl Ty {
    pub(super) fn json(&self) -> Json {
        match self {
            Self::Primitive(name) => json!(name),
            Self::Logical(base, "decimal") => {
                json!({"type": base, "logicalType": "decimal", "precision": PRECISION, "scale": 2})
            }
            // Another scale.
            Self::Logical(base, "decimal-1") => {
                json!({"type": base, "logicalType": "decimal", "precision": PRECISION, "scale": 1})
            }
            Self::Logical(base, logical) => json!({"type": base, "logicalType": logical}),
            Self::Enum { name, symbols, default: None } => {
                json!({"type": "enum", "name": name, "symbols": symbols})
            }
            Self::Enum { name, symbols, default } => {
                json!({"type": "enum", "name": name, "symbols": symbols, "default": default})
            }
            Self::Fixed { name, aliases, size } => {
                json!({"type": "fixed", "name": name, "aliases": aliases, "size": size})
            }
            Self::Array(item) => json!({"type": "array", "items": item.json()}),
            Self::Map(value) => json!({"type": "map", "values": value.json()}),
            Self::Record { name, aliases, fields } => {
                let fields: Vec<_> = fields.iter().map(Field::json).collect();
                json!({"type": "record", "name": name, "aliases": aliases, "fields": fields})
            }
            Self::Union(branches) => branches.iter().map(Self::json).collect(),
        }
    }

    /// The type below a logical one.
    pub(super) fn base(&self) -> &'static str {
        match self {
            Self::Primitive(base) | Self::Logical(base, _) => base,
            Self::Enum { .. } => "enum",
            Self::Fixed { .. } => "fixed",
            Self::Array(_) => "array",
            Self::Map(_) => "map",
            Self::Record { .. } => "record",
            Self::Union(_) => "union",
        }
    }

    pub(super) fn logical(&self) -> Option<&'static str> {
        match self {
            Self::Logical(_, logical) => Some(logical),
            _ => None,
        }
    }

    /// Its name as a branch of a union, in Avro's JSON encoding.
    pub(super) fn branch(&self) -> String {
        match self {
            Self::Enum { name, .. } | Self::Fixed { name, .. } | Self::Record { name, .. } => {
                format!("shop.{name}")
            }
            other => other.base().into(),
        }
    }

    /// The branches besides null.
    pub(super) fn others(&self) -> Vec<&Ty> {
        match self {
            Self::Union(branches) => branches.iter().filter(|branch| **branch != NULL).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether no union of several types besides null is in it.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::Array(inner) | Self::Map(inner) => inner.is_plain(),
            Self::Record { fields, .. } => fields.iter().all(|field| field.ty.is_plain()),
            Self::Union(branches) => self.others().len() < 2 && branches.iter().all(Self::is_plain),
            _ => true,
        }
    }
}

impl Field {
    fn json(&self) -> Json {
        let mut field = json!({"name": self.name, "aliases": self.aliases, "type": self.ty.json()});
        if let Some(default) = &self.default {
            field["default"] = default.clone();
        }
        field
    }
}
