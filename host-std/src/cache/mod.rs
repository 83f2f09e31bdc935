//! A folder of compiled models, so that the second start need not do what the first one did.
//!
//! ```text
//!  model file ─▶ seen? ─▶ digest ─▶ <digest>-<isa>.inferry ─▶ map, check, plan ─▶ CompiledModel, loaded from the cache
//!                  └ no: read, digest     └ none, stale, damaged: compile ─▶ CompiledModel ─▶ written by a thread (saver)
//! ```
//!
//! A file's name says what it was made from: a SHA-256 of the model's bytes, of those that it has in other files, and of the limits
//! under which it was read. So a changed model is another file, and one folder serves any number of models, programs and users
//! who trust each other. `seen` remembers of which file a digest is, so that a model that was not touched need not even be read.
//! The folder is the user's: nothing in it is ever needed, and nothing is removed from it but what a dead process left half
//! written.
//!
//! What is *not* here: what such a file holds, and whether it may be used, is for the device to say.

mod saver;
mod seen;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inferry_core::tensor::Storage;
use inferry_engine::onnx::{self, ExternalData, ExternalError};
use inferry_engine::{Model, store};
use sha2::{Digest, Sha256};

use crate::compiled::CompiledModel;
use crate::contents::Contents;
use crate::devices::Over;
use crate::file::{FileError, Folder};
use crate::import::cpu_options;
use crate::options::Options;
use crate::runtime::{CompileError, Runtime};
pub use saver::CacheError;
pub(crate) use saver::Saver;
use seen::{Stamp, Stamps};

/// SHA-256 of what a model was made from.
type Source = [u8; 32];

/// What the cache did for a model; see [`CompiledModel::cached`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cached {
    /// No cache was asked for, or it has no part in models like this one: measured ones, and those on several devices.
    Off,
    /// The model was loaded from the cache, not compiled.
    Loaded,
    /// The model was compiled, and is or will be written to the cache.
    Compiled {
        /// Why the file that was there was of no use; `None` when there was none.
        refused: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
}

/// A folder of compiled models.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf) -> Cache {
        Cache { folder }
    }

    /// A model from its file.
    pub(crate) fn file(
        &self,
        runtime: &Runtime,
        path: &Path,
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        let mut search = Search { cache: self, runtime, options, refused: None };
        if let Some(model) = Stamps::recall(&self.folder, path).and_then(|source| search.find(source)) {
            return Ok(model);
        }
        let before = Stamp::of(path);
        let bytes = Contents::of(path).map_err(|source| FileError::Io { path: path.into(), source })?;
        let mut stamps = Stamps::new(path, before);
        let source = digest(&bytes, options);
        if let Some(model) = search.find(source) {
            stamps.remember(&self.folder, source);
            return Ok(model);
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let outside = Recorded { folder: Folder::new(folder), read: Mutex::new((Sha256::new(), Vec::new())) };
        outside.lock().0.update(source);
        let reading = onnx::Options { external: &outside, limits: options.limits_of_files() };
        let model = onnx::import(&bytes, &reading);
        let model = model.map_err(|source| FileError::Import { path: path.into(), source })?;
        drop(bytes);
        let (all, files) = outside.read.into_inner().unwrap_or_else(PoisonError::into_inner);
        if files.is_empty() {
            stamps.remember(&self.folder, source);
            return search.compile(source, &model);
        }
        let source = all.finalize().into();
        files.into_iter().for_each(|(location, stamp)| stamps.add(location, stamp));
        stamps.remember(&self.folder, source);
        search.find(source).map_or_else(|| search.compile(source, &model), Ok)
    }

    /// A model from bytes that hold all of it.
    pub(crate) fn bytes(
        &self,
        runtime: &Runtime,
        bytes: &[u8],
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        let mut search = Search { cache: self, runtime, options, refused: None };
        let source = digest(bytes, options);
        if let Some(model) = search.find(source) {
            return Ok(model);
        }
        let reading = onnx::Options { limits: options.limits_of_files(), ..onnx::Options::default() };
        search.compile(source, &onnx::import(bytes, &reading)?)
    }

    /// A model that was imported already: its digest is that of its graph and constants.
    pub(crate) fn model(
        &self,
        runtime: &Runtime,
        model: &Model,
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        let mut search = Search { cache: self, runtime, options, refused: None };
        match digest_of_graph(model) {
            None => runtime.compile_now(model, options),
            Some(source) => search.find(source).map_or_else(|| search.compile(source, model), Ok),
        }
    }
}

