//! One array: a magic word, a header in the syntax of a Python literal, and the numbers.
//!
//! ```text
//!  \x93NUMPY  major minor  header length  {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  numbers
//! ```
//!
//! All versions (1 to 3), both byte orders and both orders of dimensions are read; what is written is version 1,
//! little-endian and row-major. Text is NumPy's fixed-width kind, four bytes a character. NumPy has no name for bf16: an
//! array of two opaque bytes (`V2`) is taken for it, which is how `ml_dtypes` saves one. Nothing is believed before the
//! bytes are there: a header that promises a terabyte costs nothing.

use std::io::{self, Read, Write};

use inferry_core::tensor::{RankTooHigh, TensorError};
use inferry_core::{ElementType, Shape, Tensor};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longer than any header NumPy writes for eight dimensions; more is not an array.
const LONGEST_HEADER: usize = 64 * 1024;

/// Why bytes are no array, or a tensor cannot be written as one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The bytes could not be read or written (a damaged archive says so here).
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The magic word is missing.
    #[error("not an npy array")]
    Magic,
    /// A version that does not exist yet.
    #[error("npy version {0} is not known; 1 to 3 are")]
    Version(u8),
    /// The header is not the Python dictionary it should be.
    #[error("its header is damaged: {0}")]
    Header(&'static str),
    /// An element type that no tensor has: dates, complex numbers, records, objects.
    #[error("its element type {0:?} is not supported")]
    Type(String),
    /// Fewer or more numbers than the shape needs.
    #[error("{found} bytes for the shape {shape} of {element}, which takes {wanted}")]
    Length {
        /// Bytes that are there; one more than wanted stands for any number more.
        found: usize,
        /// Bytes of the shape.
        wanted: usize,
        /// The shape.
        shape: Shape,
        /// The element type.
        element: ElementType,
    },
    /// Text with a number in it that is no character.
    #[error("its text is damaged: {0:#x} is no character")]
    Character(u32),
    /// Too many dimensions.
    #[error(transparent)]
    Rank(#[from] RankTooHigh),
    /// What a tensor has against it. In a box: it carries shapes, which are inline and large.
    #[error(transparent)]
    Tensor(Box<TensorError>),
}

impl From<TensorError> for NpyError {
    fn from(error: TensorError) -> NpyError {
        NpyError::Tensor(Box::new(error))
    }
}

/// What the header says.
#[derive(Debug, PartialEq)]
struct Header {
    kind: Kind,
    column_major: bool,
    shape: Shape,
}

/// What one item of the array is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    element: ElementType,
    /// Bytes of an item.
    size: usize,
    /// Bytes that lie together, which another byte order turns around: for text, those of a character.
    unit: usize,
    big_endian: bool,
}

/// Reads one array to the end of `from`.
pub(super) fn read(mut from: impl Read) -> Result<Tensor, NpyError> {
    let header = Header::read(&mut from)?;
    let (Kind { element, size, unit, big_endian }, shape) = (header.kind, &header.shape);
    let wanted = shape.checked_len().and_then(|count| count.checked_mul(size));
    let wanted = wanted.ok_or_else(|| TensorError::TooLarge { element, shape: shape.clone() })?;
    let mut bytes = Vec::new();
    // One byte more than wanted, so that too many are noticed; the vector grows with what comes, not with the promise.
    from.take((wanted as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() != wanted {
        return Err(NpyError::Length { found: bytes.len(), wanted, shape: shape.clone(), element });
    }
    if big_endian {
        bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }
    if header.column_major && shape.rank() > 1 {
        bytes = row_major(&bytes, shape, size);
    }
    if element == ElementType::String {
        return Ok(Tensor::from_strings(&texts(&bytes, size, shape.count())?, shape)?);
    }
    Ok(Tensor::from_bytes(element, shape, &bytes)?)
}

/// Writes a dense tensor as one array.
pub(super) fn write(mut to: impl Write, tensor: &Tensor) -> Result<(), NpyError> {
    let shape = tensor.shape();
    if !tensor.is_dense() {
        return Err(TensorError::NotDense { shape: shape.clone() }.into());
    }
    let (descr, numbers) = if tensor.element() == ElementType::String {
        let strings = tensor.strings()?;
        let longest = strings.iter().map(|text| text.chars().count()).max().unwrap_or(0).max(1);
        (format!("<U{longest}"), strings.iter().flat_map(|text| padded(text, longest)).collect())
    } else {
        let descr = descr(tensor.element()).ok_or_else(|| NpyError::Type(tensor.element().to_string()))?;
        let lease = tensor.lease_read().map_err(TensorError::from)?;
        let start = tensor.offset();
        (descr.to_string(), lease.bytes()[start..start + tensor.len() * tensor.element().size()].to_vec())
    };
    // A tuple of one is written with a comma.
    let comma = if shape.rank() == 1 { "," } else { "" };
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    let dims = dims.join(", ");
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}{comma}), }}");
    // The numbers begin at a multiple of 64 bytes, as NumPy does for those who map the file.
    let before = MAGIC.len() + 4 + header.len() + 1;
    header.extend(std::iter::repeat_n(' ', before.next_multiple_of(64) - before));
    header.push('\n');
    to.write_all(MAGIC)?;
    to.write_all(&[1, 0])?;
    to.write_all(&(header.len() as u16).to_le_bytes())?;
    to.write_all(header.as_bytes())?;
    to.write_all(&numbers)?;
    Ok(())
}

