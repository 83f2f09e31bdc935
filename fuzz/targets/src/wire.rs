//! Protobuf from anywhere, as a model's survey and as a tensor.
#![no_main]

mod tree;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    inferry_fuzz::wire(bytes);
});
