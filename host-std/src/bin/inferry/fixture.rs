//! Which array of a fixture belongs to which port of a model.
//!
//! An input takes the array `input_<i>` (its position) or the one of its own name; `output_<i>` is what output `i` should
//! be. What does not fit is refused here, with the names of the array and of the port, before anything runs.

use inferry::npz::Arrays;
use inferry_core::Tensor;
use inferry_core::port::{Port, Side};

/// Why a fixture does not belong to a model.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// No array for an input.
    #[error("no array for input {index} {name:?}: neither \"input_{index}\" nor its name is among {arrays}")]
    Missing {
        /// The input's position.
        index: usize,
        /// The input's name.
        name: String,
        /// The arrays there are.
        arrays: String,
    },
    /// An array of another type or shape than the port's.
    #[error("array {array:?} is {found}, but {side} {name:?} is {wanted}")]
    Port {
        /// The array.
        array: String,
        /// Its type and shape.
        found: String,
        /// Input or output.
        side: Side,
        /// The port's name.
        name: String,
        /// The port's type and shape.
        wanted: String,
    },
    /// `input_<i>` or `output_<i>` of a port that the model lacks.
    #[error("array {array:?}: the model has only {count} {side}s")]
    NoSuchPort {
        /// The array.
        array: String,
        /// Ports of that side.
        count: usize,
        /// Input or output.
        side: Side,
    },
}

/// The tensors for the inputs, in the order of the ports.
pub fn inputs(arrays: &Arrays, ports: &[Port]) -> Result<Vec<Tensor>, FixtureError> {
    let bound = ports.iter().map(|port| {
        let by_position = format!("input_{}", port.index);
        let named =
            [by_position.as_str(), &port.name].into_iter().find_map(|name| Some((name, arrays.get(name)?)));
        let (array, tensor) = named.ok_or_else(|| FixtureError::Missing {
            index: port.index,
            name: port.name.to_string(),
            arrays: listed(arrays),
        })?;
        fits(array, tensor, port)?;
        Ok(tensor.clone())
    });
    let bound = bound.collect::<Result<_, _>>()?;
    no_other(arrays, ports, Side::Input)?;
    Ok(bound)
}

/// What each output should be, where the fixture says it. Shapes are compared later, with the output itself.
pub fn expected(arrays: &Arrays, ports: &[Port]) -> Result<Vec<Option<Tensor>>, FixtureError> {
    no_other(arrays, ports, Side::Output)?;
    Ok(ports.iter().map(|port| arrays.get(&format!("output_{}", port.index)).cloned()).collect())
}

fn fits(array: &str, tensor: &Tensor, port: &Port) -> Result<(), FixtureError> {
    if tensor.element() == port.element && port.shape.admits(tensor.shape()) {
        return Ok(());
    }
    Err(FixtureError::Port {
        array: array.to_string(),
        found: format!("{} {}", tensor.element(), tensor.shape()),
        side: port.side,
        name: port.name.to_string(),
        wanted: format!("{} {}", port.element, port.shape),
    })
}

/// An `input_9` for a model of two inputs is a mistake worth a word; arrays of any other name are nobody's business.
fn no_other(arrays: &Arrays, ports: &[Port], side: Side) -> Result<(), FixtureError> {
    let prefix = format!("{side}_");
    let stray = arrays.iter().map(|(name, _)| name).find(|name| {
        let position = name.strip_prefix(&prefix).and_then(|number| number.parse::<usize>().ok());
        position.is_some_and(|position| position >= ports.len())
            && ports.iter().all(|port| *port.name != **name)
    });
    match stray {
        Some(array) => Err(FixtureError::NoSuchPort { array: array.to_string(), count: ports.len(), side }),
        None => Ok(()),
    }
}

fn listed(arrays: &Arrays) -> String {
    match arrays.iter().map(|(name, _)| format!("{name:?}")).collect::<Vec<_>>() {
        names if names.is_empty() => "no arrays at all".to_string(),
        names => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use inferry_core::{Dim, ElementType, Kind, PartialShape};

    use super::*;

    fn port(side: Side, index: usize, name: &str, element: ElementType, dims: &[Dim]) -> Port {
        Port {
            side,
            index,
            name: name.into(),
            kind: Kind::Tensor,
            element,
            shape: PartialShape::new(dims).unwrap(),
        }
    }

    fn two_inputs() -> Vec<Port> {
        vec![
            port(Side::Input, 0, "x:0", ElementType::F32, &[Dim::Any, Dim::Fixed(3)]),
            port(Side::Input, 1, "sr", ElementType::I64, &[]),
        ]
    }

    fn arrays<const N: usize>(named: [(&str, Tensor); N]) -> Arrays {
        let mut arrays = Arrays::new();
        named.into_iter().for_each(|(name, tensor)| arrays.insert(name, tensor));
        arrays
    }

    fn x() -> Tensor {
        Tensor::zeros(ElementType::F32, [2, 3])
    }

    #[test]
    fn an_input_is_found_by_position_or_by_name() {
        let fixture = arrays([("sr", Tensor::scalar(16000i64)), ("input_0", x())]);
        let inputs = inputs(&fixture, &two_inputs()).unwrap();
        assert_eq!(*inputs[0].shape(), [2, 3]);
        assert_eq!(inputs[1].to_vec::<i64>().unwrap(), [16000]);
    }

    #[test]
    fn a_missing_input_is_named_with_what_there_is() {
        let message =
            inputs(&arrays([("input_0", x()), ("rate", x())]), &two_inputs()).unwrap_err().to_string();
        let wanted =
            "no array for input 1 \"sr\": neither \"input_1\" nor its name is among \"input_0\", \"rate\"";
        assert_eq!(message, wanted);
    }

    #[test]
    fn another_type_or_shape_is_refused_with_both() {
        let wrong_type =
            arrays([("input_0", Tensor::zeros(ElementType::F64, [2, 3])), ("sr", Tensor::scalar(1i64))]);
        let message = inputs(&wrong_type, &two_inputs()).unwrap_err().to_string();
        assert!(
            message.starts_with("array \"input_0\" is f64 [2, 3], but input \"x:0\" is f32 ["),
            "{message}"
        );
        let wrong_shape =
            arrays([("input_0", Tensor::zeros(ElementType::F32, [2, 4])), ("sr", Tensor::scalar(1i64))]);
        assert!(inputs(&wrong_shape, &two_inputs()).is_err());
    }

    #[test]
    fn an_array_for_a_port_that_is_not_there_is_refused() {
        let fixture = arrays([("input_0", x()), ("sr", Tensor::scalar(1i64)), ("input_2", x())]);
        let message = inputs(&fixture, &two_inputs()).unwrap_err().to_string();
        assert_eq!(message, "array \"input_2\": the model has only 2 inputs");
    }

    #[test]
    fn only_the_outputs_that_the_fixture_names_are_expected() {
        let ports = ["a", "b"].map(|name| port(Side::Output, 0, name, ElementType::F32, &[]));
        let ports: Vec<Port> =
            ports.into_iter().enumerate().map(|(index, port)| Port { index, ..port }).collect();
        let expected = expected(&arrays([("output_1", x())]), &ports).unwrap();
        assert!(expected[0].is_none() && expected[1].is_some());
        assert!(super::expected(&arrays([("output_2", x())]), &ports).is_err());
    }
}
