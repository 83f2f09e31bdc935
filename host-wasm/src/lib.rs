//! The page's side of the browser host: requests whose stages run in workers.
//!
//! ```text
//!  JavaScript facade ─▶ js::{Request, Jobs} ─▶ core's Request, JobPool ─▶ WorkerModel ─▶ Fleet ─▶ js::Host ─▶ worker
//!        ▲                                                                                            │
//!        └──── promise ◀──── settled ◀──── callback ◀──── delivered ◀──── woken ◀──── answered ◀──────┘
//! ```
//!
//! The protocol of a request is [`inferry_core`]'s, the same as on a desktop: this crate adds a device that consists of workers
//! (`worker_model`), the book of who runs what (`fleet`), an executor that is the page's own queue of tasks
//! (`event_loop`), and promises (`promise`). Numbers cross all of it, objects do not: a run carries the number of a *job*,
//! and the bytes of its tensors travel from the facade to the worker beside it, without entering this module's memory. The
//! kernels are in another module, `inferry-wasm-engine`, which the page never enters.
//!
//! JavaScript values are named in `js/` and `promise.rs` only.
#![deny(unsafe_code)]

mod event_loop;
mod fleet;
mod js;
mod promise;
mod table;
mod worker_model;

pub use js::{Host, Jobs, Model, Request, Runtime};
