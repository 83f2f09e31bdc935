//! Operators that look at characters, or make some.
//!
//! A kernel sees strings as [`Text`](crate::text::Text) numbers. Reading what they stand for may be spread over threads like
//! any other work; making strings adds to the run's one table, so that goes in order.

mod cast;
mod compare;
mod concat;
mod normalizer;
mod regex;
mod split;
mod twice;

pub(crate) use cast::{from_text, to_text};
pub(crate) use compare::equal;
pub(crate) use concat::string_concat;
pub(crate) use normalizer::string_normalizer;
pub(crate) use regex::regex_full_match;
pub(crate) use split::string_split;

use core::ops::Range;

use crate::io::Io;
use crate::kernel::fault::Fault;
use crate::kernel::simple::{simple, spread_items};
use crate::kernel::{Built, Phase};

/// Picoseconds that reading a string takes.
const READ: u64 = 20_000;

/// Picoseconds that making a string takes. More than it mostly is: strings may be long, and a block is not to be.
const MAKE: u64 = 200_000;

/// Phases that go through `count` items in order, and the items of a tile.
fn ordered(count: usize) -> (Phase, usize) {
    let (phase, share) = spread_items(count, MAKE);
    (Phase { serial: true, ..phase }, share)
}

/// The items that a call's tiles stand for.
fn items(io: &Io<'_>, share: usize, count: usize) -> Range<usize> {
    io.tiles().start * share..(io.tiles().end * share).min(count)
}

/// A kernel that makes the strings of output 0 in order. `body` is to make those in the range.
fn in_order<F>(count: usize, body: F) -> Built
where
    F: Fn(&mut Io<'_>, Range<usize>) -> Result<(), Fault> + Send + Sync + 'static,
{
    let (phase, share) = ordered(count);
    simple(phase, move |io| {
        let items = items(io, share, count);
        if let Err(fault) = body(io, items) {
            io.fail(fault);
        }
    })
}

/// As much of a text as an error shows.
fn shorten(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use inferry_core::{ElementType, Shape, Tensor};
    use inferry_engine::op::*;

    use crate::isa::Isa;
    use crate::kernel::testing::{run, spelled, tensor};

    /// Checks that strings go where numbers go. `data` says which inputs are moved; the others choose.
    fn check(op: &dyn Op, inputs: &[&Tensor], data: &[usize], shape: impl Into<Shape>) {
        let shape = shape.into();
        let texts = inputs.iter().enumerate().map(|(index, input)| {
            if !data.contains(&index) {
                return Some(Tensor::clone(input));
            }
            let texts: Vec<String> = input.to_vec::<i64>().unwrap().iter().map(i64::to_string).collect();
            Some(Tensor::from_strings(&texts, input.shape()).unwrap())
        });
        let texts: Vec<_> = texts.collect();
        let numbers: Vec<_> = inputs.iter().map(|input| Some(Tensor::clone(input))).collect();
        let moved = run(op, &numbers, &[(ElementType::I64, shape.clone())], Isa::portable());
        let moved: Vec<String> = moved[0].to_vec::<i64>().unwrap().iter().map(i64::to_string).collect();
        let spoken = spelled(&run(op, &texts, &[(ElementType::String, shape)], Isa::portable())[0]);
        // What is added is 0 among numbers and the empty string among strings.
        let same = |(number, text): (&String, &String)| number == text || (number == "0" && text.is_empty());
        assert!(moved.iter().zip(&spoken).all(same), "{}: {spoken:?} for {moved:?}", op.name());
    }

    #[test]
    fn strings_are_moved_as_numbers_are() {
        let numbers: Vec<i64> = (1..13).collect();
        let x = tensor(&numbers, [3, 4]);
        let ints = |values: &[i64]| tensor(values, [values.len()]);
        check(&Identity, &[&x], &[0], [3, 4]);
        check(&Transpose { perm: None }, &[&x], &[0], [4, 3]);
        check(&Reshape { allow_zero: false }, &[&x, &ints(&[2, 6])], &[0], [2, 6]);
        check(&Unsqueeze, &[&x, &ints(&[0])], &[0], [1, 3, 4]);
        check(&Concat { axis: 1 }, &[&x, &x], &[0, 1], [3, 8]);
        check(&Slice, &[&x, &ints(&[3, 0]), &ints(&[0, 3]), &ints(&[0, 1]), &ints(&[-2, 2])], &[0], [1, 2]);
        check(&Gather { axis: 1 }, &[&x, &ints(&[-1, 0])], &[0], [3, 2]);
        check(&GatherElements { axis: 0 }, &[&x, &tensor(&[2i64, 0], [1, 2])], &[0], [1, 2]);
        check(&GatherNd { batch_dims: 0 }, &[&x, &tensor(&[2i64, 0], [1, 2])], &[0], [1]);
        check(&Expand, &[&x, &ints(&[2, 3, 4])], &[0], [2, 3, 4]);
        check(&Tile, &[&x, &ints(&[1, 2])], &[0], [3, 8]);
        check(&Pad { mode: PadMode::Constant }, &[&x, &ints(&[1, 0, 0, 2])], &[0], [4, 6]);
        check(&Pad { mode: PadMode::Reflect }, &[&x, &ints(&[1, 0, 0, 2])], &[0], [4, 6]);
        let condition = tensor(&[true, false, false, true], [4]);
        check(&Where, &[&condition, &x, &tensor(&[99i64], [1])], &[1, 2], [3, 4]);
        check(&ReverseSequence { time_first: true }, &[&x, &ints(&[1, 2, 3, 0])], &[0], [3, 4]);
        check(&Trilu { upper: true }, &[&x], &[0], [3, 4]);
        check(&ArrayFeatureExtractor, &[&x, &ints(&[2, 2])], &[0], [3, 2]);
    }
}
