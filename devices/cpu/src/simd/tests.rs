//! Every operation of every instruction set that this machine has, lane by lane against scalars.

use std::vec::Vec;

use super::*;

impl Isa {
    /// Every level that this machine has, lowest first.
    pub(crate) fn detect_for_tests() -> Vec<Isa> {
        #[allow(unused_mut)]
        let mut found = std::vec![Isa::portable()];
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("f16c");
            let avx512 = avx2
                && has!("avx512f")
                && has!("avx512bw")
                && has!("avx512cd")
                && has!("avx512dq")
                && has!("avx512vl");
            let vnni = avx512 && has!("avx512vnni");
            for (there, level) in [(avx2, Level::Avx2), (avx512, Level::Avx512), (vnni, Level::Avx512Vnni)] {
                if there {
                    // SAFETY: just detected.
                    found.push(unsafe { Isa::assume(level) });
                }
            }
        }
        #[cfg(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))]
        if std::arch::is_aarch64_feature_detected!("neon") {
            // SAFETY: just detected.
            found.push(unsafe { Isa::assume(Level::Neon) });
            if std::arch::is_aarch64_feature_detected!("i8mm") {
                // SAFETY: as above.
                found.push(unsafe { Isa::assume(Level::NeonI8mm) });
            }
        }
        found
    }
}

/// Runs a generic check with each instruction set.
macro_rules! on_every_isa {
    ($test:ident, $check:ident) => {
        #[test]
        fn $test() {
            struct Check;
            impl Vectorized for Check {
                type Output = ();
                fn run<S: Simd>(self, simd: S) {
                    $check(simd)
                }
            }
            for isa in Isa::detect_for_tests() {
                std::println!("{:?}", isa.level());
                dispatch(isa, Check);
                dispatch_bytes(isa, Check);
            }
        }
    };
}

const SPECIAL: [f32; 48] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    3.5,
    0.499_999_97,
    -0.499_999_97,
    1e-45,
    -1e-40,
    1e-38,
    1e38,
    -1e38,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    8_388_607.5,
    -8_388_607.5,
    8_388_608.0,
    8_388_609.0,
    4_194_304.5,
    16_777_216.0,
    -16_777_216.0,
    1e9,
    -1e9,
    2_147_483_520.0,
    -2_147_483_648.0,
    3.25,
    -3.75,
    7.0,
    -7.0,
    100.5,
    -100.5,
    0.1,
    -0.1,
    0.333_333_34,
    65504.0,
    65520.0,
    6e-8,
    1e-7,
    2.0,
];

const WHOLE: [i32; 16] = [
    0,
    1,
    -1,
    2,
    -2,
    i32::MAX,
    i32::MIN,
    255,
    256,
    -128,
    -129,
    127,
    128,
    0x1234_5678,
    -0x1234_5678,
    16_777_217,
];

/// All pairs of special numbers, as two lists whose length is a whole number of vectors.
fn pairs<T: Copy>(values: &[T]) -> (Vec<T>, Vec<T>) {
    values.iter().flat_map(|a| values.iter().map(move |b| (*a, *b))).unzip()
}

fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn check_unary<S: Simd>(
    simd: S,
    name: &str,
    values: &[f32],
    vector: impl Fn(S::F32) -> S::F32,
    scalar: impl Fn(f32) -> f32,
) {
    for chunk in values.chunks_exact(S::LANES) {
        let mut out = [0.0; 16];
        simd.store(vector(simd.load(chunk)), &mut out);
        for (x, actual) in chunk.iter().zip(out) {
            assert!(same(actual, scalar(*x)), "{name}({x}) = {actual}, not {}", scalar(*x));
        }
    }
}

fn check_binary<S: Simd>(
    simd: S,
    name: &str,
    vector: impl Fn(S::F32, S::F32) -> S::F32,
    scalar: impl Fn(f32, f32) -> f32,
) {
    let (left, right) = pairs(&SPECIAL);
    for (a, b) in left.chunks_exact(S::LANES).zip(right.chunks_exact(S::LANES)) {
        let mut out = [0.0; 16];
        simd.store(vector(simd.load(a), simd.load(b)), &mut out);
        for ((a, b), actual) in a.iter().zip(b).zip(out) {
            assert!(same(actual, scalar(*a, *b)), "{name}({a}, {b}) = {actual}, not {}", scalar(*a, *b));
        }
    }
}

