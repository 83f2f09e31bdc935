//! Tensors as a file holds them: raw bytes, one of five typed lists, or a place in another file.
//!
//! The declared shape is believed only after the data has been seen to fill it, so a few bytes cannot make us allocate
//! gigabytes.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use half::{bf16, f16};
use inferry_core::steps::Pace;
use inferry_core::tensor::{F8E4M3Fn, F8E4M3Fnuz, F8E5M2, F8E5M2Fnuz, TensorError};
use inferry_core::{Element, ElementType, Shape, Tensor};

use super::error::ImportError;
use super::external::{ExternalData, NoExternalData};
use super::import::Limits;
use super::proto::{Merge, TensorProto};
use super::wire::{Budget, Message};

/// The element type of an ONNX data-type number, or what to say of it.
pub(crate) fn element_type(number: i64) -> Result<ElementType, String> {
    Ok(match number {
        1 => ElementType::F32,
        2 => ElementType::U8,
        3 => ElementType::I8,
        4 => ElementType::U16,
        5 => ElementType::I16,
        6 => ElementType::I32,
        7 => ElementType::I64,
        8 => ElementType::String,
        9 => ElementType::Bool,
        10 => ElementType::F16,
        11 => ElementType::F64,
        12 => ElementType::U32,
        13 => ElementType::U64,
        16 => ElementType::Bf16,
        0 => return Err("no element type is given".into()),
        14 => return Err("element type complex64 is not supported".into()),
        15 => return Err("element type complex128 is not supported".into()),
        17 => ElementType::F8E4M3Fn,
        18 => ElementType::F8E4M3Fnuz,
        19 => ElementType::F8E5M2,
        20 => ElementType::F8E5M2Fnuz,
        21 => ElementType::U4,
        22 => ElementType::I4,
        23 => return Err("element type float4e2m1 is not supported".into()),
        other => return Err(format!("{other} is no element type")),
    })
}

/// Reads a file that holds one tensor, a `TensorProto`: what the standard's test suites keep inputs and outputs in.
///
/// # Errors
/// Bytes that are no tensor, or one of an element type that we do not have.
pub fn read_tensor(bytes: &[u8]) -> Result<Tensor, ImportError> {
    let limits = Limits::default();
    let budget = Budget::new(limits.depth, limits.messages);
    let proto = TensorProto::read(Message::file(bytes, &budget))?;
    tensor(&proto, "of the file", &NoExternalData)
}

/// A tensor of more bytes is copied in pieces of as many.
const PIECE: usize = 256 << 10;

/// As [`tensor`], with interruptions.
pub(crate) async fn tensor_paced(
    proto: &TensorProto<'_>,
    place: &str,
    external: &dyn ExternalData,
    pace: &mut Pace,
) -> Result<Tensor, ImportError> {
    let Some((element, shape, bytes)) = large(proto) else {
        let tensor = tensor(proto, place, external)?;
        pace.spend(200 + copying(tensor.byte_len())).await;
        return Ok(tensor);
    };
    let failed = |error: TensorError| ImportError::Tensor {
        tensor: if proto.name.is_empty() { place } else { proto.name }.to_string(),
        problem: error.to_string(),
    };
    let tensor = Tensor::zeros_paced(element, shape, pace).await.map_err(failed)?;
    let mut lease = tensor.lease_write().map_err(|error| failed(error.into()))?;
    for (to, from) in lease.bytes_mut().chunks_mut(PIECE).zip(bytes.chunks(PIECE)) {
        to[..from.len()].copy_from_slice(from);
        pace.spend(copying(from.len())).await;
    }
    drop(lease);
    Ok(tensor)
}

/// Roughly the nanoseconds that copying to fresh memory takes.
fn copying(bytes: usize) -> u64 {
    bytes as u64 / 4
}

/// True for a tensor that [`tensor_paced`] reads in pieces, and without an error.
pub(crate) fn is_large(proto: &TensorProto<'_>) -> bool {
    large(proto).is_some()
}

/// Type, shape and bytes of a tensor that is large, written as bytes of the target's own order, and right.
fn large<'a>(proto: &TensorProto<'a>) -> Option<(ElementType, Shape, &'a [u8])> {
    let bytes = proto.raw.filter(|bytes| bytes.len() > PIECE && cfg!(target_endian = "little"))?;
    let (element, shape) = (element_type(proto.data_type).ok()?, shape(&proto.dims).ok()?);
    let plain = !proto.segmented && !proto.is_external;
    let plain = plain && !matches!(element, ElementType::String | ElementType::Bool) && !element.is_packed();
    (plain && byte_count(element, &shape) == Ok(bytes.len())).then_some((element, shape, bytes))
}

