//! The CPU device: kernels, and the resumable execution of a plan.
//!
//! ```text
//!  Model ─▶ compile (passes, kernels bound to shapes, memory plan) ─▶ Compiled ─▶ Work (arena, position)
//! ```
//!
//! A graph becomes a list of steps. Each step is a [`kernel::Kernel`]: a counted number of independent *tiles* that can be
//! run in any number of blocks. The work runs block after block and looks between them whether somebody asked it to
//! stop or its slice is used up; so the resume point is (step, tile), and a run can be interrupted everywhere.
//!
//! What this crate does *not* do: it starts no threads (a turn lends it some), reads no clock, and detects no processor
//! features (the host hands down an [`Isa`]).
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod arena;
mod compile;
mod evaluate;
mod execute;
#[cfg(feature = "export")]
mod export;
pub mod io;
pub mod isa;
pub mod kernel;
mod late;
pub mod math;
pub mod pack;
mod plan;
mod plans;
mod profile;
mod sequence;
pub mod simd;
pub mod single;
mod spell;
mod stored;
pub mod text;
mod transfer;
mod trips;
mod work;

pub use compile::{CompileError, Cpu, Options};
pub use evaluate::Evaluator;
#[cfg(feature = "export")]
pub use export::{ImportError, is_export};
pub use inferry_engine::device::Limits;
pub use isa::Isa;
pub use kernel::fault::Fault;
pub use plan::{NodeCause, NodeError, PlanError};
