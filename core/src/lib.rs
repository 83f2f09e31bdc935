//! The heart of Inferry: what an inference *request* is and promises, without saying who runs it.
//!
//! A request owns the tensors bound to its ports and a device's working memory. Starting it makes a [`Task`]: the
//! one-word right to run the next stage of its [`Pipeline`]. An [`Executor`] takes the task and runs it, on a thread, in a
//! Web Worker, or in slices on the thread that asked. Each run ends in exactly one verdict, is delivered once, and
//! leaves the request idle.
//!
//! ```text
//!  tensors ─▶ Request ─▶ stage 0 ─▶ stage 1 ─▶ … ─▶ delivery ─▶ verdict + outputs
//!                └────────── each enters an Executor ┘
//! ```
//!
//! What this crate does *not* do: it never blocks, never reads a clock of its own, never spawns, and never names a
//! thread, a promise or ONNX. Those live in the hosts (`inferry` for desktop threads) and in `inferry-engine`.
//!
//! The rooms: [`tensor`] holds numbers and who may touch them, [`value`] what is not one tensor; [`port`] names a model's inputs and outputs; [`request`] is
//! the request with its whole protocol; [`pipeline`] says which [`executor`] runs which stage, and [`parallel`] and
//! [`turn`] what it lends; [`device`] is what a device must give, and [`remote`] what it may give besides; [`pool`] hands out
//! idle requests of one model, [`jobs`] queues runs before them, and [`batch`] computes several in one; [`state`] makes
//! models that remember; [`joined`] makes one model of several, and [`choice`] one that changes its device between runs.
//!
//! # A device of twenty lines
//!
//! ```
//! use std::future::Future;
//! use std::pin::pin;
//! use std::sync::Arc;
//! use std::task::{Context, Poll, Waker};
//!
//! use inferry_core::port::Side;
//! use inferry_core::request::{Bindings, Failure, PrepareError};
//! use inferry_core::{CompiledModel, ElementType, Kind, Pipeline, Port, Request, Shape, Tensor, Turn, Work};
//!
//! struct Double([Port; 1], [Port; 1]);
//! struct DoubleWork;
//!
//! impl CompiledModel for Double {
//!     fn inputs(&self) -> &[Port] {
//!         &self.0
//!     }
//!     fn outputs(&self) -> &[Port] {
//!         &self.1
//!     }
//!     fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
//!         Ok(Box::new(DoubleWork))
//!     }
//! }
//!
//! impl Work for DoubleWork {
//!     fn poll_stage(
//!         &mut self,
//!         _stage: usize,
//!         io: &mut Bindings,
//!         _turn: &Turn<'_>,
//!         _cx: &mut Context<'_>,
//!     ) -> Poll<Result<(), Failure>> {
//!         let (inputs, outputs) = io.split();
//!         for (twice, value) in outputs[0].bytes_mut()[..3].iter_mut().zip(inputs[0].bytes()) {
//!             *twice = value.checked_mul(2).ok_or(Failure::operator("more than a byte holds"))?;
//!         }
//!         Poll::Ready(Ok(()))
//!     }
//! }
//!
//! let port = |side, name: &str| Port {
//!     side,
//!     index: 0,
//!     name: name.into(),
//!     kind: Kind::Tensor,
//!     element: ElementType::U8,
//!     shape: Shape::from([3]).into(),
//! };
//! let model = Arc::new(Double([port(Side::Input, "x")], [port(Side::Output, "y")]));
//!
//! // No threads here: the stages run on the stack of whoever starts. A host brings executors that have threads.
//! let pipeline = Arc::new(Pipeline::inline(&*model));
//! let mut request = Request::new(model, pipeline)?;
//! request.set_input("x", Tensor::from_slice(&[1u8, 2, 3], [3])?)?;
//! let run = pin!(request.start()?);
//! let Poll::Ready(outputs) = run.poll(&mut Context::from_waker(Waker::noop())) else { unreachable!() };
//! assert_eq!(outputs?.get("y")?.to_vec::<u8>()?, [2, 4, 6]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod batch;
pub mod choice;
pub mod clock;
pub mod crew;
pub mod device;
pub mod executor;
pub mod jobs;
pub mod joined;
pub mod parallel;
pub mod pipeline;
pub mod pool;
pub mod port;
pub mod profile;
pub mod remote;
pub mod request;
pub mod state;
pub mod steps;
mod sync;
pub mod tensor;
pub mod trace;
pub mod turn;
pub mod unwind;
pub mod value;

pub use choice::Choice;
pub use clock::{Clock, Timer};
pub use device::{CompiledModel, Device, Work};
pub use executor::{Executor, Inline, Lend, Submitted};
pub use jobs::{JobPool, JobSettings};
pub use joined::Joined;
pub use parallel::{Parallel, Pieces, Serial};
pub use pipeline::Pipeline;
pub use pool::RequestPool;
pub use port::{Port, PortKey};
pub use profile::{NodeProfile, NodeStatus};
pub use remote::{RemoteContext, RemoteTensor};
pub use request::{InferError, InferErrorKind, Request, Run, Task, Verdict};
pub use state::{Stateful, Variable};
pub use steps::{Step, Steps};
pub use tensor::{Dim, Element, ElementType, PartialShape, Shape, Tensor};
pub use trace::Trace;
pub use turn::{Slice, Stop, Turn};
pub use value::{Kind, Value};
