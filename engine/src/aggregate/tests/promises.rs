//! What batch SQL can't tell: overflow, changed groups, recycled memory, bytes of the hash.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Float64Type, Int64Type, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use proptest::prelude::*;

use crate::aggregate::{Argument, CallSpec, Error, Function, Groups, Layout, hash_keys};

fn field(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("x", data_type, true))
}

fn call(function: Function, arg: DataType, result: DataType) -> CallSpec {
    CallSpec { function, args: vec![Argument { field: field(arg), constant: None }], field: field(result) }
}

/// Groups by an `Int64` key with one call.
fn groups_of(call: CallSpec) -> (Arc<Layout>, Groups) {
    let layout = Layout::new(vec![field(DataType::Int64)], [call]).unwrap();
    let groups = Groups::new(&layout);
    (layout, groups)
}

fn add(groups: &mut Groups, keys: &[i64], values: ArrayRef) {
    let keys: ArrayRef = Arc::new(Int64Array::from(keys.to_vec()));
    groups.update(values.len(), &[keys], &[vec![values]], &[None]).unwrap();
}

#[test]
fn sum_past_its_type_is_reported_and_can_come_back() {
    let (_, mut groups) = groups_of(call(Function::Sum, DataType::Int64, DataType::Int64));
    add(&mut groups, &[1, 2, 2], Arc::new(Int64Array::from(vec![5, i64::MAX, 1])));
    let results = groups.evaluate(&[0, 1]).unwrap();
    assert_eq!(
        results.failed,
        [(1, "\"x\": the sum 9223372036854775808 does not fit into Int64".to_owned())]
    );
    assert_eq!(results.columns[0].as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(5), None]));

    add(&mut groups, &[2], Arc::new(Int64Array::from(vec![-1])));
    let results = groups.evaluate(&[1]).unwrap();
    assert!(results.failed.is_empty());
    assert_eq!(results.columns[0].as_primitive::<Int64Type>().value(0), i64::MAX);
}

#[test]
fn decimal_sum_and_average_past_their_digits_are_reported() {
    let arg = DataType::Decimal128(38, 0);
    let large = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
    let values: ArrayRef =
        Arc::new(Decimal128Array::from(vec![large, large, -large]).with_precision_and_scale(38, 0).unwrap());
    let (_, mut groups) = groups_of(call(Function::Sum, arg.clone(), arg.clone()));
    add(&mut groups, &[1, 1, 2], Arc::clone(&values));
    let results = groups.evaluate(&[0, 1]).unwrap();
    let detail = "\"x\": the sum 199999999999999999999999999999999999998 does not fit into Decimal128(38, 0)";
    assert_eq!(results.failed, [(0, detail.to_owned())]);
    assert_eq!(results.columns[0].as_primitive::<Decimal128Type>().value(1), -large);

    // It would fit into the 128 bits, but not into the digits.
    let (_, mut groups) = groups_of(call(Function::Sum, arg.clone(), DataType::Decimal128(37, 0)));
    add(&mut groups, &[1, 2, 3], Arc::clone(&values));
    assert_eq!(groups.evaluate(&[0, 1, 2]).unwrap().failed.len(), 3);

    let (_, mut groups) = groups_of(call(Function::Avg, arg, DataType::Decimal128(38, 4)));
    add(&mut groups, &[1, 1, 2], values);
    assert_eq!(groups.evaluate(&[0, 1]).unwrap().failed.len(), 2, "four more digits do not fit");
}

#[test]
fn integer_sum_keeps_128_bits_on_disk() {
    let (layout, mut groups) = groups_of(call(Function::Sum, DataType::Int64, DataType::Int64));
    let sums = Decimal128Array::from(vec![i128::MIN + 1, i128::MAX]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(sums.clone().with_precision_and_scale(38, 0).unwrap_or(sums.clone())),
    ];
    let states = RecordBatch::try_new(layout.state_schema(), columns).unwrap();
    groups.merge(&states).unwrap();

    let mut written = Vec::new();
    let mut writer = StreamWriter::try_new(&mut written, &layout.state_schema()).unwrap();
    writer.write(&groups.state(&[0, 1]).unwrap()).unwrap();
    writer.finish().unwrap();
    let read = StreamReader::try_new(&written[..], None).unwrap().next().unwrap().unwrap();
    assert_eq!(read.column(1).as_primitive::<Decimal128Type>().values(), sums.values());
}

