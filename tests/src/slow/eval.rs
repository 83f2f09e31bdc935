//! What a step makes of arrays: those that only move elements here, the others in the files beside.

use inferry_core::ElementType;

use super::array::Array;
use super::number::Number;
use super::program::Step;
use super::{elements, products};

impl Step {
    /// The result of a step on its operands.
    ///
    /// # Panics
    /// When the operands do not fit it.
    pub(super) fn eval(&self, operands: &[&Array]) -> Array {
        match self {
            Step::Input | Step::Constant => unreachable!("they are given"),
            Step::Unary(function) => elements::unary(*function, operands[0]),
            Step::Binary(function) => elements::binary(*function, operands[0], operands[1]),
            Step::Variadic(function) => elements::variadic(*function, operands),
            Step::Choose => elements::choose(operands[0], operands[1], operands[2]),
            Step::Clip(low, high) => elements::clip(operands[0], *low, *high),
            Step::Cast(to) => elements::cast(operands[0], *to),
            Step::Reduce { kind, axes, keep } => products::reduce(operands[0], *kind, axes, *keep),
            Step::Arg(arg) => products::arg(operands[0], arg),
            Step::MatMul => products::matmul(operands[0], operands[1]),
            Step::Gemm { alpha, beta, transposed } => products::gemm(
                operands[0],
                operands[1],
                operands.get(2).copied(),
                [*alpha, *beta],
                *transposed,
            ),
            Step::Conv { window, group } => {
                products::conv(operands[0], operands[1], operands.get(2).copied(), window, *group)
            }
            _ => self.moved(operands),
        }
    }

    /// Steps whose elements are those of the operands.
    fn moved(&self, operands: &[&Array]) -> Array {
        let x = operands[0];
        match self {
            Step::Reshape(shape) => reshaped(x, shape),
            Step::Unsqueeze(axes) => {
                let mut shape = x.shape.clone();
                axes.iter().for_each(|axis| shape.insert(*axis, 1));
                Array { shape, ..x.clone() }
            }
            Step::Squeeze(axes) => {
                let kept = |(dim, _): &(usize, &usize)| !axes.contains(dim);
                let shape = x.shape.iter().enumerate().filter(kept).map(|(_, extent)| *extent).collect();
                Array { shape, ..x.clone() }
            }
            Step::Transpose(perm) => {
                let shape: Vec<usize> = perm.iter().map(|from| x.shape[*from]).collect();
                Array::new(x.element, &shape, |index| {
                    let mut source = vec![0; index.len()];
                    perm.iter().zip(index).for_each(|(from, at)| source[*from] = *at);
                    x.at(&source)
                })
            }
            Step::Expand(shape) => {
                let shape = broadcast(&[&x.shape, shape]);
                Array::new(x.element, &shape, |index| x.broadcast(index))
            }
            Step::Tile(repeats) => {
                let shape: Vec<usize> =
                    x.shape.iter().zip(repeats).map(|(extent, times)| extent * times).collect();
                Array::new(x.element, &shape, |index| {
                    let source: Vec<usize> =
                        index.iter().zip(&x.shape).map(|(at, extent)| at % extent).collect();
                    x.at(&source)
                })
            }
            Step::Concat(axis) => {
                let mut shape = x.shape.clone();
                shape[*axis] = operands.iter().map(|operand| operand.shape[*axis]).sum();
                Array::new(x.element, &shape, |index| {
                    let mut source = index.to_vec();
                    for operand in operands {
                        if source[*axis] < operand.shape[*axis] {
                            return operand.at(&source);
                        }
                        source[*axis] -= operand.shape[*axis];
                    }
                    unreachable!("within one of them")
                })
            }
            Step::Slice(parts) => {
                let shape: Vec<usize> = parts.iter().map(|part| part.1).collect();
                Array::new(x.element, &shape, |index| {
                    let place = |(at, (start, _, step)): (&usize, &(usize, usize, i64))| {
                        (*start as i64 + *at as i64 * step) as usize
                    };
                    x.at(&index.iter().zip(parts).map(place).collect::<Vec<_>>())
                })
            }
            Step::Pad(pads) => {
                let shape: Vec<usize> =
                    x.shape.iter().zip(pads).map(|(extent, pad)| pad.0 + extent + pad.1).collect();
                Array::new(x.element, &shape, |index| {
                    let inside = |((at, pad), extent): ((&usize, &(usize, usize)), &usize)| {
                        at.checked_sub(pad.0).filter(|at| at < extent)
                    };
                    let source: Option<Vec<usize>> =
                        index.iter().zip(pads).zip(&x.shape).map(inside).collect();
                    source.map_or(zero(x.element), |source| x.at(&source))
                })
            }
            Step::Gather(axis, picked) => {
                let mut shape = x.shape.clone();
                shape[*axis] = picked.len();
                Array::new(x.element, &shape, |index| {
                    let mut source = index.to_vec();
                    let at = picked[index[*axis]];
                    source[*axis] = if at < 0 { at + x.shape[*axis] as i64 } else { at } as usize;
                    x.at(&source)
                })
            }
            other => unreachable!("{other:?} is computed elsewhere"),
        }
    }
}

