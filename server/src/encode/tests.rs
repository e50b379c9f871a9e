//! Each type's JSON, plain text and SQL name, with null and extreme values.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit, UnionFields, i256};
use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

/// The column's SQL name, its values as a JSON array, and as CSV lines.
fn check(column: ArrayRef, expected: &Expect) {
    let batch = RecordBatch::try_from_iter_with_nullable([("c", column.clone(), true)]).expect("one column");
    let writer = Rows::new(&batch);
    let mut json = Vec::new();
    for row in 0..batch.num_rows() {
        writer.array(row, &mut json);
    }
    let json = String::from_utf8(json).expect("JSON is UTF-8").replace("][", ", ");
    serde_json::from_str::<serde_json::Value>(&json).expect("valid JSON");
    let plain = cell(&column, Style::Plain);
    let (mut csv, mut scratch) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        csv_field(plain.as_ref(), row, &mut scratch, &mut csv);
        csv.push(b'|');
    }
    let csv = String::from_utf8(csv).expect("CSV is UTF-8");
    expected.assert_eq(&format!("{}\n{json}\n{csv}", type_name(column.data_type())));
}

#[test]
fn integers_keep_every_digit() {
    check(
        Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)])),
        &expect![[r#"
        BIGINT
        [-9223372036854775808, null, 9223372036854775807]
        -9223372036854775808||9223372036854775807|"#]],
    );
    check(
        Arc::new(UInt64Array::from(vec![u64::MAX])),
        &expect![[r#"
        BIGINT UNSIGNED
        [18446744073709551615]
        18446744073709551615|"#]],
    );
    check(
        Arc::new(Int32Array::from(vec![-1])),
        &expect![[r#"
        INT
        [-1]
        -1|"#]],
    );
    check(
        Arc::new(Int8Array::from(vec![-128])),
        &expect![[r#"
        TINYINT
        [-128]
        -128|"#]],
    );
}

#[test]
fn decimals_are_strings_with_their_scale() {
    let small = Decimal128Array::from(vec![Some(1250), Some(-5), None]).with_precision_and_scale(18, 2);
    check(
        Arc::new(small.expect("fits")),
        &expect![[r#"
        DECIMAL(18,2)
        ["12.50", "-0.05", null]
        12.50|-0.05||"#]],
    );
    let large = Decimal256Array::from(vec![i256::MAX]).with_precision_and_scale(76, 0);
    check(
        Arc::new(large.expect("fits")),
        &expect![[r#"
        DECIMAL(76,0)
        ["5789604461865809771178549250434395392663499233282028201972879200395656481996"]
        5789604461865809771178549250434395392663499233282028201972879200395656481996|"#]],
    );
}

#[test]
fn floats_are_numbers_or_names() {
    let values = vec![
        Some(0.1),
        Some(1e300),
        Some(-0.0),
        Some(f64::NAN),
        Some(f64::NEG_INFINITY),
        Some(f64::INFINITY),
        None,
    ];
    check(
        Arc::new(Float64Array::from(values)),
        &expect![[r#"
        DOUBLE
        [0.1, 1e300, -0.0, "NaN", "-Infinity", "Infinity", null]
        0.1|1e300|-0.0|NaN|-Infinity|Infinity||"#]],
    );
    check(
        Arc::new(Float32Array::from(vec![0.1, 16_777_216.0])),
        &expect![[r#"
        REAL
        [0.1, 16777216.0]
        0.1|16777216.0|"#]],
    );
    check(
        cast(&Float32Array::from(vec![1.5]), &DataType::Float16).expect("fits"),
        &expect![[r#"
        REAL
        [1.5]
        1.5|"#]],
    );
}

#[test]
fn text_is_escaped_and_null_differs_from_empty() {
    let values = vec![Some("a,b"), Some(""), None, Some("say \"é\"\n\u{1}")];
    check(
        Arc::new(StringArray::from(values.clone())),
        &expect![[r#"
        VARCHAR
        ["a,b", "", null, "say \"é\"\n\u0001"]
        "a,b"|""||"say ""é""
        "|"#]],
    );
    check(
        Arc::new(StringViewArray::from(values)),
        &expect![[r#"
        VARCHAR
        ["a,b", "", null, "say \"é\"\n\u0001"]
        "a,b"|""||"say ""é""
        "|"#]],
    );
    check(
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        &expect![[r#"
        BOOLEAN
        [true, null, false]
        true||false|"#]],
    );
    check(
        Arc::new(NullArray::new(1)),
        &expect![[r#"
        NULL
        [null]
        |"#]],
    );
}

#[test]
fn bytes_are_base64() {
    let values: Vec<Option<&[u8]>> = vec![Some(b"\x00\xff\x10"), Some(b""), None];
    let expected = expect![[r#"
        VARBINARY
        ["AP8Q", "", null]
        AP8Q|""||"#]];
    check(Arc::new(BinaryArray::from(values.clone())), &expected);
    check(Arc::new(LargeBinaryArray::from(values.clone())), &expected);
    check(Arc::new(BinaryViewArray::from(values)), &expected);
    let fixed = FixedSizeBinaryArray::try_from_iter([[1_u8, 2]].into_iter()).expect("two bytes each");
    check(
        Arc::new(fixed),
        &expect![[r#"
        VARBINARY
        ["AQI="]
        AQI=|"#]],
    );
}

#[test]
fn times_have_their_columns_precision() {
    check(
        Arc::new(
            TimestampMillisecondArray::from(vec![Some(1_795_350_896_789), None, Some(-1)])
                .with_timezone("UTC"),
        ),
        &expect![[r#"
            TIMESTAMP(3) WITH TIME ZONE
            ["2026-11-22T12:34:56.789Z", null, "1969-12-31T23:59:59.999Z"]
            2026-11-22T12:34:56.789Z||1969-12-31T23:59:59.999Z|"#]],
    );
    check(
        Arc::new(TimestampMicrosecondArray::from(vec![1_795_350_896_789_000]).with_timezone("+02:00")),
        &expect![[r#"
        TIMESTAMP(6) WITH TIME ZONE
        ["2026-11-22T12:34:56.789000Z"]
        2026-11-22T12:34:56.789000Z|"#]],
    );
    check(
        Arc::new(TimestampNanosecondArray::from(vec![1])),
        &expect![[r#"
        TIMESTAMP(9)
        ["1970-01-01T00:00:00.000000001"]
        1970-01-01T00:00:00.000000001|"#]],
    );
    check(
        Arc::new(TimestampSecondArray::from(vec![i64::MAX, 951_782_400])),
        &expect![[r#"
        TIMESTAMP(0)
        ["+292277026596-12-04T15:30:07", "2000-02-29T00:00:00"]
        +292277026596-12-04T15:30:07|2000-02-29T00:00:00|"#]],
    );
    check(
        Arc::new(Date32Array::from(vec![20_779, -719_528, -719_529])),
        &expect![[r#"
        DATE
        ["2026-11-22", "0000-01-01", "-0001-12-31"]
        2026-11-22|0000-01-01|-0001-12-31|"#]],
    );
    check(
        Arc::new(Time32MillisecondArray::from(vec![45_296_789])),
        &expect![[r#"
        TIME(3)
        ["12:34:56.789"]
        12:34:56.789|"#]],
    );
    check(
        Arc::new(Time64MicrosecondArray::from(vec![1])),
        &expect![[r#"
        TIME(6)
        ["00:00:00.000001"]
        00:00:00.000001|"#]],
    );
    check(
        Arc::new(DurationMillisecondArray::from(vec![61_500])),
        &expect![[r#"
        INTERVAL
        ["PT61.5S"]
        PT61.5S|"#]],
    );
}

#[test]
fn nested_values_are_arrays_and_objects() {
    let list =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
    check(
        Arc::new(list),
        &expect![[r#"
        ARRAY<INT>
        [[1,null], null, []]
        "[1,null]"||[]|"#]],
    );
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    let sizes: ArrayRef =
        Arc::new(Decimal128Array::from(vec![1, 2]).with_precision_and_scale(3, 1).expect("fits"));
    let members = vec![
        (Arc::new(Field::new("name", DataType::Utf8, true)), names),
        (Arc::new(Field::new("a \"b\"", sizes.data_type().clone(), false)), sizes),
    ];
    check(
        Arc::new(StructArray::from(members)),
        &expect![[r#"
        STRUCT<name VARCHAR, "a ""b""" DECIMAL(3,1)>
        [{"name":"x","a \"b\"":"0.1"}, {"name":null,"a \"b\"":"0.2"}]
        "{""name"":""x"",""a \""b\"""":""0.1""}"|"{""name"":null,""a \""b\"""":""0.2""}"|"#]],
    );
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k\"");
    map.values().append_value(7);
    map.append(true).expect("keys and values of one length");
    map.append(false).expect("null");
    check(
        Arc::new(map.finish()),
        &expect![[r#"
        MAP<VARCHAR, BIGINT>
        [{"k\"":7}, null]
        "{""k\"""":7}"||"#]],
    );
}

#[test]
fn encodings_show_the_value_behind_them() {
    let dictionary: DictionaryArray<Int32Type> =
        [Some("de"), None, Some("fr"), Some("de")].into_iter().collect();
    check(
        Arc::new(dictionary),
        &expect![[r#"
        VARCHAR
        ["de", null, "fr", "de"]
        de||fr|de|"#]],
    );
    let fields = UnionFields::from_fields(vec![
        Field::new("i", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
    ]);
    let union = UnionArray::try_new(
        fields,
        ScalarBuffer::from(vec![0_i8, 1, 1]),
        Some(ScalarBuffer::from(vec![0, 0, 1])),
        vec![Arc::new(Int64Array::from(vec![5])), Arc::new(StringArray::from(vec![Some("x"), None]))],
    );
    check(
        Arc::new(union.expect("a dense union")),
        &expect![[r#"
        UNION<i BIGINT, s VARCHAR>
        [5, "x", null]
        5|x||"#]],
    );
    let runs = RunArray::try_new(&Int32Array::from(vec![2, 3]), &Int64Array::from(vec![Some(8), None]));
    check(
        Arc::new(runs.expect("ascending ends")),
        &expect![[r#"
        BIGINT
        [8, 8, null]
        8|8||"#]],
    );
}

#[test]
fn sliced_columns_show_their_own_rows() {
    let list = ListArray::new(
        Arc::new(Field::new("item", DataType::Int64, true)),
        OffsetBuffer::new(vec![0, 1, 2, 3].into()),
        Arc::new(Int64Array::from(vec![1, 2, 3])),
        None,
    );
    check(
        Arc::new(list.slice(1, 1)),
        &expect![[r#"
        ARRAY<BIGINT>
        [[2]]
        [2]|"#]],
    );
    let column = StringArray::from(vec![Some("a"), None, Some("c")]);
    check(
        Arc::new(column.slice(1, 2)),
        &expect![[r#"
        VARCHAR
        [null, "c"]
        |c|"#]],
    );
}

proptest! {
    /// Digits of every moment read back as the same moment: by an implementation that is not ours.
    #[test]
    fn timestamps_read_back(ms in -62_135_596_800_000_i64..253_402_300_799_999) {
        let text = StringArray::from(vec![instant(ms)]);
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        let parsed = cast(&text, &zoned).expect("RFC 3339");
        prop_assert_eq!(parsed.as_any().downcast_ref::<TimestampMillisecondArray>().expect("cast").value(0), ms);
    }

    #[test]
    fn any_text_is_one_line_of_json(text: String) {
        let json = quoted(&text);
        prop_assert!(!json.contains(&b'\n'));
        prop_assert_eq!(serde_json::from_slice::<String>(&json).expect("a JSON string"), text);
    }
}
