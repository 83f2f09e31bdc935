//! Operators on the characters of strings.
//!
//! What only moves strings (Gather, Concat, Where, …) is not here: those take any type.

use alloc::string::String;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, STRING};
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `a, b`: the characters of `a` and then those of `b`, with shapes that broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StringConcat;

impl Op for StringConcat {
    fn name(&self) -> &'static str {
        "StringConcat"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let (a, b) = (inputs.typed(0, &STRING)?, inputs.typed(1, &STRING)?);
        rules::one(ElementType::String, rules::broadcast([&a.shape, &b.shape])?)
    }
}

/// `x`: whether each string as a whole fits a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegexFullMatch {
    /// The pattern, in the syntax of RE2.
    pub pattern: String,
}

impl Op for RegexFullMatch {
    fn name(&self) -> &'static str {
        "RegexFullMatch"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        rules::one(ElementType::Bool, inputs.typed(0, &STRING)?.shape.clone())
    }
}

/// RegexFullMatch.
pub(crate) fn import_regex(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let pattern = node.text("pattern")?.ok_or_else(|| node.refuse_attribute("pattern", "is missing"))?;
    Ok(Imported::with(RegexFullMatch { pattern: pattern.into() }))
}

/// StringConcat.
pub(crate) fn import_concat(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(StringConcat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn a_match_has_the_shape_of_its_strings() {
        let op = RegexFullMatch { pattern: "a+".into() };
        check(op.clone(), &["string[N, 0]"], "bool[N, 0]");
        let node = node("RegexFullMatch", &["x"], &["y"]);
        check_import(&node.clone().text("pattern", "a+"), 20, op, &[]);
        check_refused(&node, 20, "attribute \"pattern\": is missing");
    }

    #[test]
    fn joined_strings_broadcast() {
        check(StringConcat, &["string[N, 1]", "string[3]"], "string[N, 3]");
        check(StringConcat, &["string[2]", "string[3]"], "[2] does not broadcast with [3]");
        check(StringConcat, &["string[2]", "u8[2]"], "input 1 is u8; string is needed");
        check_import(&node("StringConcat", &["a", "b"], &["y"]), 20, StringConcat, &[]);
        check_refused(&node("StringConcat", &["a"], &["y"]), 20, "1 inputs where 2 are wanted");
    }
}
