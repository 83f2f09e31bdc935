//! Vectors of `f32` and `i32`, the same for every instruction set.
//!
//! ```text
//!  kernel: impl Vectorized for MyLoop { fn run<S: Simd>(self, simd: S) … }      written once
//!             │ dispatch(isa, MyLoop { … })
//!             ▼
//!  shell with #[target_feature(…)] ─▶ MyLoop::run::<Avx512> | <Avx2> | <Neon> | <Portable>
//! ```
//!
//! A value of a type that implements [`Simd`] is the proof that its instructions exist; the operations are methods of that
//! token (`simd.add(a, b)`), the vectors are plain data. [`dispatch`] turns an [`Isa`] into a token, once for a whole loop.
//!
//! **The one rule**: everything between the shell and the instructions must be `#[inline(always)]`, because only inside
//! the shell does the compiler know the instructions; a helper that is not inlined becomes a call for every vector. So no
//! closure may hold operations: it cannot be marked, and LLVM inlines it into the shell only when it is small (with calls in
//! it, it is not). Write the loop out, or make the function a type with a marked method. A part that is better not inlined
//! (it is large, or called from many places) becomes a [`Vectorized`] of its own and is called with [`Simd::call`]. Whether
//! all is well is seen in a release build: no name of an intrinsic may be among the symbols (`nm -C … | grep core_arch`).
//!
//! What this module does *not* do: it detects nothing (an `Isa` is handed down), it has no vectors of other types (bytes are
//! loaded into and stored from `i32`, or multiplied four to a lane by [`Simd::dot`]), and results may differ in the last bit between instruction sets, since only some have
//! a fused multiply-add.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dots;
#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
mod neon;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm128;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(test)]
pub(crate) use dots::WORDS;
pub use dots::{Dots, dots};
#[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
pub use neon::Neon;
pub use portable::Portable;
#[cfg(test)]
pub(crate) use portable::SIGNED;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use wasm128::Wasm128;

use crate::isa::{Isa, Level};

/// No vector has more lanes than this.
pub(crate) const MOST_LANES: usize = 16;

/// A loop written for any instruction set.
pub trait Vectorized {
    /// What it gives.
    type Output;

    /// Runs it with the instructions of `simd`. Implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `op` with the best instructions that `isa` allows.
pub fn dispatch<V: Vectorized>(isa: Isa, op: V) -> V::Output {
    match isa.level() {
        // SAFETY: an `Isa` of this level exists only where the processor has these instructions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni => unsafe { Avx512::<false>::assume() }.call(op),
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { Avx2::assume() }.call(op),
        // SAFETY: as above.
        #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
        Level::Neon | Level::NeonI8mm => unsafe { Neon::<false>::assume() }.call(op),
        Level::Portable => BASE.call(op),
        // Levels of other processors, which nobody can vouch for here.
        _ => BASE.call(op),
    }
}

/// As [`dispatch`], for loops that multiply bytes ([`Simd::dot`]).
pub fn dispatch_bytes<V: Vectorized>(isa: Isa, op: V) -> V::Output {
    match isa.level() {
        // SAFETY: as for `dispatch`.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512Vnni => unsafe { Avx512::<true>::assume() }.call(op),
        // SAFETY: as for `dispatch`.
        #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
        Level::NeonI8mm => unsafe { Neon::<true>::assume() }.call(op),
        _ => dispatch(isa, op),
    }
}

/// What the target guarantees when it is compiled.
#[cfg(not(all(target_arch = "wasm32", target_feature = "simd128")))]
const BASE: Portable = Portable;
/// What the target guarantees when it is compiled.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
const BASE: Wasm128 = Wasm128;

/// The instructions of one set, as operations on vectors of [`Simd::LANES`] numbers. See the [module](self).
///
/// Comparisons are false where a number is NaN. "Lane 0" is the one that lies first in memory.
pub trait Simd: Copy + Send + Sync + 'static {
    /// A vector of `LANES` `f32`.
    type F32: Copy;
    /// A vector of `LANES` `i32`.
    type I32: Copy;
    /// One truth value a lane.
    type Mask: Copy;

