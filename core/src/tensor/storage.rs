//! Storage: who owns the bytes, and the lease that says who may touch them now.
//!
//! A [`Storage`] is a counted share in one block of bytes. The block's lease is one atomic word: 0 when free, `n` when `n`
//! readers hold it, [`WRITING`] when one writer does. All access to the bytes goes through a lease that was granted, so
//! this file is the only one that needs to argue about aliasing. It knows nothing of element types or shapes.
#![allow(unsafe_code)]

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicUsize, Ordering};

const WRITING: usize = usize::MAX;

/// The storage is held by another view or run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tensor's storage is {}", if *.written { "being written by another view or run" } else { "held by other readers" })]
pub struct InUse {
    /// True when a writer holds it, false when readers do.
    pub written: bool,
}

/// One cache line: the unit of allocation, so that every storage starts at a multiple of 64 bytes.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

struct Block {
    lease: AtomicUsize,
    bytes: UnsafeCell<Vec<Line>>,
    len: usize,
}

// SAFETY: the bytes are reached only through leases: shared while the lease word counts readers, exclusively while it says
// `WRITING`; the acquire and release orderings on that word order the accesses of different threads.
unsafe impl Sync for Block {}

/// A counted share in a block of bytes.
#[derive(Clone)]
pub(super) struct Storage(Arc<Block>);

impl core::fmt::Debug for Storage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Storage({} bytes)", self.0.len)
    }
}

impl Storage {
    /// A block of `len` zero bytes, aligned to 64.
    pub(super) fn zeroed(len: usize) -> Storage {
        let lines = bytemuck::allocation::zeroed_vec(len.div_ceil(64));
        Storage(Arc::new(Block { lease: AtomicUsize::new(0), bytes: UnsafeCell::new(lines), len }))
    }

    /// Bytes of the block.
    pub(super) fn len(&self) -> usize {
        self.0.len
    }

    /// True when both are shares in one block.
    pub(super) fn same(&self, other: &Storage) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A reader's lease: granted unless a writer holds the block.
    pub(super) fn read(&self) -> Result<ReadLease, InUse> {
        let mut seen = self.0.lease.load(Ordering::Relaxed);
        loop {
            if seen >= WRITING - 1 {
                return Err(InUse { written: true });
            }
            match self.0.lease.compare_exchange_weak(seen, seen + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Ok(ReadLease(self.clone())),
                Err(now) => seen = now,
            }
        }
    }

    /// The writer's lease: granted when nobody else holds the block.
    pub(super) fn write(&self) -> Result<WriteLease, InUse> {
        match self.0.lease.compare_exchange(0, WRITING, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(WriteLease(self.clone())),
            Err(seen) => Err(InUse { written: seen == WRITING }),
        }
    }
}

/// The right to read a storage until dropped. Others may read too, nobody may write.
#[derive(Debug)]
pub struct ReadLease(Storage);

impl ReadLease {
    /// All bytes of the storage.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: while this lease lives the word counts it, so no writer's lease can be granted.
        let lines = unsafe { &*self.0.0.bytes.get() };
        &bytemuck::cast_slice(lines)[..self.0.0.len]
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
    /// All bytes of the storage.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the word says `WRITING` on behalf of this lease alone; `&self` keeps `bytes_mut` away.
        let lines = unsafe { &*self.0.0.bytes.get() };
        &bytemuck::cast_slice(lines)[..self.0.0.len]
    }

    /// All bytes of the storage, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.0.0.len;
        // SAFETY: the word says `WRITING` on behalf of this lease alone, and `&mut self` makes this the only access through it.
        let lines = unsafe { &mut *self.0.0.bytes.get() };
        &mut bytemuck::cast_slice_mut(lines)[..len]
    }
}

impl Drop for WriteLease {
    fn drop(&mut self) {
        self.0.0.lease.store(0, Ordering::Release);
    }
}
