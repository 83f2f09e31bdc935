//! What a kernel sees of memory: typed slices of its inputs, outputs, workspace and scratch.
//!
//! An [`Io`] is made by whoever runs a block of tiles and lives for one call of `run`. Inputs may be read freely. An output
//! or the workspace is reached in one of three ways: [`Io::rows`], the consecutive elements that the call's tiles own;
//! [`Io::whole`], for serial phases; or [`Io::shared`], a bounds-checked handle for tiles that are not consecutive, whose
//! writes are `unsafe`. Nothing here allocates or knows what the numbers mean.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ops::Range;
use core::ptr::NonNull;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::kernel::Phase;
use crate::kernel::fault::{Fault, Faults};
use crate::text::Texts;

/// Plain old data of a tensor; `bool` travels as `u8`.
pub trait Plain: NoUninit + AnyBitPattern + Send + Sync {}
impl<T: NoUninit + AnyBitPattern + Send + Sync> Plain for T {}

/// A run of bytes that a kernel may be lent.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: *mut u8,
    len: usize,
}

impl Span {
    /// No bytes.
    pub const EMPTY: Span = Span { start: core::ptr::without_provenance_mut(64), len: 0 };

    /// Bytes to read. They must never be given to [`Io`] as an output.
    pub fn read_only(bytes: &[u8]) -> Span {
        Span { start: bytes.as_ptr().cast_mut(), len: bytes.len() }
    }

    /// Bytes to read and write.
    pub fn new(bytes: &mut [u8]) -> Span {
        Span { start: bytes.as_mut_ptr(), len: bytes.len() }
    }

    /// `len` bytes at `start`, to read and write.
    pub(crate) fn raw(start: *mut u8, len: usize) -> Span {
        Span { start, len }
    }

    /// The first byte.
    pub(crate) fn pointer(&self) -> *mut u8 {
        self.start
    }

    /// True when some byte belongs to both.
    #[inline]
    pub(crate) fn overlaps(&self, other: &Span) -> bool {
        // What is lent is memory of this process, so that its end has an address; an empty span has no byte to share.
        let (start, other_start) = (self.start.addr(), other.start.addr());
        start < other_start + other.len && other_start < start + self.len && self.len > 0 && other.len > 0
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The part `range` of these bytes.
    ///
    /// # Panics
    /// When the range reaches beyond the end.
    pub fn part(&self, range: Range<usize>) -> Span {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} bytes", self.len);
        Span { start: self.start.wrapping_add(range.start), len: range.end - range.start }
    }
}

// SAFETY: a span is an address and a length; it is followed only inside `Io`, whose maker vouches for it.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

/// What all tiles of a step share.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    /// The bytes of each input; `None` for one that is left out.
    pub inputs: &'a [Option<Span>],
    /// The bytes of each output.
    pub outputs: &'a [Span],
    /// Bytes that live while the step runs.
    pub workspace: Span,
    /// Where tiles report what they cannot compute with.
    pub faults: &'a Faults,
    /// The strings of the run.
    pub texts: Shelf,
}

/// Where the strings of a run are: as a [`Span`], followed only inside [`Io`].
#[derive(Clone, Copy, Debug)]
pub struct Shelf(NonNull<Texts>);

impl Shelf {
    /// These strings, to read and to add to.
    pub fn new(texts: &mut Texts) -> Shelf {
        Shelf(NonNull::from(texts))
    }
}

// SAFETY: as for `Span`; what is there is `Send` and `Sync` itself.
unsafe impl Send for Shelf {}
// SAFETY: as above.
unsafe impl Sync for Shelf {}

/// The memory of one block of tiles. See the [module](self).
pub struct Io<'a> {
    operands: Operands<'a>,
    scratch: Option<&'a mut [u8]>,
    tiles: Range<usize>,
    phase: Phase,
    taken: u32,
}

