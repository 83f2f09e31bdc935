//! Four lanes: WebAssembly with simd128, and with relaxed-simd's fused multiply-add where the module is built with it.
//!
//! A module that holds one instruction which the engine lacks is refused as a whole, so nothing is chosen at run time: the
//! file exists in builds with the feature, and is then what [`dispatch`](super::dispatch) uses. There are no masked loads;
//! parts of vectors go through a small array.

use core::arch::wasm32::*;

use half::f16;

use super::{Simd, Vectorized};

/// What a module that is built with simd128 has.
#[derive(Clone, Copy, Debug)]
pub struct Wasm128;

const N: usize = 4;

/// Methods that are one expression of instructions.
macro_rules! instructions {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty { $body:expr })*) => { $(
        #[inline(always)]
        fn $name(self $(, $arg: $type)*) -> $result {
            $body
        }
    )* };
}

/// The lanes in pairs: 0 with 2, 1 with 3; then those two.
macro_rules! fold {
    ($a:expr, $op:expr, $lane:expr) => {{
        let a = $a;
        let two = $op(a, i32x4_shuffle::<2, 3, 2, 3>(a, a));
        $lane($op(two, i32x4_shuffle::<1, 1, 1, 1>(two, two)))
    }};
}

/// The whole number towards zero: with relaxed SIMD one instruction on x86-64, where V8 makes seven of the one that says what
/// becomes of numbers beyond `i32`.
#[inline(always)]
fn truncate(a: v128) -> v128 {
    #[cfg(target_feature = "relaxed-simd")]
    return i32x4_relaxed_trunc_f32x4(a);
    #[cfg(not(target_feature = "relaxed-simd"))]
    return i32x4_trunc_sat_f32x4(a);
}

impl Simd for Wasm128 {
    type F32 = v128;
    type I32 = v128;
    type Mask = v128;

