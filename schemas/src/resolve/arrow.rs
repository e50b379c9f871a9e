//! Which Arrow type a column has: a function of the reader schema alone.

use std::sync::Arc;

use ::arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field as ArrowField, Fields,
    Schema as ArrowSchema, SchemaRef, TimeUnit, UnionFields, UnionMode,
};

use crate::avro::{Body, Field, Kind, Logical, Node, Schema};
use crate::error::SchemaError;

/// The zone of `timestamp-*` columns: the one that arrow-avro gives them, too.
const UTC: &str = "+00:00";

/// Columns with everything inside them, counted as often as they appear. Named types used many
/// times over multiply; a schema of a few lines could ask for millions of columns.
const MAX_COLUMNS: usize = 20_000;

/// Columns inside columns; every walk over them uses stack per level.
const MAX_DEPTH: usize = 64;

/// Branches of a union; Arrow has numbers for so many.
const MAX_BRANCHES: usize = 127;

/// Larger fixed types are refused as columns: each null takes that much memory.
const MAX_FIXED_BYTES: usize = 64 << 10;

/// A field that has no column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub field: String,
    /// Why it can't be a column, for a person.
    pub reason: String,
}

/// The columns of a record schema. Takes the fields that can't be columns out of it: they are read as what
/// only a writer has.
///
/// # Errors
/// [`SchemaError`] where it is no record, has no field that can be a column, or too many.
pub(super) fn arrow_schema(schema: &mut Schema) -> Result<(SchemaRef, Vec<LeftOut>), SchemaError> {
    let Kind::Named(index) = schema.root.kind else {
        return Err(SchemaError::new(format!(
            "a reader schema must be a record, not {}",
            schema.describe(&schema.root)
        )));
    };
    let Body::Record(fields) = &schema.definitions[index].body else {
        return Err(SchemaError::new(format!(
            "a reader schema must be a record, not {}",
            schema.describe(&schema.root)
        )));
    };
    let mut mapper = Mapper { schema, open: vec![index], n_columns: 0, depth: 0 };
    let (mut columns, mut left_out) = (Vec::new(), Vec::new());
    for field in fields {
        match mapper.field(&field.name, &field.node) {
            Ok(column) => columns.push(column),
            // One that is too large is none that merely waits for support.
            Err(error) if mapper.n_columns <= MAX_COLUMNS && mapper.depth < MAX_DEPTH => {
                left_out.push(LeftOut { field: field.name.to_string(), reason: error.to_string() });
                (mapper.depth, mapper.open) = (0, vec![index]);
            }
            Err(error) => return Err(error.at(&place(field))),
        }
    }
    if let Some(first) = left_out.first().filter(|_| columns.is_empty()) {
        return Err(SchemaError::new(format!("field \"{}\": {}", first.field, first.reason)));
    }
    if let Body::Record(fields) = &mut schema.definitions[index].body {
        fields.retain(|field| left_out.iter().all(|left_out| left_out.field != *field.name));
    }
    Ok((Arc::new(ArrowSchema::new(columns)), left_out))
}

fn place(field: &Field) -> String {
    format!("field \"{}\"", field.name)
}

/// `node` without its null branch, and whether it has one; `None` where several branches remain.
/// A union of nothing but null is of type null.
pub(crate) fn non_null(node: &Node) -> Option<(&Node, bool)> {
    let Kind::Union(branches) = &node.kind else {
        return Some((node, false));
    };
    let mut others = branches.iter().filter(|branch| branch.kind != Kind::Null);
    match (others.next(), others.next()) {
        (Some(only), None) => Some((only, branches.len() == 2)),
        (None, _) => branches.first().map(|null| (null, false)),
        _ => None,
    }
}

struct Mapper<'a> {
    schema: &'a Schema,
    /// The records that the walk is inside of.
    open: Vec<usize>,
    n_columns: usize,
    depth: usize,
}

