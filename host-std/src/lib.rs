//! Inference requests on desktop threads: start, await, wait with a limit, cancel, chain, get called back.
//!
//! A [`Runtime`] compiles ONNX models and owns the threads. A [`CompiledModel`] makes [`Request`]s. Each start of a request
//! is a [`Run`], which can be awaited by any async runtime, or waited for by blocking:
//!
//! ```
//! use inferry::{Options, Runtime, Tensor};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models/mtcnn_cascade/pnet.onnx");
//! # let pixels = vec![0.0_f32; 64 * 64 * 3];
//! let runtime = Runtime::new()?;
//! let model = runtime.compile_file(path, Options::latency())?;
//!
//! let mut request = model.request()?;
//! request.set_input(0, Tensor::from_slice(&pixels, [1, 64, 64, 3])?)?;
//! let run = request.start()?; // returns at once: the streams compute
//! let outputs = run.wait()?; // or, in async code: run.await?
//! println!("{} boxes", outputs.get(0)?.shape());
//!
//! // Or in one go, as often and from as many tasks as one likes:
//! let image = Tensor::from_slice(&pixels, [1, 64, 64, 3])?;
//! let outputs = model.run([image]).wait()?; // or .await?
//! println!("{} scores", outputs.get(1)?.shape());
//! # Ok(())
//! # }
//! ```
//!
//! What the parts promise:
//!
//! - **Waiting** ([`Run::wait`], [`Run::wait_for`], `.await`) ends when the outputs can be read and the callback has returned.
//!   Any number of threads may wait for one run through an [`Observer`]. Where a wait could never end, it is an error.
//! - **Cancelling** ([`Run::cancel`], [`Canceller`], [`CancelToken`]) does not wait. When it is granted the run ends as
//!   cancelled, within milliseconds in the middle of a model; a run that has not begun ends at once. [`Run::deadline`] and
//!   [`Request::infer_deadline`] do it when a moment has come.
//! - **Jobs** ([`CompiledModel::jobs`]) wait in a queue for a request to be idle; every one that was accepted ends once, and
//!   what goes wrong in one is its own.
//! - **Callbacks** ([`Request::set_callback`]) come once a run, never two of one request at a time, and may restart it.
//! - **Variables** ([`CompiledModel::with_variables`]) are what a request remembers from run to run. Only a run that is done
//!   changes them.
//! - **Blocking** ([`Request::infer`]) computes on the caller's own thread; streams that have nothing to do help.
//! - **Dropping** never waits. A dropped run is cancelled; [`Run::detach`] lets it go on; [`Request::stop_and_wait`] waits.
//! - **Panics** in stages and callbacks end their run, and nothing else.
//! - **Memory** for a run is taken when its request is made: a warm run of a model of fixed shapes takes none.
//!
//! A model may also be on [more than one device](Devices): cut over them by operator ([`Runtime::compile_split`]), or on the best
//! that is ready ([`Runtime::compile_first_ready`]).
//!
//! What was made of a model can be [exported](CompiledModel::export) and [imported](Runtime::import_file); a
//! [cache](Runtime::cached) does both by itself, so that only the first start of a program compiles.
//!
//! How many threads compute is said by [`Options`]: [`latency`](Options::latency) gives one request all cores,
//! [`throughput`](Options::throughput) gives each core a request, and a request that is alone all of them. The instruction set is chosen when the program runs; the
//! environment variable `INFERRY_ISA` (`portable`, `avx2`, `avx512`, `avx512vnni`, `neon`, `neoni8mm`)
//! lowers it.
//!
//! The rooms: `runtime` and `options` (which threads), `executors`, `streams` and `trampoline` (the executors), `fork_join`
//! (threads within a request), `loaders` (threads that pack weights), `devices` (models on more than one), `compiled`, `request`, `run`, `jobs`, `completion` and
//! `observer` (what a user holds), `import` and `cache` (compiled models as files), `wait`, `sleep` and `timer` (time), `features` and `topology` (the machine), `file` (model
//! files). What this crate does *not* do: it knows no operator, and the protocol of a request is `inferry-core`'s.
#![deny(unsafe_code)]

mod cache;
mod clock;
mod compiled;
mod completion;
mod contents;
mod devices;
mod executors;
mod features;
mod file;
mod fork_join;
mod here;
mod import;
mod inputs;
mod jobs;
mod loaders;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod npz;
mod observer;
mod options;
mod place;
mod request;
mod run;
mod runtime;
mod sleep;
mod streams;
mod timer;
mod topology;
pub mod trace;
mod trampoline;
mod wait;

pub use cache::{CacheError, Cached};
pub use clock::SystemClock;
pub use compiled::{CompiledModel, ModelRun};
pub use completion::Completion;
pub use devices::{CandidateState, CandidateStatus, Devices, NoDevice, PartInfo, Split, SplitError};
pub use executors::{Executors, run_and_wait};
pub use features::UnknownIsa;
pub use file::{FileError, Folder, read_model, read_model_within};
pub use import::ImportError;
pub use inputs::Input;
pub use jobs::{JobResults, Jobs};
pub use observer::{Observer, Watch};
pub use options::Options;
pub use request::Request;
pub use run::{Run, Waited};
pub use runtime::{CompileError, Runtime};
pub use streams::ThreadError;
pub use wait::block_on;

pub use inferry_core::batch::{BatchError, Batching};
pub use inferry_core::device;
pub use inferry_core::device::ExportError;
pub use inferry_core::jobs::{
    Finished, JobDone, JobError, JobId, JobSettings, NoSuchSlot, Overflow, Priority, Refusal, Results,
    SlotStatus, SubmitError,
};
pub use inferry_core::pool::{Pooled, RequestPool, Tensors};
pub use inferry_core::profile::{NodeProfile, NodeStatus};
pub use inferry_core::remote;
pub use inferry_core::request::{
    BindError, BoxError, CancelToken, Canceller, Cause, InferError, InferErrorKind, Next, Outcome, Outputs,
    PrepareError, RunId, StartError, Status, Verdict,
};
pub use inferry_core::state::{Variable, VariableError};
pub use inferry_core::tensor::TensorError;
pub use inferry_core::trace::Trace;
pub use inferry_core::{
    Dim, Element, ElementType, Executor, Kind, PartialShape, Pipeline, Port, PortKey, Shape, Submitted, Task,
    Tensor, Timer, Value,
};
pub use inferry_cpu::{Cpu, ImportError as ImportProblem, is_export};
pub use inferry_engine::Model;
pub use inferry_engine::device::{Limits, ModelDevice, Settings as DeviceSettings};
pub use inferry_engine::onnx::Limits as FileLimits;
