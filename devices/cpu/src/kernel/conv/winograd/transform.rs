//! The arithmetic of the transforms, one vector of channels at a time.
//!
//! A tile of `m` x `m` outputs comes from `n` x `n` inputs, `n = m + 2`. Polynomials stand behind it: those of inputs and
//! weights are evaluated at `n - 1` points and at infinity, multiplied there, and interpolated. The points are 0, 1, -1 for
//! m = 2, and for m = 4 0, ±3/4, ±3/2, whose powers are exact in `f32`: over 128 channels of noise the error is 1.7 times that
//! of adding up products one by one (0, ±1, ±2 have 3.9 times, and seven times at worst), that for m = 2 is below it.
//!
//! The factors that divide are those of the weights, which are transformed in `f64`.

use crate::simd::Simd;

/// The most inputs on a side of a tile.
pub(super) const MOST: usize = 6;

/// The points but 0, their negatives and infinity; the second counts for m = 4 only.
fn points(m: usize) -> (f64, f64) {
    if m == 2 { (1.0, 0.0) } else { (0.75, 1.5) }
}

/// Three weights in a row at `m + 2` places. The rest is zero.
pub(super) fn weights(m: usize, row: [f64; 3]) -> [f64; MOST] {
    let (a, b) = points(m);
    let [zero, one, two] = row;
    let at = |point: f64| zero + point * (one + point * two);
    if m == 2 {
        return [-zero, at(a) / 2.0, at(-a) / 2.0, two, 0.0, 0.0];
    }
    let (aa, bb) = (a * a, b * b);
    let (by_a, by_b) = (2.0 * aa * (aa - bb), 2.0 * bb * (bb - aa));
    [zero / (aa * bb), at(a) / by_a, at(-a) / by_a, at(b) / by_b, at(-b) / by_b, two]
}

/// `M + 2` inputs in a row.
#[inline(always)]
pub(super) fn inputs<S: Simd, const M: usize>(s: S, d: [S::F32; MOST]) -> [S::F32; MOST] {
    if const { M == 2 } {
        return [s.sub(d[2], d[0]), s.add(d[2], d[1]), s.sub(d[2], d[1]), s.sub(d[3], d[1]), d[4], d[5]];
    }
    const A: f32 = 0.75;
    const B: f32 = 1.5;
    let (product, sum) = (s.splat(A * A * B * B), s.splat(-(A * A + B * B)));
    let (aa, bb) = (s.splat(-A * A), s.splat(-B * B));
    let (even_a, odd_a) = (s.fma(bb, d[2], d[4]), s.mul(s.splat(A), s.fma(bb, d[1], d[3])));
    let (even_b, odd_b) = (s.fma(aa, d[2], d[4]), s.mul(s.splat(B), s.fma(aa, d[1], d[3])));
    [
        s.fma(product, d[0], s.fma(sum, d[2], d[4])),
        s.add(even_a, odd_a),
        s.sub(even_a, odd_a),
        s.add(even_b, odd_b),
        s.sub(even_b, odd_b),
        s.fma(product, d[1], s.fma(sum, d[3], d[5])),
    ]
}

/// `M` outputs in a row from `M + 2` products.
#[inline(always)]
pub(super) fn outputs<S: Simd, const M: usize>(s: S, p: [S::F32; MOST]) -> [S::F32; 4] {
    let (sum, difference) = (s.add(p[1], p[2]), s.sub(p[1], p[2]));
    if const { M == 2 } {
        return [s.add(p[0], sum), s.add(difference, p[3]), p[0], p[0]];
    }
    const A: f32 = 0.75;
    const B: f32 = 1.5;
    let (far_sum, far_difference) = (s.add(p[3], p[4]), s.sub(p[3], p[4]));
    [
        s.add(s.add(p[0], sum), far_sum),
        mix(s, [A, B], difference, far_difference),
        mix(s, [A * A, B * B], sum, far_sum),
        s.add(mix(s, [A * A * A, B * B * B], difference, far_difference), p[5]),
    ]
}

#[inline(always)]
fn mix<S: Simd>(s: S, by: [f32; 2], near: S::F32, far: S::F32) -> S::F32 {
    s.fma(s.splat(by[1]), far, s.mul(s.splat(by[0]), near))
}
