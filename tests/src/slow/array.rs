//! Arrays of numbers, element by element.

use inferry_core::{ElementType, Shape, Tensor};

use super::number::Number;

/// Numbers in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The type that they are held in.
    pub element: ElementType,
    /// The extents.
    pub shape: Vec<usize>,
    /// As many as the extents say.
    pub numbers: Vec<Number>,
}

impl Array {
    /// An array whose element at each index is made by a function.
    pub(super) fn new(
        element: ElementType,
        shape: &[usize],
        mut number: impl FnMut(&[usize]) -> Number,
    ) -> Array {
        let numbers = indices(shape).map(|index| number(&index)).collect();
        Array { element, shape: shape.to_vec(), numbers }
    }

    /// The element at an index.
    pub(super) fn at(&self, index: &[usize]) -> Number {
        let place = index.iter().zip(&self.shape).fold(0, |place, (at, extent)| place * extent + at);
        self.numbers[place]
    }

    /// The element that an index of a larger shape means, this one being broadcast to it.
    pub(super) fn broadcast(&self, index: &[usize]) -> Number {
        let own = &index[index.len() - self.shape.len()..];
        let own: Vec<usize> =
            own.iter().zip(&self.shape).map(|(at, extent)| if *extent == 1 { 0 } else { *at }).collect();
        self.at(&own)
    }

    /// The array as a tensor.
    ///
    /// # Panics
    /// When an element is unknown.
    pub fn tensor(&self) -> Tensor {
        let shape = Shape::new(&self.shape).expect("few dimensions");
        let whole = |number: &Number| match number {
            Number::Whole(value) => *value,
            other => panic!("{other:?} is no integer"),
        };
        let real = |number: &Number| number.parts().expect("a known float").0;
        macro_rules! filled {
            ($get:ident as $type:ty) => {
                Tensor::from_slice(
                    &self.numbers.iter().map(|number| $get(number) as $type).collect::<Vec<$type>>(),
                    shape,
                )
            };
        }
        let tensor = match self.element {
            ElementType::F32 => filled!(real as f32),
            ElementType::F64 => filled!(real as f64),
            ElementType::I8 => filled!(whole as i8),
            ElementType::U8 => filled!(whole as u8),
            ElementType::I32 => filled!(whole as i32),
            ElementType::I64 => filled!(whole as i64),
            ElementType::Bool => {
                let values: Vec<bool> = self.numbers.iter().map(|number| whole(number) != 0).collect();
                Tensor::from_slice(&values, shape)
            }
            other => panic!("no arrays of {other}"),
        };
        tensor.expect("as many numbers as the shape has")
    }

    /// How a tensor differs from the array, if it does, and how many of its elements were known and compared.
    pub fn compare(&self, tensor: &Tensor) -> Result<usize, String> {
        if tensor.element() != self.element || tensor.shape()[..] != self.shape[..] {
            return Err(format!(
                "{}{} instead of {}{:?}",
                tensor.element(),
                tensor.shape(),
                self.element,
                self.shape
            ));
        }
        let found = numbers_of(tensor);
        let mut known = 0;
        for (at, (found, wanted)) in found.iter().zip(&self.numbers).enumerate() {
            let near = match (found, wanted) {
                (_, Number::Unknown) => continue,
                (Number::Real { value: found, .. }, Number::Real { value, doubt }) => {
                    (found - value).abs() <= *doubt
                }
                (found, wanted) => found == wanted,
            };
            if !near {
                return Err(format!("element {at} is {found:?} instead of {wanted:?}"));
            }
            known += 1;
        }
        Ok(known)
    }
}

/// All indices of a shape, in row-major order.
pub(super) fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + use<> {
    let shape = shape.to_vec();
    (0..shape.iter().product()).map(move |mut place: usize| {
        let mut index = vec![0; shape.len()];
        for (at, extent) in index.iter_mut().zip(&shape).rev() {
            *at = place % extent;
            place /= extent;
        }
        index
    })
}

fn numbers_of(tensor: &Tensor) -> Vec<Number> {
    macro_rules! whole {
        ($type:ty) => {
            tensor
                .to_vec::<$type>()
                .expect("of this type")
                .into_iter()
                .map(|value| Number::Whole(value.into()))
                .collect()
        };
    }
    match tensor.element() {
        ElementType::F32 => tensor
            .to_vec::<f32>()
            .expect("of this type")
            .into_iter()
            .map(|value| Number::exact(value.into()))
            .collect(),
        ElementType::F64 => {
            tensor.to_vec::<f64>().expect("of this type").into_iter().map(Number::exact).collect()
        }
        ElementType::I8 => whole!(i8),
        ElementType::U8 => whole!(u8),
        ElementType::I32 => whole!(i32),
        ElementType::I64 => whole!(i64),
        ElementType::Bool => whole!(bool),
        other => panic!("no arrays of {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_and_tensors_are_the_same_numbers() {
        let array =
            Array::new(ElementType::I8, &[2, 3], |index| Number::Whole((index[0] * 3 + index[1]) as i128));
        assert_eq!(array.compare(&array.tensor()), Ok(6));
        assert_eq!(array.at(&[1, 2]), Number::Whole(5));
        assert_eq!(array.broadcast(&[9, 1, 2]), Number::Whole(5));
        let other = Array::new(ElementType::I8, &[2, 3], |_| Number::Whole(0));
        assert!(array.compare(&other.tensor()).unwrap_err().starts_with("element 1 "));
        let unknown = Array::new(ElementType::I8, &[2, 3], |_| Number::Unknown);
        assert_eq!(unknown.compare(&array.tensor()), Ok(0));
    }
}
