//! A writer schema and a reader schema to a plan, by the Avro 1.12 specification, "Schema
//! Resolution".
//!
//! Stricter than it in one point: where both sides have a logical type, they must be the same
//! (for decimals the specification says so). Read as the reader's, `timestamp-millis` would be
//! `timestamp-micros` a thousand times too small.
//!
//! A mismatch below a union's branch or an enum's symbol concerns only the values that have it:
//! such schemas can be read, and the plan refuses those values.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::mem::discriminant;
use std::sync::Arc;

use super::arrow::non_null;
use super::plan::{Decimal, DefaultPlan, FieldPlan, Plan, RecordPlan, Symbol, Time};
use crate::avro::{Body, Definition, Field, Kind, Logical, Node, Schema, encode_default};
use crate::decode::fault;

/// Pairs of types that are looked at before two schemas are refused as too large. Unions inside
/// records inside unions multiply; real schemas stay below a hundredth of this.
const MAX_STEPS: usize = 200_000;

/// Levels that two schemas are compared to. A reader schema has fewer; this is for [`check`].
const MAX_PATH: usize = 256;

/// A rule of schema resolution that a pair of schemas breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Field names from the root with dots between, `[]` for an array's items, `{}` for a map's
    /// values; empty at the root.
    pub path: String,
    pub rule: String,
    /// Only values with a certain union branch or enum symbol can't be read.
    pub conditional: bool,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.rule)
    }
}

/// What [`compile`] found out.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// How to read a value; meaningless if an issue is not conditional.
    pub(crate) root: Plan,
    /// What [`Plan::Type`] refers to.
    pub(crate) types: Vec<Plan>,
    pub(crate) issues: Vec<Issue>,
}

/// Resolves `writer` against a reader schema that passed [`super::ReaderSchema::new`].
pub(crate) fn compile(writer: &Schema, reader: &Schema) -> Compiled {
    let mut compiler = Compiler::new(writer, reader, false);
    let root = compiler.node(&writer.root, &reader.root);
    // A list and not a recursion: types may be nested by name as deep as there are names.
    let mut types = Vec::new();
    while let Some(&index) = compiler.walked_types.get(types.len()) {
        types.push(compiler.walked_body(index));
    }
    Compiled { root, types, issues: compiler.issues }
}

/// The issues of any two schemas, those included that can't be reader schemas here.
pub(crate) fn check(writer: &Schema, reader: &Schema) -> Vec<Issue> {
    let mut compiler = Compiler::new(writer, reader, true);
    compiler.node(&writer.root, &reader.root);
    compiler.issues
}

struct Compiler<'a> {
    writer: &'a Schema,
    reader: &'a Schema,
    /// The plan is of no interest: look at each pair of records once, whatever contains it.
    check_only: bool,

    path: Vec<String>,
    n_steps: usize,
    /// How many union branches and symbols the walk is inside of.
    conditions: usize,
    issues: Vec<Issue>,
    /// The writer's types behind [`Plan::Type`], in order of its index.
    walked_types: Vec<usize>,
    type_of: HashMap<usize, usize>,
    checked: HashSet<(usize, usize)>,
}

impl<'a> Compiler<'a> {
    fn new(writer: &'a Schema, reader: &'a Schema, check_only: bool) -> Self {
        Self {
            writer,
            reader,
            check_only,
            path: Vec::new(),
            n_steps: 0,
            conditions: 0,
            issues: Vec::new(),
            walked_types: Vec::new(),
            type_of: HashMap::new(),
            checked: HashSet::new(),
        }
    }

    fn issue(&mut self, rule: String) -> usize {
        let path = self.path.join(".").replace(".[]", "[]").replace(".{}", "{}");
        self.issues.push(Issue { path, rule, conditional: 0 < self.conditions });
        self.issues.len() - 1
    }

    fn mismatch(&mut self, rule: String) -> Plan {
        Plan::Mismatch(self.issue(rule))
    }

