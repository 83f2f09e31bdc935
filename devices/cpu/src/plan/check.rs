//! Checks that a layout is right: what a step reads is still what was written for it.
//!
//! The check runs the draft with names instead of numbers: every 64 bytes of the arena remember which root was written
//! there last, and every read must find its own. Where branches meet, only what holds on both ways counts. It is run on
//! every plan in debug builds and tests; memory safety does not hang on it (see `arena`), right results do.

use alloc::vec;
use alloc::vec::Vec;

use super::draft::{Bytes, Draft, DraftStep, RootKind};
use super::finish::{Layout, reads, writes};
use crate::arena::{ALIGNMENT, Place, Region};

/// Nobody's bytes.
const NOBODY: usize = usize::MAX;

/// # Panics
/// When the layout is wrong.
pub(super) fn check(draft: &Draft, layout: &Layout) {
    for (root, place) in layout.roots.iter().enumerate() {
        let aligned = place.region != Region::Arena || place.start % ALIGNMENT == 0;
        assert!(
            aligned && (place.region != Region::Arena || place.start + place.len <= layout.arena),
            "root {root}"
        );
    }
    let mut state = State { arena: vec![NOBODY; layout.arena.div_ceil(ALIGNMENT)], outputs: Vec::new() };
    run(draft, layout, 0, &mut state);
}

/// What lies where, by root.
#[derive(Clone)]
struct State {
    /// For each line of the arena.
    arena: Vec<usize>,
    /// For each output port that was written.
    outputs: Vec<(u32, usize)>,
}

fn run(draft: &Draft, layout: &Layout, block: usize, state: &mut State) {
    for moment in &draft.blocks[block].0 {
        let step = &draft.steps[*moment];
        for bytes in reads(step) {
            state.read(draft, layout, bytes, *moment);
        }
        // Written one after the other, so that two outputs in one place are found when the first is looked at again.
        state.put(layout.workspaces[*moment], NOBODY);
        for bytes in writes(step) {
            state.write(draft, layout, bytes, *moment);
        }
        for bytes in reads(step).chain(writes(step)) {
            state.read(draft, layout, bytes, *moment);
        }
        if let DraftStep::Branch { blocks, .. } = step {
            let mut others = state.clone();
            run(draft, layout, blocks[0] as usize, state);
            run(draft, layout, blocks[1] as usize, &mut others);
            // A block that cannot run leaves nothing to be found.
            match blocks.map(|block| draft.blocks[block as usize].1.is_some()) {
                [false, false] => state.keep_common(&others),
                [true, false] => *state = others,
                _ => {}
            }
        }
    }
}

impl State {
    fn read(&self, draft: &Draft, layout: &Layout, bytes: Bytes, moment: usize) {
        let Bytes::Root(root) = bytes else { return };
        let (root, place) = (draft.resolve(root), layout.roots[root]);
        let found = match place.region {
            Region::Arena => lines(place).all(|line| self.arena[line] == root),
            Region::Output(port) => self.outputs.contains(&(port, root)),
            Region::Input(_) | Region::Constant(_) => true,
            Region::Slot(_) | Region::Held(_) | Region::Object(_) => unreachable!("no place of a root"),
        };
        assert!(found || place.len == 0, "step {moment} reads root {root}, which is not at {place:?}");
    }

    fn write(&mut self, draft: &Draft, layout: &Layout, bytes: Bytes, moment: usize) {
        let Bytes::Root(root) = bytes else { return };
        let (root, place) = (draft.resolve(root), layout.roots[root]);
        match (draft.roots[root].kind, place.region) {
            (RootKind::Computed, Region::Arena) => self.put(place, root),
            (RootKind::Output(_), Region::Output(port)) => {
                let taken = self.outputs.iter().any(|(other, owner)| *other == port && *owner != root);
                assert!(!taken, "output {port} belongs to two roots");
                self.outputs.push((port, root));
            }
            (kind, region) => panic!("step {moment} writes {kind:?} at {region:?}"),
        }
    }

    fn put(&mut self, place: Place, root: usize) {
        for line in lines(place) {
            self.arena[line] = root;
        }
    }

    fn keep_common(&mut self, other: &State) {
        for (line, owner) in self.arena.iter_mut().enumerate() {
            if *owner != other.arena[line] {
                *owner = NOBODY;
            }
        }
        self.outputs.retain(|output| other.outputs.contains(output));
    }
}

fn lines(place: Place) -> core::ops::Range<usize> {
    match place.len {
        0 => 0..0,
        len => place.start / ALIGNMENT..(place.start + len).div_ceil(ALIGNMENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::copy;
    use crate::plan::Label;
    use crate::plan::draft::Root;
    use alloc::vec::Vec;

    /// `a` is computed from an input, `b` from `a`, and the output from both; the roots of `a` and `b` lie at `starts`.
    fn chain(starts: [usize; 2]) {
        let step = |reads: &[usize], write: usize| DraftStep::Kernel {
            kernel: copy::bytes(64).unwrap(),
            reads: reads.iter().map(|root| Some(Bytes::Root(*root))).collect(),
            writes: vec![Bytes::Root(write)],
            label: Label { name: "".into(), op: "" },
        };
        let kinds = [RootKind::Input(0), RootKind::Computed, RootKind::Computed, RootKind::Output(0)];
        let place = |region, start| Place { region, start, len: 64 };
        let draft = Draft {
            roots: kinds.into_iter().map(|kind| Root { kind, bytes: 64 }).collect(),
            steps: vec![step(&[0], 1), step(&[1], 2), step(&[1, 2], 3)],
            blocks: vec![(vec![0, 1, 2], None)],
            ..Draft::default()
        };
        let layout = Layout {
            roots: vec![
                place(Region::Input(0), 0),
                place(Region::Arena, starts[0]),
                place(Region::Arena, starts[1]),
                place(Region::Output(0), 0),
            ],
            workspaces: (0..3).map(|_| Place { region: Region::Arena, start: 0, len: 0 }).collect::<Vec<_>>(),
            arena: 256,
        };
        check(&draft, &layout);
    }

    #[test]
    fn values_that_lie_apart_are_right() {
        chain([0, 64]);
        chain([128, 0]);
    }

    #[test]
    #[should_panic(expected = "reads root 1")]
    fn a_value_that_was_overwritten_before_its_last_reader_is_found() {
        chain([64, 64]);
    }

    #[test]
    #[should_panic(expected = "root 2")]
    fn a_value_off_its_alignment_is_found() {
        chain([0, 65]);
    }
}