/// The texts of `count` items of `size` bytes: UTF-32 with zeros behind.
fn texts(bytes: &[u8], size: usize, count: usize) -> Result<Vec<String>, NpyError> {
    let character = |bytes: &[u8; 4]| {
        let number = u32::from_le_bytes(*bytes);
        char::from_u32(number).ok_or(NpyError::Character(number))
    };
    let text = |index: usize| {
        let characters = bytes[index * size..][..size].as_chunks::<4>().0;
        let text: String = characters.iter().map(character).collect::<Result<_, _>>()?;
        Ok(text.trim_end_matches('\0').to_string())
    };
    (0..count).map(text).collect()
}

/// A text as an item of `length` characters.
fn padded(text: &str, length: usize) -> impl Iterator<Item = u8> {
    text.chars().chain(std::iter::repeat('\0')).take(length).flat_map(|c| u32::from(c).to_le_bytes())
}

/// The same elements with the last dimension running fastest.
fn row_major(bytes: &[u8], shape: &Shape, size: usize) -> Vec<u8> {
    let mut strides = vec![size; shape.rank()];
    for axis in 1..shape.rank() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.rank()];
    for _ in 0..shape.count() {
        let at: usize = index.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
        out.extend_from_slice(&bytes[at..at + size]);
        for axis in (0..shape.rank()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// NumPy's name for an element type, little-endian.
fn descr(element: ElementType) -> Option<&'static str> {
    Some(match element {
        ElementType::Bool => "|b1",
        ElementType::I8 => "|i1",
        ElementType::I16 => "<i2",
        ElementType::I32 => "<i4",
        ElementType::I64 => "<i8",
        ElementType::U8 => "|u1",
        ElementType::U16 => "<u2",
        ElementType::U32 => "<u4",
        ElementType::U64 => "<u8",
        ElementType::F16 => "<f2",
        ElementType::Bf16 => "<V2",
        ElementType::F32 => "<f4",
        ElementType::F64 => "<f8",
        _ => return None,
    })
}

/// What such a name means.
fn kind(descr: &str) -> Option<Kind> {
    let (order, kind) = descr.split_at_checked(1)?;
    let big_endian = match order {
        "<" | "|" => false,
        ">" => true,
        // `=` is the order of the machine that wrote it, which we cannot know.
        _ => return None,
    };
    if let Some(length) = kind.strip_prefix('U') {
        // Items of no bytes could be any number without one byte to show for it.
        let size = length.parse::<usize>().ok()?.checked_mul(4).filter(|size| *size > 0)?;
        return Some(Kind { element: ElementType::String, size, unit: 4, big_endian });
    }
    let known = |element: &ElementType| self::descr(*element).is_some_and(|descr| descr[1..] == *kind);
    let element = ElementType::ALL.into_iter().find(known)?;
    Some(Kind { element, size: element.size(), unit: element.size(), big_endian })
}

impl Header {
    fn read(from: &mut impl Read) -> Result<Header, NpyError> {
        let mut start = [0; 8];
        from.read_exact(&mut start).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => NpyError::Magic,
            _ => error.into(),
        })?;
        if !start.starts_with(MAGIC) {
            return Err(NpyError::Magic);
        }
        let length = match start[6] {
            1 => u16::from_le_bytes(array(from)?) as usize,
            2 | 3 => u32::from_le_bytes(array(from)?) as usize,
            other => return Err(NpyError::Version(other)),
        };
        if length > LONGEST_HEADER {
            return Err(NpyError::Header("it is too long"));
        }
        let mut header = vec![0; length];
        from.read_exact(&mut header).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => NpyError::Header("it is cut off"),
            _ => error.into(),
        })?;
        // Versions 1 and 2 are Latin-1, 3 is UTF-8; what a header of ours may say is ASCII in all of them.
        let header = std::str::from_utf8(&header).map_err(|_| NpyError::Header("it is not text"))?;
        Header::parse(header)
    }

    fn parse(header: &str) -> Result<Header, NpyError> {
        let (mut descr, mut column_major, mut shape) = (None, None, None);
        let mut rest = Literal(header.trim());
        rest.expect("{")?;
        while !rest.take("}") {
            let key = rest.string()?;
            rest.expect(":")?;
            match key {
                "descr" => descr = Some(rest.descr()?),
                "fortran_order" => column_major = Some(rest.boolean()?),
                "shape" => shape = Some(rest.tuple()?),
                _ => return Err(NpyError::Header("it has an unknown entry")),
            }
            if !rest.take(",") {
                rest.expect("}")?;
                break;
            }
        }
        let missing = NpyError::Header("it must have the entries descr, fortran_order and shape");
        let (Some(descr), Some(column_major), Some(shape)) = (descr, column_major, shape) else {
            return Err(missing);
        };
        let kind = kind(&descr).ok_or(NpyError::Type(descr))?;
        Ok(Header { kind, column_major, shape: Shape::new(&shape)? })
    }
}

