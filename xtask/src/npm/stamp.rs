//! Remembers what a step was made from, so that it is made again only when that has changed.
//!
//! A stamp is one file with one digest: of the bytes that went in and of the words that say what is done with them. Times of
//! files are not looked at: a checkout changes them all. Who deletes what was made must delete the stamp too; so it lies
//! beside it, in the folder that `cargo clean` removes.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What a step is made from, while it is being collected.
pub(crate) struct Stamp {
    path: PathBuf,
    digest: Sha256,
}

impl Stamp {
    /// A stamp that is kept in the file `path`.
    pub(crate) fn new(path: PathBuf) -> Stamp {
        Stamp { path, digest: Sha256::new() }
    }

    /// A word that changes what is made: a flag, a version.
    pub(crate) fn word(mut self, word: &str) -> Stamp {
        self.add(word.as_bytes());
        self
    }

    /// A file, or a folder with all that is in it. One that is not there counts as such.
    pub(crate) fn path(mut self, path: &Path) -> Stamp {
        self.walk(path);
        self
    }

    /// Makes it, unless it was made from the same before and `made` is all there.
    pub(crate) fn make(
        self,
        made: &[PathBuf],
        make: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let digest: String = self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let known = fs::read_to_string(&self.path).is_ok_and(|old| old == digest);
        if known && made.iter().all(|path| path.exists()) {
            return Ok(());
        }
        // A step that fails half-way must not pass for done the next time.
        drop(fs::remove_file(&self.path));
        make()?;
        let folder = self.path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = folder.and_then(|()| fs::write(&self.path, digest));
        written.map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }

    fn walk(&mut self, path: &Path) {
        self.add(path.file_name().unwrap_or_default().as_encoded_bytes());
        if let Ok(entries) = fs::read_dir(path) {
            let mut inside: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
            inside.sort();
            self.add(&inside.len().to_le_bytes());
            inside.iter().for_each(|path| self.walk(path));
        } else {
            self.add(&fs::read(path).unwrap_or_default());
        }
    }

    /// With its length, so that `ab` and `c` are not `a` and `bc`.
    fn add(&mut self, bytes: &[u8]) {
        self.digest.update(bytes.len().to_le_bytes());
        self.digest.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a step is made that is asked for with each of `inputs` in turn.
    fn makings(name: &str, inputs: &[&str]) -> usize {
        let folder = std::env::temp_dir().join(format!("inferry-stamp-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (source, made) = (folder.join("source"), folder.join("made"));
        let mut count = 0;
        for input in inputs {
            fs::write(&source, input).unwrap();
            let stamp = Stamp::new(folder.join("stamp")).word("-O3").path(&source);
            let step = || {
                count += 1;
                fs::write(&made, input).map_err(|error| error.to_string())
            };
            stamp.make(std::slice::from_ref(&made), step).unwrap();
            assert_eq!(fs::read_to_string(&made).unwrap(), *input);
        }
        fs::remove_dir_all(folder).unwrap();
        count
    }

    #[test]
    fn what_has_not_changed_is_not_made_again() {
        assert_eq!(makings("same", &["a", "a", "a"]), 1);
        assert_eq!(makings("changed", &["a", "b", "b"]), 2);
    }

    #[test]
    fn a_step_that_failed_is_made_again() {
        let path = std::env::temp_dir().join(format!("inferry-stamp-failed-{}", std::process::id()));
        let make = |done: Result<(), String>| Stamp::new(path.clone()).word("same").make(&[], || done);
        assert!(make(Err("no".into())).is_err());
        assert!(make(Err("again".into())).is_err());
        assert!(make(Ok(())).is_ok());
        assert!(make(Err("not asked".into())).is_ok());
        fs::remove_file(path).unwrap();
    }
}
