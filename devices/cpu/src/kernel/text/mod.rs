//! Operators that look at characters, or make some.
//!
//! A kernel sees strings as [`Text`](crate::text::Text) numbers. Reading what they stand for may be spread over threads like
//! any other work; making strings adds to the run's one table, so that goes in order.

mod cast;
mod compare;
mod concat;

pub(crate) use cast::{from_text, to_text};
pub(crate) use compare::equal;
pub(crate) use concat::string_concat;

use core::ops::Range;

use crate::io::Io;
use crate::kernel::fault::Fault;
use crate::kernel::simple::{simple, spread_items};
use crate::kernel::{Built, Phase};

/// Picoseconds that reading a string takes.
const READ: u64 = 20_000;

/// Picoseconds that making a string takes. More than it mostly is: strings may be long, and a block is not to be.
const MAKE: u64 = 200_000;

/// A kernel that makes the strings of output 0 in order. `body` is to make those in the range.
fn in_order<F>(count: usize, body: F) -> Built
where
    F: Fn(&mut Io<'_>, Range<usize>) -> Result<(), Fault> + Send + Sync + 'static,
{
    let (phase, share) = spread_items(count, MAKE);
    simple(Phase { serial: true, ..phase }, move |io| {
        let items = io.tiles().start * share..(io.tiles().end * share).min(count);
        if let Err(fault) = body(io, items) {
            io.fail(fault);
        }
    })
}
