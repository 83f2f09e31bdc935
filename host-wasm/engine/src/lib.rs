//! The engine of the browser host as one WebAssembly module of plain functions: models in, runs in slices.
//!
//! ```text
//!  a worker's TypeScript ──▶ abi (exports) ──▶ load ─▶ models ─▶ session (one request, one run at a time)
//!        ▲                                        │                │
//!        └───────────── host (imports) ◀──────────┴── said, progressed, now, stopped, panicked
//! ```
//!
//! The module is an *instance per worker*: it computes when it is called and returns after a slice, so that the worker can
//! read its messages. What this crate does *not* do: it has no queue, no promises and no wasm-bindgen; which worker runs
//! what is decided on the page. `npm/src/engine` is the only caller.
//!
//! # What the caller can get wrong
//!
//! Models and requests are named by numbers and blocks of memory by the address that `memory.rs` gave out; each is looked up
//! before it is used, and a wrong one is an error like any other. Every call that can fail gives [`abi::FAILED`] and has
//! before told why by the import `said`, as JSON `{"code", "message", "node"?}`.
//!
//! # Flavours
//!
//! One source, four modules; `build.rs` tells the linker the rest. All are built with
//! `cargo build --profile web -p inferry-wasm-engine --target wasm32-unknown-unknown` and differ in `RUSTFLAGS`:
//!
//! | module | `RUSTFLAGS` |
//! |---|---|
//! | `engine.wasm` | `-Ctarget-feature=+simd128` |
//! | `engine.relaxed.wasm` | `-Ctarget-feature=+simd128,+relaxed-simd` |
//! | `engine.threads.wasm` | `-Ctarget-feature=+simd128,+atomics,+bulk-memory,+mutable-globals --cfg inferry_threads` |
//! | `engine.relaxed.threads.wasm` | `-Ctarget-feature=+simd128,+relaxed-simd,+atomics,+bulk-memory,+mutable-globals --cfg inferry_threads` |
//!
//! The profile's fat LTO is what makes the threads flavours possible on stable Rust: `core` and `alloc` are compiled again
//! in this module, with atomics. The compiler warns that `atomics` is an unstable feature, and does not set
//! `cfg(target_feature = "atomics")`; so there is a cfg of our own. Without LTO the linker refuses.
//!
//! # One memory, many agents
//!
//! In the threads flavours the memory is imported (`env.memory`, shared, at most 4 GiB less a page) and everything in it is common:
//! a model that one agent has loaded can be run by all, each with requests of its own. Agents that were opened as helpers
//! serve `crew.rs` and nothing else. Each agent but the first gets a stack from its JavaScript before it calls anything.
//! A panic or a trap in one agent leaves locks and tiles of others in doubt: the whole memory has to be given up.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(not(target_family = "wasm"))]
extern crate std;

pub mod abi;
mod crew;
mod host;
mod json;
mod load;
mod memory;
mod models;
#[cfg(target_family = "wasm")]
mod panic;
mod session;
mod shapes;
mod table;
mod trouble;
