//! The rows that `tests/slt/*.slt` query. `tests/slt/tables.slt` prints them.
//!
//! Few enough to add up by hand: floats are sums of powers of two, so that no order of addition
//! changes a digit, and an `id` says where a row is: `100 * partition + offset`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, NullArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, UnionArray,
};
use arrow::datatypes::{DataType, Field, Schema, UnionFields};

use weir_engine::sql::LeftOut;

use crate::memory::MemorySource;

/// 2026-01-01T10:00:00Z in milliseconds.
const TEN_O_CLOCK_MS: i64 = 1_767_261_600_000;

/// Milliseconds after ten, id, country, amount, quantity, price in hundredths, paid, note.
type Order = (i64, i64, Option<&'static str>, Option<f64>, i32, i128, Option<bool>, &'static str);

/// `late` in a note: for ten-second windows, by the delay of 5 s. Only 203 is late for its minute.
#[rustfmt::skip]
const ORDERS: [&[Order]; 3] = [
    &[
        ( 1_000,   0, Some("DE"), Some(10.0),  1,        999, Some(true),  "first"),
        ( 3_500,   1, Some("FR"), Some(20.5),  2,      1_950, Some(false), ""),
        ( 2_250,   2, None,       Some(5.0),   1,          1, None,        "back"),
        ( 9_999,   3, Some("DE"), None,        3,     10_000, Some(true),  "42"),
        (10_000,   4, Some("DE"), Some(7.25),  1,      1_234, Some(true),  "-7"),
        ( 8_000,   5, Some("FR"), Some(1.5),   0,        300, Some(false), "1e3"),
        (16_000,   6, Some("DE"), Some(-4.0),  2,       -100, None,        "refund"),
        ( 9_000,   7, Some("IT"), Some(99.0),  9,      9_999, Some(true),  "late"),
        (12_000,   8, None,       None,        5,      5_000, None,        "x"),
        (25_000,   9, Some("FR"), Some(0.125), 4,         10, Some(false), "ü"),
        (19_999,  10, Some("IT"), Some(64.0),  8,        800, Some(true),  "late"),
    ],
    &[
        ( 4_000, 100, Some("FR"), Some(3.0),   2,        555, Some(true),  "7"),
        ( 9_500, 101, Some("DE"), Some(2.5),   1,        100, Some(false), "ab"),
        (14_999, 102, None,       Some(8.0),   6,        777, Some(true),  "gift"),
        (     0, 103, Some("DE"), Some(1.0),   1,        111, Some(false), "just"),
        (15_000, 104, Some("FR"), None,        0,          0, None,        "0"),
        ( 9_999, 105, Some("DE"), Some(50.0),  5,        500, Some(true),  "late"),
        (31_000, 106, Some(""),   Some(6.0),   3,        250, Some(true),  "blank"),
    ],
    &[
        (59_999, 200, Some("DE"), Some(4.0),   1,        400, Some(false), "end"),
        (60_000, 201, Some("DE"), Some(5.5),   2,        625, Some(true),  "start"),
        (65_000, 202, Some("FR"), Some(-0.5),  7, 9_999_999_999, None,     "max"),
        (59_000, 203, Some("IT"), Some(33.0),  3,        330, Some(true),  "late"),
        (61_000, 204, None,       None,        1,         99, Some(false), "last"),
    ],
];