fn array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], NpyError> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|_| NpyError::Header("it is cut off"))?;
    Ok(bytes)
}

/// What is left of a Python literal.
struct Literal<'a>(&'a str);

impl<'a> Literal<'a> {
    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: &'static str) -> Result<(), NpyError> {
        if self.take(token) { Ok(()) } else { Err(NpyError::Header("it is not a Python dictionary")) }
    }

    fn string(&mut self) -> Result<&'a str, NpyError> {
        let quote = if self.take("'") { '\'' } else { self.expect("\"").map(|()| '"')? };
        let (string, rest) = self.0.split_once(quote).ok_or(NpyError::Header("a string does not end"))?;
        self.0 = rest;
        Ok(string)
    }

    /// The element type: a string, or for records a list, which is given back as it stands.
    fn descr(&mut self) -> Result<String, NpyError> {
        if self.take("[") {
            return Err(NpyError::Type(format!("[{}", self.0)));
        }
        self.string().map(String::from)
    }

    fn boolean(&mut self) -> Result<bool, NpyError> {
        if self.take("True") {
            return Ok(true);
        }
        if self.take("False") { Ok(false) } else { Err(NpyError::Header("fortran_order is no boolean")) }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, NpyError> {
        self.expect("(")?;
        let mut dims = Vec::new();
        while !self.take(")") {
            self.0 = self.0.trim_start();
            let digits = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
            let (number, rest) = self.0.split_at(digits);
            dims.push(number.parse().map_err(|_| NpyError::Header("the shape is no tuple of sizes"))?);
            self.0 = rest;
            // Python 2 wrote `3L`.
            self.take("L");
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(dims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An array as NumPy writes it.
    fn npy(header: &str, numbers: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(numbers);
        bytes
    }

    fn error(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string()
    }

    #[test]
    fn every_plain_element_type_comes_back_as_it_was() {
        for element in ElementType::ALL.into_iter().filter(|element| *element != ElementType::String) {
            let bytes: Vec<u8> = (0..element.bytes(6).unwrap()).map(|byte| (byte % 2) as u8).collect();
            let tensor = Tensor::from_bytes(element, [2, 3], &bytes).unwrap();
            let mut written = Vec::new();
            // NumPy itself has none of these.
            if element.is_packed() || element.to_string().starts_with("f8") {
                assert!(matches!(write(&mut written, &tensor), Err(NpyError::Type(_))), "{element}");
                continue;
            }
            write(&mut written, &tensor).unwrap();
            let back = read(&written[..]).unwrap();
            assert_eq!((back.element(), back.shape()), (element, tensor.shape()));
            assert_eq!(back.lease_read().unwrap().bytes(), tensor.lease_read().unwrap().bytes(), "{element}");
        }
    }

    #[test]
    fn shapes_of_any_rank_come_back() {
        for dims in [&[][..], &[0], &[7], &[2, 0, 3], &[1, 2, 1, 2, 1, 2, 1, 2]] {
            let tensor = Tensor::zeros(ElementType::F32, Shape::new(dims).unwrap());
            let mut written = Vec::new();
            write(&mut written, &tensor).unwrap();
            assert_eq!((written.len() - tensor.len() * 4) % 64, 0, "the numbers are aligned");
            assert_eq!(read(&written[..]).unwrap().shape(), tensor.shape());
        }
    }

    #[test]
    fn column_major_and_big_endian_arrays_are_turned_around() {
        let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }";
        // The matrix 1 2 3 / 4 5 6, column by column.
        let numbers: Vec<u8> = [1i16, 4, 2, 5, 3, 6].iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(read(&npy(header, &numbers)[..]).unwrap().to_vec::<i16>().unwrap(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn texts_come_back_whatever_their_length() {
        let tensor = Tensor::from_strings(&["", "Zürich", "🚢"], [3]).unwrap();
        let mut written = Vec::new();
        write(&mut written, &tensor).unwrap();
        let back = read(&written[..]).unwrap();
        assert_eq!(back.strings().unwrap().iter().collect::<Vec<_>>(), ["", "Zürich", "🚢"]);
        let big = npy("{'descr': '>U1', 'fortran_order': False, 'shape': (1,), }", &[0, 0, 0, b'a']);
        assert_eq!(read(&big[..]).unwrap().strings().unwrap().iter().collect::<Vec<_>>(), ["a"]);
        let damaged = npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,), }", &[0, 0, 0, 0xff]);
        assert_eq!(error(&damaged), "its text is damaged: 0xff000000 is no character");
    }

    #[test]
    fn headers_of_old_and_other_writers_are_read() {
        let header = "{\"shape\":(2L,),\"fortran_order\":False,\"descr\":\"|u1\"}";
        assert_eq!(read(&npy(header, &[5, 6])[..]).unwrap().to_vec::<u8>().unwrap(), [5, 6]);
        let mut third = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1,)}", &[9]);
        third[6] = 3;
        third.splice(10..10, [0, 0]);
        assert_eq!(read(&third[..]).unwrap().to_vec::<u8>().unwrap(), [9]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(error(b"nothing of the kind"), "not an npy array");
        assert_eq!(error(b"\x93NUMPY\x09\x00"), "npy version 9 is not known; 1 to 3 are");
        let with = |descr: &str, shape: &str, bytes: &[u8]| {
            error(&npy(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"), bytes))
        };
        assert_eq!(with("'<c8'", "(1,)", &[0; 8]), "its element type \"<c8\" is not supported");
        assert!(with("[('a', '<f4')]", "(1,)", &[0; 4]).starts_with("its element type \"[('a'"));
        assert_eq!(with("'<f4'", "(2,)", &[0; 4]), "4 bytes for the shape [2] of f32, which takes 8");
        assert_eq!(with("'<f4'", "(1,)", &[0; 9]), "5 bytes for the shape [1] of f32, which takes 4");
        assert_eq!(with("'|b1'", "(1,)", &[2]), "the bytes are no valid bool");
        assert!(with("'<f4'", "(1, 1, 1, 1, 1, 1, 1, 1, 1)", &[0; 4]).starts_with("9 dimensions"));
        assert!(error(&npy("{'descr': '<f4'}", &[])).contains("must have the entries"));
        assert!(error(&npy("{'descr'", &[])).contains("not a Python dictionary"));
    }

    #[test]
    fn a_header_that_promises_too_much_costs_nothing() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000000), }";
        assert!(error(&npy(header, &[0; 4])).starts_with("4 bytes for the shape"));
        let header = "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000000000,), }";
        assert!(error(&npy(header, &[])).contains("not supported"));
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000000000000, 9), }";
        assert!(error(&npy(header, &[])).contains("too large"));
    }

    #[test]
    fn any_cut_is_an_error() {
        let whole = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", &[0; 4]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
