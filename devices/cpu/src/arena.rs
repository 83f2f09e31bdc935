//! The memory of a run, and the one place where kernels are lent parts of it.
//!
//! A plan names bytes by [`Place`]: a region (the arena, a constant, a port, a slot) and a range in it. A [`Memory`] owns
//! the regions that belong to a work and stays between runs; for one turn it is [lent](Memory::lend) together with the
//! bytes of the ports and constants, and then [binds](Lent::bind) the operands of one step after another.
//!
//! Whether a kernel may touch what it is lent does not hang on the plan being right: binding checks that every place lies
//! within its region, that what is written is writable, and that it overlaps nothing else that the step touches. A wrong
//! plan gives wrong numbers or a panic here, never a data race. What this module does *not* know: which value lies where
//! and for how long; that is `plan`.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Range;

use inferry_core::tensor::ReadLease;
use inferry_core::{Parallel, Pieces, Shape};

use crate::io::{Io, Operands, Shelf, Span};
use crate::kernel::fault::{Fault, Faults};
use crate::kernel::{Kernel, Phase};
use crate::text::Texts;

/// Every value begins at a multiple of so many bytes, so that kernels may load whole vectors.
pub(crate) const ALIGNMENT: usize = 64;

/// Bytes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) region: Region,
    /// First byte within the region.
    pub(crate) start: usize,
    /// Number of bytes; a slot is always taken whole.
    pub(crate) len: usize,
}

/// What a place lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// The work's own memory, laid out by the plan.
    Arena,
    /// A constant of the plan.
    Constant(u32),
    /// The tensor bound to an input, or the dense copy of it.
    Input(u32),
    /// The tensor bound to an output, or what is copied to it in the end.
    Output(u32),
    /// A growable buffer of the work, for a value whose size is known only in the run.
    Slot(u32),
}

/// There is not enough memory for what a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory for {0} bytes")]
pub(crate) struct OutOfMemory(pub(crate) usize);

/// A constant of a plan: the right to read it for as long as the plan lives.
pub(crate) struct Constant {
    lease: ReadLease,
    range: Range<usize>,
}

impl Constant {
    /// The bytes `range` of what the lease covers.
    pub(crate) fn new(lease: ReadLease, range: Range<usize>) -> Constant {
        assert!(range.end <= lease.bytes().len(), "{range:?} lies within the storage");
        Constant { lease, range }
    }

    /// The bytes of the constant.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.lease.bytes()[self.range.clone()]
    }
}

/// What all plans of a run share besides memory.
pub(crate) struct Aside {
    /// What went wrong, if anything did.
    pub(crate) faults: Faults,
    /// The strings of the run.
    pub(crate) texts: Texts,
}

impl Aside {
    /// Forgets the run before.
    pub(crate) fn begin(&mut self) {
        self.faults = Faults::none();
        self.texts.clear();
    }
}

/// A value whose size is known only in the run.
#[derive(Default)]
pub(crate) struct Slot {
    buffer: Buffer,
    len: usize,
    /// The shape in this run.
    pub(crate) shape: Shape,
}

/// What a work owns: it grows to the largest run seen and stays.
#[derive(Default)]
pub(crate) struct Memory {
    arena: Buffer,
    /// The workspace of kernels that are built in the run.
    side: Buffer,
    scratch: Buffer,
    slots: Vec<Slot>,
    /// Dense copies of what is bound to the ports but does not lie densely.
    staged_inputs: Vec<Buffer>,
    staged_outputs: Vec<Buffer>,
    /// Spans of the ports, good for one turn; kept for their capacity.
    inputs: Vec<Span>,
    outputs: Vec<Span>,
    /// Spans of the step that is bound; kept for their capacity.
    reads: Vec<Option<Span>>,
    writes: Vec<Span>,
}

impl Memory {
    /// Makes room for a plan: so many bytes of arena, slots and operands a step. What the arena held is lost when it grows.
    pub(crate) fn reserve(&mut self, arena: usize, slots: usize, operands: usize) -> Result<(), OutOfMemory> {
        self.arena.grow(arena)?;
        if self.slots.len() < slots {
            self.slots.resize_with(slots, Slot::default);
        }
        self.reads.reserve(operands);
        self.writes.reserve(operands);
        Ok(())
    }

    /// Gives all memory back; the next run takes what it needs again.
    pub(crate) fn release(&mut self) {
        *self = Memory::default();
    }