/// Microseconds since 1970, user, page, day since 1970, local milliseconds since 1970, ratio.
type Click = (Option<i64>, i64, Option<&'static str>, i32, i64, Option<f32>);

/// One partition, no delay; Kafka took each record one second into 1970, and `max_ahead` is a day.
#[rustfmt::skip]
const CLICKS: [Click; 8] = [
    (Some(            -5_000_000), 0, Some("home"), -1,      -5_000, Some(0.5)),
    (Some(                    -1), 1, Some("home"), -1,          -1, Some(0.1)),
    (Some(                     0), 2, Some("shop"),  0,           0, None),
    (None,                         3, Some("shop"),  0,           0, Some(0.25)),
    (Some(        86_401_001_000), 4, Some("shop"),  1,  86_401_001, Some(1.0)),
    (Some(             5_500_123), 5, None,          0,       5_500, Some(f32::NAN)),
    (Some(        86_401_000_999), 6, Some("cart"),  1,  86_401_000, Some(f32::INFINITY)),
    (Some(            10_000_000), 7, Some("cart"),  0,      10_000, Some(0.0)),
];

/// One of several types.
#[derive(Clone, Copy)]
enum What {
    Null,
    Int(i32),
    Text(&'static str),
    /// A record of one field.
    Paid(f64),
}

/// Milliseconds after ten, id, and a column as of an Avro union: a child for each branch, in which the others are null.
const EVENTS: [(i64, i64, What); 7] = [
    (1_000, 0, What::Int(5)),
    (2_000, 1, What::Text("a")),
    (3_000, 2, What::Paid(2.5)),
    (4_000, 3, What::Null),
    (5_000, 4, What::Int(7)),
    (6_000, 5, What::Text("a")),
    (12_000, 6, What::Int(5)),
];

/// `orders`, `clicks` and `events`.
pub(super) fn sources(records_per_poll: usize) -> Vec<MemorySource> {
    let mut orders = MemorySource::new("orders", ORDERS.iter().map(|rows| orders(rows)).collect(), 5_000);
    orders.left_out.push(LeftOut { column: "extra".into(), reason: "it is a union".into() });
    let mut clicks = MemorySource::new("clicks", vec![clicks(&CLICKS)], 0);
    clicks.record_time_ms = 1_000;
    let events = MemorySource::new("events", vec![events(&EVENTS)], 0);
    [orders, clicks, events].map(|source| MemorySource { records_per_poll, ..source }).to_vec()
}

fn batch(columns: Vec<(&str, ArrayRef, bool)>) -> RecordBatch {
    let field = |(name, array, nullable): &(&str, ArrayRef, bool)| {
        Field::new(*name, array.data_type().clone(), *nullable)
    };
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let arrays = columns.into_iter().map(|(_, array, _)| array).collect();
    RecordBatch::try_new(Arc::new(schema), arrays).expect("columns of one length")
}

fn orders(rows: &[Order]) -> RecordBatch {
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| TEN_O_CLOCK_MS + row.0));
    let prices = Decimal128Array::from_iter_values(rows.iter().map(|row| row.5));
    let prices = prices.with_precision_and_scale(10, 2).expect("a decimal type");
    batch(vec![
        ("ordered_at", Arc::new(times.with_timezone("UTC")), false),
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))), false),
        ("country", Arc::new(rows.iter().map(|row| row.2).collect::<StringArray>()), true),
        ("amount", Arc::new(rows.iter().map(|row| row.3).collect::<Float64Array>()), true),
        ("quantity", Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.4))), false),
        ("price", Arc::new(prices), false),
        ("paid", Arc::new(rows.iter().map(|row| row.6).collect::<BooleanArray>()), true),
        ("note", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.7))), false),
    ])
}

fn clicks(rows: &[Click]) -> RecordBatch {
    let times = rows.iter().map(|row| row.0).collect::<TimestampMicrosecondArray>();
    let local = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| row.4));
    batch(vec![
        ("clicked_at", Arc::new(times.with_timezone("UTC")), true),
        ("userId", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))), false),
        ("page", Arc::new(rows.iter().map(|row| row.2).collect::<StringArray>()), true),
        ("day", Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.3))), false),
        ("seen_at", Arc::new(local), false),
        ("ratio", Arc::new(rows.iter().map(|row| row.5).collect::<Float32Array>()), true),
    ])
}

fn events(rows: &[(i64, i64, What)]) -> RecordBatch {
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|row| TEN_O_CLOCK_MS + row.0));
    let ints: Int32Array =
        rows.iter().map(|row| if let What::Int(n) = row.2 { Some(n) } else { None }).collect();
    let texts: StringArray =
        rows.iter().map(|row| if let What::Text(t) = row.2 { Some(t) } else { None }).collect();
    let amounts: Float64Array =
        rows.iter().map(|row| if let What::Paid(amount) = row.2 { Some(amount) } else { None }).collect();
    let paid = vec![Field::new("amount", DataType::Float64, false)];
    let nulls = amounts.nulls().cloned();
    let amounts = Float64Array::new(amounts.values().clone(), None);
    let paid = StructArray::new(paid.into(), vec![Arc::new(amounts)], nulls);
    let branches: [(&str, ArrayRef); 4] = [
        ("null", Arc::new(NullArray::new(rows.len()))),
        ("int", Arc::new(ints)),
        ("string", Arc::new(texts)),
        ("shop.Paid", Arc::new(paid)),
    ];
    let fields = branches.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    let chosen = rows.iter().map(|row| match row.2 {
        What::Null => 0,
        What::Int(_) => 1,
        What::Text(_) => 2,
        What::Paid(_) => 3,
    });
    let fields = UnionFields::from_fields(fields);
    let children = branches.into_iter().map(|(_, array)| array).collect();
    let what = UnionArray::try_new(fields, chosen.collect(), None, children).expect("branches of one length");
    batch(vec![
        ("at", Arc::new(times.with_timezone("UTC")), false),
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))), false),
        ("what", Arc::new(what), true),
    ])
}
