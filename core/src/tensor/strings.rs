//! Strings: the elements that are not plain bytes.
//!
//! A string tensor has its strings in a storage of their own kind, with the same leases, regions and copies as numbers.
//! Strides and offsets count the bytes of the handles, [`ElementType::size`] each.

use alloc::string::String;
use core::marker::PhantomData;
use core::ops::Range;

use super::walk::Walk;
use super::{ElementType, ReadLease, Shape, Tensor, TensorError, WriteLease, filled};

/// The strings of a tensor, to read. Holds a reader's lease until dropped.
#[derive(Debug)]
pub struct Strings<'a> {
    lease: ReadLease,
    tensor: &'a Tensor,
}

/// The strings of a tensor, to write. Holds the writer's lease until dropped.
#[derive(Debug)]
pub struct StringsMut<'a> {
    lease: WriteLease,
    /// A copy of the handle, which names no other memory than the borrowed one does.
    tensor: Tensor,
    of: PhantomData<&'a mut Tensor>,
}

impl Tensor {
    /// A dense tensor with copies of these strings in row-major order.
    pub fn from_strings(strings: &[impl AsRef<str>], shape: impl Into<Shape>) -> Result<Tensor, TensorError> {
        let shape = shape.into();
        filled(strings.len(), &shape)?;
        let mut tensor = Tensor::try_zeros(ElementType::String, shape)?;
        for (slot, string) in tensor.strings_mut()?.iter_mut().zip(strings) {
            slot.push_str(string.as_ref());
        }
        Ok(tensor)
    }

    /// The strings of a string tensor.
    pub fn strings(&self) -> Result<Strings<'_>, TensorError> {
        self.expect_strings()?;
        Ok(Strings { lease: self.lease_read()?, tensor: self })
    }

    /// The strings of a string tensor, to write.
    pub fn strings_mut(&mut self) -> Result<StringsMut<'_>, TensorError> {
        self.expect_strings()?;
        Ok(StringsMut { lease: self.lease_write()?, tensor: self.clone(), of: PhantomData })
    }

    /// Where the strings lie among those of the storage.
    pub(super) fn string_range(&self) -> Range<usize> {
        let Range { start, end } = self.byte_range();
        start / ElementType::String.size()..end / ElementType::String.size()
    }

    fn expect_strings(&self) -> Result<(), TensorError> {
        if self.element == ElementType::String {
            return Ok(());
        }
        Err(TensorError::Element { asked: ElementType::String, actual: self.element })
    }
}

impl Strings<'_> {
    /// The string at an index, if it lies inside.
    pub fn get(&self, index: &[usize]) -> Option<&str> {
        let offset = self.tensor.layout.offset_of(index)? / ElementType::String.size();
        Some(&self.lease.strings()[self.tensor.string_range()][offset])
    }

    /// All strings in row-major order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let strings = &self.lease.strings()[self.tensor.string_range()];
        positions(self.tensor).map(|at| &*strings[at])
    }
}

impl StringsMut<'_> {
    /// The string at an index, if it lies inside.
    pub fn get_mut(&mut self, index: &[usize]) -> Option<&mut String> {
        let offset = self.tensor.layout.offset_of(index)? / ElementType::String.size();
        Some(&mut self.lease.strings_mut()[self.tensor.string_range()][offset])
    }

    /// All strings in row-major order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let mut rest = &mut self.lease.strings_mut()[self.tensor.string_range()];
        let mut taken = 0;
        // Row-major order goes forward through memory, so what has been passed is never needed again.
        positions(&self.tensor).map(move |at| {
            let (passed, ahead) = core::mem::take(&mut rest).split_at_mut(at + 1 - taken);
            rest = ahead;
            taken = at + 1;
            passed.last_mut().expect("at least the string at this position")
        })
    }
}

/// Where each string lies, in row-major order, counted from the first.
fn positions(tensor: &Tensor) -> impl Iterator<Item = usize> + use<> {
    let size = ElementType::String.size();
    let walk = Walk::new([&tensor.layout], size);
    let count = walk.run / size;
    walk.starts().flat_map(move |[start]| (0..count).map(move |at| start / size + at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn strings_begin_empty_and_keep_what_is_written() {
        let mut tensor = Tensor::zeros(ElementType::String, [2, 2]);
        assert_eq!(tensor.strings().unwrap().iter().collect::<Vec<_>>(), [""; 4]);
        tensor.strings_mut().unwrap().get_mut(&[1, 0]).unwrap().push_str("grüezi");
        assert_eq!(tensor.strings().unwrap().get(&[1, 0]), Some("grüezi"));
        assert_eq!(tensor.strings().unwrap().get(&[2, 0]), None);
    }

    #[test]
    fn a_copy_of_strings_is_deep_and_a_region_is_shared() {
        let source = Tensor::from_strings(&["a", "b", "c", "d", "e", "f"], [2, 3]).unwrap();
        let mut column = source.region(&[0..2, 1..3]).unwrap();
        let mut copy = Tensor::zeros(ElementType::String, [0]);
        column.copy_to(&mut copy).unwrap();
        column.strings_mut().unwrap().iter_mut().for_each(|string| string.push('!'));
        assert_eq!(source.strings().unwrap().iter().collect::<Vec<_>>(), ["a", "b!", "c!", "d", "e!", "f!"]);
        assert_eq!(copy.strings().unwrap().iter().collect::<Vec<_>>(), ["b", "c", "e", "f"]);
    }

    #[test]
    fn strings_and_numbers_are_not_seen_as_each_other() {
        let mut strings = Tensor::from_strings(&["a"], [1]).unwrap();
        let numbers = Tensor::zeros(ElementType::U64, [3]);
        let wrong = TensorError::Element { asked: ElementType::String, actual: ElementType::U64 };
        assert_eq!(numbers.strings().unwrap_err(), wrong);
        assert!(strings.as_slice::<u8>().is_err());
        assert!(strings.view_mut::<u64>().is_err());
        assert_eq!(strings.lease_read().unwrap().bytes(), []);
        assert!(numbers.lease_read().unwrap().strings().is_empty());
        assert_eq!(Tensor::from_bytes(ElementType::String, [1], &[0; 24]).unwrap_err(), TensorError::Strings);
        assert_eq!(
            numbers.copy_to(&mut strings).unwrap_err(),
            TensorError::Element { asked: ElementType::U64, actual: ElementType::String }
        );
    }

    #[test]
    fn a_wrong_number_of_strings_is_refused() {
        assert!(matches!(
            Tensor::from_strings(&["a"], [2]),
            Err(TensorError::Count { values: 1, wanted: 2, .. })
        ));
    }
}
