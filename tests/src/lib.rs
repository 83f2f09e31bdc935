//! What the tests of all targets share.
//!
//! [`behaviour`] holds what a request promises, a promise a function, over the [`world::World`] of a target;
//! [`for_each_behaviour`] is the [table] of them, from which a runner makes its tests, and [`elsewhere`] says where the rest of
//! the catalogue is proved, or why it is not. [`sim`] is a world in virtual time, and [`device`] a device to count in. [`model`] builds models in code, and
//! [`native`] is for the tests of the desktop host alone. [`data`] finds the test models and says what their results
//! should be; [`conformance`] runs the suites of the standard; [`slow`] computes small graphs by the definition.
#![forbid(unsafe_code)]

pub mod behaviour;
pub mod by_type;
pub mod device;
pub mod elsewhere;
pub mod random;
pub mod sim;
pub mod table;
pub mod world;

#[cfg(not(target_family = "wasm"))]
pub mod conformance;
#[cfg(not(target_family = "wasm"))]
pub mod data;
#[cfg(not(target_family = "wasm"))]
pub mod model;
#[cfg(not(target_family = "wasm"))]
pub mod native;
#[cfg(not(target_family = "wasm"))]
pub mod slow;

/// The README: its example must compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
