//! The hash of a row's key, by which the exchange spreads rows and state over key groups.
//!
//! Invariant: it depends on the values alone, never on the process, the machine, the version of a
//! library or how a column is represented: a row meets its state again after a restart. (Nested
//! keys go through Arrow's row format, which is stable within a version of Arrow.)

use arrow::array::{Array, ArrayRef};
use arrow::row::{RowConverter, SortField};

use super::Error;
use super::column::{Column, Values, cast_to, stored_type};

/// Odd constants of no meaning: digits of the golden ratio, of √2 and of √3.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const FIRST: u64 = 0x6a09_e667_f3bc_c909;
const SECOND: u64 = 0xbb67_ae85_84ca_a73b;
/// The hash of a null.
const NULL: u64 = 0x3c6e_f372_fe94_f82b;

/// Hashes each row's key. `out` gets `n_rows` hashes, and loses what it held. Without keys all rows
/// have the same hash.
///
/// # Errors
/// [`Error::Arrow`] for a column that can't be grouped by.
pub fn hash_keys(n_rows: usize, keys: &[ArrayRef], out: &mut Vec<u64>) -> Result<(), Error> {
    out.clear();
    out.resize(n_rows, SEED);
    for key in keys {
        let key = cast_to(key, &stored_type(key.data_type()))?;
        match Column::new(&key) {
            Some(column) => hash_column(&column, out),
            None => hash_nested(&key, out)?,
        }
    }
    Ok(())
}

/// Mixes a column's values into the rows' hashes.
fn hash_column(column: &Column, out: &mut [u64]) {
    let nulls = column.nulls.as_ref();
    match &column.values {
        Values::Fixed { width: 1, bytes } => each(out, nulls, |row| word(bytes[row].into())),
        Values::Fixed { width: 2, bytes } => {
            hash_words::<2>(bytes, nulls, out, |b| u16::from_ne_bytes(b).into())
        }
        Values::Fixed { width: 4, bytes } => {
            hash_words::<4>(bytes, nulls, out, |b| u32::from_ne_bytes(b).into())
        }
        Values::Fixed { width: 8, bytes } => hash_words::<8>(bytes, nulls, out, u64::from_ne_bytes),
        Values::Fixed { width, bytes } => {
            each(out, nulls, |row| hash_bytes(&bytes[row * width..(row + 1) * width]));
        }
        Values::Bits(bits) => each(out, nulls, |row| word(bits.value(row).into())),
        Values::Text { offsets, bytes } => {
            each(out, nulls, |row| hash_bytes(&bytes[offsets[row] as usize..offsets[row + 1] as usize]))
        }
    }
}

fn hash_words<const N: usize>(
    bytes: &[u8],
    nulls: Option<&arrow::buffer::NullBuffer>,
    out: &mut [u64],
    decode: impl Fn([u8; N]) -> u64,
) {
    let (words, _) = bytes.as_chunks::<N>();
    if nulls.is_none() {
        for (hash, bytes) in out.iter_mut().zip(words) {
            *hash = fold(*hash ^ word(decode(*bytes)), SECOND);
        }
    } else {
        each(out, nulls, |row| word(decode(words[row])));
    }
}

fn each(out: &mut [u64], nulls: Option<&arrow::buffer::NullBuffer>, value: impl Fn(usize) -> u64) {
    for (row, hash) in out.iter_mut().enumerate() {
        let valid = nulls.is_none_or(|nulls| nulls.is_valid(row));
        *hash = fold(*hash ^ if valid { value(row) } else { NULL }, SECOND);
    }
}

fn hash_nested(key: &ArrayRef, out: &mut [u64]) -> Result<(), Error> {
    let converter = RowConverter::new(vec![SortField::new(key.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(key))?;
    for (hash, row) in out.iter_mut().zip(&rows) {
        *hash = fold(*hash ^ hash_bytes(row.data()), SECOND);
    }
    Ok(())
}

fn word(value: u64) -> u64 {
    fold(value ^ FIRST, SEED)
}

/// Words of 8 bytes, little-endian, the last filled up with zeros; then the length.
fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = FIRST;
    for bytes in words {
        hash = fold(hash ^ u64::from_le_bytes(*bytes), SEED);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    hash = fold(hash ^ u64::from_le_bytes(last), SEED);
    fold(hash ^ bytes.len() as u64, SECOND)
}

/// Both halves of the 128-bit product, each changed by every bit of both factors.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
