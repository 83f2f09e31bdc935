//! The same values as another type, or as they are.
//!
//! Only these change a type; no other operator converts silently. How a float becomes an integer is the kernels' business.

use alloc::vec::Vec;

use half::{bf16, f16};
use inferry_core::{ElementType, Tensor};
use serde::{Deserialize, Serialize};

use super::rules;
use super::{Inputs, Op, OpError};
use crate::graph::Fact;
use crate::onnx::{ImportError, Imported, NodeView};

/// `x`: each element as another type. Floats are cut towards zero when they become integers; numbers become text and text
/// numbers as the standard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cast {
    /// The type of the output.
    pub to: ElementType,
    /// For floats of 8 bits: whether numbers out of range become the largest there is (else infinity, or no number).
    pub saturate: bool,
}

impl Op for Cast {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        rules::one(self.to, inputs.required(0)?.shape.clone())
    }
}

/// `x, like`: each element of `x` as the type of `like`, of which nothing else counts.
///
/// Importers put the numbers through it that older models have as attributes and that are therefore f32 whatever the type
/// of the data: such a number is converted as soon as the type is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CastLike {
    /// As in [`Cast`].
    pub saturate: bool,
}

impl Op for CastLike {
    fn name(&self) -> &'static str {
        "CastLike"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(2, 1)?;
        let x = inputs.required(0)?;
        let to = inputs.required(1)?.element;
        match x.constant.as_ref().and_then(|tensor| converted(tensor, to)) {
            Some(tensor) => rules::several(alloc::vec![Fact::constant(tensor)]),
            None => rules::one(to, x.shape.clone()),
        }
    }
}

/// The tensor as another type, if it has that type or is one f32. All else is arithmetic, and the devices'.
fn converted(tensor: &Tensor, to: ElementType) -> Option<Tensor> {
    if tensor.element() == to {
        return Some(tensor.clone());
    }
    let values = tensor.to_vec::<f32>().ok()?;
    let [number] = values[..] else { return None };
    let shape = tensor.shape();
    match to {
        ElementType::F16 => Tensor::from_slice(&[f16::from_f32(number)], shape),
        ElementType::Bf16 => Tensor::from_slice(&[bf16::from_f32(number)], shape),
        ElementType::F64 => Tensor::from_slice(&[f64::from(number)], shape),
        _ => return None,
    }
    .ok()
}

/// `x`: itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity;

impl Op for Identity {
    fn name(&self) -> &'static str {
        "Identity"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1, 1)?;
        let x = inputs.required(0)?;
        rules::several(alloc::vec![x.clone()])
    }

    fn takes_any_kind(&self) -> bool {
        true
    }
}

/// Cast.
pub(crate) fn import_cast(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    let to = node.element("to")?.ok_or_else(|| node.refuse_attribute("to", "is missing"))?;
    Ok(Imported::with(Cast { to, saturate: node.flag("saturate", true)? }))
}

/// CastLike.
pub(crate) fn import_cast_like(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(2..=2, 1..=1)?;
    Ok(Imported::with(CastLike { saturate: node.flag("saturate", true)? }))
}

/// Identity.
pub(crate) fn import_identity(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    Ok(Imported::with(Identity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;
    use crate::op::testing::{check, check_import, check_refused};

    #[test]
    fn a_cast_changes_the_type_alone() {
        let to = |to| Cast { to, saturate: true };
        check(to(ElementType::I8), &["f32[N, 2]"], "i8[N, 2]");
        check(to(ElementType::F32), &["string[]"], "f32[]");
        let cast = node("Cast", &["x"], &["y"]);
        check_import(&cast.clone().int("to", 10), 6, to(ElementType::F16), &[]);
        let exact = Cast { to: ElementType::I64, saturate: false };
        check_import(&cast.clone().int("to", 7).int("saturate", 0), 19, exact, &[]);
        check_refused(&cast, 13, "attribute \"to\": is missing");
        check_import(&cast.clone().int("to", 17), 19, to(ElementType::F8E4M3Fn), &[]);
        let problem = "attribute \"to\": element type float4e2m1 is not supported";
        check_refused(&cast.int("to", 23), 19, problem);
    }

    #[test]
    fn a_number_of_an_attribute_gets_the_type_of_the_data_at_once() {
        let like = CastLike { saturate: true };
        check(like, &["i64[N]", "u8[...]"], "u8[N]");
        check(like, &["f32(1.5)", "f32[N]"], "f32(1.5)");
        check(like, &["f32(1.5)", "f64[N]"], "f64(1.5)");
        check(like, &["f32(1.5)", "f16[N]"], "f16(1.5)");
        check(like, &["f32{1.5}", "bf16[N]"], "bf16{1.5}");
        check(like, &["f32(1.5)", "i32[N]"], "i32[]");
        check(like, &["f32{1.5, 2}", "f64[N]"], "f64[2]");
        check_import(&node("CastLike", &["x", "like"], &["y"]), 15, like, &[]);
    }

    #[test]
    fn identity_hands_constants_on() {
        check(Identity, &["i64{1, 2}"], "i64{1, 2}");
        check(Identity, &["string[N]"], "string[N]");
    }
}