fn check_binary_i32<S: Simd>(
    simd: S,
    name: &str,
    vector: impl Fn(S::I32, S::I32) -> S::I32,
    scalar: impl Fn(i32, i32) -> i32,
) {
    let (left, right) = pairs(&WHOLE);
    for (a, b) in left.chunks_exact(S::LANES).zip(right.chunks_exact(S::LANES)) {
        let mut out = [0; 16];
        simd.store_i32(vector(simd.load_i32(a), simd.load_i32(b)), &mut out);
        for ((a, b), actual) in a.iter().zip(b).zip(out) {
            assert_eq!(actual, scalar(*a, *b), "{name}({a}, {b})");
        }
    }
}

fn floats<S: Simd>(simd: S) {
    check_unary(simd, "neg", &SPECIAL, |a| simd.neg(a), |a| -a);
    check_unary(simd, "abs", &SPECIAL, |a| simd.abs(a), f32::abs);
    check_unary(simd, "sqrt", &SPECIAL, |a| simd.sqrt(a), f32::sqrt);
    check_unary(simd, "round", &SPECIAL, |a| simd.round(a), f32::round_ties_even);
    check_unary(simd, "floor", &SPECIAL, |a| simd.floor(a), f32::floor);
    check_binary(simd, "add", |a, b| simd.add(a, b), |a, b| a + b);
    check_binary(simd, "sub", |a, b| simd.sub(a, b), |a, b| a - b);
    check_binary(simd, "mul", |a, b| simd.mul(a, b), |a, b| a * b);
    check_binary(simd, "div", |a, b| simd.div(a, b), |a, b| a / b);
    check_binary(simd, "min", |a, b| simd.min(a, b), |a, b| if a < b { a } else { b });
    check_binary(simd, "max", |a, b| simd.max(a, b), |a, b| if a > b { a } else { b });
    check_binary(simd, "copysign", |a, b| simd.copysign(a, b), f32::copysign);
    // Products that are exact, so that fused and unfused agree.
    let one = simd.splat(1.0);
    check_binary(simd, "fma", |a, b| simd.fma(a, one, b), |a, b| a + b);
    let ramp: Vec<f32> = (1..=32).map(|x| x as f32).collect();
    let three = simd.splat(3.0);
    let mixed = |a| simd.fma(a, three, simd.fma(three, a, a));
    check_unary(simd, "fma", &ramp, mixed, |a| 7.0 * a);
    let (first, second) = (simd.load(&ramp), simd.load(&ramp[S::LANES..]));
    let [sum, other] = simd.fma_pair(3.0, [first, second], [second, three]);
    let mut out = [[0.0; 16]; 2];
    simd.store(sum, &mut out[0]);
    simd.store(other, &mut out[1]);
    for lane in 0..S::LANES {
        let (first, second) = (ramp[lane], ramp[S::LANES + lane]);
        assert_eq!([out[0][lane], out[1][lane]], [3.0 * first + second, 3.0 * second + 3.0]);
    }
}
on_every_isa!(float_operations_agree_with_scalars, floats);

fn comparisons<S: Simd>(simd: S) {
    let (one, zero) = (simd.splat(1.0), simd.zero());
    let pick = |mask| simd.select(mask, one, zero);
    let truth = |truth| if truth { 1.0 } else { 0.0 };
    check_binary(simd, "lt", |a, b| pick(simd.lt(a, b)), |a, b| truth(a < b));
    check_binary(simd, "le", |a, b| pick(simd.le(a, b)), |a, b| truth(a <= b));
    check_binary(simd, "eq", |a, b| pick(simd.eq(a, b)), |a, b| truth(a == b));
    check_binary(simd, "gt", |a, b| pick(simd.gt(a, b)), |a, b| truth(a > b));
    check_binary(simd, "ge", |a, b| pick(simd.ge(a, b)), |a, b| truth(a >= b));
    check_binary(simd, "is_nan", |a, _| pick(simd.is_nan(a)), |a, _| truth(a.is_nan()));
    check_binary(
        simd,
        "masks",
        |a, b| {
            let (low, high) = (simd.lt(a, one), simd.lt(zero, b));
            let either = simd.mask_or(low, high);
            let both = simd.mask_and(low, high);
            pick(simd.mask_and(either, simd.mask_not(both)))
        },
        |a, b| truth((a < 1.0) != (0.0 < b)),
    );
    let ramp: Vec<f32> = (0..S::LANES).map(|lane| lane as f32).collect();
    let odd = ramp.iter().map(|lane| lane % 2.0).collect::<Vec<_>>();
    let bits = simd.mask_bits(simd.eq(simd.load(&odd), one));
    assert_eq!(bits, 0xAAAA_AAAA & ((1u64 << S::LANES) - 1) as u32);
    let (yes, no) = (simd.splat_i32(1), simd.splat_i32(0));
    let pick = |mask| simd.select_i32(mask, yes, no);
    check_binary_i32(simd, "eq_i32", |a, b| pick(simd.eq_i32(a, b)), |a, b| i32::from(a == b));
    check_binary_i32(simd, "gt_i32", |a, b| pick(simd.gt_i32(a, b)), |a, b| i32::from(a > b));
}
on_every_isa!(comparisons_agree_with_scalars, comparisons);

