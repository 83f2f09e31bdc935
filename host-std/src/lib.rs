//! Under construction.

#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod npz;
