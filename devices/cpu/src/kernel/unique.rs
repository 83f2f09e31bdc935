//! Unique: each element, or each slice along an axis, once.
//!
//! ```text
//!  sort ─▶ head: which equal one comes first ─▶ number the heads ─▶ (the outputs get their extents) ─▶ count ─▶ copy
//! ```
//!
//! What is compared is an *item*: an element, or a slice. All items are sorted by value, equal ones by their position, so
//! that the first of a group of equals is its *head*. Everything between sorting and copying is a serial walk over the items,
//! a stretch a tile.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::Shape;
use inferry_engine::op::{Op, Unique};

use crate::io::Io;
use crate::kernel::arguments::axis;
use crate::kernel::order::{self, Key};
use crate::kernel::simple::spread;
use crate::kernel::sort::Sort;
use crate::kernel::{Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`Unique`].
pub(crate) fn unique(op: &Unique, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let (axis, extents) = match op.axis {
        Some(given) => {
            let axis = axis(given, x.shape.rank())?;
            let product = |extents: &[usize]| extents.iter().product::<usize>();
            (Some(axis), [product(&x.shape[..axis]), x.shape[axis], product(&x.shape[axis + 1..])])
        }
        None => (None, [1, x.shape.count(), 1]),
    };
    let [outer, items, inner] = extents;
    let sort = Sort::new(1, items)?;
    let mut phases = sort.phases();
    let (sorting, walks) = (phases.len(), items.div_ceil(STRETCH));
    // Heads, numbers and counts; the last one also when there are no items, for nothing is known before.
    phases.extend([Phase::serial(walks, STRETCH as u64 * 4); 3]);
    phases.push(spread(outer * items * inner, 3000));
    Ok(Box::new(Groups {
        key: order::key(op.name(), x.element)?,
        size: x.element.size(),
        shape: x.shape.clone(),
        axis,
        extents,
        sorted: op.sorted,
        outputs: node.outputs.len(),
        sort,
        sorting,
        phases,
    }))
}

/// Items that a tile of a walk looks at.
const STRETCH: usize = if cfg!(test) { 5 } else { 16 << 10 };

struct Groups {
    key: Key,
    /// Bytes of an element.
    size: usize,
    shape: Shape,
    axis: Option<usize>,
    /// The elements before the axis, along it (the items), and behind it.
    extents: [usize; 3],
    sorted: bool,
    /// How many outputs there are.
    outputs: usize,
    sort: Sort,
    /// How many phases sort.
    sorting: usize,
    phases: Vec<Phase>,
}

/// What a walk keeps beside the sorted positions; a number for each item.
struct Tables<'a> {
    /// How many groups there are so far, and the head of the last group.
    state: &'a mut [u32],
    /// The head of the group that an item belongs to.
    heads: &'a mut [u32],
    /// The number of the group whose head an item is.
    numbers: &'a mut [u32],
    /// The head of a group, by its number.
    firsts: &'a mut [u32],
}

impl Kernel for Groups {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        self.sort.bytes() + (STATE + 3 * self.items()) * size_of::<u32>()
    }

    fn measures_after(&self) -> usize {
        self.sorting + 2
    }

    fn measured(&self, output: usize, workspace: &[u8]) -> Shape {
        let state = &workspace[self.sort.bytes()..];
        // Without items no walk has begun.
        let groups =
            if self.items() == 0 { 0 } else { bytemuck::pod_read_unaligned::<u32>(&state[..4]) as usize };
        match (output, self.axis) {
            (0, Some(axis)) => {
                let mut shape = self.shape.clone();
                shape[axis] = groups;
                shape
            }
            (2, _) => [self.items()].into(),
            _ => [groups].into(),
        }
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        match phase.checked_sub(self.sorting) {
            None => self.sort(phase, io),
            Some(0) => self.find_heads(io),
            Some(1) => self.number(io),
            Some(2) => self.tell(io),
            Some(_) => self.copy(io),
        }
    }
}

/// Numbers of [`Tables::state`].
const STATE: usize = 2;

impl Groups {
    fn items(&self) -> usize {
        self.extents[1]
    }

    fn sort(&self, phase: usize, io: &Io<'_>) {
        let x = io.input::<u8>(0);
        let fill = |range: Range<usize>, to: &mut [u32]| {
            to.iter_mut().zip(range).for_each(|(to, item)| *to = item as u32);
        };
        let before = |_: usize, a: u32, b: u32| self.compare(x, a, b).then(a.cmp(&b)).is_lt();
        self.sort.run(phase, io.tiles(), io.shared_workspace(), |_| self.items(), fill, before);
    }

