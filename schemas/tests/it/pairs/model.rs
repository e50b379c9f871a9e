//! Schema resolution as the specification has it, value by value and as plainly as can be, and the points where
//! apache-avro is known to do something else.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::ty::{Field, NULL, PRECISION, Ty};

const NAMES: &str = "apache-avro does not look at names";
const ALIASES: &str = "apache-avro does not use aliases of fields";
const VALUES: &str = "apache-avro reads what happens to fit";
const LOGICAL: &str = "apache-avro does not read a logical type as another, or as the type below it";
const UUIDS: &str = "apache-avro takes no other text for a UUID";
const RANGES: &str = "apache-avro does not look at a decimal's digits and scale, nor at a time's day";
const DEFAULTS: &str = "apache-avro takes the branch of a union in a default by the type that it has in JSON";
const UNREACHED: &str = "apache-avro does not see what no value reaches";

/// All of them.
pub(super) const DIFFERENCES: [&str; 8] =
    [NAMES, ALIASES, VALUES, LOGICAL, UUIDS, RANGES, DEFAULTS, UNREACHED];

/// How a pair of types fits, whatever the value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fit {
    /// Some values at least can be read.
    Fits,
    /// The types themselves do not match.
    Not,
    /// They do, but not all of what is in them.
    NotInside,
}

/// Reads a datum, and remembers by which differences it came.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) differences: BTreeSet<&'static str>,
}

impl Model {
    /// What a reader has of the datum, in the form of a row; `None` where it is refused.
    pub(super) fn read(&mut self, writer: &Ty, reader: &Ty, datum: &Json) -> Option<Json> {
        let value = self.value(writer, reader, datum);
        if fit(writer, reader) == Fit::Fits {
            return value;
        }
        if value.is_some() {
            self.differences.insert(UNREACHED);
        }
        None
    }

    fn differs(&mut self, difference: &'static str) -> Option<Json> {
        self.differences.insert(difference);
        None
    }

    fn value(&mut self, writer: &Ty, reader: &Ty, datum: &Json) -> Option<Json> {
        if let Ty::Union(branches) = writer {
            let (branch, datum) = chosen(branches, datum);
            return self.value(branch, reader, datum);
        }
        if let Ty::Union(branches) = reader {
            let others = reader.others();
            return match others[..] {
                _ if *writer == NULL => branches.contains(&NULL).then_some(Json::Null),
                [only] => self.value(writer, only, datum),
                _ => self.union(writer, branches, datum),
            };
        }
        if let Some(differences) = self.logical(writer, reader) {
            return self.differs(differences);
        }
        match (writer, reader) {
            (Ty::Array(item), Ty::Array(reader)) => {
                let items = datum.as_array().expect("an array").iter();
                // All of them: whatever difference comes first, the others count as well.
                let items: Vec<_> = items.map(|datum| self.value(item, reader, datum)).collect();
                items.into_iter().collect::<Option<Vec<_>>>().map(Json::from)
            }
            (Ty::Map(value), Ty::Map(reader)) => {
                let entries = datum.as_object().expect("an object").iter();
                let entries: Vec<_> = entries
                    .map(|(key, datum)| Some((key.clone(), self.value(value, reader, datum)?)))
                    .collect();
                entries.into_iter().collect::<Option<serde_json::Map<_, _>>>().map(Json::from)
            }
            (Ty::Record { fields, .. }, Ty::Record { fields: reader_fields, .. })
                if is_named(writer, reader) =>
            {
                self.record(fields, reader_fields, datum)
            }
            (Ty::Enum { .. }, Ty::Enum { symbols, default, .. }) if is_named(writer, reader) => {
                let symbol = datum.as_str().expect("a symbol").to_owned();
                let known = if symbols.contains(&symbol) { Some(symbol) } else { default.clone() };
                known.map(Json::from)
            }
            (Ty::Fixed { size, .. }, Ty::Fixed { size: reader_size, .. }) if is_named(writer, reader) => {
                (size == reader_size).then(|| hex(&latin1(datum)))
            }
            (Ty::Record { .. }, Ty::Record { .. })
            | (Ty::Enum { .. }, Ty::Enum { .. })
            | (Ty::Fixed { .. }, Ty::Fixed { .. }) => self.differs(NAMES),
            _ if !is_promoted(writer.base(), reader.base()) || is_text_of_decimal(writer, reader) => {
                if is_lenient(writer, reader) {
                    self.differs(VALUES)
                } else {
                    None
                }
            }
            _ => self.scalar(writer, reader, datum),
        }
    }

    /// A value of a union of several types, as an object of the branch that it is read as.
    fn union(&mut self, writer: &Ty, branches: &[Ty], datum: &Json) -> Option<Json> {
        let branch = branch_for(writer, branches);
        for other in branches.iter().filter(|other| Some(*other) != branch) {
            let is_named = matches!(writer, Ty::Record { .. } | Ty::Enum { .. } | Ty::Fixed { .. });
            if is_named && writer.base() == other.base() {
                self.differences.insert(NAMES);
            } else if is_lenient(writer, other) {
                self.differences.insert(VALUES);
            }
        }
        let branch = branch?;
        let value = self.value(writer, branch, datum)?;
        Some(json!({ branch.branch(): value }))
    }

