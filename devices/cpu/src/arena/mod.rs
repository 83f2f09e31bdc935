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

mod bound;
mod buffer;
mod item;
mod lent;

pub(crate) use bound::{Bound, Width, Workspace};
pub(crate) use buffer::{Meter, can_be_had};
pub(crate) use item::{Item, Object};
pub(crate) use lent::Lent;

use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::Range;

use inferry_core::Shape;
use inferry_core::tensor::ReadLease;

use self::buffer::Buffer;
use crate::io::Span;
use crate::kernel::fault::Faults;
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
    /// A tensor that belongs to a sequence or an optional, for the step that reads or makes it.
    Held(u32),
    /// A sequence or an optional, which has no bytes of its own.
    Object(u32),
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

/// What a plan needs of a [`Memory`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of the arena.
    pub(crate) arena: usize,
    /// Values whose size is known only in the run.
    pub(crate) slots: usize,
    /// Sequences and optionals.
    pub(crate) objects: usize,
    /// The most inputs or outputs that a step has.
    pub(crate) operands: usize,
}

/// What a work owns: it grows to the largest run seen and stays.
#[derive(Default)]
pub(crate) struct Memory {
    meter: Meter,
    arena: Buffer,
    /// The workspace of kernels that are built in the run.
    side: Buffer,
    scratch: Buffer,
    slots: Vec<Slot>,
    /// Sequences and optionals, by number.
    pub(crate) objects: Vec<Object>,
    /// The tensors that the step under way takes out of them or puts into them.
    pub(crate) held: Vec<Item>,
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
    /// None yet; what it takes counts.
    pub(crate) fn new(meter: Meter) -> Memory {
        let [arena, side, scratch] = [(); 3].map(|()| Buffer::new(&meter));
        Memory { arena, side, scratch, meter, ..Memory::default() }
    }

    /// What its bytes count in.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Makes room for a plan. What the arena held is lost when it grows.
    pub(crate) fn reserve(&mut self, room: Room) -> Result<(), OutOfMemory> {
        let Room { arena, slots, objects, operands } = room;
        self.arena.grow(arena)?;
        if self.slots.len() < slots {
            let meter = &self.meter;
            self.slots.resize_with(slots, || Slot { buffer: Buffer::new(meter), ..Slot::default() });
        }
        if self.objects.len() < objects {
            self.objects.resize_with(objects, Object::default);
        }
        self.reads.reserve(operands);
        self.writes.reserve(operands);
        Ok(())
    }

    /// Forgets the sequences and optionals of the run before.
    pub(crate) fn begin(&mut self) {
        self.objects.fill(Object::Absent);
        self.held.clear();
    }

    /// Gives all memory back; the next run takes what it needs again.
    pub(crate) fn release(&mut self) {
        *self = Memory::new(self.meter.clone());
    }

    /// Makes room for the spans of so many ports.
    pub(crate) fn reserve_ports(&mut self, inputs: usize, outputs: usize) {
        self.inputs.reserve(inputs);
        self.outputs.reserve(outputs);
    }

    /// Room for a dense copy of the tensor bound to input `port`.
    pub(crate) fn staged_input(&mut self, port: usize, len: usize) -> Result<&mut [u8], OutOfMemory> {
        staged(&mut self.staged_inputs, &self.meter, port, len)
    }

    /// Room for the elements of the tensor bound to output `port`, densely.
    pub(crate) fn staged_output(&mut self, port: usize, len: usize) -> Result<&mut [u8], OutOfMemory> {
        staged(&mut self.staged_outputs, &self.meter, port, len)
    }

    /// A slot and what it holds.
    pub(crate) fn slot(&mut self, slot: u32) -> (&Shape, &[u8]) {
        let Slot { buffer, len, shape } = &mut self.slots[slot as usize];
        (shape, &buffer.bytes()[..*len])
    }

    /// Makes what is staged for output `output` of a body's trip what is staged for input `input` of the next.
    pub(crate) fn carry(&mut self, output: usize, input: usize) {
        core::mem::swap(&mut self.staged_outputs[output], &mut self.staged_inputs[input]);
    }

    /// As [`Memory::carry`], from a slot; `again` when the slot is read once more.
    pub(crate) fn carry_slot(&mut self, slot: u32, input: usize, again: bool) -> Result<(), OutOfMemory> {
        let Slot { buffer, len, .. } = &mut self.slots[slot as usize];
        if again {
            self.staged_inputs[input].grow(*len)?;
            self.staged_inputs[input].bytes()[..*len].copy_from_slice(&buffer.bytes()[..*len]);
        } else {
            core::mem::swap(buffer, &mut self.staged_inputs[input]);
        }
        Ok(())
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

fn staged<'a>(
    all: &'a mut Vec<Buffer>,
    meter: &Meter,
    port: usize,
    len: usize,
) -> Result<&'a mut [u8], OutOfMemory> {
    if all.len() <= port {
        all.resize_with(port + 1, || Buffer::new(meter));
    }
    all[port].grow(len)?;
    Ok(&mut all[port].bytes()[..len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Io;
    use crate::kernel::{Kernel, Phase};
    use alloc::boxed::Box;
    use alloc::vec;
    use inferry_core::Parallel;
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
        memory.reserve(Room { arena: 1024, slots: 1, objects: 0, operands: 4 }).unwrap();
        let (input, mut output) = ([0u8; 64], [0u8; 64]);
        let (inputs, outputs) = ([&input[..]], [&mut output[..]]);
        let mut aside = aside();
        let mut lent =
            memory.lend(&mut aside, &[], inputs.into_iter().map(Some), outputs.into_iter().map(Some));
        lent.resize_slot(0, &Shape::from([64]), 64).unwrap();
        let reads = reads.iter().copied().map(Some);
        lent.bind(reads, writes.iter().copied(), Workspace::Planned(workspace), 0, Width::ONE).unwrap();
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
        memory.reserve(Room { arena: 8000, ..Room::default() }).unwrap();
        for (parallel, width) in [(&Threads as &dyn Parallel, 3), (&Serial, 1)] {
            let mut aside = aside();
            let mut lent = memory.lend(&mut aside, &[], core::iter::empty(), core::iter::empty());
            let output = place(Region::Arena, 0, 8000);
            let mut bound = lent
                .bind(
                    [].into_iter(),
                    [output].into_iter(),
                    Workspace::Side(0),
                    kernel.scratch(),
                    Width { now: width, most: 3 },
                )
                .unwrap();
            bound.fork(&*kernel, (0, kernel.phases()[0]), 0..1000, 7, parallel);
            // 100 bytes of scratch, to the next line.
            let wanted: Vec<u8> = vec![128u64; 1000].into_iter().flat_map(u64::to_le_bytes).collect();
            assert!(lent.read(output) == &wanted[..]);
        }
    }

    #[test]
    fn all_memory_of_a_work_counts() {
        let meter = Meter::of(1000);
        let mut memory = Memory::new(meter.clone());
        memory.reserve(Room { arena: 640, slots: 1, ..Room::default() }).unwrap();
        assert_eq!(memory.staged_input(0, 500).map(|_| ()), Err(OutOfMemory(500)));
        memory.staged_input(0, 320).unwrap();
        let item = |bytes| Item::new(inferry_core::ElementType::U8, Shape::from([bytes]), &meter);
        assert_eq!(item(1).map(|_| ()), Err(OutOfMemory(1)));
        memory.release();
        // What grows is never held twice but where it keeps what it holds.
        let first = item(900).unwrap();
        let second = first.clone();
        drop(first);
        assert!(item(900).is_err());
        drop(second);
        assert!(item(900).is_ok());
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
