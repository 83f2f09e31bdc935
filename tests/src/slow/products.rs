//! Sums over many elements: reductions, products of matrices, convolutions.

use inferry_core::ElementType;
use inferry_engine::op::{ArgReduce, ReduceKind};

use super::array::{Array, indices};
use super::elements::extreme;
use super::eval::{broadcast, zero};
use super::number::{Number, approximate, unit};

/// A sum of products that is being added up: exactly, or with the doubt of a sum in any order.
struct Sum {
    element: ElementType,
    whole: i128,
    value: f64,
    /// The doubts of what was added.
    doubt: f64,
    /// The sum of magnitudes, and how many there were: each rounding is at most a unit of what is added up so far.
    magnitude: f64,
    count: usize,
    known: bool,
}

impl Sum {
    fn new(element: ElementType) -> Sum {
        Sum { element, whole: 0, value: 0.0, doubt: 0.0, magnitude: 0.0, count: 0, known: true }
    }

    fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Whole(value) => self.whole += value,
            Number::Real { value, doubt } => {
                self.value += value;
                self.doubt += doubt;
                self.magnitude += value.abs() + doubt;
            }
            Number::Unknown => self.known = false,
        }
    }

    fn add_product(&mut self, a: Number, b: Number) {
        self.add(match (a, b) {
            (Number::Whole(a), Number::Whole(b)) => Number::whole(self.element, a * b),
            (Number::Real { value: a, doubt: x }, Number::Real { value: b, doubt: y }) => {
                Number::Real { value: a * b, doubt: a.abs() * y + b.abs() * x + x * y }
            }
            _ => Number::Unknown,
        });
    }

    /// The sum, times a factor.
    fn result(&self, factor: f64) -> Number {
        if !self.known {
            return Number::Unknown;
        }
        if !matches!(self.element, ElementType::F32 | ElementType::F64) {
            return Number::whole(self.element, self.whole);
        }
        let roundings = unit(self.element) * (self.count + 3) as f64 * self.magnitude;
        Number::real(self.element, self.value * factor, (self.doubt + roundings) * factor.abs())
    }
}

pub(super) fn reduce(x: &Array, kind: ReduceKind, axes: &[usize], keep: bool) -> Array {
    let along: Vec<usize> = x
        .shape
        .iter()
        .enumerate()
        .map(|(dim, extent)| if axes.contains(&dim) { *extent } else { 1 })
        .collect();
    let outer: Vec<usize> = x
        .shape
        .iter()
        .enumerate()
        .map(|(dim, extent)| if axes.contains(&dim) { 1 } else { *extent })
        .collect();
    let reduced = Array::new(x.element, &outer, |index| {
        let numbers: Vec<Number> = indices(&along)
            .map(|inner| x.at(&index.iter().zip(&inner).map(|(a, b)| a + b).collect::<Vec<_>>()))
            .collect();
        together(x.element, kind, &numbers)
    });
    let kept = |(dim, _): &(usize, &usize)| keep || !axes.contains(dim);
    let shape = outer.iter().enumerate().filter(kept).map(|(_, extent)| *extent).collect();
    Array { shape, ..reduced }
}

fn together(element: ElementType, kind: ReduceKind, numbers: &[Number]) -> Number {
    let sum = |map: &dyn Fn(&mut Sum, Number)| {
        let mut sum = Sum::new(element);
        numbers.iter().for_each(|number| map(&mut sum, *number));
        sum
    };
    let magnitude = |sum: &mut Sum, number: Number| {
        sum.add(match number {
            Number::Whole(value) => Number::whole(element, value.abs()),
            Number::Real { value, doubt } => Number::Real { value: value.abs(), doubt },
            Number::Unknown => Number::Unknown,
        });
    };
    match kind {
        ReduceKind::Sum => sum(&|sum, number| sum.add(number)).result(1.0),
        ReduceKind::L1 => sum(&magnitude).result(1.0),
        ReduceKind::SumSquare => sum(&|sum, number| sum.add_product(number, number)).result(1.0),
        ReduceKind::L2 => {
            let squares = sum(&|sum, number| sum.add_product(number, number)).result(1.0);
            squares.monotone(element, |value| value.max(0.0).sqrt(), 0.0)
        }
        ReduceKind::Mean => {
            let total = sum(&|sum, number| sum.add(number)).result(1.0 / numbers.len() as f64);
            // The factor may be rounded, too.
            total.parts().map_or(Number::Unknown, |(value, doubt)| Number::real(element, value, doubt))
        }
        ReduceKind::Max | ReduceKind::Min => {
            let larger = kind == ReduceKind::Max;
            let first = numbers.first().copied().unwrap_or(Number::Unknown);
            numbers.iter().fold(first, |best, number| extreme(element, best, *number, larger))
        }
        ReduceKind::Prod => {
            let one = if zero(element) == Number::Whole(0) { Number::Whole(1) } else { Number::exact(1.0) };
            numbers.iter().fold(one, |product, number| {
                let mut sum = Sum::new(element);
                sum.add_product(product, *number);
                sum.result(1.0)
            })
        }
        ReduceKind::LogSumExp => log_sum_exp(element, numbers),
        ReduceKind::LogSum => unreachable!("sums under a logarithm are not drawn"),
    }
}

