//! The bytes of a file: large ones mapped into memory, so that they are copied once, when tensors are made of them.
//!
//! The map of an ONNX file is only held while the model is read; that of a compiled model for as long as the model lives, whose
//! weights lie there. Small files, and what the system does not map (a pipe), are read.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, MmapOptions};

/// Smaller files are read as quickly as they are mapped.
const LARGE: u64 = 1 << 20;

/// The bytes of a file.
pub(crate) enum Contents {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Contents {
    /// All of a file.
    pub(crate) fn of(path: &Path) -> io::Result<Contents> {
        let mut file = File::open(path)?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        if length >= LARGE
            && let Some(map) = map(&file)
        {
            return Ok(Contents::Mapped(map));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Contents::Read(bytes))
    }
}

impl AsRef<[u8]> for Contents {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

fn map(file: &File) -> Option<Mmap> {
    // Its pages at once rather than one fault at a time: all of them will be read.
    let mut options = MmapOptions::new();
    options.populate();
    // SAFETY: within this process nobody writes to the pages: they are mapped to be read, and the map is ours alone. Another
    // program could write to the file meanwhile; then the bytes are no model, or another, as they would be had we read a
    // moment earlier or later, for the reader looks at each of them once and trusts none. One that cuts the file short ends
    // this process, as with every program that maps files: who replaces a model does so by renaming. Of a compiled model's
    // file, whose weights are looked at in every run, the documentation asks that much, and our own cache renames.
    unsafe { options.map(file) }.ok()
}

impl Deref for Contents {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Contents::Mapped(map) => map,
            Contents::Read(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_are_mapped_and_small_ones_read() {
        let path = std::env::temp_dir().join(format!("inferry-contents-{}", std::process::id()));
        for (length, mapped) in [(0, false), (1000, false), (LARGE as usize + 3, true)] {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            let contents = Contents::of(&path).unwrap();
            assert!(*contents == *bytes, "{length}");
            assert_eq!(matches!(contents, Contents::Mapped(_)), mapped, "{length}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Contents::of(&path).is_err());
    }
}