    /// Makes room for the spans of so many ports.
    pub(crate) fn reserve_ports(&mut self, inputs: usize, outputs: usize) {
        self.inputs.reserve(inputs);
        self.outputs.reserve(outputs);
    }

    /// Room for a dense copy of the tensor bound to input `port`.
    pub(crate) fn staged_input(&mut self, port: usize, len: usize) -> Result<&mut [u8], OutOfMemory> {
        staged(&mut self.staged_inputs, port, len)
    }

    /// Room for the elements of the tensor bound to output `port`, densely.
    pub(crate) fn staged_output(&mut self, port: usize, len: usize) -> Result<&mut [u8], OutOfMemory> {
        staged(&mut self.staged_outputs, port, len)
    }

    /// A slot and what it holds.
    pub(crate) fn slot(&mut self, slot: u32) -> (&Shape, &[u8]) {
        let Slot { buffer, len, shape } = &mut self.slots[slot as usize];
        (shape, &buffer.bytes()[..*len])
    }

    /// The memory of one turn: what the work owns, the plan's constants, and the bytes of the ports in their order; `None` for
    /// a port whose elements are staged.
    pub(crate) fn lend<'a>(
        &'a mut self,
        aside: &'a mut Aside,
        constants: &'a [Constant],
        inputs: impl Iterator<Item = Option<&'a [u8]>>,
        outputs: impl Iterator<Item = Option<&'a mut [u8]>>,
    ) -> Lent<'a> {
        self.inputs.clear();
        for (port, bytes) in inputs.enumerate() {
            let staged = || self.staged_inputs[port].all();
            self.inputs.push(bytes.map_or_else(staged, Span::read_only));
        }
        self.outputs.clear();
        for (port, bytes) in outputs.enumerate() {
            let staged = || self.staged_outputs[port].all();
            self.outputs.push(bytes.map_or_else(staged, Span::new));
        }
        Lent { memory: self, aside, constants, ports: PhantomData }
    }
}

fn staged(all: &mut Vec<Buffer>, port: usize, len: usize) -> Result<&mut [u8], OutOfMemory> {
    if all.len() <= port {
        all.resize_with(port + 1, Buffer::default);
    }
    all[port].grow(len)?;
    Ok(&mut all[port].bytes()[..len])
}

/// The memory of one turn.
pub(crate) struct Lent<'a> {
    memory: &'a mut Memory,
    aside: &'a mut Aside,
    constants: &'a [Constant],
    /// The spans of the ports in `memory` are good for this long.
    ports: PhantomData<&'a mut [u8]>,
}

impl Lent<'_> {
    /// The bytes of a place, to read.
    pub(crate) fn read(&mut self, place: Place) -> &[u8] {
        let span = self.readable(place);
        // SAFETY: the span lies in a region that is valid while `self` is, and `&mut self` keeps every `Bound`, and so every
        // writer, away while the bytes are read.
        unsafe { core::slice::from_raw_parts(span.pointer(), span.len()) }
    }

    /// A slot.
    pub(crate) fn slot(&self, slot: u32) -> &Slot {
        &self.memory.slots[slot as usize]
    }

    /// Makes a slot hold a value of `len` bytes; what it held is lost.
    pub(crate) fn resize_slot(&mut self, slot: u32, shape: &Shape, len: usize) -> Result<(), OutOfMemory> {
        let slot = &mut self.memory.slots[slot as usize];
        slot.buffer.grow(len)?;
        slot.len = len;
        slot.shape.clone_from(shape);
        Ok(())
    }

    /// The first `len` bytes of the workspace beside the arena, as the last step that asked for it left it.
    pub(crate) fn side(&mut self, len: usize) -> &[u8] {
        &self.memory.side.bytes()[..len]
    }

    /// Binds the operands of a step. `side` asks for a workspace outside the arena instead of `workspace`.
    ///
    /// # Panics
    /// When a place lies outside its region, or what is written overlaps anything else.
    pub(crate) fn bind(
        &mut self,
        reads: impl Iterator<Item = Option<Place>>,
        writes: impl Iterator<Item = Place>,
        workspace: Workspace,
        scratch: usize,
        width: usize,
    ) -> Result<Bound<'_>, OutOfMemory> {
        let scratch = scratch.next_multiple_of(ALIGNMENT);
        self.memory.scratch.grow(scratch.saturating_mul(width))?;
        let workspace = match workspace {
            Workspace::Planned(Place { len: 0, .. }) | Workspace::Side(0) => Span::EMPTY,
            Workspace::Planned(place) => self.writable(place),
            Workspace::Side(len) => {
                self.memory.side.grow(len)?;
                self.memory.side.span(0..len)
            }
        };
        self.memory.reads.clear();
        self.memory.writes.clear();
        for place in reads {
            let span = place.map(|place| self.readable(place));
            self.memory.reads.push(span);
        }
        for place in writes {
            let span = self.writable(place);
            self.memory.writes.push(span);
        }
        let all_scratch = self.memory.scratch.span(0..scratch * width);
        let (Memory { reads, writes, .. }, Aside { faults, texts }) = (&*self.memory, &mut *self.aside);
        check_apart(reads, writes, workspace);
        let texts = Shelf::new(texts);
        let operands = Operands { inputs: reads, outputs: writes, workspace, faults, texts };
        Ok(Bound { operands, scratch: all_scratch, each: scratch, width })
    }

    fn readable(&mut self, place: Place) -> Span {
        let range = place.start..place.start + place.len;
        match place.region {
            Region::Constant(index) => Span::read_only(&self.constants[index as usize].bytes()[range]),
            Region::Input(port) => self.memory.inputs[port as usize].part(range),
            Region::Arena | Region::Output(_) | Region::Slot(_) => self.writable(place),
        }
    }

    fn writable(&mut self, place: Place) -> Span {
        let range = place.start..place.start + place.len;
        match place.region {
            Region::Arena => self.memory.arena.span(range),
            Region::Output(port) => self.memory.outputs[port as usize].part(range),
            Region::Slot(slot) => {
                let slot = &mut self.memory.slots[slot as usize];
                slot.buffer.span(0..slot.len)
            }
            Region::Constant(_) | Region::Input(_) => panic!("{place:?} is not to be written"),
        }
    }
}