    /// The difference that two logical types make.
    fn logical(&mut self, writer: &Ty, reader: &Ty) -> Option<&'static str> {
        match (writer.logical(), reader.logical()) {
            (Some("decimal" | "decimal-1"), Some("decimal" | "decimal-1")) if writer != reader => {
                Some(RANGES)
            }
            (Some(a), Some(b)) if a != b => Some(LOGICAL),
            _ => None,
        }
    }

    fn record(&mut self, writer: &[Field], reader: &[Field], datum: &Json) -> Option<Json> {
        let mut row = serde_json::Map::new();
        let mut is_read = true;
        for field in reader {
            let value = match source(writer, field) {
                Some(source) => {
                    if source.name != field.name {
                        self.differences.insert(ALIASES);
                    }
                    self.value(&source.ty, &field.ty, &datum[&source.name])
                }
                None => {
                    if field.default.is_some() && !matches!(field.ty, Ty::Union(_)) && !field.ty.is_plain() {
                        self.differences.insert(DEFAULTS);
                    }
                    field.default.as_ref().map(|default| of_default(&field.ty, default))
                }
            };
            match value {
                Some(value) => drop(row.insert(field.name.clone(), value)),
                None => is_read = false,
            }
        }
        is_read.then(|| row.into())
    }

    fn scalar(&mut self, writer: &Ty, reader: &Ty, datum: &Json) -> Option<Json> {
        match (writer.logical(), reader.logical()) {
            (Some(_), None) => drop(self.differs(LOGICAL)),
            (None, Some("uuid")) => drop(self.differs(UUIDS)),
            (None, Some("decimal" | "decimal-1")) => drop(self.differs(RANGES)),
            _ => {}
        }
        let bytes = || match writer.base() {
            "string" => datum.as_str().expect("a text").as_bytes().to_vec(),
            _ => latin1(datum),
        };
        match (reader.base(), reader.logical()) {
            ("int", Some("time-millis")) => self.ranged(datum, 0..86_400_000),
            ("long", Some("time-micros")) => self.ranged(datum, 0..86_400_000_000),
            ("bytes", Some(_)) => {
                let number = bytes().iter().fold(0i64, |n, byte| n << 8 | i64::from(*byte));
                let bits = 8 * bytes().len() as u32;
                let number = if bits == 0 { 0 } else { number << (64 - bits) >> (64 - bits) };
                let limit = 10i64.pow(PRECISION);
                let in_range = self.ranged(&json!(number), 1 - limit..limit);
                in_range.map(|_| json!(number.to_string()))
            }
            ("float", _) if writer.base() != "float" => Some(float(f64::from(datum.as_i64()? as f32))),
            ("float", _) => Some(float(f64::from(datum.as_f64()? as f32))),
            ("double", _) => Some(float(datum.as_f64()?)),
            ("bytes", _) => Some(hex(&bytes())),
            ("string", _) => String::from_utf8(bytes()).ok().map(Json::from),
            _ => Some(datum.clone()),
        }
    }

    fn ranged(&mut self, datum: &Json, range: std::ops::Range<i64>) -> Option<Json> {
        if range.contains(&datum.as_i64()?) { Some(datum.clone()) } else { self.differs(RANGES) }
    }
}

/// The branch of a value in Avro's JSON encoding, and the value.
fn chosen<'t, 'd>(branches: &'t [Ty], datum: &'d Json) -> (&'t Ty, &'d Json) {
    let (name, datum) = match datum.as_object() {
        Some(object) => object.iter().next().map(|(name, datum)| (name.as_str(), datum)).expect("a branch"),
        None => ("null", datum),
    };
    (branches.iter().find(|branch| branch.branch() == name).expect("a branch"), datum)
}

fn source<'w>(writer: &'w [Field], field: &Field) -> Option<&'w Field> {
    let names = std::iter::once(&field.name).chain(&field.aliases);
    names.into_iter().find_map(|name| writer.iter().find(|source| source.name == *name))
}

fn is_named(writer: &Ty, reader: &Ty) -> bool {
    let aliases = match reader {
        Ty::Record { aliases, .. } | Ty::Fixed { aliases, .. } => aliases.as_slice(),
        _ => &[],
    };
    writer.branch() == reader.branch()
        || aliases.iter().any(|alias| writer.branch() == format!("shop.{alias}"))
}

/// One of the same type, else the first that the writer's is promoted to.
fn branch_for<'b>(writer: &Ty, branches: &'b [Ty]) -> Option<&'b Ty> {
    let is_same = |branch: &&Ty| match writer {
        Ty::Record { .. } | Ty::Enum { .. } | Ty::Fixed { .. } => {
            writer.base() == branch.base() && is_named(writer, branch)
        }
        _ => writer.base() == branch.base(),
    };
    let is_promoted = |branch: &&Ty| {
        let is_plain = matches!(branch, Ty::Primitive(_) | Ty::Logical(..));
        is_plain && is_promoted(writer.base(), branch.base())
    };
    let same_name =
        branches.iter().find(|branch| writer.base() == branch.base() && writer.branch() == branch.branch());
    same_name.or_else(|| branches.iter().find(is_same)).or_else(|| branches.iter().find(is_promoted))
}

