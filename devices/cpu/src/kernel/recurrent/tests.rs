//! Every form of the three layers against their definitions, and against numbers that onnxruntime 1.31 gave.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape};
use inferry_engine::op::{Activation, Direction, Unary};

use super::Kind;
use super::definition::{Case, narrow};
use crate::isa::Isa;
use crate::kernel::testing::{assert_close, noise, tensor};

const SIGMOID: Activation = Activation::Unary(Unary::Sigmoid);
const TANH: Activation = Activation::Unary(Unary::Tanh);

fn random(count: usize, seed: u64) -> Vec<f64> {
    noise(count, seed).into_iter().map(f64::from).collect()
}

/// `[steps, batch, width, hidden]`
type Extents = [usize; 4];

/// A layer whose forms are the bits of `index`.
fn case(kind: Kind, [steps, batch, width, hidden]: Extents, index: usize) -> Case {
    let bit = |bit: usize| index >> bit & 1 == 1;
    let direction = [Direction::Forward, Direction::Reverse, Direction::Bidirectional][index % 3];
    let (d, rows) = (direction.count(), kind.gates() * hidden);
    let usual = [SIGMOID, TANH, TANH];
    let each = match kind {
        Kind::Rnn => &usual[1..2],
        _ => &usual[..kind.activations()],
    };
    // Each length from 0 to all steps.
    let lengths = (0..batch).map(|entry| ((entry * 5 + index) % (steps + 1)) as i32).collect();
    let states = d * batch * hidden;
    Case {
        kind,
        steps,
        batch,
        width,
        hidden,
        direction,
        batch_first: bit(0),
        activations: each.repeat(d),
        clip: index.is_multiple_of(5).then_some(0.7),
        x: random(steps * batch * width, 1),
        w: random(d * rows * width, 2),
        r: random(d * rows * hidden, 3),
        bias: bit(1).then(|| random(d * 2 * rows, 4)),
        lengths: bit(2).then_some(lengths),
        first: bit(3).then(|| [random(states, 5), random(states, 6)]),
        peepholes: (bit(4) && kind.has_cell()).then(|| random(d * 3 * hidden, 7)),
    }
}

const EXTENTS: &[Extents] = &[[1, 1, 1, 1], [13, 1, 3, 5], [9, 3, 4, 17], [3, 33, 5, 6]];

fn every_form(kinds: &[Kind]) {
    for (index, (kind, extents)) in (0..48).flat_map(|index| {
        EXTENTS.iter().map(move |extents| (index, (kinds[index / 3 % kinds.len()], *extents)))
    }) {
        case(kind, extents, index).check();
    }
}

#[test]
fn every_form_of_lstm_agrees_with_the_definition() {
    every_form(&[Kind::Lstm { input_forget: false }, Kind::Lstm { input_forget: true }]);
}

#[test]
fn every_form_of_gru_agrees_with_the_definition() {
    let gru = |linear_before_reset| Kind::Gru { linear_before_reset };
    every_form(&[gru(false), gru(true)]);
}

#[test]
fn every_form_of_rnn_agrees_with_the_definition() {
    every_form(&[Kind::Rnn]);
}

#[test]
fn every_activation_of_the_standard() {
    let unary = [
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::Relu,
        Unary::Softsign,
        Unary::Softplus,
        Unary::HardSigmoid { alpha: 0.3, beta: 0.4 },
        Unary::LeakyRelu { alpha: 0.1 },
        Unary::ThresholdedRelu { alpha: 0.25 },
        Unary::Elu { alpha: 0.5 },
    ];
    let others =
        [Activation::Affine { alpha: 0.5, beta: 0.25 }, Activation::ScaledTanh { alpha: 1.5, beta: 0.5 }];
    for activation in unary.map(Activation::Unary).into_iter().chain(others) {
        let usual = case(Kind::Rnn, [4, 2, 3, 19], 1);
        Case { activations: vec![activation], ..usual }.check();
    }
    let mut refused = case(Kind::Rnn, [1, 1, 1, 1], 1);
    refused.activations = vec![Activation::Unary(Unary::Sin)];
    let x = tensor(&[1.0f32], [1, 1, 1]);
    let result = crate::single::evaluate(
        &*refused.op(),
        &[Some(&x), Some(&x), Some(&x)],
        &[(ElementType::F32, Shape::from([1, 1, 1, 1]))],
        Isa::portable(),
    );
    assert!(result.unwrap_err().to_string().contains("RNN with the activation Unary(Sin)"));
}

#[test]
fn layers_without_steps_keep_their_states() {
    for kind in [Kind::Rnn, Kind::Lstm { input_forget: false }] {
        case(kind, [0, 2, 3, 4], 8).check();
        case(kind, [2, 0, 3, 4], 8).check();
        case(kind, [2, 3, 0, 4], 10).check();
    }
}

/// Number `n` of input `input` in the cases below.
fn formula(count: usize, input: usize) -> Vec<f64> {
    (0..count).map(|n| ((n * 7 + input * 3) % 11) as f64 / 8.0 - 0.625).collect()
}

