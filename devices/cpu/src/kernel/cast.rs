//! Cast: every number as another type.
//!
//! Floats become integers by cutting off the fraction; what lies beyond the integers becomes the nearest of them, and NaN
//! becomes 0. Integers keep their low bits. Everything but zero is true. To f16 and bf16 numbers are rounded to nearest,
//! ties to even, once (integers of more than 53 bits are an f64 first). Strings are the business of `text`, floats of eight bits and
//! integers of four that of `small`.
#![allow(unsafe_code)]

use core::ops::Range;

use bytemuck::{Pod, Zeroable};
use half::{bf16, f16};
use inferry_core::ElementType;
use inferry_engine::op::{Cast, CastLike};

use crate::io::{Io, Plain};
use crate::isa::Isa;
use crate::kernel::simple::{simple, spread, spread_rows};
use crate::kernel::{BuildError, Builder, Built, copy, small, text};
use crate::simd::{Simd, Vectorized, dispatch};
use crate::stored::width;

/// Builds Cast.
pub(crate) fn cast(op: &Cast, node: &Builder<'_>) -> Built {
    let from = node.input(0)?.element;
    let (to, shape) = node.output(0);
    let count = shape.count();
    debug_assert_eq!(op.to, *to);
    match (from, *to) {
        (ElementType::F16, ElementType::F32) => return widen(count, node.isa),
        (ElementType::F32, ElementType::F16) => return narrow(count, node.isa),
        (ElementType::String, ElementType::String) => return copy::bytes(count * width(from)),
        (ElementType::String, _) => return text::from_text(node),
        (_, ElementType::String) => return text::to_text(node),
        _ => {}
    }
    if small::is_small(from) || small::is_small(*to) {
        return small::cast(from, *to, op.saturate, count);
    }
    if from == *to {
        return copy::bytes(count * width(from));
    }
    // What models time goes straight. The rest would be a hundred loops more in every page's download.
    use ElementType::*;
    match (from, *to) {
        (Bool, F32) => each::<Truth, f32>(count),
        (Bool, I32) => each::<Truth, i32>(count),
        (Bool, I64) => each::<Truth, i64>(count),
        (U8, F32) => each::<u8, f32>(count),
        (I8, F32) => each::<i8, f32>(count),
        (I32, F32) => each::<i32, f32>(count),
        (I32, I64) => each::<i32, i64>(count),
        (I64, F32) => each::<i64, f32>(count),
        (I64, I32) => each::<i64, i32>(count),
        (I64, Bool) => each::<i64, Truth>(count),
        (F32, U8) => each::<f32, u8>(count),
        (F32, I32) => each::<f32, i32>(count),
        (F32, I64) => each::<f32, i64>(count),
        (F32, Bool) => each::<f32, Truth>(count),
        _ => by_wide(from, *to, count),
    }
}

/// Builds CastLike, whose second input only tells the type.
pub(crate) fn cast_like(op: &CastLike, node: &Builder<'_>) -> Built {
    cast(&Cast { to: node.output(0).0, saturate: op.saturate }, node)
}

fn each<A: Plain + Into1<B>, B: Plain>(count: usize) -> Built {
    let phase = spread(count, 300);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<B>();
        let from = &io.input::<A>(0)[start..start + to.len()];
        to.iter_mut().zip(from).for_each(|(to, from)| *to = from.into1());
    })
}

/// Elements that are wide at a time.
const WIDE: usize = 128;

