//! Which instructions the processor has.
//!
//! [`detect`] asks the processor and gives what the CPU device needs to use more than the portable instructions: an
//! [`Isa`], which cannot be made otherwise in safe code. The environment variable `INFERRY_ISA` lowers it, for tests, for
//! comparisons and for tools that do not know the newest instructions; it never raises it. Everything that compiles a
//! model through [`Runtime`](crate::Runtime) gets the result; nothing else of this crate looks at processors.
#![allow(unsafe_code)]

use inferry_cpu::Isa;
use inferry_cpu::isa::Level;

/// The environment variable that lowers the instruction set.
const VARIABLE: &str = "INFERRY_ISA";

/// The names that the variable may have.
const NAMES: [(&str, Level); 6] = [
    ("portable", Level::Portable),
    ("avx2", Level::Avx2),
    ("avx512", Level::Avx512),
    ("avx512vnni", Level::Avx512Vnni),
    ("neon", Level::Neon),
    ("neoni8mm", Level::NeonI8mm),
];

/// `INFERRY_ISA` names no instruction set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("INFERRY_ISA is \"{given}\"; it can be portable, avx2, avx512, avx512vnni, neon or neoni8mm")]
pub struct UnknownIsa {
    /// What it is.
    pub given: String,
}

/// The best instruction set of this processor, lowered to what `INFERRY_ISA` names.
pub(crate) fn detect() -> Result<Isa, UnknownIsa> {
    match std::env::var_os(VARIABLE) {
        None => Ok(best()),
        Some(name) => Ok(best().at_most(level(&name.to_string_lossy())?)),
    }
}

fn level(name: &str) -> Result<Level, UnknownIsa> {
    let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
    found.map(|(_, level)| *level).ok_or_else(|| UnknownIsa { given: name.to_owned() })
}

#[cfg(target_arch = "x86_64")]
fn best() -> Isa {
    macro_rules! has {
        ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* };
    }
    let avx2 = has!("avx2" "fma" "f16c");
    let avx512 = avx2 && has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl");
    let level = match () {
        () if avx512 && has!("avx512vnni") => Level::Avx512Vnni,
        () if avx512 => Level::Avx512,
        () if avx2 => Level::Avx2,
        () => Level::Portable,
    };
    // SAFETY: the processor has just said that it has each of the instructions that the level names, and that the
    // operating system saves their registers. Kernels run on the processors of this process, which are alike.
    unsafe { Isa::assume(level) }
}

#[cfg(target_arch = "aarch64")]
fn best() -> Isa {
    if !std::arch::is_aarch64_feature_detected!("neon") {
        return Isa::portable();
    }
    let level = match std::arch::is_aarch64_feature_detected!("i8mm") {
        true => Level::NeonI8mm,
        false => Level::Neon,
    };
    // SAFETY: as above.
    unsafe { Isa::assume(level) }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn best() -> Isa {
    Isa::portable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_a_name_and_others_are_refused() {
        assert_eq!(level("avx2"), Ok(Level::Avx2));
        assert_eq!(level(" AVX512VNNI "), Ok(Level::Avx512Vnni));
        let error = level("sse9").unwrap_err().to_string();
        for (name, _) in NAMES {
            assert!(error.contains(name), "{error}");
        }
        assert!(error.contains("\"sse9\""), "{error}");
    }
}
