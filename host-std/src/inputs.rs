//! The inputs of a run, as a caller likes to give them.

use inferry_core::port::{self, Side};
use inferry_core::request::BindError;
use inferry_core::{Port, PortKey, Tensor, Value};

/// One input of a run: a tensor whose place among the others says which, or a pair of a key and a tensor.
///
/// An array, a vector, a map or any other iterator of these is what [`CompiledModel::run`](crate::CompiledModel::run) takes:
/// `[image]`, `[("image", image), ("scale", scale)]`, `vec![(0, image)]`. Where a model takes sequences, or something that
/// may be absent, a [`Value`] stands in the place of a tensor.
pub trait Input {
    /// The index of the input among `ports`, and what it is; `place` is how many came before.
    fn sort(self, place: usize, ports: &[Port]) -> Result<(usize, Value), BindError>;
}

impl Input for Tensor {
    fn sort(self, place: usize, ports: &[Port]) -> Result<(usize, Value), BindError> {
        (place, self).sort(place, ports)
    }
}

impl Input for Value {
    fn sort(self, place: usize, ports: &[Port]) -> Result<(usize, Value), BindError> {
        (place, self).sort(place, ports)
    }
}

impl<K: PortKey, V: Into<Value>> Input for (K, V) {
    fn sort(self, _place: usize, ports: &[Port]) -> Result<(usize, Value), BindError> {
        let (key, value) = self;
        Ok((port::find(Side::Input, ports, key)?.index, value.into()))
    }
}

/// The inputs with their indices.
pub(crate) fn sorted<I: Input>(
    ports: &[Port],
    inputs: impl IntoIterator<Item = I>,
) -> Result<Vec<(usize, Value)>, BindError> {
    inputs.into_iter().enumerate().map(|(place, input)| input.sort(place, ports)).collect()
}