/// One model that is looked for.
struct Search<'a> {
    cache: &'a Cache,
    runtime: &'a Runtime,
    options: Options,
    refused: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Search<'_> {
    /// The model of this source, when it is there and can be used.
    fn find(&mut self, source: Source) -> Option<CompiledModel> {
        let path = self.path(source);
        let contents = match Contents::of(&path) {
            Ok(contents) => contents,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.refused = Some(Arc::new(error));
                return None;
            }
        };
        let saver = Saver::new(path, Cached::Loaded);
        let settings = saver.settings(cpu_options(self.options), source);
        let placed = match self.runtime.cpu().import(Storage::shared(contents), settings) {
            Ok(model) => {
                saver.watch(&model, false);
                self.runtime.place_one(model, Over::Cached(saver), self.options).map_err(|e| Arc::new(e) as _)
            }
            Err(error) => Err(Arc::new(error) as _),
        };
        placed.map_err(|error| self.refused = Some(error)).ok()
    }

    /// Compiles the model, and has it written.
    fn compile(&mut self, source: Source, model: &Model) -> Result<CompiledModel, CompileError> {
        let saver = Saver::new(self.path(source), Cached::Compiled { refused: self.refused.take() });
        let settings = saver.settings(cpu_options(self.options), source);
        let compiled = self.runtime.compile_cpu(model, &settings)?;
        saver.watch(&compiled, true);
        Ok(self.runtime.place_one(compiled, Over::Cached(saver), self.options)?)
    }

    fn path(&self, source: Source) -> PathBuf {
        let isa = format!("{:?}", self.runtime.cpu().isa().level()).to_lowercase();
        // Half of the digest names the file; the file holds all of it.
        self.cache.folder.join(format!("{}-{isa}.inferry", hexadecimal(&source[..16])))
    }
}

/// The digest of what was read, and each file with its stamp.
type Outside = (Sha256, Vec<(String, Option<Stamp>)>);

/// Reads from a model's folder, and remembers what.
struct Recorded {
    folder: Folder,
    read: Mutex<Outside>,
}

impl Recorded {
    fn lock(&self) -> MutexGuard<'_, Outside> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExternalData for Recorded {
    fn read(&self, location: &str, offset: u64, length: Option<u64>) -> Result<Vec<u8>, ExternalError> {
        let stamp = Stamp::of(&self.folder.path().join(location));
        let bytes = self.folder.read(location, offset, length)?;
        let (digest, files) = &mut *self.lock();
        for number in [location.len() as u64, offset, bytes.len() as u64] {
            digest.update(number.to_le_bytes());
        }
        digest.update(location);
        digest.update(&bytes);
        if !files.iter().any(|(known, _)| known == location) {
            files.push((location.into(), stamp));
        }
        Ok(bytes)
    }
}

/// Of a file's bytes, and of how much of a file is read.
fn digest(bytes: &[u8], options: Options) -> Source {
    let mut digest = Sha256::new();
    digest.update(format!("{:?}", options.limits_of_files()));
    digest.update(bytes);
    digest.finalize().into()
}

/// Of a graph; `None` when it has no form.
fn digest_of_graph(model: &Model) -> Option<Source> {
    let (form, constants) = store::write(&model.graph).ok()?;
    let mut digest = Sha256::new();
    digest.update(form);
    for tensor in &constants {
        digest.update(format!("{} {}", tensor.element(), tensor.shape()));
        match tensor.strings() {
            Ok(strings) => {
                for text in strings.iter() {
                    digest.update((text.len() as u64).to_le_bytes());
                    digest.update(text);
                }
            }
            Err(_) => {
                let lease = tensor.lease_read().ok()?;
                digest.update(lease.bytes().get(tensor.byte_range()).filter(|_| tensor.is_dense())?);
            }
        }
    }
    Some(digest.finalize().into())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a file into place whole or not at all: it is written beside it and renamed.
fn write_whole<E: From<std::io::Error>>(
    path: &Path,
    fill: impl FnOnce(&mut fs::File) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
        sweep(folder);
    }
    let beside = path.with_extension(format!("{}-{}.part", std::process::id(), number()));
    let written = fs::File::create_new(&beside).map_err(E::from).and_then(|mut file| fill(&mut file));
    let placed = written.and_then(|()| Ok(fs::rename(&beside, path)?));
    if placed.is_err() {
        _ = fs::remove_file(&beside);
    }
    placed
}

/// Another one each time in this process.
fn number() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Nobody writes a file for so long.
const ABANDONED: std::time::Duration = std::time::Duration::from_secs(3600);

/// Removes what processes that were ended have left.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        let is_part = entry.path().extension().is_some_and(|end| end == "part");
        if is_part && age.is_some_and(|age| age > ABANDONED) {
            _ = fs::remove_file(entry.path());
        }
    }
}
