//! The definition of the three layers, number by number in `f64`, and how a layer is run to be compared with it; tests only.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::{Element, Shape, Tensor};
use inferry_engine::op::{Activation, Direction, Gru, Lstm, Op, Rnn};

use super::Kind;
use super::activation::activated;
use crate::isa::Isa;
use crate::kernel::testing::{assert_close, run_with_constants, tensor};

/// A layer and its inputs, as numbers.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) kind: Kind,
    pub(super) steps: usize,
    pub(super) batch: usize,
    pub(super) width: usize,
    pub(super) hidden: usize,
    pub(super) direction: Direction,
    pub(super) batch_first: bool,
    pub(super) activations: Vec<Activation>,
    pub(super) clip: Option<f32>,
    /// x, w, r; bias, initial states and peepholes where they are given. With the batch second.
    pub(super) x: Vec<f64>,
    pub(super) w: Vec<f64>,
    pub(super) r: Vec<f64>,
    pub(super) bias: Option<Vec<f64>>,
    pub(super) lengths: Option<Vec<i32>>,
    pub(super) first: Option<[Vec<f64>; 2]>,
    pub(super) peepholes: Option<Vec<f64>>,
}

impl Case {
    fn directions(&self) -> usize {
        self.direction.count()
    }

    pub(super) fn op(&self) -> Box<dyn Op> {
        let Case { hidden, direction, clip, batch_first, .. } = *self;
        let activations = self.activations.clone();
        match self.kind {
            Kind::Lstm { input_forget } => {
                Box::new(Lstm { hidden, direction, activations, clip, input_forget, batch_first })
            }
            Kind::Gru { linear_before_reset } => {
                Box::new(Gru { hidden, direction, activations, clip, linear_before_reset, batch_first })
            }
            Kind::Rnn => Box::new(Rnn { hidden, direction, activations, clip, batch_first }),
        }
    }

    /// The definition, one number after the other: `Y [S, D, B, H]` and the last states `[D, B, H]`.
    fn defined(&self) -> [Vec<f64>; 3] {
        let Case { steps, batch, width, hidden, .. } = *self;
        let gates = self.kind.gates();
        let mut y = vec![0.0; steps * self.directions() * batch * hidden];
        let (mut last_h, mut last_c) = (Vec::new(), Vec::new());
        for (direction, entry) in (0..self.directions()).flat_map(|d| (0..batch).map(move |b| (d, b))) {
            let state = (direction * batch + entry) * hidden;
            let begin = |n: usize| match &self.first {
                Some(first) if n == 0 || gates == 4 => first[n][state..state + hidden].to_vec(),
                _ => vec![0.0; hidden],
            };
            let (mut h, mut c) = (begin(0), begin(1));
            let length = self.lengths.as_ref().map_or(steps, |lengths| lengths[entry] as usize);
            let backward = self.direction == Direction::Reverse || direction == 1;
            for step in 0..length {
                let at = if backward { length - 1 - step } else { step };
                let x = &self.x[(at * batch + entry) * width..][..width];
                (h, c) = self.step(direction, x, &h, &c);
                y[((at * self.directions() + direction) * batch + entry) * hidden..][..hidden]
                    .copy_from_slice(&h);
            }
            last_h.extend(h);
            last_c.extend(c);
        }
        [y, last_h, last_c]
    }

    fn step(&self, direction: usize, x: &[f64], h: &[f64], c: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let n = self.hidden;
        let rows = self.kind.gates() * n;
        let bias = |half: usize, row: usize| {
            self.bias.as_ref().map_or(0.0, |bias| bias[(direction * 2 + half) * rows + row])
        };
        let dot = |matrix: &[f64], row: usize, vector: &[f64], half: usize| {
            let row_of = &matrix[(direction * rows + row) * vector.len()..][..vector.len()];
            row_of.iter().zip(vector).map(|(a, b)| a * b).sum::<f64>() + bias(half, row)
        };
        let f = |which: usize, x: f64| {
            let clip = self.clip.map_or(f64::INFINITY, f64::from);
            activated(self.activations[direction * self.kind.activations() + which], x.clamp(-clip, clip))
        };
        let peep = |gate: usize, unit: usize, c: f64| {
            self.peepholes.as_ref().map_or(0.0, |p| p[direction * 3 * n + gate * n + unit] * c)
        };
        let sum = |gate: usize, unit: usize| {
            dot(&self.w, gate * n + unit, x, 0) + dot(&self.r, gate * n + unit, h, 1)
        };
        let (mut next_h, mut next_c) = (vec![0.0; n], vec![0.0; n]);
        match self.kind {
            Kind::Lstm { input_forget } => {
                for unit in 0..n {
                    let input = f(0, sum(0, unit) + peep(0, unit, c[unit]));
                    let forget = f(0, sum(2, unit) + peep(2, unit, c[unit]));
                    let forget = if input_forget { 1.0 - input } else { forget };
                    next_c[unit] = forget * c[unit] + input * f(1, sum(3, unit));
                    let output = f(0, sum(1, unit) + peep(1, unit, next_c[unit]));
                    let last = self.activations[direction * 3 + 2];
                    next_h[unit] = output * activated(last, next_c[unit]);
                }
            }
            Kind::Gru { linear_before_reset } => {
                let reset: Vec<f64> = (0..n).map(|unit| f(0, sum(1, unit))).collect();
                let scaled: Vec<f64> = reset.iter().zip(h).map(|(reset, h)| reset * h).collect();
                for unit in 0..n {
                    let update = f(0, sum(0, unit));
                    let row = 2 * n + unit;
                    let of_h = if linear_before_reset {
                        reset[unit] * dot(&self.r, row, h, 1)
                    } else {
                        dot(&self.r, row, &scaled, 1)
                    };
                    let candidate = f(1, dot(&self.w, row, x, 0) + of_h);
                    next_h[unit] = (1.0 - update) * candidate + update * h[unit];
                }
            }
            Kind::Rnn => (0..n).for_each(|unit| next_h[unit] = f(0, sum(0, unit))),
        }
        (next_h, next_c)
    }

