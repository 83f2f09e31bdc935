//! What a request promises, a promise a function, sorted by what the user does.

pub mod callback;
pub mod cancel;
pub mod leave;
pub mod panic;
pub mod parking;
pub mod pool;
pub mod restart;
pub mod stages;
pub mod start;
pub mod tensors;
