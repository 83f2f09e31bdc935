//! Models from anywhere, compiled, exported, changed, and brought in again.
#![no_main]

mod tree;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferry_fuzz::restore(bytes);
});
