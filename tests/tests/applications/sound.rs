//! Sound files: RIFF WAVE with one channel, 16-bit integers or 32-bit floats.
//!
//! A WAVE file is a list of chunks, each a name, a length and bytes; two of them matter, `fmt ` (how samples are written) and
//! `data` (the samples). No other encodings, and no resampling.

use std::fs;
use std::path::Path;

/// Format tag of samples that are integers.
const INTEGERS: u16 = 1;
/// Format tag of samples that are floats.
const FLOATS: u16 = 3;

/// A sound with one channel.
pub(crate) struct Sound {
    /// Samples in a second.
    pub(crate) rate: u32,
    /// Loudest is ±1.
    pub(crate) samples: Vec<f32>,
}

/// Reads a sound.
///
/// # Panics
/// When it is none, or one of another kind.
pub(crate) fn read(path: &Path) -> Sound {
    let bytes = fs::read(path).expect("a readable file");
    assert!(bytes.starts_with(b"RIFF") && &bytes[8..12] == b"WAVE", "{} is no sound", path.display());
    let format = chunk(&bytes, b"fmt ");
    let data = chunk(&bytes, b"data");
    let short = |at: usize| u16::from_le_bytes([format[at], format[at + 1]]);
    assert_eq!(short(2), 1, "one channel");
    let samples = match (short(0), short(14)) {
        (INTEGERS, 16) => {
            data.as_chunks().0.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32768.0).collect()
        }
        (FLOATS, 32) => data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        other => panic!("{}: an encoding that is not read: {other:?}", path.display()),
    };
    Sound { rate: u32::from_le_bytes([format[4], format[5], format[6], format[7]]), samples }
}

/// The bytes of the first chunk of this name.
fn chunk<'a>(file: &'a [u8], name: &[u8; 4]) -> &'a [u8] {
    let mut rest = &file[12..];
    while rest.len() >= 8 {
        let len = u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]) as usize;
        let body = &rest[8..8 + len];
        if rest.starts_with(name) {
            return body;
        }
        // Chunks begin at even offsets.
        rest = &rest[8 + len + len % 2..];
    }
    panic!("no chunk {}", String::from_utf8_lossy(name));
}
