//! Printing tensors: never more than a few lines, whatever their size.
//!
//! `Debug` says what a tensor is and takes no lease, so that logging one never refuses somebody a write. `Display` shows
//! the first elements too.

use core::fmt;

use half::{bf16, f16};

use super::element::Element;
use super::float8::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz};
use super::{ElementType, Room, Tensor, unpack};

/// How many elements are shown.
const SHOWN: usize = 8;
/// How many characters of a string are shown.
const CHARACTERS: usize = 24;

impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({} {}", self.element, self.shape())?;
        if !self.is_dense() {
            write!(f, ", strides {:?}", self.layout.strides())?;
        }
        if matches!(self.room, Room::Within(_)) || self.offset != 0 {
            write!(f, ", at byte {} of {}", self.offset, self.storage.len())?;
        }
        if self.is_read_only() {
            f.write_str(", read-only")?;
        }
        f.write_str(")")
    }
}

/// Element type, shape and the first few elements: `f32 [2, 300]: 0.5, 1.0, 1.5, …`.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.element, self.shape())?;
        match self.element {
            ElementType::Bool => elements::<bool>(self, f),
            ElementType::I8 => elements::<i8>(self, f),
            ElementType::I16 => elements::<i16>(self, f),
            ElementType::I32 => elements::<i32>(self, f),
            ElementType::I64 => elements::<i64>(self, f),
            ElementType::U8 => elements::<u8>(self, f),
            ElementType::U16 => elements::<u16>(self, f),
            ElementType::U32 => elements::<u32>(self, f),
            ElementType::U64 => elements::<u64>(self, f),
            ElementType::F16 => elements::<f16>(self, f),
            ElementType::Bf16 => elements::<bf16>(self, f),
            ElementType::F32 => elements::<f32>(self, f),
            ElementType::F64 => elements::<f64>(self, f),
            ElementType::String => strings(self, f),
            ElementType::F8E4M3Fn => elements::<F8E4M3Fn>(self, f),
            ElementType::F8E4M3Fnuz => elements::<F8E4M3Fnuz>(self, f),
            ElementType::F8E5M2 => elements::<F8E5M2>(self, f),
            ElementType::F8E5M2Fnuz => elements::<F8E5M2Fnuz>(self, f),
            ElementType::I4 | ElementType::U4 => packed(self, f),
        }
    }
}

fn elements<T: Element>(tensor: &Tensor, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match tensor.view::<T>() {
        Ok(view) => list(f, view.iter(), |element, f| fmt::Debug::fmt(element, f)),
        Err(error) => write!(f, "({error})"),
    }
}

fn packed(tensor: &Tensor, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match tensor.lease_read() {
        Ok(lease) => {
            let bytes = &lease.bytes()[tensor.byte_range()];
            list(f, unpack(tensor.element, bytes).take(tensor.len()), |element, f| write!(f, "{element}"))
        }
        Err(error) => write!(f, "({error})"),
    }
}

fn strings(tensor: &Tensor, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let show = |string: &str, f: &mut fmt::Formatter<'_>| match string.char_indices().nth(CHARACTERS) {
        Some((end, _)) => write!(f, "{:?}…", &string[..end]),
        None => write!(f, "{string:?}"),
    };
    match tensor.strings() {
        Ok(view) => list(f, view.iter(), show),
        Err(error) => write!(f, "({error})"),
    }
}

fn list<I>(
    f: &mut fmt::Formatter<'_>,
    items: impl Iterator<Item = I>,
    show: impl Fn(I, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.take(SHOWN + 1).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        if index == SHOWN {
            return f.write_str("…");
        }
        show(item, f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_small_tensor_is_shown_whole_and_a_large_one_by_its_first_elements() {
        assert_eq!(format!("{}", Tensor::scalar(1.5f32)), "f32 []: 1.5");
        assert_eq!(format!("{}", Tensor::from_slice(&[true, false], [2]).unwrap()), "bool [2]: true, false");
        assert_eq!(format!("{}", Tensor::zeros(ElementType::I64, [0, 3])), "i64 [0, 3]: ");
        let large = Tensor::zeros(ElementType::U8, [1 << 20]);
        assert_eq!(format!("{large}"), "u8 [1048576]: 0, 0, 0, 0, 0, 0, 0, 0, …");
        assert_eq!(format!("{large:?}"), "Tensor(u8 [1048576])");
        let text = "long ".repeat(1000);
        let strings = Tensor::from_strings(&["a\n", &*text], [2]).unwrap();
        assert_eq!(format!("{strings}"), r#"string [2]: "a\n", "long long long long long"…"#);
        assert_eq!(format!("{}", Tensor::from_slice(&[f16::ONE], [1]).unwrap()), "f16 [1]: 1.0");
        let small = Tensor::from_slice(&[F8E5M2::from_f64(0.3, true)], [1]).unwrap();
        assert_eq!(format!("{small}"), "f8e5m2 [1]: 0.3125");
        let packed = Tensor::from_bytes(ElementType::I4, [3], &[0x2f, 0x08]).unwrap();
        assert_eq!(format!("{packed}"), "i4 [3]: -1, 2, -8");
        let region = Tensor::zeros(ElementType::F32, [4, 4]).region(&[1..2, 0..2]).unwrap();
        assert_eq!(format!("{region:?}"), "Tensor(f32 [1, 2], at byte 16 of 64)");
    }

    #[test]
    fn printing_never_disturbs_or_waits_for_a_writer() {
        let mut tensor = Tensor::zeros(ElementType::F32, [2]);
        let shown = tensor.clone();
        let view = tensor.as_slice_mut::<f32>().unwrap();
        let told = "f32 [2]: (the tensor's storage is being written by another view or run)";
        assert_eq!(format!("{shown}"), told);
        assert_eq!(format!("{shown:?}"), "Tensor(f32 [2])");
        drop(view);
    }
}