fn integers<S: Simd>(simd: S) {
    check_binary_i32(simd, "add", |a, b| simd.add_i32(a, b), i32::wrapping_add);
    check_binary_i32(simd, "sub", |a, b| simd.sub_i32(a, b), i32::wrapping_sub);
    check_binary_i32(simd, "mul", |a, b| simd.mul_i32(a, b), i32::wrapping_mul);
    check_binary_i32(simd, "min", |a, b| simd.min_i32(a, b), Ord::min);
    check_binary_i32(simd, "max", |a, b| simd.max_i32(a, b), Ord::max);
    check_binary_i32(
        simd,
        "max_bytes",
        |a, b| simd.max_bytes(a, b),
        |a, b| {
            let (a, b) = (a.to_ne_bytes(), b.to_ne_bytes());
            i32::from_ne_bytes(core::array::from_fn(|byte| a[byte].max(b[byte])))
        },
    );
    check_binary_i32(simd, "and", |a, b| simd.and_i32(a, b), |a, b| a & b);
    check_binary_i32(simd, "or", |a, b| simd.or_i32(a, b), |a, b| a | b);
    check_binary_i32(simd, "xor", |a, b| simd.xor_i32(a, b), |a, b| a ^ b);
    for bits in [0, 1, 7, 23, 31] {
        check_binary_i32(simd, "shl", |a, _| simd.shl_i32(a, bits), |a, _| a << bits);
        check_binary_i32(simd, "shr", |a, _| simd.shr_i32(a, bits), |a, _| a >> bits);
        check_binary_i32(simd, "shr_u32", |a, _| simd.shr_u32(a, bits), |a, _| (a as u32 >> bits) as i32);
    }
    check_binary_i32(simd, "to_f32", |a, _| simd.to_bits(simd.to_f32(a)), |a, _| (a as f32).to_bits() as i32);
}
on_every_isa!(integer_operations_agree_with_scalars, integers);

fn conversions<S: Simd>(simd: S) {
    let fits: Vec<f32> = SPECIAL.iter().copied().filter(|x| x.abs() < 2e9).chain([0.0; 16]).collect();
    check_unary(
        simd,
        "to_i32_round",
        &fits,
        |a| simd.of_bits(simd.to_i32_round(a)),
        |a| f32::from_bits(a.round_ties_even() as i32 as u32),
    );
    check_unary(
        simd,
        "to_i32_truncate",
        &fits,
        |a| simd.of_bits(simd.to_i32_truncate(a)),
        |a| f32::from_bits(a as i32 as u32),
    );
    for chunk in SPECIAL.chunks_exact(S::LANES) {
        let mut bits = [0u16; 16];
        let mut back = [0.0; 16];
        // SAFETY: both arrays have sixteen elements, at least as many as lanes.
        unsafe {
            simd.store_ptr_f16(simd.load(chunk), bits.as_mut_ptr());
            simd.store(simd.load_ptr_f16(bits.as_ptr()), &mut back);
        }
        for (lane, x) in chunk.iter().enumerate() {
            let half = half::f16::from_f32(*x);
            assert!(same(back[lane], half.to_f32()), "{x} in half precision is {}", back[lane]);
            assert!(x.is_nan() || bits[lane] == half.to_bits(), "{x}");
        }
    }
}
on_every_isa!(conversions_agree_with_scalars, conversions);

