//! Bytes, read up to a limit. Whatever is packed is unpacked as it is read, so that what unpacks to more than the
//! limit costs no more memory than the limit.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use super::FetchError;

/// How gzip begins (RFC 1952 §2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The most members of a gzip file: each costs time, even without content. Programs that pack in blocks need one
/// for every 64 KiB.
const MAX_MEMBERS: usize = 10_000;

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
        Coding::Plain => reader.take(most).read_to_end(&mut bytes).map(drop),
        Coding::Gzip => gunzip(BufReader::new(reader), most, &mut bytes),
    };
    match result {
        Ok(()) if bytes.len() as u64 > max_bytes => {
            Err(FetchError::TooLarge { place: place.to_owned(), max_bytes })
        }
        Ok(()) => Ok(bytes),
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

/// Unpacks all members (RFC 1952 §2.2) one after the other, but no more than `most` bytes.
fn gunzip(mut packed: impl BufRead, most: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    for _ in 0..MAX_MEMBERS {
        let left = most.saturating_sub(bytes.len() as u64);
        GzDecoder::new(&mut packed).take(left).read_to_end(bytes)?;
        if bytes.len() as u64 >= most || packed.fill_buf()?.is_empty() {
            return Ok(());
        }
    }
    Err(io::ErrorKind::InvalidData.into())
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
