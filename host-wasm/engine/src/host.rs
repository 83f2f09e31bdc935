//! What the worker's JavaScript lends: the one door out of the module.
//!
//! Imports of the module `host`. A text goes out by a call with an address and a length, and is copied before the call
//! returns; so nothing has to be kept for it, and each agent of a shared memory hears only its own. On other targets than
//! WebAssembly, where this crate is only tested, the same functions are played by `std`.
#![allow(unsafe_code)]

use inferry_core::Clock;

#[cfg(target_family = "wasm")]
mod chosen {
    #[link(wasm_import_module = "host")]
    unsafe extern "C" {
        pub(super) safe fn now() -> f64;
        pub(super) safe fn stopped() -> i32;
        pub(super) safe fn said(at: *const u8, len: usize);
        pub(super) safe fn progressed(model: u32, phase: u32, done: f64, total: f64);
        pub(super) safe fn panicked(at: *const u8, len: usize);
        #[cfg(inferry_threads)]
        pub(super) safe fn wait(at: *const u32, while_it_is: u32);
        #[cfg(inferry_threads)]
        pub(super) safe fn wake(at: *const u32, most: u32);
    }
}

#[cfg(not(target_family = "wasm"))]
#[path = "host_std.rs"]
mod chosen;

#[cfg(test)]
pub(crate) use chosen::heard;

/// Milliseconds since some moment, monotonic within an agent.
pub(crate) fn now() -> f64 {
    chosen::now()
}

/// True when the word that the page shares says that the run should stop.
pub(crate) fn stopped() -> bool {
    chosen::stopped() != 0
}

/// The text or bytes that the call under way gives.
pub(crate) fn said(bytes: &[u8]) {
    chosen::said(bytes.as_ptr(), bytes.len());
}

/// How far a load has come. `phase` counts from 0: parse, optimise, pack, warm-up.
pub(crate) fn progressed(model: u32, phase: u32, done: usize, total: usize) {
    chosen::progressed(model, phase, done as f64, total as f64);
}

/// The last words of this instance.
#[cfg_attr(
    not(target_family = "wasm"),
    expect(dead_code, reason = "there the standard library tells of panics")
)]
pub(crate) fn panicked(words: &[u8]) {
    chosen::panicked(words.as_ptr(), words.len());
}

/// Waits in the kernel until woken, unless `word` is not `value` any more. May return without cause.
#[cfg(any(inferry_threads, test))]
pub(crate) fn wait(word: &inferry_core::crew::Word, value: u32) {
    chosen::wait(word.as_ptr(), value);
}

/// Wakes at most so many that wait for `word`.
#[cfg(any(inferry_threads, test))]
pub(crate) fn wake(word: &inferry_core::crew::Word, most: u32) {
    chosen::wake(word.as_ptr(), most);
}

/// The host's clock, for measuring nodes.
pub(crate) struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> u64 {
        nanos(now())
    }
}

/// The host's clock while a run is computed: when the page's word says stop, time is over. So the slice of the run is used
/// up at its next look, and whoever drives it finds out why.
pub(crate) struct SliceClock;

impl Clock for SliceClock {
    fn now(&self) -> u64 {
        if stopped() { u64::MAX } else { nanos(now()) }
    }
}

/// Nanoseconds of milliseconds. Negative and absurd ones saturate.
pub(crate) fn nanos(millis: f64) -> u64 {
    (millis * 1e6) as u64
}
