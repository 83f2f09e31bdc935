//! How libFuzzer changes models, and puts two together: in most cases as trees, now and then as any bytes.

use inferry_fuzz::{Random, message};
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzzer_mutate};

/// In one case of so many the bytes are changed as bytes.
const PLAIN: usize = 8;

/// Bytes that a change of a field may add to it.
const GROWTH: usize = 16;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(u64::from(seed));
    let changed = match random.below(PLAIN) {
        0 => None,
        _ => changed(&data[..size], &data[..size], &mut random, max_size),
    };
    let Some(changed) = changed else { return fuzzer_mutate(data, size, max_size) };
    data[..changed.len()].copy_from_slice(&changed);
    changed.len()
});

fuzz_crossover!(|data1: &[u8], data2: &[u8], out: &mut [u8], seed: u32| {
    let changed = changed(data1, data2, &mut Random::new(u64::from(seed)), out.len());
    let changed = changed.unwrap_or_default();
    out[..changed.len()].copy_from_slice(&changed);
    changed.len()
});

/// `None` when it would become too large.
fn changed(whole: &[u8], other: &[u8], random: &mut Random, most: usize) -> Option<Vec<u8>> {
    let mut touch = |bytes: &mut Vec<u8>| {
        let size = bytes.len();
        bytes.resize(size + GROWTH, 0);
        let size = fuzzer_mutate(bytes, size, size + GROWTH);
        bytes.truncate(size);
    };
    let changed = message::changed(whole, other, random, &mut touch);
    (changed.len() <= most).then_some(changed)
}
