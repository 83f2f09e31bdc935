//! Where each value lies in the arena: a pure function from lifetimes to offsets.
//!
//! Values whose lifetimes have a moment in common get ranges that have no byte in common. Finding the smallest arena is
//! hard; taking the values by size, the largest first, and putting each into the tightest gap it fits comes close on
//! neural networks. Nothing here knows what a value is.

use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;

use crate::arena::ALIGNMENT;

/// Bytes that are needed from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// The step that writes them first.
    pub(crate) begin: usize,
    /// The last step that touches them; at least `begin`.
    pub(crate) end: usize,
    /// How many bytes.
    pub(crate) bytes: usize,
}

impl Lifetime {
    /// True when there is a step at which both are needed.
    pub(crate) fn meets(&self, other: &Lifetime) -> bool {
        self.begin <= other.end && other.begin <= self.end
    }
}

/// The offset of each value, a multiple of [`ALIGNMENT`], and the size of the arena that holds them all. `None` when the
/// sizes overflow.
pub(crate) async fn arrange(values: &[Lifetime], pace: &mut Pace) -> Option<(Vec<usize>, usize)> {
    let mut order: Vec<usize> = (0..values.len()).filter(|value| values[*value].bytes > 0).collect();
    order.sort_by_key(|value| (core::cmp::Reverse(values[*value].bytes), values[*value].begin));
    let mut offsets = vec![0; values.len()];
    // What has a place, by offset.
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    let mut size = 0;
    for value in order {
        let bytes = values[value].bytes.checked_next_multiple_of(ALIGNMENT)?;
        let offset = tightest_gap(values, &offsets, &placed, value, bytes);
        offsets[value] = offset;
        size = size.max(offset.checked_add(bytes).filter(|end| *end <= isize::MAX as usize)?);
        let at = placed.partition_point(|other| offsets[*other] <= offset);
        placed.insert(at, value);
        // Each value is compared with all that have a place.
        pace.spend(10 + placed.len() as u64).await;
    }
    Some((offsets, size))
}

/// The offset of the smallest gap of at least `bytes` between the placed values that `value` meets; after them all when
/// there is none.
fn tightest_gap(
    values: &[Lifetime],
    offsets: &[usize],
    placed: &[usize],
    value: usize,
    bytes: usize,
) -> usize {
    let mut best: Option<(usize, usize)> = None;
    let mut free_from = 0;
    for other in placed.iter().filter(|other| values[**other].meets(&values[value])) {
        let gap = offsets[*other].saturating_sub(free_from);
        if gap >= bytes && best.is_none_or(|(smallest, _)| gap < smallest) {
            best = Some((gap, free_from));
        }
        // Placed values were rounded up when they were placed, so this cannot overflow.
        let end = offsets[*other] + values[*other].bytes.next_multiple_of(ALIGNMENT);
        free_from = free_from.max(end);
    }
    best.map_or(free_from, |(_, offset)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferry_core::steps::finish;

    fn arrange(values: &[Lifetime]) -> Option<(Vec<usize>, usize)> {
        finish(super::arrange(values, &mut Pace::silent()))
    }

    fn life(begin: usize, end: usize, bytes: usize) -> Lifetime {
        Lifetime { begin, end, bytes }
    }

    fn check(values: &[Lifetime]) -> usize {
        let (offsets, size) = arrange(values).unwrap();
        for (a, first) in values.iter().enumerate() {
            assert_eq!(offsets[a] % ALIGNMENT, 0);
            assert!(offsets[a] + first.bytes <= size);
            for (b, second) in values.iter().enumerate().skip(a + 1) {
                let apart = offsets[a] + first.bytes <= offsets[b] || offsets[b] + second.bytes <= offsets[a];
                assert!(apart || first.bytes.min(second.bytes) == 0 || !first.meets(second), "{a} and {b}");
            }
        }
        size
    }

    #[test]
    fn a_chain_needs_room_for_its_two_largest_neighbours() {
        let chain: Vec<_> = (0..10).map(|step| life(step, step + 1, 6400)).collect();
        assert_eq!(check(&chain), 2 * 6400);
    }

    #[test]
    fn a_value_goes_into_the_tightest_gap() {
        // Two gaps, of 128 and 64 bytes, under a long-lived pillar.
        let values = [
            life(0, 9, 1024),
            life(0, 3, 128),
            life(0, 9, 512),
            life(0, 3, 64),
            life(0, 9, 256),
            life(5, 9, 64),
        ];
        assert_eq!(check(&values), 1024 + 128 + 512 + 64 + 256);
    }

    #[test]
    fn empty_values_and_overflow_are_no_trouble() {
        assert_eq!(arrange(&[]), Some((vec![], 0)));
        assert_eq!(arrange(&[life(0, 5, 0), life(2, 2, 0)]), Some((vec![0, 0], 0)));
        assert_eq!(arrange(&[life(0, 1, usize::MAX)]), None);
        assert_eq!(arrange(&[life(0, 1, isize::MAX as usize - 1), life(1, 1, 64)]), None);
    }

    #[test]
    fn random_lifetimes_never_overlap_and_waste_little() {
        let mut state = 7u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) % below
        };
        for _ in 0..300 {
            let count = random(40) + 1;
            let mut values = Vec::new();
            for _ in 0..count {
                let begin = random(30) as usize;
                values.push(life(begin, begin + random(8) as usize, (random(40) * random(100)) as usize));
            }
            let size = check(&values);
            let rounded = |value: &Lifetime| value.bytes.next_multiple_of(ALIGNMENT);
            let at = |step: usize| -> usize {
                values.iter().filter(|value| (value.begin..=value.end).contains(&step)).map(rounded).sum()
            };
            let least = (0..40).map(at).max().unwrap();
            assert!(size >= least && size <= least * 2, "{size} of at least {least}");
        }
    }
}
