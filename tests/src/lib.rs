//! What the tests of all targets share.
//!
//! [`data`] finds the test models and says what their results should be.
#![forbid(unsafe_code)]

pub mod data;
