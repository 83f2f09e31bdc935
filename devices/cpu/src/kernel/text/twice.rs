//! Kernels that go through their strings twice: to see how large the outputs are to be, and to make them.

use alloc::boxed::Box;
use core::ops::Range;

use inferry_core::Shape;

use super::{items, ordered};
use crate::io::Io;
use crate::kernel::fault::Fault;
use crate::kernel::{Built, Kernel, Phase};
use crate::text::{Text, Texts};

/// What such a kernel does.
pub(super) trait Twice: Send + Sync + 'static {
    /// What is known after the strings before this one, and this one. At the beginning it is 0.
    fn look(&self, texts: &Texts, text: Text, known: u64) -> u64;

    /// The shape of an output, by what is known in the end.
    fn shape(&self, output: usize, known: u64) -> Shape;

    /// Makes what comes of some of the strings. `state` is 0 for the first of them, and then what the call before left there.
    fn make(&self, io: &mut Io<'_>, items: Range<usize>, state: &mut u64) -> Result<(), Fault>;
}

/// The kernel for `count` strings, those of input 0.
pub(super) fn twice(count: usize, kernel: impl Twice) -> Built {
    // Where there is no string at all the second phase has something to do yet.
    let (phase, share) = ordered(count.max(1));
    Ok(Box::new(InTwo { kernel, count, share, phases: [phase; 2] }))
}

struct InTwo<T> {
    kernel: T,
    count: usize,
    share: usize,
    phases: [Phase; 2],
}

impl<T: Twice> Kernel for InTwo<T> {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn workspace(&self) -> usize {
        // What is known, and the state.
        2 * size_of::<u64>()
    }

    fn measures_after(&self) -> usize {
        1
    }

    fn measured(&self, output: usize, workspace: &[u8]) -> Shape {
        self.kernel.shape(output, bytemuck::pod_read_unaligned(&workspace[..size_of::<u64>()]))
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if io.tiles().is_empty() {
            return;
        }
        let [known, state] = io.whole_workspace::<u64>() else { return };
        if io.tiles().start == 0 {
            *(if phase == 0 { &mut *known } else { &mut *state }) = 0;
        }
        let items = items(io, self.share, self.count);
        if phase == 0 {
            let x = io.input::<Text>(0);
            *known = x[items].iter().fold(*known, |known, text| self.kernel.look(io.texts(), *text, known));
        } else if let Err(fault) = self.kernel.make(io, items, state) {
            io.fail(fault);
        }
    }
}
