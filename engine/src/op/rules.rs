//! What many operators have in common: sets of element types, broadcasting, axes, extents.
//!
//! Nothing here knows a single operator. Every rule gives an [`OpError`] that names the input; none panics, however
//! absurd the numbers of a model are.

use alloc::format;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_core::tensor::MAX_RANK;

use super::{Inputs, OpError};
use crate::graph::{Dim, Fact, ShapeFact};

/// A set of element types that an input may have.
pub(crate) struct Types {
    pub(super) wanted: &'static str,
    pub(super) has: fn(ElementType) -> bool,
}

use ElementType::{Bool, I8, I32, I64, U8, U32, U64};

/// f16, bf16, f32, f64.
pub(crate) const FLOAT: Types = Types { wanted: "a float type is needed", has: ElementType::is_float };
/// Floats and integers.
pub(crate) const NUMBER: Types =
    Types { wanted: "a number type is needed", has: |element| element.is_float() || element.is_integer() };
/// Floats and signed integers.
pub(crate) const SIGNED: Types = Types {
    wanted: "a float or signed integer type is needed",
    has: |element| {
        element.is_float() || matches!(element, I8 | ElementType::I16 | ElementType::I32 | ElementType::I64)
    },
};
/// Integers.
pub(crate) const INTEGER: Types = Types { wanted: "an integer type is needed", has: ElementType::is_integer };
/// Unsigned integers.
pub(crate) const UNSIGNED: Types = Types {
    wanted: "an unsigned integer type is needed",
    has: |element| matches!(element, U8 | ElementType::U16 | U32 | U64),
};
/// Floats, integers and bool.
pub(crate) const NUMBER_OR_BOOL: Types = Types {
    wanted: "a number type or bool is needed",
    has: |element| (NUMBER.has)(element) || element == Bool,
};
/// bool.
pub(crate) const BOOL: Types = Types { wanted: "bool is needed", has: |element| element == Bool };
/// string.
pub(crate) const STRING: Types =
    Types { wanted: "string is needed", has: |element| element == ElementType::String };
/// Everything.
pub(crate) const ANY: Types = Types { wanted: "anything", has: |_| true };
/// What Pow, PRelu, Gemm and MatMul take: floats and integers of at least 32 bits.
pub(crate) const WIDE: Types = Types {
    wanted: "a float type or an integer type of 32 or 64 bits is needed",
    has: |element| element.is_float() || matches!(element, I32 | I64 | U32 | U64),
};
/// i64.
pub(crate) const INT64: Types = Types { wanted: "i64 is needed", has: |element| element == I64 };
/// i32 or i64.
pub(crate) const INDEX: Types =
    Types { wanted: "i32 or i64 is needed", has: |element| matches!(element, I32 | I64) };
/// i32.
pub(crate) const INT32: Types = Types { wanted: "i32 is needed", has: |element| element == I32 };
/// Floats, i8 and u8.
pub(crate) const FLOAT_OR_BYTE: Types = Types {
    wanted: "a float type, i8 or u8 is needed",
    has: |element| element.is_float() || matches!(element, I8 | U8),
};
/// Floats, integers of at least 32 bits, i8, u8 and bool.
pub(crate) const ORDERED: Types = Types {
    wanted: "a float type, bool or an integer type other than of 16 bits is needed",
    has: |element| element.is_float() || matches!(element, I32 | I64 | U32 | U64 | I8 | U8 | Bool),
};
/// f32.
pub(crate) const FLOAT32: Types =
    Types { wanted: "f32 is needed", has: |element| element == ElementType::F32 };
