//! The imports as tests on an ordinary target have them: what is said is kept for the test's own thread.

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::Instant;
use std::vec::Vec;

std::thread_local! {
    static SAID: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What this thread was told last.
#[cfg(test)]
pub(crate) fn heard() -> std::string::String {
    SAID.with_borrow(|said| std::string::String::from_utf8_lossy(said).into_owned())
}

pub(super) fn now() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64() * 1e3
}

pub(super) fn stopped() -> i32 {
    0
}

pub(super) fn said(at: *const u8, len: usize) {
    // SAFETY: `host::said` passes a slice that it borrows for the call.
    let bytes = unsafe { core::slice::from_raw_parts(at, len) };
    SAID.with_borrow_mut(|said| {
        said.clear();
        said.extend_from_slice(bytes);
    });
}

pub(super) fn progressed(_model: u32, _phase: u32, _done: f64, _total: f64) {}

pub(super) fn panicked(_at: *const u8, _len: usize) {}

/// Gives the processor to others: a wait may return without cause, so this is a correct one.
#[cfg(test)]
pub(super) fn wait(_at: *const u32, _while_it_is: u32) {
    std::thread::yield_now();
}

#[cfg(test)]
pub(super) fn wake(_at: *const u32, _most: u32) {}
