//! What JavaScript sees of this module, and what this module asks of JavaScript: thin wrappers, no logic.
//!
//! Everything thrown or rejected here is a pair `[code, message]`; the facade (`npm/src`) makes its error of it and adds what
//! only JavaScript knows: the cause, the reason of a signal.

mod host;
mod jobs;
mod request;
mod runtime;

pub use host::Host;
pub(crate) use host::microtask;
pub use jobs::Jobs;
pub use request::Request;
pub(crate) use runtime::FleetId;
pub use runtime::{Model, Runtime};
