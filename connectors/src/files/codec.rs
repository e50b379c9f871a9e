//! How the blocks of an Avro file are compressed.
//!
//! Invariant: no block grows past [`BLOCK_BYTES_MAX`], whatever it says about itself.

use std::borrow::Cow;
use std::io::Read;

use crate::decompress::{read_all, snappy_len};

/// Of a block's records.
pub(super) const BLOCK_BYTES_MAX: usize = 64 << 20;

/// What the decoder of xz may take: as its strongest setting needs.
const XZ_MEMORY_MAX: u64 = 66 << 20;

/// `avro.codec` of a file's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Null,
    Deflate,
    Bzip2,
    Snappy,
    Xz,
    Zstandard,
}

impl Codec {
    /// # Errors
    /// Where it is none that we know; for a person.
    pub(super) fn of(name: &[u8]) -> Result<Self, String> {
        Ok(match name {
            b"null" => Self::Null,
            b"deflate" => Self::Deflate,
            b"bzip2" => Self::Bzip2,
            b"snappy" => Self::Snappy,
            b"xz" => Self::Xz,
            b"zstandard" => Self::Zstandard,
            other => {
                return Err(format!(
                    "its codec \"{}\" is not known: null, deflate, bzip2, snappy, xz and zstandard are",
                    String::from_utf8_lossy(other)
                ));
            }
        })
    }

    /// What the data of a block was.
    ///
    /// # Errors
    /// Where it is damaged, or too large; for a person.
    pub(super) fn decompress(self, data: &[u8]) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::Null => Ok(Cow::Borrowed(data)),
            Self::Deflate => whole(flate2::bufread::DeflateDecoder::new(data)).map(Cow::Owned),
            Self::Bzip2 => whole(bzip2::bufread::BzDecoder::new(data)).map(Cow::Owned),
            Self::Snappy => snappy(data).map(Cow::Owned),
            Self::Xz => liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, 0)
                .map_err(|error| error.to_string())
                .and_then(|stream| whole(liblzma::bufread::XzDecoder::new_stream(data, stream)))
                .map(Cow::Owned),
            Self::Zstandard => zstd::stream::read::Decoder::with_buffer(data)
                .map_err(|error| error.to_string())
                .and_then(whole)
                .map(Cow::Owned),
        }
    }
}

fn whole(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut all = Vec::new();
    read_all(reader, BLOCK_BYTES_MAX, &mut all).map_err(|error| error.to_string())?;
    Ok(all)
}

/// Followed by the checksum of what it was.
fn snappy(data: &[u8]) -> Result<Vec<u8>, String> {
    let (data, checksum) = data.split_last_chunk::<4>().ok_or("it has no checksum")?;
    if BLOCK_BYTES_MAX < snappy_len(data)? {
        return Err("it has more than 64 MiB".to_owned());
    }
    let all = snap::raw::Decoder::new().decompress_vec(data).map_err(|error| error.to_string())?;
    if crc32fast::hash(&all) != u32::from_be_bytes(*checksum) {
        return Err("its checksum is wrong".to_owned());
    }
    Ok(all)
}
