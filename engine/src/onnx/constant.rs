//! `Constant` nodes: they become constants of the graph, not operators.

use inferry_core::{Shape, Tensor};

use super::error::ImportError;
use super::node::NodeView;

/// The tensor of a `Constant` node, in whichever attribute it stands.
pub(super) fn constant(node: &NodeView<'_>) -> Result<Tensor, ImportError> {
    node.counts(0..=0, 1..=1)?;
    if let Some(tensor) = node.tensor("value")? {
        return Ok(tensor);
    }
    if let Some(value) = node.float("value_float")? {
        return Ok(Tensor::scalar(value));
    }
    if let Some(value) = node.int("value_int")? {
        return Ok(Tensor::scalar(value));
    }
    if let Some(values) = node.floats("value_floats")? {
        return list(node, &values);
    }
    if let Some(values) = node.ints("value_ints")? {
        return list(node, &values);
    }
    if let Some(text) = node.text("value_string")? {
        return texts(node, &[text], Shape::scalar());
    }
    if let Some(values) = node.texts("value_strings")? {
        return texts(node, &values, Shape::from([values.len()]));
    }
    if node.has("sparse_value") {
        return Err(node.refuse_attribute("sparse_value", "is not supported"));
    }
    Err(node.refuse("has no value"))
}

fn list<T: inferry_core::Element>(node: &NodeView<'_>, values: &[T]) -> Result<Tensor, ImportError> {
    Tensor::from_slice(values, Shape::from([values.len()]))
        .map_err(|error| node.refuse(alloc::format!("{error}")))
}

fn texts(node: &NodeView<'_>, values: &[&str], shape: Shape) -> Result<Tensor, ImportError> {
    Tensor::from_strings(values, shape).map_err(|error| node.refuse(alloc::format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::{TestNode, node};
    use alloc::string::ToString;

    fn of(node: TestNode) -> Result<Tensor, ImportError> {
        node.view(13, constant)
    }

    #[test]
    fn every_form_of_value_is_taken() {
        let make = || node("Constant", &[], &["c"]);
        let tensor = of(make().tensor("value", &Tensor::from_slice(&[1i8, 2], [2, 1]).unwrap())).unwrap();
        assert_eq!((tensor.shape().to_vec(), tensor.to_vec::<i8>().unwrap()), ([2, 1].into(), [1, 2].into()));
        assert_eq!(of(make().float("value_float", 2.5)).unwrap().to_vec::<f32>().unwrap(), [2.5]);
        assert_eq!(of(make().int("value_int", -3)).unwrap().shape().rank(), 0);
        assert_eq!(of(make().floats("value_floats", &[1.0, 2.0])).unwrap().shape()[..], [2]);
        let text = of(make().texts("value_strings", &["a", "b"])).unwrap();
        assert_eq!(text.strings().unwrap().iter().collect::<alloc::vec::Vec<_>>(), ["a", "b"]);
        assert_eq!(of(make().text("value_string", "a")).unwrap().shape().rank(), 0);
        assert_eq!(of(make().ints("value_ints", &[])).unwrap().to_vec::<i64>().unwrap(), []);
    }

    #[test]
    fn a_constant_without_a_value_of_ours_is_refused() {
        let make = || node("Constant", &[], &["c"]);
        assert_eq!(of(make()).unwrap_err().to_string(), "node Constant that writes \"c\": has no value");
        let text = of(make().int("sparse_value", 1)).unwrap_err().to_string();
        assert_eq!(text, "node Constant that writes \"c\", attribute \"sparse_value\": is not supported");
    }
}
