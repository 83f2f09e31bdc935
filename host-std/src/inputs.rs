//! The inputs of a run, as a caller likes to give them.

use inferry_core::port::{self, Side};
use inferry_core::request::BindError;
use inferry_core::{Port, PortKey, Tensor};

/// One input of a run: a tensor whose place among the others says which, or a pair of a key and a tensor.
///
/// An array, a vector, a map or any other iterator of these is what [`CompiledModel::run`](crate::CompiledModel::run) takes:
/// `[image]`, `[("image", image), ("scale", scale)]`, `vec![(0, image)]`.
pub trait Input {
    /// The index of the input among `ports`, and its tensor; `place` is how many came before.
    fn sort(self, place: usize, ports: &[Port]) -> Result<(usize, Tensor), BindError>;
}

impl Input for Tensor {
    fn sort(self, place: usize, ports: &[Port]) -> Result<(usize, Tensor), BindError> {
        (place, self).sort(place, ports)
    }
}

impl<K: PortKey> Input for (K, Tensor) {
    fn sort(self, _place: usize, ports: &[Port]) -> Result<(usize, Tensor), BindError> {
        let (key, tensor) = self;
        Ok((port::find(Side::Input, ports, key)?.index, tensor))
    }
}

/// The inputs with their indices.
pub(crate) fn sorted<I: Input>(
    ports: &[Port],
    inputs: impl IntoIterator<Item = I>,
) -> Result<Vec<(usize, Tensor)>, BindError> {
    inputs.into_iter().enumerate().map(|(place, input)| input.sort(place, ports)).collect()
}
