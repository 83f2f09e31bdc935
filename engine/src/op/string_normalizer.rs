//! Words without those that say nothing, in upper or lower case.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, STRING};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x[words]` or `x[1, words]`: the words that are no stop words. When there is none left, one empty string.
///
/// Case is changed as Unicode has it, the same everywhere: what it calls the locale is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StringNormalizer {
    /// What becomes of the words.
    pub change: CaseChange,
    /// The words that are left out.
    pub stop_words: Vec<String>,
    /// Whether a stop word in another case is another word.
    pub case_sensitive: bool,
}

/// What becomes of the characters of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CaseChange {
    /// They stay.
    None,
    /// Small letters.
    Lower,
    /// Capitals.
    Upper,
}

impl Op for StringNormalizer {
    fn name(&self) -> &'static str {
        "StringNormalizer"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let words = inputs.typed(0, &STRING)?;
        let Some(dims) = words.shape.dims() else { return rules::one(words.element, ShapeFact(None)) };
        match dims {
            [_] => {}
            [rows, _] if rows.fixed().is_none_or(|rows| rows == 1) => {}
            _ => return rules::shape_error(alloc::format!("words stand in one row, not in {}", words.shape)),
        }
        // Nothing is left out, so that nothing can be left over.
        let last = if self.stop_words.is_empty() { dims[dims.len() - 1].clone() } else { Dim::Unknown };
        let shape = if dims.len() == 1 { vec![last] } else { vec![Dim::Fixed(1), last] };
        rules::one(ElementType::String, ShapeFact(Some(shape)))
    }

    fn data_sized(&self) -> bool {
        !self.stop_words.is_empty()
    }
}

/// StringNormalizer.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let change = match node.text("case_change_action")? {
        None | Some("NONE") => CaseChange::None,
        Some("LOWER") => CaseChange::Lower,
        Some("UPPER") => CaseChange::Upper,
        Some(other) => {
            let problem = alloc::format!("{other:?} is none of NONE, LOWER and UPPER");
            return Err(node.refuse_attribute("case_change_action", problem));
        }
    };
    let stop_words = node.texts("stopwords")?.unwrap_or_default().into_iter().map(String::from).collect();
    let case_sensitive = node.int_or("is_case_sensitive", 0)? != 0;
    Ok(Imported::with(StringNormalizer { change, stop_words, case_sensitive }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    fn op(stop_words: &[&str]) -> StringNormalizer {
        let stop_words = stop_words.iter().map(|word| String::from(*word)).collect();
        StringNormalizer { change: CaseChange::Lower, stop_words, case_sensitive: true }
    }

    #[test]
    fn the_number_of_words_stays_open_when_some_are_left_out() {
        check(op(&[]), &["string[N]"], "string[N]");
        check(op(&["a"]), &["string[3]"], "string[?]");
        check(op(&["a"]), &["string[B, 3]"], "string[1, ?]");
        check(op(&[]), &["string[...]"], "string[...]");
        check(op(&[]), &["string[2, 3]"], "words stand in one row, not in [2, 3]");
        check(op(&[]), &["string[]"], "words stand in one row, not in []");
        check(op(&[]), &["i8[2]"], "input 0 is i8; string is needed");
    }

    #[test]
    fn attributes_are_read() {
        let plain = node("StringNormalizer", &["x"], &["y"]);
        let lower = plain.clone().text("case_change_action", "LOWER").int("is_case_sensitive", 1);
        check_import(&lower.clone().texts("stopwords", &["a", "b"]), 10, op(&["a", "b"]), &[]);
        check_import(&lower, 10, op(&[]), &[]);
        let other = plain.text("case_change_action", "TITLE");
        let problem = "attribute \"case_change_action\": \"TITLE\" is none of NONE, LOWER and UPPER";
        check_refused(&other, 10, problem);
    }
}
