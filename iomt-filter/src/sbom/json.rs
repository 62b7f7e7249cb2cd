//! JSON of others: UTF-8, bounded, and read into the shape that is asked for, with the line of what is wrong.

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::ReadError;

/// Octets of a file at most.
pub const LARGEST: usize = 64 << 20;
/// Components of a file at most.
pub const MOST_COMPONENTS: usize = 200_000;
/// Statements of a file at most, once for each whom they are about.
pub const MOST_STATEMENTS: usize = 500_000;
/// Objects and values of a file at most. Each takes memory, however short it is.
const MOST_OBJECTS: usize = 1_500_000;
const MOST_VALUES: usize = 8_000_000;

/// The text of a file, without a byte-order mark.
pub(super) fn checked(bytes: &[u8]) -> Result<&[u8], ReadError> {
    if bytes.len() > LARGEST {
        return Err(ReadError::TooLarge);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let begin = bytes.trim_ascii_start();
    let wrong = match begin {
        [] => Some("empty"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            Some("UTF-16 or no text; `iconv -f UTF-16 -t UTF-8` makes UTF-8 of it")
        }
        [0x1f, 0x8b, ..] => Some("packed; unpack it with `gunzip`"),
        [b'<', ..] => Some(
            "XML or HTML, and JSON is read; `cyclonedx convert --output-format json` makes JSON of an SBOM in XML",
        ),
        _ if begin.starts_with(b"SPDXVersion:") => Some(
            "SPDX in tag-value form, and JSON is read; SPDX's `pyspdxtools -i FILE -o FILE.json` makes JSON of it",
        ),
        [b'{', ..] => None,
        _ => Some("no object of JSON"),
    };
    if let Some(wrong) = wrong {
        return Err(ReadError::Encoding(wrong));
    }
    let (mut objects, mut values) = (0, 0);
    for byte in bytes {
        objects += usize::from(*byte == b'{');
        values += usize::from(matches!(byte, b'[' | b','));
    }
    match (objects > MOST_OBJECTS, values > MOST_VALUES) {
        (true, _) => Err(ReadError::TooMany(MOST_OBJECTS, "objects")),
        (_, true) => Err(ReadError::TooMany(MOST_VALUES, "values")),
        _ => Ok(bytes),
    }
}

/// What it says. The reader refuses what is nested more than 128 deep, and members that are there twice.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(ReadError::Json)
}

/// A moment, where it is one.
pub(super) fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}
