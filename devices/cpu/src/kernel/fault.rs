//! What only the run can find wrong with a node: its shapes fit, its numbers do not.
//!
//! A kernel writes something for every element in any case (what it likes) and goes on; it [fails](crate::io::Io::fail) on the
//! side. Whoever runs its tiles looks after each block, and a node that failed ends the run with an error that names it.

use alloc::string::String;

use spin::Once;

/// Why a node failed in the run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// An index that lies outside of what it is an index into.
    #[error("index {index} of input {input} lies outside of {extent} elements")]
    Index {
        /// The input that holds the index.
        input: usize,
        /// The index.
        index: i64,
        /// How many elements there are to choose from.
        extent: usize,
    },
    /// The strings of the run take more memory than they may.
    #[error("the strings of the run take more than {limit} bytes")]
    Texts {
        /// The limit.
        limit: usize,
    },
    /// There is no memory for a string.
    #[error("no memory for a string of {bytes} bytes")]
    Memory {
        /// Its length.
        bytes: usize,
    },
    /// A value that the operator cannot take, in words.
    #[error("{0}")]
    Value(String),
}

/// The first fault of a step, if there was one. Tiles on several threads share it.
#[derive(Debug, Default)]
pub struct Faults(Once<Fault>);

impl Faults {
    /// None yet.
    pub const fn none() -> Faults {
        Faults(Once::new())
    }

    /// Keeps `fault` unless there was one before.
    pub(crate) fn report(&self, fault: Fault) {
        self.0.call_once(|| fault);
    }

    /// The first fault.
    #[inline]
    pub(crate) fn first(&self) -> Option<&Fault> {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_fault_is_the_one_that_counts() {
        let faults = Faults::none();
        assert_eq!(faults.first(), None);
        let index = |index| Fault::Index { input: 1, index, extent: 3 };
        faults.report(index(7));
        faults.report(index(8));
        assert_eq!(faults.first(), Some(&index(7)));
        let told = alloc::string::ToString::to_string(&index(-4));
        assert_eq!(told, "index -4 of input 1 lies outside of 3 elements");
    }
}