fn is_promoted(writer: &str, reader: &str) -> bool {
    match writer {
        "int" => matches!(reader, "int" | "long" | "float" | "double"),
        "long" => matches!(reader, "long" | "float" | "double"),
        "float" => matches!(reader, "float" | "double"),
        "bytes" | "string" => matches!(reader, "bytes" | "string"),
        other => other == reader,
    }
}

/// No number is made of a text.
fn is_text_of_decimal(writer: &Ty, reader: &Ty) -> bool {
    writer.base() == "string" && reader.base() == "bytes" && reader.logical().is_some()
}

/// Whether apache-avro may take the one for the other.
fn is_lenient(writer: &Ty, reader: &Ty) -> bool {
    matches!(
        (writer.base(), reader.base()),
        ("long", "int")
            | ("double", "float")
            | ("string", "enum" | "fixed" | "bytes")
            | ("bytes", "fixed")
            | ("fixed", "string")
            | ("map", "record")
            | ("array", "bytes")
    ) || (writer.base() == "fixed" && reader.logical().is_some())
}

fn fit(writer: &Ty, reader: &Ty) -> Fit {
    if let Ty::Union(branches) = writer {
        // Only some values of it may not fit.
        let none = branches.iter().all(|branch| fit(branch, reader) == Fit::Not);
        return if none { Fit::NotInside } else { Fit::Fits };
    }
    if let Ty::Union(branches) = reader {
        return match reader.others()[..] {
            _ if *writer == NULL => {
                if branches.contains(&NULL) {
                    Fit::Fits
                } else {
                    Fit::Not
                }
            }
            [only] => fit(writer, only),
            _ => branch_for(writer, branches).map_or(Fit::Not, |branch| fit(writer, branch)),
        };
    }
    let inside = |fits: bool| if fits { Fit::Fits } else { Fit::NotInside };
    if let (Some(a), Some(b)) = (writer.logical(), reader.logical())
        && a != b
    {
        return Fit::Not;
    }
    match (writer, reader) {
        (Ty::Array(a), Ty::Array(b)) | (Ty::Map(a), Ty::Map(b)) => inside(fit(a, b) == Fit::Fits),
        (Ty::Record { .. }, Ty::Record { .. })
        | (Ty::Enum { .. }, Ty::Enum { .. })
        | (Ty::Fixed { .. }, Ty::Fixed { .. })
            if !is_named(writer, reader) =>
        {
            Fit::Not
        }
        (Ty::Record { fields: a, .. }, Ty::Record { fields: b, .. }) => {
            let lacks = |field: &Field| source(a, field).is_none() && field.default.is_none();
            if b.iter().any(lacks) {
                return Fit::Not;
            }
            let fits =
                |field: &Field| source(a, field).is_none_or(|source| fit(&source.ty, &field.ty) == Fit::Fits);
            inside(b.iter().all(fits))
        }
        (Ty::Enum { symbols: a, .. }, Ty::Enum { symbols: b, default, .. }) => {
            inside(default.is_some() || a.iter().any(|symbol| b.contains(symbol)))
        }
        (Ty::Fixed { size: a, .. }, Ty::Fixed { size: b, .. }) if a != b => Fit::Not,
        _ if is_promoted(writer.base(), reader.base()) && !is_text_of_decimal(writer, reader) => Fit::Fits,
        _ => Fit::Not,
    }
}

/// A default as a row has it.
fn of_default(ty: &Ty, default: &Json) -> Json {
    match ty {
        Ty::Union(branches) => {
            let value = of_default(&branches[0], default);
            if ty.others().len() < 2 || branches[0] == NULL {
                value
            } else {
                json!({ branches[0].branch(): value })
            }
        }
        Ty::Array(item) => {
            default.as_array().expect("an array").iter().map(|json| of_default(item, json)).collect()
        }
        Ty::Map(value) => {
            let entries = default.as_object().expect("an object").iter();
            entries
                .map(|(key, json)| (key.clone(), of_default(value, json)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Ty::Record { fields, .. } => {
            let fields =
                fields.iter().map(|field| (field.name.clone(), of_default(&field.ty, &default[&field.name])));
            fields.collect::<serde_json::Map<_, _>>().into()
        }
        Ty::Fixed { .. } | Ty::Primitive("bytes") => hex(&latin1(default)),
        Ty::Logical(_, "decimal" | "decimal-1") => json!("1000"),
        Ty::Primitive("float" | "double") => float(default.as_f64().expect("a number")),
        _ => default.clone(),
    }
}

fn latin1(datum: &Json) -> Vec<u8> {
    datum.as_str().expect("bytes").chars().map(|c| u8::try_from(c).expect("up to U+00FF")).collect()
}

fn hex(bytes: &[u8]) -> Json {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

fn float(value: f64) -> Json {
    json!(format!("{value:?}"))
}
