//! Programs drawn by lot: every list of numbers is one, so that a list can be made shorter until only what matters is left.

use inferry_core::ElementType;
use inferry_engine::op::{ArgReduce, Binary, ReduceKind, Unary, Variadic};

use super::array::Array;
use super::eval::broadcast;
use super::number::Number;
use super::program::{Program, Step, Value};

use ElementType::{Bool, F32, F64, I8, I32, I64, U8};

/// The most elements of a value, and the most dimensions.
const MOST: usize = 500;
const RANK: usize = 5;

/// The program that lists of numbers tell: each list is a step, or none where it does not fit what is there.
pub fn draw(lists: &[[u32; 12]]) -> Program {
    let mut program = Program::default();
    for list in lists {
        Draw { program: &mut program, list, next: 0 }.step();
    }
    if program.values.is_empty() {
        Draw { program: &mut program, list: &[0; 12], next: 0 }.given(Step::Input);
    }
    // What nobody reads is wanted, and a few others.
    let read = |value: usize| program.values.iter().any(|other| other.reads.contains(&value));
    let wanted = |value: &usize| {
        !matches!(program.values[*value].step, Step::Constant) && (!read(*value) || value.is_multiple_of(5))
    };
    program.outputs = (0..program.values.len()).filter(wanted).collect();
    program
}

struct Draw<'a> {
    program: &'a mut Program,
    list: &'a [u32],
    next: usize,
}

