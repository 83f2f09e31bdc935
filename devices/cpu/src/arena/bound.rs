//! The operands of one step, checked and ready for its kernel.
//!
//! What a step writes overlaps nothing else that it touches: that is checked for every step of every run, so that whether a
//! kernel may touch what it is lent does not hang on the plan being right.

use core::ops::Range;

use inferry_core::{Parallel, Pieces};

use super::Place;
use crate::io::{Io, Operands, Span};
use crate::kernel::fault::Fault;
use crate::kernel::{Kernel, Phase};

/// Where the workspace of a step lies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Workspace {
    /// Where the plan put it.
    Planned(Place),
    /// So many bytes beside the arena, for a kernel that is built in the run. They keep what they hold until another step asks.
    Side(usize),
}

/// For how many threads the operands of a step are bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Width {
    /// Threads that compute this step.
    pub(crate) now: usize,
    /// Threads that may compute it in a later run, for which there is room from now on.
    pub(crate) most: usize,
}

impl Width {
    /// The calling thread alone, now and later.
    pub(crate) const ONE: Width = Width { now: 1, most: 1 };
}

/// The operands of one step, ready to run its kernel on.
pub(crate) struct Bound<'a> {
    pub(super) operands: Operands<'a>,
    /// One scratch area a thread, `each` bytes apart.
    pub(super) scratch: Span,
    pub(super) each: usize,
    pub(super) width: usize,
}

impl Bound<'_> {
    /// Runs the tiles `tiles` of a phase on this thread.
    #[inline]
    pub(crate) fn run(&mut self, kernel: &dyn Kernel, index: usize, phase: Phase, tiles: Range<usize>) {
        // SAFETY: `&mut self`: no other call runs on these operands.
        unsafe { self.run_as(0, kernel, index, phase, tiles) }
    }

    /// Why the node failed, once a block of it did.
    #[inline]
    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.operands.faults.first()
    }

    /// On how many threads the operands may be used at the same time.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Runs the tiles `tiles` of a phase, `piece` at a time, on as many threads as the operands were bound for.
    ///
    /// # Panics
    /// When the phase is serial.
    pub(crate) fn fork(
        &mut self,
        kernel: &dyn Kernel,
        (index, phase): (usize, Phase),
        tiles: Range<usize>,
        piece: usize,
        parallel: &dyn Parallel,
    ) {
        assert!(!phase.serial, "a phase whose tiles are independent");
        let pieces = Pieces::new(tiles, piece);
        let this = &*self;
        parallel.for_each(self.width, &|thread| {
            while let Some(tiles) = pieces.take(thread) {
                // SAFETY: `for_each` calls each `thread` once, so its scratch is its own; each piece of tiles is taken once; the
                // phase is not serial.
                unsafe { this.run_as(thread, kernel, index, phase, tiles) }
            }
        });
    }

    /// # Safety
    /// Calls at the same time have other threads and other tiles, and the same phase, which is not serial.
    #[inline]
    unsafe fn run_as(
        &self,
        thread: usize,
        kernel: &dyn Kernel,
        index: usize,
        phase: Phase,
        tiles: Range<usize>,
    ) {
        let scratch = self.scratch.part(thread * self.each..(thread + 1) * self.each);
        // SAFETY: this thread's part of the scratch is borrowed by this call alone.
        let scratch = unsafe { core::slice::from_raw_parts_mut(scratch.pointer(), scratch.len()) };
        // SAFETY: `Bound` borrows the regions for its life; `check_apart` saw that outputs and workspace overlap nothing else
        // of this step; nobody else has the regions, for the work is borrowed exclusively and the ports are leased; the caller
        // vouches for the tiles.
        let mut io = unsafe { Io::new(self.operands, scratch, tiles, phase) };
        kernel.run(index, &mut io);
    }
}

/// # Panics
/// When something that is written overlaps anything else.
pub(super) fn check_apart(reads: &[Option<Span>], writes: &[Span], workspace: Span) {
    // Checked for every step of every run: plain loops, no panic in them.
    let mut apart = true;
    for (index, write) in writes.iter().enumerate() {
        for read in reads.iter().flatten() {
            apart &= !write.overlaps(read);
        }
        for other in &writes[index + 1..] {
            apart &= !write.overlaps(other);
        }
        apart &= !write.overlaps(&workspace);
    }
    if !workspace.is_empty() {
        for read in reads.iter().flatten() {
            apart &= !workspace.overlaps(read);
        }
    }
    assert!(apart, "what a step writes overlaps another of its operands");
}
