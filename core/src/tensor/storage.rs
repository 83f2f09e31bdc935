//! Storage: who owns the bytes, and the lease that says who may touch them now.
//!
//! A [`Storage`] is a counted share in one block of memory: owned, borrowed for ever, kept alive by a foreign owner, cut
//! out of another block, or on a device: then it is only a claim to an object there, and a lease shows no bytes. The block's lease is one atomic word: 0 when free, `n` when `n` readers hold it, [`WRITING`]
//! when one writer does. All access to the memory goes through a lease that was granted, so this file is the only one
//! that needs to argue about aliasing. It knows nothing of element types or shapes; it knows strings only because they
//! are not plain bytes.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut, Range};
use core::ptr::NonNull;
use core::slice;

use bytemuck::checked::CheckedCastError;
use bytemuck::{NoUninit, Pod};

use super::element::Element;
use super::error::{InUse, LeaseError, OutOfMemory};
use crate::remote::{Claim, ObjectId};
use crate::steps::Pace;
use crate::sync::{Arc, AtomicWord, Ordering, UnsafeCell, Word};

/// The lease word while a writer holds the block. Readers never get as far.
const WRITING: Word = Word::MAX;

/// A counted share in a block of memory. See the [module](super) for what a tensor adds to it.
///
/// A fresh block is aligned to 64 bytes; memory that came from elsewhere lies where it lies.
#[derive(Clone)]
pub struct Storage(Arc<Block>);

struct Block {
    lease: AtomicWord,
    /// The first byte. The pointer never changes; it is in a cell so that loom sees who reaches for the memory, and when.
    first: UnsafeCell<NonNull<u8>>,
    /// The address of the first byte, to look at without a lease.
    address: usize,
    /// Bytes of the block.
    len: usize,
    writable: bool,
    strings: bool,
    /// The memory is on a device: there are no bytes here to look at, and `first` points to none.
    remote: Option<Claim>,
    _keeper: Keeper,
}

/// What must stay alive while the block does.
#[expect(dead_code, reason = "kept to be dropped")]
enum Keeper {
    /// The memory outlives the program, or the caller of an unsafe constructor has promised that it lives.
    Nobody,
    /// The memory is our own.
    Lines { lines: Vec<Line> },
    /// The memory is our own and holds strings.
    Strings { strings: Vec<String> },
    /// Somebody else's value.
    Owner { owner: Owner },
    /// The block is a part of another one, which stays leased to write for as long as any part lives.
    Whole { lease: Arc<WriteLease> },
}

// SAFETY: the memory behind `first` is reached only through leases: shared while the lease word counts readers,
// exclusively while it says `WRITING`; the acquire and release orderings on that word order the accesses of different
// threads. The keeper is touched by nobody until it is dropped, and everything it may hold is `Send`.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn holds_bytes(&self) -> bool {
        !self.strings && self.remote.is_none()
    }

    /// The memory as bytes; none when it holds strings.
    ///
    /// # Safety
    /// The caller holds a lease for as long as the slice lives.
    unsafe fn bytes(&self) -> &[u8] {
        let len = if self.holds_bytes() { self.len } else { 0 };
        // SAFETY: the block has `len` initialised bytes that the keeper keeps, or none are asked for; nobody writes them under the lease.
        self.first.with(|first| unsafe { slice::from_raw_parts((*first).as_ptr(), len) })
    }

    /// The memory as bytes to write; none when it holds strings.
    ///
    /// # Safety
    /// The caller holds the writer's lease for as long as the slice lives and has no other slice.
    #[expect(clippy::mut_from_ref, reason = "the lease is what makes the access exclusive")]
    unsafe fn bytes_mut(&self) -> &mut [u8] {
        let len = if self.holds_bytes() { self.len } else { 0 };
        // SAFETY: as in `bytes`, and nobody else touches them under the writer's lease.
        self.first.with_mut(|first| unsafe { slice::from_raw_parts_mut((*first).as_ptr(), len) })
    }

    /// The memory as strings; none when it holds numbers.
    ///
    /// # Safety
    /// As for `bytes`.
    unsafe fn texts(&self) -> &[String] {
        if !self.strings {
            // Memory that holds numbers may lie anywhere, also where no string could.
            return &[];
        }
        let count = self.len / size_of::<String>();
        // SAFETY: a block of strings holds so many strings and nothing else; nobody writes them under the lease.
        self.first.with(|first| unsafe { slice::from_raw_parts((*first).as_ptr().cast(), count) })
    }

    /// The memory as strings to write; none when it holds numbers.
    ///
    /// # Safety
    /// As for `bytes_mut`.
    #[expect(clippy::mut_from_ref, reason = "the lease is what makes the access exclusive")]
    unsafe fn texts_mut(&self) -> &mut [String] {
        if !self.strings {
            return &mut [];
        }
        let count = self.len / size_of::<String>();
        // SAFETY: as in `texts`, and nobody else touches them under the writer's lease.
        self.first.with_mut(|first| unsafe { slice::from_raw_parts_mut((*first).as_ptr().cast(), count) })
    }
}

