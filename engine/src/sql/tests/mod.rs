//! What SQL becomes, and what is refused: SQL in, text out, through one `check`.

mod evaluate;
mod explained;
mod extremes;
mod fingerprints;
mod garbage;
mod refused;
mod verdict;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};

use super::{TableDef, plan};
use crate::dataflow::plan::Plan;

/// Two sources: `orders` with a bit of everything, `clicks` with mixed-case names.
fn tables() -> Vec<TableDef> {
    let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
    let address =
        Fields::from(vec![Field::new("city", DataType::Utf8, true), Field::new("zip", DataType::Utf8, true)]);
    let tag = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    let tags = DataType::Map(Arc::new(Field::new("entries", DataType::Struct(tag), false)), false);
    let orders = Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("country", DataType::Utf8, true),
        Field::new("amount", DataType::Int64, true),
        Field::new("price", DataType::Decimal128(18, 2), true),
        Field::new("weight", DataType::Float64, true),
        Field::new("quantity", DataType::Int32, false),
        Field::new("paid", DataType::Boolean, true),
        Field::new("ordered_at", zoned.clone(), true),
        Field::new("shipped_at", zoned.clone(), true),
        Field::new("address", DataType::Struct(address), true),
        Field::new("tags", tags, true),
    ]);
    let clicks =
        Schema::new(vec![Field::new("userId", DataType::Utf8, false), Field::new("clickedAt", zoned, false)]);
    vec![
        TableDef {
            name: "orders".to_owned(),
            schema: Arc::new(orders),
            event_time: 7,
            identity: "topic shop.orders".to_owned(),
            left_out: Vec::new(),
        },
        TableDef {
            name: "clicks".to_owned(),
            schema: Arc::new(clicks),
            event_time: 1,
            identity: "topic shop.clicks".to_owned(),
            left_out: Vec::new(),
        },
    ]
}

fn planned(sql: &str) -> Plan {
    match plan(sql, &tables()) {
        Ok(plan) => plan,
        Err(refusals) => {
            panic!("refused: {}", refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}