fn bytes<S: Simd>(simd: S) {
    let all: Vec<u8> = (0..=255).collect();
    for chunk in all.chunks_exact(S::LANES) {
        let (mut unsigned, mut signed) = ([0; 16], [0; 16]);
        // SAFETY: the chunk has as many bytes as lanes.
        unsafe {
            simd.store_i32(simd.load_ptr_u8(chunk.as_ptr()), &mut unsigned);
            simd.store_i32(simd.load_ptr_i8(chunk.as_ptr().cast()), &mut signed);
        }
        for (lane, byte) in chunk.iter().enumerate() {
            assert_eq!((unsigned[lane], signed[lane]), (i32::from(*byte), i32::from(*byte as i8)));
        }
    }
    for chunk in WHOLE.chunks_exact(S::LANES) {
        let (mut unsigned, mut signed) = ([7; 17], [7; 17]);
        // SAFETY: the arrays have more bytes than lanes.
        unsafe {
            simd.store_ptr_u8(simd.load_i32(chunk), unsigned.as_mut_ptr());
            simd.store_ptr_i8(simd.load_i32(chunk), signed.as_mut_ptr());
        }
        for (lane, value) in chunk.iter().enumerate() {
            assert_eq!(unsigned[lane], (*value).clamp(0, 255) as u8);
            assert_eq!(signed[lane], (*value).clamp(-128, 127) as i8);
        }
        assert_eq!((unsigned[S::LANES], signed[S::LANES]), (7, 7), "no byte beyond the lanes is written");
    }
}
on_every_isa!(bytes_are_widened_and_narrowed, bytes);

fn memory<S: Simd>(simd: S) {
    let ramp: Vec<f32> = (1..=40).map(|x| x as f32).collect();
    for count in 0..=S::LANES + 3 {
        let mut out = [-1.0f32; 24];
        simd.store(simd.load_partial(&ramp[..count]), &mut out);
        for (lane, x) in out[..S::LANES].iter().enumerate() {
            assert_eq!(*x, if lane < count { ramp[lane] } else { 0.0 });
        }
        let mut out = [-1.0f32; 24];
        simd.store_partial(simd.load(&ramp), &mut out[..count]);
        for (lane, x) in out.iter().enumerate() {
            assert_eq!(*x, if lane < count.min(S::LANES) { ramp[lane] } else { -1.0 });
        }
        let whole: Vec<i32> = (1..=40).collect();
        let mut out = [-1; 24];
        simd.store_partial_i32(simd.load_partial_i32(&whole[..count]), &mut out);
        for (lane, x) in out.iter().enumerate() {
            let wanted = if lane >= S::LANES { -1 } else { whole[lane] * i32::from(lane < count) };
            assert_eq!(*x, wanted);
        }
    }
    let lanes = S::LANES as f32;
    let (a, b) = (simd.load(&ramp), simd.load(&ramp[S::LANES..]));
    assert_eq!(simd.sum(a), lanes * (lanes + 1.0) / 2.0);
    assert_eq!((simd.min_lane(a), simd.max_lane(a)), (1.0, lanes));
    assert_eq!(simd.sum_i32(simd.to_i32_round(a)), (S::LANES * (S::LANES + 1) / 2) as i32);
    let (even, odd) = simd.deinterleave(a, b);
    let mut out = [0.0; 32];
    simd.store(even, &mut out);
    simd.store(odd, &mut out[S::LANES..]);
    for lane in 0..S::LANES {
        assert_eq!((out[lane], out[S::LANES + lane]), ((2 * lane + 1) as f32, (2 * lane + 2) as f32));
    }
    let (a, b) = simd.interleave(even, odd);
    simd.store(a, &mut out);
    simd.store(b, &mut out[S::LANES..]);
    assert_eq!(out[..2 * S::LANES], ramp[..2 * S::LANES]);
}
on_every_isa!(loads_stores_and_sums_keep_to_their_lanes, memory);

#[test]
fn a_lower_level_of_the_token_takes_the_narrower_vectors() {
    struct Lanes;
    impl Vectorized for Lanes {
        type Output = usize;
        fn run<S: Simd>(self, _: S) -> usize {
            S::LANES
        }
    }
    let best = *Isa::detect_for_tests().last().expect("portable at least");
    assert_eq!(dispatch(best.at_most(Level::Portable), Lanes), 4);
    if best.level().includes(Level::Avx512) {
        assert_eq!(dispatch(best, Lanes), 16);
        assert_eq!(dispatch(best.at_most(Level::Avx2), Lanes), 8);
    }
}

