//! Four lanes as plain arrays, for every processor: the compiler makes vectors of them where it can.
//!
//! The operations are spelled so that LLVM's vectoriser sees four independent lanes; nothing here calls into `libm`
//! except the square root. There is no fused multiply-add, because without the instruction it costs a hundred times more.

use half::f16;

use super::{Simd, Vectorized};

/// What every processor has.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

const N: usize = 4;

#[cfg(test)]
std::thread_local! {
    /// Whether [`Simd::dot`] reads bytes as signed ones, on this thread.
    pub(crate) static SIGNED: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

/// Four numbers, aligned so that they may live in one register.
#[derive(Clone, Copy, Debug)]
#[repr(align(16))]
pub struct Lanes<T>([T; N]);

#[inline(always)]
fn map<T: Copy, R>(a: Lanes<T>, op: impl Fn(T) -> R) -> Lanes<R> {
    let [a0, a1, a2, a3] = a.0;
    Lanes([op(a0), op(a1), op(a2), op(a3)])
}

#[inline(always)]
fn zip<T: Copy, U: Copy, R>(a: Lanes<T>, b: Lanes<U>, op: impl Fn(T, U) -> R) -> Lanes<R> {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.0, b.0);
    Lanes([op(a0, b0), op(a1, b1), op(a2, b2), op(a3, b3)])
}

/// All bits set where true, as a comparison instruction gives it.
#[inline(always)]
fn mask(truth: bool) -> i32 {
    -i32::from(truth)
}

/// Ties to even without `libm`: below 2^23 adding and subtracting 2^23 leaves no room for a fraction; above there is none.
#[inline(always)]
fn round(a: f32) -> f32 {
    const LIMIT: f32 = 8_388_608.0;
    let magnitude = a.abs();
    let rounded = (magnitude + LIMIT) - LIMIT;
    if magnitude < LIMIT { rounded.copysign(a) } else { a }
}

impl Simd for Portable {
    type F32 = Lanes<f32>;
    type I32 = Lanes<i32>;
    type Mask = Lanes<i32>;

    const LANES: usize = N;
    const REGISTERS: usize = 16;

    // Stands for engines of WebAssembly whose products are signed: (byte ^ 0x80) - 128 is a byte that is read as signed.
    #[cfg(test)]
    fn dot(self, a: Lanes<i32>, b: Lanes<i32>, sum: Lanes<i32>) -> Lanes<i32> {
        if !SIGNED.get() {
            return super::products(self, a, b, sum);
        }
        let ones = super::products(self, self.splat_i32(0x0101_0101), b, self.splat_i32(0));
        let sum = self.sub_i32(sum, self.shl_i32(ones, 7));
        super::products(self, self.xor_i32(a, self.splat_i32(i32::from_le_bytes([0x80; 4]))), b, sum)
    }

    #[inline(always)]
    fn call<V: Vectorized>(self, op: V) -> V::Output {
        #[inline(never)]
        fn shell<V: Vectorized>(op: V) -> V::Output {
            op.run(Portable)
        }
        shell(op)
    }

