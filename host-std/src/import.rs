//! Compiled models that were exported, and come in again.
//!
//! [`CompiledModel::export`](crate::CompiledModel::export) writes all that a device has made of a model; [`Runtime::import_file`] and
//! [`Runtime::import_bytes`] make the compiled model of it again, without the passes and the packing that made it. What the bytes
//! are is the device's business (`inferry_cpu`'s `export`); here are files and errors. Who wants that without a thought about
//! files takes a [cache](Runtime::cached).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use inferry_core::Clock;
use inferry_core::tensor::Storage;

use crate::clock::SystemClock;
use crate::compiled::CompiledModel;
use crate::contents::Contents;
use crate::devices::Over;
use crate::loaders::Loaders;
use crate::options::Options;
use crate::runtime::Runtime;
use crate::streams::ThreadError;

/// Why a compiled model could not be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// What is in it is no compiled model, was damaged, or was made by another version or for another processor.
    #[error("{}{source}", path.as_ref().map_or(String::new(), |path| format!("{}: ", path.display())))]
    Model {
        /// The file, when it came from one.
        path: Option<PathBuf>,
        /// What is wrong.
        source: Box<inferry_cpu::ImportError>,
    },
    /// There are no threads to run it on.
    #[error(transparent)]
    Threads(#[from] ThreadError),
}

impl Runtime {
    /// The compiled model that [`CompiledModel::export`] wrote to this file, for the same version of this crate and the same
    /// instruction set; every other file is refused.
    ///
    /// A large file is mapped, not read, and its weights are used where they are. So the file must stay as it is while the model
    /// lives: replace it by renaming another one over it, which is what editors and package managers do. Removing it is fine.
    ///
    /// ```
    /// use inferry::{Options, Runtime};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/mtcnn_cascade/rnet.onnx");
    /// # let folder = std::env::temp_dir().join(format!("inferry-example-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let file = folder.join("rnet.inferry");
    /// let runtime = Runtime::new()?;
    /// let model = runtime.compile_file(path, Options::latency())?;
    /// model.export(std::fs::File::create(&file)?)?;
    /// // The next time, or in the next program:
    /// let model = runtime.import_file(&file, Options::latency())?;
    /// println!("{} inputs", model.inputs().len());
    /// # drop(model);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ImportError`]: a file that is no compiled model, not this version's, or damaged. Compile the model anew then.
    pub fn import_file(
        &self,
        path: impl AsRef<Path>,
        options: Options,
    ) -> Result<CompiledModel, ImportError> {
        let path = path.as_ref();
        let contents = Contents::of(path);
        let contents = contents.map_err(|source| ImportError::File { path: path.into(), source })?;
        self.import(Storage::shared(contents), Some(path), options)
    }

    /// As [`Runtime::import_file`], from memory: a `Vec`, an array that is part of the program, whatever gives bytes. They are
    /// copied unless they begin at a multiple of 64 bytes.
    ///
    /// # Errors
    /// As [`Runtime::import_file`].
    pub fn import_bytes(
        &self,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
        options: Options,
    ) -> Result<CompiledModel, ImportError> {
        self.import(Storage::shared(bytes), None, options)
    }

    fn import(
        &self,
        bytes: Storage,
        path: Option<&Path>,
        options: Options,
    ) -> Result<CompiledModel, ImportError> {
        let model = self.cpu().import(bytes, cpu_options(options));
        let model = model.map_err(|source| {
            let (path, source) = (path.map(Path::to_path_buf), Box::new(source));
            ImportError::Model { path, source }
        })?;
        Ok(self.place_one(model, Over::One, options)?)
    }
}

/// What the CPU has to know of how a model is run.
pub(crate) fn cpu_options(options: Options) -> inferry_cpu::Options {
    let clock = || -> Arc<dyn Clock> { Arc::new(SystemClock) };
    let (streams, width) = options.shape();
    let threads = streams.max(1) * width;
    inferry_cpu::Options {
        threads: (threads > 1).then(|| Arc::new(Loaders(threads)) as _),
        profile: options.profiles().then(clock),
        limits: options.limits_of_runs(),
        ..Default::default()
    }
}
