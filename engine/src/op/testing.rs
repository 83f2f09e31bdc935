//! Facts and importers in a line each; for tests only.
//!
//! A fact is written as people write it: `f32[2, N, ?]`, `f32[...]` for an unknown number of dimensions, `i64{1, -1}` for a
//! constant vector, `i64(3)` for a constant scalar, nothing for an input left out.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Debug;

use inferry_core::{ElementType, Kind, Tensor};

use super::{Inputs, Op, OpError};
use crate::graph::{Dim, Fact, ShapeFact, Symbol};
use crate::onnx::testing::TestNode;

/// Checks what the operator infers from the inputs: the facts of the outputs joined by ` | `, or an error.
#[track_caller]
pub(crate) fn check(op: impl Op, inputs: &[&str], expect: &str) {
    check_outputs(op, expect.split(" | ").count(), inputs, expect);
}

/// As [`check`], with so many outputs wanted.
#[track_caller]
pub(crate) fn check_outputs(op: impl Op, outputs: usize, inputs: &[&str], expect: &str) {
    let facts: Vec<Option<Fact>> = inputs.iter().map(|text| fact(text)).collect();
    let actual = match infer(&op, &facts, outputs) {
        Ok(facts) => facts.iter().map(text).collect::<Vec<_>>().join(" | "),
        Err(error) => error.to_string(),
    };
    assert_eq!(actual, expect, "{op:?} of {inputs:?}");
}

/// Checks that a node becomes this operator with these constants (`1: i64{0, 2}`).
#[track_caller]
pub(crate) fn check_import<O: Op + PartialEq>(node: &TestNode, opset: i64, op: O, constants: &[&str]) {
    let imported = node.import(opset).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(imported.op.downcast::<O>(), Some(&op), "{:?} at {opset}", imported.op);
    let show =
        |(input, tensor): &(usize, Tensor)| format!("{input}: {}", text(&Fact::constant(tensor.clone())));
    let actual: Vec<String> = imported.constants.iter().map(show).collect();
    assert_eq!(actual, constants, "constants of {op:?} at {opset}");
}

/// Checks that a node is refused with this message (behind the words that name the node).
#[track_caller]
pub(crate) fn check_refused(node: &TestNode, opset: i64, expect: &str) {
    let error = node.import(opset).expect_err("the node is refused").to_string();
    let problem = error.split_once("writes \"y\"").map_or(&*error, |(_, problem)| problem);
    assert_eq!(problem.trim_start_matches([',', ':', ' ']), expect);
}

/// What an operator infers.
pub(crate) fn infer(op: &dyn Op, facts: &[Option<Fact>], outputs: usize) -> Result<Vec<Fact>, OpError> {
    let facts: Vec<Option<&Fact>> = facts.iter().map(Option::as_ref).collect();
    Inputs::new(&facts, outputs).infer(op)
}

/// The fact that a text stands for.
pub(crate) fn fact(text: &str) -> Option<Fact> {
    for (word, kind) in [("sequence(", Kind::Sequence), ("optional(sequence(", Kind::OptionalSequence)]
        .into_iter()
        .chain([("optional(", Kind::OptionalTensor)])
    {
        if let Some(inner) = text.strip_prefix(word) {
            return Some(fact(inner.trim_end_matches(')'))?.of_kind(kind));
        }
    }
    let open = text.find(['[', '{', '('])?;
    let name = &text[..open];
    let element = ElementType::ALL.into_iter().find(|element| element.name() == name);
    let element = element.unwrap_or_else(|| panic!("{name} is no element type"));
    let inner = &text[open + 1..text.len() - 1];
    let items: Vec<&str> = inner.split(", ").filter(|item| !item.is_empty()).collect();
    Some(match &text[open..=open] {
        "[" if inner == "..." => Fact::new(element, ShapeFact::unknown()),
        "[" => Fact::new(element, ShapeFact(Some(items.into_iter().map(dim).collect()))),
        "{" => Fact::constant(constant(element, &items, &[items.len()])),
        _ => Fact::constant(constant(element, &items, &[])),
    })
}

fn dim(text: &str) -> Dim {
    match text.parse() {
        Ok(extent) => Dim::Fixed(extent),
        Err(_) if text == "?" => Dim::Unknown,
        Err(_) => Dim::Symbol(Symbol(text.into())),
    }
}

fn constant(element: ElementType, items: &[&str], shape: &[usize]) -> Tensor {
    fn of<T: inferry_core::Element + core::str::FromStr<Err: Debug>>(
        items: &[&str],
        shape: &[usize],
    ) -> Tensor {
        let values: Vec<T> = items.iter().map(|item| item.parse().expect("a number")).collect();
        Tensor::from_slice(&values, inferry_core::Shape::new(shape).expect("few dimensions"))
            .expect("they fit")
    }
    match element {
        ElementType::I64 => of::<i64>(items, shape),
        ElementType::I32 => of::<i32>(items, shape),
        ElementType::I8 => of::<i8>(items, shape),
        ElementType::U8 => of::<u8>(items, shape),
        ElementType::F32 => of::<f32>(items, shape),
        ElementType::F64 => of::<f64>(items, shape),
        ElementType::Bool => of::<bool>(items, shape),
        other => panic!("constants of {other} are not needed in tests yet"),
    }
}

/// The text that stands for a fact.
pub(crate) fn text(fact: &Fact) -> String {
    fn list<T: inferry_core::Element>(tensor: &Tensor) -> String {
        let values = tensor.to_vec::<T>().expect("of this type");
        values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ")
    }
    let Some(tensor) = &fact.constant else { return fact.to_string() };
    let values = match fact.element {
        ElementType::I64 => list::<i64>(tensor),
        ElementType::F16 => list::<half::f16>(tensor),
        ElementType::Bf16 => list::<half::bf16>(tensor),
        ElementType::F32 => list::<f32>(tensor),
        ElementType::F64 => list::<f64>(tensor),
        _ => return fact.to_string(),
    };
    match tensor.shape().rank() {
        0 => format!("{}({values})", fact.element),
        1 => format!("{}{{{values}}}", fact.element),
        _ => fact.to_string(),
    }
}
