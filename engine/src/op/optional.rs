//! Optionals: a tensor or a sequence, or nothing.
//!
//! An optional that is there is no other value than what is in it; only what is known of it differs.

use alloc::vec::Vec;

use inferry_core::{ElementType, Kind, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Inputs, Op, OpError, rules};
use crate::graph::{Fact, ShapeFact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `value?`: the value, which might not be there; without an input, nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Optional {
    /// What nothing is the absence of: the kind and type of the elements.
    pub nothing: Option<(Kind, ElementType)>,
}

/// `value?`: whether there is something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OptionalHasElement;

/// `value`: what is there; the run fails when there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OptionalGetElement;

impl Op for Optional {
    fn name(&self) -> &'static str {
        "Optional"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let fact = match (inputs.optional(0), self.nothing) {
            (Some(fact), _) => {
                let kind = fact.kind.optional();
                fact.clone().of_kind(kind)
            }
            (None, Some((kind, element))) => {
                Fact::new(element, ShapeFact::unknown()).of_kind(kind.optional())
            }
            (None, None) => return Err(OpError::Missing { input: 0 }),
        };
        rules::several(alloc::vec![fact])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

impl Op for OptionalHasElement {
    fn name(&self) -> &'static str {
        "OptionalHasElement"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let known = match inputs.optional(0) {
            None => Some(false),
            Some(fact) if !fact.kind.is_optional() => Some(true),
            Some(_) => None,
        };
        Ok(alloc::vec![match known {
            Some(known) => {
                Fact::constant(Tensor::from_slice(&[known], Shape::scalar()).expect("one element"))
            }
            None => Fact::fixed(ElementType::Bool, &[]),
        }])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

impl Op for OptionalGetElement {
    fn name(&self) -> &'static str {
        "OptionalGetElement"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let fact = inputs.required(0)?;
        rules::several(alloc::vec![fact.clone().of_kind(fact.kind.present())])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

/// Optional.
pub(crate) fn import_optional(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(0..=1, 1..=1)?;
    let nothing = node.declared_type("type")?.map(|fact| (fact.kind, fact.element));
    if !node.has_input(0) && nothing.is_none() {
        return Err(node.refuse("has neither an input nor a type"));
    }
    Ok(Optional { nothing }.into())
}

/// OptionalHasElement.
pub(crate) fn import_has(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(0..=1, 1..=1)?;
    Ok(OptionalHasElement.into())
}

/// OptionalGetElement.
pub(crate) fn import_get(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(OptionalGetElement.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_refused};

    #[test]
    fn an_optional_is_what_is_in_it_or_nothing() {
        let some = Optional { nothing: None };
        check(some, &["f32[2]"], "optional(f32[2])");
        check(some, &["sequence(f32[2])"], "optional(sequence(f32[2]))");
        check(some, &["optional(f32[2])"], "optional(f32[2])");
        check(some, &[], "input 0 is missing");
        let nothing = Optional { nothing: Some((Kind::Sequence, ElementType::I64)) };
        check(nothing, &[], "optional(sequence(i64[...]))");
        check(OptionalGetElement, &["optional(f32[2])"], "f32[2]");
        check(OptionalGetElement, &["optional(sequence(f32[2]))"], "sequence(f32[2])");
        check(OptionalGetElement, &["f32[2]"], "f32[2]");
    }

    #[test]
    fn whether_something_is_there_is_known_where_it_must_be() {
        check(OptionalHasElement, &["optional(f32[2])"], "bool[]");
        check(OptionalHasElement, &["sequence(f32[2])"], "bool[] constant");
        check(OptionalHasElement, &[], "bool[] constant");
    }

    #[test]
    fn an_optional_of_nothing_needs_a_type() {
        check_refused(&node("Optional", &[], &["y"]), 15, "has neither an input nor a type");
    }
}
