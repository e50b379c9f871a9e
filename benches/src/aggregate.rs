//! Rows per CPU-second into the groups of one pane, and groups per CPU-second out of it.
//!
//! Every row goes through the interner and three accumulators (count, sum and max of an `i64`). Keys
//! are uniform, which is the worst case for caches. The first pass over the rows, which creates the
//! groups, is not measured; the batches of all passes are the same.

use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use weir_engine::aggregate::{Argument, CallSpec, Function, Groups, Layout};

use crate::machine::thread_cpu_ns;
use crate::random::Random;

/// Rows of one batch, as a decoder makes them.
const BATCH_ROWS: usize = 8192;
/// Groups read in one go, as at a barrier.
const READ_GROUPS: usize = 8192;

/// Kinds of keys, by how they are interned.
#[derive(Clone, Copy)]
enum Keys {
    None,
    /// One word of 8 bytes.
    Int64,
    /// One word of 16 bytes.
    Int64Int32,
    /// Text of 8 to 14 bytes.
    Utf8,
    /// Text and a number, encoded into bytes.
    Utf8Int32,
}

impl Keys {
    const ALL: [Self; 5] = [Self::None, Self::Int64, Self::Int64Int32, Self::Utf8, Self::Utf8Int32];

    fn name(self) -> &'static str {
        match self {
            Self::None => "no key",
            Self::Int64 => "i64",
            Self::Int64Int32 => "i64, i32",
            Self::Utf8 => "utf8",
            Self::Utf8Int32 => "utf8, i32",
        }
    }

    fn types(self) -> Vec<DataType> {
        match self {
            Self::None => vec![],
            Self::Int64 => vec![DataType::Int64],
            Self::Int64Int32 => vec![DataType::Int64, DataType::Int32],
            Self::Utf8 => vec![DataType::Utf8],
            Self::Utf8Int32 => vec![DataType::Utf8, DataType::Int32],
        }
    }

    fn columns(self, keys: &[u64]) -> Vec<ArrayRef> {
        let wide = || Arc::new(keys.iter().map(|key| Some(*key as i64)).collect::<Int64Array>()) as ArrayRef;
        let narrow =
            || Arc::new(keys.iter().map(|key| Some(*key as i32 % 7)).collect::<Int32Array>()) as ArrayRef;
        let text = || {
            let text = keys.iter().map(|key| Some(format!("product-{key}")));
            Arc::new(text.collect::<StringArray>()) as ArrayRef
        };
        match self {
            Self::None => vec![],
            Self::Int64 => vec![wide()],
            Self::Int64Int32 => vec![wide(), narrow()],
            Self::Utf8 => vec![text()],
            Self::Utf8Int32 => vec![text(), narrow()],
        }
    }
}

/// Measures every kind of keys at 10,000 and 1,000,000 of them, at least `seconds` of CPU per
/// figure, and prints a table.
#[expect(clippy::print_stdout, reason = "the table is the result")]
pub(crate) fn run(seconds: u64) -> Result<()> {
    println!(
        "| keys | groups | M rows/CPU-s in | M groups/CPU-s evaluated | M groups/CPU-s as state | bytes/group |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for keys in Keys::ALL {
        let numbers: &[u64] = if matches!(keys, Keys::None) { &[1] } else { &[10_000, 1_000_000] };
        for n_keys in numbers {
            let measured = measure(keys, *n_keys, seconds)?;
            let [rows, evaluated, states] = measured.per_cpu_second.map(|rate| rate / 1e6);
            let (groups, bytes) = (measured.n_groups, measured.bytes_per_group);
            println!("| {} | {groups} | {rows:.1} | {evaluated:.1} | {states:.1} | {bytes} |", keys.name());
        }
    }
    Ok(())
}

struct Measured {
    n_groups: usize,
    /// Rows in, groups evaluated, groups read as state.
    per_cpu_second: [f64; 3],
    bytes_per_group: usize,
}

fn measure(keys: Keys, n_keys: u64, seconds: u64) -> Result<Measured> {
    let mut groups = Groups::new(&layout(keys.types())?);
    // Enough batches that each key is there about twice, but no more than fit into memory easily.
    let mut random = Random(7);
    let n_batches = (2 * n_keys as usize / BATCH_ROWS).max(16);
    let batches: Vec<(Vec<ArrayRef>, Vec<Vec<ArrayRef>>)> = (0..n_batches)
        .map(|_| {
            let numbers: Vec<u64> = (0..BATCH_ROWS).map(|_| random.below(n_keys)).collect();
            let values = (0..BATCH_ROWS).map(|_| Some(random.below(1 << 40) as i64));
            let values: ArrayRef = Arc::new(values.collect::<Int64Array>());
            (keys.columns(&numbers), vec![vec![], vec![Arc::clone(&values)], vec![values]])
        })
        .collect();
    let filters = [None, None, None];
    for (keys, args) in &batches {
        groups.update(BATCH_ROWS, keys, args, &filters)?;
    }

    let mut cycle = batches.iter().cycle();
    let rows = rate(seconds, || {
        for (keys, args) in cycle.by_ref().take(64) {
            groups.update(BATCH_ROWS, keys, args, &filters)?;
        }
        Ok(64 * BATCH_ROWS)
    })?;

    let all = groups.all();
    let evaluated = rate(seconds, || {
        for groups_read in all.chunks(READ_GROUPS) {
            std::hint::black_box(groups.evaluate(groups_read)?);
        }
        Ok(all.len())
    })?;
    let states = rate(seconds, || {
        for groups_read in all.chunks(READ_GROUPS) {
            std::hint::black_box(groups.state(groups_read)?);
        }
        Ok(all.len())
    })?;
    groups.clear_changed();
    let bytes_per_group = groups.memory_bytes() / groups.len();
    Ok(Measured { n_groups: groups.len(), per_cpu_second: [rows, evaluated, states], bytes_per_group })
}

/// How much `step` gets done per CPU-second: it is repeated for at least `seconds`, and says what
/// it did.
fn rate(seconds: u64, mut step: impl FnMut() -> Result<usize>) -> Result<f64> {
    let start = thread_cpu_ns()?;
    let mut n_done = 0;
    loop {
        n_done += step()?;
        let elapsed = thread_cpu_ns()? - start;
        // The kernel brings the count up to date at its ticks only, so 0 means "not yet".
        if elapsed > 0 && elapsed >= seconds * 1_000_000_000 {
            return Ok(n_done as f64 * 1e9 / elapsed as f64);
        }
    }
}

/// Groups by a number, with the count, the sum and the maximum of a number in each.
pub(crate) fn groups_by_number(key: &DataType) -> Result<Groups> {
    Ok(Groups::new(&layout(vec![key.clone()])?))
}

fn layout(keys: Vec<DataType>) -> Result<Arc<Layout>> {
    let field = |data_type| -> FieldRef { Arc::new(Field::new("column", data_type, true)) };
    let number = || Argument { field: field(DataType::Int64), constant: None };
    let call = |function, args| CallSpec { function, args, field: field(DataType::Int64) };
    let calls = [
        call(Function::Count, vec![]),
        call(Function::Sum, vec![number()]),
        call(Function::Max, vec![number()]),
    ];
    Ok(Layout::new(keys.into_iter().map(field).collect(), calls)?)
}
