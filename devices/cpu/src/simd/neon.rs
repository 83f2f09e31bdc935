//! Four lanes: AArch64 with NEON, which every such processor has, and with I8MM where bytes are multiplied.
//!
//! NEON is part of what these targets guarantee, so that the shell of [`Simd::call`] only keeps functions apart; a token is
//! asked for all the same, so that `INFERRY_ISA=portable` compares the two. There are no masked loads and stores: parts of
//! vectors are loaded lane by lane, without a detour through memory. Minimum and maximum are a comparison and a choice,
//! since `fmin` and `fminnm` treat NaN and the two zeros otherwise than [`Simd::min`] says.
//!
//! There are two tokens, as for AVX-512, which differ in [`Simd::dot`] and [`Simd::dot_pair`]. I8MM multiplies unsigned with signed
//! bytes, which is what these ask for; the older `sdot` and `udot` would need a correction for each sum. Rust's intrinsics for
//! them are not stable, so that they are written as assembly.
//!
//! What this file does *not* do: it knows no big-endian processors, where lanes lie the other way round; those take the
//! portable vectors.

use core::arch::aarch64::*;
use core::arch::asm;

use super::{Simd, Vectorized};

/// Proof that NEON exists; with `I8MM` also those instructions.
#[derive(Clone, Copy, Debug)]
pub struct Neon<const I8MM: bool = false>(());

impl<const I8MM: bool> Neon<I8MM> {
    /// The token.
    ///
    /// # Safety
    /// The processor and the operating system support these instructions.
    pub const unsafe fn assume() -> Neon<I8MM> {
        Neon(())
    }
}

#[inline(never)]
#[target_feature(enable = "neon")]
fn shell<V: Vectorized, const I8MM: bool>(simd: Neon<I8MM>, op: V) -> V::Output {
    op.run(simd)
}

