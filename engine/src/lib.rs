//! Models as graphs: bytes in, [`Model`] out, and what a device needs to know of it.
//!
//! ```text
//!  model.onnx ─▶ onnx ─▶ graph ─▶ passes ─▶ Model ─▶ a device's compile
//! ```
//!
//! A [`graph::Graph`] is a list of nodes in an order in which they can run; each node is an operator ([`op::Op`]) with the
//! ids of the values it reads and writes; each value carries what is known of it, a [`graph::Fact`]. Passes rewrite the
//! graph and may be looked at one by one. What this crate does *not* do: it computes nothing (arithmetic belongs to the
//! devices, which lend it as [`passes::Evaluate`] to fold constants), it runs nothing, and it has no `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod graph;
mod model;
pub mod onnx;
pub mod op;
pub mod passes;
mod text;

pub use model::Model;