    /// The order of two items by value.
    fn compare(&self, x: &[u8], a: u32, b: u32) -> core::cmp::Ordering {
        let [outer, items, inner] = self.extents;
        for row in 0..outer {
            let at = |item: u32| (row * items + item as usize) * inner;
            for element in 0..inner {
                let order = (self.key)(x, at(a) + element).cmp(&(self.key)(x, at(b) + element));
                if order.is_ne() {
                    return order;
                }
            }
        }
        core::cmp::Ordering::Equal
    }

    /// Walks along the sorted items: what does not equal its neighbour is the head of a group.
    fn find_heads(&self, io: &mut Io<'_>) {
        let x = io.input::<u8>(0);
        let tiles = io.tiles();
        let (sorted, tables) = self.tables(io);
        for at in self.stretch(tiles) {
            let item = sorted[at];
            if at == 0 || self.compare(x, tables.state[1], item).is_ne() {
                tables.state[1] = item;
            }
            tables.heads[item as usize] = tables.state[1];
        }
    }

    /// Gives the groups their numbers: in the order of their values, or of their heads.
    fn number(&self, io: &mut Io<'_>) {
        let tiles = io.tiles();
        let (sorted, tables) = self.tables(io);
        for at in self.stretch(tiles) {
            if at == 0 {
                tables.state[0] = 0;
            }
            let item = if self.sorted { sorted[at] } else { at as u32 };
            if tables.heads[item as usize] == item {
                let group = tables.state[0];
                tables.numbers[item as usize] = group;
                tables.firsts[group as usize] = item;
                tables.state[0] += 1;
            }
        }
    }

    /// Writes the outputs that are indices.
    fn tell(&self, io: &mut Io<'_>) {
        let tiles = io.tiles();
        let mut output = |index: usize| (self.outputs > index).then(|| io.whole::<i64>(index));
        let (mut indices, mut inverse, mut counts) = (output(1), output(2), output(3));
        let (_, tables) = self.tables(io);
        for at in self.stretch(tiles) {
            if at == 0
                && let Some(counts) = &mut counts
            {
                counts.fill(0);
            }
            let head = tables.heads[at];
            let group = tables.numbers[head as usize] as usize;
            if let Some(indices) = &mut indices {
                indices[group] = i64::from(head);
            }
            if let Some(inverse) = &mut inverse {
                inverse[at] = group as i64;
            }
            if let Some(counts) = &mut counts {
                counts[group] += 1;
            }
        }
    }

    /// Copies the heads.
    fn copy(&self, io: &mut Io<'_>) {
        let [_, items, inner] = self.extents;
        let x = io.input::<u8>(0);
        let start = io.tiles().start * self.phases[self.sorting + 3].unit;
        let end = io.tiles().end * self.phases[self.sorting + 3].unit;
        let to = io.shared::<u8>(0);
        // SAFETY: this phase does not write the workspace.
        let words = unsafe { io.read_workspace::<u32>() };
        let (state, firsts) = (self.sort.bytes() / 4, self.sort.bytes() / 4 + STATE + 2 * items);
        let groups = words[state] as usize;
        for at in start..end.min(to.len() / self.size) {
            let (row, group, element) = (at / inner / groups, at / inner % groups, at % inner);
            let from = (row * items + words[firsts + group] as usize) * inner + element;
            // SAFETY: every element of the output belongs to one tile.
            unsafe { to.range(at * self.size..(at + 1) * self.size) }
                .copy_from_slice(&x[from * self.size..][..self.size]);
        }
    }

