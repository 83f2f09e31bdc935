//! LabelEncoder of the domain `ai.onnx.ml`: one value for another, by a table.
//!
//! The values are inputs and not part of the operator: so values that are strings are constants of the graph like any others.
//! An importer puts the value for what is in no table behind the others.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::rules::{self, Types};
use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact};
use crate::onnx::{ImportError, Imported, NodeView};

/// `x, values...`: for each element the value that stands where its key does, or the last one when there is no such key. There
/// are values for each table; the table is the one whose keys have the type of `x`.
///
/// A float that is not a number is found among the keys like any other; of equal keys the last counts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabelEncoder {
    /// The keys of each table: vectors of different types.
    #[serde(with = "crate::store::tensors")]
    pub keys: Vec<Tensor>,
}

/// What keys and values may be.
const LABEL: Types = Types {
    wanted: "string, i16, i32, i64, f32 or f64 is needed",
    has: |element| {
        use ElementType::{F32, F64, I16, I32, I64, String};
        matches!(element, String | I16 | I32 | I64 | F32 | F64)
    },
};

impl LabelEncoder {
    /// The table for inputs of this type.
    pub fn table(&self, element: ElementType) -> Option<usize> {
        self.keys.iter().position(|keys| keys.element() == element)
    }
}

impl Op for LabelEncoder {
    fn name(&self) -> &'static str {
        "LabelEncoder"
    }

    fn infer(&self, inputs: &Inputs<'_>) -> Result<Vec<Fact>, OpError> {
        inputs.at_most(1 + self.keys.len(), 1)?;
        let x = inputs.typed(0, &LABEL)?;
        let wanted = "the keys are of another type";
        let table = self.table(x.element);
        let table = table.ok_or(OpError::Element { input: 0, actual: x.element, wanted })?;
        let values = inputs.typed(1 + table, &LABEL)?;
        rules::check_vector(1 + table, values, &Dim::Fixed(self.keys[table].len() + 1))?;
        rules::one(values.element, x.shape.clone())
    }
}

/// LabelEncoder. At first a list of names, by which numbers were meant or which numbers meant; then any keys and values.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    node.counts(1..=1, 1..=1)?;
    if node.opset() < 2 {
        return import_names(node);
    }
    let keys = labels(node, "keys")?.ok_or_else(|| node.refuse("no keys are given"))?;
    let values = labels(node, "values")?.ok_or_else(|| node.refuse("no values are given"))?;
    if keys.len() != values.len() {
        return Err(node.refuse(format!("{} keys and {} values", keys.len(), values.len())));
    }
    let values = with_default(node, &values, default(node, values.element())?)?;
    Ok(Imported::with(LabelEncoder { keys: [keys].into() }).constant(1, values))
}

/// The first form of the operator, which does not say in which direction: the type of the input does.
fn import_names(node: &NodeView<'_>) -> Result<Imported, ImportError> {
    let names = node.texts("classes_strings")?.unwrap_or_default();
    let names = tensor(node, Tensor::from_strings(&names, [names.len()]))?;
    let numbers: Vec<i64> = (0..names.len() as i64).collect();
    let numbers = super::int64s(&numbers);
    let of_names = with_default(node, &numbers, default(node, ElementType::I64)?)?;
    let of_numbers = with_default(node, &names, default(node, ElementType::String)?)?;
    let op = LabelEncoder { keys: [names, numbers].into() };
    Ok(Imported::with(op).constant(1, of_names).constant(2, of_numbers))
}

/// The keys or values, whatever their type, as a vector.
fn labels(node: &NodeView<'_>, what: &str) -> Result<Option<Tensor>, ImportError> {
    let name = |kind: &str| format!("{what}_{kind}");
    if let Some(texts) = node.texts(&name("strings"))? {
        return tensor(node, Tensor::from_strings(&texts, [texts.len()])).map(Some);
    }
    if let Some(ints) = node.ints(&name("int64s"))? {
        return Ok(Some(super::int64s(&ints)));
    }
    if let Some(floats) = node.floats(&name("floats"))? {
        return tensor(node, Tensor::from_slice(&floats, [floats.len()])).map(Some);
    }
    let Some(mut labels) = node.tensor(&name("tensor"))? else { return Ok(None) };
    if !(LABEL.has)(labels.element()) {
        let problem = format!("is of {}; {}", labels.element(), LABEL.wanted);
        return Err(node.refuse_attribute(&name("tensor"), problem));
    }
    let len = labels.len();
    labels.set_shape([len]).map_err(|error| node.refuse_attribute(&name("tensor"), format!("{error}")))?;
    Ok(Some(labels))
}

/// What stands for everything that has no key, as a tensor of one element.
fn default(node: &NodeView<'_>, element: ElementType) -> Result<Tensor, ImportError> {
    if let Some(given) = node.tensor("default_tensor")? {
        if given.element() != element || given.len() != 1 {
            let problem = format!("is {}{}, not one {element}", given.element(), given.shape());
            return Err(node.refuse_attribute("default_tensor", problem));
        }
        return Ok(given);
    }
    Ok(match element {
        ElementType::String => {
            let text = node.text("default_string")?.unwrap_or("_Unused");
            tensor(node, Tensor::from_strings(&[text], [1]))?
        }
        ElementType::F32 => Tensor::scalar(node.float_or("default_float", -0.0)?),
        ElementType::F64 => Tensor::scalar(-0.0f64),
        ElementType::I64 => Tensor::scalar(node.int_or("default_int64", -1)?),
        ElementType::I32 => Tensor::scalar(-1i32),
        _ => Tensor::scalar(-1i16),
    })
}