/// The tensor of a message. `place` names it in errors when it has no name of its own.
pub(crate) fn tensor(
    proto: &TensorProto<'_>,
    place: &str,
    external: &dyn ExternalData,
) -> Result<Tensor, ImportError> {
    read(proto, external).map_err(|problem| {
        let name = if proto.name.is_empty() { place } else { proto.name };
        ImportError::Tensor { tensor: name.to_string(), problem }
    })
}

fn read(proto: &TensorProto<'_>, external: &dyn ExternalData) -> Result<Tensor, String> {
    let element = element_type(proto.data_type)?;
    let shape = shape(&proto.dims)?;
    if proto.segmented {
        return Err("tensors in segments are not supported".into());
    }
    if element == ElementType::String && (proto.is_external || proto.raw.is_some()) {
        return Err("text cannot be given as raw bytes".into());
    }
    if proto.is_external {
        let wanted = byte_count(element, &shape)?;
        let bytes = if wanted == 0 { Vec::new() } else { read_external(proto, external, wanted)? };
        return from_bytes(element, shape, &bytes);
    }
    if let Some(raw) = proto.raw {
        return from_bytes(element, shape, raw);
    }
    let ints = &proto.ints32;
    match element {
        ElementType::F32 => from_values(&proto.floats, shape),
        ElementType::F64 => from_values(&proto.doubles, shape),
        ElementType::I64 => from_values(&proto.ints64, shape),
        ElementType::I32 => from_values(ints, shape),
        ElementType::U64 => from_values(&proto.uints64, shape),
        ElementType::U32 => convert(&proto.uints64, shape, |value| u32::try_from(value).ok()),
        ElementType::I16 => convert(ints, shape, |value| i16::try_from(value).ok()),
        ElementType::I8 => convert(ints, shape, |value| i8::try_from(value).ok()),
        ElementType::U16 => convert(ints, shape, |value| u16::try_from(value).ok()),
        ElementType::U8 => convert(ints, shape, |value| u8::try_from(value).ok()),
        ElementType::Bool => convert(ints, shape, |value| Some(value != 0)),
        // Half floats are written as their bits.
        ElementType::F16 => convert(ints, shape, |value| u16::try_from(value).ok().map(f16::from_bits)),
        ElementType::Bf16 => convert(ints, shape, |value| u16::try_from(value).ok().map(bf16::from_bits)),
        ElementType::String => from_strings(&proto.strings, shape),
        ElementType::F8E4M3Fn => convert(ints, shape, |value| Some(F8E4M3Fn::from_bits(byte(value)?))),
        ElementType::F8E4M3Fnuz => convert(ints, shape, |value| Some(F8E4M3Fnuz::from_bits(byte(value)?))),
        ElementType::F8E5M2 => convert(ints, shape, |value| Some(F8E5M2::from_bits(byte(value)?))),
        ElementType::F8E5M2Fnuz => convert(ints, shape, |value| Some(F8E5M2Fnuz::from_bits(byte(value)?))),
        // Two in a byte here, too.
        ElementType::I4 | ElementType::U4 => {
            let bytes: Option<Vec<u8>> = ints.iter().map(|value| byte(*value)).collect();
            let bytes = bytes.ok_or_else(|| format!("its data holds what is no pair of {element}"))?;
            from_bytes(element, shape, &bytes)
        }
        other => Err(format!("constants of element type {other} are not supported")),
    }
}

/// A byte that is written as an integer, by some writers with a sign.
fn byte(value: i32) -> Option<u8> {
    u8::try_from(value).ok().or_else(|| i8::try_from(value).ok().map(|value| value as u8))
}

fn shape(dims: &[i64]) -> Result<Shape, String> {
    let extents: Result<Vec<usize>, String> = dims
        .iter()
        .map(|dim| usize::try_from(*dim).map_err(|_| format!("an extent of {dim} in its shape")))
        .collect();
    Shape::new(&extents?).map_err(|error| error.to_string())
}

/// The bytes of a tensor that has `wanted` of them; the file may state as many, or nothing.
fn read_external(
    proto: &TensorProto<'_>,
    external: &dyn ExternalData,
    wanted: usize,
) -> Result<Vec<u8>, String> {
    let find = |key: &str| proto.external.iter().find(|entry| entry.key == key).map(|entry| &*entry.value);
    let number = |key: &str| {
        let parse = |text: &str| text.parse().map_err(|_| format!("external {key} {text:?} is no number"));
        find(key).map(parse).transpose()
    };
    let location = find("location").ok_or("external data without a location")?;
    let (offset, wanted) = (number("offset")?.unwrap_or(0), wanted as u64);
    if let Some(length) = number("length")?.filter(|length| *length != wanted) {
        return Err(format!("its data has {length} bytes; its shape has {wanted}"));
    }
    let bytes = external.read(location, offset, Some(wanted));
    bytes.map_err(|error| error.to_string())
}