#[test]
fn a_group_changes_with_its_rows_even_if_a_filter_takes_them_away() {
    let (_, mut groups) = groups_of(call(Function::Count, DataType::Int64, DataType::Int64));
    add(&mut groups, &[1, 2, 3], Arc::new(Int64Array::from(vec![1, 2, 3])));
    assert_eq!(groups.changed(), [0, 1, 2]);
    groups.clear_changed();
    assert!(groups.changed().is_empty());

    let keys: ArrayRef = Arc::new(Int64Array::from(vec![3, 4]));
    let filter = BooleanArray::from(vec![Some(false), None]);
    groups.update(2, &[Arc::clone(&keys)], &[vec![keys]], &[Some(filter)]).unwrap();
    assert_eq!(groups.changed(), [2, 3]);
    let counts = groups.evaluate(&[2, 3]).unwrap();
    assert_eq!(counts.columns[0].as_primitive::<Int64Type>().values(), &[1, 0]);
}

#[test]
fn nan_is_one_key_and_the_largest_value() {
    let float = DataType::Float64;
    let layout = Layout::new(
        vec![field(float.clone())],
        [call(Function::Max, float.clone(), float.clone()), call(Function::Min, float.clone(), float)],
    );
    let mut groups = Groups::new(&layout.unwrap());
    let keys: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.0, -0.0, f64::NAN, 0.0]));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 2.0, -f64::INFINITY, 3.0]));
    groups.update(5, &[keys], &[vec![Arc::clone(&values)], vec![values]], &[None, None]).unwrap();
    let results = groups.evaluate(&groups.all()).unwrap();
    let (max, min) = (results.columns[0].as_primitive::<Float64Type>(), results.columns[1].as_primitive());
    assert_eq!(max.len(), 2);
    assert_eq!((max.value(0), Float64Array::value(min, 0)), (1.0, -f64::INFINITY));
    assert!(max.value(1).is_nan());
    assert_eq!(Float64Array::value(min, 1), 2.0);
}

#[test]
fn a_recycled_pane_needs_no_more_memory() {
    let layout = Layout::new(
        vec![field(DataType::Utf8), field(DataType::Int32)],
        [call(Function::Sum, DataType::Float64, DataType::Float64)],
    );
    let mut groups = Groups::new(&layout.unwrap());
    let mut fill = |first: usize| {
        let names: ArrayRef = Arc::new(
            (first..first + 5000).map(|i| Some(format!("customer {i:06}"))).collect::<StringArray>(),
        );
        let numbers: ArrayRef = Arc::new((0..5000).map(Some).collect::<Int32Array>());
        let values: ArrayRef = Arc::new((0..5000).map(|i| Some(f64::from(i))).collect::<Float64Array>());
        groups.update(5000, &[names, numbers], &[vec![values]], &[None]).unwrap();
        let used = (groups.len(), groups.memory_bytes());
        groups.clear();
        assert!(groups.is_empty());
        used
    };
    let (n_groups, bytes) = fill(0);
    assert_eq!(n_groups, 5000);
    // A key of 5 + 15 bytes and more in the arena, 16 in the table, 9 of the sum, 1 flag.
    assert!(5000 * 45 < bytes && bytes < 5000 * 250, "{bytes}");
    assert_eq!(fill(100_000), (5000, bytes));
}

#[test]
fn columns_of_another_layout_are_an_error() {
    let (_, mut groups) = groups_of(call(Function::Sum, DataType::Int64, DataType::Int64));
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let other = RecordBatch::try_new(
        Arc::new(Schema::new(vec![Field::new("key_0", DataType::Int64, true)])),
        vec![Arc::clone(&column)],
    );
    assert!(matches!(groups.merge(&other.unwrap()), Err(Error::Mismatch { .. })));
    let no_args = groups.update(1, &[Arc::clone(&column)], &[vec![]], &[None]);
    assert!(matches!(no_args, Err(Error::Mismatch { .. })));
    let too_many_rows = groups.update(2, &[Arc::clone(&column)], &[vec![column]], &[None]);
    assert!(matches!(too_many_rows, Err(Error::Mismatch { .. })));
    assert!(groups.is_empty());
    let unsupported = Layout::new(vec![], [call(Function::Sum, DataType::Utf8, DataType::Utf8)]);
    assert!(matches!(unsupported, Err(Error::Unsupported { .. })));
}

