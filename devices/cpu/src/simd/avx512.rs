//! Sixteen lanes: x86-64 with AVX-512 F, BW, CD, DQ and VL, and with VNNI where bytes are multiplied.
//!
//! There are two tokens, which differ only in [`Simd::dot`]: most loops have no use for it and are compiled once, without.

use core::arch::x86_64::*;

use super::{Simd, Vectorized};

/// Proof that AVX-512 F, BW, CD, DQ and VL exist, besides AVX2, FMA and F16C; with `VNNI` also those instructions.
#[derive(Clone, Copy, Debug)]
pub struct Avx512<const VNNI: bool = false>(());

impl<const VNNI: bool> Avx512<VNNI> {
    /// The token.
    ///
    /// # Safety
    /// The processor and the operating system support these instructions.
    pub const unsafe fn assume() -> Avx512<VNNI> {
        Avx512(())
    }

    /// The first `count` lanes.
    #[inline(always)]
    fn first(self, count: usize) -> __mmask16 {
        debug_assert!(count <= 16);
        ((1u32 << count) - 1) as __mmask16
    }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
fn shell<V: Vectorized>(simd: Avx512<false>, op: V) -> V::Output {
    op.run(simd)
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni")]
fn shell_vnni<V: Vectorized>(simd: Avx512<true>, op: V) -> V::Output {
    op.run(simd)
}

/// [`Simd::dot_pair`], as three instructions that stay together: LLVM (Rust 1.95) would load the repeated bytes of all rows of a
/// tile first, for which there are no registers, and then keep the sums in memory.
///
/// # Safety
/// The four bytes at `at` can be read.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vnni")]
unsafe fn dot_pair(
    at: *const u8,
    [b, d]: [__m512i; 2],
    [mut first, mut second]: [__m512i; 2],
) -> [__m512i; 2] {
    // Its type says which register it is.
    let _a: __m512i;
    // SAFETY: the instructions exist, read the four bytes that the caller vouches for, and write only the registers named.
    unsafe {
        core::arch::asm!(
            "vpbroadcastd {a}, dword ptr [{at}]",
            "vpdpbusd {first}, {a}, {b}",
            "vpdpbusd {second}, {a}, {d}",
            at = in(reg) at,
            a = out(zmm_reg) _a,
            b = in(zmm_reg) b,
            d = in(zmm_reg) d,
            first = inout(zmm_reg) first,
            second = inout(zmm_reg) second,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    [first, second]
}

/// Methods that are one expression of instructions.
macro_rules! instructions {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty { $body:expr })*) => { $(
        #[inline(always)]
        #[allow(unused_unsafe)] // operations on masks are plain integer operations
        fn $name(self $(, $arg: $type)*) -> $result {
            // SAFETY: the token proves that the instructions exist; none of these touches memory.
            unsafe { $body }
        }
    )* };
}

const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;

impl<const VNNI: bool> Simd for Avx512<VNNI> {
    type F32 = __m512;
    type I32 = __m512i;
    type Mask = __mmask16;

    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    fn call<V: Vectorized>(self, op: V) -> V::Output {
        // SAFETY: the token proves that the instructions exist.
        unsafe { if VNNI { shell_vnni(Avx512(()), op) } else { shell(Avx512(()), op) } }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> __m512 {
        // SAFETY: the caller vouches for the memory, the token for the instruction. So below.
        unsafe { _mm512_loadu_ps(at) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, value: __m512, at: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(at, value) }
    }
    #[inline(always)]
    unsafe fn load_ptr_partial(self, at: *const f32, count: usize) -> __m512 {
        // SAFETY: as above; lanes that are masked out are not read.
        unsafe { _mm512_maskz_loadu_ps(self.first(count), at) }
    }
    #[inline(always)]
    unsafe fn store_ptr_partial(self, value: __m512, at: *mut f32, count: usize) {
        // SAFETY: as above; lanes that are masked out are not written.
        unsafe { _mm512_mask_storeu_ps(at, self.first(count), value) }
    }
    #[inline(always)]
    unsafe fn load_ptr_u8(self, at: *const u8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast())) }
    }
    #[inline(always)]
    unsafe fn load_ptr_i8(self, at: *const i8) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_cvtepi8_epi32(_mm_loadu_si128(at.cast())) }
    }
    #[inline(always)]
    unsafe fn store_ptr_u8(self, value: __m512i, at: *mut u8) {
        // SAFETY: as above.
        unsafe {
            let positive = _mm512_max_epi32(value, _mm512_setzero_si512());
            _mm_storeu_si128(at.cast(), _mm512_cvtusepi32_epi8(positive));
        }
    }
    #[inline(always)]
    unsafe fn store_ptr_i8(self, value: __m512i, at: *mut i8) {
        // SAFETY: as above.
        unsafe { _mm_storeu_si128(at.cast(), _mm512_cvtsepi32_epi8(value)) }
    }
    #[inline(always)]
    unsafe fn load_ptr_partial_u8(self, at: *const u8, count: usize) -> __m512i {
        // SAFETY: as above; bytes that are masked out are not read.
        unsafe { _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(self.first(count), at.cast())) }
    }
    #[inline(always)]
    unsafe fn store_ptr_partial_u8(self, value: __m512i, at: *mut u8, count: usize) {
        // SAFETY: as above; bytes that are masked out are not written.
        unsafe {
            let positive = _mm512_max_epi32(value, _mm512_setzero_si512());
            _mm_mask_storeu_epi8(at.cast(), self.first(count), _mm512_cvtusepi32_epi8(positive));
        }
    }
    #[inline(always)]
    unsafe fn dot_pair(self, at: *const u8, b: [__m512i; 2], sums: [__m512i; 2]) -> [__m512i; 2] {
        // SAFETY: the caller vouches for the four bytes, the token for the instructions.
        unsafe {
            if VNNI {
                return dot_pair(at, b, sums);
            }
            let a = self.splat_i32(at.cast::<i32>().read_unaligned());
            [self.dot(a, b[0], sums[0]), self.dot(a, b[1], sums[1])]
        }
    }
    #[inline(always)]
    unsafe fn load_ptr_f16(self, at: *const u16) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(at.cast())) }
    }
    #[inline(always)]
    unsafe fn store_ptr_f16(self, value: __m512, at: *mut u16) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(at.cast(), _mm512_cvtps_ph::<NEAREST>(value)) }
    }

    instructions! {
        fn splat(value: f32) -> __m512 { _mm512_set1_ps(value) }
        fn add(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn sub(a: __m512, b: __m512) -> __m512 { _mm512_sub_ps(a, b) }
        fn mul(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn div(a: __m512, b: __m512) -> __m512 { _mm512_div_ps(a, b) }
        fn fma(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        fn min(a: __m512, b: __m512) -> __m512 { _mm512_min_ps(a, b) }
        fn max(a: __m512, b: __m512) -> __m512 { _mm512_max_ps(a, b) }
        fn sqrt(a: __m512) -> __m512 { _mm512_sqrt_ps(a) }
        fn round(a: __m512) -> __m512 { _mm512_roundscale_ps::<NEAREST>(a) }
        fn floor(a: __m512) -> __m512 { _mm512_roundscale_ps::<DOWN>(a) }
        fn sum(a: __m512) -> f32 { _mm512_reduce_add_ps(a) }
        fn max_lane(a: __m512) -> f32 { _mm512_reduce_max_ps(a) }
        fn min_lane(a: __m512) -> f32 { _mm512_reduce_min_ps(a) }
        fn deinterleave(a: __m512, b: __m512) -> (__m512, __m512) {{
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            (_mm512_permutex2var_ps(a, even, b), _mm512_permutex2var_ps(a, odd, b))
        }}
        fn interleave(a: __m512, b: __m512) -> (__m512, __m512) {{
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            (_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b))
        }}

        fn lt(a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
        fn le(a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_LE_OQ>(a, b) }
        fn eq(a: __m512, b: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(a, b) }
        fn is_nan(a: __m512) -> __mmask16 { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(a, a) }
        fn eq_i32(a: __m512i, b: __m512i) -> __mmask16 { _mm512_cmpeq_epi32_mask(a, b) }
        fn gt_i32(a: __m512i, b: __m512i) -> __mmask16 { _mm512_cmpgt_epi32_mask(a, b) }
        fn mask_and(a: __mmask16, b: __mmask16) -> __mmask16 { a & b }
        fn mask_or(a: __mmask16, b: __mmask16) -> __mmask16 { a | b }
        fn mask_not(a: __mmask16) -> __mmask16 { !a }
        fn mask_bits(a: __mmask16) -> u32 { u32::from(a) }
        fn select(mask: __mmask16, yes: __m512, no: __m512) -> __m512 { _mm512_mask_blend_ps(mask, no, yes) }

        fn splat_i32(value: i32) -> __m512i { _mm512_set1_epi32(value) }
        fn add_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_add_epi32(a, b) }
        fn sub_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_sub_epi32(a, b) }
        fn mul_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_mullo_epi32(a, b) }
        fn min_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_min_epi32(a, b) }
        fn max_bytes(a: __m512i, b: __m512i) -> __m512i { _mm512_max_epu8(a, b) }
        fn max_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_max_epi32(a, b) }
        fn and_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_and_si512(a, b) }
        fn or_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_or_si512(a, b) }
        fn xor_i32(a: __m512i, b: __m512i) -> __m512i { _mm512_xor_si512(a, b) }
        fn shl_i32(a: __m512i, bits: u32) -> __m512i { _mm512_sll_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn shr_i32(a: __m512i, bits: u32) -> __m512i { _mm512_sra_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn shr_u32(a: __m512i, bits: u32) -> __m512i { _mm512_srl_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn sum_i32(a: __m512i) -> i32 { _mm512_reduce_add_epi32(a) }
        fn dot(a: __m512i, b: __m512i, sum: __m512i) -> __m512i {
            if VNNI {
                _mm512_dpbusd_epi32(sum, a, b)
            } else {
                // The bytes at even places of each 16 bits, then those at odd places.
                let even = _mm512_and_si512(a, _mm512_set1_epi16(0xff));
                let odd = _mm512_srli_epi16::<8>(a);
                let even = _mm512_madd_epi16(even, _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(b)));
                let odd = _mm512_madd_epi16(odd, _mm512_srai_epi16::<8>(b));
                _mm512_add_epi32(sum, _mm512_add_epi32(even, odd))
            }
        }

        fn to_bits(a: __m512) -> __m512i { _mm512_castps_si512(a) }
        fn of_bits(a: __m512i) -> __m512 { _mm512_castsi512_ps(a) }
        fn to_f32(a: __m512i) -> __m512 { _mm512_cvtepi32_ps(a) }
        fn to_i32_round(a: __m512) -> __m512i { _mm512_cvtps_epi32(a) }
        fn to_i32_truncate(a: __m512) -> __m512i { _mm512_cvttps_epi32(a) }
    }
}
