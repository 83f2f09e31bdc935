//! The runtime: the devices of this machine and the threads that models share.
//!
//! Compiling puts a device's compiled model on executors of this host. Models that are compiled with streams of the same
//! shape (their number, and the threads of each) share them, so a cascade of models does not use more threads than one; each
//! model calls its callbacks on threads of its own. A device whose stages block has one thread for waiting, so that devices
//! wait side by side. Threads live as long as the runtime or anything compiled with it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use inferry_core::device::{self, Device, StageKind};
use inferry_core::request::BoxError;
use inferry_core::unwind;
use inferry_core::{Clock, Executor, Pipeline, Trace};
use inferry_cpu::Cpu;
use inferry_engine::Model;
use inferry_engine::device::Settings;
use inferry_engine::onnx::{self, ImportError};

use crate::cache::Cache;
use crate::clock::SystemClock;
use crate::compiled::CompiledModel;
use crate::devices::{Devices, Made, NoDevice, Over, Race, Split, SplitError};
use crate::executors::Executors;
use crate::features::{self, UnknownIsa};
use crate::file::{FileError, read_model_within};
use crate::import::cpu_options;
use crate::options::{Callbacks, Options};
use crate::place::Place;
use crate::streams::{Streams, ThreadError};
use crate::trampoline::Trampoline;

