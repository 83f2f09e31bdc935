//! The behaviours in WebAssembly on one thread, as a module of a few plain functions that `run.mjs` calls.
//!
//! Each behaviour runs in simulated worlds (`inferry_behaviour::sim`), so there is nothing to import: no clock, no threads,
//! no timers. A behaviour that fails panics, and a panic ends the module; its words can still be read from the memory.
#![deny(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use inferry_behaviour::sim::Sim;
use inferry_behaviour::{behaviour, for_each_behaviour};

/// Runs a behaviour in the world of a seed; gives the steps that it took.
type Run = fn(u64) -> u64;

macro_rules! entry {
    // A panic inside of a request would end the module.
    ($room:ident $name:ident unwinds) => {
        (concat!(stringify!($room), "::", stringify!($name)), None)
    };
    ($room:ident $name:ident $($only:ident)?) => {
        (
            concat!(stringify!($room), "::", stringify!($name)),
            Some(|seed| Sim::run(seed, |sim| async move { behaviour::$room::$name(&sim).await })),
        )
    };
}

macro_rules! table {
    ($($room:ident { $($name:ident [$($row:ident)*] $($only:ident)?,)* })*) => {
        const TABLE: &[(&str, Option<Run>)] = &[$($( entry!($room $name $($only)?), )*)*];
    };
}

for_each_behaviour!(table);

/// What a panic said.
static WORDS: Mutex<String> = Mutex::new(String::new());

fn words() -> MutexGuard<'static, String> {
    WORDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many behaviours there are.
#[allow(unsafe_code)]
// SAFETY: no other symbol of this module has the name, here and below.
#[unsafe(no_mangle)]
pub extern "C" fn behaviours() -> u32 {
    TABLE.len() as u32
}

/// Where the name of a behaviour lies in the memory.
#[allow(unsafe_code)]
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn name(behaviour: u32) -> *const u8 {
    TABLE[behaviour as usize].0.as_ptr()
}

/// How many bytes of UTF-8 the name has.
#[allow(unsafe_code)]
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn name_length(behaviour: u32) -> u32 {
    TABLE[behaviour as usize].0.len() as u32
}

/// Runs a behaviour in the world of a seed. Gives how many steps it took, at least 1; 0 when it cannot run here.
///
/// # Panics
/// When the behaviour fails. That ends the module; [`message`] still tells why.
#[allow(unsafe_code)]
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn run(behaviour: u32, seed: u32) -> u32 {
    std::panic::set_hook(Box::new(|info| *words() = info.to_string()));
    TABLE[behaviour as usize].1.map_or(0, |run| run(seed.into()).max(1) as u32)
}

/// Where the words of the panic lie in the memory.
#[allow(unsafe_code)]
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn message() -> *const u8 {
    words().as_ptr()
}

/// How many bytes of UTF-8 the words have.
#[allow(unsafe_code)]
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn message_length() -> u32 {
    words().len() as u32
}