#[test]
fn hash_of_a_key_never_changes() {
    let keys: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(1), None, Some(-1)])),
        Arc::new(StringArray::from(vec![Some("DE"), Some(""), Some("a text of more than 8 bytes")])),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
    ];
    let mut hashes = Vec::new();
    hash_keys(3, &keys, &mut hashes).unwrap();
    assert_eq!(hashes, [0xadf5bf4df6897a8e, 0x42b061c7b9c90506, 0x9e7fafb3f8f6d390]);
    hash_keys(2, &[], &mut hashes).unwrap();
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn hash_spreads_consecutive_keys_evenly() {
    let keys: ArrayRef = Arc::new((0..64_000).collect::<Int64Array>());
    let mut hashes = Vec::new();
    hash_keys(64_000, &[keys], &mut hashes).unwrap();
    let mut counts = [0_u32; 64];
    hashes.iter().for_each(|hash| counts[(hash % 64) as usize] += 1);
    // 1000 expected; 5 standard deviations are 157.
    assert!(counts.iter().all(|count| count.abs_diff(1000) < 157), "{counts:?}");
}

proptest! {
    #[test]
    fn hash_depends_on_values_only(texts in proptest::collection::vec(proptest::option::of(".{0,20}"), 1..20)) {
        let n_rows = texts.len();
        let text: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let mut expected = Vec::new();
        hash_keys(n_rows, &[Arc::clone(&text)], &mut expected).unwrap();
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let mut hashes = Vec::new();
        for data_type in [DataType::LargeUtf8, DataType::Utf8View, dictionary] {
            hash_keys(n_rows, &[cast(&text, &data_type).unwrap()], &mut hashes).unwrap();
            prop_assert_eq!(&hashes, &expected);
        }
        hash_keys(n_rows - 1, &[text.slice(1, n_rows - 1)], &mut hashes).unwrap();
        prop_assert_eq!(&hashes[..], &expected[1..]);
    }

    /// Large values that differ little, in any order and split: where one float for the mean fails.
    #[test]
    fn variance_is_that_of_two_passes(
        values in proptest::collection::vec(0..2000_u32, 2..300),
        offset in prop_oneof![Just(0.0), Just(1e9), Just(-1e12)],
        split in 0..300_usize,
    ) {
        let values: Vec<f64> = values.into_iter().map(|value| offset + f64::from(value)).collect();
        let float = DataType::Float64;
        let function = Function::Moments { sample: true, root: false };
        let (_, mut groups) = groups_of(call(function, float.clone(), float));
        let (first, second) = values.split_at(split.min(values.len()));
        add(&mut groups, &vec![1; first.len()], Arc::new(Float64Array::from(first.to_vec())));
        let mut other = groups_of(call(Function::Moments { sample: true, root: false }, DataType::Float64, DataType::Float64)).1;
        add(&mut other, &vec![1; second.len()], Arc::new(Float64Array::from(second.to_vec())));
        let all = other.all();
        groups.merge(&other.state(&all).unwrap()).unwrap();

        // The values are whole numbers, so two passes over integers are exact but for the division.
        let whole: Vec<i128> = values.iter().map(|value| (value - offset) as i128).collect();
        let n = whole.len() as i128;
        let sum: i128 = whole.iter().sum();
        let squares: i128 = whole.iter().map(|value| (n * value - sum).pow(2)).sum();
        let expected = squares as f64 / (n * n * (n - 1)) as f64;
        let found = groups.evaluate(&[0]).unwrap().columns[0].as_primitive::<Float64Type>().value(0);
        prop_assert!((found - expected).abs() <= 1e-12 * expected, "{} but {}", found, expected);
    }
}
