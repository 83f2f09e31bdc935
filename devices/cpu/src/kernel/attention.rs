//! The steps of attention that are no product: heads split, masks made of lengths, positions turned.

use alloc::format;

use inferry_core::{ElementType, Shape};
use inferry_engine::graph::Dim;
use inferry_engine::op::{AttentionMask, Op, RotaryEmbedding, SplitHeads};

use crate::kernel::arguments::{form, refused};
use crate::kernel::fault::Fault;
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::walk::Walk;
use crate::kernel::{BuildError, Builder, Built, by_size, copy, strided};

/// Builds the kernel of a [`SplitHeads`].
pub(crate) fn split_heads(op: &SplitHeads, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let (element, output) = node.output(0);
    let [_, heads, length, size] = output[..] else { return Err(form("heads have four dimensions")) };
    if output.count() != x.shape.count() {
        return Err(form(format!("{} of {} is not {output}", op.name(), x.shape)));
    }
    if x.shape.rank() == 4 {
        return copy::bytes(x.shape.count() * element.size());
    }
    let strides = [length * heads * size, size, heads * size, 1];
    let walk = Walk::new(output, |dim| [strides[dim] as isize]);
    by_size!(op.name(), *element, T => strided::copy::<T>(walk, output.count()))
}

/// Builds the kernel of an [`AttentionMask`].
pub(crate) fn attention_mask(op: &AttentionMask, node: &Builder<'_>) -> Built {
    let output = &node.output(0).1;
    let [batch, _, queries, keys] = output[..] else { return Err(form("a mask has four dimensions")) };
    let form = match node.optional(0) {
        Some(mask) => Form::of(&mask.shape, batch, queries, keys)?,
        None => Form::All,
    };
    let AttentionMask { filter, causal } = *op;
    let phase = spread_rows(batch * queries, keys, 1000);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit / keys.max(1);
        let to = io.rows::<f32>();
        let mask: &[i32] = if io.has_input(0) { io.input(0) } else { &[] };
        for (index, to) in to.chunks_exact_mut(keys.max(1)).enumerate() {
            let (batch, query) = ((start + index) / queries, (start + index) % queries);
            for (key, to) in to.iter_mut().enumerate() {
                // The last query has the place of the last key.
                let ahead = causal && key + queries > query + keys;
                *to = match ahead {
                    true => f32::MIN,
                    false if form.sees(mask, batch, query, key) => 0.0,
                    false => filter,
                };
            }
        }
    })
}

/// What the mask tells.
enum Form {
    All,
    /// How many keys there are.
    Lengths,
    /// Behind which key they end, and at which they begin, this one after so many ends.
    Ranges {
        batch: usize,
    },
    /// For each key whether it is there.
    Keys {
        keys: usize,
    },
    /// The same for each query; `rows` and `columns` are the extents of the mask, `skipped` the queries before ours.
    Queries {
        rows: usize,
        columns: usize,
        skipped: usize,
    },
}

impl Form {
    fn of(mask: &Shape, batch: usize, queries: usize, keys: usize) -> Result<Form, BuildError> {
        let fits = match mask[..] {
            [count] if count == batch || count == 3 * batch + 2 => Some(Form::Lengths),
            [count] if count == 2 * batch => Some(Form::Ranges { batch }),
            [count, columns] if count == batch && columns == keys => Some(Form::Keys { keys }),
            [count, rows, columns] if count == batch && rows == queries && columns == keys => {
                Some(Form::Queries { rows, columns, skipped: 0 })
            }
            [count, 1, rows, columns]
                if count == batch && rows >= keys && columns >= keys && keys >= queries =>
            {
                Some(Form::Queries { rows, columns, skipped: keys - queries })
            }
            _ => None,
        };
        fits.ok_or_else(|| {
            form(format!("a mask of shape {mask} for {batch} times {queries} queries and {keys} keys"))
        })
    }

    fn sees(&self, mask: &[i32], batch: usize, query: usize, key: usize) -> bool {
        match *self {
            Form::All => true,
            Form::Lengths => (key as i64) < i64::from(mask[batch]),
            Form::Ranges { batch: batches } => {
                let (end, begin) = (i64::from(mask[batch]), i64::from(mask[batches + batch]));
                (begin..end).contains(&(key as i64))
            }
            Form::Keys { keys } => mask[batch * keys + key] > 0,
            Form::Queries { rows, columns, skipped } => {
                mask[(batch * rows + skipped + query) * columns + key] > 0
            }
        }
    }
}

