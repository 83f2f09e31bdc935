//! Shapes: the extents of a tensor, known or partly known. Inline, never on the heap.

use core::fmt;
use core::ops::Deref;

use heapless::Vec;

/// The largest number of dimensions of a tensor.
pub const MAX_RANK: usize = 8;

/// The extent of each dimension of a tensor, outermost first. A scalar has no dimensions.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize, MAX_RANK>);

/// A shape of more dimensions than [`MAX_RANK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} dimensions; at most {MAX_RANK} are supported")]
pub struct RankTooHigh(pub usize);

impl Shape {
    /// The shape of a scalar.
    pub const fn scalar() -> Shape {
        Shape(Vec::new())
    }

    /// A shape with these dimensions.
    pub fn new(dims: &[usize]) -> Result<Shape, RankTooHigh> {
        Vec::from_slice(dims).map(Shape).map_err(|_| RankTooHigh(dims.len()))
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements, or `None` when it overflows.
    pub fn checked_len(&self) -> Option<usize> {
        // A zero anywhere makes the tensor empty however large the others are.
        if self.0.contains(&0) {
            return Some(0);
        }
        self.0.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim))
    }

    /// The number of elements of a shape that belongs to a tensor (and therefore does not overflow).
    pub fn count(&self) -> usize {
        self.checked_len().unwrap_or(usize::MAX)
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl core::ops::DerefMut for Shape {
    fn deref_mut(&mut self) -> &mut [usize] {
        &mut self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Shape {
        const { assert!(N <= MAX_RANK, "a shape has at most 8 dimensions") };
        Shape(Vec::from_slice(&dims).expect("checked above"))
    }
}

impl TryFrom<&[usize]> for Shape {
    type Error = RankTooHigh;

    fn try_from(dims: &[usize]) -> Result<Shape, RankTooHigh> {
        Shape::new(dims)
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Shape {
        shape.clone()
    }
}

impl PartialEq<[usize]> for Shape {
    fn eq(&self, other: &[usize]) -> bool {
        self.0 == *other
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        self.0 == other[..]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, &self.0)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is known of one extent before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this.
    Fixed(usize),
    /// Anything.
    Any,
    /// At least the first, at most the second.
    Between(usize, usize),
}

impl Dim {
    /// True when `extent` is allowed here.
    pub fn admits(self, extent: usize) -> bool {
        match self {
            Dim::Fixed(fixed) => extent == fixed,
            Dim::Any => true,
            Dim::Between(low, high) => (low..=high).contains(&extent),
        }
    }

    /// The extent when it is fixed.
    pub fn fixed(self) -> Option<usize> {
        match self {
            Dim::Fixed(extent) => Some(extent),
            Dim::Any | Dim::Between(..) => None,
        }
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Fixed(extent) => write!(f, "{extent}"),
            Dim::Any => f.write_str("?"),
            Dim::Between(low, high) => write!(f, "{low}..{high}"),
        }
    }
}

/// A shape of which some extents, or even the number of dimensions, may be open until a run.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PartialShape(Option<Vec<Dim, MAX_RANK>>);

impl PartialShape {
    /// Nothing is known, not even the number of dimensions.
    pub const fn unknown() -> PartialShape {
        PartialShape(None)
    }

    /// These dimensions.
    pub fn new(dims: &[Dim]) -> Result<PartialShape, RankTooHigh> {
        Vec::from_slice(dims).map(|dims| PartialShape(Some(dims))).map_err(|_| RankTooHigh(dims.len()))
    }

    /// The dimensions, or `None` when even their number is open.
    pub fn dims(&self) -> Option<&[Dim]> {
        self.0.as_deref()
    }

    /// The shape when every extent is fixed.
    pub fn fixed(&self) -> Option<Shape> {
        let mut shape = Shape::scalar();
        for dim in self.0.as_ref()? {
            shape.0.push(dim.fixed()?).ok()?;
        }
        Some(shape)
    }

    /// True when a tensor of `shape` is allowed here.
    pub fn admits(&self, shape: &Shape) -> bool {
        let Some(dims) = &self.0 else { return true };
        dims.len() == shape.rank() && dims.iter().zip(shape.iter()).all(|(dim, extent)| dim.admits(*extent))
    }
}

impl From<Shape> for PartialShape {
    fn from(shape: Shape) -> PartialShape {
        PartialShape(Some(shape.iter().map(|extent| Dim::Fixed(*extent)).collect()))
    }
}

impl fmt::Display for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("[...]"),
            Some(dims) => list(f, dims),
        }
    }
}

impl fmt::Debug for PartialShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    f.write_str("[")?;
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_scalar_has_one_element_and_an_empty_shape_none() {
        assert_eq!(Shape::scalar().checked_len(), Some(1));
        assert_eq!(Shape::from([3, 0, usize::MAX, usize::MAX]).checked_len(), Some(0));
        assert_eq!(Shape::from([usize::MAX, 2]).checked_len(), None);
    }

    #[test]
    fn too_many_dimensions_are_an_error() {
        assert_eq!(Shape::new(&[1; 9]), Err(RankTooHigh(9)));
    }

    #[test]
    fn partial_shapes_admit_what_fits() {
        let partial = PartialShape::new(&[Dim::Fixed(1), Dim::Any, Dim::Between(2, 4)]).unwrap();
        assert!(partial.admits(&[1, 99, 3].into()));
        assert!(!partial.admits(&[1, 99, 5].into()));
        assert!(!partial.admits(&[1, 99].into()));
        assert!(PartialShape::unknown().admits(&[7].into()));
        assert_eq!(format!("{partial}"), "[1, ?, 2..4]");
        assert_eq!(partial.fixed(), None);
        assert_eq!(PartialShape::from(Shape::from([2, 3])).fixed(), Some([2, 3].into()));
    }
}
