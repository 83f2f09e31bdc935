//! How far an output lies from what it should be.
//!
//! An element is *outside* when it differs from the expected one by more than `atol + rtol · |expected|`; an output passes
//! when the share of its elements that are outside is at most the one allowed. Two NaNs are equal, as are two infinities of
//! one sign. Integers are compared as integers, so that no large one is rounded first.
//!
//! This file knows nothing of files or models: two tensors in, an account of their differences out.

use half::{bf16, f16};
use inferry_core::tensor::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, TensorError, unpack};
use inferry_core::{Element, ElementType, Shape, Tensor};

/// How much an output may differ.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Absolute part.
    pub atol: f64,
    /// Part relative to the expected value.
    pub rtol: f64,
    /// The share of elements, 0 to 1, that may lie outside.
    pub share: f64,
}

/// Two tensors that could be compared, and how they differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Elements of the output.
    pub elements: usize,
    /// Elements that differ by more than the tolerance.
    pub outside: usize,
    /// The largest difference; infinite where a NaN or an infinity stands on one side only.
    pub largest: f64,
    /// Where it is, unless all elements are equal.
    pub at: Option<Vec<usize>>,
    /// The output's element there, and the expected one, as text.
    pub values: Option<(String, String)>,
}

/// Why two tensors cannot be compared element by element.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Mismatch {
    /// The element types differ.
    #[error("it holds {got}, {want} were expected")]
    Element {
        /// Of the output.
        got: ElementType,
        /// Of the expected tensor.
        want: ElementType,
    },
    /// The shapes differ.
    #[error("its shape is {got}, {want} was expected")]
    Shape {
        /// Of the output.
        got: Box<Shape>,
        /// Of the expected tensor.
        want: Box<Shape>,
    },
    /// The numbers could not be read.
    #[error(transparent)]
    Tensor(Box<TensorError>),
}

impl From<TensorError> for Mismatch {
    fn from(error: TensorError) -> Mismatch {
        Mismatch::Tensor(error.into())
    }
}

impl Comparison {
    /// The share of elements that are outside; none of an empty output is.
    pub fn share(&self) -> f64 {
        if self.elements == 0 { 0.0 } else { self.outside as f64 / self.elements as f64 }
    }

    /// Whether no more elements are outside than the tolerance allows.
    pub fn passes(&self, tolerance: &Tolerance) -> bool {
        self.share() <= tolerance.share
    }
}

/// Compares an output with the expected tensor.
pub fn compare(got: &Tensor, want: &Tensor, tolerance: &Tolerance) -> Result<Comparison, Mismatch> {
    if got.element() != want.element() {
        return Err(Mismatch::Element { got: got.element(), want: want.element() });
    }
    if got.shape() != want.shape() {
        let (got, want) = (got.shape().clone().into(), want.shape().clone().into());
        return Err(Mismatch::Shape { got, want });
    }
    match got.element() {
        ElementType::Bool => numbers::<bool>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::I8 => numbers::<i8>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::I16 => numbers::<i16>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::I32 => numbers::<i32>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::I64 => numbers::<i64>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::U8 => numbers::<u8>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::U16 => numbers::<u16>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::U32 => numbers::<u32>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::U64 => numbers::<u64>(got, want, tolerance, |value| Number::Whole(value.into())),
        ElementType::F16 => numbers::<f16>(got, want, tolerance, |value| Number::Real(value.into())),
        ElementType::Bf16 => numbers::<bf16>(got, want, tolerance, |value| Number::Real(value.into())),
        ElementType::F32 => numbers::<f32>(got, want, tolerance, |value| Number::Real(value.into())),
        ElementType::F64 => numbers::<f64>(got, want, tolerance, Number::Real),
        ElementType::F8E4M3Fn => {
            numbers::<F8E4M3Fn>(got, want, tolerance, |value| Number::Real(value.to_f32().into()))
        }
        ElementType::F8E4M3Fnuz => {
            numbers::<F8E4M3Fnuz>(got, want, tolerance, |value| Number::Real(value.to_f32().into()))
        }
        ElementType::F8E5M2 => {
            numbers::<F8E5M2>(got, want, tolerance, |value| Number::Real(value.to_f32().into()))
        }
        ElementType::F8E5M2Fnuz => {
            numbers::<F8E5M2Fnuz>(got, want, tolerance, |value| Number::Real(value.to_f32().into()))
        }
        ElementType::I4 | ElementType::U4 => {
            numbers::<i8>(&unpacked(got)?, &unpacked(want)?, tolerance, |value| Number::Whole(value.into()))
        }
        _ => texts(got, want),
    }
}

