//! Dimension by dimension: which element of the input an element of the output shows.
//!
//! Padding and nearest-neighbour resampling are both this: for each dimension a table says where to look, or that there is
//! nothing and a constant is shown. The tables of the outer dimensions give a row of the input; the innermost one is
//! followed in whatever way is fastest for it. A row that shows the same as the row before is copied from there.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

/// Tables for every dimension. See the [module](self).
pub(crate) struct Lookup {
    /// Offset of the input for each index of the outer dimensions, or [`NONE`].
    outer: Vec<Box<[isize]>>,
    inner: Box<[isize]>,
    form: Form,
}

/// No element of the input: the constant.
pub(crate) const NONE: isize = -1;

/// How the innermost dimension is followed.
enum Form {
    /// Consecutive elements in this part; the rest one by one.
    Run(Range<usize>),
    /// Every element of the input so many times.
    Repeat(usize),
}

impl Lookup {
    /// Tables for all dimensions, outermost first. An entry is the index times the stride of the dimension, in elements; the
    /// innermost stride is 1.
    pub(crate) fn new(mut tables: Vec<Box<[isize]>>) -> Lookup {
        let inner = tables.pop().unwrap_or_else(|| Box::new([0]));
        tables.retain(|table| **table != [0]);
        let form = match repeats(&inner) {
            Some(times) => Form::Repeat(times),
            None => Form::Run(longest_run(&inner)),
        };
        Lookup { outer: tables, inner, form }
    }

    /// Writes the elements `start..` of the output to `to`; `value` where there is nothing.
    pub(crate) fn copy<T: Copy>(&self, from: &[T], value: T, start: usize, to: &mut [T]) {
        let len = self.inner.len();
        let (mut done, mut last) = (0, None);
        while done < to.len() {
            let (row, column) = ((start + done) / len, (start + done) % len);
            let end = len.min(column + to.len() - done);
            let (before, rest) = to.split_at_mut(done);
            let part = &mut rest[..end - column];
            let base = self.row(row);
            match base {
                // Whole rows only: the first may have begun in another tile.
                Some(_) if base == last && part.len() == len => part.copy_from_slice(&before[done - len..]),
                Some(base) => self.copy_row(&from[base..], value, column, part),
                None => part.fill(value),
            }
            last = base.filter(|_| part.len() == len);
            done += end - column;
        }
    }

    /// Where row `row` of the output begins in the input; `None` for a row of constants.
    fn row(&self, mut row: usize) -> Option<usize> {
        let mut base = 0;
        for table in self.outer.iter().rev() {
            let offset = table[row % table.len()];
            if offset == NONE {
                return None;
            }
            base += offset as usize;
            row /= table.len();
        }
        Some(base)
    }

    fn copy_row<T: Copy>(&self, from: &[T], value: T, column: usize, to: &mut [T]) {
        let end = column + to.len();
        match &self.form {
            Form::Repeat(2) if column == 0 && to.len().is_multiple_of(2) => {
                for (pair, from) in to.as_chunks_mut::<2>().0.iter_mut().zip(from) {
                    *pair = [*from; 2];
                }
            }
            Form::Repeat(times) if column == 0 => {
                for (group, from) in to.chunks_mut(*times).zip(from) {
                    group.fill(*from);
                }
            }
            Form::Repeat(_) => self.one_by_one(from, value, column..end, to),
            Form::Run(run) => {
                let run = run.start.clamp(column, end)..run.end.clamp(column, end);
                self.one_by_one(from, value, column..run.start, &mut to[..run.start - column]);
                self.one_by_one(from, value, run.end..end, &mut to[run.end - column..]);
                if !run.is_empty() {
                    let at = self.inner[run.start] as usize;
                    to[run.start - column..run.end - column].copy_from_slice(&from[at..at + run.len()]);
                }
            }
        }
    }

    fn one_by_one<T: Copy>(&self, from: &[T], value: T, columns: Range<usize>, to: &mut [T]) {
        for (to, at) in to.iter_mut().zip(&self.inner[columns]) {
            *to = if *at == NONE { value } else { from[*at as usize] };
        }
    }
}

/// How often each element is repeated, when the table is `0, 0, …, 1, 1, …`.
fn repeats(table: &[isize]) -> Option<usize> {
    let times = table.iter().take_while(|at| **at == 0).count();
    let all = times > 1 && table.iter().enumerate().all(|(index, at)| *at == (index / times) as isize);
    all.then_some(times)
}

/// The longest part of a table that counts up by one.
fn longest_run(table: &[isize]) -> Range<usize> {
    let mut best = 0..0;
    let mut start = 0;
    for index in 0..table.len() {
        let goes_on = index > start && table[index - 1] >= 0 && table[index] == table[index - 1] + 1;
        if !goes_on {
            start = index;
        }
        if table[index] >= 0 && index + 1 - start > best.len() {
            best = start..index + 1;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn any_part_of_the_output_is_the_same() {
        let from: Vec<u16> = (0..12).collect();
        let tables: [Vec<Box<[isize]>>; 4] = [
            vec![Box::new([0, 0, 4, 4, 8]), Box::new([0, 0, 1, 1, 2, 2, 3, 3])],
            vec![Box::new([8, NONE, 0]), Box::new([NONE, 0, 1, 2, 3, 3, NONE])],
            vec![Box::new([0]), Box::new([4, 4, 0]), Box::new([0, 0, 0, 1, 1])],
            vec![],
        ];
        for tables in tables {
            let count: usize = tables.iter().map(|table| table.len()).product();
            let wanted: Vec<u16> = (0..count)
                .map(|index| {
                    let (mut rest, mut at) = (index, Some(0));
                    for table in tables.iter().rev() {
                        let offset = table[rest % table.len()];
                        at = at.filter(|_| offset != NONE).map(|at| at + offset);
                        rest /= table.len();
                    }
                    at.map_or(99, |at| from[at as usize])
                })
                .collect();
            let lookup = Lookup::new(tables);
            for start in 0..count {
                for end in start..=count {
                    let mut to = vec![7; end - start];
                    lookup.copy(&from, 99, start, &mut to);
                    assert_eq!(to, wanted[start..end], "{start}..{end}");
                }
            }
        }
    }
}
