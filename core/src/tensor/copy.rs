//! Copying elements between layouts: dense or strided on either side.
//!
//! The functions on bytes are for devices, which hold leases and know offsets; [`Tensor::copy_to`] is for everybody
//! else. A copy moves the longest runs that lie together on both sides. It never converts between element types.

use super::layout::{Layout, LayoutError};
use super::walk::Walk;
use super::{ElementType, Tensor, TensorError};

/// Copies the elements that lie as `layout` says, the first at the first byte of `from`, to `dense` in row-major order
/// without gaps. `dense` may be longer than the elements.
///
/// A long gather can be cut into pieces with [`Layout::region`] along the outermost dimension.
pub fn gather(
    layout: &Layout,
    element_size: usize,
    from: &[u8],
    dense: &mut [u8],
) -> Result<(), LayoutError> {
    copy_bytes(element_size, layout, from, &dense_like(layout, element_size)?, dense)
}

/// The way back from [`gather`]: copies dense elements to where `layout` says; the bytes between them stay as they are.
pub fn scatter(layout: &Layout, element_size: usize, dense: &[u8], to: &mut [u8]) -> Result<(), LayoutError> {
    copy_bytes(element_size, &dense_like(layout, element_size)?, dense, layout, to)
}

/// Copies elements from one layout to another of the same shape; each slice begins with its first element.
pub fn copy_bytes(
    element_size: usize,
    from_layout: &Layout,
    from: &[u8],
    to_layout: &Layout,
    to: &mut [u8],
) -> Result<(), LayoutError> {
    if from_layout.shape() != to_layout.shape() {
        return Err(LayoutError::Shapes { from: from_layout.shape().clone(), to: to_layout.shape().clone() });
    }
    room(from_layout.span(element_size), from.len())?;
    room(to_layout.span(element_size), to.len())?;
    let mut walk = Walk::new([from_layout, to_layout], element_size);
    // Runs of one small element are copied a lane at a time, with the size known to the compiler.
    if let (1 | 2 | 4 | 8, Some(lane)) = (walk.run, walk.axes.last().copied()) {
        let run = walk.run;
        walk.axes.pop();
        let [from_stride, to_stride] = lane.strides;
        let [from_reach, to_reach] = lane.strides.map(|stride| stride * (lane.extent - 1) + run);
        for [from_at, to_at] in walk.starts() {
            let from = from[from_at..from_at + from_reach].chunks(from_stride);
            let to = to[to_at..to_at + to_reach].chunks_mut(to_stride);
            match run {
                1 => copy_lane::<1>(from, to),
                2 => copy_lane::<2>(from, to),
                4 => copy_lane::<4>(from, to),
                _ => copy_lane::<8>(from, to),
            }
        }
    } else {
        for [from_at, to_at] in walk.starts() {
            to[to_at..to_at + walk.run].copy_from_slice(&from[from_at..from_at + walk.run]);
        }
    }
    Ok(())
}

impl Tensor {
    /// Copies all elements to `target`, which takes this tensor's shape as by [`Tensor::set_shape`]. Any layout to any
    /// layout; strings are copied one by one. Memory is taken only when `target` has to grow.
    ///
    /// # Errors
    /// Another element type, a target that is read-only or cannot take the shape, and leases held elsewhere: also when
    /// both tensors share one storage. A target that was refused is unchanged.
    pub fn copy_to(&self, target: &mut Tensor) -> Result<(), TensorError> {
        if self.element != target.element {
            return Err(TensorError::Element { asked: self.element, actual: target.element });
        }
        let mut shaped = target.clone();
        if shaped.shape() != self.shape() {
            shaped.set_shape(self.shape())?;
        }
        let mut to = shaped.lease_write()?;
        let from = self.lease_read()?;
        if self.element == ElementType::String {
            let to = &mut to.strings_mut()[shaped.string_range()];
            copy_strings(&self.layout, &from.strings()[self.string_range()], &shaped.layout, to);
        } else {
            let to = &mut to.bytes_mut()[shaped.byte_range()];
            let from = &from.bytes()[self.byte_range()];
            copy_bytes(self.element.size(), &self.layout, from, &shaped.layout, to)?;
        }
        drop(to);
        *target = shaped;
        Ok(())
    }

    /// Copies all elements of `source` to this tensor: [`Tensor::copy_to`] seen from the other side.
    pub fn copy_from(&mut self, source: &Tensor) -> Result<(), TensorError> {
        source.copy_to(self)
    }
}

fn copy_lane<'a, const N: usize>(
    from: impl Iterator<Item = &'a [u8]>,
    to: impl Iterator<Item = &'a mut [u8]>,
) {
    for (to, from) in to.zip(from) {
        to[..N].copy_from_slice(&from[..N]);
    }
}

fn copy_strings(
    from_layout: &Layout,
    from: &[alloc::string::String],
    to_layout: &Layout,
    to: &mut [alloc::string::String],
) {
    let size = ElementType::String.size();
    let walk = Walk::new([from_layout, to_layout], size);
    let count = walk.run / size;
    for [from_at, to_at] in walk.starts() {
        to[to_at / size..][..count].clone_from_slice(&from[from_at / size..][..count]);
    }
}

fn dense_like(layout: &Layout, element_size: usize) -> Result<Layout, LayoutError> {
    Layout::dense(layout.shape().clone(), element_size)
        .ok_or_else(|| LayoutError::TooLarge { shape: layout.shape().clone() })
}

fn room(needed: usize, available: usize) -> Result<(), LayoutError> {
    if needed > available { Err(LayoutError::Storage { needed, available }) } else { Ok(()) }
}
