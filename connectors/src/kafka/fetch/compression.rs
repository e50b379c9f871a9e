//! Undoes what producers do to the records of a batch.
//!
//! Invariant: no batch grows past `BATCH_BYTES_MAX`, whatever it says about itself.

use std::io::Read;

use crate::decompress::{read_all, snappy_len};

/// What a batch may be decompressed to: 128 MiB. A producer's batch is 1 MB unless somebody raised
/// `message.max.bytes`, and compresses tenfold at best unless somebody is up to something.
const BATCH_BYTES_MAX: usize = 128 << 20;

/// A snappy stream of Java's producers: blocks with lengths in front, behind this and two versions.
const XERIAL: &[u8] = b"\x82SNAPPY\0";

/// A compression, as a batch's attributes name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// `None`: not compressed.
    ///
    /// # Errors
    /// Where there is no such compression.
    pub(super) fn of(attributes: i16) -> Result<Option<Self>, String> {
        match attributes & 7 {
            0 => Ok(None),
            1 => Ok(Some(Self::Gzip)),
            2 => Ok(Some(Self::Snappy)),
            3 => Ok(Some(Self::Lz4)),
            4 => Ok(Some(Self::Zstd)),
            other => Err(format!("a batch has the unknown compression {other}")),
        }
    }

    /// Appends what `data` was.
    ///
    /// # Errors
    /// Where it is damaged, or too large; what was appended is of no use then.
    pub(super) fn decompress(self, data: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("a batch can't be decompressed: {error}");
        match self {
            Self::Gzip => whole(flate2::bufread::MultiGzDecoder::new(data), out).map_err(failed),
            Self::Snappy => snappy(data, out),
            Self::Lz4 => lz4::Decoder::new(data).and_then(|reader| whole(reader, out)).map_err(failed),
            Self::Zstd => zstd::stream::read::Decoder::with_buffer(data)
                .and_then(|reader| whole(reader, out))
                .map_err(failed),
        }
    }
}

fn whole(reader: impl Read, out: &mut Vec<u8>) -> std::io::Result<()> {
    read_all(reader, BATCH_BYTES_MAX, out)
}

fn snappy(data: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let Some(mut blocks) = data.strip_prefix(XERIAL).and_then(|data| data.get(8..)) else {
        return snappy_block(data, out);
    };
    let start = out.len();
    while let Some((length, rest)) = blocks.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let block = rest.get(..length).ok_or("a batch can't be decompressed: a snappy block ends early")?;
        snappy_block(block, out)?;
        if BATCH_BYTES_MAX < out.len() - start {
            return Err("a batch can't be decompressed: it has more than 128 MiB".to_owned());
        }
        blocks = &rest[length..];
    }
    if blocks.is_empty() { Ok(()) } else { Err("a batch can't be decompressed: it has a tail".to_owned()) }
}

fn snappy_block(data: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let failed = |error: snap::Error| format!("a batch can't be decompressed: {error}");
    let n_bytes = snappy_len(data).map_err(|error| format!("a batch can't be decompressed: {error}"))?;
    if BATCH_BYTES_MAX < n_bytes {
        return Err("a batch can't be decompressed: its length is wrong".to_owned());
    }
    let start = out.len();
    out.resize(start + n_bytes, 0);
    snap::raw::Decoder::new().decompress(data, &mut out[start..]).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_small_batch_that_grows_without_end_is_refused() {
        let zeros = vec![0; BATCH_BYTES_MAX + 1];
        let bomb = zstd::encode_all(&zeros[..], 1).unwrap();
        assert!(bomb.len() < 1 << 20);
        let error = Codec::Zstd.decompress(&bomb, &mut Vec::new()).unwrap_err();
        assert!(error.contains("more than 128 MiB"), "{error}");

        // A snappy block that claims 100 MiB, and has nothing.
        let error = Codec::Snappy.decompress(&[0x80, 0x80, 0x80, 0x32, 0], &mut Vec::new()).unwrap_err();
        assert!(error.contains("its length is wrong"), "{error}");
    }

    #[test]
    fn snappy_comes_bare_and_in_the_blocks_of_java() {
        let block = |text: &[u8]| snap::raw::Encoder::new().compress_vec(text).unwrap();
        let mut framed = XERIAL.to_vec();
        framed.write_all(&[0, 0, 0, 1, 0, 0, 0, 1]).unwrap();
        for text in [&b"over the "[..], b"weir"] {
            framed.write_all(&u32::try_from(block(text).len()).unwrap().to_be_bytes()).unwrap();
            framed.write_all(&block(text)).unwrap();
        }
        for data in [block(b"over the weir"), framed] {
            let mut out = b"kept ".to_vec();
            Codec::Snappy.decompress(&data, &mut out).unwrap();
            assert_eq!(out, b"kept over the weir");
        }
    }
}
