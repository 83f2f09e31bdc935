//! NonMaxSuppression: of every class the best boxes that overlap no better one too much.
//!
//! ```text
//!  collect what scores enough ─▶ sort ─▶ suppress, a stretch of candidates after the other ─▶ add up ─▶ write
//! ```
//!
//! A *row* is a class of an image. Rows know nothing of each other, so each phase does all of them side by side; a phase of
//! suppression takes a stretch of each row's candidates, so that also a row with very many is done in short tiles.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use inferry_core::Shape;
use inferry_engine::op::NonMaxSuppression;

use crate::io::Io;
use crate::kernel::arguments::{form, integers};
use crate::kernel::order::of_f32;
use crate::kernel::sort::Sort;
use crate::kernel::{Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`NonMaxSuppression`].
pub(crate) fn non_max_suppression(op: &NonMaxSuppression, node: &Builder<'_>) -> Built {
    let (boxes, scores) = (&node.input(0)?.shape, &node.input(1)?.shape);
    let fits = boxes.rank() == 3
        && scores.rank() == 3
        && boxes[2] == 4
        && boxes[0] == scores[0]
        && boxes[1] == scores[2];
    if !fits {
        return Err(form(format!("NonMaxSuppression of {boxes} and {scores}")));
    }
    let (rows, count) = (scores[0] * scores[1], scores[2]);
    let most = integers(node, 2)?.and_then(|most| most.first().copied()).unwrap_or(0);
    let most = usize::try_from(most).unwrap_or(0).min(count);
    // Nobody is asked for: no candidate is looked at.
    let rows = if most == 0 { 0 } else { rows };
    let sort = Sort::new(rows, count)?;
    let kept = rows.checked_mul(most).filter(|kept| *kept <= isize::MAX as usize / 32);
    if kept.is_none() {
        return Err(form(format!("NonMaxSuppression that keeps {most} boxes of each of {rows} classes")));
    }
    let stretch = (STRETCH / most.max(1)).clamp(16, 4096);
    let mut phases = alloc::vec![Phase::tiles(rows, count as u64)];
    phases.extend(sort.phases());
    let sorted = phases.len();
    let suppress = Phase::tiles(rows, (stretch * most.min(stretch)) as u64);
    phases.extend(core::iter::repeat_n(suppress, count.div_ceil(stretch)));
    phases.push(Phase::serial(1, rows as u64 + 1));
    phases.push(Phase::tiles(rows, most as u64 * 2));
    Ok(Box::new(Suppression {
        center: op.center,
        classes: scores[1],
        count,
        rows,
        most,
        stretch,
        sort,
        sorted,
        thresholds: node.inputs.len(),
        phases,
    }))
}

/// Comparisons of boxes in a tile.
const STRETCH: usize = if cfg!(test) { 4 } else { 200_000 };

struct Suppression {
    center: bool,
    classes: usize,
    /// Boxes of an image.
    count: usize,
    rows: usize,
    /// Boxes that a row keeps at most.
    most: usize,
    /// Candidates of a row that a phase looks at.
    stretch: usize,
    sort: Sort,
    /// How many phases collect and sort.
    sorted: usize,
    /// How many inputs there are.
    thresholds: usize,
    phases: Vec<Phase>,
}

// Where things lie in the workspace, in `u32`s.
impl Suppression {
    /// How many candidates each row has.
    fn candidates(&self) -> usize {
        self.sort.bytes() / 4
    }

    /// How many boxes each row keeps; in the end how many come before it, and all of them behind the last.
    fn counts(&self) -> usize {
        self.candidates() + self.rows
    }

    /// The boxes that a row keeps.
    fn kept(&self, row: usize) -> usize {
        self.counts() + self.rows + 1 + row * self.most
    }
}

impl Kernel for Suppression {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        self.kept(self.rows) * size_of::<u32>()
    }

    fn measures_after(&self) -> usize {
        self.phases.len() - 1
    }

    fn measured(&self, _output: usize, workspace: &[u8]) -> Shape {
        let words: &[u32] = bytemuck::cast_slice(&workspace[..self.kept(self.rows) * 4]);
        [words[self.counts() + self.rows] as usize, 3].into()
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        let last = self.phases.len() - 1;
        match phase {
            0 => self.collect(io),
            _ if phase < self.sorted => self.order(phase - 1, io),
            _ if phase + 1 < last => self.suppress(phase - self.sorted, io),
            _ if phase + 1 == last => self.add_up(io),
            _ => self.write(io),
        }
    }
}

impl Suppression {
    /// Lists the boxes whose score is above the threshold.
    fn collect(&self, io: &Io<'_>) {
        let threshold = self.threshold(io, 4);
        let (scores, words) = (io.input::<f32>(1), io.shared_workspace::<u32>());
        for row in io.tiles() {
            let begin = self.sort.begin(row);
            // SAFETY: a row belongs to one tile.
            let (list, own) = unsafe {
                (
                    words.range(begin..begin + self.count),
                    words.range(self.candidates() + row..self.candidates() + row + 1),
                )
            };
            let mut found = 0;
            for (index, score) in scores[row * self.count..(row + 1) * self.count].iter().enumerate() {
                if threshold.is_none_or(|threshold| *score > threshold) {
                    list[found] = index as u32;
                    found += 1;
                }
            }
            own[0] = found as u32;
            // SAFETY: as above.
            unsafe { words.range(self.counts() + row..self.counts() + row + 1) }.fill(0);
        }
    }

