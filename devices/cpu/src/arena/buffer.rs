//! Memory that grows: bytes in whole lines, so that every value begins where vectors can be loaded.

use alloc::vec::Vec;
use core::ops::Range;

use super::{ALIGNMENT, OutOfMemory};
use crate::io::Span;

/// Bytes that begin at a multiple of [`ALIGNMENT`], zero when fresh.
#[derive(Default)]
pub(super) struct Buffer {
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
    pub(super) fn capacity(&self) -> usize {
        self.lines.len() * ALIGNMENT
    }

    /// At least `len` bytes. When it grows, what it held is lost.
    #[inline]
    pub(super) fn grow(&mut self, len: usize) -> Result<(), OutOfMemory> {
        if len > self.capacity() {
            // The old bytes go first, so that both are never held at the same time.
            self.lines = Vec::new();
            self.lines = bytemuck::allocation::try_zeroed_vec(len.div_ceil(ALIGNMENT))
                .map_err(|()| OutOfMemory(len))?;
        }
        Ok(())
    }

    /// At least `len` bytes, of which the first `held` keep what they hold. Grows by half at least, so that a buffer to which
    /// one row after the other is added does not move every time.
    pub(super) fn extend(&mut self, held: usize, len: usize) -> Result<(), OutOfMemory> {
        if len > self.capacity() {
            let mut larger = Buffer::default();
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