    /// The sorted items and the tables of a serial phase.
    fn tables<'a>(&self, io: &mut Io<'a>) -> (&'a [u32], Tables<'a>) {
        let (items, sort) = (self.items(), self.sort.bytes() / 4);
        let (sorted, rest) = io.whole_workspace::<u32>().split_at_mut(sort);
        let (state, rest) = rest.split_at_mut(STATE);
        let (heads, rest) = rest.split_at_mut(items);
        let (numbers, rest) = rest.split_at_mut(items);
        let tables = Tables { state, heads, numbers, firsts: &mut rest[..items] };
        (&sorted[self.sort.result(0)..][..items], tables)
    }

    fn stretch(&self, tiles: Range<usize>) -> Range<usize> {
        tiles.start * STRETCH..(tiles.end * STRETCH).min(self.items())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{noise, run, tensor};
    use inferry_core::{Element, ElementType, Tensor};

    fn unique<T: Element>(op: Unique, x: &Tensor, shape: &[usize], groups: usize) -> (Vec<T>, [Vec<i64>; 3]) {
        let items = op.axis.map_or(x.shape().count(), |axis| x.shape()[axis as usize]);
        let ints = |extent: usize| (ElementType::I64, [extent].into());
        let outputs = [(T::TYPE, Shape::new(shape).unwrap()), ints(groups), ints(items), ints(groups)];
        let results = run(&op, &[Some(x.clone())], &outputs, Isa::portable());
        let ints = |index: usize| results[index].to_vec::<i64>().unwrap();
        // Fewer outputs are the same ones.
        let fewer = run(&op, &[Some(x.clone())], &outputs[..2], Isa::portable());
        assert_eq!(fewer[1].to_vec::<i64>().unwrap(), ints(1));
        (results[0].to_vec().unwrap(), [ints(1), ints(2), ints(3)])
    }

    #[test]
    fn values_of_the_standard() {
        let x = tensor(&[2.0f32, 1.0, 1.0, 3.0, 4.0, 3.0], [6]);
        let (values, [indices, inverse, counts]) =
            unique::<f32>(Unique { axis: None, sorted: false }, &x, &[4], 4);
        assert_eq!((values, indices), (alloc::vec![2., 1., 3., 4.], alloc::vec![0, 1, 3, 4]));
        assert_eq!((inverse, counts), (alloc::vec![0, 1, 1, 2, 3, 2], alloc::vec![1, 2, 2, 1]));
        let (values, [indices, inverse, _]) = unique::<f32>(Unique { axis: None, sorted: true }, &x, &[4], 4);
        assert_eq!((values, indices), (alloc::vec![1., 2., 3., 4.], alloc::vec![1, 0, 3, 4]));
        assert_eq!(inverse, [1, 0, 0, 2, 3, 2]);

        let x = tensor(&[1i64, 0, 0, 1, 0, 0, 2, 3, 4], [3, 3]);
        let (values, [indices, inverse, counts]) =
            unique::<i64>(Unique { axis: Some(0), sorted: true }, &x, &[2, 3], 2);
        assert_eq!((values, indices), (alloc::vec![1, 0, 0, 2, 3, 4], alloc::vec![0, 2]));
        assert_eq!((inverse, counts), (alloc::vec![0, 0, 1], alloc::vec![2, 1]));

        let x = [1i8, 1, 0, 1, 2, 1, 0, 1, 1, 1, 0, 1, 2, 1, 0, 1];
        let x = tensor(&x, [2, 4, 2]);
        let (values, [indices, inverse, counts]) =
            unique::<i8>(Unique { axis: Some(1), sorted: true }, &x, &[2, 3, 2], 3);
        assert_eq!(values, [0, 1, 1, 1, 2, 1, 0, 1, 1, 1, 2, 1]);
        assert_eq!(
            (indices, inverse, counts),
            (alloc::vec![1, 0, 2], alloc::vec![1, 0, 2, 0], alloc::vec![2, 1, 1])
        );
    }

    #[test]
    fn zeros_of_both_signs_are_equal_and_so_is_what_is_no_number() {
        let x = tensor(&[f32::NAN, 0.0, -0.0, f32::NAN], [4]);
        let (values, [indices, ..]) = unique::<f32>(Unique { axis: None, sorted: true }, &x, &[2], 2);
        assert!(values[0] == 0.0 && values[1].is_nan());
        assert_eq!(indices, [1, 0]);
        let none = tensor::<bool>(&[], [0, 3]);
        assert!(unique::<bool>(Unique { axis: None, sorted: true }, &none, &[0], 0).0.is_empty());
        unique::<bool>(Unique { axis: Some(0), sorted: false }, &none, &[0, 3], 0);
    }

    #[test]
    fn many_items_take_many_tiles() {
        let values: Vec<i32> = noise(300, 9).iter().map(|x| (x * 30.0) as i32).collect();
        let mut different = values.clone();
        different.sort_unstable();
        different.dedup();
        let x = tensor(&values, [300]);
        let groups = different.len();
        let (found, [indices, inverse, counts]) =
            unique::<i32>(Unique { axis: None, sorted: true }, &x, &[groups], groups);
        assert_eq!(found, different);
        for (group, value) in different.iter().enumerate() {
            let places: Vec<usize> = (0..300).filter(|at| values[*at] == *value).collect();
            assert_eq!((indices[group], counts[group]), (places[0] as i64, places.len() as i64));
            assert!(places.iter().all(|at| inverse[*at] == group as i64));
        }
        let (found, [indices, ..]) =
            unique::<i32>(Unique { axis: None, sorted: false }, &x, &[groups], groups);
        assert!(indices.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(found.iter().zip(&indices).all(|(value, at)| values[*at as usize] == *value));
    }
}
