//! Which digest a model file has, without reading it: by what the system says of the file.
//!
//! Beside the compiled models lies a small text for each model file, named by its path: the digest, and the size, times and number
//! of the file and of those it keeps data in. While they are all as they were, so are the bytes. A file that was changed
//! within the last seconds before it was read is not remembered: another change so soon might leave the same times.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::{Source, hexadecimal, write_whole};

/// The first line; another one, and the text is not read.
const TITLE: &str = "inferry seen 1";

/// Times of files may be as coarse as this.
const COARSE: Duration = Duration::from_secs(3);

/// What the system says of a file: another one when it was changed or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(String);

impl Stamp {
    /// Of the file at `path`; `None` where it cannot be told, or was changed just now.
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let data = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let changed = data.modified().ok()?;
        if SystemTime::now().duration_since(changed).is_ok_and(|age| age < COARSE) {
            return None;
        }
        let nanos = changed.duration_since(UNIX_EPOCH).ok()?.as_nanos();
        Some(Stamp(format!("{} {nanos} {}", data.len(), more(&data))))
    }
}

/// What is changed even by who sets the time of a file back.
#[cfg(unix)]
fn more(data: &fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("{}.{:09} {} {}", data.ctime(), data.ctime_nsec(), data.dev(), data.ino())
}

#[cfg(not(unix))]
fn more(data: &fs::Metadata) -> String {
    let made = data.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}", made.map_or(0, |made| made.as_nanos()))
}

/// The stamps of a model file and of those beside it, from before they were read.
pub(super) struct Stamps {
    path: PathBuf,
    /// By the location within the model's folder; the model's own is empty. `None` when one of them has no stamp.
    files: Option<Vec<(String, Stamp)>>,
}

impl Stamps {
    pub(super) fn new(path: &Path, own: Option<Stamp>) -> Stamps {
        Stamps { path: path.into(), files: own.map(|own| vec![(String::new(), own)]) }
    }

    /// A file that the model keeps data in.
    pub(super) fn add(&mut self, location: String, stamp: Option<Stamp>) {
        let files = self.files.take().zip(stamp.filter(|_| !location.contains(['\n', '\r'])));
        self.files = files.map(|(mut files, stamp)| {
            files.push((location, stamp));
            files
        });
    }

    /// Writes the digest down, where nothing speaks against it. That it cannot be written is no harm.
    pub(super) fn remember(&self, folder: &Path, source: Source) {
        let (Some(files), Some(at)) = (&self.files, place(folder, &self.path)) else { return };
        let mut text = format!("{TITLE}\n{}\n", hexadecimal(&source));
        for (location, Stamp(stamp)) in files {
            text += &format!("{stamp}\t{location}\n");
        }
        _ = write_whole(&at, |file| std::io::Write::write_all(file, text.as_bytes()));
    }

    /// The digest of a model file, when it is known and nothing has changed since.
    pub(super) fn recall(folder: &Path, path: &Path) -> Option<Source> {
        let text = fs::read_to_string(place(folder, path)?).ok()?;
        let mut lines = text.lines();
        lines.next().filter(|title| *title == TITLE)?;
        let source = bytes(lines.next()?)?;
        let beside = path.parent().unwrap_or(Path::new(""));
        let mut count = 0;
        for line in lines {
            let (stamp, location) = line.split_once('\t')?;
            let file = if location.is_empty() { path.into() } else { beside.join(location) };
            if Stamp::of(&file)?.0 != stamp {
                return None;
            }
            count += 1;
        }
        (count > 0).then_some(source)
    }
}

/// Where the text of a model file lies.
fn place(folder: &Path, path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let name: [u8; 32] = Sha256::digest(path.as_os_str().as_encoded_bytes()).into();
    Some(folder.join(format!("{}.seen", hexadecimal(&name[..16]))))
}

fn bytes(text: &str) -> Option<Source> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_until_it_is_touched() {
        let folder = std::env::temp_dir().join(format!("inferry-seen-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [model, data] = ["model", "data"].map(|name| folder.join(name));
        let old = SystemTime::now() - Duration::from_secs(100);
        let write = |path: &Path, text: &str, time: SystemTime| {
            fs::write(path, text).unwrap();
            fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        };
        write(&model, "model", old);
        write(&data, "data", old);
        let source = [7; 32];
        let remember = || {
            let mut stamps = Stamps::new(&model, Stamp::of(&model));
            stamps.add("data".into(), Stamp::of(&data));
            stamps.remember(&folder, source);
        };
        assert_eq!(Stamps::recall(&folder, &model), None);
        remember();
        assert_eq!(Stamps::recall(&folder, &model), Some(source));
        // Of the same size, and the time as it was: a system that tells when it was set still sees it.
        write(&data, "date", if cfg!(unix) { old } else { old + Duration::from_secs(1) });
        assert_eq!(Stamps::recall(&folder, &model), None);
        remember();
        assert_eq!(Stamps::recall(&folder, &model), Some(source));
        write(&model, "model.", SystemTime::now());
        assert_eq!(Stamps::recall(&folder, &model), None);
        remember();
        assert_eq!(Stamps::recall(&folder, &model), None, "changed too short a time ago");
        fs::remove_dir_all(&folder).unwrap();
    }
}
