//! A model made ready to run, and how long that took.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use inferry::{CompiledModel, Options, Port, Request, Runtime, read_model};

use crate::{about, progress};

/// A compiled model. Its threads end with it.
pub struct Session {
    model: CompiledModel,
    threads: usize,
    /// From opening the file to the compiled model.
    pub load: Duration,
}

impl Session {
    /// Reads and compiles a model; `threads` are shared out over the streams of `options`.
    pub fn open(path: &Path, options: Options, threads: Option<usize>) -> Result<Session, Box<dyn Error>> {
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let spinner = progress::spinner("loading");
        let begin = Instant::now();
        let runtime = Runtime::new()?;
        let model = read_model(path)?;
        let model = runtime.compile(&model, options.threads(threads)).map_err(about(path))?;
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
