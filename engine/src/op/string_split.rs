//! Strings cut into parts.

use alloc::string::String;
use alloc::vec::Vec;

use inferry_core::ElementType;
use serde::{Deserialize, Serialize};

use super::rules::{self, STRING};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x`: the parts of each string along a new last dimension, filled up with empty strings, and how many there are of each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StringSplit {
    /// What stands between two parts. When it is empty, any white space does, and there is none around the first and the last
    /// part.
    pub delimiter: String,
    /// After how many cuts the rest stays in one piece.
    pub most: Option<usize>,
}

impl Op for StringSplit {
    fn name(&self) -> &'static str {
        "StringSplit"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 2)?;
        let shape = &inputs.typed(0, &STRING)?.shape;
        let parts = shape.dims().map(|dims| dims.iter().cloned().chain([Dim::Unknown]).collect());
        let parts = ShapeFact(parts);
        rules::check_rank(&parts)?;
        Ok([Fact::new(ElementType::String, parts), Fact::new(ElementType::I64, shape.clone())].into())
    }

    fn data_sized(&self) -> bool {
        true
    }
}

/// StringSplit.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 2..=2)?;
    let delimiter = node.text("delimiter")?.unwrap_or_default().into();
    let most = usize::try_from(node.int_or("maxsplit", -1)?).ok();
    Ok(Imported::with(StringSplit { delimiter, most }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import};

    #[test]
    fn the_number_of_parts_stays_open() {
        let op = || StringSplit { delimiter: "-".into(), most: Some(2) };
        check(op(), &["string[N, 3]"], "string[N, 3, ?] | i64[N, 3]");
        check(op(), &["string[]"], "string[?] | i64[]");
        check(op(), &["string[...]"], "string[...] | i64[...]");
        check(op(), &["u8[1]"], "input 0 is u8; string is needed");
        let plain = node("StringSplit", &["x"], &["y", "n"]);
        check_import(&plain.clone().text("delimiter", "-").int("maxsplit", 2), 20, op(), &[]);
        check_import(&plain, 20, StringSplit { delimiter: "".into(), most: None }, &[]);
    }
}
