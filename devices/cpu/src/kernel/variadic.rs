//! Max, Min, Sum and Mean of any number of tensors, with numpy's broadcasting.
//!
//! The first is written to the output, and the others are joined to it one after the other; two tensors of `f32`, the usual
//! case, take the vector loops of the binary functions.

use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::{Op, Variadic};

use crate::kernel::binary::Pair;
use crate::kernel::functions;
use crate::kernel::number::{Number, by_number};
use crate::kernel::simple::{simple, spread};
use crate::kernel::strided::copy_range;
use crate::kernel::walk::Walk;
use crate::kernel::{Builder, Built, arguments};

/// Builds the kernel of a [`Variadic`].
pub(crate) fn variadic(op: &Variadic, node: &Builder<'_>) -> Built {
    let (element, output) = node.output(0);
    let mut walks = Vec::with_capacity(node.inputs.len());
    for index in 0..node.inputs.len() {
        let input = node.input(index)?;
        arguments::broadcasts(&input.shape, output)?;
        walks.push(Walk::broadcast(output, [&input.shape]));
    }
    if *element == ElementType::F32 && walks.len() == 2 {
        let pair = Pair::of(node)?;
        return match op {
            Variadic::Max => pair.zipped(node, functions::Max),
            Variadic::Min => pair.zipped(node, functions::Min),
            Variadic::Sum => pair.zipped(node, functions::Add),
            Variadic::Mean => pair.zipped(node, functions::Mean),
        };
    }
    by_number!(op.name(), *element, T => match op {
        Variadic::Max => fold::<T>(walks, output.count(), T::most, false),
        Variadic::Min => fold::<T>(walks, output.count(), T::least, false),
        Variadic::Sum => fold::<T>(walks, output.count(), T::add, false),
        Variadic::Mean => fold::<T>(walks, output.count(), T::add, true),
    })
}

fn fold<T: Number>(
    walks: Vec<Walk<1>>,
    count: usize,
    join: impl Fn(T, T) -> T + Copy + Send + Sync + 'static,
    mean: bool,
) -> Built {
    let phase = spread(count, 300 * walks.len() as u64);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<T>();
        for (input, walk) in walks.iter().enumerate() {
            let from = io.input::<T>(input);
            if input == 0 {
                copy_range(walk, from, start, to);
                continue;
            }
            let stride = walk.inner().strides[0];
            walk.each_run(start..start + to.len(), &mut |run| {
                let to = &mut to[run.output.start - start..run.output.end - start];
                let from = &from[run.at[0]..];
                match stride {
                    0 => to.iter_mut().for_each(|to| *to = join(*to, from[0])),
                    _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = join(*to, *from)),
                }
            });
        }
        if mean {
            let divisor = T::from_index(walks.len());
            to.iter_mut().for_each(|to| *to = to.div(divisor));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{run, run_one, tensor};

    #[test]
    fn any_number_of_tensors() {
        let a = tensor(&[3.0f32, 2.0, 1.0], [3]);
        let b = tensor(&[1.0f32, 4.0, 4.0], [3]);
        let c = tensor(&[2.0f32], [1]);
        let result = |op: Variadic, inputs: &[&inferry_core::Tensor]| run_one::<f32>(&op, inputs, [3]);
        assert_eq!(result(Variadic::Max, &[&a, &b, &c]), [3.0, 4.0, 4.0]);
        assert_eq!(result(Variadic::Min, &[&c, &a, &b]), [1.0, 2.0, 1.0]);
        assert_eq!(result(Variadic::Sum, &[&a, &b, &c]), [6.0, 8.0, 7.0]);
        assert_eq!(result(Variadic::Mean, &[&a, &b, &c]), [2.0, 8.0 / 3.0, 7.0 / 3.0]);
        assert_eq!(result(Variadic::Mean, &[&a, &b]), [2.0, 3.0, 2.5]);
        assert_eq!(result(Variadic::Max, &[&a]), [3.0, 2.0, 1.0]);
        let a = tensor(&[5u8, 1, 9, 7], [2, 2]);
        let b = tensor(&[6u8, 2], [2]);
        assert_eq!(run_one::<u8>(&Variadic::Max, &[&a, &b], [2, 2]), [6, 2, 9, 7]);
    }

    #[test]
    fn not_a_number_wins_on_either_side() {
        let a = tensor(&[f32::NAN, 1.0], [2]);
        let b = tensor(&[1.0, f32::NAN], [2]);
        for isa in Isa::detect_for_tests() {
            for op in [Variadic::Max, Variadic::Min] {
                let inputs = [Some(a.clone()), Some(b.clone())];
                let result = run(&op, &inputs, &[(ElementType::F32, [2].into())], isa);
                assert!(result[0].to_vec::<f32>().unwrap().iter().all(|x| x.is_nan()), "{op:?}");
            }
        }
    }
}
