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
//!
//! A worked example: the smallest model there is, looked at, rewritten, and fitted to an input.
//!
//! ```
//! use inferry_core::Shape;
//! use inferry_engine::passes::{NoArithmetic, Options, run, specialise};
//! use inferry_engine::{Model, graph::Graph};
//!
//! // y = Relu(Identity(x)) for x: f32[N, 3], as an exporter writes it.
//! let bytes = b"\x08\x08\x42\x02\x10\x0d\x3a\x3b\
//!     \x0a\x10\x0a\x01x\x12\x01t\x22\x08Identity\
//!     \x0a\x0c\x0a\x01t\x12\x01y\x22\x04Relu\
//!     \x5a\x14\x0a\x01x\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01N\x0a\x02\x08\x03\
//!     \x62\x03\x0a\x01y";
//! let mut model = Model::from_onnx(bytes)?;
//! run(&mut model.graph, &NoArithmetic, Options::default())?;
//! assert_eq!(model.graph.to_string(), "x: f32[N, 3]\n----\ny: f32[N, 3] = Relu(x)\n----\ny\n");
//!
//! let special: Graph = specialise(&model.graph, &[Shape::from([2, 3])], &NoArithmetic)?;
//! assert_eq!(special.fact(special.outputs[0]).unwrap().shape.to_string(), "[2, 3]");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod device;
pub mod graph;
mod model;
pub mod onnx;
pub mod op;
pub mod passes;
pub mod split;
pub mod store;
mod text;

pub use model::Model;