impl<'a> Io<'a> {
    /// The memory of one call of `run` for `tiles` of `phase`.
    ///
    /// # Safety
    /// For `'a`: the spans and the strings are valid, the spans aligned to 64 bytes (inputs and outputs at least to their element size); nobody
    /// writes the inputs; nobody else touches the outputs, the workspace and the strings, except calls of the same kernel for other
    /// tiles of the same phase, and not even those when the phase is serial.
    pub unsafe fn new(
        operands: Operands<'a>,
        scratch: &'a mut [u8],
        tiles: Range<usize>,
        phase: Phase,
    ) -> Io<'a> {
        Io { operands, scratch: Some(scratch), tiles, phase, taken: 0 }
    }

    /// The strings of the run, to read: for phases in which no tile makes strings.
    pub fn texts(&self) -> &Texts {
        // SAFETY: valid for `'a`, as `new` demands. Only `texts_mut` writes them: this call's is kept away by `&self`, and calls of a
        // phase in which there is one do not run at the same time.
        unsafe { self.operands.texts.0.as_ref() }
    }

    /// The strings of the run, to make new ones: for serial phases and phases of a single tile.
    ///
    /// # Panics
    /// When other tiles may run at the same time.
    pub fn texts_mut(&mut self) -> &mut Texts {
        assert!(self.alone(), "a serial phase, or all tiles at once");
        // SAFETY: valid for `'a`; no other call runs at the same time, and `&mut self` keeps this call's other references away.
        unsafe { self.operands.texts.0.as_mut() }
    }

    /// Says that the node cannot be computed: the run ends with this error when the block of tiles is done. What the tiles
    /// write is looked at by nobody; the first fault of a step is the one that is told.
    #[cold]
    pub fn fail(&self, fault: Fault) {
        self.operands.faults.report(fault);
    }

    /// The tiles to compute.
    pub fn tiles(&self) -> Range<usize> {
        self.tiles.clone()
    }

    /// True when input `index` is there.
    pub fn has_input(&self, index: usize) -> bool {
        matches!(self.operands.inputs.get(index), Some(Some(_)))
    }

    /// How many inputs there are, left-out ones in the middle included.
    pub fn inputs(&self) -> usize {
        self.operands.inputs.len()
    }

    /// The elements of input `index`, dense and row-major.
    ///
    /// # Panics
    /// When it is left out or its bytes are no whole number of `T`: a kernel asks only for what it was built for.
    pub fn input<T: Plain>(&self, index: usize) -> &'a [T] {
        let span = self.operands.inputs[index].expect("an input the kernel was built for");
        // SAFETY: valid for `'a` and not written, as `new` demands; the cast checks alignment and size.
        bytemuck::cast_slice(unsafe { core::slice::from_raw_parts(span.start, span.len) })
    }

    /// The consecutive elements of output 0 that the call's tiles own, for a phase made by [`Phase::rows`].
    ///
    /// # Panics
    /// When the phase has no unit or they were taken already.
    pub fn rows<T: Plain>(&mut self) -> &'a mut [T] {
        assert!(self.phase.unit > 0, "a phase made by Phase::rows");
        self.take(0);
        let span = self.operands.outputs[0];
        let len = span.len / size_of::<T>();
        let start = (self.tiles.start * self.phase.unit).min(len);
        let end = (self.tiles.end * self.phase.unit).min(len);
        let part = span.part(start * size_of::<T>()..end * size_of::<T>());
        // SAFETY: other calls have other tiles and therefore other elements; this call takes them once.
        bytemuck::cast_slice_mut(unsafe { core::slice::from_raw_parts_mut(part.start, part.len) })
    }

    /// All elements of output `index`, for serial phases and phases of a single tile.
    ///
    /// # Panics
    /// When other tiles may run at the same time or it was taken already.
    pub fn whole<T: Plain>(&mut self, index: usize) -> &'a mut [T] {
        assert!(self.alone(), "a serial phase, or all tiles at once");
        self.take(index);
        let span = self.operands.outputs[index];
        // SAFETY: no other call runs at the same time; this call takes it once.
        bytemuck::cast_slice_mut(unsafe { core::slice::from_raw_parts_mut(span.start, span.len) })
    }

    /// All of the workspace, under the conditions of [`Io::whole`].
    pub fn whole_workspace<T: Plain>(&mut self) -> &'a mut [T] {
        assert!(self.alone(), "a serial phase, or all tiles at once");
        self.take(31);
        // SAFETY: no other call runs at the same time; this call takes it once.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(self.operands.workspace.start, self.operands.workspace.len)
        };
        whole_elements(bytes)
    }

    /// What an earlier phase left in the workspace, for a phase that only reads it.
    ///
    /// # Safety
    /// No call of this phase writes the workspace.
    pub unsafe fn read_workspace<T: Plain>(&self) -> &'a [T] {
        // SAFETY: the caller vouches that nobody writes it.
        let bytes = unsafe {
            core::slice::from_raw_parts(self.operands.workspace.start, self.operands.workspace.len)
        };
        let size = size_of::<T>();
        bytemuck::cast_slice(&bytes[..bytes.len() / size * size])
    }

    /// Output `index` as a handle through which tiles write the elements that they own.
    pub fn shared<T: Plain>(&self, index: usize) -> Shared<'a, T> {
        Shared::new(self.operands.outputs[index])
    }

    /// The workspace as such a handle.
    pub fn shared_workspace<T: Plain>(&self) -> Shared<'a, T> {
        Shared::new(self.operands.workspace)
    }

    /// The scratch of this call: no other call sees it.
    ///
    /// # Panics
    /// When it was taken already.
    pub fn scratch<T: Plain>(&mut self) -> &'a mut [T] {
        whole_elements(self.scratch.take().expect("the scratch is taken once a call"))
    }

    fn alone(&self) -> bool {
        self.phase.serial || self.phase.tiles <= 1
    }

    fn take(&mut self, index: usize) {
        assert!(
            index < 32 && self.taken & (1 << index) == 0,
            "output {index} is taken once a call, and is below 31"
        );
        self.taken |= 1 << index;
    }
}

fn whole_elements<T: Plain>(bytes: &mut [u8]) -> &mut [T] {
    let size = size_of::<T>();
    let len = bytes.len() / size * size;
    bytemuck::cast_slice_mut(&mut bytes[..len])
}

/// Elements that several tiles write, each its own.
#[derive(Clone, Copy)]
pub struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    of: PhantomData<&'a mut [T]>,
}

impl<'a, T: Plain> Shared<'a, T> {
    fn new(span: Span) -> Shared<'a, T> {
        assert!(span.start.addr().is_multiple_of(align_of::<T>()), "aligned elements");
        Shared { start: span.start.cast(), len: span.len / size_of::<T>(), of: PhantomData }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements in `range`, to write.
    ///
    /// # Safety
    /// They belong to a tile of this call, and no other reference to any of them lives.
    ///
    /// # Panics
    /// When the range reaches beyond the end.
    pub unsafe fn range(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {} elements", self.len);
        // SAFETY: in bounds; the caller vouches that the elements are its own.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start) }
    }

    /// The address of element `index`, for code that writes blocks with a stride.
    ///
    /// # Panics
    /// When the index lies beyond the end (the end itself is allowed).
    pub fn pointer(&self, index: usize) -> *mut T {
        assert!(index <= self.len, "{index} of {} elements", self.len);
        self.start.wrapping_add(index)
    }
}