/// A change of all numbers by some amount changes it by at most as much.
fn log_sum_exp(element: ElementType, numbers: &[Number]) -> Number {
    let parts: Option<Vec<(f64, f64)>> = numbers.iter().map(|number| number.parts()).collect();
    let Some(parts) = parts.filter(|parts| !parts.is_empty()) else { return Number::Unknown };
    let largest = parts.iter().fold(f64::NEG_INFINITY, |largest, part| largest.max(part.0));
    let value = largest + parts.iter().map(|part| (part.0 - largest).exp()).sum::<f64>().ln();
    let doubt = parts.iter().fold(0.0, |most: f64, part| most.max(part.1));
    let off = approximate(element, value) + unit(element) * parts.len() as f64 * (1.0 + largest.abs());
    Number::real(element, value, doubt + off)
}

pub(super) fn arg(x: &Array, arg: &ArgReduce) -> Array {
    let axis = arg.axis as usize;
    let mut outer = x.shape.clone();
    outer[axis] = 1;
    let found = Array::new(ElementType::I64, &outer, |index| {
        let at = |place: usize| {
            let mut index = index.to_vec();
            index[axis] = place;
            x.at(&index)
        };
        let mut best = 0;
        for place in 1..x.shape[axis] {
            let (new, old) = (at(place), at(best));
            let (better, worse) = if arg.max {
                (old.is_less(new), new.is_less(old))
            } else {
                (new.is_less(old), old.is_less(new))
            };
            match (better, worse) {
                (Some(true), _) => best = place,
                (Some(false), Some(false)) if arg.select_last => best = place,
                (Some(false), _) => {}
                // Either may be the one.
                _ => return Number::Unknown,
            }
        }
        Number::Whole(best as i128)
    });
    let mut shape = outer;
    if !arg.keep_dims {
        shape.remove(axis);
    }
    Array { shape, ..found }
}

pub(super) fn matmul(a: &Array, b: &Array) -> Array {
    let (ra, rb) = (a.shape.len(), b.shape.len());
    let (rows, inner, columns) = (a.shape[ra - 2], a.shape[ra - 1], b.shape[rb - 1]);
    let batch = broadcast(&[&a.shape[..ra - 2], &b.shape[..rb - 2]]);
    let shape = [&batch[..], &[rows, columns]].concat();
    Array::new(a.element, &shape, |index| {
        let (batch, place) = index.split_at(index.len() - 2);
        let mut sum = Sum::new(a.element);
        for k in 0..inner {
            sum.add_product(of_batch(a, batch, [place[0], k]), of_batch(b, batch, [k, place[1]]));
        }
        sum.result(1.0)
    })
}

/// An element of the matrix that belongs to a batch.
fn of_batch(x: &Array, batch: &[usize], place: [usize; 2]) -> Number {
    let own = x.shape.len() - 2;
    let batch = &batch[batch.len() - own..];
    let mut index: Vec<usize> =
        batch.iter().zip(&x.shape).map(|(at, extent)| if *extent == 1 { 0 } else { *at }).collect();
    index.extend(place);
    x.at(&index)
}

