//! NumPy's `.npz`: a zip archive whose members are arrays, one `.npy` file each.
//!
//! Fixtures come in this form and the program `inferry` writes its outputs in it, so that anybody can look at them with
//! three lines of Python. Reading gives [`Tensor`]s by name; nothing is converted: an `i8` array is an `i8` tensor.
//!
//! What is not here: pickled objects (they run code), and arrays that are mapped instead of read. The module is built with
//! the feature `cli` only; a user of the library brings their own file formats.

mod npy;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use inferry_core::Tensor;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

pub use npy::NpyError;

/// Why an `.npz` could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpzError {
    /// The file could not be opened, read or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The file is no zip archive, or a damaged one.
    #[error("not a readable npz archive: {0}")]
    Archive(#[from] ZipError),
    /// One of its arrays cannot be a tensor, or a tensor cannot be an array.
    #[error("array {name:?}: {problem}")]
    Array {
        /// The array's name, without `.npy`.
        name: String,
        /// What is wrong with it.
        #[source]
        problem: Box<NpyError>,
    },
}

/// Arrays by name, in the order of the archive.
#[derive(Clone, Debug, Default)]
pub struct Arrays(Vec<(String, Tensor)>);

impl Arrays {
    /// No arrays.
    pub fn new() -> Arrays {
        Arrays::default()
    }

    /// Adds an array, or replaces the one of that name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = tensor,
            None => self.0.push((name, tensor)),
        }
    }

    /// The array of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor)
    }

    /// Names and arrays, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the archive at `path`.
    pub fn open(path: impl AsRef<Path>) -> Result<Arrays, NpzError> {
        Arrays::read(BufReader::new(File::open(path)?))
    }

    /// Reads an archive. Members that are not `.npy` are passed over, as NumPy does.
    pub fn read(archive: impl Read + Seek) -> Result<Arrays, NpzError> {
        let mut archive = ZipArchive::new(archive)?;
        let mut arrays = Arrays::new();
        for index in 0..archive.len() {
            let member = archive.by_index(index)?;
            let Some(name) =
                member.name().ok().as_deref().and_then(|name| name.strip_suffix(".npy")).map(String::from)
            else {
                continue;
            };
            match npy::read(member) {
                Ok(tensor) => arrays.insert(name, tensor),
                Err(problem) => return Err(NpzError::Array { name, problem: problem.into() }),
            }
        }
        Ok(arrays)
    }

    /// Writes an archive at `path`, compressed, over whatever is there.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), NpzError> {
        let mut file = BufWriter::new(File::create(path)?);
        self.write(&mut file)?;
        Ok(file.flush()?)
    }

    /// Writes an archive, compressed.
    pub fn write(&self, archive: impl Write + Seek) -> Result<(), NpzError> {
        let mut archive = ZipWriter::new(archive);
        for (name, tensor) in self.iter() {
            // Without the large-file form an array of 4 GB and more is refused.
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .large_file(tensor.len() > (u32::MAX / 16) as usize);
            archive.start_file(format!("{name}.npy"), options)?;
            npy::write(&mut archive, tensor)
                .map_err(|problem| NpzError::Array { name: name.to_string(), problem: problem.into() })?;
        }
        archive.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use inferry_core::ElementType;

    use super::*;

    fn bytes_of(arrays: &Arrays) -> Vec<u8> {
        let mut archive = Cursor::new(Vec::new());
        arrays.write(&mut archive).unwrap();
        archive.into_inner()
    }

    fn two_arrays() -> Arrays {
        let mut arrays = Arrays::new();
        arrays.insert("input_0", Tensor::from_slice(&[1.5f32, -2.0, 0.0], [3, 1]).unwrap());
        arrays.insert("sr", Tensor::scalar(16000i64));
        arrays
    }

    #[test]
    fn what_was_written_is_read() {
        let read = Arrays::read(Cursor::new(bytes_of(&two_arrays()))).unwrap();
        assert_eq!(read.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["input_0", "sr"]);
        let first = read.get("input_0").unwrap();
        assert_eq!(*first.shape(), [3, 1]);
        assert_eq!(first.to_vec::<f32>().unwrap(), [1.5, -2.0, 0.0]);
        let rate = read.get("sr").unwrap();
        assert_eq!((rate.element(), rate.shape().rank()), (ElementType::I64, 0));
    }

    #[test]
    fn a_truncated_archive_is_an_error_and_never_a_panic() {
        let whole = bytes_of(&two_arrays());
        for length in 0..whole.len() {
            assert!(
                Arrays::read(Cursor::new(&whole[..length])).is_err(),
                "{length} of {} bytes",
                whole.len()
            );
        }
    }

    #[test]
    fn a_changed_byte_never_gives_other_numbers() {
        let whole = bytes_of(&two_arrays());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            // The archive's checksums cover the numbers; a changed name or date still reads as some archive.
            for (name, tensor) in Arrays::read(Cursor::new(changed)).unwrap_or_default().iter() {
                if let Some(known) = two_arrays().get(name) {
                    let (found, wanted) = (tensor.lease_read().unwrap(), known.lease_read().unwrap());
                    assert_eq!(found.bytes(), wanted.bytes(), "{name}, byte {at} changed");
                }
            }
        }
    }

    #[test]
    fn an_error_names_the_array() {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("weird.npy", SimpleFileOptions::default()).unwrap();
        archive.write_all(b"not an array").unwrap();
        let bytes = archive.finish().unwrap().into_inner();
        let message = Arrays::read(Cursor::new(bytes)).unwrap_err().to_string();
        assert!(message.starts_with("array \"weird\": "), "{message}");
    }

    #[test]
    fn members_that_are_no_arrays_are_passed_over() {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("README.txt", SimpleFileOptions::default()).unwrap();
        let bytes = archive.finish().unwrap().into_inner();
        assert!(Arrays::read(Cursor::new(bytes)).unwrap().is_empty());
    }
}
