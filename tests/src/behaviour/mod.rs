//! What a request promises, a promise a function, sorted by what the user does.

pub mod batch;
pub mod batching;
pub mod callback;
pub mod cancel;
pub mod chain;
pub mod dynamic;
pub mod executors;
pub mod leave;
pub mod many;
pub mod overlap;
pub mod panic;
pub mod parking;
pub mod pool;
pub mod ports;
pub mod restart;
pub mod stages;
pub mod start;
pub mod tensor;
pub mod tensor_shape;
pub mod tensors;
pub mod waiting;
