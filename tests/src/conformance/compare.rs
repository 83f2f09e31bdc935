//! Is an output what the suite wants? The suite's own comparison, without its leniencies.
//!
//! Numbers with a point may differ by `atol + rtol · |wanted|`; NaN equals NaN, an infinity equals itself. Where the suite's
//! runner is lenient we are not: integers are compared exactly, and element type and shape must be the same even where
//! numpy would broadcast.

use half::{bf16, f16};
use inferry::{ElementType, Tensor};

use super::value::Value;

/// How far a float may lie from what is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tolerance {
    pub(super) rtol: f64,
    pub(super) atol: f64,
}

/// What differs: a line for the report, and lines for who looks closer.
#[derive(Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) first: String,
    pub(super) more: Vec<String>,
}

/// Lines that are kept for who looks closer.
const SHOWN: usize = 12;

/// An error that says what differs.
pub(super) fn compare(got: &Value, wanted: &Value, tolerance: Tolerance) -> Result<(), Difference> {
    match (got, wanted) {
        (Value::Tensor(got), Value::Tensor(wanted)) => tensors(got, wanted, tolerance),
        (Value::Sequence(got), Value::Sequence(wanted)) if got.len() == wanted.len() => {
            for (index, (got, wanted)) in got.iter().zip(wanted).enumerate() {
                compare(got, wanted, tolerance)
                    .map_err(|difference| difference.within(&format!("item {index}, ")))?;
            }
            Ok(())
        }
        (Value::Optional(None), Value::Optional(None)) => Ok(()),
        (Value::Optional(Some(got)), Value::Optional(Some(wanted))) => compare(got, wanted, tolerance),
        _ => Err(Difference::one(format!("got {got} wanted {wanted}"))),
    }
}

impl Difference {
    fn one(first: String) -> Difference {
        Difference { first, more: Vec::new() }
    }

    /// The same, of a part.
    pub(super) fn within(self, place: &str) -> Difference {
        Difference { first: format!("{place}{}", self.first), ..self }
    }
}

fn tensors(got: &Tensor, wanted: &Tensor, tolerance: Tolerance) -> Result<(), Difference> {
    let kind = |tensor: &Tensor| format!("{} {}", tensor.element(), tensor.shape());
    if (got.element(), got.shape()) != (wanted.element(), wanted.shape()) {
        return Err(Difference::one(format!("got {} wanted {}", kind(got), kind(wanted))));
    }
    let error = |problem: String| Difference::one(format!("cannot be compared: {problem}"));
    match (elements(got).map_err(error)?, elements(wanted).map_err(error)?) {
        (Elements::Floats(got), Elements::Floats(wanted)) => {
            all(&got, &wanted, |got, wanted| is_near(*got, *wanted, tolerance))
        }
        (Elements::Integers(got), Elements::Integers(wanted)) => all(&got, &wanted, PartialEq::eq),
        (Elements::Texts(got), Elements::Texts(wanted)) => all(&got, &wanted, PartialEq::eq),
        (Elements::Bytes(got), Elements::Bytes(wanted)) => all(&got, &wanted, PartialEq::eq),
        _ => unreachable!("both have the same element type"),
    }
}

/// The elements of a tensor in row-major order, as something to compare by.
pub(super) enum Elements {
    Floats(Vec<f64>),
    /// Also bool.
    Integers(Vec<i128>),
    Texts(Vec<String>),
    /// Of element types that Rust has no numbers for.
    Bytes(Vec<u8>),
}

/// The elements of a tensor.
pub(super) fn elements(tensor: &Tensor) -> Result<Elements, String> {
    macro_rules! as_numbers {
        ($variant:ident, $type:ty, $convert:expr) => {{
            let values = tensor.to_vec::<$type>().map_err(|error| error.to_string())?;
            Ok(Elements::$variant(values.into_iter().map($convert).collect()))
        }};
    }
    match tensor.element() {
        ElementType::F16 => as_numbers!(Floats, f16, f64::from),
        ElementType::Bf16 => as_numbers!(Floats, bf16, f64::from),
        ElementType::F32 => as_numbers!(Floats, f32, f64::from),
        ElementType::F64 => as_numbers!(Floats, f64, f64::from),
        ElementType::Bool => as_numbers!(Integers, bool, i128::from),
        ElementType::I8 => as_numbers!(Integers, i8, i128::from),
        ElementType::I16 => as_numbers!(Integers, i16, i128::from),
        ElementType::I32 => as_numbers!(Integers, i32, i128::from),
        ElementType::I64 => as_numbers!(Integers, i64, i128::from),
        ElementType::U8 => as_numbers!(Integers, u8, i128::from),
        ElementType::U16 => as_numbers!(Integers, u16, i128::from),
        ElementType::U32 => as_numbers!(Integers, u32, i128::from),
        ElementType::U64 => as_numbers!(Integers, u64, i128::from),
        ElementType::String => {
            let strings = tensor.strings().map_err(|error| error.to_string())?;
            Ok(Elements::Texts(strings.iter().map(str::to_owned).collect()))
        }
        other if tensor.is_dense() => {
            let lease = tensor.lease_read().map_err(|error| format!("{other}: {error}"))?;
            Ok(Elements::Bytes(lease.bytes()[tensor.byte_range()].to_vec()))
        }
        other => Err(format!("{other} with gaps")),
    }
}

