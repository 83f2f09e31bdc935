//! Models from anywhere, read and rewritten.
#![no_main]

mod tree;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferry_fuzz::import(bytes);
});