/// The way in: compiles models. Cheap to clone; clones are the same runtime.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
    trace: Option<Arc<dyn Trace>>,
    cache: Option<Arc<Cache>>,
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
    /// It could not be cut over its devices.
    #[error("the model cannot be cut over its devices: {0}")]
    Split(#[from] SplitError),
    /// No device of a list can compile it.
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// Two devices of a list have the same name, so nobody could tell them apart.
    #[error("two devices are called {name:?}")]
    SameName {
        /// The name.
        name: String,
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
        Ok(Runtime { inner, trace: None, cache: None })
    }

    /// The same runtime, with the same threads; models that are compiled through this handle tell `trace` what happens to
    /// their runs. See [`trace`](crate::trace).
    #[must_use]
    pub fn traced(&self, trace: Arc<dyn Trace>) -> Runtime {
        Runtime { trace: Some(trace), ..self.clone() }
    }

    /// The same runtime, with the same threads; models that are compiled for the CPU through this handle are looked for in this
    /// folder first, and put there when they are not in it, so that the next start need not compile them.
    ///
    /// What is in the folder is used when it was made from the same model, by the same version of this crate and for the same
    /// instruction set, and is whole; else the model is compiled and its file replaced. So a wrong, damaged or missing file costs
    /// time and nothing else, and neither does a folder that cannot be written: [`CompiledModel::cached`] tells what happened,
    /// [`CompiledModel::wait_cache`] whether it could be written. Processes may share a folder. Whoever can write to it decides
    /// what the models compute, as with the models' own files. Nothing is ever removed from it: do so when you like.
    ///
    /// Models that are [measured](Options::profiling) are compiled anew each time, for a profile tells of the model's own nodes.
    ///
    /// ```
    /// use inferry::{Options, Runtime};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/mtcnn_cascade/rnet.onnx");
    /// # let folder = std::env::temp_dir().join(format!("inferry-cache-example-{}", std::process::id()));
    /// let runtime = Runtime::new()?.cached(&folder);
    /// let model = runtime.compile_file(path, Options::latency())?;
    /// assert!(!model.loaded_from_cache());
    /// # let image = inferry::Tensor::zeros(inferry::ElementType::F32, [1, 24, 24, 3]);
    /// model.infer([image])?;
    /// model.wait_cache()?; // a program that goes on running need not wait
    /// // The next time, or in the next program:
    /// let model = runtime.compile_file(path, Options::latency())?;
    /// assert!(model.loaded_from_cache());
    /// # drop(model);
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn cached(&self, folder: impl Into<PathBuf>) -> Runtime {
        Runtime { cache: Some(Arc::new(Cache::new(folder.into()))), ..self.clone() }
    }

    /// Reads an ONNX file and compiles it for the CPU. Data that the model keeps in other files is looked for beside it, and
    /// nowhere else.
    pub fn compile_file(
        &self,
        path: impl AsRef<Path>,
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        if let Some(cache) = self.cache_for(options) {
            return cache.file(self, path.as_ref(), options);
        }
        self.compile_now(&read_model_within(path, options.limits_of_files())?, options)
    }

    /// As [`Runtime::compile_file`], from bytes that hold all of the model's data.
    pub fn compile_bytes(&self, bytes: &[u8], options: Options) -> Result<CompiledModel, CompileError> {
        if let Some(cache) = self.cache_for(options) {
            return cache.bytes(self, bytes, options);
        }
        let reading = onnx::Options { limits: options.limits_of_files(), ..onnx::Options::default() };
        self.compile_now(&onnx::import(bytes, &reading)?, options)
    }

    /// Compiles an imported model for the CPU.
    pub fn compile(&self, model: &Model, options: Options) -> Result<CompiledModel, CompileError> {
        match self.cache_for(options) {
            Some(cache) => cache.model(self, model, options),
            None => self.compile_now(model, options),
        }
    }

    /// As [`Runtime::compile`], without a look into the cache.
    pub(crate) fn compile_now(&self, model: &Model, options: Options) -> Result<CompiledModel, CompileError> {
        Ok(self.place_one(self.compile_cpu(model, &cpu_options(options))?, Over::One, options)?)
    }

    /// Compiles for the CPU.
    pub(crate) fn compile_cpu(
        &self,
        model: &Model,
        settings: &inferry_cpu::Options,
    ) -> Result<Arc<dyn device::CompiledModel>, CompileError> {
        let model = Device::compile(&self.inner.cpu, model, settings);
        model.map_err(|source| CompileError::Device { device: "cpu".into(), source: Box::new(source) })
    }

    fn cache_for(&self, options: Options) -> Option<&Cache> {
        self.cache.as_deref().filter(|_| !options.profiles())
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
        let waits = vec![name.to_owned(); model.stages().len()];
        Ok(self.place(Made { model, waits, over: Over::One }, options)?)
    }

    /// Puts a model of the CPU on threads.
    pub(crate) fn place_one(
        &self,
        model: Arc<dyn device::CompiledModel>,
        over: Over,
        options: Options,
    ) -> Result<CompiledModel, ThreadError> {
        let waits = vec![String::new(); model.stages().len()];
        self.place(Made { model, waits, over }, options)
    }

    /// Compiles a model cut over several devices: each node is computed by the first device that supports it, or by the one
    /// that a rule says.
    ///
    /// The graph is cut into as few parts as that allows, and each part is compiled by its device. The compiled model's stages
    /// are the parts' stages, so requests overlap: while a device computes a part of one, another computes a part of the next.
    /// What goes from part to part lies in tensors of the request on the host, and is not copied. An error of a run says which
    /// part, device, stage and node it was; a profile says of each node which device ran it. [`CompiledModel::parts`] tells how
    /// the model was cut.
    ///
    /// ```
    /// use inferry::{Devices, Options, Runtime, Split};
    /// # use inferry_template::{Accelerator, Chip};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/mtcnn_cascade/pnet.onnx");
    /// let runtime = Runtime::new()?;
    /// let npu = Accelerator::new(Chip::working("npu"));
    /// let devices = Devices::prefer(npu).then(runtime.cpu());
    /// // The accelerator gets the operators that it supports, but for one node.
    /// let split = Split::over(devices).node_on("p_re_lu_1", "cpu");
    /// let model = runtime.compile_split(&inferry::read_model(path)?, split, Options::latency())?;
    /// for part in model.parts() {
    ///     println!("{} computes {} nodes", part.device, part.nodes.len());
    /// }
    /// # assert!(model.parts().len() > 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn compile_split(
        &self,
        model: &Model,
        split: impl Into<Split>,
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        let split = split.into();
        one_name_each(split.devices())?;
        Ok(self.place(split.compile(model, self.inner.cpu, &settings(options))?, options)?)
    }

    /// Compiles a model for all of these devices at the same time, each on a thread of its own, and returns as soon as one is
    /// ready. When a preferred one is ready later, it takes over.
    ///
    /// Every run asks at its beginning which device is best. So a request that was made before a better device was ready goes
    /// over with its next run, with its callback, its variables and those who watch it; a run under way ends where it began. A
    /// device that cannot compile the model is left out, and [`CompiledModel::candidates`] keeps the reason. Dropping the model
    /// waits for nobody: what is still compiled then is dropped when it is ready.
    ///
    /// ```
    /// use inferry::{CandidateState, Devices, Options, Runtime};
    /// # use inferry_template::{Accelerator, Chip};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/mtcnn_cascade/pnet.onnx");
    /// let runtime = Runtime::new()?;
    /// let npu = Accelerator::new(Chip::working("npu"));
    /// let devices = Devices::prefer(npu).then(runtime.cpu());
    /// // The accelerator does not have all of the model's operators.
    /// let model = runtime.compile_first_ready(&inferry::read_model(path)?, &devices, Options::latency())?;
    /// model.wait_candidates();
    /// let [npu, cpu] = &model.candidates()[..] else { panic!() };
    /// assert!(matches!(npu.state, CandidateState::Failed(_)));
    /// assert!(matches!(cpu.state, CandidateState::Serving));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CompileError::NoDevice`] when no device can compile the model.
    pub fn compile_first_ready(
        &self,
        model: &Model,
        devices: &Devices,
        options: Options,
    ) -> Result<CompiledModel, CompileError> {
        one_name_each(devices)?;
        Ok(self.place(Race::run(devices, model, &settings(options))?, options)?)
    }

    /// Puts a compiled model on threads of this runtime.
    fn place(&self, made: Made, options: Options) -> Result<CompiledModel, ThreadError> {
        let (streams, width) = options.shape();
        let compute = if streams == 0 { None } else { Some(self.streams(streams, width)?) };
        let mut stages: Vec<Arc<dyn Executor>> = Vec::with_capacity(made.waits.len());
        for (stage, wait) in made.model.stages().iter().zip(&made.waits) {
            stages.push(match &compute {
                None => Arc::new(Trampoline),
                Some(_) if stage.kind == StageKind::Wait => self.wait_for(wait, &made.over)?,
                Some(compute) => compute.clone(),
            });
        }
        let callbacks = match options.callbacks() {
            Callbacks::OwnThreads(count) if compute.is_some() => {
                Some(Arc::new(Streams::new("inferry-callback", count, 1)))
            }
            _ => None,
        };
        let place = Place::new(stages, compute, callbacks, self.trace.clone());
        Ok(CompiledModel::new(made.model, Arc::new(place), streams, made.over))
    }

    /// Puts a model that a device has compiled on executors of the caller's choice: stage `i` on `pipeline.stages()[i]`. A
    /// pipeline that has no clock gets this machine's. [`Request::infer`](crate::Request::infer) computes all stages on the
    /// stack of its caller, as ever.
    pub fn on_pipeline(&self, model: Arc<dyn device::CompiledModel>, pipeline: Pipeline) -> CompiledModel {
        let place = Place::over(pipeline, self.trace.clone());
        let executors = place.executors();
        CompiledModel::new(model, Arc::new(place), executors, Over::One)
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
        let streams = shared(&self.inner.streams, (count, width), || Streams::new(name(), count, width));
        streams.start()?;
        Ok(streams)
    }

    /// A thread for each device that is waited for. A choice may never come to a device that has to be.
    fn wait_for(&self, device: &str, over: &Over) -> Result<Arc<Streams>, ThreadError> {
        let (count, starts) = match over {
            Over::Race(race) => (race.candidates().len(), false),
            _ => (1, true),
        };
        let make = || Streams::new(format!("inferry-wait-{device}"), count, 1);
        let streams = shared(&self.inner.waits, device.to_owned(), make);
        if starts {
            streams.start()?;
        }
        Ok(streams)
    }
}

fn settings(options: Options) -> Settings {
    let clock = || -> Arc<dyn Clock> { Arc::new(SystemClock) };
    Settings::default().profile(options.profiles().then(clock)).limits(options.limits_of_runs())
}

fn one_name_each(devices: &Devices) -> Result<(), CompileError> {
    devices.twice().map_or(Ok(()), |name| Err(CompileError::SameName { name }))
}

/// The streams under `key`; new ones when there are none yet.
fn shared<K: PartialEq>(known: &Known<K>, key: K, make: impl FnOnce() -> Streams) -> Arc<Streams> {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, streams)) = known.iter().find(|(other, _)| *other == key) {
        return streams.clone();
    }
    let streams = Arc::new(make());
    known.push((key, streams.clone()));
    streams
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("cpu", &self.inner.cpu).finish_non_exhaustive()
    }
}
