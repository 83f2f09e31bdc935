//! Under construction.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod npz;

mod file;

pub use file::{FileError, Folder, read_model};
