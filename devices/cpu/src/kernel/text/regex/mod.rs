//! RegexFullMatch: whether a whole string fits a pattern.
//!
//! Patterns are in RE2's syntax, which `re2` translates to that of `regex-syntax`; `regex-automata` matches, in time that
//! is linear in the string whatever the pattern. Both are in this crate with the feature `regex` only: they are larger than
//! all other kernels of strings together, and a browser's download is short.

#[cfg(feature = "regex")]
mod matcher;
#[cfg(feature = "regex")]
mod re2;

#[cfg(feature = "regex")]
pub(crate) use matcher::regex_full_match;

/// Says what this build does not have.
#[cfg(not(feature = "regex"))]
pub(crate) fn regex_full_match(
    _: &inferry_engine::op::RegexFullMatch,
    _: &crate::kernel::Builder<'_>,
) -> crate::kernel::Built {
    let left_out =
        "regular expressions are left out of this build (the feature `regex` of inferry-cpu has them)";
    Err(crate::kernel::arguments::form(left_out))
}
