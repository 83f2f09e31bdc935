//! The cases that are known to fail, each with its reason. An entry breaks when it heals: a case that passes, or that fails in
//! another way, makes the run fail until its entry is taken out or put right.

use super::case::Kind;

/// Cases that fail for one reason.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// In which way they fail.
    pub kind: Kind,
    /// Why that is so.
    pub why: &'static str,
    /// The cases, as `SUITE/NAME`.
    pub cases: &'static [&'static str],
}

/// All that is known to fail.
pub const KNOWN: &[Known] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_reason_and_no_case_two() {
        let mut cases: Vec<&str> = KNOWN.iter().flat_map(|known| known.cases).copied().collect();
        let count = cases.len();
        cases.sort_unstable();
        cases.dedup();
        assert_eq!(cases.len(), count);
        assert!(KNOWN.iter().all(|known| !known.why.is_empty() && !known.cases.is_empty()));
    }
}
