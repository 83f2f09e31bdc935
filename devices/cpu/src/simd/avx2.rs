//! Eight lanes: x86-64 with AVX2, FMA and F16C.

use core::arch::x86_64::*;

use super::{Simd, Vectorized};

/// Proof that AVX2, FMA and F16C exist.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

impl Avx2 {
    /// The token.
    ///
    /// # Safety
    /// The processor and the operating system support AVX2, FMA and F16C.
    pub const unsafe fn assume() -> Avx2 {
        Avx2(())
    }

    /// All bits set in the first `count` lanes.
    #[inline(always)]
    fn first(self, count: usize) -> __m256i {
        static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        debug_assert!(count <= 8);
        // SAFETY: `count <= 8`, so that the eight numbers lie within the sixteen; the token proves AVX2.
        unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(8 - count).cast()) }
    }

    /// The two halves, folded by `op` down to one lane.
    #[inline(always)]
    fn fold(self, a: __m256, op: impl Fn(__m128, __m128) -> __m128) -> f32 {
        // SAFETY: the token proves AVX2.
        unsafe {
            let four = op(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let two = op(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(op(two, _mm_shuffle_ps::<1>(two, two)))
        }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn shell<V: Vectorized>(simd: Avx2, op: V) -> V::Output {
    op.run(simd)
}

/// Methods that are one expression of instructions.
macro_rules! instructions {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $result:ty { $body:expr })*) => { $(
        #[inline(always)]
        fn $name(self $(, $arg: $type)*) -> $result {
            // SAFETY: the token proves that the instructions exist; none of these touches memory.
            unsafe { $body }
        }
    )* };
}

impl Simd for Avx2 {
    type F32 = __m256;
    type I32 = __m256i;
    type Mask = __m256;

    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn call<V: Vectorized>(self, op: V) -> V::Output {
        // SAFETY: the token proves that the instructions exist.
        unsafe { shell(self, op) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a hint, which reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> __m256 {
        // SAFETY: the caller vouches for the memory, the token for the instruction. So below.
        unsafe { _mm256_loadu_ps(at) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, value: __m256, at: *mut f32) {
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(at, value) }
    }
    #[inline(always)]
    unsafe fn load_ptr_partial(self, at: *const f32, count: usize) -> __m256 {
        // SAFETY: as above; lanes that are masked out are not read.
        unsafe { _mm256_maskload_ps(at, self.first(count)) }
    }
    #[inline(always)]
    unsafe fn store_ptr_partial(self, value: __m256, at: *mut f32, count: usize) {
        // SAFETY: as above; lanes that are masked out are not written.
        unsafe { _mm256_maskstore_ps(at, self.first(count), value) }
    }
    #[inline(always)]
    unsafe fn load_ptr_u8(self, at: *const u8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(at.cast())) }
    }
    #[inline(always)]
    unsafe fn load_ptr_i8(self, at: *const i8) -> __m256i {
        // SAFETY: as above.
        unsafe { _mm256_cvtepi8_epi32(_mm_loadl_epi64(at.cast())) }
    }
    #[inline(always)]
    unsafe fn store_ptr_u8(self, value: __m256i, at: *mut u8) {
        // SAFETY: as above.
        unsafe {
            let words = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256::<1>(value));
            _mm_storel_epi64(at.cast(), _mm_packus_epi16(words, words));
        }
    }
    #[inline(always)]
    unsafe fn store_ptr_i8(self, value: __m256i, at: *mut i8) {
        // SAFETY: as above.
        unsafe {
            let words = _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256::<1>(value));
            _mm_storel_epi64(at.cast(), _mm_packs_epi16(words, words));
        }
    }
    #[inline(always)]
    unsafe fn load_ptr_f16(self, at: *const u16) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(at.cast())) }
    }
    #[inline(always)]
    unsafe fn store_ptr_f16(self, value: __m256, at: *mut u16) {
        // SAFETY: as above.
        unsafe { _mm_storeu_si128(at.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value)) }
    }

    #[inline(always)]
    fn sum(self, a: __m256) -> f32 {
        // SAFETY: the token proves AVX.
        self.fold(a, |a, b| unsafe { _mm_add_ps(a, b) })
    }
    #[inline(always)]
    fn max_lane(self, a: __m256) -> f32 {
        // SAFETY: the token proves AVX.
        self.fold(a, |a, b| unsafe { _mm_max_ps(a, b) })
    }
    #[inline(always)]
    fn min_lane(self, a: __m256) -> f32 {
        // SAFETY: the token proves AVX.
        self.fold(a, |a, b| unsafe { _mm_min_ps(a, b) })
    }

    instructions! {
        fn splat(value: f32) -> __m256 { _mm256_set1_ps(value) }
        fn add(a: __m256, b: __m256) -> __m256 { _mm256_add_ps(a, b) }
        fn sub(a: __m256, b: __m256) -> __m256 { _mm256_sub_ps(a, b) }
        fn mul(a: __m256, b: __m256) -> __m256 { _mm256_mul_ps(a, b) }
        fn div(a: __m256, b: __m256) -> __m256 { _mm256_div_ps(a, b) }
        fn fma(a: __m256, b: __m256, c: __m256) -> __m256 { _mm256_fmadd_ps(a, b, c) }
        fn min(a: __m256, b: __m256) -> __m256 { _mm256_min_ps(a, b) }
        fn max(a: __m256, b: __m256) -> __m256 { _mm256_max_ps(a, b) }
        fn sqrt(a: __m256) -> __m256 { _mm256_sqrt_ps(a) }
        fn round(a: __m256) -> __m256 { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
        fn floor(a: __m256) -> __m256 { _mm256_floor_ps(a) }
        fn deinterleave(a: __m256, b: __m256) -> (__m256, __m256) {{
            // a0 a2 b0 b2 | a4 a6 b4 b6, then the 64-bit pieces into order.
            let even = _mm256_castps_pd(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
            let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
            (
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(even)),
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(odd)),
            )
        }}
        fn interleave(a: __m256, b: __m256) -> (__m256, __m256) {{
            let low = _mm256_unpacklo_ps(a, b);
            let high = _mm256_unpackhi_ps(a, b);
            (_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high))
        }}

        fn lt(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
        fn le(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_LE_OQ>(a, b) }
        fn eq(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
        fn is_nan(a: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a) }
        fn eq_i32(a: __m256i, b: __m256i) -> __m256 { _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)) }
        fn gt_i32(a: __m256i, b: __m256i) -> __m256 { _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b)) }
        fn mask_and(a: __m256, b: __m256) -> __m256 { _mm256_and_ps(a, b) }
        fn mask_or(a: __m256, b: __m256) -> __m256 { _mm256_or_ps(a, b) }
        fn mask_not(a: __m256) -> __m256 { _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1))) }
        fn mask_bits(a: __m256) -> u32 { _mm256_movemask_ps(a) as u32 }
        fn select(mask: __m256, yes: __m256, no: __m256) -> __m256 { _mm256_blendv_ps(no, yes, mask) }

        fn splat_i32(value: i32) -> __m256i { _mm256_set1_epi32(value) }
        fn add_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_add_epi32(a, b) }
        fn sub_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_sub_epi32(a, b) }
        fn mul_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_mullo_epi32(a, b) }
        fn min_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_min_epi32(a, b) }
        fn max_bytes(a: __m256i, b: __m256i) -> __m256i { _mm256_max_epu8(a, b) }
        fn max_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_max_epi32(a, b) }
        fn and_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_and_si256(a, b) }
        fn or_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_or_si256(a, b) }
        fn xor_i32(a: __m256i, b: __m256i) -> __m256i { _mm256_xor_si256(a, b) }
        fn shl_i32(a: __m256i, bits: u32) -> __m256i { _mm256_sll_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn shr_i32(a: __m256i, bits: u32) -> __m256i { _mm256_sra_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn shr_u32(a: __m256i, bits: u32) -> __m256i { _mm256_srl_epi32(a, _mm_cvtsi32_si128(bits as i32)) }
        fn sum_i32(a: __m256i) -> i32 {{
            let four = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
            let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
            _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
        }}
        fn dot(a: __m256i, b: __m256i, sum: __m256i) -> __m256i {{
            // The bytes at even places of each 16 bits, then those at odd places.
            let even = _mm256_and_si256(a, _mm256_set1_epi16(0xff));
            let odd = _mm256_srli_epi16::<8>(a);
            let even = _mm256_madd_epi16(even, _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b)));
            let odd = _mm256_madd_epi16(odd, _mm256_srai_epi16::<8>(b));
            _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
        }}

        fn to_bits(a: __m256) -> __m256i { _mm256_castps_si256(a) }
        fn of_bits(a: __m256i) -> __m256 { _mm256_castsi256_ps(a) }
        fn to_f32(a: __m256i) -> __m256 { _mm256_cvtepi32_ps(a) }
        fn to_i32_round(a: __m256) -> __m256i { _mm256_cvtps_epi32(a) }
        fn to_i32_truncate(a: __m256) -> __m256i { _mm256_cvttps_epi32(a) }
    }
}