impl Draw<'_> {
    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        let number = self.list.get(self.next).copied().unwrap_or(0) as usize;
        self.next += 1;
        number % limit.max(1)
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn step(&mut self) {
        let kind = self.below(26);
        if self.program.values.is_empty() || kind == 0 {
            self.given(Step::Input);
        } else if kind == 1 {
            self.given(Step::Constant);
        } else {
            self.computed(kind);
        }
    }

    /// A value that is not computed.
    fn given(&mut self, step: Step) -> usize {
        let element = self.pick(&[F32, F32, F32, F64, I32, I64, I8, U8, Bool]);
        let rank = self.below(RANK);
        let mut shape = Vec::new();
        for _ in 0..rank {
            let room = MOST / shape.iter().product::<usize>().max(1);
            shape.push(self.extent().min(room));
        }
        self.array(step, element, &shape)
    }

    /// Mostly from 1 to 4, now and then nothing, now and then enough for kernels that take many elements at once.
    fn extent(&mut self) -> usize {
        match self.below(30) {
            0 => 0,
            large @ 26.. => [7, 16, 19, 40][large - 26],
            other => 1 + other % 4,
        }
    }

    /// A given value of a type and shape.
    fn array(&mut self, step: Step, element: ElementType, shape: &[usize]) -> usize {
        let mut state = self.below(1 << 30) as u64 + 1;
        let mut random = move |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let rough = self.below(2) == 0;
        let array = Array::new(element, shape, |_| match element {
            // Numbers whose sums are exact, or numbers whose are not.
            F32 | F64 if rough => Number::exact((random(33) as f64 - 16.0) / 4.0),
            F32 | F64 => Number::exact(f64::from((random(1 << 24) as f32 / (1 << 22) as f32) - 2.0)),
            Bool => Number::Whole(random(2).into()),
            U8 => Number::Whole(random(11).into()),
            _ => Number::Whole(i128::from(random(11)) - 5),
        });
        self.put(Value { step, reads: vec![], array })
    }

    fn put(&mut self, value: Value) -> usize {
        self.program.values.push(value);
        self.program.values.len() - 1
    }

    /// Computes a step.
    fn compute(&mut self, step: Step, reads: &[usize]) {
        let operands: Vec<&Array> = reads.iter().map(|read| &self.program.values[*read].array).collect();
        let array = step.eval(&operands);
        self.put(Value { step, reads: reads.to_vec(), array });
    }

    /// Computes a step, unless there would be too much of it.
    fn small(&mut self, step: Step, reads: &[usize]) {
        let operands: Vec<&Array> = reads.iter().map(|read| &self.program.values[*read].array).collect();
        let array = step.eval(&operands);
        if array.numbers.len() <= MOST {
            self.put(Value { step, reads: reads.to_vec(), array });
        }
    }

    /// One of the values of these types.
    fn value(&mut self, types: &[ElementType]) -> Option<(usize, Array)> {
        let values = self.program.values.iter().enumerate();
        let fit: Vec<usize> = values
            .filter(|(_, value)| types.contains(&value.array.element))
            .map(|(index, _)| index)
            .collect();
        let index = if fit.is_empty() { return None } else { self.pick(&fit) };
        Some((index, self.program.values[index].array.clone()))
    }

    /// A value of a type that broadcasts with a shape: one that is there, or a constant.
    fn partner(&mut self, element: ElementType, shape: &[usize]) -> usize {
        let fits = |array: &Array| {
            let pairs = array.shape.iter().rev().zip(shape.iter().rev());
            let together = pairs.clone().all(|(a, b)| a == b || *a == 1 || *b == 1);
            together && broadcast(&[&array.shape, shape]).iter().product::<usize>() <= MOST
        };
        let there: Vec<usize> = (0..self.program.values.len())
            .filter(|index| self.program.values[*index].array.element == element)
            .filter(|index| fits(&self.program.values[*index].array))
            .collect();
        if !there.is_empty() && self.below(3) > 0 {
            return self.pick(&there);
        }
        let kept = self.below(shape.len() + 1);
        let own: Vec<usize> = shape[shape.len() - kept..]
            .iter()
            .map(|extent| if self.below(3) == 0 { 1 } else { *extent })
            .collect();
        self.array(Step::Constant, element, &own)
    }

    fn computed(&mut self, kind: usize) {
        const NUMBERS: &[ElementType] = &[F32, F64, I32, I64, I8, U8];
        const FLOATS: &[ElementType] = &[F32, F64];
        const ALL: &[ElementType] = &[F32, F64, I32, I64, I8, U8, Bool];
        let wanted = match kind {
            5 => &[Bool][..],
            20 | 21 => FLOATS,
            3 | 4 | 6 | 8 | 18 | 19 => NUMBERS,
            24 => &[F32, F64, I32, I64],
            22 | 23 | 25 => FLOATS,
            _ => ALL,
        };
        let Some((index, x)) = self.value(wanted) else { return };
        match kind {
            2 => self.unary(index, &x),
            3 | 4 => self.arithmetic(index, &x),
            5 => {
                let other = self.partner(Bool, &x.shape);
                let function = self.pick(&[Binary::And, Binary::Or, Binary::Xor]);
                self.compute(Step::Binary(function), &[index, other]);
            }
            6 => {
                let other = self.partner(x.element, &x.shape);
                let functions = [
                    Binary::Less,
                    Binary::LessOrEqual,
                    Binary::Greater,
                    Binary::GreaterOrEqual,
                    Binary::Equal,
                ];
                let function = self.pick(&functions);
                self.compute(Step::Binary(function), &[index, other]);
            }
            7 => {
                let condition = self.partner(Bool, &x.shape);
                let both = broadcast(&[&x.shape, &self.program.values[condition].array.shape]);
                let other = self.partner(x.element, &both);
                self.compute(Step::Choose, &[condition, index, other]);
            }
            8 => {
                let low = self.below(6) as f64 - if x.element == U8 { 0.0 } else { 3.0 };
                let high = low + self.below(5) as f64;
                self.compute(Step::Clip(low, high), &[index]);
            }
            9 => {
                let to = self.pick(ALL);
                self.compute(Step::Cast(to), &[index]);
            }
            10..=17 => self.moved(kind, index, &x),
            18 => self.largest(index, &x),
            19 => {
                let other = self.partner(x.element, &x.shape);
                let function = self.pick(&[Variadic::Max, Variadic::Min]);
                self.compute(Step::Variadic(function), &[index, other]);
            }
            20 | 21 => self.reduced(index, &x),
            22 | 23 => self.conv(index, &x),
            24 => self.matmul(index, &x),
            _ => self.gemm(index, &x),
        }
    }

    fn unary(&mut self, index: usize, x: &Array) {
        let function = match x.element {
            Bool => Unary::Not,
            F32 | F64 => self.pick(&[
                Unary::Abs,
                Unary::Neg,
                Unary::Relu,
                Unary::LeakyRelu { alpha: 0.25 },
                Unary::Floor,
                Unary::Ceil,
                Unary::Round,
                Unary::Sign,
                Unary::Sqrt,
                Unary::Sigmoid,
                Unary::Tanh,
                Unary::Exp,
                Unary::Softplus,
                Unary::Atan,
                Unary::IsNaN,
            ]),
            U8 => self.pick(&[Unary::Abs, Unary::Sign]),
            _ => self.pick(&[Unary::Abs, Unary::Sign, Unary::Neg, Unary::Relu]),
        };
        self.compute(Step::Unary(function), &[index]);
    }

    fn arithmetic(&mut self, index: usize, x: &Array) {
        let function = match x.element {
            F32 | F64 => self.pick(&[Binary::Add, Binary::Sub, Binary::Mul, Binary::Div, Binary::PRelu]),
            _ => self.pick(&[
                Binary::Add,
                Binary::Sub,
                Binary::Mul,
                Binary::Div,
                Binary::Mod { fmod: true },
                Binary::Mod { fmod: false },
            ]),
        };
        let other = self.partner(x.element, &x.shape);
        let grows = broadcast(&[&x.shape, &self.program.values[other].array.shape]) != x.shape;
        // A slope has to fit into what it is the slope of.
        let function = if function == Binary::PRelu && grows { Binary::Add } else { function };
        let turned = self.below(2) == 1 && function != Binary::PRelu;
        let reads = if turned { [other, index] } else { [index, other] };
        self.compute(Step::Binary(function), &reads);
    }

    /// Steps that only move elements.
    fn moved(&mut self, kind: usize, index: usize, x: &Array) {
        let rank = x.shape.len();
        let count: usize = x.numbers.len();
        let step = match kind {
            10 => {
                // Two neighbours together, the whole in a row, or a row cut.
                let mut shape: Vec<i64> = x.shape.iter().map(|extent| *extent as i64).collect();
                match self.below(3) {
                    0 if rank > 1 => {
                        let at = self.below(rank - 1);
                        shape[at] *= shape.remove(at + 1);
                    }
                    1 if rank > 0 && rank < RANK => {
                        let at = self.below(rank);
                        let part = [2, 3, 1][self.below(3)];
                        if shape[at] % part == 0 {
                            shape[at] /= part;
                            shape.insert(at, part);
                        }
                    }
                    _ => shape = vec![count as i64],
                }
                if count > 0 && !shape.is_empty() && self.below(2) == 0 {
                    let open = self.below(shape.len());
                    shape[open] = -1;
                }
                Step::Reshape(shape)
            }
            11 => {
                let mut left: Vec<usize> = (0..rank).collect();
                Step::Transpose(
                    (0..rank)
                        .map(|_| {
                            let at = self.below(left.len());
                            left.remove(at)
                        })
                        .collect(),
                )
            }
            12 if rank < RANK => Step::Unsqueeze(vec![self.below(rank + 1)]),
            13 => Step::Squeeze((0..rank).filter(|dim| x.shape[*dim] == 1).collect()),
            14 => {
                let more = self.below(RANK - rank + 1);
                let mut shape: Vec<usize> = (0..more).map(|_| 1 + self.below(3)).collect();
                shape.extend(
                    x.shape.iter().map(|extent| if *extent == 1 { 1 + self.below(3) } else { *extent }),
                );
                Step::Expand(shape)
            }
            15 if rank > 0 => match self.below(3) {
                0 => Step::Tile((0..rank).map(|_| 1 + self.below(2)).collect()),
                1 => {
                    let axis = self.below(rank);
                    return if 2 * count <= MOST {
                        self.compute(Step::Concat(axis), &[index, index])
                    };
                }
                _ => {
                    let axis = self.below(rank);
                    let extent = x.shape[axis] as i64;
                    let picked = (0..self.below(4)).map(|_| self.below(2 * extent as usize) as i64 - extent);
                    let picked: Vec<i64> = picked.collect();
                    Step::Gather(axis, if extent == 0 { vec![] } else { picked })
                }
            },
            16 => Step::Slice(
                x.shape
                    .iter()
                    .map(|extent| {
                        let step: i64 = [1, 1, 2, -1, -2][self.below(5)];
                        let start = if *extent == 0 { 0 } else { self.below(*extent) };
                        let room = if step > 0 { extent - start } else { (start + 1).min(*extent) };
                        (start, room.div_ceil(step.unsigned_abs() as usize), step)
                    })
                    .collect(),
            ),
            17 if x.element != Bool => Step::Pad((0..rank).map(|_| (self.below(3), self.below(2))).collect()),
            _ => return,
        };
        let array = step.eval(&[x]);
        if array.numbers.len() <= MOST {
            self.put(Value { step, reads: vec![index], array });
        }
    }

    fn largest(&mut self, index: usize, x: &Array) {
        if x.shape.is_empty() || x.numbers.is_empty() {
            return;
        }
        let axis = self.below(x.shape.len()) as i64;
        let [max, keep_dims, select_last] = [0; 3].map(|_| self.below(2) == 1);
        self.compute(Step::Arg(ArgReduce { max, axis, keep_dims, select_last }), &[index]);
    }

    fn reduced(&mut self, index: usize, x: &Array) {
        use ReduceKind::*;
        // Of nothing there is no largest, no mean and no logarithm.
        let kinds: &[ReduceKind] = match x.numbers.is_empty() {
            true => &[Sum, Prod, L1, SumSquare],
            false => &[Sum, Mean, Max, Min, Prod, L1, L2, SumSquare, LogSumExp],
        };
        let kind = self.pick(kinds);
        let axes: Vec<usize> = (0..x.shape.len()).filter(|_| self.below(2) == 1).collect();
        let keep = self.below(2) == 1;
        if !axes.is_empty() {
            self.compute(Step::Reduce { kind, axes, keep }, &[index]);
        }
    }

    /// Of the right factor of a product.
    fn columns(&mut self) -> usize {
        self.pick(&[1, 2, 3, 4, 5, 8, 17, 35])
    }

    fn matmul(&mut self, index: usize, x: &Array) {
        let rank = x.shape.len();
        if rank < 2 {
            return;
        }
        let columns = self.columns();
        let (batch, matrix) = x.shape.split_at(rank - 2);
        let kept = self.below(batch.len() + 1);
        let mut shape: Vec<usize> = batch[batch.len() - kept..]
            .iter()
            .map(|extent| if self.below(3) == 0 { 1 } else { *extent })
            .collect();
        shape.extend([matrix[1], columns]);
        let step = if self.below(3) == 0 { Step::Input } else { Step::Constant };
        let other = self.array(step, x.element, &shape);
        self.small(Step::MatMul, &[index, other]);
    }

    fn gemm(&mut self, index: usize, x: &Array) {
        let [rows, inner] = x.shape[..] else { return };
        let [first, second] = [0; 2].map(|_| self.below(2) == 1);
        let (rows, inner) = if first { (inner, rows) } else { (rows, inner) };
        let columns = self.columns();
        let other =
            self.array(Step::Constant, x.element, &if second { [columns, inner] } else { [inner, columns] });
        let (alpha, beta) = (self.pick(&[1.0, 0.5, -2.0]), self.pick(&[1.0, 0.25]));
        let step = Step::Gemm { alpha, beta, transposed: [first, second] };
        let shape = [&[][..], &[columns], &[rows, columns], &[rows, 1]][self.below(4)].to_vec();
        let summand = self.array(Step::Constant, x.element, &shape);
        self.small(step, &[index, other, summand]);
    }

    fn conv(&mut self, index: usize, x: &Array) {
        let rank = x.shape.len();
        if !(3..=5).contains(&rank) || x.shape[1..].contains(&0) {
            return;
        }
        let channels = x.shape[1];
        let divisors: Vec<usize> = (1..=channels).filter(|group| channels.is_multiple_of(*group)).collect();
        let group = self.pick(&divisors);
        let mut kernel = Vec::new();
        let mut window = Vec::new();
        for extent in &x.shape[2..] {
            let (before, behind) = (self.below(3), self.below(2));
            let dilation = 1 + self.below(2);
            let taps = 1 + self.below(3);
            // The window must fit.
            let most = (extent + before + behind - 1) / dilation + 1;
            kernel.push(taps.min(most));
            window.push((1 + self.below(2), dilation, before, behind));
        }
        let filters = group * self.pick(&[1, 1, 2, 2, 3, 3, 9]);
        let weights = [&[filters, channels / group], &kernel[..]].concat();
        let weights = self.array(Step::Constant, x.element, &weights);
        let mut reads = vec![index, weights];
        if self.below(2) == 1 {
            reads.push(self.array(Step::Constant, x.element, &[filters]));
        }
        self.small(Step::Conv { window, group }, &reads);
    }
}
