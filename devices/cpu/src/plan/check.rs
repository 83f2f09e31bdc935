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
            Region::Slot(_) => unreachable!("roots are in no slot"),
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