/// Reads elements of input 0 as bits of a wide type.
type Load = fn(&Io<'_>, Range<usize>, &mut [u64]);
/// Writes wide ones to the bytes of as many elements.
type Store = fn(&[u64], &mut [u8]);

/// From any type to any other by way of the widest of its kind, in which nothing is lost.
fn by_wide(from: ElementType, to: ElementType, count: usize) -> Built {
    use ElementType::*;
    let wrong = |element| BuildError::Element { op: "Cast", element };
    let load: Load = match from {
        Bool => load::<Truth, u64>,
        U8 => load::<u8, u64>,
        U16 => load::<u16, u64>,
        U32 => load::<u32, u64>,
        U64 => load::<u64, u64>,
        I8 => load::<i8, i64>,
        I16 => load::<i16, i64>,
        I32 => load::<i32, i64>,
        I64 => load::<i64, i64>,
        F16 => load::<f16, f64>,
        Bf16 => load::<bf16, f64>,
        F32 => load::<f32, f64>,
        F64 => load::<f64, f64>,
        element => return Err(wrong(element)),
    };
    let store = match from {
        Bool | U8 | U16 | U32 | U64 => storer::<u64>(to),
        F16 | Bf16 | F32 | F64 => storer::<f64>(to),
        _ => storer::<i64>(to),
    };
    let store = store.ok_or(wrong(to))?;
    let size = width(to);
    let phase = spread_rows(count, size, 2_000 / size as u64);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit / size;
        let mut wide = [0; WIDE];
        for (chunk, to) in io.rows::<u8>().chunks_mut(WIDE * size).enumerate() {
            let (first, len) = (start + chunk * WIDE, to.len() / size);
            load(io, first..first + len, &mut wide[..len]);
            store(&wide[..len], to);
        }
    })
}

fn storer<W: IntoAll + Wide>(to: ElementType) -> Option<Store> {
    Some(match to {
        ElementType::Bool => store::<W, Truth>,
        ElementType::I8 => store::<W, i8>,
        ElementType::I16 => store::<W, i16>,
        ElementType::I32 => store::<W, i32>,
        ElementType::I64 => store::<W, i64>,
        ElementType::U8 => store::<W, u8>,
        ElementType::U16 => store::<W, u16>,
        ElementType::U32 => store::<W, u32>,
        ElementType::U64 => store::<W, u64>,
        ElementType::F16 => store::<W, f16>,
        ElementType::Bf16 => store::<W, bf16>,
        ElementType::F32 => store::<W, f32>,
        ElementType::F64 => store::<W, f64>,
        _ => return None,
    })
}

fn load<A: Plain + Into1<W>, W: Wide>(io: &Io<'_>, range: Range<usize>, wide: &mut [u64]) {
    let from = &io.input::<A>(0)[range];
    wide.iter_mut().zip(from).for_each(|(wide, from)| *wide = from.into1().bits());
}

fn store<W: Wide + Into1<B>, B: Plain>(wide: &[u64], to: &mut [u8]) {
    let to: &mut [B] = bytemuck::cast_slice_mut(to);
    to.iter_mut().zip(wide).for_each(|(to, wide)| *to = W::of(*wide).into1());
}

/// The widest type of its kind, as its bits.
trait Wide: Copy {
    fn bits(self) -> u64;
    fn of(bits: u64) -> Self;
}

impl Wide for u64 {
    fn bits(self) -> u64 {
        self
    }

    fn of(bits: u64) -> u64 {
        bits
    }
}

impl Wide for i64 {
    fn bits(self) -> u64 {
        self as u64
    }

    fn of(bits: u64) -> i64 {
        bits as i64
    }
}

impl Wide for f64 {
    fn bits(self) -> u64 {
        self.to_bits()
    }

    fn of(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
}

fn widen(count: usize, isa: Isa) -> Built {
    let phase = spread(count, 150);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<f32>();
        dispatch(isa, Widen { from: &io.input::<f16>(0)[start..start + to.len()], to });
    })
}

fn narrow(count: usize, isa: Isa) -> Built {
    let phase = spread(count, 150);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<f16>();
        dispatch(isa, Narrow { from: &io.input::<f32>(0)[start..start + to.len()], to });
    })
}

/// From f16 to f32, with the processor's instruction where it has one.
struct Widen<'a> {
    from: &'a [f16],
    to: &'a mut [f32],
}

impl Vectorized for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let whole = self.to.len() / S::LANES * S::LANES;
        let (to, to_rest) = self.to.split_at_mut(whole);
        let (from, from_rest) = self.from.split_at(whole);
        for (to, from) in to.chunks_exact_mut(S::LANES).zip(from.chunks_exact(S::LANES)) {
            // SAFETY: the chunk has `LANES` elements, and an f16 is its bits.
            simd.store(unsafe { simd.load_ptr_f16(from.as_ptr().cast()) }, to);
        }
        to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = from.to_f32());
    }
}

/// From f32 to f16.
struct Narrow<'a> {
    from: &'a [f32],
    to: &'a mut [f16],
}