    #[inline(always)]
    unsafe fn load_ptr(self, at: *const f32) -> Self::F32 {
        // SAFETY: the caller vouches for four readable numbers.
        Lanes(unsafe { at.cast::<[f32; N]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store_ptr(self, value: Self::F32, at: *mut f32) {
        // SAFETY: the caller vouches for four writable numbers.
        unsafe { at.cast::<[f32; N]>().write_unaligned(value.0) }
    }
    #[inline(always)]
    unsafe fn load_ptr_partial(self, at: *const f32, count: usize) -> Self::F32 {
        let mut lanes = [0.0; N];
        for (index, lane) in lanes.iter_mut().enumerate() {
            if index < count {
                // SAFETY: below `count`, for which the caller vouches.
                *lane = unsafe { at.add(index).read_unaligned() };
            }
        }
        Lanes(lanes)
    }
    #[inline(always)]
    unsafe fn store_ptr_partial(self, value: Self::F32, at: *mut f32, count: usize) {
        for (index, lane) in value.0.iter().enumerate() {
            if index < count {
                // SAFETY: below `count`, for which the caller vouches.
                unsafe { at.add(index).write_unaligned(*lane) };
            }
        }
    }
    #[inline(always)]
    unsafe fn load_ptr_u8(self, at: *const u8) -> Self::I32 {
        // SAFETY: the caller vouches for four bytes.
        map(Lanes(unsafe { at.cast::<[u8; N]>().read() }), i32::from)
    }
    #[inline(always)]
    unsafe fn load_ptr_i8(self, at: *const i8) -> Self::I32 {
        // SAFETY: the caller vouches for four bytes.
        map(Lanes(unsafe { at.cast::<[i8; N]>().read() }), i32::from)
    }
    #[inline(always)]
    unsafe fn store_ptr_u8(self, value: Self::I32, at: *mut u8) {
        // SAFETY: the caller vouches for four bytes.
        unsafe { at.cast::<[u8; N]>().write(map(value, |lane| lane.clamp(0, 255) as u8).0) }
    }
    #[inline(always)]
    unsafe fn store_ptr_i8(self, value: Self::I32, at: *mut i8) {
        // SAFETY: the caller vouches for four bytes.
        unsafe { at.cast::<[i8; N]>().write(map(value, |lane| lane.clamp(-128, 127) as i8).0) }
    }
    #[inline(always)]
    unsafe fn load_ptr_f16(self, at: *const u16) -> Self::F32 {
        // SAFETY: the caller vouches for four numbers.
        let bits = Lanes(unsafe { at.cast::<[u16; N]>().read_unaligned() });
        map(bits, |bits| f16::from_bits(bits).to_f32())
    }
    #[inline(always)]
    unsafe fn store_ptr_f16(self, value: Self::F32, at: *mut u16) {
        let bits = map(value, |lane| f16::from_f32(lane).to_bits());
        // SAFETY: the caller vouches for four numbers.
        unsafe { at.cast::<[u16; N]>().write_unaligned(bits.0) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F32 {
        Lanes([value; N])
    }
    #[inline(always)]
    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        self.add(self.mul(a, b), c)
    }
    #[inline(always)]
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F32) -> Self::F32 {
        map(a, libm::sqrtf)
    }
    #[inline(always)]
    fn round(self, a: Self::F32) -> Self::F32 {
        map(a, round)
    }
    #[inline(always)]
    fn floor(self, a: Self::F32) -> Self::F32 {
        map(a, |a| {
            let rounded = round(a);
            if rounded > a { rounded - 1.0 } else { rounded }
        })
    }
    #[inline(always)]
    fn sum(self, a: Self::F32) -> f32 {
        let [a0, a1, a2, a3] = a.0;
        (a0 + a2) + (a1 + a3)
    }
    #[inline(always)]
    fn max_lane(self, a: Self::F32) -> f32 {
        let [a0, a1, a2, a3] = a.0;
        a0.max(a2).max(a1.max(a3))
    }
    #[inline(always)]
    fn min_lane(self, a: Self::F32) -> f32 {
        let [a0, a1, a2, a3] = a.0;
        a0.min(a2).min(a1.min(a3))
    }
    #[inline(always)]
    fn deinterleave(self, a: Self::F32, b: Self::F32) -> (Self::F32, Self::F32) {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.0, b.0);
        (Lanes([a0, a2, b0, b2]), Lanes([a1, a3, b1, b3]))
    }
    #[inline(always)]
    fn interleave(self, a: Self::F32, b: Self::F32) -> (Self::F32, Self::F32) {
        let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.0, b.0);
        (Lanes([a0, b0, a1, b1]), Lanes([a2, b2, a3, b3]))
    }

    #[inline(always)]
    fn lt(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        zip(a, b, |a, b| mask(a < b))
    }
    #[inline(always)]
    fn le(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        zip(a, b, |a, b| mask(a <= b))
    }
    #[inline(always)]
    fn eq(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        zip(a, b, |a, b| mask(a == b))
    }
    #[inline(always)]
    fn is_nan(self, a: Self::F32) -> Self::Mask {
        map(a, |a| mask(a.is_nan()))
    }
    #[inline(always)]
    fn eq_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask {
        zip(a, b, |a, b| mask(a == b))
    }
    #[inline(always)]
    fn gt_i32(self, a: Self::I32, b: Self::I32) -> Self::Mask {
        zip(a, b, |a, b| mask(a > b))
    }
    #[inline(always)]
    fn mask_and(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        self.and_i32(a, b)
    }
    #[inline(always)]
    fn mask_or(self, a: Self::Mask, b: Self::Mask) -> Self::Mask {
        self.or_i32(a, b)
    }
    #[inline(always)]
    fn mask_not(self, a: Self::Mask) -> Self::Mask {
        map(a, |a| !a)
    }
    #[inline(always)]
    fn mask_bits(self, a: Self::Mask) -> u32 {
        a.0.iter().enumerate().fold(0, |bits, (lane, truth)| bits | ((*truth as u32 & 1) << lane))
    }
    #[inline(always)]
    fn select(self, mask: Self::Mask, yes: Self::F32, no: Self::F32) -> Self::F32 {
        self.of_bits(self.select_i32(mask, self.to_bits(yes), self.to_bits(no)))
    }
    #[inline(always)]
    fn select_i32(self, mask: Self::Mask, yes: Self::I32, no: Self::I32) -> Self::I32 {
        let yes = zip(mask, yes, |mask, yes| mask & yes);
        zip(yes, zip(mask, no, |mask, no| !mask & no), |yes, no| yes | no)
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> Self::I32 {
        Lanes([value; N])
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn sub_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, i32::wrapping_sub)
    }
    #[inline(always)]
    fn mul_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, i32::wrapping_mul)
    }
    #[inline(always)]
    fn min_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, Ord::min)
    }
    #[inline(always)]
    fn max_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, Ord::max)
    }
    #[inline(always)]
    fn max_bytes(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, |a, b| {
            let (a, b) = (a.to_ne_bytes(), b.to_ne_bytes());
            i32::from_ne_bytes([a[0].max(b[0]), a[1].max(b[1]), a[2].max(b[2]), a[3].max(b[3])])
        })
    }
    #[inline(always)]
    fn and_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, |a, b| a & b)
    }
    #[inline(always)]
    fn or_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, |a, b| a | b)
    }
    #[inline(always)]
    fn xor_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        zip(a, b, |a, b| a ^ b)
    }
    #[inline(always)]
    fn shl_i32(self, a: Self::I32, bits: u32) -> Self::I32 {
        map(a, |a| a.wrapping_shl(bits))
    }
    #[inline(always)]
    fn shr_i32(self, a: Self::I32, bits: u32) -> Self::I32 {
        map(a, |a| a.wrapping_shr(bits))
    }
    #[inline(always)]
    fn shr_u32(self, a: Self::I32, bits: u32) -> Self::I32 {
        map(a, |a| (a as u32).wrapping_shr(bits) as i32)
    }
    #[inline(always)]
    fn sum_i32(self, a: Self::I32) -> i32 {
        a.0.into_iter().fold(0, i32::wrapping_add)
    }

    #[inline(always)]
    fn to_bits(self, a: Self::F32) -> Self::I32 {
        map(a, |a| a.to_bits() as i32)
    }
    #[inline(always)]
    fn of_bits(self, a: Self::I32) -> Self::F32 {
        map(a, |a| f32::from_bits(a as u32))
    }
    #[inline(always)]
    fn to_f32(self, a: Self::I32) -> Self::F32 {
        map(a, |a| a as f32)
    }
    #[inline(always)]
    fn to_i32_round(self, a: Self::F32) -> Self::I32 {
        map(a, |a| round(a) as i32)
    }
    #[inline(always)]
    fn to_i32_truncate(self, a: Self::F32) -> Self::I32 {
        map(a, |a| a as i32)
    }
}
