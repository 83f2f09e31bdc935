//! The memory of one turn, and what the steps of a plan do with it.
//!
//! A [`Lent`] holds the memory of a work exclusively, with the bytes of the ports: nobody else can reach them while it lives.
//! It reads, writes and copies places itself where there is nothing to compute, and [binds](Lent::bind) the operands of a
//! step for its kernel. The body of a loop has memory of its own, [nested](Lent::nest) in that of the plan around it.

use core::marker::PhantomData;
use core::ops::Range;

use inferry_core::Shape;

use super::bound::check_apart;
use super::buffer::Buffer;
use super::item::{Item, Object};
use super::{
    ALIGNMENT, Aside, Bound, Constant, Memory, Meter, OutOfMemory, Place, Region, Slot, Width, Workspace,
};
use crate::io::{Operands, Shelf, Span};

/// The memory of one turn.
pub(crate) struct Lent<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) aside: &'a mut Aside,
    pub(super) constants: &'a [Constant],
    /// The spans of the ports in `memory` are good for this long.
    pub(super) ports: PhantomData<&'a mut [u8]>,
}

impl Lent<'_> {
    /// What the bytes of the run count in.
    pub(crate) fn meter(&self) -> &Meter {
        self.memory.meter()
    }

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

    /// Makes a slot hold `len` bytes, of which the first are those that it holds already.
    pub(crate) fn extend_slot(&mut self, slot: u32, len: usize) -> Result<(), OutOfMemory> {
        let slot = &mut self.memory.slots[slot as usize];
        slot.buffer.extend(slot.len, len)?;
        slot.len = len;
        Ok(())
    }

    /// Says what shape the bytes that a slot holds have.
    pub(crate) fn shape_slot(&mut self, slot: u32, shape: &Shape) {
        self.memory.slots[slot as usize].shape.clone_from(shape);
    }

    /// Makes a slot hold the `len` bytes that are staged for input `port` of a body, which gets the slot's buffer instead.
    pub(crate) fn trade_slot(
        &mut self,
        slot: u32,
        shape: &Shape,
        len: usize,
        body: &mut Memory,
        port: usize,
    ) {
        let slot = &mut self.memory.slots[slot as usize];
        let staged = &mut body.staged_inputs[port];
        assert!(len <= staged.capacity(), "what is staged is there");
        core::mem::swap(&mut slot.buffer, staged);
        slot.len = len;
        slot.shape.clone_from(shape);
    }

    /// A sequence or an optional.
    pub(crate) fn object(&self, object: u32) -> &Object {
        &self.memory.objects[object as usize]
    }

    /// A sequence or an optional, to keep: the last who asks for one takes it with him.
    pub(crate) fn object_of(&mut self, object: u32, last: bool) -> Object {
        let object = &mut self.memory.objects[object as usize];
        if last { core::mem::take(object) } else { object.clone() }
    }

    /// Makes a sequence or an optional what it is.
    pub(crate) fn put_object(&mut self, object: u32, value: Object) {
        self.memory.objects[object as usize] = value;
    }

    /// Holds a tensor for the step under way, and says where it lies.
    pub(crate) fn hold(&mut self, item: Item) -> Place {
        let place =
            Place { region: Region::Held(self.memory.held.len() as u32), start: 0, len: item.bytes().len() };
        self.memory.held.push(item);
        place
    }

    /// The tensors that the step held, in the order of [`Lent::hold`].
    pub(crate) fn let_go(&mut self) -> alloc::vec::Drain<'_, Item> {
        self.memory.held.drain(..)
    }

    /// Writes bytes to a place, from byte `start` of it on.
    pub(crate) fn put(&mut self, to: Place, start: usize, bytes: &[u8]) {
        let to = self.writable(to).part(start..start + bytes.len());
        // SAFETY: the span lies in a region that is valid while `self` is, and `&mut self` keeps every `Bound` away; `bytes` are
        // borrowed from elsewhere, for a region that can be written is borrowed exclusively by `self`.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to.pointer(), bytes.len()) }
    }

    /// Copies the bytes `range` of a place to the same bytes of another.
    pub(crate) fn copy(&mut self, from: Place, to: Place, range: Range<usize>) {
        let (from, to) = (self.readable(from).part(range.clone()), self.writable(to).part(range));
        // SAFETY: both spans lie in regions that are valid while `self` is, and `&mut self` keeps every `Bound` away; they may
        // overlap.
        unsafe { core::ptr::copy(from.pointer(), to.pointer(), from.len()) }
    }

    /// The memory of the body of a loop, for some steps of it: `None` among the inputs stands for what is staged there, as for
    /// all of its outputs; the others lie here.
    pub(crate) fn nest<'b>(
        &'b mut self,
        body: &'b mut Memory,
        constants: &'b [Constant],
        inputs: impl Iterator<Item = Option<Place>>,
        outputs: usize,
    ) -> Lent<'b> {
        body.inputs.clear();
        for (port, place) in inputs.enumerate() {
            // What lies here is only read: nobody writes an input, and `self` is borrowed for as long as the body's memory is.
            let span = match place {
                // The body is handed the object itself.
                Some(Place { region: Region::Object(_), .. }) => Span::EMPTY,
                Some(place) => self.readable(place),
                None => body.staged_inputs[port].all(),
            };
            body.inputs.push(span);
        }
        body.outputs.clear();
        body.outputs.extend(body.staged_outputs[..outputs].iter_mut().map(Buffer::all));
        Lent { memory: body, aside: &mut *self.aside, constants, ports: PhantomData }
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
        width: Width,
    ) -> Result<Bound<'_>, OutOfMemory> {
        let scratch = scratch.next_multiple_of(ALIGNMENT);
        self.memory.scratch.grow(scratch.saturating_mul(width.most.max(width.now)))?;
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
        let all_scratch = self.memory.scratch.span(0..scratch * width.now);
        let (Memory { reads, writes, .. }, Aside { faults, texts }) = (&*self.memory, &mut *self.aside);
        check_apart(reads, writes, workspace);
        let texts = Shelf::new(texts);
        let operands = Operands { inputs: reads, outputs: writes, workspace, faults, texts };
        Ok(Bound { operands, scratch: all_scratch, each: scratch, width: width.now })
    }

    fn readable(&mut self, place: Place) -> Span {
        let range = place.start..place.start + place.len;
        match place.region {
            Region::Constant(index) => Span::read_only(&self.constants[index as usize].bytes()[range]),
            Region::Input(port) => self.memory.inputs[port as usize].part(range),
            Region::Held(item) => Span::read_only(&self.memory.held[item as usize].bytes()[range]),
            Region::Arena | Region::Output(_) | Region::Slot(_) => self.writable(place),
            Region::Object(_) => panic!("{place:?} has no bytes"),
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
            Region::Held(item) => self.memory.held[item as usize].span().part(range),
            Region::Constant(_) | Region::Input(_) | Region::Object(_) => {
                panic!("{place:?} is not to be written")
            }
        }
    }
}
