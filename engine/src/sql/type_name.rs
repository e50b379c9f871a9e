//! SQL names of Arrow types, as answers of HTTP, SSE and `explain` show them.

use arrow::datatypes::{DataType, Field, TimeUnit};

/// The SQL name of a type: `BIGINT`, `DECIMAL(18,2)`, `TIMESTAMP(3) WITH TIME ZONE`, `ARRAY<INT>` …
///
/// A timestamp's or time's number in parentheses is its digits behind the second.
#[must_use]
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INT UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float16 | DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "VARBINARY".to_owned()
        }
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("TIME({})", digits(*unit)),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP({}) WITH TIME ZONE", digits(*unit)),
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => format!("ARRAY<{}>", type_name(item.data_type())),
        DataType::Struct(fields) => {
            format!("STRUCT<{}>", members(fields.iter().map(AsRef::as_ref)))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let types = fields.iter().map(|field| type_name(field.data_type()));
                format!("MAP<{}>", types.collect::<Vec<_>>().join(", "))
            }
            other => format!("MAP<{}>", type_name(other)),
        },
        DataType::Dictionary(_, values) => type_name(values),
        DataType::RunEndEncoded(_, values) => type_name(values.data_type()),
        DataType::Union(fields, _) => {
            format!("UNION<{}>", members(fields.iter().map(|(_, field)| field.as_ref())))
        }
    }
}

fn members<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let member = |field: &Field| {
        let name = field.name();
        let type_name = type_name(field.data_type());
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if plain {
            format!("{name} {type_name}")
        } else {
            format!("\"{}\" {type_name}", name.replace('"', "\"\""))
        }
    };
    fields.map(member).collect::<Vec<_>>().join(", ")
}

fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Fields;

    use super::*;

    #[test]
    fn names_are_the_documented_ones() {
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
        let text = Arc::new(Field::new("value", DataType::Utf8, true));
        let pair = Fields::from(vec![
            Field::new("key", DataType::Utf8, false),
            Field::new("value", zoned.clone(), true),
        ]);
        let cases = [
            (DataType::Int16, "SMALLINT"),
            (DataType::Int32, "INT"),
            (DataType::UInt64, "BIGINT UNSIGNED"),
            (DataType::Int64, "BIGINT"),
            (DataType::Float32, "REAL"),
            (DataType::Decimal128(18, 2), "DECIMAL(18,2)"),
            (DataType::Time32(TimeUnit::Millisecond), "TIME(3)"),
            (DataType::Timestamp(TimeUnit::Microsecond, None), "TIMESTAMP(6)"),
            (zoned, "TIMESTAMP(3) WITH TIME ZONE"),
            (DataType::List(text), "ARRAY<VARCHAR>"),
            (DataType::Struct(pair.clone()), "STRUCT<key VARCHAR, value TIMESTAMP(3) WITH TIME ZONE>"),
            (
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(pair), false)), false),
                "MAP<VARCHAR, TIMESTAMP(3) WITH TIME ZONE>",
            ),
        ];
        for (data_type, name) in cases {
            assert_eq!(type_name(&data_type), name);
        }
    }
}
