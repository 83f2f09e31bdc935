//! How bytes are multiplied: what [`Simd::dot`](super::Simd::dot) makes of those of its first operand, or that it is not to be used.
//!
//! x86-64's instruction takes them as unsigned ones, and so do our own loops. WebAssembly's `i32x4.relaxed_dot_i8x16_i7x16_add`
//! is only defined for seven bits; what it makes of the eighth is the engine's choice, the same wherever it runs: V8 uses
//! `vpdpbusd` where the processor has AVX-VNNI (unsigned), `sdot` on ARM and `vpdpbssd` (signed), and adds pairs up in
//! 16 bits elsewhere, which saturates. So it is asked, with the products that tell these apart; where it saturates, and where
//! there is no such instruction, bytes are widened to words and multiplied by [`Simd::dot_words`](super::Simd::dot_words).
//!
//! It does not choose kernels: see `kernel::bytes`.

use crate::isa::Isa;

/// How the bytes of the first operand are read. Those of the second are signed.
///
/// The 4x2 tile with its operands in the first level of cache, in V8 13.6 on a Zen 4 server, which has no AVX-VNNI: 86 Gop/s by
/// words, 84 by the instruction (which is three there and not exact), 49 of floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dots {
    /// From 0 to 255.
    Unsigned,
    /// From -128 to 127.
    Signed,
    /// Not at all: both operands are words, two to a lane.
    Words,
}

#[cfg(test)]
std::thread_local! {
    /// Whether bytes are multiplied as words, on this thread.
    pub(crate) static WORDS: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

/// How [`Simd::dot`](super::Simd::dot) reads bytes with [`dispatch_bytes`](super::dispatch_bytes).
#[cfg(not(all(target_arch = "wasm32", target_feature = "relaxed-simd")))]
pub fn dots(_isa: Isa) -> Dots {
    #[cfg(test)]
    if WORDS.get() {
        return Dots::Words;
    } else if _isa == Isa::portable() && super::portable::SIGNED.get() {
        return Dots::Signed;
    }
    if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) { Dots::Words } else { Dots::Unsigned }
}

/// As everywhere, found by multiplying the largest and the smallest bytes, of which pairs exceed 16 bits whichever way they
/// are read.
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
pub fn dots(_: Isa) -> Dots {
    use super::{Simd, Wasm128};

    #[cfg(test)]
    if WORDS.get() {
        return Dots::Words;
    }

    // What the optimiser does not see it cannot compute, with a choice of its own.
    let dot = |a: [u8; 4], b: [i8; 4]| {
        let (a, b) =
            core::hint::black_box((i32::from_le_bytes(a), i32::from_le_bytes(b.map(|byte| byte as u8))));
        let simd = Wasm128;
        let mut lanes = [0; 4];
        simd.store_i32(simd.dot(simd.splat_i32(a), simd.splat_i32(b), simd.splat_i32(1)), &mut lanes);
        lanes[3]
    };
    let cases: [([u8; 4], [i8; 4]); 4] = [
        ([255; 4], [127; 4]),
        ([255; 4], [-128; 4]),
        ([128; 4], [-128; 4]),
        ([127, 255, 128, 1], [-128, 127, 127, -1]),
    ];
    let exact = |read: fn(u8) -> i32| {
        cases.iter().all(|(a, b)| {
            dot(*a, *b) == a.iter().zip(b).fold(1, |sum, (a, b)| sum + read(*a) * i32::from(*b))
        })
    };
    if exact(i32::from) {
        Dots::Unsigned
    } else if exact(|byte| i32::from(byte as i8)) {
        Dots::Signed
    } else {
        Dots::Words
    }
}