    /// Sorts the candidates, the best first; of equals the one that comes first.
    fn order(&self, phase: usize, io: &Io<'_>) {
        let (scores, words) = (io.input::<f32>(1), io.shared_workspace::<u32>());
        // SAFETY: in bounds, as `pointer` checks, and written by an earlier phase.
        let len = |row: usize| unsafe { words.pointer(self.candidates() + row).read() } as usize;
        let before = |row: usize, a: u32, b: u32| {
            let score = |index: u32| of_f32(scores[row * self.count + index as usize]);
            score(a) > score(b) || (score(a) == score(b) && a < b)
        };
        self.sort.run(phase, io.tiles(), words, len, |_, _| {}, before);
    }

    /// Keeps of a stretch of candidates those that overlap none that is kept already.
    fn suppress(&self, stretch: usize, io: &Io<'_>) {
        let limit = self.threshold(io, 3).unwrap_or(0.0);
        let (boxes, words) = (io.input::<f32>(0), io.shared_workspace::<u32>());
        for row in io.tiles() {
            let (sorted, counts) = (self.sort.result(row), self.counts() + row);
            let image = row / self.classes * self.count;
            let corners = |index: u32| self.corners(&boxes[(image + index as usize) * 4..][..4]);
            // SAFETY: a row belongs to one tile; these four lie apart.
            let (list, found, count, kept) = unsafe {
                (
                    words.range(sorted..sorted + self.count),
                    words.range(self.candidates() + row..self.candidates() + row + 1),
                    words.range(counts..counts + 1),
                    words.range(self.kept(row)..self.kept(row) + self.most),
                )
            };
            let range = stretch * self.stretch..((stretch + 1) * self.stretch).min(found[0] as usize);
            for candidate in list.get(range).unwrap_or_default() {
                if count[0] as usize == self.most {
                    break;
                }
                let this = corners(*candidate);
                let free = |other: &u32| overlap(this, corners(*other)) <= limit;
                if kept[..count[0] as usize].iter().all(free) {
                    kept[count[0] as usize] = *candidate;
                    count[0] += 1;
                }
            }
        }
    }

    fn add_up(&self, io: &mut Io<'_>) {
        if io.tiles().is_empty() {
            return;
        }
        let words = io.whole_workspace::<u32>();
        let mut total = 0;
        for count in &mut words[self.counts()..self.counts() + self.rows] {
            (*count, total) = (total, total + *count);
        }
        words[self.counts() + self.rows] = total;
    }

    fn write(&self, io: &Io<'_>) {
        let to = io.shared::<i64>(0);
        // SAFETY: this phase does not write the workspace.
        let words = unsafe { io.read_workspace::<u32>() };
        for row in io.tiles() {
            let [begin, end] = [row, row + 1].map(|row| words[self.counts() + row] as usize);
            let kept = &words[self.kept(row)..][..end - begin];
            // SAFETY: a row belongs to one tile, and the counts say which results are its own.
            let to = unsafe { to.range(begin * 3..end * 3) };
            for (to, index) in to.chunks_exact_mut(3).zip(kept) {
                to.copy_from_slice(&[
                    (row / self.classes) as i64,
                    (row % self.classes) as i64,
                    i64::from(*index),
                ]);
            }
        }
    }

    /// The number of an input that may be left out.
    fn threshold(&self, io: &Io<'_>, input: usize) -> Option<f32> {
        let given = input < self.thresholds && io.has_input(input);
        if given { io.input::<f32>(input).first().copied() } else { None }
    }

    /// Left, top, right and bottom of a box.
    fn corners(&self, given: &[f32]) -> [f32; 4] {
        let [a, b, c, d] = [given[0], given[1], given[2], given[3]];
        match self.center {
            true => [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0],
            false => [a.min(c), b.min(d), a.max(c), b.max(d)],
        }
    }
}