/// A case whose inputs follow the formula.
fn formulated(kind: Kind, extents: Extents, direction: Direction, lengths: Option<&[i32]>) -> Case {
    let [steps, batch, width, hidden] = extents;
    let index = [Direction::Forward, Direction::Reverse, Direction::Bidirectional]
        .iter()
        .position(|one| *one == direction)
        .unwrap();
    let (d, rows) = (direction.count(), kind.gates() * hidden);
    Case {
        x: formula(steps * batch * width, 0),
        w: formula(d * rows * width, 1),
        r: formula(d * rows * hidden, 2),
        bias: Some(formula(d * 2 * rows, 3)),
        lengths: lengths.map(<[i32]>::to_vec),
        first: Some([formula(d * batch * hidden, 5), formula(d * batch * hidden, 6)]),
        peepholes: kind.has_cell().then(|| formula(d * 3 * hidden, 7)),
        batch_first: false,
        clip: None,
        ..case(kind, extents, index)
    }
}

#[track_caller]
fn gives(case: &Case, wanted: &[&[f32]]) {
    for constants in [&[1, 2, 3][..], &[]] {
        let results = case.run::<f32>(wanted.len(), constants, Isa::portable());
        for (result, wanted) in results.iter().zip(wanted) {
            assert_close(&narrow(result), wanted, 2e-6, 0.0);
        }
    }
}

#[test]
fn lstm_gives_what_onnxruntime_gives() {
    let lstm = |input_forget| Kind::Lstm { input_forget };
    let both = formulated(lstm(false), [3, 2, 2, 2], Direction::Bidirectional, Some(&[3, 2]));
    gives(
        &both,
        &[
            &[
                0.023564, 0.070879, 0.095753, 0.083846, 0.141798, 0.061962, 0.102456, -0.122001, 0.123031,
                -0.182054, 0.189002, -0.162075, 0.058194, 0.120066, 0.046809, -0.125069, 0.075692, -0.023679,
                0.0, 0.0, -0.021130, 0.114350, 0.0, 0.0,
            ],
            &[0.075692, -0.023679, 0.189002, -0.162075, 0.141798, 0.061962, 0.102456, -0.122001],
            &[0.405636, -0.029832, 0.825893, -0.274957, 0.299255, 0.108202, 0.246527, -0.202083],
        ],
    );
    let activations = vec![
        Activation::Unary(Unary::HardSigmoid { alpha: 0.3, beta: 0.4 }),
        Activation::ScaledTanh { alpha: 1.5, beta: 0.5 },
        Activation::Affine { alpha: 0.75, beta: 0.125 },
    ];
    let others = Case {
        activations,
        clip: Some(0.5),
        first: None,
        peepholes: None,
        ..formulated(lstm(false), [3, 1, 2, 2], Direction::Reverse, None)
    };
    gives(
        &others,
        &[
            &[0.067761, 0.059860, 0.078995, 0.054223, 0.069136, -0.004654],
            &[0.067761, 0.059860],
            &[0.194724, -0.021552],
        ],
    );
    let coupled = Case {
        bias: None,
        peepholes: None,
        ..formulated(lstm(true), [2, 1, 2, 2], Direction::Forward, None)
    };
    gives(
        &coupled,
        &[&[-0.095771, 0.082264, -0.050150, 0.123559], &[-0.050150, 0.123559], &[-0.103037, 0.216613]],
    );
}

#[test]
fn gru_gives_what_onnxruntime_gives() {
    let gru = |linear_before_reset, lengths| {
        let kind = Kind::Gru { linear_before_reset };
        formulated(kind, [3, 2, 2, 2], Direction::Bidirectional, Some(lengths))
    };
    gives(
        &gru(false, &[2, 3]),
        &[
            &[
                -0.192693, -0.492895, 0.060188, -0.272939, 0.220968, 0.240141, 0.007472, 0.275515, -0.202907,
                -0.279483, -0.112399, -0.125456, 0.034159, 0.070786, -0.269809, 0.084325, 0.0, 0.0,
                -0.103194, -0.083896, 0.0, 0.0, -0.183355, 0.067896,
            ],
            &[-0.202907, -0.279483, -0.103194, -0.083896, 0.220968, 0.240141, 0.007472, 0.275515],
        ],
    );
    gives(
        &gru(true, &[1, 3]),
        &[
            &[
                -0.162318, -0.558472, 0.085771, -0.321748, 0.264586, 0.279655, -0.161792, 0.276175, 0.0, 0.0,
                -0.045791, -0.248711, 0.0, 0.0, -0.368451, 0.085830, 0.0, 0.0, 0.017343, -0.235622, 0.0, 0.0,
                -0.244256, 0.072554,
            ],
            &[-0.162318, -0.558472, 0.017343, -0.235622, 0.264586, 0.279655, -0.161792, 0.276175],
        ],
    );
}

#[test]
fn rnn_gives_what_onnxruntime_gives() {
    let activations = vec![Activation::Unary(Unary::Softsign), Activation::Unary(Unary::Elu { alpha: 0.5 })];
    let rnn =
        Case { activations, ..formulated(Kind::Rnn, [3, 2, 3, 2], Direction::Bidirectional, Some(&[3, 2])) };
    gives(
        &rnn,
        &[
            &[
                0.333333, 0.401869, 0.0, 0.247059, 0.486138, -0.082304, -0.164641, -0.308673, -0.228713,
                0.261538, -0.255203, 0.146667, -0.054523, -0.276330, 0.343750, -0.356748, -0.210915,
                0.040209, 0.0, 0.0, -0.177176, -0.377470, 0.0, 0.0,
            ],
            &[-0.210915, 0.040209, -0.255203, 0.146667, 0.486138, -0.082304, -0.164641, -0.308673],
        ],
    );
}