/// The values and, last, the default.
fn with_default(node: &NodeView<'_>, values: &Tensor, default: Tensor) -> Result<Tensor, ImportError> {
    let parts = [values, &default];
    let shape = Shape::from([values.len() + 1]);
    let joined = match values.element() {
        ElementType::String => {
            let mut all: Vec<String> = Vec::with_capacity(values.len() + 1);
            for part in parts {
                let strings = part.strings().map_err(|error| node.refuse(format!("{error}")))?;
                all.extend(strings.iter().map(String::from));
            }
            Tensor::from_strings(&all, shape)
        }
        element => {
            let mut bytes = Vec::with_capacity(shape.count() * element.size());
            for part in parts {
                let lease = part.lease_read().map_err(|error| node.refuse(format!("{error}")))?;
                bytes.extend_from_slice(&lease.bytes()[part.byte_range()]);
            }
            Tensor::from_bytes(element, shape, &bytes)
        }
    };
    tensor(node, joined)
}

fn tensor(
    node: &NodeView<'_>,
    made: Result<Tensor, inferry_core::tensor::TensorError>,
) -> Result<Tensor, ImportError> {
    made.map_err(|error| node.refuse(format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{TestNode, node};
    use crate::op::testing::{check, check_refused, text};
    use alloc::string::ToString;

    fn strings(strings: &[&str]) -> Tensor {
        Tensor::from_strings(strings, [strings.len()]).unwrap()
    }

    fn encoder() -> TestNode {
        node("LabelEncoder", &["x"], &["y"]).domain("ai.onnx.ml")
    }

    /// The types of the keys, and the values, or all strings of them.
    fn imported(node: TestNode, opset: i64) -> (Vec<String>, Vec<String>) {
        let imported = node.import(opset).unwrap();
        let op = imported.op.downcast::<LabelEncoder>().unwrap();
        let show = |tensor: &Tensor| match tensor.strings() {
            Ok(strings) => strings.iter().collect::<Vec<_>>().join(" "),
            Err(_) => text(&Fact::constant(tensor.clone())),
        };
        let values = imported.constants.iter().map(|(_, tensor)| show(tensor));
        (op.keys.iter().map(show).collect(), values.collect())
    }

    #[test]
    fn values_have_their_own_type_and_the_shape_of_the_keys_sought() {
        let op =
            || LabelEncoder { keys: [strings(&["a", "b"]), Tensor::zeros(ElementType::I64, [1])].into() };
        check(op(), &["string[N, 2]", "f32[3]", "string[2]"], "f32[N, 2]");
        check(op(), &["i64[]", "f32[3]", "string[2]"], "string[]");
        check(op(), &["f32[2]", "f32[3]", "string[2]"], "input 0 is f32; the keys are of another type");
        check(op(), &["string[2]", "f32[2]", "string[2]"], "input 1 must have 3 elements, not 2");
        check(op(), &["string[2]"], "input 1 is missing");
    }

    #[test]
    fn every_form_becomes_keys_and_values_with_the_default_last() {
        let names = encoder().texts("classes_strings", &["a", "b"]);
        let wanted =
            (["a b".to_string(), "i64{0, 1}".into()], ["i64{0, 1, -7}".to_string(), "a b _Unused".into()]);
        assert_eq!(imported(names.int("default_int64", -7), 1), (wanted.0.into(), wanted.1.into()));
        let second = encoder().floats("keys_floats", &[0.5, 1.0]).texts("values_strings", &["x", "y"]);
        let wanted = (alloc::vec!["f32{0.5, 1.0}".to_string()], alloc::vec!["x y none".to_string()]);
        assert_eq!(imported(second.text("default_string", "none"), 2), wanted);
        let plain = encoder().texts("keys_strings", &["a"]).ints("values_int64s", &[3]);
        assert_eq!(imported(plain, 2).1, ["i64{3, -1}"]);
        let keys = Tensor::from_slice(&[1i64, 2], [2, 1]).unwrap();
        let tensors = encoder().tensor("keys_tensor", &keys).tensor("values_tensor", &strings(&["a", "b"]));
        let tensors = tensors.tensor("default_tensor", &strings(&["?"]));
        assert_eq!(imported(tensors, 4), (["i64{1, 2}".into()].into(), ["a b ?".into()].into()));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let keys = encoder().texts("keys_strings", &["a", "b"]);
        check_refused(&keys, 2, "no values are given");
        check_refused(&encoder(), 2, "no keys are given");
        check_refused(&keys.clone().ints("values_int64s", &[1]), 2, "2 keys and 1 values");
        let wrong = keys.ints("values_int64s", &[1, 2]).tensor("default_tensor", &Tensor::scalar(1i32));
        check_refused(&wrong, 4, "attribute \"default_tensor\": is i32[], not one i64");
        let bytes = encoder().tensor("keys_tensor", &Tensor::zeros(ElementType::U8, [1]));
        let needed = "is of u8; string, i16, i32, i64, f32 or f64 is needed";
        check_refused(&bytes, 4, &format!("attribute \"keys_tensor\": {needed}"));
    }
}
