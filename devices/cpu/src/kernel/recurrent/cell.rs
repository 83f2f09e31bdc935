//! What a step makes of its sums: new states. For one sequence, any float, and any way that the sums were computed.
//!
//! The loops are plain, for the compiler to turn into vectors; only activations are written with vectors.

use super::activation::Float;
use super::{Kind, Layer};
use crate::simd::Simd;

/// One step of LSTM. `gates` are the sums of the gates input, output, forget, cell; `peepholes` the weights of the cell state in
/// the gates input, output, forget.
#[inline(always)]
pub(super) fn lstm<S: Simd, T: Float>(
    s: S,
    layer: &Layer,
    direction: usize,
    peepholes: Option<&[T]>,
    gates: &mut [T],
    cell: &mut [T],
    hidden: &mut [T],
) {
    let h = layer.hidden;
    let (clip, functions) = (layer.clip, layer.activations(direction));
    let (sigmoids, candidate) = gates.split_at_mut(3 * h);
    if let Some(weights) = peepholes {
        let (input, rest) = sigmoids.split_at_mut(h);
        let (output, forget) = rest.split_at_mut(h);
        add_product(input, &weights[..h], cell);
        add_product(forget, &weights[2 * h..], cell);
        T::activate(s, functions[0], clip, input);
        T::activate(s, functions[0], clip, forget);
        T::activate(s, functions[1], clip, candidate);
        next_cell(layer, cell, input, forget, candidate);
        add_product(output, &weights[h..2 * h], cell);
        T::activate(s, functions[0], clip, output);
    } else {
        T::activate(s, functions[0], clip, sigmoids);
        T::activate(s, functions[1], clip, candidate);
        let (input, rest) = sigmoids.split_at_mut(h);
        next_cell(layer, cell, input, &mut rest[h..], candidate);
    }
    hidden.copy_from_slice(cell);
    T::activate(s, functions[2], None, hidden);
    for (hidden, output) in hidden.iter_mut().zip(&gates[h..2 * h]) {
        *hidden = hidden.mul(*output);
    }
}

/// `cell = forget * cell + input * candidate`
#[inline(always)]
fn next_cell<T: Float>(layer: &Layer, cell: &mut [T], input: &[T], forget: &mut [T], candidate: &[T]) {
    if layer.kind == (Kind::Lstm { input_forget: true }) {
        for (forget, input) in forget.iter_mut().zip(input) {
            *forget = T::ONE.sub(*input);
        }
    }
    for (cell, ((input, forget), candidate)) in cell.iter_mut().zip(input.iter().zip(&*forget).zip(candidate))
    {
        *cell = forget.mul(*cell).add(input.mul(*candidate));
    }
}

/// The first two gates of GRU, from their sums.
#[inline(always)]
pub(super) fn gru_gates<S: Simd, T: Float>(s: S, layer: &Layer, direction: usize, gates: &mut [T]) {
    T::activate(s, layer.activations(direction)[0], layer.clip, &mut gates[..2 * layer.hidden]);
}

/// The rest of a step of GRU: `gates` are the gates update and reset, and the sum of the hidden gate.
#[inline(always)]
pub(super) fn gru<S: Simd, T: Float>(
    s: S,
    layer: &Layer,
    direction: usize,
    gates: &mut [T],
    hidden: &mut [T],
) {
    let (gates, candidate) = gates.split_at_mut(2 * layer.hidden);
    T::activate(s, layer.activations(direction)[1], layer.clip, candidate);
    for (hidden, (update, candidate)) in hidden.iter_mut().zip(gates.iter().zip(&*candidate)) {
        *hidden = T::ONE.sub(*update).mul(*candidate).add(update.mul(*hidden));
    }
}

/// One step of RNN.
#[inline(always)]
pub(super) fn rnn<S: Simd, T: Float>(
    s: S,
    layer: &Layer,
    direction: usize,
    gate: &mut [T],
    hidden: &mut [T],
) {
    T::activate(s, layer.activations(direction)[0], layer.clip, gate);
    hidden.copy_from_slice(gate);
}

/// `sums += a * b`
#[inline(always)]
pub(super) fn add_product<T: Float>(sums: &mut [T], a: &[T], b: &[T]) {
    for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
        *sum = sum.add(a.mul(*b));
    }
}

/// `sums += addends`
#[inline(always)]
pub(super) fn add<T: Float>(sums: &mut [T], addends: &[T]) {
    for (sum, addend) in sums.iter_mut().zip(addends) {
        *sum = sum.add(*addend);
    }
}