impl Mapper<'_> {
    fn fields(&mut self, fields: &[Field]) -> Result<Fields, SchemaError> {
        let fields = fields
            .iter()
            .map(|field| self.field(&field.name, &field.node).map_err(|error| error.at(&place(field))));
        fields.collect()
    }

    fn field(&mut self, name: &str, node: &Node) -> Result<ArrowField, SchemaError> {
        self.n_columns += 1;
        if self.n_columns > MAX_COLUMNS {
            return Err(SchemaError::new(format!("more than {MAX_COLUMNS} columns, nested ones included")));
        }
        if self.depth >= MAX_DEPTH {
            return Err(SchemaError::new(format!("columns nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let (data_type, nullable) = match (non_null(node), &node.kind) {
            (Some((node, nullable)), _) => (self.data_type(node)?, nullable),
            // Arrow takes a union for null wherever one of its branches is.
            (None, Kind::Union(branches)) => (self.union(branches)?, true),
            (None, _) => return Err(SchemaError::new("a union without branches")),
        };
        self.depth -= 1;
        let nullable = nullable || data_type == DataType::Null;
        Ok(ArrowField::new(name, data_type, nullable))
    }

    /// Sparse, a column for each branch, which is null where the value is of another one: arrays of a union have
    /// no nulls of their own.
    fn union(&mut self, branches: &[Node]) -> Result<DataType, SchemaError> {
        if branches.len() > MAX_BRANCHES {
            return Err(SchemaError::new(format!("a union of more than {MAX_BRANCHES} types")));
        }
        let fields = branches.iter().map(|branch| {
            let name = self.schema.branch_name(branch);
            Ok(self.field(&name, branch)?.with_nullable(true))
        });
        let fields = UnionFields::from_fields(fields.collect::<Result<Vec<_>, SchemaError>>()?);
        Ok(DataType::Union(fields, UnionMode::Sparse))
    }

    fn data_type(&mut self, node: &Node) -> Result<DataType, SchemaError> {
        if let Some(data_type) = node.logical.and_then(logical_type) {
            return data_type;
        }
        Ok(match &node.kind {
            Kind::Null => DataType::Null,
            Kind::Boolean => DataType::Boolean,
            Kind::Int => DataType::Int32,
            Kind::Long => DataType::Int64,
            Kind::Float => DataType::Float32,
            Kind::Double => DataType::Float64,
            Kind::Bytes => DataType::Binary,
            Kind::String => DataType::Utf8,
            Kind::Array(item) => DataType::List(Arc::new(self.field("item", item)?)),
            Kind::Map(value) => {
                let key = ArrowField::new("key", DataType::Utf8, false);
                let value = self.field("value", value)?;
                let entries = DataType::Struct(Fields::from(vec![key, value]));
                DataType::Map(Arc::new(ArrowField::new("entries", entries, false)), false)
            }
            Kind::Union(_) => return Err(SchemaError::new("a union inside a union")),
            Kind::Named(index) => self.named(*index)?,
        })
    }

    fn named(&mut self, index: usize) -> Result<DataType, SchemaError> {
        let definition = &self.schema.definitions[index];
        match &definition.body {
            Body::Enum { .. } => Ok(DataType::Utf8),
            Body::Fixed(size) if 0 < *size && *size <= MAX_FIXED_BYTES => {
                Ok(DataType::FixedSizeBinary(i32::try_from(*size).expect("checked against MAX_FIXED_BYTES")))
            }
            Body::Fixed(size) => Err(SchemaError::new(format!("a fixed of {size} bytes can't be a column"))),
            Body::Record(fields) => {
                if self.open.contains(&index) {
                    return Err(SchemaError::new(format!(
                        "record \"{}\" contains itself: recursive types are not supported as columns",
                        definition.name
                    )));
                }
                self.open.push(index);
                let fields = self.fields(fields)?;
                self.open.pop();
                Ok(DataType::Struct(fields))
            }
            Body::Pending => Err(SchemaError::new(format!("record \"{}\" has no fields", definition.name))),
        }
    }
}

/// `None`: the type of its kind, a duration for one.
fn logical_type(logical: Logical) -> Option<Result<DataType, SchemaError>> {
    let utc = || Some(Arc::from(UTC));
    Some(Ok(match logical {
        Logical::Decimal { precision, scale } => return Some(decimal(precision, scale)),
        Logical::Uuid => DataType::Utf8,
        Logical::Date => DataType::Date32,
        Logical::TimeMillis => DataType::Time32(TimeUnit::Millisecond),
        Logical::TimeMicros => DataType::Time64(TimeUnit::Microsecond),
        Logical::TimestampMillis => DataType::Timestamp(TimeUnit::Millisecond, utc()),
        Logical::TimestampMicros => DataType::Timestamp(TimeUnit::Microsecond, utc()),
        Logical::TimestampNanos => DataType::Timestamp(TimeUnit::Nanosecond, utc()),
        Logical::LocalTimestampMillis => DataType::Timestamp(TimeUnit::Millisecond, None),
        Logical::LocalTimestampMicros => DataType::Timestamp(TimeUnit::Microsecond, None),
        Logical::LocalTimestampNanos => DataType::Timestamp(TimeUnit::Nanosecond, None),
        Logical::Duration => return None,
    }))
}

fn decimal(precision: u32, scale: u32) -> Result<DataType, SchemaError> {
    let too_long = |_| SchemaError::new(format!("decimal({precision},{scale}) has more than 76 digits"));
    let digits = u8::try_from(precision).map_err(too_long)?;
    let scale_digits = i8::try_from(scale).map_err(too_long)?;
    if digits <= DECIMAL128_MAX_PRECISION {
        Ok(DataType::Decimal128(digits, scale_digits))
    } else if digits <= DECIMAL256_MAX_PRECISION {
        Ok(DataType::Decimal256(digits, scale_digits))
    } else {
        Err(SchemaError::new(format!("decimal({precision},{scale}) has more than 76 digits")))
    }
}
