//! What the sums of each channel begin with, and what they are multiplied by at the end.
//!
//! ```text
//!  zero point of the model ─▶ init, factor: made once, with the kernel
//!  zero point and scale of the run ─▶ init, factor: in the scratch of each call, before its tiles
//! ```
//!
//! A sum over bytes less their zero point is the sum over bytes less the zero point times the sum of the channel's weights, so
//! sums begin with that product instead of nothing. Where the zero point is only known in the run, a call makes these numbers from the sums of
//! weights: two operations a channel, which is nothing beside a tile.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::pack::Packed;
use crate::io::Io;

/// Where the zero point of the image comes from, and what hangs on it.
pub(super) struct Start {
    /// What sums begin with; with a zero point of the run, before it is taken off.
    init: Vec<i32>,
    zero: Zero,
}

enum Zero {
    /// That of the model: the byte for padding.
    Constant(u8),
    /// That of the run.
    Run(Run),
}

/// The zero point in input 7 and the scale in input 6.
struct Run {
    packed: Arc<Packed>,
    /// What is flipped to read the zero point as an unsigned byte, and what products read less than that.
    flip: u8,
    less: i32,
}

/// The numbers of all channels, for one call.
#[derive(Clone, Copy)]
pub(super) struct Channels<'a> {
    pub(super) init: &'a [i32],
    pub(super) factor: &'a [f32],
}

impl Start {
    /// With a zero point of the model, `center` as products read it, and `byte` in the image.
    pub(super) fn constant(mut init: Vec<i32>, packed: &Packed, center: i32, byte: u8) -> Start {
        take_off(&mut init, &packed.sums, center);
        Start { init, zero: Zero::Constant(byte) }
    }

    /// With a zero point of the run; products read it flipped with `flip`, less `less`.
    pub(super) fn of_run(init: Vec<i32>, packed: Arc<Packed>, flip: u8, less: i32) -> Start {
        Start { init, zero: Zero::Run(Run { packed, flip, less }) }
    }

    /// Elements of scratch that [`Start::channels`] needs.
    pub(super) fn room(&self) -> usize {
        if matches!(self.zero, Zero::Run(_)) { 2 * self.init.len() } else { 0 }
    }

    /// The byte of the image that stands for zero.
    #[inline]
    pub(super) fn zero(&self, io: &Io<'_>) -> u8 {
        match self.zero {
            Zero::Constant(byte) => byte,
            Zero::Run(_) => io.input::<u8>(7)[0],
        }
    }

    /// The numbers for this call, whose factors are `factor` but for the scale of the run.
    pub(super) fn channels<'a>(
        &'a self,
        io: &Io<'_>,
        factor: &'a [f32],
        room: &'a mut [i32],
    ) -> Channels<'a> {
        let Zero::Run(run) = &self.zero else { return Channels { init: &self.init, factor } };
        let center = i32::from(io.input::<u8>(7)[0] ^ run.flip) - run.less;
        let scale = io.input::<f32>(6)[0];
        let (init, scaled) = room[..self.room()].split_at_mut(self.init.len());
        init.copy_from_slice(&self.init);
        take_off(init, &run.packed.sums, center);
        let scaled: &mut [f32] = bytemuck::cast_slice_mut(scaled);
        for (to, factor) in scaled.iter_mut().zip(factor) {
            *to = factor * scale;
        }
        Channels { init, factor: scaled }
    }
}

fn take_off(init: &mut [i32], sums: &[i32], center: i32) {
    for (init, sum) in init.iter_mut().zip(sums) {
        *init = init.wrapping_sub(sum.wrapping_mul(center));
    }
}