    fn inside<T>(&mut self, step: &str, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.to_owned());
        let result = walk(self);
        self.path.pop();
        result
    }

    fn node(&mut self, writer: &Node, reader: &Node) -> Plan {
        self.n_steps += 1;
        if self.n_steps > MAX_STEPS || self.path.len() > MAX_PATH {
            self.conditions = 0;
            return self.mismatch("the schemas are too large to be compared".into());
        }
        if let Kind::Union(branches) = &writer.kind {
            return self.writer_union(branches, reader);
        }
        let Kind::Union(branches) = &reader.kind else {
            return self.value(writer, reader);
        };
        let Some((inner, nullable)) = non_null(reader) else {
            return self.reader_union(writer, branches);
        };
        match (&writer.kind, &inner.kind) {
            (Kind::Null, Kind::Null) => Plan::Null,
            (Kind::Null, _) if nullable => Plan::SetNull,
            _ => match self.value(writer, inner) {
                mismatch @ Plan::Mismatch(_) => mismatch,
                plan if nullable => Plan::Nullable(Box::new(plan)),
                plan => plan,
            },
        }
    }

    fn writer_union(&mut self, branches: &[Node], reader: &Node) -> Plan {
        let first_issue = self.issues.len();
        self.conditions += 1;
        let plans: Vec<_> = branches.iter().map(|branch| self.node(branch, reader)).collect();
        self.conditions -= 1;
        self.none_left(first_issue, plans.iter().all(|plan| matches!(plan, Plan::Mismatch(_))));
        Plan::Union(plans)
    }

    /// Where no value can be read, the issues hold for every value.
    fn none_left(&mut self, first_issue: usize, none_left: bool) {
        if none_left && self.conditions == 0 {
            self.issues[first_issue..].iter_mut().for_each(|issue| issue.conditional = false);
        }
    }

    /// A reader's union of several types.
    fn reader_union(&mut self, writer: &Node, branches: &[Node]) -> Plan {
        let Some(branch) = self.branch_for(writer, branches) else {
            let rule =
                format!("the writer's {} fits no branch of the reader's union", self.writer.describe(writer));
            return self.mismatch(rule);
        };
        match self.value(writer, &branches[branch]) {
            mismatch @ Plan::Mismatch(_) => mismatch,
            value => Plan::Variant(branch, Box::new(value)),
        }
    }

    /// The branch that a writer's type is read as. The specification says the first that matches; the libraries
    /// take one of the same type, if there is one, before any that it would be promoted to.
    fn branch_for(&self, writer: &Node, branches: &[Node]) -> Option<usize> {
        let named = |matches: fn(&Definition, &Definition) -> bool| {
            branches.iter().position(|branch| match (&writer.kind, &branch.kind) {
                (Kind::Named(writer), Kind::Named(reader)) => {
                    let (writer, reader) =
                        (&self.writer.definitions[*writer], &self.reader.definitions[*reader]);
                    writer.body.word() == reader.body.word() && matches(writer, reader)
                }
                _ => false,
            })
        };
        let same = |branch: &Node| {
            !matches!(writer.kind, Kind::Named(_)) && discriminant(&writer.kind) == discriminant(&branch.kind)
        };
        named(|writer, reader| writer.name == reader.name)
            .or_else(|| named(same_name))
            .or_else(|| branches.iter().position(same))
            .or_else(|| branches.iter().position(|branch| scalar(&writer.kind, &branch.kind).is_some()))
    }

    /// Neither side is a union.
    fn value(&mut self, writer: &Node, reader: &Node) -> Plan {
        if let Some(rule) = self.logical_conflict(writer, reader) {
            return self.mismatch(rule);
        }
        let decimal = match reader.logical {
            Some(Logical::Decimal { precision, scale }) => Some((precision, scale)),
            _ => None,
        };
        match (&writer.kind, &reader.kind) {
            (Kind::Array(writer), Kind::Array(reader)) => {
                Plan::Array(Box::new(self.inside("[]", |c| c.node(writer, reader))))
            }
            (Kind::Map(writer), Kind::Map(reader)) => {
                Plan::Map(Box::new(self.inside("{}", |c| c.node(writer, reader))))
            }
            (Kind::Named(writer), Kind::Named(reader)) => self.named(*writer, *reader, decimal),
            (Kind::Bytes, Kind::Bytes) if decimal.is_some() => self.decimal(None, decimal),
            (writer_kind, reader_kind) => match scalar(writer_kind, reader_kind) {
                Some(plan) if decimal.is_none() => match reader.logical {
                    Some(Logical::TimeMillis) => time(writer_kind, false),
                    Some(Logical::TimeMicros) => time(writer_kind, true),
                    _ => plan,
                },
                _ => self.no_promotion(writer, reader),
            },
        }
    }

    fn no_promotion(&mut self, writer: &Node, reader: &Node) -> Plan {
        let rule = format!(
            "the writer's {} can't be read as {}: the types differ and there is no promotion",
            self.writer.describe(writer),
            self.reader.describe(reader)
        );
        self.mismatch(rule)
    }

    fn logical_conflict(&self, writer: &Node, reader: &Node) -> Option<String> {
        let (Some(a), Some(b)) = (writer.logical, reader.logical) else {
            return None;
        };
        (a != b).then(|| format!("the writer's {a} can't be read as {b}: the logical types must be the same"))
    }

    fn decimal(&mut self, size: Option<usize>, decimal: Option<(u32, u32)>) -> Plan {
        let parts = decimal.and_then(|(p, s)| Some((u8::try_from(p).ok()?, i8::try_from(s).ok()?)));
        match parts {
            Some((precision, scale)) => Plan::Decimal(Decimal { size, precision, scale }),
            None if self.check_only => Plan::Null,
            None => self.mismatch("the decimal has too many digits".into()),
        }
    }

    fn named(&mut self, writer_index: usize, reader_index: usize, decimal: Option<(u32, u32)>) -> Plan {
        let (writer, reader) =
            (&self.writer.definitions[writer_index], &self.reader.definitions[reader_index]);
        if writer.body.word() != reader.body.word() || !same_name(writer, reader) {
            let rule = format!(
                "the writer's {} \"{}\" can't be read as {} \"{}\": kind and name must be the same, or the name an alias",
                writer.body.word(),
                writer.name,
                reader.body.word(),
                reader.name
            );
            return self.mismatch(rule);
        }
        match (&writer.body, &reader.body) {
            (Body::Fixed(size), Body::Fixed(reader_size)) if size != reader_size => {
                self.mismatch(format!("the writer's fixed has {size} bytes, the reader's {reader_size}"))
            }
            (Body::Fixed(size), Body::Fixed(_)) => match reader.logical {
                Some(Logical::Decimal { .. }) => self.decimal(Some(*size), decimal),
                Some(Logical::Uuid) => Plan::UuidText,
                _ => Plan::Fixed(*size),
            },
            (Body::Enum { symbols, .. }, Body::Enum { symbols: known, default }) => {
                self.symbols(symbols, known, *default)
            }
            (Body::Record(fields), Body::Record(reader_fields)) => {
                if self.check_only && !self.checked.insert((writer_index, reader_index)) {
                    return Plan::Null;
                }
                self.record(fields, reader_fields)
            }
            _ => self.mismatch("a type has no definition".into()),
        }
    }

    fn symbols(&mut self, symbols: &[Arc<str>], known: &[Arc<str>], default: Option<usize>) -> Plan {
        let first_issue = self.issues.len();
        self.conditions += 1;
        let symbols: Vec<_> = symbols
            .iter()
            .map(|symbol| match (known.contains(symbol), default) {
                (true, _) => Symbol::Text(Arc::clone(symbol)),
                (false, Some(default)) => Symbol::Text(Arc::clone(&known[default])),
                (false, None) => Symbol::Mismatch(self.issue(format!(
                    "the writer's symbol \"{symbol}\" is not one of the reader's, whose enum has no default"
                ))),
            })
            .collect();
        self.conditions -= 1;
        self.none_left(first_issue, symbols.iter().all(|symbol| matches!(symbol, Symbol::Mismatch(_))));
        Plan::Enum(symbols)
    }

    fn record(&mut self, writer: &[Field], reader: &[Field]) -> Plan {
        let sources = match_fields(writer, reader);
        let mut plan = RecordPlan::default();
        for (index, field) in writer.iter().enumerate() {
            let column = sources.iter().position(|source| *source == Some(index));
            let field_plan = match column {
                Some(column) => {
                    self.inside(&reader[column].name, |c| c.node(&field.node, &reader[column].node))
                }
                None if self.check_only => Plan::Null,
                None => self.walked(&field.node),
            };
            plan.fields.push(FieldPlan { name: Arc::clone(&field.name), column, plan: field_plan });
        }
        let mut missing = None;
        for (column, field) in reader.iter().enumerate().filter(|(column, _)| sources[*column].is_none()) {
            match self.inside(&field.name, |c| c.default(column, field)) {
                Ok(default) => plan.defaults.push(default),
                Err(issue) => missing = missing.or(Some(issue)),
            }
        }
        match missing {
            Some(issue) => Plan::Mismatch(issue),
            None => Plan::Record(plan),
        }
    }

    /// The plan of a reader's field that the writer lacks, or the issue that it has no default.
    fn default(&mut self, column: usize, field: &Field) -> Result<DefaultPlan, usize> {
        let Some(value) = &field.default else {
            return Err(self.issue("the writer lacks the field, and the reader has no default for it".into()));
        };
        let mut bytes = Vec::new();
        if self.check_only {
            // A recursive record could have a default without end.
            return Ok(DefaultPlan { column, bytes, plan: Plan::Null });
        }
        if let Err(error) = encode_default(self.reader, &field.node, value, &mut bytes) {
            return Err(self.issue(error.to_string()));
        }
        let mut identity = Compiler::new(self.reader, self.reader, false);
        let plan = identity.node(&field.node, &field.node);
        // Of its type it is; what a logical type takes is for whoever reads to know.
        match fault(&[], &plan, &bytes) {
            None => Ok(DefaultPlan { column, bytes, plan }),
            Some(fault) => Err(self.issue(format!("the default {value} can't be read: {fault}"))),
        }
    }

    /// The plan of something that only the writer has.
    fn walked(&mut self, node: &Node) -> Plan {
        match &node.kind {
            Kind::Array(item) => Plan::Array(Box::new(self.walked(item))),
            Kind::Map(value) => Plan::Map(Box::new(self.walked(value))),
            Kind::Union(branches) => Plan::Union(branches.iter().map(|branch| self.walked(branch)).collect()),
            Kind::Named(index) => self.walked_type(*index),
            scalar_kind => scalar(scalar_kind, scalar_kind).unwrap_or(Plan::Null),
        }
    }

    fn walked_type(&mut self, index: usize) -> Plan {
        let walked_types = &mut self.walked_types;
        let position = *self.type_of.entry(index).or_insert_with(|| {
            walked_types.push(index);
            walked_types.len() - 1
        });
        Plan::Type(position)
    }

    fn walked_body(&mut self, index: usize) -> Plan {
        let schema = self.writer;
        let fields = match &schema.definitions[index].body {
            Body::Fixed(size) => return Plan::Fixed(*size),
            Body::Enum { symbols, .. } => {
                return Plan::Enum(symbols.iter().cloned().map(Symbol::Text).collect());
            }
            Body::Record(fields) => fields.as_slice(),
            Body::Pending => &[],
        };
        let fields = fields.iter().map(|field| FieldPlan {
            name: Arc::clone(&field.name),
            column: None,
            plan: self.walked(&field.node),
        });
        Plan::Record(RecordPlan { fields: fields.collect(), defaults: Vec::new() })
    }
}