/// Where the workspace of a step lies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Workspace {
    /// Where the plan put it.
    Planned(Place),
    /// So many bytes beside the arena, for a kernel that is built in the run. They keep what they hold until another step asks.
    Side(usize),
}

/// The operands of one step, ready to run its kernel on.
pub(crate) struct Bound<'a> {
    operands: Operands<'a>,
    /// One scratch area a thread, `each` bytes apart.
    scratch: Span,
    each: usize,
    width: usize,
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
            while let Some(tiles) = pieces.take() {
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
fn check_apart(reads: &[Option<Span>], writes: &[Span], workspace: Span) {
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

/// Bytes that begin at a multiple of [`ALIGNMENT`], zero when fresh.
#[derive(Default)]
struct Buffer {
    lines: Vec<Line>,
}

/// Whether so many bytes can be had at all; they are given back at once.
///
/// Asked before a kernel is built: kernels keep tables as long as an axis, and what a damaged model says of an axis is
/// believed only as far as there is memory for it.
pub(crate) fn can_be_had(bytes: usize) -> Result<(), OutOfMemory> {
    /// Less than this is not worth the question.
    const FEW: usize = 1 << 16;
    let mut probe = Vec::<u8>::new();
    if bytes > FEW { probe.try_reserve_exact(bytes).map_err(|_| OutOfMemory(bytes)) } else { Ok(()) }
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; ALIGNMENT]);

impl Buffer {
    fn capacity(&self) -> usize {
        self.lines.len() * ALIGNMENT
    }

    /// At least `len` bytes. When it grows, what it held is lost.
    #[inline]
    fn grow(&mut self, len: usize) -> Result<(), OutOfMemory> {
        if len > self.capacity() {
            // The old bytes go first, so that both are never held at the same time.
            self.lines = Vec::new();
            self.lines = bytemuck::allocation::try_zeroed_vec(len.div_ceil(ALIGNMENT))
                .map_err(|()| OutOfMemory(len))?;
        }
        Ok(())
    }

    fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    #[inline]
    fn span(&mut self, range: Range<usize>) -> Span {
        self.all().part(range)
    }

    #[inline]
    fn all(&mut self) -> Span {
        // By the pointer, not through a new exclusive reference: earlier spans of the same buffer stay good.
        Span::raw(self.lines.as_mut_ptr().cast(), self.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use alloc::vec;
    use inferry_core::Serial;

    /// Writes to each number of output 0, a tile each, how many bytes of scratch it saw.
    struct Probe([Phase; 1]);

    impl Kernel for Probe {
        fn phases(&self) -> &[Phase] {
            &self.0
        }

        fn scratch(&self) -> usize {
            100
        }

        fn run(&self, _phase: usize, io: &mut Io<'_>) {
            let seen = io.scratch::<u8>().len();
            io.rows::<u64>().fill(seen as u64);
        }
    }

    fn probe(tiles: usize) -> Box<dyn Kernel> {
        Box::new(Probe([Phase::rows(tiles, 1, 1)]))
    }

    fn aside() -> Aside {
        Aside { faults: Faults::none(), texts: Texts::default() }
    }

    fn place(region: Region, start: usize, len: usize) -> Place {
        Place { region, start, len }
    }

    fn bind(reads: &[Place], writes: &[Place], workspace: Place) {
        let mut memory = Memory::default();
        memory.reserve(1024, 1, 4).unwrap();
        let (input, mut output) = ([0u8; 64], [0u8; 64]);
        let (inputs, outputs) = ([&input[..]], [&mut output[..]]);
        let mut aside = aside();
        let mut lent =
            memory.lend(&mut aside, &[], inputs.into_iter().map(Some), outputs.into_iter().map(Some));
        lent.resize_slot(0, &Shape::from([64]), 64).unwrap();
        let reads = reads.iter().copied().map(Some);
        lent.bind(reads, writes.iter().copied(), Workspace::Planned(workspace), 0, 1).unwrap();
    }

    const NONE: Place = Place { region: Region::Arena, start: 0, len: 0 };

    #[test]
    fn operands_that_lie_apart_are_bound() {
        let all = [
            place(Region::Arena, 0, 64),
            place(Region::Input(0), 0, 64),
            place(Region::Slot(0), 0, 0),
            place(Region::Arena, 64, 128),
            place(Region::Output(0), 16, 48),
        ];
        bind(&all[..2], &all[3..], place(Region::Arena, 192, 8));
        // What is read may be read twice; what is empty lies nowhere.
        bind(&[all[0], all[0], all[2]], &[all[3], place(Region::Arena, 64, 0)], NONE);
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn writing_what_is_read_is_refused() {
        bind(&[place(Region::Arena, 0, 100)], &[place(Region::Arena, 64, 64)], NONE);
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn writing_the_same_bytes_twice_is_refused() {
        bind(&[], &[place(Region::Slot(0), 0, 0), place(Region::Slot(0), 0, 0)], NONE);
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn a_workspace_among_the_inputs_is_refused() {
        bind(&[place(Region::Arena, 0, 100)], &[], place(Region::Arena, 64, 1));
    }

    #[test]
    #[should_panic(expected = "not to be written")]
    fn writing_an_input_is_refused() {
        bind(&[], &[place(Region::Input(0), 0, 64)], NONE);
    }

    #[test]
    #[should_panic(expected = "bytes")]
    fn a_place_beyond_its_region_is_refused() {
        bind(&[place(Region::Output(0), 0, 65)], &[], NONE);
    }

    #[test]
    fn every_thread_of_a_fork_has_scratch_of_its_own_and_every_tile_runs_once() {
        /// As many threads as bodies.
        struct Threads;
        impl Parallel for Threads {
            fn width(&self) -> usize {
                3
            }
            fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
                std::thread::scope(|scope| {
                    for index in 0..count {
                        scope.spawn(move || body(index));
                    }
                });
            }
        }
        let kernel = probe(1000);
        let mut memory = Memory::default();
        memory.reserve(8000, 0, 1).unwrap();
        for (parallel, width) in [(&Threads as &dyn Parallel, 3), (&Serial, 1)] {
            let mut aside = aside();
            let mut lent = memory.lend(&mut aside, &[], core::iter::empty(), core::iter::empty());
            let output = place(Region::Arena, 0, 8000);
            let mut bound = lent
                .bind([].into_iter(), [output].into_iter(), Workspace::Side(0), kernel.scratch(), width)
                .unwrap();
            bound.fork(&*kernel, (0, kernel.phases()[0]), 0..1000, 7, parallel);
            // 100 bytes of scratch, to the next line.
            let wanted: Vec<u8> = vec![128u64; 1000].into_iter().flat_map(u64::to_le_bytes).collect();
            assert!(lent.read(output) == &wanted[..]);
        }
    }

    #[test]
    fn memory_grows_to_the_largest_and_an_impossible_amount_is_an_error() {
        let mut buffer = Buffer::default();
        buffer.grow(1000).unwrap();
        let first = buffer.all().pointer();
        buffer.grow(10).unwrap();
        assert_eq!((buffer.capacity(), buffer.all().pointer()), (1024, first));
        assert_eq!(buffer.grow(usize::MAX), Err(OutOfMemory(usize::MAX)));
        assert_eq!(buffer.capacity(), 0);
    }
}