/// The four bytes of `a`, unsigned, times the four of each lane of `b` and of `d`, signed, added to two vectors of sums.
///
/// # Safety
/// The processor has I8MM.
#[inline(always)]
unsafe fn sudot_pair(
    a: f32,
    [b, d]: [int32x4_t; 2],
    [mut first, mut second]: [int32x4_t; 2],
) -> [int32x4_t; 2] {
    // SAFETY: the instructions exist, and touch no memory.
    unsafe {
        asm!(
            ".arch_extension i8mm",
            "sudot {first:v}.4s, {b:v}.16b, {a:v}.4b[0]",
            "sudot {second:v}.4s, {d:v}.16b, {a:v}.4b[0]",
            first = inout(vreg) first,
            second = inout(vreg) second,
            a = in(vreg) a,
            b = in(vreg) b,
            d = in(vreg) d,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    [first, second]
}

/// [`Simd::dot`] in one instruction.
///
/// # Safety
/// The processor has I8MM.
#[inline(always)]
unsafe fn usdot(a: int32x4_t, b: int32x4_t, mut sum: int32x4_t) -> int32x4_t {
    // SAFETY: the instruction exists, and touches no memory.
    unsafe {
        asm!(
            ".arch_extension i8mm",
            "usdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
            sum = inout(vreg) sum,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
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

impl<const I8MM: bool> Simd for Neon<I8MM> {
    type F32 = float32x4_t;
    type I32 = int32x4_t;
    type Mask = uint32x4_t;

    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    const BY_ELEMENT: bool = true;

    #[inline(always)]
    fn call<V: Vectorized>(self, op: V) -> V::Output {
        // SAFETY: the token proves that the instructions exist.
        unsafe { shell(self, op) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a hint, which reads nothing.
        unsafe {
            asm!("prfm pldl2keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly))
        }
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> float32x4_t {
        // SAFETY: the caller vouches for the memory, the token for the instruction. So below.
        unsafe { vld1q_f32(at) }
    }
    #[inline(always)]
    unsafe fn store_ptr(self, value: float32x4_t, at: *mut f32) {
        // SAFETY: as above.
        unsafe { vst1q_f32(at, value) }
    }
    #[inline(always)]
    unsafe fn load_ptr_partial(self, at: *const f32, count: usize) -> float32x4_t {
        // SAFETY: as above; each arm reads `count` numbers.
        unsafe {
            let zero = vdupq_n_f32(0.0);
            match count {
                0 => zero,
                1 => vld1q_lane_f32::<0>(at, zero),
                2 => vcombine_f32(vld1_f32(at), vget_low_f32(zero)),
                3 => vld1q_lane_f32::<2>(at.add(2), vcombine_f32(vld1_f32(at), vget_low_f32(zero))),
                _ => vld1q_f32(at),
            }
        }
    }
    #[inline(always)]
    unsafe fn store_ptr_partial(self, value: float32x4_t, at: *mut f32, count: usize) {
        // SAFETY: as above; each arm writes `count` numbers.
        unsafe {
            match count {
                0 => {}
                1 => vst1q_lane_f32::<0>(at, value),
                2 => vst1_f32(at, vget_low_f32(value)),
                3 => {
                    vst1_f32(at, vget_low_f32(value));
                    vst1q_lane_f32::<2>(at.add(2), value);
                }
                _ => vst1q_f32(at, value),
            }
        }
    }
    #[inline(always)]
    unsafe fn load_ptr_u8(self, at: *const u8) -> int32x4_t {
        // SAFETY: as above: four bytes.
        unsafe {
            let bytes = vcreate_u8(u64::from(at.cast::<u32>().read_unaligned()));
            vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))))
        }
    }
    #[inline(always)]
    unsafe fn load_ptr_i8(self, at: *const i8) -> int32x4_t {
        // SAFETY: as above.
        unsafe {
            let bytes = vcreate_s8(u64::from(at.cast::<u32>().read_unaligned()));
            vmovl_s16(vget_low_s16(vmovl_s8(bytes)))
        }
    }
    #[inline(always)]
    unsafe fn store_ptr_u8(self, value: int32x4_t, at: *mut u8) {
        // SAFETY: as above.
        unsafe {
            let words = vqmovun_s32(value);
            let bytes = vreinterpret_u32_u8(vqmovn_u16(vcombine_u16(words, words)));
            at.cast::<u32>().write_unaligned(vget_lane_u32::<0>(bytes));
        }
    }
    #[inline(always)]
    unsafe fn store_ptr_i8(self, value: int32x4_t, at: *mut i8) {
        // SAFETY: as above.
        unsafe {
            let words = vqmovn_s32(value);
            let bytes = vreinterpret_u32_s8(vqmovn_s16(vcombine_s16(words, words)));
            at.cast::<u32>().write_unaligned(vget_lane_u32::<0>(bytes));
        }
    }
    #[inline(always)]
    unsafe fn load_ptr_f16(self, at: *const u16) -> float32x4_t {
        // SAFETY: as above. The intrinsics came to Rust later than what we build with.
        unsafe {
            let (bits, wide): (_, float32x4_t);
            bits = vld1_u16(at);
            asm!("fcvtl {wide:v}.4s, {bits:v}.4h", bits = in(vreg) bits, wide = lateout(vreg) wide, options(pure, nomem, nostack, preserves_flags));
            wide
        }
    }
    #[inline(always)]
    unsafe fn store_ptr_f16(self, value: float32x4_t, at: *mut u16) {
        // SAFETY: as above.
        unsafe {
            let bits: uint16x4_t;
            asm!("fcvtn {bits:v}.4h, {wide:v}.4s", wide = in(vreg) value, bits = lateout(vreg) bits, options(pure, nomem, nostack, preserves_flags));
            vst1_u16(at, bits);
        }
    }

    #[inline(always)]
    fn fma_pair(self, a: f32, b: [float32x4_t; 2], c: [float32x4_t; 2]) -> [float32x4_t; 2] {
        let [mut first, mut second] = c;
        // From a number with two uses LLVM makes `ld1r`, half of whose work is done by the units that multiply.
        // SAFETY: the token proves that the instructions exist; they touch no memory.
        unsafe {
            asm!(
                "fmla {first:v}.4s, {b:v}.4s, {a:v}.s[0]",
                "fmla {second:v}.4s, {d:v}.4s, {a:v}.s[0]",
                first = inout(vreg) first,
                second = inout(vreg) second,
                a = in(vreg) a,
                b = in(vreg) b[0],
                d = in(vreg) b[1],
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        [first, second]
    }

    #[inline(always)]
    unsafe fn dot_pair(self, at: *const u8, b: [int32x4_t; 2], sums: [int32x4_t; 2]) -> [int32x4_t; 2] {
        // SAFETY: the caller vouches for the four bytes, the token for the instructions. As `f32` they are loaded into the
        // register where they are wanted; nothing is computed with that number.
        unsafe {
            if I8MM {
                return sudot_pair(at.cast::<f32>().read_unaligned(), b, sums);
            }
            let a = self.splat_i32(at.cast::<i32>().read_unaligned());
            [self.dot(a, b[0], sums[0]), self.dot(a, b[1], sums[1])]
        }
    }

    #[inline(always)]
    fn mask_bits(self, a: uint32x4_t) -> u32 {
        const BITS: [u32; 4] = [1, 2, 4, 8];
        // SAFETY: the array has four numbers; the token proves the instructions.
        unsafe { vaddvq_u32(vandq_u32(a, vld1q_u32(BITS.as_ptr()))) }
    }

    instructions! {
        fn splat(value: f32) -> float32x4_t { vdupq_n_f32(value) }
        fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t { vaddq_f32(a, b) }
        fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t { vsubq_f32(a, b) }
        fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t { vmulq_f32(a, b) }
        fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t { vdivq_f32(a, b) }
        fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t { vfmaq_f32(c, a, b) }
        fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t { vbslq_f32(vcltq_f32(a, b), a, b) }
        fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t { vbslq_f32(vcgtq_f32(a, b), a, b) }
        fn sqrt(a: float32x4_t) -> float32x4_t { vsqrtq_f32(a) }
        fn round(a: float32x4_t) -> float32x4_t { vrndnq_f32(a) }
        fn floor(a: float32x4_t) -> float32x4_t { vrndmq_f32(a) }
        fn neg(a: float32x4_t) -> float32x4_t { vnegq_f32(a) }
        fn abs(a: float32x4_t) -> float32x4_t { vabsq_f32(a) }
        fn copysign(a: float32x4_t, sign: float32x4_t) -> float32x4_t {
            vbslq_f32(vdupq_n_u32(1 << 31), sign, a)
        }
        fn sum(a: float32x4_t) -> f32 { vaddvq_f32(a) }
        fn max_lane(a: float32x4_t) -> f32 { vmaxvq_f32(a) }
        fn min_lane(a: float32x4_t) -> f32 { vminvq_f32(a) }
        fn deinterleave(a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) {
            (vuzp1q_f32(a, b), vuzp2q_f32(a, b))
        }
        fn interleave(a: float32x4_t, b: float32x4_t) -> (float32x4_t, float32x4_t) {
            (vzip1q_f32(a, b), vzip2q_f32(a, b))
        }

        fn lt(a: float32x4_t, b: float32x4_t) -> uint32x4_t { vcltq_f32(a, b) }
        fn le(a: float32x4_t, b: float32x4_t) -> uint32x4_t { vcleq_f32(a, b) }
        fn eq(a: float32x4_t, b: float32x4_t) -> uint32x4_t { vceqq_f32(a, b) }
        fn is_nan(a: float32x4_t) -> uint32x4_t { vmvnq_u32(vceqq_f32(a, a)) }
        fn eq_i32(a: int32x4_t, b: int32x4_t) -> uint32x4_t { vceqq_s32(a, b) }
        fn gt_i32(a: int32x4_t, b: int32x4_t) -> uint32x4_t { vcgtq_s32(a, b) }
        fn mask_and(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vandq_u32(a, b) }
        fn mask_or(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t { vorrq_u32(a, b) }
        fn mask_not(a: uint32x4_t) -> uint32x4_t { vmvnq_u32(a) }
        fn select(mask: uint32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t { vbslq_f32(mask, yes, no) }
        fn select_i32(mask: uint32x4_t, yes: int32x4_t, no: int32x4_t) -> int32x4_t { vbslq_s32(mask, yes, no) }

        fn splat_i32(value: i32) -> int32x4_t { vdupq_n_s32(value) }
        fn add_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vaddq_s32(a, b) }
        fn sub_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vsubq_s32(a, b) }
        fn mul_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vmulq_s32(a, b) }
        fn min_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vminq_s32(a, b) }
        fn max_bytes(a: int32x4_t, b: int32x4_t) -> int32x4_t { vreinterpretq_s32_u8(vmaxq_u8(vreinterpretq_u8_s32(a), vreinterpretq_u8_s32(b))) }
        fn max_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vmaxq_s32(a, b) }
        fn and_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vandq_s32(a, b) }
        fn or_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { vorrq_s32(a, b) }
        fn xor_i32(a: int32x4_t, b: int32x4_t) -> int32x4_t { veorq_s32(a, b) }
        fn shl_i32(a: int32x4_t, bits: u32) -> int32x4_t { vshlq_s32(a, vdupq_n_s32(bits as i32)) }
        // A shift to the left by a negative number is one to the right.
        fn shr_i32(a: int32x4_t, bits: u32) -> int32x4_t { vshlq_s32(a, vdupq_n_s32(-(bits as i32))) }
        fn shr_u32(a: int32x4_t, bits: u32) -> int32x4_t {
            vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vdupq_n_s32(-(bits as i32))))
        }
        fn sum_i32(a: int32x4_t) -> i32 { vaddvq_s32(a) }
        fn dot(a: int32x4_t, b: int32x4_t, sum: int32x4_t) -> int32x4_t {{
            if I8MM {
                return usdot(a, b, sum);
            }
            // A product of an unsigned and a signed byte fits into 16 bits: it is at least -255 * 128.
            let (a, b) = (vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b));
            let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(a)));
            let high = vreinterpretq_s16_u16(vmovl_high_u8(a));
            let low = vpaddlq_s16(vmulq_s16(low, vmovl_s8(vget_low_s8(b))));
            let high = vpaddlq_s16(vmulq_s16(high, vmovl_high_s8(b)));
            vaddq_s32(sum, vpaddq_s32(low, high))
        }}

        fn to_bits(a: float32x4_t) -> int32x4_t { vreinterpretq_s32_f32(a) }
        fn of_bits(a: int32x4_t) -> float32x4_t { vreinterpretq_f32_s32(a) }
        fn to_f32(a: int32x4_t) -> float32x4_t { vcvtq_f32_s32(a) }
        fn to_i32_round(a: float32x4_t) -> int32x4_t { vcvtnq_s32_f32(a) }
        fn to_i32_truncate(a: float32x4_t) -> int32x4_t { vcvtq_s32_f32(a) }
    }
}
