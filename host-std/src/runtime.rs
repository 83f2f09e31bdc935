//! The runtime: the devices of this machine and the threads that models share.
//!
//! Compiling puts a device's compiled model on executors of this host. Models that are compiled with streams of the same
//! shape (their number, and the threads of each) share them, so a cascade of models does not use more threads than one; each
//! model calls its callbacks on threads of its own. A device whose stages block has one thread for waiting, so that devices
//! wait side by side. Threads live as long as the runtime or anything compiled with it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use inferry_core::device::{self, Device, StageKind};
use inferry_core::request::BoxError;
use inferry_core::unwind;
use inferry_core::{Clock, Pipeline, Trace};
use inferry_cpu::Cpu;
use inferry_engine::Model;
use inferry_engine::onnx::ImportError;

use crate::clock::SystemClock;
use crate::compiled::CompiledModel;
use crate::executors::Executors;
use crate::features::{self, UnknownIsa};
use crate::file::{FileError, read_model};
use crate::options::{Callbacks, Options};
use crate::place::Place;
use crate::streams::{Streams, ThreadError};

/// The way in: compiles models. Cheap to clone; clones are the same runtime.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
    trace: Option<Arc<dyn Trace>>,
}

struct Inner {
    cpu: Cpu,
    /// By number and width.
    streams: Known<(usize, usize)>,
    /// By the name of the device.
    waits: Known<String>,
    executors: Executors,
}

/// Streams that models share, by what they ask for.
type Known<K> = Mutex<Vec<(K, Arc<Streams>)>>;

/// Why a model could not be made ready to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The file could not be read, or what is in it not be imported.
    #[error(transparent)]
    File(#[from] FileError),
    /// The bytes are no model that we can import.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The device could not compile it.
    #[error("the device \"{device}\" cannot compile the model: {source}")]
    Device {
        /// The device.
        device: String,
        /// Why.
        source: BoxError,
    },
    /// There are no threads to run it on.
    #[error(transparent)]
    Threads(#[from] ThreadError),
}

impl Runtime {
    /// A runtime for this machine's processors. No thread starts before a model is compiled.
    ///
    /// # Errors
    /// When the environment variable `INFERRY_ISA`, which lowers the instruction set, names none.
    pub fn new() -> Result<Runtime, UnknownIsa> {
        // From now on a panic in a stage or callback ends its run and nothing else.
        unwind::set_catcher(|body| std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)));
        let cpu = Cpu::new(features::detect()?);
        let inner = Arc::new(Inner {
            cpu,
            streams: Mutex::default(),
            waits: Mutex::default(),
            executors: Executors::default(),
        });
        Ok(Runtime { inner, trace: None })
    }

    /// The same runtime, with the same threads; models that are compiled through this handle tell `trace` what happens to
    /// their runs. See [`trace`](crate::trace).
    #[must_use]
    pub fn traced(&self, trace: Arc<dyn Trace>) -> Runtime {
        Runtime { inner: self.inner.clone(), trace: Some(trace) }
    }

    /// Reads an ONNX file and compiles it for the CPU. Data that the model keeps in other files is looked for beside it, and
    /// nowhere else.
    pub fn compile_file(
        &self,
        path: impl AsRef<Path>,
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        self.compile(&read_model(path)?, options)
    }

    /// As [`Runtime::compile_file`], from bytes that hold all of the model's data.
    pub fn compile_bytes(&self, bytes: &[u8], options: Options) -> Result<CompiledModel, CompileError> {
        self.compile(&Model::from_onnx(bytes)?, options)
    }

    /// Compiles an imported model for the CPU.
    pub fn compile(&self, model: &Model, options: Options) -> Result<CompiledModel, CompileError> {
        let clock = || -> Arc<dyn Clock> { Arc::new(SystemClock) };
        let settings = inferry_cpu::Options { profile: options.profiles().then(clock), ..Default::default() };
        self.compile_on(&self.inner.cpu, model, &settings, options)
    }

    /// Compiles a graph for any device. Stages that block run on the thread that waits for the device of this name.
    pub fn compile_on<D: Device>(
        &self,
        device: &D,
        graph: &D::Graph,
        settings: &D::Options,
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        let name = device.name();
        let model = device
            .compile(graph, settings)
            .map_err(|source| CompileError::Device { device: name.into(), source: Box::new(source) })?;
        let (streams, width) = options.shape();
        let compute = if streams == 0 { None } else { Some(self.streams(streams, width)?) };
        let waits = model.stages().iter().any(|stage| stage.kind == StageKind::Wait);
        let wait = if waits && compute.is_some() { Some(self.wait_for(name)?) } else { None };
        let callbacks = match options.callbacks() {
            Callbacks::OwnThreads(count) if compute.is_some() => {
                Some(Arc::new(Streams::new("inferry-callback", count, 1)))
            }
            _ => None,
        };
        let place = Place::new(&*model, compute, wait, callbacks, self.trace.clone());
        Ok(CompiledModel::new(model, Arc::new(place), streams))
    }

    /// Puts a model that a device has compiled on executors of the caller's choice: stage `i` on `pipeline.stages()[i]`. A
    /// pipeline that has no clock gets this machine's. [`Request::infer`](crate::Request::infer) computes all stages on the
    /// stack of its caller, as ever.
    pub fn on_pipeline(&self, model: Arc<dyn device::CompiledModel>, pipeline: Pipeline) -> CompiledModel {
        let place = Place::over(pipeline, self.trace.clone());
        let executors = place.executors();
        CompiledModel::new(model, Arc::new(place), executors)
    }

    /// The named executors of this runtime.
    pub fn executors(&self) -> &Executors {
        &self.inner.executors
    }

    /// The device that [`Runtime::compile`] compiles for.
    pub fn cpu(&self) -> Cpu {
        self.inner.cpu
    }

    fn streams(&self, count: usize, width: usize) -> Result<Arc<Streams>, ThreadError> {
        let name = || format!("inferry-{count}x{width}");
        shared(&self.inner.streams, (count, width), || Streams::new(name(), count, width))
    }

    fn wait_for(&self, device: &str) -> Result<Arc<Streams>, ThreadError> {
        shared(&self.inner.waits, device.to_owned(), || Streams::new(format!("inferry-wait-{device}"), 1, 1))
    }
}

/// The streams under `key`, started; new ones when there are none yet.
fn shared<K: PartialEq>(
    known: &Known<K>,
    key: K,
    make: impl FnOnce() -> Streams,
) -> Result<Arc<Streams>, ThreadError> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, streams)) = known.iter().find(|(other, _)| *other == key) {
        return Ok(streams.clone());
    }
    let streams = Arc::new(make());
    streams.start()?;
    known.push((key, streams.clone()));
    Ok(streams)
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("cpu", &self.inner.cpu).finish_non_exhaustive()
    }
}