/// Per reader field the writer field that fills it: the one of its name, else of an alias. A
/// writer field fills one reader field at most.
fn match_fields(writer: &[Field], reader: &[Field]) -> Vec<Option<usize>> {
    let by_name: HashMap<&str, usize> =
        writer.iter().enumerate().map(|(i, field)| (&*field.name, i)).collect();
    let mut sources: Vec<_> = reader.iter().map(|field| by_name.get(&*field.name).copied()).collect();
    let mut taken: HashSet<usize> = sources.iter().copied().flatten().collect();
    for (source, field) in sources.iter_mut().zip(reader).filter(|(source, _)| source.is_none()) {
        let aliased = field.aliases.iter().filter_map(|alias| by_name.get(alias.as_str()).copied());
        *source = aliased.into_iter().find(|index| taken.insert(*index));
    }
    sources
}

fn same_name(writer: &Definition, reader: &Definition) -> bool {
    let names = std::iter::once(&reader.name).chain(&reader.aliases);
    names.into_iter().any(|name| name.unqualified() == writer.name.unqualified())
}

/// The plan between two types without parts, if there is one.
fn scalar(writer: &Kind, reader: &Kind) -> Option<Plan> {
    Some(match (writer, reader) {
        (Kind::Null, Kind::Null) => Plan::Null,
        (Kind::Boolean, Kind::Boolean) => Plan::Boolean,
        (Kind::Int, Kind::Int) => Plan::Int,
        (Kind::Int, Kind::Long) => Plan::IntToLong,
        (Kind::Int, Kind::Float) => Plan::IntToFloat,
        (Kind::Int, Kind::Double) => Plan::IntToDouble,
        (Kind::Long, Kind::Long) => Plan::Long,
        (Kind::Long, Kind::Float) => Plan::LongToFloat,
        (Kind::Long, Kind::Double) => Plan::LongToDouble,
        (Kind::Float, Kind::Float) => Plan::Float,
        (Kind::Float, Kind::Double) => Plan::FloatToDouble,
        (Kind::Double, Kind::Double) => Plan::Double,
        (Kind::Bytes | Kind::String, Kind::Bytes) => Plan::Bytes,
        (Kind::Bytes | Kind::String, Kind::String) => Plan::Text,
        _ => return None,
    })
}

fn time(writer: &Kind, is_micros: bool) -> Plan {
    Plan::Time(Time { is_int: *writer == Kind::Int, is_micros })
}