    /// Numbers in a vector: a power of two.
    const LANES: usize;
    /// Vectors that fit into registers at the same time: a hint for how much to unroll.
    const REGISTERS: usize;
    /// Whether products take their left factors from a register's lanes, for which these had better lie side by side.
    const BY_ELEMENT: bool = false;

    /// Runs `op` as a function of its own, with these instructions.
    fn call<V: Vectorized>(self, op: V) -> V::Output;

    // ---- memory ----

    /// Asks for the cache line at `at`, which will be read soon; it may lie outside of any memory. Does nothing where there is
    /// no such instruction.
    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        let _ = at;
    }

    /// The `LANES` numbers at `at`.
    ///
    /// # Safety
    /// They can be read. No alignment is needed.
    unsafe fn load_ptr(self, at: *const f32) -> Self::F32;

    /// Writes `LANES` numbers to `at`.
    ///
    /// # Safety
    /// They can be written. No alignment is needed.
    unsafe fn store_ptr(self, value: Self::F32, at: *mut f32);

    /// The `count <= LANES` numbers at `at`, followed by zeros.
    ///
    /// # Safety
    /// `count` numbers can be read, and `count <= LANES`.
    unsafe fn load_ptr_partial(self, at: *const f32, count: usize) -> Self::F32;

    /// Writes the first `count <= LANES` numbers to `at`.
    ///
    /// # Safety
    /// `count` numbers can be written, and `count <= LANES`.
    unsafe fn store_ptr_partial(self, value: Self::F32, at: *mut f32, count: usize);

    /// As [`Simd::load_ptr`], for `i32`.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn load_ptr_i32(self, at: *const i32) -> Self::I32 {
        // SAFETY: passed on; every bit pattern is a number of either type.
        self.to_bits(unsafe { self.load_ptr(at.cast()) })
    }

    /// As [`Simd::store_ptr`], for `i32`.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn store_ptr_i32(self, value: Self::I32, at: *mut i32) {
        // SAFETY: passed on.
        unsafe { self.store_ptr(self.of_bits(value), at.cast()) }
    }

    /// As [`Simd::load_ptr_partial`], for `i32`.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn load_ptr_partial_i32(self, at: *const i32, count: usize) -> Self::I32 {
        // SAFETY: passed on.
        self.to_bits(unsafe { self.load_ptr_partial(at.cast(), count) })
    }

    /// As [`Simd::store_ptr_partial`], for `i32`.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn store_ptr_partial_i32(self, value: Self::I32, at: *mut i32, count: usize) {
        // SAFETY: passed on.
        unsafe { self.store_ptr_partial(self.of_bits(value), at.cast(), count) }
    }

    /// `LANES` unsigned bytes, widened.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn load_ptr_u8(self, at: *const u8) -> Self::I32;

    /// `LANES` signed bytes, widened.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn load_ptr_i8(self, at: *const i8) -> Self::I32;

    /// Writes `LANES` numbers as unsigned bytes; what lies outside 0..=255 becomes the nearest of them.
    ///
    /// # Safety
    /// The bytes can be written.
    unsafe fn store_ptr_u8(self, value: Self::I32, at: *mut u8);

    /// Writes `LANES` numbers as signed bytes; what lies outside -128..=127 becomes the nearest of them.
    ///
    /// # Safety
    /// The bytes can be written.
    unsafe fn store_ptr_i8(self, value: Self::I32, at: *mut i8);

    /// The `count <= LANES` unsigned bytes at `at`, widened, followed by zeros.
    ///
    /// # Safety
    /// `count` bytes can be read, and `count <= LANES`.
    #[inline(always)]
    unsafe fn load_ptr_partial_u8(self, at: *const u8, count: usize) -> Self::I32 {
        let mut whole = [0; MOST_LANES];
        // SAFETY: the caller vouches for `count` bytes; a vector has no more lanes than `whole` has places.
        unsafe {
            core::ptr::copy_nonoverlapping(at, whole.as_mut_ptr(), count);
            self.load_ptr_u8(whole.as_ptr())
        }
    }

    /// Writes the first `count <= LANES` numbers as [`Simd::store_ptr_u8`] does.
    ///
    /// # Safety
    /// `count` bytes can be written, and `count <= LANES`.
    #[inline(always)]
    unsafe fn store_ptr_partial_u8(self, value: Self::I32, at: *mut u8, count: usize) {
        let mut whole = [0; MOST_LANES];
        // SAFETY: as above.
        unsafe {
            self.store_ptr_u8(value, whole.as_mut_ptr());
            core::ptr::copy_nonoverlapping(whole.as_ptr(), at, count);
        }
    }

    /// `LANES` numbers of half precision (their bits), widened.
    ///
    /// # Safety
    /// They can be read.
    unsafe fn load_ptr_f16(self, at: *const u16) -> Self::F32;

    /// Writes `LANES` numbers in half precision, rounded to nearest, ties to even.
    ///
    /// # Safety
    /// They can be written.
    unsafe fn store_ptr_f16(self, value: Self::F32, at: *mut u16);

    /// The first `LANES` numbers of `from`.
    ///
    /// # Panics
    /// When there are fewer.
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F32 {
        let from = &from[..Self::LANES];
        // SAFETY: the slice has `LANES` elements.
        unsafe { self.load_ptr(from.as_ptr()) }
    }

    /// Writes into the first `LANES` numbers of `to`.
    ///
    /// # Panics
    /// When there are fewer.
    #[inline(always)]
    fn store(self, value: Self::F32, to: &mut [f32]) {
        let to = &mut to[..Self::LANES];
        // SAFETY: the slice has `LANES` elements.
        unsafe { self.store_ptr(value, to.as_mut_ptr()) }
    }

    /// The numbers of `from`, at most `LANES`, followed by zeros.
    #[inline(always)]
    fn load_partial(self, from: &[f32]) -> Self::F32 {
        // SAFETY: no more than the slice has.
        unsafe { self.load_ptr_partial(from.as_ptr(), from.len().min(Self::LANES)) }
    }

    /// Fills `to`, or its first `LANES` numbers.
    #[inline(always)]
    fn store_partial(self, value: Self::F32, to: &mut [f32]) {
        // SAFETY: no more than the slice has.
        unsafe { self.store_ptr_partial(value, to.as_mut_ptr(), to.len().min(Self::LANES)) }
    }

    /// As [`Simd::load`], for `i32`.
    ///
    /// # Panics
    /// When there are fewer.
    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> Self::I32 {
        let from = &from[..Self::LANES];
        // SAFETY: the slice has `LANES` elements.
        unsafe { self.load_ptr_i32(from.as_ptr()) }
    }

    /// As [`Simd::store`], for `i32`.
    ///
    /// # Panics
    /// When there are fewer.
    #[inline(always)]
    fn store_i32(self, value: Self::I32, to: &mut [i32]) {
        let to = &mut to[..Self::LANES];
        // SAFETY: the slice has `LANES` elements.
        unsafe { self.store_ptr_i32(value, to.as_mut_ptr()) }
    }

    /// As [`Simd::load_partial`], for `i32`.
    #[inline(always)]
    fn load_partial_i32(self, from: &[i32]) -> Self::I32 {
        // SAFETY: no more than the slice has.
        unsafe { self.load_ptr_partial_i32(from.as_ptr(), from.len().min(Self::LANES)) }
    }

    /// As [`Simd::store_partial`], for `i32`.
    #[inline(always)]
    fn store_partial_i32(self, value: Self::I32, to: &mut [i32]) {
        // SAFETY: no more than the slice has.
        unsafe { self.store_ptr_partial_i32(value, to.as_mut_ptr(), to.len().min(Self::LANES)) }
    }

    // ---- f32 ----

    /// The same number in every lane.
    fn splat(self, value: f32) -> Self::F32;

    /// Zero in every lane.
    #[inline(always)]
    fn zero(self) -> Self::F32 {
        self.splat(0.0)
    }

    /// `a + b`
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a - b`
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b`
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a / b`
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a * b + c`, rounded once where the instruction exists, else twice.
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// A number times each of two vectors, added to two others.
    #[inline(always)]
    fn fma_pair(self, a: f32, b: [Self::F32; 2], c: [Self::F32; 2]) -> [Self::F32; 2] {
        let a = self.splat(a);
        [self.fma(a, b[0], c[0]), self.fma(a, b[1], c[1])]
    }
    /// `if a < b { a } else { b }`: when either is NaN, `b`.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `if a > b { a } else { b }`: when either is NaN, `b`. So `max(zero, x)` is a Relu that keeps NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The square root, correctly rounded.
    fn sqrt(self, a: Self::F32) -> Self::F32;
    /// To the nearest whole number, ties to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// To the next whole number downwards.
    fn floor(self, a: Self::F32) -> Self::F32;

    /// `-a`
    #[inline(always)]
    fn neg(self, a: Self::F32) -> Self::F32 {
        self.of_bits(self.xor_i32(self.to_bits(a), self.splat_i32(i32::MIN)))
    }

    /// The magnitude.
    #[inline(always)]
    fn abs(self, a: Self::F32) -> Self::F32 {
        self.of_bits(self.and_i32(self.to_bits(a), self.splat_i32(i32::MAX)))
    }

    /// The magnitude of `a` with the sign of `sign`.
    #[inline(always)]
    fn copysign(self, a: Self::F32, sign: Self::F32) -> Self::F32 {
        let magnitude = self.and_i32(self.to_bits(a), self.splat_i32(i32::MAX));
        let sign = self.and_i32(self.to_bits(sign), self.splat_i32(i32::MIN));
        self.of_bits(self.or_i32(magnitude, sign))
    }

    /// The sum of all lanes, in pairs.
    fn sum(self, a: Self::F32) -> f32;
    /// The largest lane; which one wins against NaN is not specified.
    fn max_lane(self, a: Self::F32) -> f32;
    /// The smallest lane; which one wins against NaN is not specified.
    fn min_lane(self, a: Self::F32) -> f32;

    /// From numbers `a0 a1 a2 … | b0 b1 …` those at even places, then those at odd places.
    fn deinterleave(self, a: Self::F32, b: Self::F32) -> (Self::F32, Self::F32);
    /// The inverse: `a0 b0 a1 b1 …` as two vectors.
    fn interleave(self, a: Self::F32, b: Self::F32) -> (Self::F32, Self::F32);

    // ---- comparison ----

    /// `a < b`
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a <= b`
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a == b`
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    /// `a` is NaN.
    fn is_nan(self, a: Self::F32) -> Self::Mask;
    /// `a > b`
    #[inline(always)]
    fn gt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        self.lt(b, a)
    }
    /// `a >= b`
    #[inline(always)]
    fn ge(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        self.le(b, a)
    }
    /// `a == b`
    fn eq_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask;
    /// `a > b`
    fn gt_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask;

    /// Both.
    fn mask_and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// Either or both.
    fn mask_or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// The opposite.
    fn mask_not(self, a: Self::Mask) -> Self::Mask;
    /// One bit a lane, lane 0 lowest.
    fn mask_bits(self, a: Self::Mask) -> u32;
    /// `if mask { yes } else { no }`
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32;
    /// `if mask { yes } else { no }`
    #[inline(always)]
    fn select_i32(self, mask: Self::Mask, yes: Self::I32, no: Self::I32) -> Self::I32 {
        self.to_bits(self.select(mask, self.of_bits(yes), self.of_bits(no)))
    }

    // ---- i32 ----

    /// The same number in every lane.
    fn splat_i32(self, value: i32) -> Self::I32;
    /// `a + b`, wrapping.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a - b`, wrapping.
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// `a * b`, wrapping.
    fn mul_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The smaller.
    fn min_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The larger.
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The larger of each two unsigned bytes, four of which lie in a lane.
    fn max_bytes(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bits of both.
    fn and_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bits of either.
    fn or_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Bits of exactly one.
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// Shifted left by `bits < 32`, zeros filled in.
    fn shl_i32(self, a: Self::I32, bits: u32) -> Self::I32;
    /// Shifted right by `bits < 32`, the sign filled in.
    fn shr_i32(self, a: Self::I32, bits: u32) -> Self::I32;
    /// Shifted right by `bits < 32`, zeros filled in.
    fn shr_u32(self, a: Self::I32, bits: u32) -> Self::I32;
    /// The sum of all lanes, wrapping.
    fn sum_i32(self, a: Self::I32) -> i32;

    /// Adds to each lane of `sum` the products of the four bytes in that lane of `a`, which are signed or not as [`dots`] says,
    /// and the four signed bytes in that lane of `b`; exact but for wrapping, unless `dots` says not to use it. One instruction with
    /// VNNI, I8MM and relaxed SIMD, about eight otherwise: see [`dispatch_bytes`].
    #[inline(always)]
    fn dot(self, a: Self::I32, b: Self::I32, sum: Self::I32) -> Self::I32 {
        products(self, a, b, sum)
    }

    /// [`Simd::dot`] of the four bytes at `at`, the same in every lane, with each of two vectors.
    ///
    /// # Safety
    /// The four bytes can be read. No alignment is needed.
    #[inline(always)]
    unsafe fn dot_pair(self, at: *const u8, b: [Self::I32; 2], sums: [Self::I32; 2]) -> [Self::I32; 2] {
        // SAFETY: as this function.
        let a = self.splat_i32(unsafe { at.cast::<i32>().read_unaligned() });
        [self.dot(a, b[0], sums[0]), self.dot(a, b[1], sums[1])]
    }

    /// Adds to each lane of `sum` the products of the two signed words in that lane of `a` and of `b`, wrapping; neither operand
    /// has two of the smallest word in a lane. Two instructions in WebAssembly.
    #[inline(always)]
    fn dot_words(self, a: Self::I32, b: Self::I32, sum: Self::I32) -> Self::I32 {
        let low = self.mul_i32(self.shr_i32(self.shl_i32(a, 16), 16), self.shr_i32(self.shl_i32(b, 16), 16));
        let high = self.mul_i32(self.shr_i32(a, 16), self.shr_i32(b, 16));
        self.add_i32(sum, self.add_i32(low, high))
    }

    // ---- between the two ----

    /// The bits of each number.
    fn to_bits(self, a: Self::F32) -> Self::I32;
    /// The numbers that have these bits.
    fn of_bits(self, a: Self::I32) -> Self::F32;
    /// The nearest `f32`.
    fn to_f32(self, a: Self::I32) -> Self::F32;
    /// The nearest whole number, ties to even. Not specified for NaN and numbers that no `i32` is near.
    fn to_i32_round(self, a: Self::F32) -> Self::I32;
    /// The whole number towards zero. Not specified for NaN and numbers beyond `i32`.
    fn to_i32_truncate(self, a: Self::F32) -> Self::I32;
}

/// [`Simd::dot`] of unsigned bytes, by multiplying lanes.
#[inline(always)]
fn products<S: Simd>(simd: S, a: S::I32, b: S::I32, sum: S::I32) -> S::I32 {
    let byte = simd.splat_i32(0xff);
    let first = simd.mul_i32(simd.and_i32(a, byte), simd.shr_i32(simd.shl_i32(b, 24), 24));
    let second = simd.shr_i32(simd.shl_i32(b, 16), 24);
    let second = simd.mul_i32(simd.and_i32(simd.shr_u32(a, 8), byte), second);
    let third = simd.shr_i32(simd.shl_i32(b, 8), 24);
    let third = simd.mul_i32(simd.and_i32(simd.shr_u32(a, 16), byte), third);
    let fourth = simd.mul_i32(simd.shr_u32(a, 24), simd.shr_i32(b, 24));
    let pairs = [simd.add_i32(first, second), simd.add_i32(third, fourth)];
    simd.add_i32(sum, simd.add_i32(pairs[0], pairs[1]))
}
