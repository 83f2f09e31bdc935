//! Inference requests on desktop threads: start, await, wait with a limit, cancel, chain, get called back.
//!
//! A [`Runtime`] compiles models and owns the threads. A [`CompiledModel`] makes [`Request`]s, and each start of one is a
//! [`Run`]: a future for any async runtime, and something to block for.
//!
//! The rooms: `runtime` and `options` (which threads), `streams` (the executors), `fork_join` (threads within a request),
//! `request`, `run` and `observer` (what a user holds), `wait`, `sleep` and `timer` (time), `features` and `topology` (the
//! machine), `file` (model files).

mod clock;
mod compiled;
mod completion;
mod features;
mod file;
mod fork_join;
mod here;
mod inputs;
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
mod wait;

pub use clock::SystemClock;
pub use compiled::{CompiledModel, ModelRun};
pub use completion::Completion;
pub use features::UnknownIsa;
pub use file::{FileError, Folder, read_model};
pub use inputs::Input;
pub use observer::{Observer, Watch};
pub use options::Options;
pub use request::Request;
pub use run::{Run, Waited};
pub use runtime::{CompileError, Runtime};
pub use streams::ThreadError;
pub use wait::block_on;

pub use inferry_core::device;
pub use inferry_core::pool::{Pooled, RequestPool, Tensors};
pub use inferry_core::request::{
    BindError, BoxError, CancelToken, Canceller, Cause, InferError, InferErrorKind, Next, Outcome, Outputs,
    PrepareError, RunId, StartError, Status, Verdict,
};
pub use inferry_core::tensor::TensorError;
pub use inferry_core::{Dim, Element, ElementType, PartialShape, Port, PortKey, Shape, Tensor};
pub use inferry_cpu::Cpu;
pub use inferry_engine::Model;
