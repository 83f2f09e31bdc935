//! A life in one machine word, and the number of a run within it.
//!
//! The word is what `shared` swaps atomically, so everything that must change together is in it. This module only packs
//! and unpacks; what a change means is `life`'s business.

use crate::request::life::{Life, Phase, Route};
use crate::request::verdict::{Cause, Verdict};
use crate::sync::Word;

/// The most stages a pipeline can have; a stage's number takes five bits of the word.
pub const MAX_STAGES: usize = 32;

/// The number of a run of one request: 1 for the first. Zero means "no run yet".
///
/// Numbers wrap after 2⁴⁹ runs where the target has 64-bit atomics, and after 2¹⁷ (131 072) on targets that have
/// only 32-bit ones: there, a cancel token kept over exactly that many runs would hit the wrong one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(Word);

impl RunId {
    /// Before the first run.
    pub const NONE: RunId = RunId(0);

    const BITS: u32 = Word::BITS - FLAG_BITS;
    const MASK: Word = Word::MAX >> FLAG_BITS;

    /// The number of the run after this one; never [`RunId::NONE`].
    pub fn next(self) -> RunId {
        RunId(if self.0 == Self::MASK { 1 } else { self.0 + 1 })
    }

    /// True when this run came before `other`, taking into account that numbers wrap.
    pub fn is_before(self, other: RunId) -> bool {
        let ahead = other.0.wrapping_sub(self.0) & Self::MASK;
        ahead != 0 && ahead < 1 << (Self::BITS - 1)
    }

    /// The number.
    #[allow(clippy::useless_conversion)] // The word is 32 bits wide on some targets.
    pub fn get(self) -> u64 {
        u64::from(self.0)
    }

    /// The low bits, which a waker carries beside its pointer.
    pub(crate) fn tag(self) -> u8 {
        (self.0 & TAG_MASK) as u8
    }
}

impl core::fmt::Display for RunId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl core::fmt::Debug for RunId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "run {}", self.0)
    }
}

/// How many low bits of a run's number a waker carries.
pub(crate) const TAG_MASK: Word = 0x3f;

// The word, from its lowest bit: phase 3, detail 5 (stage or verdict), mark 1 (nudged or again), cancel 2, route 2,
// closed 1, orphan 1; the run's number takes the rest.
const FLAG_BITS: u32 = 15;

impl Life {
    /// The life in one word.
    pub(crate) fn to_word(self) -> Word {
        let (phase, detail, mark) = match self.phase {
            Phase::Idle { last } => (0, last.map_or(0, verdict_code), false),
            Phase::Queued { stage } => (1, stage.into(), false),
            Phase::Running { stage, nudged } => (2, stage.into(), nudged),
            Phase::Parked { stage } => (3, stage.into(), false),
            Phase::Woken { stage } => (4, stage.into(), false),
            Phase::Delivering { verdict, again } => (5, verdict_code(verdict), again),
        };
        let cancel: Word = self.cancel.map_or(0, cause_code);
        let route: Word = match self.route {
            Route::Executors => 0,
            Route::Caller => 1,
            Route::Silent => 2,
        };
        phase
            | detail << 3
            | Word::from(mark) << 8
            | cancel << 9
            | route << 11
            | Word::from(self.closed) << 13
            | Word::from(self.orphan) << 14
            | self.run.0 << FLAG_BITS
    }

    /// The life that [`Life::to_word`] packed.
    pub(crate) fn from_word(word: Word) -> Life {
        let detail = word >> 3 & 31;
        let mark = word >> 8 & 1 == 1;
        let stage = detail as u8;
        let phase = match word & 7 {
            0 => Phase::Idle { last: verdict_from(detail) },
            1 => Phase::Queued { stage },
            2 => Phase::Running { stage, nudged: mark },
            3 => Phase::Parked { stage },
            4 => Phase::Woken { stage },
            _ => Phase::Delivering { verdict: verdict_from(detail).unwrap_or(Verdict::Failed), again: mark },
        };
        Life {
            phase,
            run: RunId(word >> FLAG_BITS),
            route: match word >> 11 & 3 {
                0 => Route::Executors,
                1 => Route::Caller,
                _ => Route::Silent,
            },
            cancel: cause_from(word >> 9 & 3),
            closed: word >> 13 & 1 == 1,
            orphan: word >> 14 & 1 == 1,
        }
    }
}

fn cause_code(cause: Cause) -> Word {
    match cause {
        Cause::Asked => 1,
        Cause::Deadline => 2,
        Cause::Dropped => 3,
    }
}

fn cause_from(code: Word) -> Option<Cause> {
    [None, Some(Cause::Asked), Some(Cause::Deadline), Some(Cause::Dropped)][code as usize & 3]
}

fn verdict_code(verdict: Verdict) -> Word {
    match verdict {
        Verdict::Done => 1,
        Verdict::Failed => 2,
        Verdict::Abandoned => 3,
        Verdict::Cancelled(cause) => 3 + cause_code(cause),
    }
}

fn verdict_from(code: Word) -> Option<Verdict> {
    match code {
        0 => None,
        1 => Some(Verdict::Done),
        2 => Some(Verdict::Failed),
        3 => Some(Verdict::Abandoned),
        _ => cause_from(code - 3).map(Verdict::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_before_those_that_follow_it_also_across_the_wrap() {
        let last = RunId(RunId::MASK);
        assert_eq!(last.next(), RunId(1));
        assert!(last.is_before(last.next()));
        assert!(!last.next().is_before(last));
        assert!(RunId::NONE.is_before(RunId(1)));
        assert!(!RunId(5).is_before(RunId(5)));
    }
}