impl Vectorized for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let whole = self.to.len() / S::LANES * S::LANES;
        let (to, to_rest) = self.to.split_at_mut(whole);
        let (from, from_rest) = self.from.split_at(whole);
        for (to, from) in to.chunks_exact_mut(S::LANES).zip(from.chunks_exact(S::LANES)) {
            // SAFETY: the chunk has `LANES` elements, and an f16 is its bits.
            unsafe { simd.store_ptr_f16(simd.load(from), to.as_mut_ptr().cast()) };
        }
        to_rest.iter_mut().zip(from_rest).for_each(|(to, from)| *to = f16::from_f32(*from));
    }
}

/// The `f32` next to `value` towards zero, with its last bit set when that is not `value` itself: "rounding to odd". A second
/// rounding, to fewer bits, then goes the way that a single one would have gone.
#[inline(always)]
fn odd(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) == value || value.is_nan() {
        return near;
    }
    let beyond = f64::from(near).abs() > value.abs();
    f32::from_bits((near.to_bits() - u32::from(beyond)) | 1)
}

/// A bool as it lies in a tensor: one byte, 0 or 1.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(transparent)]
struct Truth(u8);

/// A number as the type `B`.
trait Into1<B> {
    fn into1(self) -> B;
}

/// A number as every type.
trait IntoAll:
    Plain
    + Into1<Truth>
    + Into1<i8>
    + Into1<i16>
    + Into1<i32>
    + Into1<i64>
    + Into1<u8>
    + Into1<u16>
    + Into1<u32>
    + Into1<u64>
    + Into1<f16>
    + Into1<bf16>
    + Into1<f32>
    + Into1<f64>
{
}

macro_rules! casts {
    (from $($a:ident)*) => { $( casts!($a to i8 i16 i32 i64 u8 u16 u32 u64 f32 f64); )* };
    ($a:ident to $($b:ident)*) => {
        $( impl Into1<$b> for $a {
            #[inline(always)]
            fn into1(self) -> $b {
                self as $b
            }
        } )*
        impl Into1<Truth> for $a {
            #[inline(always)]
            fn into1(self) -> Truth {
                Truth((self != 0 as $a) as u8)
            }
        }
        impl Into1<f16> for $a {
            #[inline(always)]
            fn into1(self) -> f16 {
                f16::from_f32(odd(self as f64))
            }
        }
        impl Into1<bf16> for $a {
            #[inline(always)]
            fn into1(self) -> bf16 {
                bf16::from_f32(odd(self as f64))
            }
        }
        impl IntoAll for $a {}
    };
}

casts!(from i8 i16 i32 i64 u8 u16 u32 u64 f32 f64);

/// Types that are another type first.
macro_rules! by_way {
    ($($a:ty, $way:ident, $go:expr;)*) => { $(
        by_way!(@ $a, $way, $go, Truth i8 i16 i32 i64 u8 u16 u32 u64 f16 bf16 f32 f64);
        impl IntoAll for $a {}
    )* };
    (@ $a:ty, $way:ident, $go:expr, $($b:ident)*) => { $(
        impl Into1<$b> for $a {
            #[inline(always)]
            fn into1(self) -> $b {
                let go: fn($a) -> $way = $go;
                Into1::<$b>::into1(go(self))
            }
        }
    )* };
}

