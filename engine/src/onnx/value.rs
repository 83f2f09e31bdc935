//! What a file declares of graph inputs and outputs, as facts.

use alloc::format;
use alloc::string::{String, ToString};

use inferry_core::tensor::MAX_RANK;

use super::proto::{Dimension, TypeProto};
use super::tensor::element_type;
use crate::graph::{Dim, Fact, ShapeFact, Symbol};

/// The declared fact, `None` when nothing is declared, or what is wrong with the declaration.
pub(super) fn declared(proto: &TypeProto<'_>) -> Result<Option<Fact>, String> {
    if let Some(other) = proto.other {
        return Err(format!("is {other}; only tensors are supported"));
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
        TypeProto { tensor: Some(TensorType { element, shape: Some(TensorShape(dims)) }), other: None }
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
        let open = TypeProto { tensor: Some(TensorType { element: 9, shape: None }), other: None };
        assert_eq!(declared(&open).unwrap().unwrap().to_string(), "bool[...]");
        assert!(declared(&TypeProto::default()).unwrap().is_none());
    }

    #[test]
    fn what_is_no_tensor_of_ours_is_refused() {
        let sequence = TypeProto { tensor: None, other: Some("a sequence") };
        assert_eq!(declared(&sequence).unwrap_err(), "is a sequence; only tensors are supported");
        let many = (0..9).map(|_| Dimension::default()).collect();
        assert_eq!(declared(&tensor(1, many)).unwrap_err(), "has 9 dimensions; at most 8 are supported");
        assert_eq!(declared(&tensor(14, vec![])).unwrap_err(), "element type complex64 is not supported");
    }
}
