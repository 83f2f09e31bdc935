//! The words in which operators are put together from others: see [`Fragment`].
//!
//! Each is one step (or a few that always go together). What hangs on the rank or the extents of a value is written with
//! [`Fragment::extents`] and [`Fragment::reshape`]; the passes fold it where the shape is known.

use inferry_core::ElementType;

use super::{
    Binary, Cast, CastLike, Concat, Gather, Reduce, ReduceKind, Reshape, ShapeOf, Squeeze, Transpose,
    Unsqueeze, Where,
};
use crate::onnx::{Fragment, Wire};

impl Fragment {
    /// A number in the element type of `like`.
    pub(crate) fn number(&mut self, value: f32, like: Wire) -> Wire {
        let value = self.scalar(value);
        self.like(value, like)
    }

    /// `x` in the element type of another value.
    pub(crate) fn like(&mut self, x: Wire, other: Wire) -> Wire {
        self.step(CastLike { saturate: true }, &[x, other])
    }

    /// `x` as another element type.
    pub(crate) fn cast(&mut self, x: Wire, to: ElementType) -> Wire {
        self.step(Cast { to, saturate: true }, &[x])
    }

    /// `a + b`
    pub(crate) fn add(&mut self, a: Wire, b: Wire) -> Wire {
        self.step(Binary::Add, &[a, b])
    }

    /// `a - b`
    pub(crate) fn sub(&mut self, a: Wire, b: Wire) -> Wire {
        self.step(Binary::Sub, &[a, b])
    }

    /// `a * b`
    pub(crate) fn mul(&mut self, a: Wire, b: Wire) -> Wire {
        self.step(Binary::Mul, &[a, b])
    }

    /// `a / b`
    pub(crate) fn div(&mut self, a: Wire, b: Wire) -> Wire {
        self.step(Binary::Div, &[a, b])
    }

    /// `a` where the condition holds, else `b`.
    pub(crate) fn choose(&mut self, condition: Wire, a: Wire, b: Wire) -> Wire {
        self.step(Where, &[condition, a, b])
    }

    /// What `kind` takes along some dimensions, which stay with extent 1.
    pub(crate) fn reduce(&mut self, kind: ReduceKind, x: Wire, axes: &[i64]) -> Wire {
        let axes = self.ints(axes);
        self.step(Reduce { kind, keep_dims: true, noop_with_empty_axes: true }, &[x, axes])
    }

    /// What `kind` takes of all elements, as a scalar.
    pub(crate) fn reduce_all(&mut self, kind: ReduceKind, x: Wire) -> Wire {
        self.step(Reduce { kind, keep_dims: false, noop_with_empty_axes: false }, &[x])
    }

    /// The extents of the dimensions from `start` to before `end`, as a vector.
    pub(crate) fn extents(&mut self, x: Wire, start: i64, end: Option<i64>) -> Wire {
        self.step(ShapeOf { start, end }, &[x])
    }

    /// The number of elements in the dimensions from `start` to before `end`, as a vector of one number.
    pub(crate) fn count(&mut self, x: Wire, start: i64, end: Option<i64>) -> Wire {
        let extents = self.extents(x, start, end);
        self.reduce(ReduceKind::Prod, extents, &[0])
    }

    /// Vectors one after the other.
    pub(crate) fn chain(&mut self, vectors: &[Wire]) -> Wire {
        self.step(Concat { axis: 0 }, vectors)
    }

    /// Elements of a vector, by position.
    pub(crate) fn pick(&mut self, vector: Wire, positions: &[i64]) -> Wire {
        let positions = self.ints(positions);
        self.step(Gather { axis: 0 }, &[vector, positions])
    }

    /// `x` in another shape; 0 is an extent of zero.
    pub(crate) fn reshape(&mut self, x: Wire, shape: Wire) -> Wire {
        self.step(Reshape { allow_zero: true }, &[x, shape])
    }

    /// `x` with the shape of another value.
    pub(crate) fn reshape_like(&mut self, x: Wire, other: Wire) -> Wire {
        let shape = self.extents(other, 0, None);
        self.reshape(x, shape)
    }

    /// `x` with new dimensions of extent 1.
    pub(crate) fn unsqueeze(&mut self, x: Wire, axes: &[i64]) -> Wire {
        let axes = self.ints(axes);
        self.step(Unsqueeze, &[x, axes])
    }

    /// `x` without these dimensions, whose extent is 1.
    pub(crate) fn squeeze(&mut self, x: Wire, axes: &[i64]) -> Wire {
        let axes = self.ints(axes);
        self.step(Squeeze, &[x, axes])
    }

    /// `x` with its dimensions in another order.
    pub(crate) fn transpose(&mut self, x: Wire, perm: &[usize]) -> Wire {
        self.step(Transpose { perm: Some(perm.into()) }, &[x])
    }
}
