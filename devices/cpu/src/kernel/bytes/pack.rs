//! Weights as the tiles read them: four taps of a channel in the four bytes of a lane.
//!
//! ```text
//!  [M, C / group, kernel...]  ─▶  group · vector of channels · step (four taps) · lane (channel) · four bytes
//! ```
//!
//! A step of the table stands for four bytes that lie together in the image: taps of a row of the window, channels innermost.
//! What is missing to fours, and channels missing to whole vectors, are zeros. Weights that do not fit into a byte are sums of
//! several, in as many steps that look at the same taps.

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
    /// For each byte of each step of the table the place of its weight among those of a channel, or [`NONE`].
    pub(super) places: Vec<u32>,
    /// How many bytes a weight is the sum of.
    pub(super) parts: usize,
}

/// A byte of a step without a weight.
pub(super) const NONE: u32 = u32::MAX;

impl Layout {
    /// Channels of a group, filled up to whole vectors.
    pub(super) fn padded(&self) -> usize {
        self.features.next_multiple_of(self.lanes)
    }

    /// Steps of the table.
    pub(super) fn steps(&self) -> usize {
        self.places.len() / 4 * self.parts
    }

    /// Bytes of the packed weights, in whole lines, and of their sums.
    pub(super) fn lens(&self) -> [usize; 2] {
        let channels = self.groups * self.padded();
        [(channels * self.steps() * 4).next_multiple_of(64), channels * 4]
    }
}

/// How many bytes weights between these are the sum of.
pub(super) fn parts(least: i32, most: i32) -> usize {
    let needed = |size: i32, room: u32| (size.max(0) as u32).div_ceil(room).max(1) as usize;
    needed(-least, 128).max(needed(most, 127))
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
            let (step, byte) = (index / 4, index % 4);
            let mut rest = value;
            for part in 0..layout.parts {
                let held = rest.clamp(-128, 127);
                rest -= held;
                bytes[vector + (step * layout.parts + part) * lanes * 4 + byte] = held as i8 as u8;
            }
            debug_assert_eq!(rest, 0, "as many parts as the largest weight needs");
        }
        sums[group * padded + block] = sum;
        pace.spend(2 * taps as u64).await;
    }
    Packed { weights: Memory::Own(lines), sums }
}
