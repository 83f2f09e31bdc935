//! Model files: the model itself, and the tensors that it keeps in files beside it.
//!
//! The names of those files are written in the model, and a model may come from anywhere. So a [`Folder`] hands out only
//! what truly lies in it: no absolute names, no `..`, no links that lead out. It reads the part that is asked for and not
//! the whole file, and takes no memory before it has seen that so many bytes exist.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use inferry_engine::Model;
use inferry_engine::onnx::{self, ExternalData, ExternalError, ImportError};

use crate::contents::Contents;

/// Why a model file could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file itself.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("{}: {source}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// What is wrong with the model.
        source: ImportError,
    },
}

/// Reads an ONNX file and the tensors in the files beside it.
///
/// # Errors
/// A file that cannot be read, or that is no model we can take.
pub fn read_model(path: impl AsRef<Path>) -> Result<Model, FileError> {
    read_model_within(path, onnx::Limits::default())
}

/// As [`read_model`], for a model that may be no larger than these limits.
///
/// # Errors
/// As [`read_model`], and [`ImportError::Limit`].
pub fn read_model_within(path: impl AsRef<Path>, limits: onnx::Limits) -> Result<Model, FileError> {
    let path = path.as_ref();
    let bytes = Contents::of(path).map_err(|source| FileError::Io { path: path.into(), source })?;
    let folder = Folder::new(path.parent().unwrap_or(Path::new("")));
    let options = onnx::Options { external: &folder, limits };
    onnx::import(&bytes, &options).map_err(|source| FileError::Import { path: path.into(), source })
}

/// A folder from which a model may read.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// This folder; the empty path is the working directory.
    pub fn new(path: impl Into<PathBuf>) -> Folder {
        let path = path.into();
        Folder(if path.as_os_str().is_empty() { PathBuf::from(".") } else { path })
    }

    /// The path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The file at `location`, which must lie in the folder.
    fn open(&self, location: &str) -> Result<File, String> {
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if location.is_empty() || !Path::new(location).components().all(inside) {
            return Err("the model may only name files in its own folder".into());
        }
        let text = |error: std::io::Error| error.to_string();
        let folder = self.0.canonicalize().map_err(text)?;
        let file = folder.join(location).canonicalize().map_err(text)?;
        if !file.starts_with(&folder) {
            return Err("the name leads out of the model's folder".into());
        }
        File::open(file).map_err(text)
    }

    fn part(&self, location: &str, offset: u64, length: Option<u64>) -> Result<Vec<u8>, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut file = self.open(location)?;
        let size = file.metadata().map_err(text)?.len();
        let available = size.checked_sub(offset);
        let length = length.or(available).filter(|length| Some(*length) <= available).ok_or_else(|| {
            let length = length.map_or(String::new(), |length| format!("{length} bytes "));
            format!("the file has {size} bytes, {length}from byte {offset} on are asked for")
        })?;
        file.seek(SeekFrom::Start(offset)).map_err(text)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        file.read_exact(&mut bytes).map_err(text)?;
        Ok(bytes)
    }
}

impl ExternalData for Folder {
    fn read(&self, location: &str, offset: u64, length: Option<u64>) -> Result<Vec<u8>, ExternalError> {
        let error = |problem| ExternalError { location: location.into(), problem };
        self.part(location, offset, length).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder `outer/inner` with a file in each, removed at the end.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Temporary {
            let outer = std::env::temp_dir().join(format!("inferry-{name}-{}", std::process::id()));
            fs::create_dir_all(outer.join("inner")).unwrap();
            fs::write(outer.join("secret"), b"secret").unwrap();
            fs::write(outer.join("inner/weights"), [0, 1, 2, 3, 4, 5]).unwrap();
            Temporary(outer)
        }

        fn folder(&self) -> Folder {
            Folder::new(self.0.join("inner"))
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn parts_of_a_file_are_read() {
        let temporary = Temporary::new("parts");
        let folder = temporary.folder();
        assert_eq!(folder.read("weights", 2, Some(3)).unwrap(), [2, 3, 4]);
        assert_eq!(folder.read("./weights", 4, None).unwrap(), [4, 5]);
        assert_eq!(folder.read("weights", 6, None).unwrap(), []);
        let error = folder.read("weights", 4, Some(3)).unwrap_err().to_string();
        assert_eq!(
            error,
            "external data \"weights\": the file has 6 bytes, 3 bytes from byte 4 on are asked for"
        );
        assert!(folder.read("weights", u64::MAX, Some(u64::MAX)).is_err());
        assert!(folder.read("weights", 7, None).is_err());
        assert!(folder.read("absent", 0, None).is_err());
    }

    #[test]
    fn nothing_outside_of_the_folder_is_read() {
        let temporary = Temporary::new("outside");
        let folder = temporary.folder();
        let absolute = temporary.0.join("secret");
        for location in ["../secret", "../inner/weights", "", "/etc/hostname", absolute.to_str().unwrap()] {
            let error = folder.read(location, 0, None).unwrap_err();
            assert_eq!(error.problem, "the model may only name files in its own folder", "{location}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&absolute, temporary.0.join("inner/link")).unwrap();
            let error = folder.read("link", 0, None).unwrap_err();
            assert_eq!(error.problem, "the name leads out of the model's folder");
        }
    }

    #[test]
    fn a_missing_model_is_named() {
        let error = read_model("no/such/model.onnx").unwrap_err().to_string();
        assert!(error.starts_with("no/such/model.onnx: "), "{error}");
    }
}