fn reshaped(x: &Array, target: &[i64]) -> Array {
    let known: i64 = target.iter().filter(|extent| **extent >= 0).product();
    let left = if known == 0 { 0 } else { x.numbers.len() as i64 / known };
    let shape = target.iter().map(|extent| if *extent < 0 { left } else { *extent } as usize).collect();
    Array { shape, ..x.clone() }
}

/// The shape that all shapes are broadcast to.
pub(super) fn broadcast(shapes: &[&[usize]]) -> Vec<usize> {
    let rank = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let extent = |dim: usize| {
        let of = |shape: &&[usize]| (dim + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
        shapes.iter().map(of).find(|extent| *extent != 1).unwrap_or(1)
    };
    (0..rank).map(extent).collect()
}

/// The zero of a type.
pub(super) fn zero(element: ElementType) -> Number {
    match element {
        ElementType::F32 | ElementType::F64 => Number::exact(0.0),
        _ => Number::Whole(0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::array::indices;
    use super::*;

    fn counting(shape: &[usize]) -> Array {
        let mut next = 0..;
        let numbers = indices(shape).map(|_| Number::Whole(next.next().expect("endless"))).collect();
        Array { element: ElementType::I64, shape: shape.to_vec(), numbers }
    }

    fn numbers(array: &Array) -> Vec<i128> {
        array
            .numbers
            .iter()
            .map(|number| if let Number::Whole(value) = number { *value } else { -1 })
            .collect()
    }

    #[test]
    fn elements_are_moved_as_numpy_moves_them() {
        let x = counting(&[2, 3]);
        let eval = |step: Step| step.eval(&[&x]);
        assert_eq!(numbers(&eval(Step::Transpose(vec![1, 0]))), [0, 3, 1, 4, 2, 5]);
        assert_eq!(eval(Step::Reshape(vec![3, -1])).shape, [3, 2]);
        assert_eq!(eval(Step::Unsqueeze(vec![0, 3])).shape, [1, 2, 3, 1]);
        assert_eq!(numbers(&eval(Step::Slice(vec![(1, 1, 1), (2, 2, -2)]))), [5, 3]);
        assert_eq!(numbers(&eval(Step::Pad(vec![(1, 0), (0, 1)]))), [0, 0, 0, 0, 0, 1, 2, 0, 3, 4, 5, 0]);
        assert_eq!(numbers(&eval(Step::Gather(1, vec![-1, 0]))), [2, 0, 5, 3]);
        assert_eq!(numbers(&eval(Step::Tile(vec![1, 2]))), [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5]);
        assert_eq!(eval(Step::Expand(vec![4, 1, 3])).shape, [4, 2, 3]);
        let both = Step::Concat(0).eval(&[&x, &x]);
        assert_eq!((both.shape.clone(), numbers(&both)[6..].to_vec()), (vec![4, 3], vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(broadcast(&[&[2, 1], &[3], &[]]), [2, 3]);
        assert_eq!(broadcast(&[&[0, 1], &[1, 3]]), [0, 3]);
    }
}