/// f32, f64, i16, i32, i64.
pub(crate) const RANGE: Types = Types {
    wanted: "f32, f64, i16, i32 or i64 is needed",
    has: |element| matches!(element, ElementType::F32 | ElementType::F64 | ElementType::I16 | I32 | I64),
};
/// Scales of quantized numbers, and the real numbers they stand for: f16, bf16, f32.
pub(crate) const SCALE: Types = Types {
    wanted: "f16, bf16 or f32 is needed",
    has: |element| matches!(element, ElementType::F16 | ElementType::Bf16 | ElementType::F32),
};
/// What is quantized: f16, bf16, f32 and i32.
pub(crate) const QUANTIZABLE: Types = Types {
    wanted: "f16, bf16, f32 or i32 is needed",
    has: |element| (SCALE.has)(element) || element == I32,
};
/// What numbers are quantized to: integers of 4, 8 and 16 bits and floats of 8.
pub(crate) const QUANTIZED: Types = Types {
    wanted: "an integer type of 4, 8 or 16 bits or a float type of 8 is needed",
    has: |element| {
        matches!(element, I8 | U8 | ElementType::I16 | ElementType::U16)
            || element.is_packed()
            || element.is_float8()
    },
};
/// What is dequantized: the same and i32.
pub(crate) const QUANTIZED_OR_INT32: Types = Types {
    wanted: "i32, an integer type of 4, 8 or 16 bits or a float type of 8 is needed",
    has: |element| element == I32 || (QUANTIZED.has)(element),
};
/// i8 or u8.
pub(crate) const BYTE: Types =
    Types { wanted: "i8 or u8 is needed", has: |element| matches!(element, I8 | U8) };

impl<'a> Inputs<'a> {
    /// A required input of one of these types.
    pub(crate) fn typed(&self, index: usize, types: &Types) -> Result<&'a Fact, OpError> {
        let fact = self.required(index)?;
        types.check(index, fact)?;
        Ok(fact)
    }

    /// An optional input, of one of these types if it is there.
    pub(crate) fn typed_optional(&self, index: usize, types: &Types) -> Result<Option<&'a Fact>, OpError> {
        let Some(fact) = self.optional(index) else { return Ok(None) };
        types.check(index, fact)?;
        Ok(Some(fact))
    }

    /// A required input of the same type as another one.
    pub(crate) fn alike(&self, index: usize, other: &Fact) -> Result<&'a Fact, OpError> {
        let fact = self.required(index)?;
        if fact.element != other.element {
            let wanted = "it must have the same type as the input before";
            return Err(OpError::Element { input: index, actual: fact.element, wanted });
        }
        Ok(fact)
    }

    /// An optional input, of the same type as another one if it is there.
    pub(crate) fn alike_optional(&self, index: usize, other: &Fact) -> Result<Option<&'a Fact>, OpError> {
        if self.optional(index).is_none() { Ok(None) } else { self.alike(index, other).map(Some) }
    }

    /// Refuses more inputs or outputs than the operator has.
    pub(crate) fn at_most(&self, inputs: usize, outputs: usize) -> Result<(), OpError> {
        if self.len() > inputs {
            return shape_error(format!("{} inputs are given, at most {inputs} are taken", self.len()));
        }
        if self.outputs() > outputs {
            return shape_error(format!("{} outputs are asked for, there are {outputs}", self.outputs()));
        }
        Ok(())
    }
}

impl Types {
    /// Refuses a fact of another type.
    pub(crate) fn check(&self, input: usize, fact: &Fact) -> Result<(), OpError> {
        if (self.has)(fact.element) {
            return Ok(());
        }
        Err(OpError::Element { input, actual: fact.element, wanted: self.wanted })
    }
}

/// An [`OpError::Shape`] as a result.
pub(crate) fn shape_error<T>(what: alloc::string::String) -> Result<T, OpError> {
    Err(OpError::Shape(what))
}

/// One fact as the answer of an operator with one output.
pub(crate) fn one(element: ElementType, shape: ShapeFact) -> Result<Vec<Fact>, OpError> {
    check_rank(&shape)?;
    Ok(alloc::vec![Fact::new(element, shape)])
}

