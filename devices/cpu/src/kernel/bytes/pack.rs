//! Weights as the tiles read them: four taps of a channel in the four bytes of a lane.
//!
//! ```text
//!  [M, C / group, kernel...]  ─▶  group · vector of channels · step (four taps) · lane (channel) · four bytes
//! ```
//!
//! Where products are of words ([`dots`](crate::simd::dots)), a lane has two taps of a channel, and weights always fit.
//!
//! A step of the table stands for four bytes that lie together in the image: taps of a row of the window, channels innermost.
//! What is missing to fours, and channels missing to whole vectors, are zeros. What is left of a weight that does not fit into a byte
//! lies in a further step at the end, which looks at the same taps. Unsigned weights whose zero point is not 128 have a few such
//! weights in a layer (MTCNN O-Net: one to three of up to 300,000), so there is a step more or two, and not twice as many.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Deref;

use inferry_core::steps::Pace;

use crate::pack::{Pack, Part};

/// Packed weights, and the sum of those of each channel, by which the zero point of the image is taken off.
pub(super) struct Packed {
    weights: Memory,
    pub(super) sums: Vec<i32>,
}

enum Memory {
    Own(Vec<Line>),
    /// A file's.
    Shared(Part),
}

impl Default for Packed {
    fn default() -> Packed {
        Packed { weights: Memory::Own(Vec::new()), sums: Vec::new() }
    }
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Deref for Packed {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.weights {
            Memory::Own(lines) => bytemuck::cast_slice(lines),
            Memory::Shared(part) => part,
        }
    }
}

impl Pack for Packed {
    fn parts(&self) -> Vec<&[u8]> {
        vec![self, bytemuck::cast_slice(&self.sums)]
    }

    fn of_parts(parts: Vec<Part>) -> Option<Packed> {
        let [weights, sums] = <[Part; 2]>::try_from(parts).ok()?;
        Some(Packed { weights: Memory::Shared(weights), sums: bytemuck::pod_collect_to_vec(&sums) })
    }
}

/// How the weights of a convolution are to lie.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) groups: usize,
    /// Output channels of a group.
    pub(super) features: usize,
    /// Weights of an output channel.
    pub(super) taps: usize,
    /// Lanes of a vector.
    pub(super) lanes: usize,
    /// Whether a step is two words instead of four bytes.
    pub(super) words: bool,
    /// For each tap of each step of the table the place of its weight among those of a channel, or [`NONE`].
    pub(super) places: Vec<u32>,
    /// Steps that are looked at once more, for what does not fit into a byte; twice if that is too much again.
    pub(super) again: Vec<u32>,
}

/// A tap of a step without a weight.
pub(super) const NONE: u32 = u32::MAX;

impl Layout {
    /// Channels of a group, filled up to whole vectors.
    pub(super) fn padded(&self) -> usize {
        self.features.next_multiple_of(self.lanes)
    }

    /// Steps of the table.
    pub(super) fn steps(&self) -> usize {
        self.places.len() / self.step() + self.again.len()
    }

    /// Taps of a step.
    pub(super) fn step(&self) -> usize {
        if self.words { 2 } else { 4 }
    }

    /// Bytes of the packed weights, in whole lines, and of their sums.
    pub(super) fn lens(&self) -> [usize; 2] {
        let channels = self.groups * self.padded();
        [(channels * self.steps() * 4).next_multiple_of(64), channels * 4]
    }
}

/// How many bytes a weight is the sum of.
#[inline]
fn parts(weight: i32) -> usize {
    let needed = |size: i32, room: u32| (size.max(0) as u32).div_ceil(room).max(1) as usize;
    needed(-weight, 128).max(needed(weight, 127))
}

/// The steps of `places` that are looked at again for weights which do not fit into a byte. Of an output channel there are `taps` of them.
pub(super) fn again(weights: impl Iterator<Item = i32>, taps: usize, places: &[u32]) -> Vec<u32> {
    let mut of_tap = vec![1; taps];
    for (index, weight) in weights.enumerate() {
        if i8::try_from(weight).is_err() {
            let most = &mut of_tap[index % taps];
            *most = parts(weight).max(*most);
        }
    }
    let of_step = |places: &[u32]| {
        places.iter().filter(|place| **place != NONE).map(|place| of_tap[*place as usize]).max().unwrap_or(1)
    };
    let most = of_tap.iter().copied().max().unwrap_or(1);
    let all = (1..most).flat_map(|part| {
        places.chunks_exact(4).enumerate().filter(move |(_, places)| of_step(places) > part)
    });
    all.map(|(step, _)| step as u32).collect()
}

/// Packs weights, whose numbers `weight` gives.
pub(super) async fn pack<W: Fn(usize) -> i32>(layout: Layout, weight: W, mut pace: Pace) -> Packed {
    let Layout { groups, features, taps, lanes, .. } = layout;
    let (padded, steps) = (layout.padded(), layout.steps());
    let mut lines = Vec::new();
    lines.resize(layout.lens()[0] / 64, Line([0; 64]));
    let mut sums = vec![0i32; groups * padded];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
    for (channel, block) in (0..groups * features).map(|channel| (channel, channel % features)) {
        let group = channel / features;
        let vector = (group * padded + block / lanes * lanes) * steps * 4 + block % lanes * 4;
        let mut sum = 0i32;
        for (index, place) in layout.places.iter().enumerate().filter(|(_, place)| **place != NONE) {
            let value = weight(channel * taps + *place as usize);
            sum = sum.wrapping_add(value);
            if layout.words {
                let at = vector + index / 2 * lanes * 4 + index % 2 * 2;
                bytes[at..at + 2].copy_from_slice(&(value as i16).to_le_bytes());
                continue;
            }
            let (step, byte) = (index / 4, index % 4);
            let mut put = |step: usize, value: i32| {
                let held = value.clamp(-128, 127);
                bytes[vector + step * lanes * 4 + byte] = held as i8 as u8;
                value - held
            };
            let mut rest = put(step, value);
            if rest != 0 {
                for (more, _) in layout.again.iter().enumerate().filter(|(_, of)| **of as usize == step) {
                    rest = put(layout.places.len() / 4 + more, rest);
                }
            }
            debug_assert_eq!(rest, 0, "as many steps as the largest weight needs");
        }
        sums[group * padded + block] = sum;
        pace.spend(2 * taps as u64).await;
    }
    Packed { weights: Memory::Own(lines), sums }
}
