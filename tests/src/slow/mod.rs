//! A slow interpreter, obviously right, for what the CPU computes fast.
//!
//! A [`Program`] is a graph of a few operators over arrays. It is computed twice: here, element by element by the definition, one
//! step after the other, with no thought of speed; and by the engine and a device, as a [`Model`](inferry_engine::Model) made of the
//! same steps. Nothing of the engine is asked here, neither for a shape nor for a number.
//!
//! Floats come with a *doubt*: how far the fast way may lie from them, because it adds up in another order or rounds elsewhere. It
//! follows from the definition of each step and is not a tolerance that somebody chose; where a doubt decides a question (which of
//! two is larger, what a number is cut off to), the answer is [`Number::Unknown`] and is not compared.

mod array;
mod draw;
mod elements;
mod eval;
mod number;
mod products;
mod program;

pub use array::Array;
pub use draw::draw;
pub use number::Number;
pub use program::{Program, Step, Value};