/// Facts as the answer of an operator with several outputs.
pub(crate) fn several(facts: Vec<Fact>) -> Result<Vec<Fact>, OpError> {
    facts.iter().try_for_each(|fact| check_rank(&fact.shape))?;
    Ok(facts)
}

/// Refuses shapes of more dimensions than a tensor may have.
pub(crate) fn check_rank(shape: &ShapeFact) -> Result<(), OpError> {
    match shape.rank() {
        Some(rank) if rank > MAX_RANK => {
            shape_error(format!("{rank} dimensions; at most {MAX_RANK} are supported"))
        }
        _ => Ok(()),
    }
}

/// The axis as a position: negative ones count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, OpError> {
    let position = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match position.and_then(|position| usize::try_from(position).ok()) {
        Some(position) if position < rank => Ok(position),
        _ => shape_error(format!("axis {axis} does not exist in {rank} dimensions")),
    }
}

/// The shape of tensors broadcast together, as numpy does it.
pub(crate) fn broadcast<'a>(shapes: impl IntoIterator<Item = &'a ShapeFact>) -> Result<ShapeFact, OpError> {
    let mut result: Vec<Dim> = Vec::new();
    let mut open = false;
    for shape in shapes {
        let Some(dims) = shape.dims() else {
            // Its rank may be the largest: nothing is known of the result, but the others must still fit.
            open = true;
            continue;
        };
        if dims.len() > result.len() {
            let missing = dims.len() - result.len();
            result.splice(0..0, core::iter::repeat_n(Dim::Fixed(1), missing));
        }
        let lead = result.len() - dims.len();
        for (slot, dim) in result[lead..].iter_mut().zip(dims) {
            let Some(both) = broadcast_dim(slot, dim) else {
                return shape_error(format!("{} does not broadcast with {shape}", ShapeFact(Some(result))));
            };
            *slot = both;
        }
    }
    Ok(if open { ShapeFact::unknown() } else { ShapeFact(Some(result)) })
}

/// Refuses a shape that does not broadcast to `target` without changing it, as far as both are known.
pub(crate) fn broadcasts_to(input: usize, shape: &ShapeFact, target: &ShapeFact) -> Result<(), OpError> {
    let (Some(dims), Some(wanted)) = (shape.dims(), target.dims()) else { return Ok(()) };
    let fits = dims.len() <= wanted.len()
        && dims.iter().rev().zip(wanted.iter().rev()).all(|pair| match pair {
            (Dim::Fixed(1), _) => true,
            (Dim::Fixed(a), Dim::Fixed(b)) => a == b,
            _ => true,
        });
    if fits {
        Ok(())
    } else {
        shape_error(format!("input {input} of shape {shape} does not broadcast to {target}"))
    }
}

fn broadcast_dim(a: &Dim, b: &Dim) -> Option<Dim> {
    match (a, b) {
        (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Some(other.clone()),
        (Dim::Fixed(a), Dim::Fixed(b)) => (a == b).then_some(Dim::Fixed(*a)),
        // The other one is 1 or the same in every run that does not fail.
        (Dim::Fixed(extent), _) | (_, Dim::Fixed(extent)) => Some(Dim::Fixed(*extent)),
        (a, b) if a == b => Some(a.clone()),
        _ => Some(Dim::Unknown),
    }
}

/// What is known of an extent of which two things are known: they must not contradict each other.
pub(crate) fn unify_dim(a: &Dim, b: &Dim) -> Result<Dim, OpError> {
    match (a, b) {
        (Dim::Fixed(a), Dim::Fixed(b)) if a != b => shape_error(format!("extents {a} and {b} must be equal")),
        (Dim::Fixed(_), _) | (_, Dim::Unknown) => Ok(a.clone()),
        (_, Dim::Fixed(_)) | (Dim::Unknown, _) => Ok(b.clone()),
        (Dim::Symbol(_), Dim::Symbol(_)) => Ok(a.clone()),
    }
}

/// The product of extents: fixed if all are (or one is 0), an only open one if all others are 1.
pub(crate) fn product<'a>(dims: impl IntoIterator<Item = &'a Dim>) -> Result<Dim, OpError> {
    let mut fixed = 1usize;
    let mut open: Option<Dim> = None;
    let mut several = false;
    for dim in dims {
        match dim {
            Dim::Fixed(0) => return Ok(Dim::Fixed(0)),
            Dim::Fixed(extent) => match fixed.checked_mul(*extent) {
                Some(more) => fixed = more,
                None => return shape_error("the number of elements overflows".into()),
            },
            other => {
                several |= open.is_some();
                open = Some(other.clone());
            }
        }
    }
    Ok(match open {
        None => Dim::Fixed(fixed),
        Some(dim) if fixed == 1 && !several => dim,
        Some(_) => Dim::Unknown,
    })
}

