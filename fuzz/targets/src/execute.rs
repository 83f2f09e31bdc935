//! Models from anywhere, compiled and run.
#![no_main]

mod tree;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferry_fuzz::execute(bytes);
});