pub(super) fn gemm(
    a: &Array,
    b: &Array,
    c: Option<&Array>,
    factors: [f32; 2],
    transposed: [bool; 2],
) -> Array {
    let turned = |x: &Array, turn: bool| match turn {
        true => Array::new(x.element, &[x.shape[1], x.shape[0]], |index| x.at(&[index[1], index[0]])),
        false => x.clone(),
    };
    let (a, b) = (turned(a, transposed[0]), turned(b, transposed[1]));
    let [alpha, beta] = factors.map(f64::from);
    Array::new(a.element, &[a.shape[0], b.shape[1]], |index| {
        let mut product = Sum::new(a.element);
        for k in 0..a.shape[1] {
            product.add_product(a.at(&[index[0], k]), b.at(&[k, index[1]]));
        }
        let mut sum = Sum::new(a.element);
        sum.add(product.result(alpha));
        if let Some(c) = c {
            sum.add_product(Number::exact(beta), c.broadcast(index));
        }
        sum.result(1.0)
    })
}

pub(super) fn conv(
    x: &Array,
    weights: &Array,
    bias: Option<&Array>,
    window: &[(usize, usize, usize, usize)],
    group: usize,
) -> Array {
    let (spatial, kernel) = (&x.shape[2..], &weights.shape[2..]);
    let places = spatial.iter().zip(kernel).zip(window).map(
        |((extent, kernel), (stride, dilation, before, behind))| {
            (extent + before + behind - (kernel - 1) * dilation - 1) / stride + 1
        },
    );
    let mut shape = vec![x.shape[0], weights.shape[0]];
    shape.extend(places);
    let (of_group, filters) = (weights.shape[1], weights.shape[0] / group);
    Array::new(x.element, &shape, |index| {
        let (image, filter, place) = (index[0], index[1], &index[2..]);
        let mut sum = Sum::new(x.element);
        for channel in 0..of_group {
            for tap in indices(kernel) {
                let mut at = vec![image, filter / filters * of_group + channel];
                for (dim, (stride, dilation, before, _)) in window.iter().enumerate() {
                    at.push((place[dim] * stride + tap[dim] * dilation).wrapping_sub(*before));
                }
                if at[2..].iter().zip(spatial).all(|(at, extent)| at < extent) {
                    sum.add_product(x.at(&at), weights.at(&[&[filter, channel], &tap[..]].concat()));
                }
            }
        }
        if let Some(bias) = bias {
            sum.add(bias.at(&[filter]));
        }
        sum.result(1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize], values: &[f64]) -> Array {
        let numbers = values.iter().map(|value| Number::exact(*value)).collect();
        Array { element: ElementType::F64, shape: shape.to_vec(), numbers }
    }

    fn values(array: &Array) -> Vec<f64> {
        array.numbers.iter().map(|number| number.parts().unwrap().0).collect()
    }

    #[test]
    fn small_products_by_hand() {
        let (a, b) = (array(&[2, 2], &[1., 2., 3., 4.]), array(&[2, 2], &[5., 6., 7., 8.]));
        assert_eq!(values(&matmul(&a, &b)), [19., 22., 43., 50.]);
        let c = array(&[2], &[1., 10.]);
        assert_eq!(values(&gemm(&a, &b, Some(&c), [2.0, 0.5], [true, false])), [52.5, 65., 76.5, 93.]);
        let x = array(&[1, 1, 4], &[1., 2., 3., 4.]);
        let w = array(&[1, 1, 2], &[1., 10.]);
        assert_eq!(values(&conv(&x, &w, None, &[(2, 1, 1, 1)], 1)), [10., 32., 4.]);
        assert_eq!(values(&conv(&x, &w, None, &[(1, 2, 0, 0)], 1)), [31., 42.]);
    }

    #[test]
    fn reductions_by_hand() {
        let x = array(&[2, 2], &[1., -2., 3., 4.]);
        let of = |kind, axes: &[usize]| values(&reduce(&x, kind, axes, false));
        assert_eq!(of(ReduceKind::Sum, &[1]), [-1., 7.]);
        assert_eq!(of(ReduceKind::Mean, &[0]), [2., 1.]);
        assert_eq!(of(ReduceKind::Prod, &[0, 1]), [-24.]);
        assert_eq!(of(ReduceKind::L1, &[1]), [3., 7.]);
        assert_eq!(of(ReduceKind::L2, &[0])[0], 10f64.sqrt());
        assert_eq!(of(ReduceKind::Min, &[0]), [1., -2.]);
        let largest = ArgReduce { max: true, axis: 1, keep_dims: true, select_last: false };
        assert_eq!(arg(&x, &largest).numbers, [Number::Whole(0), Number::Whole(1)]);
        let close = Array { numbers: vec![Number::Real { value: 1.0, doubt: 0.1 }; 4], ..x };
        assert_eq!(arg(&close, &largest).numbers, [Number::Unknown, Number::Unknown]);
    }
}