    /// A tensor of these numbers; with the batch first, dimensions are moved to where they then are.
    fn tensor<T: Float>(&self, values: &[f64], shape: &[usize], batch_dim: usize) -> Tensor {
        let values: Vec<T> =
            moved(values, shape, batch_dim, self.batch_first).iter().map(|v| T::of(*v)).collect();
        let shape = moved_shape(shape, batch_dim, self.batch_first);
        tensor(&values, Shape::new(&shape).unwrap())
    }

    /// Runs the layer with `outputs` outputs; what it gives, with the batch second.
    pub(super) fn run<T: Float>(&self, outputs: usize, constants: &[usize], isa: Isa) -> Vec<Vec<f64>> {
        let Case { steps, batch, width, hidden, .. } = *self;
        let (directions, rows) = (self.directions(), self.kind.gates() * hidden);
        let state = [directions, batch, hidden];
        let whole = |values: &[f64], shape: &[usize]| {
            let values: Vec<T> = values.iter().map(|v| T::of(*v)).collect();
            tensor(&values, Shape::new(shape).unwrap())
        };
        let mut inputs = vec![
            Some(self.tensor::<T>(&self.x, &[steps, batch, width], 1)),
            Some(whole(&self.w, &[directions, rows, width])),
            Some(whole(&self.r, &[directions, rows, hidden])),
            self.bias.as_ref().map(|bias| whole(bias, &[directions, 2 * rows])),
            self.lengths.as_ref().map(|lengths| tensor(lengths, [batch])),
            self.first.as_ref().map(|first| self.tensor::<T>(&first[0], &state, 1)),
        ];
        if self.kind.has_cell() {
            inputs.push(self.first.as_ref().map(|first| self.tensor::<T>(&first[1], &state, 1)));
            inputs.push(self.peepholes.as_ref().map(|p| whole(p, &[directions, 3 * hidden])));
        }
        let y = [steps, directions, batch, hidden];
        let shapes = [(&y[..], 2), (&state[..], 1), (&state[..], 1)];
        let wanted: Vec<_> = shapes[..outputs]
            .iter()
            .map(|(shape, dim)| (T::TYPE, Shape::new(&moved_shape(shape, *dim, self.batch_first)).unwrap()))
            .collect();
        let results = run_with_constants(&*self.op(), &inputs, constants, &wanted, isa);
        let plain = results.iter().zip(shapes).map(|(result, (shape, dim))| {
            let values: Vec<f64> = result.to_vec::<T>().unwrap().into_iter().map(T::wide).collect();
            moved_back(&values, shape, dim, self.batch_first)
        });
        plain.collect()
    }

    /// That all ways give what the definition says, with any number of outputs.
    #[track_caller]
    pub(super) fn check(&self) {
        let wanted = self.defined();
        let most = 2 + usize::from(self.kind.has_cell());
        let close = |results: Vec<Vec<f64>>, tolerance: f32| {
            for (result, wanted) in results.iter().zip(&wanted) {
                assert_close(&narrow(result), &narrow(wanted), tolerance, tolerance);
            }
        };
        for outputs in 1..=most {
            for isa in Isa::detect_for_tests() {
                close(self.run::<f32>(outputs, &[1, 2, 3], isa), 2e-5);
            }
            close(self.run::<f32>(outputs, &[1], Isa::portable()), 2e-5);
            close(self.run::<f64>(outputs, &[1, 2, 3], Isa::portable()), 1e-6);
        }
    }
}

/// A float of the tests.
pub(super) trait Float: Element {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
}

impl Float for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Float for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn wide(self) -> f64 {
        self
    }
}

pub(super) fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

fn moved_shape(shape: &[usize], dim: usize, to_front: bool) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if to_front {
        shape[..=dim].rotate_right(1);
    }
    shape
}

/// The numbers with dimension `dim` in front.
fn moved(values: &[f64], shape: &[usize], dim: usize, to_front: bool) -> Vec<f64> {
    if !to_front {
        return values.to_vec();
    }
    let (outer, inner): (usize, usize) = (shape[..dim].iter().product(), shape[dim + 1..].iter().product());
    let mut to = Vec::new();
    for (index, outer) in (0..shape[dim]).flat_map(|index| (0..outer).map(move |outer| (index, outer))) {
        to.extend_from_slice(&values[(outer * shape[dim] + index) * inner..][..inner]);
    }
    to
}

fn moved_back(values: &[f64], shape: &[usize], dim: usize, from_front: bool) -> Vec<f64> {
    if !from_front {
        return values.to_vec();
    }
    // To the back of what was before it is to the front with that as one dimension.
    let outer: usize = shape[..dim].iter().product();
    let inner: usize = shape[dim + 1..].iter().product();
    moved(values, &[shape[dim], outer, inner], 1, true)
}