/// Builds the kernel of a [`RotaryEmbedding`].
pub(crate) fn rotary_embedding(op: &RotaryEmbedding, node: &Builder<'_>) -> Built {
    let (x, positions, table) = (node.input(0)?, node.input(1)?, node.input(2)?);
    if x.element != ElementType::F32 || positions.element != ElementType::I64 {
        return Err(BuildError::Element { op: op.name(), element: x.element });
    }
    let [places, half] = table.shape[..] else { return Err(form("a table has two dimensions")) };
    let dims: heapless::Vec<Dim, 8> = x.shape.iter().map(|extent| Dim::Fixed(*extent)).collect();
    let size = op.head_size(&dims, Some(half)).map_err(refused)?.unwrap_or(0);
    let (length, heads) = match x.shape[..] {
        [_, heads, length, _] => (length, heads),
        [_, length, width] => (length, width / size.max(1)),
        _ => return Err(form("3 or 4 dimensions are needed")),
    };
    let heads_inside = x.shape.rank() == 3;
    let single = positions.shape.rank() == 1;
    if half * 2 > size || positions.shape.count() != if single { 1 } else { x.shape[0] * length } {
        return Err(form(format!("{} of {} with tables of {}", op.name(), x.shape, table.shape)));
    }
    let interleaved = op.interleaved;
    let phase = spread_rows(x.shape.count() / size.max(1), size, 800);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<f32>();
        let from = &io.input::<f32>(0)[start..start + to.len()];
        let (positions, cosines, sines) = (io.input::<i64>(1), io.input::<f32>(2), io.input::<f32>(3));
        let first = start / size.max(1);
        for (index, (from, to)) in
            from.chunks_exact(size.max(1)).zip(to.chunks_exact_mut(size.max(1))).enumerate()
        {
            let row = first + index;
            let step = if heads_inside { row / heads % length } else { row % length };
            let position = if single {
                positions[0].wrapping_add(step as i64)
            } else {
                positions[row / (heads * length) * length + step]
            };
            let Some(place) = usize::try_from(position).ok().filter(|place| *place < places) else {
                io.fail(Fault::Index { input: 1, index: position, extent: places });
                to.fill(0.0);
                continue;
            };
            let angles = place * half..(place + 1) * half;
            turn(from, to, &cosines[angles.clone()], &sines[angles], interleaved);
        }
    })
}

