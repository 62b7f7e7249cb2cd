//! Bytes, read up to a limit. Whatever is packed is unpacked as it is read, so that what unpacks to more than the
//! limit costs no more memory than the limit.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::FetchError;

/// How gzip begins (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How an answer is packed on its way (RFC 9110 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
}

/// Reads all of it, unpacked, where that is at most `max_bytes`.
pub(super) fn read(
    reader: impl Read,
    coding: Coding,
    max_bytes: u64,
    place: &str,
    failed: impl Fn(io::Error) -> FetchError,
) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let most = max_bytes.saturating_add(1);
    let result = match coding {
        Coding::Plain => reader.take(most).read_to_end(&mut bytes),
        Coding::Gzip => {
            // Packing makes nothing much larger, but there can be any number of empty members.
            let packed = BufReader::new(reader.take(max_bytes.saturating_mul(2).saturating_add(1 << 16)));
            MultiGzDecoder::new(packed).take(most).read_to_end(&mut bytes)
        }
    };
    match result {
        Ok(_) if bytes.len() as u64 > max_bytes => {
            Err(FetchError::TooLarge { place: place.to_owned(), max_bytes })
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(match (coding, error.kind()) {
            (Coding::Gzip, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => FetchError::Packing {
                place: place.to_owned(),
                reason: "it is no gzip, or is damaged".to_owned(),
            },
            (_, io::ErrorKind::UnexpectedEof) => FetchError::Truncated { place: place.to_owned() },
            _ => failed(error),
        }),
    }
}

/// The list itself, where what was fetched is a gzip file of it.
pub(super) fn unpack(bytes: Vec<u8>, max_bytes: u64, place: &str) -> Result<Vec<u8>, FetchError> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let failed =
        |error: io::Error| FetchError::Packing { place: place.to_owned(), reason: error.to_string() };
    read(bytes.as_slice(), Coding::Gzip, max_bytes, place, failed)
}
