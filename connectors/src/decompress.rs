//! Undoing compression of what others wrote, within a bound: what it says about itself is not believed.

use std::io::Read;

/// Appends all that `reader` has, `most` bytes at most.
///
/// # Errors
/// Those of the reader, and where it has more.
pub(crate) fn read_all(reader: impl Read, most: usize, out: &mut Vec<u8>) -> std::io::Result<()> {
    let n_bytes = reader.take(most as u64 + 1).read_to_end(out)?;
    if most < n_bytes {
        return Err(std::io::Error::other(format!("it has more than {} MiB", most >> 20)));
    }
    Ok(())
}

/// How many bytes a block of snappy was.
///
/// # Errors
/// Where it can't have been as many as it says; for a person.
pub(crate) fn snappy_len(data: &[u8]) -> Result<usize, String> {
    let n_bytes = snap::raw::decompress_len(data).map_err(|error| error.to_string())?;
    // Three bytes of snappy make 64 at most.
    if data.len().saturating_mul(32) < n_bytes { Err("its length is wrong".to_owned()) } else { Ok(n_bytes) }
}
