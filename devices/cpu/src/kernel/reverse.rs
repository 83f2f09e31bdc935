//! ReverseSequence: the begins of sequences of several lengths, turned round. Whole rows move, whatever their type.

use alloc::format;

use inferry_engine::op::ReverseSequence;

use crate::kernel::arguments::form;
use crate::kernel::fault::Fault;
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::{Builder, Built};
use crate::stored::width;

/// Builds the kernel of a [`ReverseSequence`].
pub(crate) fn reverse_sequence(op: &ReverseSequence, node: &Builder<'_>) -> Built {
    let (x, lengths) = (node.input(0)?, node.input(1)?);
    let [first, second, ..] = x.shape[..] else { return Err(form("sequences need 2 dimensions")) };
    let time_first = op.time_first;
    let (time, batch) = if time_first { (first, second) } else { (second, first) };
    if lengths.shape.count() != batch {
        return Err(form(format!("{} lengths for {batch} sequences", lengths.shape)));
    }
    let row = x.shape[2..].iter().product::<usize>() * width(x.element);
    let phase = spread_rows(first * second, row, 60);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit / row.max(1);
        let to = io.rows::<u8>();
        let (from, lengths) = (io.input::<u8>(0), io.input::<i64>(1));
        for (index, to) in to.chunks_exact_mut(row.max(1)).enumerate() {
            let (major, minor) = ((start + index) / second, (start + index) % second);
            let (step, sequence) = if time_first { (major, minor) } else { (minor, major) };
            let length = lengths[sequence];
            let Some(length) = usize::try_from(length).ok().filter(|length| *length <= time) else {
                io.fail(Fault::Value(format!(
                    "a length of {length} (input 1) for sequences of {time} steps"
                )));
                to.fill(0);
                continue;
            };
            let source = if step < length { length - 1 - step } else { step };
            let at = if time_first { source * second + sequence } else { sequence * second + source };
            to.copy_from_slice(&from[at * row..(at + 1) * row]);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{fault_of, run_one, tensor};
    use alloc::string::ToString;
    use inferry_core::ElementType;

    #[test]
    fn the_begin_of_each_sequence_is_turned_round() {
        let x: alloc::vec::Vec<i32> = (0..12).collect();
        let lengths = tensor(&[1i64, 3], [2]);
        let by_time = run_one::<i32>(
            &ReverseSequence { time_first: true },
            &[&tensor(&x, [3, 2, 2]), &lengths],
            [3, 2, 2],
        );
        assert_eq!(by_time, [0, 1, 10, 11, 4, 5, 6, 7, 8, 9, 2, 3]);
        let by_batch = run_one::<i32>(
            &ReverseSequence { time_first: false },
            &[&tensor(&x, [2, 3, 2]), &lengths],
            [2, 3, 2],
        );
        assert_eq!(by_batch, [0, 1, 2, 3, 4, 5, 10, 11, 8, 9, 6, 7]);
    }

    #[test]
    fn a_length_beyond_the_steps_fails() {
        for length in [4, -1] {
            let inputs = [&tensor(&[0u8; 6], [3, 2]), &tensor(&[1i64, length], [2])];
            let outputs = [(ElementType::U8, [3, 2].into())];
            let fault = fault_of(&ReverseSequence { time_first: true }, &inputs, &outputs);
            let wanted = format!("a length of {length} (input 1) for sequences of 3 steps");
            assert_eq!(fault.to_string(), wanted);
        }
    }
}