/// What two boxes share, as a part of what they cover together.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let area = |of: [f32; 4]| (of[2] - of[0]) * (of[3] - of[1]);
    let shared = width * height;
    if shared <= 0.0 { 0.0 } else { shared / (area(a) + area(b) - shared) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernel::testing::{noise, run, tensor};
    use inferry_core::{ElementType, Tensor};

    fn kept(boxes: &Tensor, scores: &Tensor, most: i64, thresholds: [f32; 2], center: bool, wanted: &[i64]) {
        let scalar = |value: f32| Some(tensor(&[value], [1]));
        let inputs = [
            Some(boxes.clone()),
            Some(scores.clone()),
            Some(tensor(&[most], [1])),
            scalar(thresholds[0]),
            scalar(thresholds[1]),
        ];
        let outputs = [(ElementType::I64, [wanted.len() / 3, 3].into())];
        let op = NonMaxSuppression { center };
        let found = run(&op, &inputs, &outputs, Isa::portable())[0].to_vec::<i64>().unwrap();
        assert_eq!(found, wanted);
    }

    const CORNERS: [f32; 24] = [
        0.0, 0.0, 1.0, 1.0, 0.0, 0.1, 1.0, 1.1, 0.0, -0.1, 1.0, 0.9, 0.0, 10.0, 1.0, 11.0, 0.0, 10.1, 1.0,
        11.1, 0.0, 100.0, 1.0, 101.0,
    ];

    #[test]
    fn values_of_the_standard() {
        let boxes = tensor(&CORNERS, [1, 6, 4]);
        let scores = tensor(&[0.9f32, 0.75, 0.6, 0.95, 0.5, 0.3], [1, 1, 6]);
        kept(&boxes, &scores, 3, [0.5, 0.0], false, &[0, 0, 3, 0, 0, 0, 0, 0, 5]);
        kept(&boxes, &scores, 2, [0.5, 0.0], false, &[0, 0, 3, 0, 0, 0]);
        kept(&boxes, &scores, 9, [0.5, 0.4], false, &[0, 0, 3, 0, 0, 0]);
        kept(&boxes, &scores, 0, [0.5, 0.0], false, &[]);
        kept(&boxes, &scores, -1, [0.5, 0.0], false, &[]);
        let two = tensor(&[scores.to_vec::<f32>().unwrap(), scores.to_vec().unwrap()].concat(), [1, 2, 6]);
        kept(&boxes, &two, 2, [0.5, 0.0], false, &[0, 0, 3, 0, 0, 0, 0, 1, 3, 0, 1, 0]);
        let twice = tensor(&[CORNERS, CORNERS].concat(), [2, 6, 4]);
        let two = tensor(&two.to_vec::<f32>().unwrap(), [2, 1, 6]);
        kept(&twice, &two, 2, [0.5, 0.0], false, &[0, 0, 3, 0, 0, 0, 1, 0, 3, 1, 0, 0]);
        let centers = [0.5f32, 0.5, 1., 1., 0.5, 0.6, 1., 1., 0.5, 0.4, 1., 1., 0.5, 10.5, 1., 1.];
        let scores = tensor(&[0.9f32, 0.75, 0.6, 0.95], [1, 1, 4]);
        kept(&tensor(&centers, [1, 4, 4]), &scores, 3, [0.5, 0.0], true, &[0, 0, 3, 0, 0, 0]);
    }

    #[test]
    fn corners_may_be_any_two_opposite_ones_and_equal_boxes_keep_the_first() {
        let flipped = [1.0f32, 1.0, 0.0, 0.0, 0.0, 0.1, 1.0, 1.1];
        let scores = tensor(&[0.5f32, 0.6], [1, 1, 2]);
        kept(&tensor(&flipped, [1, 2, 4]), &scores, 3, [0.5, 0.0], false, &[0, 0, 1]);
        let same = tensor(&[[0.0f32, 0.0, 1.0, 1.0]; 10].concat(), [1, 10, 4]);
        kept(&same, &tensor(&[0.9f32; 10], [1, 1, 10]), 3, [0.5, 0.0], false, &[0, 0, 0]);
        let none = tensor::<f32>(&[], [1, 0, 4]);
        kept(&none, &tensor::<f32>(&[], [1, 3, 0]), 3, [0.5, 0.0], false, &[]);
    }

    #[test]
    fn many_candidates_agree_with_the_plain_loop() {
        let (count, classes) = (150, 3);
        let boxes: Vec<f32> = noise(count * 4, 1)
            .chunks(4)
            .flat_map(|of| [of[0], of[1], of[0] + 0.3 + of[2] * 0.2, of[1] + 0.3 + of[3] * 0.2])
            .collect();
        let scores = noise(count * classes, 2);
        for (most, limit, threshold) in [(7i64, 0.3f32, -0.5f32), (1000, 0.1, 0.0), (40, 0.9, -2.0)] {
            let mut wanted = Vec::new();
            for class in 0..classes {
                let score = |index: &usize| scores[class * count + index];
                let mut order: Vec<usize> = (0..count).filter(|index| score(index) > threshold).collect();
                order.sort_by(|a, b| score(b).total_cmp(&score(a)));
                let corners =
                    |index: usize| -> [f32; 4] { boxes[index * 4..index * 4 + 4].try_into().unwrap() };
                let mut chosen: Vec<usize> = Vec::new();
                for index in order {
                    if chosen.len() < most as usize
                        && chosen.iter().all(|other| overlap(corners(index), corners(*other)) <= limit)
                    {
                        chosen.push(index);
                    }
                }
                wanted.extend(chosen.into_iter().flat_map(|index| [0, class as i64, index as i64]));
            }
            let boxes = tensor(&boxes, [1, count, 4]);
            kept(&boxes, &tensor(&scores, [1, classes, count]), most, [limit, threshold], false, &wanted);
        }
    }
}
