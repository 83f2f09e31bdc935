//! What is not one tensor: sequences of tensors, and what may be absent.
//!
//! Most inputs and outputs are tensors, and everything that is fast about a request is about those. The standard also has
//! sequences (any number of tensors of one element type, of any shapes) and optionals (a tensor or a sequence, or
//! nothing). A [`Kind`] says which of them a port is; a [`Value`] is one of them. An optional that is there is just the
//! tensor or the sequence: nothing is wrapped.

use alloc::vec::Vec;
use core::fmt;

use crate::tensor::Tensor;

/// What a port, or a value within a model, is made of.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One tensor.
    #[default]
    Tensor,
    /// Any number of tensors.
    Sequence,
    /// One tensor, or nothing.
    OptionalTensor,
    /// A sequence, or nothing.
    OptionalSequence,
}

impl Kind {
    /// True when it may be nothing.
    pub fn is_optional(self) -> bool {
        matches!(self, Kind::OptionalTensor | Kind::OptionalSequence)
    }

    /// True for sequences, also for those that may be absent.
    pub fn is_sequence(self) -> bool {
        matches!(self, Kind::Sequence | Kind::OptionalSequence)
    }

    /// The same, which may be nothing.
    #[must_use]
    pub fn optional(self) -> Kind {
        if self.is_sequence() { Kind::OptionalSequence } else { Kind::OptionalTensor }
    }

    /// What it is when it is there.
    #[must_use]
    pub fn present(self) -> Kind {
        if self.is_sequence() { Kind::Sequence } else { Kind::Tensor }
    }

    /// True when such a value may be bound to a port of this kind.
    pub fn admits(self, value: &Value) -> bool {
        match value {
            Value::Tensor(_) => !self.is_sequence(),
            Value::Sequence(_) => self.is_sequence(),
            Value::Absent => self.is_optional(),
        }
    }
}

/// As in "takes a sequence of tensors".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Tensor => "a tensor",
            Kind::Sequence => "a sequence of tensors",
            Kind::OptionalTensor => "a tensor or nothing",
            Kind::OptionalSequence => "a sequence of tensors or nothing",
        })
    }
}

/// What is bound to a port of any [`Kind`]. Cloning it copies handles, not numbers.
///
/// Whatever becomes one does so by itself: a tensor, a vector of tensors, an `Option` of either.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are tensors, and a box would be an allocation a run"
)]
pub enum Value {
    /// One tensor.
    Tensor(Tensor),
    /// Any number of tensors, of one element type.
    Sequence(Vec<Tensor>),
    /// Nothing, where that is allowed.
    Absent,
}

impl Value {
    /// The tensor, when it is one.
    pub fn tensor(&self) -> Option<&Tensor> {
        if let Value::Tensor(tensor) = self { Some(tensor) } else { None }
    }

    /// The tensors of a sequence, when it is one.
    pub fn sequence(&self) -> Option<&[Tensor]> {
        if let Value::Sequence(tensors) = self { Some(tensors) } else { None }
    }

    /// True when there is nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Value::Absent)
    }

    /// All tensors in it, in their order.
    pub fn tensors(&self) -> &[Tensor] {
        match self {
            Value::Tensor(tensor) => core::slice::from_ref(tensor),
            Value::Sequence(tensors) => tensors,
            Value::Absent => &[],
        }
    }
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value::Tensor(tensor)
    }
}

impl From<Vec<Tensor>> for Value {
    fn from(tensors: Vec<Tensor>) -> Value {
        Value::Sequence(tensors)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Absent, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::ElementType;

    #[test]
    fn a_kind_admits_what_it_is() {
        let tensor = || Tensor::zeros(ElementType::F32, [2]);
        let none: Option<Tensor> = None;
        let values =
            [tensor().into(), Vec::from([tensor()]).into(), Value::from(none), Some(tensor()).into()];
        let admitted = |kind: Kind| values.iter().map(|value| kind.admits(value)).collect::<Vec<_>>();
        assert_eq!(admitted(Kind::Tensor), [true, false, false, true]);
        assert_eq!(admitted(Kind::Sequence), [false, true, false, false]);
        assert_eq!(admitted(Kind::OptionalTensor), [true, false, true, true]);
        assert_eq!(admitted(Kind::OptionalSequence), [false, true, true, false]);
        assert_eq!(values.iter().map(|value| value.tensors().len()).collect::<Vec<_>>(), [1, 1, 0, 1]);
    }

    #[test]
    fn what_may_be_absent_is_something_when_it_is_there() {
        for kind in [Kind::Tensor, Kind::Sequence] {
            assert_eq!(kind.optional().present(), kind);
            assert!(kind.optional().is_optional() && !kind.is_optional());
            assert_eq!(kind.optional().is_sequence(), kind.is_sequence());
        }
    }
}
