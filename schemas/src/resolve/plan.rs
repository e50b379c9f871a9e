//! How to read the bytes of one writer schema into the columns of one reader schema.
//!
//! A plan is a tree in the order of the writer's bytes. The decoder makes a flat program of it that appends
//! to columns, and can *walk* it to find out what is wrong with a record. Both pass the same verdict.
//!
//! Invariants:
//! 1. A plan that is read fits the column that it was made for; a nullable column is filled only
//!    through [`Plan::Nullable`] and [`Plan::SetNull`].
//! 2. [`Plan::Type`] occurs only in what is walked, so only there can recursion be without end.

use std::sync::Arc;

/// What to do with the next bytes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// No bytes, an entry of a column of type null.
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    /// Bytes that must be UTF-8.
    Text,
    IntToLong,
    IntToFloat,
    IntToDouble,
    LongToFloat,
    LongToDouble,
    FloatToDouble,
    Fixed(usize),
    /// 16 bytes to the text of a UUID.
    UuidText,
    Decimal(Decimal),
    Time(Time),
    /// Per writer symbol what is read instead.
    Enum(Vec<Symbol>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    Record(RecordPlan),
    /// Per branch of the writer's union.
    Union(Vec<Plan>),
    /// No bytes: an entry that is not null, then the plan of its value.
    Nullable(Box<Plan>),
    /// No bytes: a null.
    SetNull,
    /// No bytes: an entry of the reader's union, of the branch at that index, then the plan of its value.
    Variant(usize, Box<Plan>),
    /// A value that the reader schema has no place for; index into [`super::compile::Compiled::issues`].
    Mismatch(usize),
    /// Walked only: index into [`super::compile::Compiled::types`].
    Type(usize),
}

/// A two's-complement big-endian number, of at most `precision` digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// Of a fixed; else the bytes have a length.
    pub(crate) size: Option<usize>,
    pub(crate) precision: u8,
    pub(crate) scale: i8,
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time {
    /// Written as int; else as long.
    pub(crate) is_int: bool,
    /// Microseconds; else milliseconds.
    pub(crate) is_micros: bool,
}

impl Time {
    /// Whether the number is one of a day of 24 hours.
    #[inline]
    pub(crate) fn is_within(self, value: i64) -> bool {
        let day = if self.is_micros { 86_400_000_000 } else { 86_400_000 };
        (0..day).contains(&value)
    }
}

/// What an enum's symbol becomes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Symbol {
    Text(Arc<str>),
    /// As [`Plan::Mismatch`].
    Mismatch(usize),
}

/// The writer's fields in order, then the reader's fields that the writer lacks.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RecordPlan {
    pub(crate) fields: Vec<FieldPlan>,
    pub(crate) defaults: Vec<DefaultPlan>,
}

/// A field of the writer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldPlan {
    pub(crate) name: Arc<str>,
    /// Column of the record, or `None` if the value is only walked.
    pub(crate) column: Option<usize>,
    pub(crate) plan: Plan,
}

/// A field that the writer lacks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DefaultPlan {
    pub(crate) column: usize,
    /// The default, as if the reader schema had written it.
    pub(crate) bytes: Vec<u8>,
    pub(crate) plan: Plan,
}

impl Plan {
    /// Gives the record that this is, or the records that a union chooses from, only the reader's
    /// fields at `columns`, in that order; the others are walked.
    pub(crate) fn project(&mut self, columns: &[usize]) {
        match self {
            Self::Record(record) => record.project(columns),
            Self::Union(branches) => branches.iter_mut().for_each(|branch| branch.project(columns)),
            _ => {}
        }
    }
}

impl RecordPlan {
    fn project(&mut self, columns: &[usize]) {
        let position = |column: usize| columns.iter().position(|&wanted| wanted == column);
        for field in &mut self.fields {
            field.column = field.column.and_then(position);
        }
        let defaults = std::mem::take(&mut self.defaults);
        let wanted = defaults.into_iter().filter_map(|default| {
            let column = position(default.column)?;
            Some(DefaultPlan { column, ..default })
        });
        self.defaults = wanted.collect();
    }
}