/// Turns the pairs of one head; what is left of it stays.
fn turn(from: &[f32], to: &mut [f32], cosines: &[f32], sines: &[f32], interleaved: bool) {
    let half = cosines.len();
    to[2 * half..].copy_from_slice(&from[2 * half..]);
    for (index, (cosine, sine)) in cosines.iter().zip(sines).enumerate() {
        let (a, b) = if interleaved { (2 * index, 2 * index + 1) } else { (index, half + index) };
        to[a] = from[a] * cosine - from[b] * sine;
        to[b] = from[a] * sine + from[b] * cosine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{fault_of, run, run_one, tensor};
    use alloc::vec::Vec;

    #[test]
    fn heads_move_before_the_steps() {
        let x: Vec<i32> = (0..24).collect();
        let split = SplitHeads { heads: 2 };
        let wanted: Vec<i32> = [0, 1, 2, 6, 7, 8, 3, 4, 5, 9, 10, 11].into_iter().flat_map(|x| [x]).collect();
        let found = run_one::<i32>(&split, &[&tensor(&x, [2, 2, 6])], [2, 2, 2, 3]);
        assert_eq!(found[..12], wanted);
        assert_eq!(found[12..], wanted.iter().map(|x| x + 12).collect::<Vec<_>>());
        assert_eq!(run_one::<i32>(&split, &[&tensor(&x, [2, 2, 2, 3])], [2, 2, 2, 3]), x);
    }

    /// Which keys each query sees, row by row.
    fn seen(mask: Option<(&[i32], &[usize])>, causal: bool, [queries, keys]: [usize; 2]) -> Vec<bool> {
        let mask = mask.map(|(values, shape)| tensor(values, Shape::new(shape).unwrap()));
        let [q, k] = [queries, keys].map(|count| tensor(&alloc::vec![0.0f32; 2 * count], [2, 1, count, 1]));
        let op = AttentionMask { filter: -9.0, causal };
        let outputs = [(ElementType::F32, [2, 1, queries, keys].into())];
        let found = run(&op, &[mask, Some(q), Some(k)], &outputs, Isa::portable());
        let numbers = found[0].to_vec::<f32>().unwrap();
        assert!(numbers.iter().all(|number| [0.0, -9.0, f32::MIN].contains(number)));
        numbers.into_iter().map(|number| number == 0.0).collect()
    }

    #[test]
    fn every_form_of_mask_tells_which_keys_are_there() {
        const F: bool = false;
        const T: bool = true;
        let lines = [[T, F, F], [T, T, F]];
        let of = |mask: &[i32], shape: &[usize]| seen(Some((mask, shape)), false, [1, 3]);
        assert_eq!(of(&[1, 2], &[2]), lines.as_flattened());
        assert_eq!(of(&[1, 2, 0, 1, 3, 0, 1, 3], &[8]), lines.as_flattened());
        assert_eq!(of(&[1, 3, 0, 1], &[4]), [T, F, F, F, T, T]);
        assert_eq!(of(&[1, 0, 0, 1, 1, 0], &[2, 3]), lines.as_flattened());
        assert_eq!(of(&[1, 0, 0, 1, 1, 0], &[2, 1, 3]), lines.as_flattened());
        let large: Vec<i32> = (0..18).map(|at| i32::from([6, 15, 16].contains(&at))).collect();
        assert_eq!(of(&large, &[2, 1, 3, 3]), lines.as_flattened());
        assert_eq!(seen(None, true, [2, 3])[..6], [T, T, F, T, T, T]);
        assert_eq!(seen(Some((&[3, 1], &[2])), true, [2, 3])[6..], [T, F, F, T, F, F]);
    }

    #[test]
    fn pairs_are_turned_by_the_angle_of_their_position() {
        let (cosines, sines) = (tensor(&[1.0f32, 0.0], [2, 1]), tensor(&[0.0f32, 1.0], [2, 1]));
        let x = tensor(&[1.0f32, 2.0, 9.0, 3.0, 4.0, 8.0], [1, 2, 3]);
        let first = tensor(&[0i64], [1]);
        let rotary = |interleaved, heads| RotaryEmbedding { interleaved, heads };
        let found = run_one::<f32>(&rotary(false, 1), &[&x, &first, &cosines, &sines], [1, 2, 3]);
        assert_eq!(found, [1.0, 2.0, 9.0, -4.0, 3.0, 8.0]);
        // Two heads of two steps; the positions are given.
        let x: Vec<f32> = (1..=16).map(|x| x as f32).collect();
        let (cosines, sines) =
            (tensor(&[1.0f32, 1.0, 0.0, 0.0], [2, 2]), tensor(&[0.0f32, 0.0, 1.0, 1.0], [2, 2]));
        let places = tensor(&[1i64, 0], [1, 2]);
        let inputs = [&tensor(&x, [1, 2, 2, 4]), &places, &cosines, &sines];
        let found = run_one::<f32>(&rotary(true, 0), &inputs, [1, 2, 2, 4]);
        assert_eq!(found[..8], [-2.0, 1.0, -4.0, 3.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(found[8..12], [-10.0, 9.0, -12.0, 11.0]);
        let inputs = [&tensor(&x, [1, 2, 8]), &places, &cosines, &sines];
        let found = run_one::<f32>(&rotary(false, 0), &inputs, [1, 2, 8]);
        assert_eq!(found[..8], [-3.0, -4.0, 1.0, 2.0, -7.0, -8.0, 5.0, 6.0]);
        assert_eq!(found[8..], x[8..]);
    }

    #[test]
    fn a_position_beyond_the_tables_fails() {
        let table = tensor(&[0.0f32; 2], [2, 1]);
        let x = tensor(&[0.0f32; 4], [1, 2, 2]);
        let inputs = [&x, &tensor(&[1i64], [1]), &table, &table];
        let op = RotaryEmbedding { interleaved: false, heads: 0 };
        let fault = fault_of(&op, &inputs, &[(ElementType::F32, [1, 2, 2].into())]);
        assert_eq!(fault, Fault::Index { input: 1, index: 2, extent: 2 });
    }
}
