//! Sound files: RIFF WAVE with one channel of 16-bit integers, and nothing else.

use std::path::Path;

use crate::Result;

/// The samples of a file of this rate; the loudest are ±1.
pub(crate) fn read(path: &Path, rate: u32) -> Result<Vec<f32>> {
    parse(&std::fs::read(path)?, rate)
}

fn parse(file: &[u8], rate: u32) -> Result<Vec<f32>> {
    if !file.starts_with(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return Err("it is no WAVE file".into());
    }
    let format =
        chunk(file, b"fmt ").filter(|format| format.len() >= 16).ok_or("it does not say its format")?;
    let short = |at: usize| u16::from_le_bytes([format[at], format[at + 1]]);
    if (short(0), short(2), short(14)) != (1, 1, 16) {
        return Err("one channel of 16-bit integers is needed".into());
    }
    let given = u32::from_le_bytes([format[4], format[5], format[6], format[7]]);
    if given != rate {
        return Err(format!("it has {given} samples a second, and {rate} are needed").into());
    }
    let data = chunk(file, b"data").ok_or("it has no samples")?;
    Ok(data.as_chunks().0.iter().map(|bytes| f32::from(i16::from_le_bytes(*bytes)) / 32768.0).collect())
}

/// The bytes of the first chunk of this name, as far as they are there.
fn chunk<'a>(file: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let mut rest = file.get(12..)?;
    loop {
        let len = u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?) as usize;
        let body = &rest[8..];
        if rest.starts_with(name) {
            return Some(&body[..len.min(body.len())]);
        }
        // Chunks begin at even offsets.
        rest = body.get(len.checked_add(len % 2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        for (name, body) in chunks {
            file.extend(*name);
            file.extend((body.len() as u32).to_le_bytes());
            file.extend(*body);
            file.resize(file.len().next_multiple_of(2), 0);
        }
        file
    }

    #[test]
    fn samples_are_found_behind_other_chunks_and_what_is_no_such_sound_is_refused() {
        let format = [1, 0, 1, 0, 128, 62, 0, 0, 0, 125, 0, 0, 2, 0, 16, 0];
        let sound = file(&[(b"odd ", &[1]), (b"fmt ", &format), (b"data", &[0, 64, 0, 192])]);
        assert_eq!(parse(&sound, 16_000).unwrap(), [0.5, -0.5]);
        let text = |file: &[u8]| parse(file, 16_000).unwrap_err().to_string();
        assert_eq!(
            parse(&sound, 8_000).unwrap_err().to_string(),
            "it has 16000 samples a second, and 8000 are needed"
        );
        assert_eq!(text(b"RIFF"), "it is no WAVE file");
        assert_eq!(text(&file(&[(b"data", &[0, 0])])), "it does not say its format");
        assert_eq!(text(&file(&[(b"fmt ", &format)])), "it has no samples");
        let mut stereo = format;
        stereo[2] = 2;
        assert_eq!(text(&file(&[(b"fmt ", &stereo)])), "one channel of 16-bit integers is needed");
    }
}
