//! The machine's processors, as far as this crate cares: every platform `cfg` of it belongs here.

use std::num::NonZero;
use std::thread;

/// How many threads can compute at the same time: what the operating system grants this process, and 1 where it does not
/// say.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}
