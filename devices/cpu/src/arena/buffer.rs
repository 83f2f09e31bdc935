//! Memory that grows: bytes in whole lines, so that every value begins where vectors can be loaded.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use spin::Mutex;

use super::{ALIGNMENT, OutOfMemory};
use crate::io::Span;

/// How many bytes the buffers of a request may still take together; without a count, as many as there are.
///
/// Only the work of one request counts with it, and never on two threads at the same time, so that nobody waits for the lock.
#[derive(Clone, Default)]
pub(crate) struct Meter(Option<Arc<Count>>);

struct Count {
    limit: usize,
    left: Mutex<usize>,
}

impl Meter {
    /// At most so many bytes.
    pub(crate) fn of(bytes: usize) -> Meter {
        Meter(Some(Arc::new(Count { limit: bytes, left: Mutex::new(bytes) })))
    }

    /// Whether one value may have so many bytes, and they can be had; see [`can_be_had`].
    pub(crate) fn allows(&self, bytes: usize) -> Result<(), OutOfMemory> {
        match &self.0 {
            Some(count) if bytes > count.limit => Err(OutOfMemory(bytes)),
            _ => can_be_had(bytes),
        }
    }

    fn take(&self, bytes: usize) -> Result<(), OutOfMemory> {
        let Some(count) = &self.0 else { return Ok(()) };
        let mut left = count.left.lock();
        *left = left.checked_sub(bytes).ok_or(OutOfMemory(bytes))?;
        Ok(())
    }

    fn give(&self, bytes: usize) {
        if let Some(count) = &self.0 {
            let mut left = count.left.lock();
            *left = left.saturating_add(bytes);
        }
    }
}

/// Bytes that begin at a multiple of [`ALIGNMENT`], zero when fresh.
#[derive(Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
    meter: Meter,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.meter.give(self.capacity());
    }
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
    /// An empty one whose bytes count.
    pub(super) fn new(meter: &Meter) -> Buffer {
        Buffer { lines: Vec::new(), meter: meter.clone() }
    }

    pub(super) fn capacity(&self) -> usize {
        self.lines.len() * ALIGNMENT
    }

    /// At least `len` bytes. When it grows, what it held is lost.
    #[inline]
    pub(super) fn grow(&mut self, len: usize) -> Result<(), OutOfMemory> {
        if len > self.capacity() {
            // The old bytes go first, so that both are never held at the same time.
            self.meter.give(self.capacity());
            self.lines = Vec::new();
            let lines = len.div_ceil(ALIGNMENT);
            self.meter.take(lines.saturating_mul(ALIGNMENT)).map_err(|_| OutOfMemory(len))?;
            self.lines = bytemuck::allocation::try_zeroed_vec(lines).map_err(|()| {
                self.meter.give(lines.saturating_mul(ALIGNMENT));
                OutOfMemory(len)
            })?;
        }
        Ok(())
    }

    /// At least `len` bytes, of which the first `held` keep what they hold. Grows by half at least, so that a buffer to which
    /// one row after the other is added does not move every time.
    pub(super) fn extend(&mut self, held: usize, len: usize) -> Result<(), OutOfMemory> {
        if len > self.capacity() {
            let mut larger = Buffer::new(&self.meter);
            let ample = len.max(self.capacity() / 2 * 3);
            larger.grow(ample).or_else(|_| larger.grow(len))?;
            larger.bytes()[..held].copy_from_slice(&self.bytes()[..held]);
            *self = larger;
        }
        Ok(())
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.lines)
    }

    /// The bytes, to read.
    pub(super) fn read(&self) -> &[u8] {
        bytemuck::cast_slice(&self.lines)
    }

    #[inline]
    pub(super) fn span(&mut self, range: Range<usize>) -> Span {
        self.all().part(range)
    }

    #[inline]
    pub(super) fn all(&mut self) -> Span {
        // By the pointer, not through a new exclusive reference: earlier spans of the same buffer stay good.
        Span::raw(self.lines.as_mut_ptr().cast(), self.capacity())
    }
}