fn from_values<T: Element>(values: &[T], shape: Shape) -> Result<Tensor, String> {
    Tensor::from_slice(values, shape).map_err(|error| error.to_string())
}

fn from_strings(texts: &[&[u8]], shape: Shape) -> Result<Tensor, String> {
    let texts: Result<Vec<&str>, _> = texts.iter().map(|bytes| core::str::from_utf8(bytes)).collect();
    let texts = texts.map_err(|_| "its text is not UTF-8")?;
    Tensor::from_strings(&texts, shape).map_err(|error| error.to_string())
}

fn convert<S: Copy + ToString, T: Element>(
    values: &[S],
    shape: Shape,
    convert: impl Fn(S) -> Option<T>,
) -> Result<Tensor, String> {
    let out_of_range = |value: S| format!("its data holds {}, which is no {}", value.to_string(), T::TYPE);
    let values: Result<Vec<T>, String> =
        values.iter().map(|value| convert(*value).ok_or_else(|| out_of_range(*value))).collect();
    from_values(&values?, shape)
}

fn byte_count(element: ElementType, shape: &Shape) -> Result<usize, String> {
    let bytes = shape.checked_len().and_then(|count| element.bytes(count));
    bytes.ok_or_else(|| TensorError::TooLarge { element, shape: shape.clone() }.to_string())
}

