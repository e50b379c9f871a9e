//! Arrow types as SQL names, for the `type` of a column.

use arrow::datatypes::{DataType, Field};

use super::time::precision;

/// The SQL name of a type, such as `TIMESTAMP(3) WITH TIME ZONE`.
#[must_use]
pub fn sql_type(data_type: &DataType) -> String {
    use DataType as T;
    match data_type {
        T::Null => "NULL".to_owned(),
        T::Boolean => "BOOLEAN".to_owned(),
        T::Int8 => "TINYINT".to_owned(),
        T::Int16 => "SMALLINT".to_owned(),
        T::Int32 => "INT".to_owned(),
        T::Int64 => "BIGINT".to_owned(),
        T::UInt8 => "TINYINT UNSIGNED".to_owned(),
        T::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        T::UInt32 => "INT UNSIGNED".to_owned(),
        T::UInt64 => "BIGINT UNSIGNED".to_owned(),
        T::Float16 | T::Float32 => "REAL".to_owned(),
        T::Float64 => "DOUBLE".to_owned(),
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s) => {
            format!("DECIMAL({p},{s})")
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "VARCHAR".to_owned(),
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => "VARBINARY".to_owned(),
        T::Date32 | T::Date64 => "DATE".to_owned(),
        T::Time32(unit) | T::Time64(unit) => format!("TIME({})", precision(*unit)),
        T::Timestamp(unit, None) => format!("TIMESTAMP({})", precision(*unit)),
        T::Timestamp(unit, Some(_)) => format!("TIMESTAMP({}) WITH TIME ZONE", precision(*unit)),
        T::Duration(_) | T::Interval(_) => "INTERVAL".to_owned(),
        T::List(item)
        | T::LargeList(item)
        | T::ListView(item)
        | T::LargeListView(item)
        | T::FixedSizeList(item, _) => format!("ARRAY<{}>", sql_type(item.data_type())),
        T::Struct(fields) => format!("STRUCT<{}>", members(fields.iter().map(AsRef::as_ref))),
        T::Union(fields, _) => format!("UNION<{}>", members(fields.iter().map(|(_, field)| field.as_ref()))),
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => {
                format!("MAP<{}, {}>", sql_type(fields[0].data_type()), sql_type(fields[1].data_type()))
            }
            other => format!("MAP<{}>", sql_type(other)),
        },
        T::Dictionary(_, value) => sql_type(value),
        T::RunEndEncoded(_, values) => sql_type(values.data_type()),
    }
}

fn members<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let member = |field: &Field| {
        let name = field.name();
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let sql_type = sql_type(field.data_type());
        if plain {
            format!("{name} {sql_type}")
        } else {
            format!("\"{}\" {sql_type}", name.replace('"', "\"\""))
        }
    };
    fields.map(member).collect::<Vec<_>>().join(", ")
}