fn is_near(got: f64, wanted: f64, tolerance: Tolerance) -> bool {
    got == wanted
        || (got.is_nan() && wanted.is_nan())
        // An infinite tolerance allows nothing.
        || (wanted.is_finite() && (got - wanted).abs() <= tolerance.atol + tolerance.rtol * wanted.abs())
}

fn all<T: std::fmt::Debug>(got: &[T], wanted: &[T], same: impl Fn(&T, &T) -> bool) -> Result<(), Difference> {
    let pairs = got.iter().zip(wanted).enumerate();
    let mut different = pairs.filter(|(_, (got, wanted))| !same(got, wanted));
    let text =
        |(index, (got, wanted)): (usize, (&T, &T))| format!("element {index}: got {got:?} wanted {wanted:?}");
    let Some(first) = different.next().map(text) else { return Ok(()) };
    let mut more: Vec<String> = different.by_ref().take(SHOWN).map(text).collect();
    let count = 1 + more.len() + different.count();
    more.push(format!("{count} of {} elements differ", got.len()));
    Err(Difference { first, more })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: Tolerance = Tolerance { rtol: 1e-3, atol: 1e-7 };

    fn first(got: &Tensor, wanted: &Tensor) -> Result<(), String> {
        let value = |tensor: &Tensor| Value::Tensor(Box::new(tensor.clone()));
        compare(&value(got), &value(wanted), SUITE).map_err(|difference| difference.first)
    }

    fn floats(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, [values.len()]).unwrap()
    }

    #[test]
    fn floats_may_differ_a_little_and_nan_equals_nan() {
        let wanted = floats(&[100.0, 0.0, f32::NAN, f32::INFINITY]);
        assert_eq!(first(&floats(&[100.09, 0.9e-7, f32::NAN, f32::INFINITY]), &wanted), Ok(()));
        let far = first(&floats(&[100.2, 0.0, f32::NAN, f32::INFINITY]), &wanted).unwrap_err();
        assert!(far.starts_with("element 0: got 100.19"), "{far}");
        let other = floats(&[100.0, 0.0, f32::NAN, f32::NEG_INFINITY]);
        assert_eq!(first(&other, &wanted).unwrap_err(), "element 3: got -inf wanted inf");
        let none = floats(&[100.0, f32::NAN, f32::NAN, f32::INFINITY]);
        assert_eq!(first(&none, &wanted).unwrap_err(), "element 1: got NaN wanted 0.0");
        assert!(first(&floats(&[f32::INFINITY]), &floats(&[1.0])).is_err());
        assert!(first(&floats(&[1.0]), &floats(&[f32::INFINITY])).is_err());
    }

    #[test]
    fn integers_texts_types_and_shapes_are_exact() {
        let of = |values: &[i64]| Tensor::from_slice(values, [values.len()]).unwrap();
        assert_eq!(first(&of(&[i64::MAX]), &of(&[i64::MAX])), Ok(()));
        assert!(first(&of(&[i64::MAX - 1]), &of(&[i64::MAX])).is_err());
        let text = |text: &str| Tensor::from_strings(&[text], [1]).unwrap();
        assert_eq!(first(&text("a"), &text("b")).unwrap_err(), "element 0: got \"a\" wanted \"b\"");
        assert_eq!(first(&of(&[1]), &floats(&[1.0])).unwrap_err(), "got i64 [1] wanted f32 [1]");
        let scalar = Tensor::scalar(1.0f32);
        assert_eq!(first(&scalar, &floats(&[1.0])).unwrap_err(), "got f32 [] wanted f32 [1]");
    }

    #[test]
    fn sequences_are_compared_item_by_item() {
        let sequence = |values: &[f32]| {
            Value::Sequence(values.iter().map(|value| Value::Tensor(Box::new(floats(&[*value])))).collect())
        };
        assert_eq!(compare(&sequence(&[1.0, 2.0]), &sequence(&[1.0, 2.0]), SUITE), Ok(()));
        let difference = compare(&sequence(&[1.0, 2.0]), &sequence(&[1.0, 3.0]), SUITE).unwrap_err();
        assert_eq!(difference.first, "item 1, element 0: got 2.0 wanted 3.0");
        assert!(compare(&sequence(&[1.0]), &sequence(&[1.0, 2.0]), SUITE).is_err());
        let optional = |value: Option<f32>| {
            Value::Optional(value.map(|value| Box::new(Value::Tensor(Box::new(floats(&[value]))))))
        };
        assert_eq!(compare(&optional(None), &optional(None), SUITE), Ok(()));
        let difference = compare(&optional(None), &optional(Some(1.0)), SUITE).unwrap_err();
        assert_eq!(difference.first, "got nothing wanted optionally f32 [1]");
    }

    #[test]
    fn who_looks_closer_sees_some_and_how_many() {
        let wanted = floats(&[0.0; 100]);
        let difference =
            compare(&Value::Tensor(Box::new(floats(&[1.0; 100]))), &Value::Tensor(Box::new(wanted)), SUITE)
                .unwrap_err();
        assert_eq!(difference.more.len(), SHOWN + 1);
        assert_eq!(difference.more.last().unwrap(), "100 of 100 elements differ");
    }
}
