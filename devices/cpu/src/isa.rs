//! The instruction set that kernels may use, as a token that cannot be forged.
//!
//! A kernel that takes an [`Isa`] may call the instructions it names. Safe code gets [`Isa::portable`]; who has asked the
//! processor (a host) vouches for more. This file detects nothing: `core` cannot.
#![allow(unsafe_code)]

/// Which instructions the processor has, as far as our kernels care. Later levels of one architecture include its earlier ones,
/// and all include [`Level::Portable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// AArch64 with NEON.
    Neon,
    /// As [`Level::Neon`], with I8MM: products of unsigned and signed bytes.
    NeonI8mm,
}

impl Level {
    /// Whether a processor of this level has the instructions of `other` too.
    pub const fn includes(self, other: Level) -> bool {
        let arm = matches!(other, Level::Neon | Level::NeonI8mm);
        match self {
            Level::Portable => matches!(other, Level::Portable),
            Level::Avx2 => matches!(other, Level::Portable | Level::Avx2),
            Level::Avx512 => !arm && !matches!(other, Level::Avx512Vnni),
            Level::Avx512Vnni => !arm,
            Level::Neon => matches!(other, Level::Portable | Level::Neon),
            Level::NeonI8mm => arm || matches!(other, Level::Portable),
        }
    }
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

    /// This, or less: never more than `level`. What another architecture has leaves the portable instructions.
    pub const fn at_most(self, level: Level) -> Isa {
        match (self.0.includes(level), level.includes(self.0)) {
            (true, _) => Isa(level),
            (_, true) => self,
            _ => Isa::portable(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_lowered_within_its_architecture_and_to_portable_beyond_it() {
        let of = |level| {
            // SAFETY: no instruction is run, levels are only compared.
            unsafe { Isa::assume(level) }
        };
        assert_eq!(of(Level::Avx512Vnni).at_most(Level::Avx2), of(Level::Avx2));
        assert_eq!(of(Level::Avx2).at_most(Level::Avx512), of(Level::Avx2));
        assert_eq!(of(Level::Avx512).at_most(Level::Neon), Isa::portable());
        assert_eq!(of(Level::Neon).at_most(Level::Avx2), Isa::portable());
        assert_eq!(of(Level::NeonI8mm).at_most(Level::Neon), of(Level::Neon));
        assert_eq!(of(Level::Neon).at_most(Level::NeonI8mm), of(Level::Neon));
        assert_eq!(of(Level::NeonI8mm).at_most(Level::Avx512Vnni), Isa::portable());
        assert_eq!(of(Level::Neon).at_most(Level::Portable), Isa::portable());
        assert_eq!(Isa::portable().at_most(Level::Neon), Isa::portable());
    }
}
