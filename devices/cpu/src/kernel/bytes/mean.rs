//! Means of bytes whose channels lie innermost: whole pixels are added, channel by channel.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::ElementType;
use inferry_engine::op::ByteMean;

use super::conv::Sizes;
use super::finish::{Block, Finish, flip, raised};
use crate::io::Io;
use crate::isa::Isa;
use crate::kernel::arguments::form;
use crate::kernel::{Builder, Built, Kernel, Phase};
use crate::simd::{Simd, Vectorized, dispatch};

/// Builds the kernel of a [`ByteMean`].
pub(crate) fn mean(op: &ByteMean, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let ([images, spatial @ .., channels], (element, shape)) = (&x.shape[..], node.output(0)) else {
        return Err(form("an image without channels"));
    };
    let fits =
        shape.first() == Some(images) && shape.last() == Some(channels) && shape.count() == images * channels;
    if !fits || *element != op.target.element || !matches!(element, ElementType::U8 | ElementType::I8) {
        return Err(form(alloc::format!("a mean of {} into {element} {shape}", x.shape)));
    }
    let pixels: usize = spatial.iter().product();
    // Sums of so many bytes stay within an i32.
    if pixels == 0 || pixels > 1 << 22 {
        return Err(form(alloc::format!("a mean of {pixels} pixels")));
    }
    let lanes = Sizes::of(node.isa).lanes;
    let padded = channels.next_multiple_of(lanes);
    let flip = flip(x.element);
    let finish = Finish::new(
        [vec![op.scale / pixels as f32; padded], vec![0.0; padded], Vec::new()],
        None,
        None,
        Some(op.target),
        None,
    );
    let init = -(pixels as i32) * raised(op.zero, flip);
    let blocks = channels.div_ceil(CHANNELS);
    let phases = [Phase::tiles(images * blocks, (pixels * CHANNELS / 20).max(1) as u64)];
    let (images, channels) = (*images, *channels);
    debug_assert!(images * blocks == phases[0].tiles);
    Ok(Box::new(Mean { phases, channels, pixels, flip, init, finish, isa: node.isa }))
}

/// Channels of a tile: whole vectors of every instruction set.
const CHANNELS: usize = 64;

struct Mean {
    phases: [Phase; 1],
    channels: usize,
    pixels: usize,
    flip: u8,
    /// What sums begin with.
    init: i32,
    finish: Finish,
    isa: Isa,
}

impl Kernel for Mean {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a Mean, &'a Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                self.1.tiles().for_each(|tile| self.0.tile(simd, self.1, tile));
            }
        }
        dispatch(self.isa, Tiles(self, io));
    }
}

impl Mean {
    #[inline(always)]
    fn tile<S: Simd>(&self, simd: S, io: &Io<'_>, tile: usize) {
        let blocks = self.channels.div_ceil(CHANNELS);
        let (image, first) = (tile / blocks, tile % blocks * CHANNELS);
        let width = CHANNELS.min(self.channels - first);
        let mut sums = [self.init; CHANNELS];
        let x = &io.input::<u8>(0)[image * self.pixels * self.channels..][..self.pixels * self.channels];
        for pixel in x.chunks_exact(self.channels) {
            for (sum, byte) in sums.iter_mut().zip(&pixel[first..first + width]) {
                *sum += i32::from(byte ^ self.flip);
            }
        }
        for from in (0..width).step_by(S::LANES) {
            let count = S::LANES.min(width - from);
            let out = image * self.channels + first + from;
            // SAFETY: these channels are this tile's.
            let to = unsafe { io.shared::<u8>(0).range(out..out + count) };
            let block = Block {
                sums: sums[from..].as_ptr(),
                pitch: 0,
                rows: 1,
                place: first + from,
                count,
                out: to.as_mut_ptr(),
                residual: core::ptr::null(),
                out_row: 0,
            };
            // SAFETY: a whole vector of sums begins at `from`, and `to` has `count` bytes.
            unsafe { self.finish.run(simd, &self.finish.factor, &block) };
        }
    }
}