by_way! {
    Truth, u8, |value| value.0;
    f16, f32, f16::to_f32;
    bf16, f32, bf16::to_f32;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run, tensor};
    use alloc::vec::Vec;
    use inferry_core::Element;

    fn casted<A: Element, B: Element>(values: &[A]) -> Vec<B> {
        let op = Cast { to: B::TYPE, saturate: true };
        let mut results = Isa::detect_for_tests().into_iter().map(|isa| {
            let input = [Some(tensor(values, [values.len()]))];
            run(&op, &input, &[(B::TYPE, [values.len()].into())], isa)[0].to_vec::<B>().unwrap()
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
        first
    }

    #[test]
    fn floats_are_cut_and_held_within_the_integers() {
        let values = [1.9f32, -1.9, 300.0, -300.0, f32::NAN, f32::INFINITY, 0.5];
        assert_eq!(casted::<_, i8>(&values), [1, -1, 127, -128, 0, 127, 0]);
        assert_eq!(casted::<_, u8>(&values), [1, 0, 255, 0, 0, 255, 0]);
        assert_eq!(casted::<_, i64>(&[-2.5f64, 1e30]), [-2, i64::MAX]);
        assert_eq!(casted::<_, bool>(&values[..6]), [true; 6]);
        assert_eq!(casted::<_, bool>(&[0.0f32, -0.0, 0.1]), [false, false, true]);
    }

    #[test]
    fn integers_keep_their_low_bits() {
        assert_eq!(casted::<_, i8>(&[300i64, -129, 127]), [44, 127, 127]);
        assert_eq!(casted::<_, u32>(&[-1i64, 1 << 40]), [u32::MAX, 0]);
        assert_eq!(casted::<_, i64>(&[u64::MAX, 1 << 62]), [-1, 1 << 62]);
        assert_eq!(casted::<_, f32>(&[true, false]), [1.0, 0.0]);
        assert_eq!(casted::<_, i64>(&[(1i64 << 53) + 1]), [(1 << 53) + 1]);
    }

    #[test]
    fn what_goes_by_way_of_a_wide_type_is_what_rust_makes_of_it() {
        let numbers: Vec<i64> =
            (0..1000).map(|n| (n - 500) * 0x0123_4567_89ab).chain([i64::MIN, i64::MAX]).collect();
        let small: Vec<i16> = numbers.iter().map(|n| *n as i16).collect();
        assert_eq!(casted::<_, i16>(&numbers), small);
        assert!(
            casted::<_, u64>(&small).iter().eq(small.iter().map(|n| *n as u64).collect::<Vec<_>>().iter())
        );
        let unsigned: Vec<u64> = numbers.iter().map(|n| *n as u64).collect();
        assert!(casted::<_, f32>(&unsigned).iter().zip(&unsigned).all(|(a, b)| *a == *b as f32));
        assert!(casted::<_, f64>(&numbers).iter().zip(&numbers).all(|(a, b)| *a == *b as f64));
        let wide: Vec<f64> = numbers.iter().map(|n| *n as f64 * 1e-9).collect();
        assert!(casted::<_, f32>(&wide).iter().zip(&wide).all(|(a, b)| *a == *b as f32));
        assert!(casted::<_, u16>(&wide).iter().zip(&wide).all(|(a, b)| *a == *b as u16));
        assert!(casted::<_, bf16>(&wide).iter().zip(&wide).all(|(a, b)| *a == bf16::from_f64(*b)));
        let bytes: Vec<u8> = (0..=255).collect();
        assert!(casted::<_, bool>(&bytes).iter().zip(&bytes).all(|(a, b)| *a == (*b != 0)));
        assert!(casted::<_, f64>(&bytes).iter().zip(&bytes).all(|(a, b)| *a == f64::from(*b)));
    }

    #[test]
    fn halves_round_to_nearest_even_once() {
        let values: Vec<f32> = (0..40).map(|n| 2048.0 + n as f32).collect();
        let halves = casted::<_, f16>(&values);
        assert!(halves.iter().zip(&values).all(|(half, value)| *half == f16::from_f32(*value)));
        assert_eq!(halves[1].to_f32(), 2048.0);
        assert_eq!(halves[3].to_f32(), 2052.0);
        let wide: Vec<f32> = casted(&halves);
        assert!(wide.iter().zip(&halves).all(|(wide, half)| *wide == half.to_f32()));
        // Just above a tie in f64, on it in f32.
        let value = 2049.0 + 1e-10f64;
        assert_eq!(casted::<_, f16>(&[value])[0].to_f32(), 2050.0);
        assert_eq!(casted::<_, bf16>(&[1.0f32, 3.1399])[1].to_f32(), 3.140625);
        assert_eq!(casted::<_, i32>(&[f16::from_f32(-7.5)]), [-7]);
    }

    #[test]
    fn every_pair_has_a_kernel() {
        for from in ElementType::ALL {
            for to in ElementType::ALL {
                let inputs =
                    [Some(crate::kernel::Operand { element: from, shape: [3].into(), constant: None })];
                let outputs = [(to, [3].into())];
                let packs = crate::pack::Packs::default();
                let node =
                    Builder { inputs: &inputs, outputs: &outputs, isa: Isa::portable(), packs: &packs };
                assert!(cast(&Cast { to, saturate: true }, &node).is_ok(), "{from} to {to}");
            }
        }
    }
}