/// An extent that does not fit the address space.
pub(crate) fn too_large() -> OpError {
    OpError::Shape("an extent overflows".into())
}

/// Refuses a shape of another number of dimensions, if that is known.
pub(crate) fn check_rank_is(input: usize, shape: &ShapeFact, rank: usize) -> Result<(), OpError> {
    match shape.rank() {
        Some(actual) if actual != rank => {
            shape_error(format!("input {input} must have {rank} dimensions, its shape is {shape}"))
        }
        _ => Ok(()),
    }
}

/// Refuses what is not one number: the standard wants a scalar, exporters also write vectors of one element.
pub(crate) fn check_single(input: usize, fact: Option<&Fact>) -> Result<(), OpError> {
    let Some(fact) = fact else { return Ok(()) };
    let single = |dims: &[Dim]| dims.iter().all(|dim| dim.fixed().is_none_or(|extent| extent == 1));
    if fact.shape.dims().is_none_or(single) {
        return Ok(());
    }
    shape_error(format!("input {input} must be one number, its shape is {}", fact.shape))
}

/// Refuses what is not a vector of this extent.
pub(crate) fn check_vector(input: usize, fact: &Fact, extent: &Dim) -> Result<(), OpError> {
    match (fact.shape.dims(), extent) {
        (None, _) => Ok(()),
        (Some([Dim::Fixed(actual)]), Dim::Fixed(wanted)) if actual != wanted => {
            shape_error(format!("input {input} must have {wanted} elements, not {actual}"))
        }
        (Some([_]), _) => Ok(()),
        (Some(_), _) => shape_error(format!("input {input} must be a vector, its shape is {}", fact.shape)),
    }
}

/// The number of elements of a vector; a scalar counts as one.
pub(crate) fn vector_len(fact: &Fact) -> Option<usize> {
    match fact.shape.dims()? {
        [] => Some(1),
        [dim] => dim.fixed(),
        _ => None,
    }
}

/// Which of `rank` dimensions are named; none may be named twice.
pub(crate) fn axes_mask(axes: &[i64], rank: usize) -> Result<Vec<bool>, OpError> {
    let mut mask = alloc::vec![false; rank];
    for named in axes {
        let position = axis(*named, rank)?;
        if core::mem::replace(&mut mask[position], true) {
            return shape_error(format!("axis {named} is named twice"));
        }
    }
    Ok(mask)
}

/// So many unknown dimensions, or an unknown number.
pub(crate) fn unknown_of(rank: Option<usize>) -> ShapeFact {
    // More than a tensor may have are refused by `check_rank`; they need not be written down one by one for that.
    rank.map_or(ShapeFact::unknown(), |rank| ShapeFact::of_rank(rank.min(MAX_RANK + 1)))
}

/// Integers of an input as extents.
pub(crate) fn extents(input: usize, values: &[i64]) -> Result<Vec<usize>, OpError> {
    let extent = |value: &i64| {
        usize::try_from(*value)
            .or_else(|_| shape_error(format!("input {input} asks for an extent of {value}")))
    };
    values.iter().map(extent).collect()
}