/// So many lines are cleared between two looks.
const CLEARED: usize = 1 << 10;

/// One cache line: the unit of allocation, so that every fresh block starts at a multiple of 64 bytes.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A value at a fixed address that is kept only to be dropped.
///
/// A raw pointer and not a `Box`: moving a `Box` claims that nobody else points into its value, and the block does.
struct Owner(NonNull<dyn Send>);

impl Drop for Owner {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::into_raw` and this is its only owner; the block whose memory borrows from
        // the value is being dropped, so no lease is left.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl core::fmt::Debug for Storage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let access = if self.0.writable { "" } else { ", read-only" };
        write!(f, "Storage({} bytes{access})", self.0.len)
    }
}

impl Storage {
    /// A block of `len` zero bytes, aligned to 64.
    pub fn zeroed(len: usize) -> Result<Storage, OutOfMemory> {
        let mut lines: Vec<Line> = bytemuck::allocation::try_zeroed_vec(len.div_ceil(64))
            .map_err(|()| OutOfMemory { bytes: len })?;
        let first = pointer(&mut lines);
        Ok(Storage::block(first, len, true, Keeper::Lines { lines }))
    }

    /// As [`Storage::zeroed`], with interruptions: it takes a millisecond or more to clear a megabyte that the system has to
    /// find first.
    pub(super) async fn zeroed_paced(len: usize, pace: &mut Pace) -> Result<Storage, OutOfMemory> {
        let (count, mut lines) = (len.div_ceil(64), Vec::<Line>::new());
        lines.try_reserve_exact(count).map_err(|_| OutOfMemory { bytes: len })?;
        while lines.len() < count {
            let piece = CLEARED.min(count - lines.len());
            lines.resize(lines.len() + piece, Line([0; 64]));
            pace.spend(piece as u64 * 20).await;
        }
        let first = pointer(&mut lines);
        Ok(Storage::block(first, len, true, Keeper::Lines { lines }))
    }

    /// A block of `count` empty strings.
    pub(super) fn strings(count: usize) -> Result<Storage, OutOfMemory> {
        let out_of_memory = OutOfMemory { bytes: count.saturating_mul(size_of::<String>()) };
        let mut strings = Vec::new();
        strings.try_reserve_exact(count).map_err(|_| out_of_memory)?;
        strings.resize_with(count, String::new);
        let first = pointer(&mut strings);
        Ok(Storage::block(first, count * size_of::<String>(), true, Keeper::Strings { strings }))
    }

    /// Memory that is there for ever, to read.
    pub fn from_static<T: NoUninit>(values: &'static [T]) -> Storage {
        Storage::block(NonNull::from(values).cast(), size_of_val(values), false, Keeper::Nobody)
    }

    /// Memory that is there for ever and that nobody else can reach, to read and write.
    pub fn from_static_mut<T: Pod>(values: &'static mut [T]) -> Storage {
        let len = size_of_val(values);
        Storage::block(NonNull::from(values).cast(), len, true, Keeper::Nobody)
    }

    /// The values of an owner that others may share, to read: an `Arc<[f32]>`, a mapped file. The owner is dropped with
    /// the last share in the storage.
    pub fn shared<T, O>(owner: O) -> Storage
    where
        T: NoUninit,
        O: AsRef<[T]> + Send + Sync + 'static,
    {
        let owner = Box::into_raw(Box::new(owner));
        let keeper = Keeper::Owner { owner: Owner(NonNull::new(owner).expect("a box is never null")) };
        // SAFETY: the owner was just boxed, will not move again, and is not touched until the keeper drops it, after the
        // last lease. So the shared borrow made here may last as long as the block.
        let values: &[T] = unsafe { (*owner).as_ref() };
        Storage::block(NonNull::from(values).cast(), size_of_val(values), false, keeper)
    }

    /// The values of an owner that nobody shares, to read and write: a `Vec<f32>`, memory of a custom allocator. The
    /// owner is dropped with the last share in the storage.
    pub fn exclusive<T, O>(owner: O) -> Storage
    where
        T: Pod,
        O: AsMut<[T]> + Send + 'static,
    {
        let owner = Box::into_raw(Box::new(owner));
        let keeper = Keeper::Owner { owner: Owner(NonNull::new(owner).expect("a box is never null")) };
        // SAFETY: as in `shared`, and nobody else has the owner, so the borrow may be a mutable one. Whatever bytes are
        // written through it are values of `T`, which is plain data.
        let values: &mut [T] = unsafe { (*owner).as_mut() };
        let len = size_of_val(values);
        Storage::block(NonNull::from(values).cast(), len, true, keeper)
    }

    /// Borrowed memory, to read and write.
    ///
    /// # Safety
    /// The `len` bytes at `first` must be initialised, in one allocation, and at most `isize::MAX`. Until the last
    /// tensor, lease and view over this storage is dropped (a run holds leases until it has settled, even when its
    /// handle was dropped), the memory must stay there and nobody may touch it by other means.
    pub unsafe fn from_raw(first: NonNull<u8>, len: usize) -> Storage {
        Storage::block(first, len, true, Keeper::Nobody)
    }

    /// Borrowed memory, to read.
    ///
    /// # Safety
    /// As [`Storage::from_raw`], but others may read the memory too; nobody may write it.
    pub unsafe fn from_raw_const(first: NonNull<u8>, len: usize) -> Storage {
        Storage::block(first, len, false, Keeper::Nobody)
    }

    fn block(first: NonNull<u8>, len: usize, writable: bool, keeper: Keeper) -> Storage {
        let strings = match &keeper {
            Keeper::Strings { .. } => true,
            Keeper::Whole { lease } => lease.0.0.strings,
            _ => false,
        };
        let address = first.as_ptr().addr();
        let (lease, first) = (AtomicWord::new(0), UnsafeCell::new(first));
        let remote = None;
        Storage(Arc::new(Block { lease, first, address, len, writable, strings, remote, _keeper: keeper }))
    }

    /// `len` bytes on a device. The leases are real; the bytes are not here.
    pub(crate) fn remote(claim: Claim, len: usize) -> Storage {
        let (lease, first) = (AtomicWord::new(0), UnsafeCell::new(NonNull::dangling()));
        let (remote, _keeper) = (Some(claim), Keeper::Nobody);
        // As far as alignment goes it begins where any block of our own does.
        Storage(Arc::new(Block {
            lease,
            first,
            address: 0,
            len,
            writable: true,
            strings: false,
            remote,
            _keeper,
        }))
    }

    /// Bytes of the block; of a block of strings, of their handles.
    pub fn len(&self) -> usize {
        self.0.len
    }

    /// True for a block of no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// True when there is a writer's lease to be had.
    pub fn is_writable(&self) -> bool {
        self.0.writable
    }

    /// True when both are shares in one block.
    pub fn same(&self, other: &Storage) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The object on a device, when the bytes are not here.
    pub(super) fn object(&self) -> Option<&ObjectId> {
        self.0.remote.as_ref().map(Claim::id)
    }

    /// The address of the first byte.
    pub(super) fn address(&self) -> usize {
        self.0.address
    }

    /// True when the block holds strings, not numbers.
    pub(super) fn holds_strings(&self) -> bool {
        self.0.strings
    }

    /// A reader's lease: granted unless a writer holds the block.
    pub fn read(&self) -> Result<ReadLease, InUse> {
        let mut seen = self.0.lease.load(Ordering::Relaxed);
        loop {
            // One below `WRITING` is not granted either: the word would then claim a writer.
            if seen >= WRITING - 1 {
                return Err(InUse { written: true });
            }
            match self.0.lease.compare_exchange_weak(seen, seen + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(ReadLease(self.clone())),
                Err(now) => seen = now,
            }
        }
    }

    /// The writer's lease: granted when nobody else holds the block, never for read-only memory.
    pub fn write(&self) -> Result<WriteLease, LeaseError> {
        if !self.0.writable {
            return Err(LeaseError::ReadOnly);
        }
        match self.0.lease.compare_exchange(0, WRITING, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(WriteLease(self.clone())),
            Err(seen) => Err(InUse { written: seen == WRITING }.into()),
        }
    }
}

/// The right to read a storage until dropped. Others may read too, nobody may write.
#[derive(Debug)]
pub struct ReadLease(Storage);

impl ReadLease {
    /// All bytes of the storage; none when it holds strings.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: while this lease lives the word counts it, so no writer's lease can be granted.
        unsafe { self.0.0.bytes() }
    }

    /// All strings of the storage; none when it holds numbers.
    pub fn strings(&self) -> &[String] {
        // SAFETY: as in `bytes`.
        unsafe { self.0.0.texts() }
    }
}

impl Drop for ReadLease {
    fn drop(&mut self) {
        self.0.0.lease.fetch_sub(1, Ordering::Release);
    }
}

/// The right to read and write a storage until dropped. Nobody else may touch it.
#[derive(Debug)]
pub struct WriteLease(Storage);

impl WriteLease {
    /// All bytes of the storage; none when it holds strings.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the word says `WRITING` on behalf of this lease alone; `&self` keeps `bytes_mut` away.
        unsafe { self.0.0.bytes() }
    }

    /// All bytes of the storage, to write; none when it holds strings.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the word says `WRITING` on behalf of this lease alone, and `&mut self` makes this the only access
        // through it. Only writable memory gives this lease.
        unsafe { self.0.0.bytes_mut() }
    }

    /// All strings of the storage; none when it holds numbers.
    pub fn strings(&self) -> &[String] {
        // SAFETY: as in `bytes`.
        unsafe { self.0.0.texts() }
    }

    /// All strings of the storage, to write; none when it holds numbers.
    pub fn strings_mut(&mut self) -> &mut [String] {
        // SAFETY: as in `bytes_mut`.
        unsafe { self.0.0.texts_mut() }
    }

    /// Gives this lease up for storages over parts of the block, each with a lease of its own. The block becomes free
    /// when the last share in the last part is dropped.
    ///
    /// # Panics
    /// When the byte ranges overlap, are not ascending or lie outside, and when the block is on a device.
    pub(super) fn split(self, parts: &[Range<usize>]) -> Vec<Storage> {
        assert!(self.0.0.remote.is_none(), "there are no bytes here to split");
        let len = self.0.0.len;
        let mut free_from = 0;
        for part in parts {
            assert!(free_from <= part.start && part.start <= part.end && part.end <= len, "parts overlap");
            free_from = part.end;
        }
        // SAFETY: the pointer never changes.
        let first = self.0.0.first.with_mut(|first| unsafe { *first });
        let lease = Arc::new(self);
        let part = |part: &Range<usize>| {
            // SAFETY: checked above to lie within the block.
            let first = unsafe { first.add(part.start) };
            // Nobody reaches the bytes of the part by the parent: its lease stays taken and is never looked through again.
            Storage::block(first, part.len(), true, Keeper::Whole { lease: lease.clone() })
        };
        parts.iter().map(part).collect()
    }
}

impl Drop for WriteLease {
    fn drop(&mut self) {
        self.0.0.lease.store(0, Ordering::Release);
    }
}

/// Values of `T` in leased bytes: looked through once when made, free to look at afterwards.
#[derive(Debug)]
pub(super) struct Typed<T, L> {
    lease: L,
    range: Range<usize>,
    of: PhantomData<T>,
}

impl<T: Element> Typed<T, ReadLease> {
    /// The values in a range of bytes.
    pub(super) fn read(lease: ReadLease, range: Range<usize>) -> Result<Self, CheckedCastError> {
        bytemuck::checked::try_cast_slice::<u8, T>(&lease.bytes()[range.clone()])?;
        Ok(Typed { lease, range, of: PhantomData })
    }
}

impl<T: Element> Typed<T, WriteLease> {
    /// The values in a range of bytes, to write.
    pub(super) fn write(lease: WriteLease, range: Range<usize>) -> Result<Self, CheckedCastError> {
        bytemuck::checked::try_cast_slice::<u8, T>(&lease.bytes()[range.clone()])?;
        Ok(Typed { lease, range, of: PhantomData })
    }
}

impl<T: Element> Deref for Typed<T, ReadLease> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let bytes = &self.lease.bytes()[self.range.clone()];
        // SAFETY: these bytes were found to be values of `T` and the lease has kept everybody from writing since.
        unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }
}

impl<T: Element> Deref for Typed<T, WriteLease> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        let bytes = &self.lease.bytes()[self.range.clone()];
        // SAFETY: these bytes were found to be values of `T`, and since then only values of `T` were written, by `deref_mut`.
        unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }
}

impl<T: Element> DerefMut for Typed<T, WriteLease> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes = &mut self.lease.bytes_mut()[self.range.clone()];
        // SAFETY: as in `deref`; whatever is written through this slice is a value of `T`, which has no padding.
        unsafe { slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / size_of::<T>()) }
    }
}

fn pointer<T>(values: &mut Vec<T>) -> NonNull<u8> {
    NonNull::new(values.as_mut_ptr()).expect("a vector's pointer is never null").cast()
}

#[cfg(test)]
mod tests {
    use super::super::{ElementType, Tensor, TensorError};
    use super::*;
    use std::vec;

    /// Values that count their owners' ends, and that could come from any allocator.
    struct Counted {
        values: Vec<f32>,
        dropped: Arc<AtomicWord>,
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl AsRef<[f32]> for Counted {
        fn as_ref(&self) -> &[f32] {
            &self.values
        }
    }

    impl AsMut<[f32]> for Counted {
        fn as_mut(&mut self) -> &mut [f32] {
            &mut self.values
        }
    }

    fn counted() -> (Counted, Arc<AtomicWord>) {
        let dropped = Arc::new(AtomicWord::new(0));
        (Counted { values: vec![1.0, 2.0, 3.0, 4.0], dropped: dropped.clone() }, dropped)
    }

    #[test]
    fn tensors_leases_and_views_cross_threads() {
        fn crosses<T: Send + Sync>() {}
        crosses::<Tensor>();
        crosses::<Storage>();
        crosses::<ReadLease>();
        crosses::<WriteLease>();
        crosses::<super::super::Slice<'_, f32>>();
        crosses::<super::super::ViewMut<'_, f32>>();
        crosses::<super::super::StringsMut<'_>>();
    }

    #[test]
    fn fresh_memory_is_zero_and_aligned_to_64_bytes() {
        for len in [0, 1, 63, 64, 65, 1000] {
            let storage = Storage::zeroed(len).unwrap();
            assert_eq!(storage.address() % 64, 0);
            assert_eq!(storage.read().unwrap().bytes(), vec![0; len]);
        }
    }

    #[test]
    fn an_owner_is_dropped_once_with_the_last_that_holds_its_memory() {
        let (owner, dropped) = counted();
        let first = owner.values.as_ptr();
        let mut tensor =
            Tensor::from_storage(Storage::exclusive::<f32, _>(owner), ElementType::F32, [2, 2]).unwrap();
        assert_eq!(tensor.as_slice::<f32>().unwrap().as_ptr(), first);
        tensor.as_slice_mut::<f32>().unwrap()[0] = 10.0;
        let mut parts = tensor.split_mut(0, &[1]).unwrap();
        drop(tensor);
        let row = parts.remove(0).region(&[0..1, 0..1]).unwrap();
        drop(parts);
        let lease = row.lease_read().unwrap();
        drop(row);
        assert_eq!(
            (lease.bytes(), dropped.load(Ordering::Relaxed)),
            (&bytemuck::cast::<_, [u8; 8]>([10.0f32, 2.0])[..], 0)
        );
        drop(lease);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_shared_owner_is_read_in_place_and_never_written() {
        let (owner, dropped) = counted();
        let owner = Arc::new(owner);
        struct Sharing(Arc<Counted>);
        impl AsRef<[f32]> for Sharing {
            fn as_ref(&self) -> &[f32] {
                self.0.as_ref().as_ref()
            }
        }
        let storage = Storage::shared::<f32, _>(Sharing(owner.clone()));
        let mut tensor = Tensor::from_storage(storage, ElementType::F32, [2, 2]).unwrap();
        assert_eq!(tensor.as_slice::<f32>().unwrap().as_ptr(), owner.values.as_ptr());
        assert!(tensor.is_read_only());
        assert_eq!(tensor.lease_write().unwrap_err(), LeaseError::ReadOnly);
        assert_eq!(tensor.as_slice_mut::<f32>().unwrap_err(), TensorError::ReadOnly);
        assert_eq!(tensor.view_mut::<f32>().unwrap_err(), TensorError::ReadOnly);
        assert_eq!(tensor.region(&[1..2, 0..1]).unwrap().lease_write().unwrap_err(), LeaseError::ReadOnly);
        drop(owner);
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
        drop(tensor);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_owner_whose_values_lie_within_itself_does_not_move() {
        let storage = Storage::exclusive::<u8, _>([1u8, 2, 3, 4]);
        let tensor = Tensor::from_storage(storage, ElementType::U8, [4]).unwrap();
        let moved = Box::new(tensor);
        assert_eq!(moved.to_vec::<u8>().unwrap(), [1, 2, 3, 4]);
    }

    #[test]
    fn static_memory_is_used_in_place() {
        static VALUES: [u16; 3] = [1, 2, 3];
        let tensor = Tensor::from_static(&VALUES, [3]).unwrap();
        assert_eq!(tensor.as_slice::<u16>().unwrap().as_ptr(), VALUES.as_ptr());
        static mut OURS: [u16; 3] = [0; 3];
        // SAFETY: nobody else can name it, and this test runs once.
        let ours: &'static mut [u16] = unsafe { slice::from_raw_parts_mut((&raw mut OURS).cast(), 3) };
        let first = ours.as_ptr();
        let mut tensor = Tensor::from_storage(Storage::from_static_mut(ours), ElementType::U16, [3]).unwrap();
        tensor.copy_from(&Tensor::from_static(&VALUES, [3]).unwrap()).unwrap();
        assert_eq!(
            (tensor.as_slice::<u16>().unwrap().as_ptr(), &*tensor.as_slice::<u16>().unwrap()),
            (first, &VALUES[..])
        );
    }

    #[test]
    fn raw_memory_is_used_in_place() {
        let mut memory = [1i32, 2, 3, 4];
        let first = NonNull::from(&mut memory).cast();
        // SAFETY: `memory` outlives the tensors of this block, and is not touched in it.
        unsafe {
            let written = Tensor::from_storage(Storage::from_raw(first, 8), ElementType::I32, [2]);
            written.unwrap().as_slice_mut::<i32>().unwrap().fill(9);
            let read =
                Tensor::from_storage(Storage::from_raw_const(first, 16), ElementType::I32, [4]).unwrap();
            assert_eq!(read.to_vec::<i32>().unwrap(), [9, 9, 3, 4]);
            assert!(read.is_read_only());
        }
        assert_eq!(memory, [9, 9, 3, 4]);
    }

    #[test]
    #[should_panic = "parts overlap"]
    fn parts_that_overlap_are_never_made() {
        let lease = Storage::zeroed(4).unwrap().write().unwrap();
        lease.split(&[0..2, 1..3]);
    }

    #[test]
    fn the_block_is_free_when_its_parts_are_gone() {
        let storage = Storage::zeroed(4).unwrap();
        let parts = storage.write().unwrap().split(&[0..2, 2..4]);
        assert_eq!(storage.read().unwrap_err(), InUse { written: true });
        drop(parts);
        assert!(storage.read().is_ok());
    }
}
