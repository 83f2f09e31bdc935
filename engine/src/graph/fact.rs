//! Facts: what is known of a value before it is computed.
//!
//! An element type always; the shape as far as it is known; the value itself when it is constant. A fact never says where
//! the value will lie.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use inferry_core::{ElementType, Kind, PartialShape, Shape, Tensor};

/// The name of an extent that is the same wherever it stands: `batch`, or an expression the exporter wrote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Symbol(pub Arc<str>);

/// What is known of one extent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this.
    Fixed(usize),
    /// The same as every other extent of this name.
    Symbol(Symbol),
    /// Nothing.
    Unknown,
}

impl Dim {
    /// The extent when it is fixed.
    pub fn fixed(&self) -> Option<usize> {
        match self {
            Dim::Fixed(extent) => Some(*extent),
            _ => None,
        }
    }
}

/// What is known of a shape: `None` when not even the number of dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ShapeFact(pub Option<Vec<Dim>>);

impl ShapeFact {
    /// Nothing is known.
    pub fn unknown() -> ShapeFact {
        ShapeFact(None)
    }

    /// So many dimensions, nothing known of their extents.
    pub fn of_rank(rank: usize) -> ShapeFact {
        ShapeFact(Some(alloc::vec![Dim::Unknown; rank]))
    }

    /// The dimensions, when their number is known.
    pub fn dims(&self) -> Option<&[Dim]> {
        self.0.as_deref()
    }

    /// The number of dimensions, when known.
    pub fn rank(&self) -> Option<usize> {
        self.dims().map(<[Dim]>::len)
    }

    /// The shape when every extent is fixed (and there are not too many).
    pub fn fixed(&self) -> Option<Shape> {
        let extents: Option<Vec<usize>> = self.dims()?.iter().map(Dim::fixed).collect();
        Shape::new(&extents?).ok()
    }

    /// As a port shows it: symbols become open dimensions.
    pub fn to_partial(&self) -> PartialShape {
        let Some(dims) = self.dims() else { return PartialShape::unknown() };
        let dims: Vec<_> = dims
            .iter()
            .map(|dim| dim.fixed().map_or(inferry_core::Dim::Any, inferry_core::Dim::Fixed))
            .collect();
        PartialShape::new(&dims).unwrap_or(PartialShape::unknown())
    }
}

impl From<&[usize]> for ShapeFact {
    fn from(extents: &[usize]) -> ShapeFact {
        ShapeFact(Some(extents.iter().map(|extent| Dim::Fixed(*extent)).collect()))
    }
}

impl fmt::Display for ShapeFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(dims) = self.dims() else { return f.write_str("[...]") };
        f.write_str("[")?;
        for (index, dim) in dims.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match dim {
                Dim::Fixed(extent) => write!(f, "{extent}")?,
                // A name of the file, shown in one line whatever it holds.
                Dim::Symbol(symbol) => write!(f, "{}", symbol.0.escape_debug())?,
                Dim::Unknown => f.write_str("?")?,
            }
        }
        f.write_str("]")
    }
}

/// What is known of a value.
#[derive(Clone, Debug)]
pub struct Fact {
    /// A tensor, a sequence of tensors, or something that may be absent.
    pub kind: Kind,
    /// Type of the elements.
    pub element: ElementType,
    /// What is known of the shape: of that of every tensor in a sequence.
    pub shape: ShapeFact,
    /// The value, when it is the same in every run. Dense, never written again.
    pub constant: Option<Tensor>,
}

impl Fact {
    /// A value that is computed in the run.
    pub fn new(element: ElementType, shape: ShapeFact) -> Fact {
        Fact { kind: Kind::Tensor, element, shape, constant: None }
    }

    /// The same as another kind of value. Only tensors have constants.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Fact {
        let constant = self.constant.filter(|_| kind == Kind::Tensor);
        Fact { kind, constant, ..self }
    }

    /// A computed value of known shape.
    pub fn fixed(element: ElementType, extents: &[usize]) -> Fact {
        Fact::new(element, extents.into())
    }

    /// A constant.
    pub fn constant(tensor: Tensor) -> Fact {
        let shape = tensor.shape()[..].into();
        Fact { kind: Kind::Tensor, element: tensor.element(), shape, constant: Some(tensor) }
    }

    /// What holds of either of two values; `None` when their types differ, or only one is a sequence.
    pub fn either(&self, other: &Fact) -> Option<Fact> {
        let kind = match (self.kind, other.kind) {
            (a, b) if a == b => a,
            (a, b) if a.present() == b.present() => a.optional(),
            _ => return None,
        };
        let shape = match (self.shape.dims(), other.shape.dims()) {
            (Some(a), Some(b)) if a.len() == b.len() => {
                let both = |(a, b): (&Dim, &Dim)| if a == b { a.clone() } else { Dim::Unknown };
                ShapeFact(Some(a.iter().zip(b).map(both).collect()))
            }
            _ => ShapeFact::unknown(),
        };
        (self.element == other.element).then(|| Fact::new(self.element, shape).of_kind(kind))
    }

    /// The integers of a constant of an integer type, in row-major order.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let tensor = self.constant.as_ref()?;
        Some(match tensor.element() {
            ElementType::I64 => tensor.to_vec::<i64>().ok()?,
            ElementType::I32 => tensor.to_vec::<i32>().ok()?.into_iter().map(i64::from).collect(),
            ElementType::I16 => tensor.to_vec::<i16>().ok()?.into_iter().map(i64::from).collect(),
            ElementType::I8 => tensor.to_vec::<i8>().ok()?.into_iter().map(i64::from).collect(),
            ElementType::U8 => tensor.to_vec::<u8>().ok()?.into_iter().map(i64::from).collect(),
            ElementType::U16 => tensor.to_vec::<u16>().ok()?.into_iter().map(i64::from).collect(),
            ElementType::U32 => tensor.to_vec::<u32>().ok()?.into_iter().map(i64::from).collect(),
            _ => return None,
        })
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Tensor => write!(f, "{}{}", self.element, self.shape)?,
            Kind::Sequence => write!(f, "sequence({}{})", self.element, self.shape)?,
            Kind::OptionalTensor => write!(f, "optional({}{})", self.element, self.shape)?,
            Kind::OptionalSequence => write!(f, "optional(sequence({}{}))", self.element, self.shape)?,
        }
        if self.constant.is_some() { f.write_str(" constant") } else { Ok(()) }
    }
}