    const LANES: usize = N;
    // The engine maps values to the processor's registers: sixteen on x86-64, more on ARM.
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn call<V: Vectorized>(self, op: V) -> V::Output {
        // Engines compile function by function and have no on-stack replacement: many calls of small functions warm up.
        #[inline(never)]
        fn shell<V: Vectorized>(op: V) -> V::Output {
            op.run(Wasm128)
        }
        shell(op)
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> v128 {
        // SAFETY: the caller vouches for the memory; v128 loads need no alignment. So below.
        unsafe { v128_load(at.cast()) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, value: v128, at: *mut f32) {
        // SAFETY: as above.
        unsafe { v128_store(at.cast(), value) }
    }
    #[inline(always)]
    unsafe fn load_ptr_partial(self, at: *const f32, count: usize) -> v128 {
        let mut lanes = [0.0f32; N];
        // SAFETY: the caller vouches for `count <= 4` numbers; the array has room for them.
        unsafe {
            core::ptr::copy_nonoverlapping(at, lanes.as_mut_ptr(), count);
            v128_load(lanes.as_ptr().cast())
        }
    }
    #[inline(always)]
    unsafe fn store_ptr_partial(self, value: v128, at: *mut f32, count: usize) {
        let mut lanes = [0.0f32; N];
        // SAFETY: as above.
        unsafe {
            v128_store(lanes.as_mut_ptr().cast(), value);
            core::ptr::copy_nonoverlapping(lanes.as_ptr(), at, count);
        }
    }
    #[inline(always)]
    unsafe fn load_ptr_u8(self, at: *const u8) -> v128 {
        // SAFETY: as above: four bytes.
        let bytes = unsafe { v128_load32_zero(at.cast()) };
        u32x4_extend_low_u16x8(u16x8_extend_low_u8x16(bytes))
    }
    #[inline(always)]
    unsafe fn load_ptr_i8(self, at: *const i8) -> v128 {
        // SAFETY: as above.
        let bytes = unsafe { v128_load32_zero(at.cast()) };
        i32x4_extend_low_i16x8(i16x8_extend_low_i8x16(bytes))
    }
    #[inline(always)]
    unsafe fn store_ptr_u8(self, value: v128, at: *mut u8) {
        let words = i16x8_narrow_i32x4(value, value);
        // SAFETY: as above.
        unsafe { v128_store32_lane::<0>(u8x16_narrow_i16x8(words, words), at.cast()) }
    }
    #[inline(always)]
    unsafe fn store_ptr_i8(self, value: v128, at: *mut i8) {
        let words = i16x8_narrow_i32x4(value, value);
        // SAFETY: as above.
        unsafe { v128_store32_lane::<0>(i8x16_narrow_i16x8(words, words), at.cast()) }
    }
    #[inline(always)]
    unsafe fn load_ptr_f16(self, at: *const u16) -> v128 {
        // SAFETY: as above: four numbers of two bytes.
        let bits = unsafe { at.cast::<[u16; N]>().read_unaligned() };
        let [a, b, c, d] = bits;
        let wide = |bits| f16::from_bits(bits).to_f32();
        f32x4(wide(a), wide(b), wide(c), wide(d))
    }
    #[inline(always)]
    unsafe fn store_ptr_f16(self, value: v128, at: *mut u16) {
        let narrow = |number| f16::from_f32(number).to_bits();
        let bits = [
            narrow(f32x4_extract_lane::<0>(value)),
            narrow(f32x4_extract_lane::<1>(value)),
            narrow(f32x4_extract_lane::<2>(value)),
            narrow(f32x4_extract_lane::<3>(value)),
        ];
        // SAFETY: as above.
        unsafe { at.cast::<[u16; N]>().write_unaligned(bits) }
    }

    #[inline(always)]
    fn fma(self, a: v128, b: v128, c: v128) -> v128 {
        #[cfg(target_feature = "relaxed-simd")]
        return f32x4_relaxed_madd(a, b, c);
        #[cfg(not(target_feature = "relaxed-simd"))]
        return f32x4_add(f32x4_mul(a, b), c);
    }

    // The order is the reverse of ours: its second operand is the one with seven bits, or whatever `dots` found out.
    #[cfg(target_feature = "relaxed-simd")]
    #[inline(always)]
    fn dot(self, a: v128, b: v128, sum: v128) -> v128 {
        i32x4_relaxed_dot_i8x16_i7x16_add(b, a, sum)
    }

    instructions! {
        fn splat(value: f32) -> v128 { f32x4_splat(value) }
        fn add(a: v128, b: v128) -> v128 { f32x4_add(a, b) }
        fn sub(a: v128, b: v128) -> v128 { f32x4_sub(a, b) }
        fn mul(a: v128, b: v128) -> v128 { f32x4_mul(a, b) }
        fn div(a: v128, b: v128) -> v128 { f32x4_div(a, b) }
        // `pmin(x, y)` is `y < x ? y : x`, and `pmax(x, y)` is `x < y ? y : x`.
        fn min(a: v128, b: v128) -> v128 { f32x4_pmin(b, a) }
        fn max(a: v128, b: v128) -> v128 { f32x4_pmax(b, a) }
        fn sqrt(a: v128) -> v128 { f32x4_sqrt(a) }
        fn round(a: v128) -> v128 { f32x4_nearest(a) }
        fn floor(a: v128) -> v128 { f32x4_floor(a) }
        fn sum(a: v128) -> f32 { fold!(a, f32x4_add, f32x4_extract_lane::<0>) }
        fn max_lane(a: v128) -> f32 { fold!(a, f32x4_pmax, f32x4_extract_lane::<0>) }
        fn min_lane(a: v128) -> f32 { fold!(a, f32x4_pmin, f32x4_extract_lane::<0>) }
        fn deinterleave(a: v128, b: v128) -> (v128, v128) {
            (i32x4_shuffle::<0, 2, 4, 6>(a, b), i32x4_shuffle::<1, 3, 5, 7>(a, b))
        }
        fn interleave(a: v128, b: v128) -> (v128, v128) {
            (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<2, 6, 3, 7>(a, b))
        }

        fn lt(a: v128, b: v128) -> v128 { f32x4_lt(a, b) }
        fn le(a: v128, b: v128) -> v128 { f32x4_le(a, b) }
        fn eq(a: v128, b: v128) -> v128 { f32x4_eq(a, b) }
        fn is_nan(a: v128) -> v128 { f32x4_ne(a, a) }
        fn eq_i32(a: v128, b: v128) -> v128 { i32x4_eq(a, b) }
        fn gt_i32(a: v128, b: v128) -> v128 { i32x4_gt(a, b) }
        fn mask_and(a: v128, b: v128) -> v128 { v128_and(a, b) }
        fn mask_or(a: v128, b: v128) -> v128 { v128_or(a, b) }
        fn mask_not(a: v128) -> v128 { v128_not(a) }
        fn mask_bits(a: v128) -> u32 { u32::from(i32x4_bitmask(a)) }
        fn select(mask: v128, yes: v128, no: v128) -> v128 { v128_bitselect(yes, no, mask) }

        fn splat_i32(value: i32) -> v128 { i32x4_splat(value) }
        fn add_i32(a: v128, b: v128) -> v128 { i32x4_add(a, b) }
        fn sub_i32(a: v128, b: v128) -> v128 { i32x4_sub(a, b) }
        fn mul_i32(a: v128, b: v128) -> v128 { i32x4_mul(a, b) }
        fn min_i32(a: v128, b: v128) -> v128 { i32x4_min(a, b) }
        fn max_bytes(a: v128, b: v128) -> v128 { u8x16_max(a, b) }
        fn max_i32(a: v128, b: v128) -> v128 { i32x4_max(a, b) }
        fn and_i32(a: v128, b: v128) -> v128 { v128_and(a, b) }
        fn or_i32(a: v128, b: v128) -> v128 { v128_or(a, b) }
        fn xor_i32(a: v128, b: v128) -> v128 { v128_xor(a, b) }
        fn shl_i32(a: v128, bits: u32) -> v128 { i32x4_shl(a, bits) }
        fn shr_i32(a: v128, bits: u32) -> v128 { i32x4_shr(a, bits) }
        fn shr_u32(a: v128, bits: u32) -> v128 { u32x4_shr(a, bits) }
        fn dot_words(a: v128, b: v128, sum: v128) -> v128 { i32x4_add(sum, i32x4_dot_i16x8(a, b)) }
        fn sum_i32(a: v128) -> i32 { fold!(a, i32x4_add, i32x4_extract_lane::<0>) }

        fn to_bits(a: v128) -> v128 { a }
        fn of_bits(a: v128) -> v128 { a }
        fn to_f32(a: v128) -> v128 { f32x4_convert_i32x4(a) }
        fn to_i32_round(a: v128) -> v128 { truncate(f32x4_nearest(a)) }
        fn to_i32_truncate(a: v128) -> v128 { truncate(a) }
    }
}