/// The elements of a packed tensor, a byte each.
fn unpacked(tensor: &Tensor) -> Result<Tensor, TensorError> {
    let lease = tensor.lease_read()?;
    let elements = unpack(tensor.element(), &lease.bytes()[tensor.byte_range()]).take(tensor.len());
    Tensor::from_slice(&elements.collect::<Vec<_>>(), tensor.shape())
}

/// A number of any element type, without loss.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    /// The distance to `other`, which is of the same kind.
    fn distance(self, other: Number) -> f64 {
        match (self, other) {
            (Number::Whole(one), Number::Whole(two)) => one.abs_diff(two) as f64,
            (one, two) => {
                let (one, two) = (one.real(), two.real());
                if one == two || (one.is_nan() && two.is_nan()) {
                    0.0
                } else if one.is_finite() && two.is_finite() {
                    (one - two).abs()
                } else {
                    f64::INFINITY
                }
            }
        }
    }

    fn real(self) -> f64 {
        match self {
            Number::Whole(value) => value as f64,
            Number::Real(value) => value,
        }
    }
}

fn numbers<T: Element>(
    got: &Tensor,
    want: &Tensor,
    tolerance: &Tolerance,
    number: impl Fn(T) -> Number,
) -> Result<Comparison, Mismatch> {
    let (got_values, want_values) = (got.to_vec::<T>()?, want.to_vec::<T>()?);
    let differences = got_values.iter().zip(&want_values).map(|(got, want)| {
        let expected = number(*want);
        let difference = number(*got).distance(expected);
        // An infinite expected value makes the bound infinite: only equality is inside then.
        let allowed = tolerance.atol + tolerance.rtol * expected.real().abs();
        (difference, difference > allowed || difference == f64::INFINITY)
    });
    let show = |at: usize| (format!("{:?}", got_values[at]), format!("{:?}", want_values[at]));
    Ok(account(got.shape(), differences, show))
}

/// Texts are equal or not; there is nothing between.
fn texts(got: &Tensor, want: &Tensor) -> Result<Comparison, Mismatch> {
    let (got_texts, want_texts) = (got.strings()?, want.strings()?);
    let (got_texts, want_texts): (Vec<&str>, Vec<&str>) =
        (got_texts.iter().collect(), want_texts.iter().collect());
    let differences = got_texts.iter().zip(&want_texts).map(|(got, want)| match got == want {
        true => (0.0, false),
        false => (f64::INFINITY, true),
    });
    let show = |at: usize| (format!("{:?}", got_texts[at]), format!("{:?}", want_texts[at]));
    Ok(account(got.shape(), differences, show))
}

/// Adds up differences that come in row-major order.
fn account(
    shape: &Shape,
    differences: impl Iterator<Item = (f64, bool)>,
    show: impl Fn(usize) -> (String, String),
) -> Comparison {
    let (mut outside, mut largest, mut at) = (0, 0.0, None);
    for (index, (difference, is_outside)) in differences.enumerate() {
        outside += usize::from(is_outside);
        if difference > largest {
            (largest, at) = (difference, Some(index));
        }
    }
    let values = at.map(show);
    Comparison {
        elements: shape.count(),
        outside,
        largest,
        at: at.map(|index| position(index, shape)),
        values,
    }
}

