//! The discrete Fourier transform of a block whose length is a power of two, after Cooley and Tukey.

use std::f64::consts::TAU;

/// Real and imaginary part.
pub(crate) type Complex = (f64, f64);

/// The first half of the spectrum of a real block, and its middle; the other half mirrors it.
pub(crate) fn forward(block: &[f32]) -> Vec<Complex> {
    let values: Vec<Complex> = block.iter().map(|value| (f64::from(*value), 0.0)).collect();
    let mut spectrum = transform(&values, -1.0);
    spectrum.truncate(block.len() / 2 + 1);
    spectrum
}

/// The real block that has this half of a spectrum.
pub(crate) fn backward(half: &[Complex]) -> Vec<f32> {
    let len = 2 * (half.len() - 1);
    let mirrored = half[1..half.len() - 1].iter().rev().map(|(re, im)| (*re, -im));
    let spectrum: Vec<Complex> = half.iter().copied().chain(mirrored).collect();
    transform(&spectrum, 1.0).into_iter().map(|(re, _)| (re / len as f64) as f32).collect()
}

fn transform(values: &[Complex], sign: f64) -> Vec<Complex> {
    if values.len() == 1 {
        return values.to_vec();
    }
    assert!(values.len().is_multiple_of(2), "the length must be a power of two");
    let part = |first| values.iter().copied().skip(first).step_by(2).collect::<Vec<_>>();
    let (even, odd) = (transform(&part(0), sign), transform(&part(1), sign));
    let half = even.len();
    let mut spectrum = vec![(0.0, 0.0); values.len()];
    for (at, (a, b)) in even.into_iter().zip(odd).enumerate() {
        let (sin, cos) = (sign * TAU * at as f64 / values.len() as f64).sin_cos();
        let turned = (b.0 * cos - b.1 * sin, b.0 * sin + b.1 * cos);
        spectrum[at] = (a.0 + turned.0, a.1 + turned.1);
        spectrum[at + half] = (a.0 - turned.0, a.1 - turned.1);
    }
    spectrum
}

#[test]
fn a_wave_is_one_line_and_comes_back() {
    let block: Vec<f32> = (0..16).map(|at| (TAU * 3.0 * f64::from(at) / 16.0).cos() as f32).collect();
    let spectrum = forward(&block);
    for (at, (re, im)) in spectrum.iter().enumerate() {
        assert!((re - if at == 3 { 8.0 } else { 0.0 }).abs() < 1e-6 && im.abs() < 1e-6, "{at}: {re} {im}");
    }
    assert!(backward(&spectrum).iter().zip(&block).all(|(back, value)| (back - value).abs() < 1e-6));
}