/// From little-endian bytes, as files have them.
fn from_bytes(element: ElementType, shape: Shape, bytes: &[u8]) -> Result<Tensor, String> {
    let wanted = byte_count(element, &shape)?;
    if bytes.len() != wanted {
        return Err(format!("its data has {} bytes; {element} with shape {shape} has {wanted}", bytes.len()));
    }
    if element == ElementType::Bool {
        // Some writers have true as any byte but 0.
        let values: Vec<bool> = bytes.iter().map(|byte| *byte != 0).collect();
        return from_values(&values, shape);
    }
    if element.is_packed() && shape.count() % 2 == 1 {
        // Nobody says what stands beside the last one.
        let mut bytes = bytes.to_vec();
        if let Some(last) = bytes.last_mut() {
            *last &= 0xf;
        }
        return Tensor::from_bytes(element, shape, &bytes).map_err(|error| error.to_string());
    }
    let native;
    let bytes = if cfg!(target_endian = "big") {
        native = bytes
            .chunks_exact(element.size())
            .flat_map(|value| value.iter().rev().copied())
            .collect::<Vec<u8>>();
        &native[..]
    } else {
        bytes
    };
    Tensor::from_bytes(element, shape, bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::external::{Metered, NoExternalData};
    use crate::onnx::proto::Entry;
    use alloc::vec;

    fn read_one(proto: &TensorProto<'_>) -> Result<Tensor, String> {
        tensor(proto, "here", &NoExternalData).map_err(|error| error.to_string())
    }

    #[test]
    fn raw_and_typed_data_give_the_same_tensor() {
        let raw = TensorProto {
            dims: vec![2],
            data_type: 1,
            raw: Some(&[0, 0, 128, 63, 0, 0, 0, 64]),
            ..Default::default()
        };
        let typed = TensorProto { dims: vec![2], data_type: 1, floats: vec![1.0, 2.0], ..Default::default() };
        assert_eq!(read_one(&raw).unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
        assert_eq!(read_one(&typed).unwrap().to_vec::<f32>().unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn small_integers_and_halves_come_out_of_int32_data() {
        let of = |data_type, ints32| TensorProto { dims: vec![2], data_type, ints32, ..Default::default() };
        assert_eq!(read_one(&of(3, vec![-128, 127])).unwrap().to_vec::<i8>().unwrap(), [-128, 127]);
        assert_eq!(read_one(&of(9, vec![0, 2])).unwrap().to_vec::<bool>().unwrap(), [false, true]);
        let halves = read_one(&of(10, vec![0x3c00, 0xc000])).unwrap().to_vec::<f16>().unwrap();
        assert_eq!(halves, [f16::from_f32(1.0), f16::from_f32(-2.0)]);
        assert_eq!(
            read_one(&of(2, vec![0, 256])).unwrap_err(),
            "tensor \"here\": its data holds 256, which is no u8"
        );
    }

    #[test]
    fn floats_of_a_byte_and_pairs_of_integers_are_bytes() {
        let of = |data_type, count, ints32| {
            read_one(&TensorProto { dims: vec![count], data_type, ints32, ..Default::default() })
        };
        let raw = |data_type, count, raw| {
            read_one(&TensorProto { dims: vec![count], data_type, raw: Some(raw), ..Default::default() })
        };
        let bytes = |tensor: Result<Tensor, String>| {
            let tensor = tensor.unwrap();
            tensor.lease_read().unwrap().bytes()[tensor.byte_range()].to_vec()
        };
        let float = of(17, 2, vec![0x38, 0xc0]).unwrap();
        assert_eq!(float.to_vec::<F8E4M3Fn>().unwrap(), [1.0, -2.0].map(|x| F8E4M3Fn::from_f64(x, true)));
        assert_eq!(bytes(raw(20, 2, &[1, 255])), [1, 255]);
        assert_eq!(bytes(of(22, 3, vec![0x21, -1])), [0x21, 0x0f]);
        assert_eq!(bytes(raw(21, 3, &[0x21, 0xf3])), [0x21, 0x03]);
        assert!(of(22, 3, vec![0x21]).is_err() && of(21, 3, vec![0x21, 256]).is_err());
    }

    #[test]
    fn text_is_read_where_it_is_utf8() {
        let of = |strings| TensorProto { dims: vec![2], data_type: 8, strings, ..Default::default() };
        let tensor = read_one(&of(vec!["ä".as_bytes(), b""])).unwrap();
        assert_eq!(tensor.strings().unwrap().iter().collect::<Vec<_>>(), ["ä", ""]);
        assert!(read_one(&of(vec![b"a"])).unwrap_err().contains("1 values do not fill"));
        assert_eq!(read_one(&of(vec![b"\xff", b""])).unwrap_err(), "tensor \"here\": its text is not UTF-8");
    }

    #[test]
    fn a_shape_that_its_data_does_not_fill_is_an_error_before_memory_is_taken() {
        let huge = TensorProto {
            dims: vec![1 << 40, 1 << 20],
            data_type: 1,
            raw: Some(&[0; 4]),
            ..Default::default()
        };
        assert!(read_one(&huge).unwrap_err().contains("its data has 4 bytes"));
        let overflowing = TensorProto {
            dims: vec![i64::MAX, i64::MAX],
            data_type: 11,
            raw: Some(&[]),
            ..Default::default()
        };
        assert!(read_one(&overflowing).unwrap_err().contains("too large"));
        let typed =
            TensorProto { dims: vec![1 << 40], data_type: 1, floats: vec![1.0], ..Default::default() };
        assert!(read_one(&typed).unwrap_err().contains("1 values do not fill"));
        let negative = TensorProto { dims: vec![-1], data_type: 1, ..Default::default() };
        assert!(read_one(&negative).unwrap_err().contains("an extent of -1"));
        let deep = TensorProto { dims: vec![1; 9], data_type: 1, floats: vec![1.0], ..Default::default() };
        assert!(read_one(&deep).unwrap_err().contains("9 dimensions"));
    }

    #[test]
    fn external_data_is_read_where_the_model_says() {
        struct Folder;
        impl ExternalData for Folder {
            fn read(
                &self,
                location: &str,
                offset: u64,
                length: Option<u64>,
            ) -> Result<Vec<u8>, super::super::external::ExternalError> {
                assert_eq!((location, offset, length), ("weights.bin", 4, Some(2)));
                Ok(vec![3, 4])
            }
        }
        let entry = |key: &str, value: &str| Entry { key: key.into(), value: value.into() };
        let mut proto =
            TensorProto { name: "w", dims: vec![2], data_type: 2, is_external: true, ..Default::default() };
        assert_eq!(read_one(&proto).unwrap_err(), "tensor \"w\": external data without a location");
        proto.external = vec![entry("location", "weights.bin"), entry("offset", "4"), entry("length", "2")];
        assert_eq!(tensor(&proto, "", &Folder).unwrap().to_vec::<u8>().unwrap(), [3, 4]);
        assert!(read_one(&proto).unwrap_err().contains("given as bytes alone"));
        proto.dims = vec![1 << 50];
        let error = tensor(&proto, "", &Folder).unwrap_err().to_string();
        assert_eq!(error, "tensor \"w\": its data has 2 bytes; its shape has 1125899906842624");
        proto.external.pop();
        let metered = Metered::new(&Folder, 1 << 30);
        let error = tensor(&proto, "", &metered).unwrap_err().to_string();
        assert!(
            error.ends_with("the tensors outside of the model have more than 1073741824 bytes"),
            "{error}"
        );
        proto.dims = vec![2];
        let metered = Metered::new(&Folder, 3);
        assert!(tensor(&proto, "", &metered).is_ok());
        assert!(tensor(&proto, "", &metered).is_err(), "one byte is left");
        proto.external[1].value = "x".into();
        assert_eq!(read_one(&proto).unwrap_err(), "tensor \"w\": external offset \"x\" is no number");
    }

    #[test]
    fn types_we_do_not_have_are_named() {
        assert_eq!(element_type(14).unwrap_err(), "element type complex64 is not supported");
        assert_eq!(element_type(99).unwrap_err(), "99 is no element type");
    }
}
