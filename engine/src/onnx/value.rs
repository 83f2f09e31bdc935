//! What a file declares of graph inputs and outputs, as facts.

use alloc::format;
use alloc::string::{String, ToString};

use inferry_core::Kind;
use inferry_core::tensor::MAX_RANK;

use super::proto::{Dimension, TypeProto};
use super::tensor::element_type;
use crate::graph::{Dim, Fact, ShapeFact, Symbol};

/// The declared fact, `None` when nothing is declared, or what is wrong with the declaration.
pub(super) fn declared(proto: &TypeProto<'_>) -> Result<Option<Fact>, String> {
    if let Some(other) = proto.other {
        return Err(format!("is {other}; only tensors, sequences and optionals are supported"));
    }
    if let Some(inner) = &proto.optional {
        let fact = declared(inner)?.ok_or("is an optional of an unknown type")?;
        let kind = fact.kind.optional();
        return if fact.kind.is_optional() {
            Err("is an optional of optionals".into())
        } else {
            Ok(Some(fact.of_kind(kind)))
        };
    }
    if let Some(inner) = &proto.sequence {
        let fact = declared(inner)?.ok_or("is a sequence of an unknown type")?;
        return match fact.kind {
            Kind::Tensor => Ok(Some(fact.of_kind(Kind::Sequence))),
            _ => Err("is a sequence of what is no tensor".into()),
        };
    }
    let Some(tensor) = &proto.tensor else { return Ok(None) };
    let element = element_type(tensor.element)?;
    let Some(shape) = &tensor.shape else { return Ok(Some(Fact::new(element, ShapeFact::unknown()))) };
    if shape.0.len() > MAX_RANK {
        return Err(format!("has {} dimensions; at most {MAX_RANK} are supported", shape.0.len()));
    }
    let dims = shape.0.iter().map(dim).collect();
    Ok(Some(Fact::new(element, ShapeFact(Some(dims)))))
}

/// Exporters write an open extent as -1, as nothing, as an empty name, as a name, or as an expression in names.
fn dim(proto: &Dimension<'_>) -> Dim {
    match (proto.value, proto.symbol.map(str::trim)) {
        (Some(extent), _) => usize::try_from(extent).map_or(Dim::Unknown, Dim::Fixed),
        (None, None | Some("" | "?" | "-1" | "None")) => Dim::Unknown,
        (None, Some(symbol)) => Dim::Symbol(Symbol(symbol.to_string().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::{TensorShape, TensorType};
    use alloc::vec;

    fn tensor(element: i64, dims: alloc::vec::Vec<Dimension<'static>>) -> TypeProto<'static> {
        let tensor = TensorType { element, shape: Some(TensorShape(dims)) };
        TypeProto { tensor: Some(tensor), ..TypeProto::default() }
    }

    #[test]
    fn every_way_to_write_an_extent_is_understood() {
        let value = |value| Dimension { value: Some(value), symbol: None };
        let symbol = |symbol| Dimension { value: None, symbol: Some(symbol) };
        let dims =
            vec![value(3), value(-1), symbol("N"), symbol(""), Dimension::default(), symbol("floor(w/8)")];
        let fact = declared(&tensor(1, dims)).unwrap().unwrap();
        assert_eq!(fact.to_string(), "f32[3, ?, N, ?, ?, floor(w/8)]");
        assert_eq!(declared(&tensor(7, vec![])).unwrap().unwrap().to_string(), "i64[]");
        let open = TypeProto { tensor: Some(TensorType { element: 9, shape: None }), ..TypeProto::default() };
        assert_eq!(declared(&open).unwrap().unwrap().to_string(), "bool[...]");
        assert!(declared(&TypeProto::default()).unwrap().is_none());
    }

    fn sequence(inner: TypeProto<'static>) -> TypeProto<'static> {
        TypeProto { sequence: Some(inner.into()), ..TypeProto::default() }
    }

    fn optional(inner: TypeProto<'static>) -> TypeProto<'static> {
        TypeProto { optional: Some(inner.into()), ..TypeProto::default() }
    }

    #[test]
    fn sequences_and_optionals_hold_tensors() {
        let inner = || tensor(1, vec![Dimension::default()]);
        let text = |proto| declared(&proto).unwrap().unwrap().to_string();
        assert_eq!(text(sequence(inner())), "sequence(f32[?])");
        assert_eq!(text(optional(inner())), "optional(f32[?])");
        assert_eq!(text(optional(sequence(inner()))), "optional(sequence(f32[?]))");
        let refused = |proto| declared(&proto).unwrap_err();
        assert_eq!(refused(sequence(sequence(inner()))), "is a sequence of what is no tensor");
        assert_eq!(refused(optional(optional(inner()))), "is an optional of optionals");
        assert_eq!(refused(optional(TypeProto::default())), "is an optional of an unknown type");
    }

    #[test]
    fn what_is_no_tensor_of_ours_is_refused() {
        let map = TypeProto { other: Some("a map"), ..TypeProto::default() };
        let expected = "is a map; only tensors, sequences and optionals are supported";
        assert_eq!(declared(&map).unwrap_err(), expected);
        let many = (0..9).map(|_| Dimension::default()).collect();
        assert_eq!(declared(&tensor(1, many)).unwrap_err(), "has 9 dimensions; at most 8 are supported");
        assert_eq!(declared(&tensor(14, vec![])).unwrap_err(), "element type complex64 is not supported");
    }
}