/// The index in each dimension of the element at `flat`.
fn position(mut flat: usize, shape: &Shape) -> Vec<usize> {
    let mut index = vec![0; shape.rank()];
    for axis in (0..shape.rank()).rev() {
        (flat, index[axis]) = (flat / shape[axis], flat % shape[axis]);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: Tolerance = Tolerance { atol: 0.1, rtol: 0.01, share: 0.0 };

    fn floats(got: &[f32], want: &[f32], tolerance: &Tolerance) -> Comparison {
        let tensor = |values: &[f32]| Tensor::from_slice(values, [values.len()]).unwrap();
        compare(&tensor(got), &tensor(want), tolerance).unwrap()
    }

    #[test]
    fn an_element_is_outside_past_the_sum_of_both_tolerances() {
        // 0.1 + 0.01 · 100 = 1.1
        assert_eq!(floats(&[101.0, 99.0], &[100.0, 100.0], &CLOSE).outside, 0);
        let apart = floats(&[0.05, 101.5, 0.0], &[0.0, 100.0, 0.0], &CLOSE);
        assert_eq!((apart.outside, apart.largest, apart.at.as_deref()), (1, 1.5, Some(&[1][..])));
        assert_eq!(apart.values, Some(("101.5".to_string(), "100.0".to_string())));
        assert!(!apart.passes(&CLOSE));
    }

    #[test]
    fn a_share_of_elements_may_be_outside() {
        let apart = floats(&[1.0, 0.0, 0.0, 0.0], &[0.0; 4], &CLOSE);
        assert_eq!(apart.share(), 0.25);
        assert!(apart.passes(&Tolerance { share: 0.25, ..CLOSE }));
        assert!(!apart.passes(&Tolerance { share: 0.24, ..CLOSE }));
    }

    #[test]
    fn what_is_not_a_number_equals_only_itself() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let same = floats(&[nan, inf, -inf], &[nan, inf, -inf], &CLOSE);
        assert_eq!((same.outside, same.at), (0, None));
        for (got, want) in [(nan, 1.0), (1.0, nan), (inf, 1.0), (1.0, inf), (inf, -inf), (nan, inf)] {
            assert_eq!(floats(&[got], &[want], &CLOSE).outside, 1, "{got} for {want}");
        }
    }

    #[test]
    fn large_integers_are_not_rounded() {
        let (one, two) = (i64::MAX, i64::MAX - 1);
        let exact = Tolerance { atol: 0.0, rtol: 0.0, share: 0.0 };
        let apart = compare(&Tensor::scalar(one), &Tensor::scalar(two), &exact).unwrap();
        assert_eq!((apart.outside, apart.largest), (1, 1.0));
        assert_eq!(apart.at, Some(vec![]), "a scalar has no dimensions");
        let far = compare(&Tensor::scalar(i64::MIN), &Tensor::scalar(i64::MAX), &exact).unwrap();
        assert_eq!(far.largest, u64::MAX as f64);
    }

    #[test]
    fn other_types_and_shapes_are_told_apart() {
        let (one, two) = (Tensor::zeros(ElementType::F32, [2, 3]), Tensor::zeros(ElementType::F64, [2, 3]));
        let message = compare(&one, &two, &CLOSE).unwrap_err().to_string();
        assert_eq!(message, "it holds f32, f64 were expected");
        let message =
            compare(&one, &Tensor::zeros(ElementType::F32, [3, 2]), &CLOSE).unwrap_err().to_string();
        assert_eq!(message, "its shape is [2, 3], [3, 2] was expected");
    }

    #[test]
    fn the_place_of_the_largest_difference_is_in_dimensions() {
        let mut values = [0.0f32; 24];
        values[23] = 1.0;
        let got = Tensor::from_slice(&values, [2, 3, 4]).unwrap();
        let apart = compare(&got, &Tensor::zeros(ElementType::F32, [2, 3, 4]), &CLOSE).unwrap();
        assert_eq!(apart.at, Some(vec![1, 2, 3]));
    }

    #[test]
    fn texts_are_equal_or_not() {
        let texts = |texts: &[&str]| Tensor::from_strings(texts, [texts.len()]).unwrap();
        let apart = compare(&texts(&["a", "b"]), &texts(&["a", "c"]), &CLOSE).unwrap();
        assert_eq!((apart.outside, apart.at), (1, Some(vec![1])));
    }

    #[test]
    fn an_empty_output_passes() {
        assert!(floats(&[], &[], &CLOSE).passes(&CLOSE));
    }
}