/// The numbers of a constant of a float type, as f32.
pub(crate) fn reals(fact: &Fact) -> Option<Vec<f32>> {
    let tensor = fact.constant.as_ref()?;
    Some(match tensor.element() {
        ElementType::F32 => tensor.to_vec::<f32>().ok()?,
        ElementType::F64 => tensor.to_vec::<f64>().ok()?.into_iter().map(|value| value as f32).collect(),
        ElementType::F16 => tensor.to_vec::<half::f16>().ok()?.into_iter().map(f32::from).collect(),
        ElementType::Bf16 => tensor.to_vec::<half::bf16>().ok()?.into_iter().map(f32::from).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Symbol;
    use crate::op::testing::fact;

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        let cases = [
            (&["f32[2, 3]", "f32[3]"][..], "[2, 3]"),
            (&["f32[2, 1, 4]", "f32[3, 1]"], "[2, 3, 4]"),
            (&["f32[]", "f32[]"], "[]"),
            (&["f32[N, 3]", "f32[N, 1]"], "[N, 3]"),
            (&["f32[N, 3]", "f32[1, 3]"], "[N, 3]"),
            (&["f32[N, 3]", "f32[M, 3]"], "[?, 3]"),
            (&["f32[N, 3]", "f32[7, 3]"], "[7, 3]"),
            (&["f32[?, 3]", "f32[N, 3]"], "[?, 3]"),
            (&["f32[0, 3]", "f32[1, 3]"], "[0, 3]"),
            (&["f32[...]", "f32[3]"], "[...]"),
            (&["f32[4, 1]", "f32[5]", "f32[2, 1, 1]"], "[2, 4, 5]"),
            (&["f32[2]", "f32[3]"], "[2] does not broadcast with [3]"),
            (&["f32[0]", "f32[3]"], "[0] does not broadcast with [3]"),
            (&["f32[2]", "f32[...]", "f32[3]"], "[2] does not broadcast with [3]"),
        ];
        for (inputs, expect) in cases {
            let facts: Vec<Fact> = inputs.iter().filter_map(|text| fact(text)).collect();
            let actual = match broadcast(facts.iter().map(|fact| &fact.shape)) {
                Ok(shape) => format!("{shape}"),
                Err(error) => format!("{error}"),
            };
            assert_eq!(actual, expect, "{inputs:?}");
        }
    }

    #[test]
    fn axes_count_from_both_ends_and_stay_inside() {
        assert_eq!(axis(-1, 3), Ok(2));
        assert_eq!(axis(0, 3), Ok(0));
        for absurd in [3, -4, i64::MIN, i64::MAX] {
            assert!(axis(absurd, 3).is_err());
        }
        assert!(axis(0, 0).is_err());
        assert_eq!(axes_mask(&[-1, 0], 3), Ok(alloc::vec![true, false, true]));
        assert_eq!(axes_mask(&[1, -2], 3), Err(OpError::Shape("axis -2 is named twice".into())));
    }

    #[test]
    fn products_stay_open_or_overflow_with_an_error() {
        let n = || Dim::Symbol(Symbol("N".into()));
        assert_eq!(product(&[Dim::Fixed(2), Dim::Fixed(3)]), Ok(Dim::Fixed(6)));
        assert_eq!(product(&[Dim::Fixed(1), n()]), Ok(n()));
        assert_eq!(product(&[Dim::Fixed(2), n()]), Ok(Dim::Unknown));
        assert_eq!(product(&[n(), n()]), Ok(Dim::Unknown));
        assert_eq!(product(&[n(), Dim::Fixed(0)]), Ok(Dim::Fixed(0)));
        assert!(product(&[Dim::Fixed(usize::MAX), Dim::Fixed(2)]).is_err());
    }
}
