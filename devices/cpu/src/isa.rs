//! The instruction set that kernels may use, as a token that cannot be forged.
//!
//! A kernel that takes an [`Isa`] may call the instructions it names. Safe code gets [`Isa::portable`]; who has asked the
//! processor (a host) vouches for more. This file detects nothing: `core` cannot.
#![allow(unsafe_code)]

/// Which instructions the processor has, as far as our kernels care. Ordered: later levels include earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// What the target guarantees at compile time.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL, besides AVX2 and FMA.
    Avx512,
    /// As [`Level::Avx512`], with VNNI.
    Avx512Vnni,
}

/// Proof that the instructions of a [`Level`] exist on this processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

impl Isa {
    /// Only what the target guarantees.
    pub const fn portable() -> Isa {
        Isa(Level::Portable)
    }

    /// The instructions of `level`.
    ///
    /// # Safety
    /// The processor that runs the kernels, and the operating system, must support them all.
    pub const unsafe fn assume(level: Level) -> Isa {
        Isa(level)
    }

    /// The level.
    pub const fn level(self) -> Level {
        self.0
    }

    /// This, or less: never more than `level`.
    pub fn at_most(self, level: Level) -> Isa {
        Isa(self.0.min(level))
    }
}
