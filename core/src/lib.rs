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
//! The rooms: [`tensor`] holds numbers and who may touch them; [`port`] names a model's inputs and outputs; [`request`] is
//! the request with its whole protocol; [`pipeline`] says which [`executor`] runs which stage, and [`parallel`] and
//! [`turn`] what it lends; [`device`] is what a device must give; [`pool`] hands out idle requests of one model.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod clock;
pub mod device;
pub mod executor;
pub mod parallel;
pub mod pipeline;
pub mod pool;
pub mod port;
pub mod request;
mod sync;
pub mod tensor;
pub mod turn;
pub mod unwind;

pub use clock::Clock;
pub use device::{CompiledModel, Device, Work};
pub use executor::{Executor, Inline, Lend, Submitted};
pub use parallel::{Parallel, Pieces, Serial};
pub use pipeline::Pipeline;
pub use pool::RequestPool;
pub use port::{Port, PortKey};
pub use request::{InferError, InferErrorKind, Request, Run, Task, Verdict};
pub use tensor::{Dim, Element, ElementType, PartialShape, Shape, Tensor};
pub use turn::{Slice, Stop, Turn};
