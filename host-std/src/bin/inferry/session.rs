//! A model made ready to run, and how long that took.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use inferry::{CompileError, CompiledModel, ExportError, Options, Port, Request, Runtime};

use crate::{about, progress};

/// A compiled model. Its threads end with it.
pub struct Session {
    model: CompiledModel,
    threads: usize,
    /// From opening the file to the compiled model.
    pub load: Duration,
}

impl Session {
    /// Reads and compiles a model, or takes it from the folder `cache` or from its own export; `threads` are shared out over the
    /// streams of `options`.
    pub fn open(
        path: &Path,
        options: Options,
        threads: Option<usize>,
        cache: Option<&Path>,
    ) -> Result<Session, Box<dyn Error>> {
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let spinner = progress::spinner("loading");
        let begin = Instant::now();
        let runtime = Runtime::new()?;
        let runtime = if let Some(folder) = cache { runtime.cached(folder) } else { runtime };
        let options = options.threads(threads);
        let model = if is_exported(path) {
            runtime.import_file(path, options)?
        } else {
            runtime.compile_file(path, options).map_err(|error| match error {
                CompileError::File(error) => error.into(),
                error => about(path)(error),
            })?
        };
        let load = begin.elapsed();
        spinner.finish_and_clear();
        Ok(Session { model, threads, load })
    }

    /// A request for the model.
    pub fn request(&self) -> Result<Request, Box<dyn Error>> {
        Ok(self.model.request()?)
    }

    /// The model's inputs.
    pub fn inputs(&self) -> &[Port] {
        self.model.inputs()
    }

    /// The model's outputs.
    pub fn outputs(&self) -> &[Port] {
        self.model.outputs()
    }

    /// Writes the compiled model.
    pub fn export(&self, to: impl Write) -> Result<(), ExportError> {
        self.model.export(to)
    }

    /// Whether the model came out of the cache.
    pub fn loaded_from_cache(&self) -> bool {
        self.model.loaded_from_cache()
    }

    /// Waits until the cache holds what there is to hold; that it cannot is told, and no failure.
    pub fn finish(self) {
        if let Err(error) = self.model.wait_cache() {
            eprintln!("inferry: {error}");
        }
    }

    /// Threads over all streams.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Requests that run side by side.
    pub fn streams(&self) -> usize {
        self.model.streams()
    }

    /// Requests in flight that keep all streams busy.
    pub fn optimal_requests(&self) -> usize {
        self.model.optimal_requests()
    }
}

/// Whether a file begins as exports do. One that cannot be read is no export, and told of by who reads it next.
fn is_exported(path: &Path) -> bool {
    let mut begin = [0; 8];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && inferry::is_export(&begin)
}