on_every_isa!(bytes_are_multiplied_four_to_a_lane_and_exactly, dots);

fn dots<S: Simd>(simd: S) {
    // What the engine's own products are is asked in another place.
    if cfg!(target_feature = "relaxed-simd") && super::dots(Isa::portable()) != super::Dots::Unsigned {
        return;
    }
    let lanes = |seed: i32| -> Vec<i32> {
        (0..S::LANES as i32).map(|lane| (lane + seed).wrapping_mul(0x9e37_79b1u32 as i32)).collect()
    };
    let extremes =
        [(-1, 0x7f7f_7f7f), (-1, 0x8080_8080u32 as i32), (0xff00_ff00u32 as i32, 0x8001_807f_u32 as i32)];
    let splat = |value: i32| std::vec![value; S::LANES];
    let cases = extremes.iter().map(|(a, b)| (splat(*a), splat(*b)));
    for (a, b) in cases.chain((0..50).map(|seed| (lanes(seed), lanes(7 * seed + 3)))) {
        let sum = lanes(99);
        let mut out = splat(0);
        simd.store_i32(simd.dot(simd.load_i32(&a), simd.load_i32(&b), simd.load_i32(&sum)), &mut out);
        for lane in 0..S::LANES {
            let (a, b) = (a[lane].to_le_bytes(), b[lane].to_le_bytes());
            let products = a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(b as i8));
            assert_eq!(out[lane], products.fold(sum[lane], i32::wrapping_add));
        }
        // The same four bytes with each of two vectors.
        let (first, second) = (simd.load_i32(&b), simd.load_i32(&sum));
        // SAFETY: the list has a number of four bytes at least.
        let [left, right] = unsafe { simd.dot_pair(a.as_ptr().cast(), [first, second], [second, first]) };
        let four = simd.splat_i32(a[0]);
        let wanted = [simd.dot(four, first, second), simd.dot(four, second, first)];
        for (actual, wanted) in [left, right].into_iter().zip(wanted) {
            assert_eq!(simd.mask_bits(simd.eq_i32(actual, wanted)), ((1u64 << S::LANES) - 1) as u32);
        }
    }
}

on_every_isa!(words_are_multiplied_two_to_a_lane_and_exactly, words);

fn words<S: Simd>(simd: S) {
    let lanes = |seed: i32| -> Vec<i32> {
        (0..S::LANES as i32).map(|lane| (lane + seed).wrapping_mul(0x9e37_79b1u32 as i32)).collect()
    };
    let extremes = [(0x7fff_7fff, 0x8000_8000u32 as i32), (0x7fff_8001, 0x8001_7fff_u32 as i32), (-1, -1)];
    let splat = |value: i32| std::vec![value; S::LANES];
    let cases = extremes.iter().map(|(a, b)| (splat(*a), splat(*b)));
    for (a, b) in cases.chain((0..50).map(|seed| (lanes(seed), lanes(7 * seed + 3)))) {
        let sum = lanes(99);
        let mut out = splat(0);
        simd.store_i32(simd.dot_words(simd.load_i32(&a), simd.load_i32(&b), simd.load_i32(&sum)), &mut out);
        for lane in 0..S::LANES {
            let halves = |number: i32| [i32::from(number as i16), number >> 16];
            let (a, b) = (halves(a[lane]), halves(b[lane]));
            let wanted = sum[lane].wrapping_add(a[0] * b[0]).wrapping_add(a[1] * b[1]);
            assert_eq!(out[lane], wanted);
        }
    }
}

on_every_isa!(single_bytes_are_read_and_written, few_bytes);

fn few_bytes<S: Simd>(simd: S) {
    for count in 0..=S::LANES {
        let from: Vec<u8> = (0..count as u8).map(|byte| 250 - 16 * byte).collect();
        let mut to = std::vec![7; S::LANES + 1];
        // SAFETY: there are `count` bytes to read, and as many to write.
        unsafe {
            let loaded = simd.load_ptr_partial_u8(from.as_ptr(), count);
            simd.store_ptr_partial_u8(simd.add_i32(loaded, simd.splat_i32(-100)), to.as_mut_ptr(), count);
        }
        let wanted = from.iter().map(|byte| byte.saturating_sub(100));
        let wanted: Vec<u8> = wanted.chain(std::iter::repeat_n(7, S::LANES + 1 - count)).collect();
        assert_eq!(to, wanted);
    }
}
