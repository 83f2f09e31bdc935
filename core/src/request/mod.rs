//! The request.

pub(crate) mod life;
mod verdict;
mod word;

pub use verdict::{Cause, Verdict};
pub use word::{MAX_STAGES, RunId};
