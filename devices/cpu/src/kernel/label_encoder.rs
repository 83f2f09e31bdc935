//! LabelEncoder: a value for each key, found by its hash.
//!
//! The keys are hashed once for a compiled model. A key is bytes, whatever its type: a string's, or those of a number after all
//! that are no numbers have been made one and the zeros equal. So one table does for all types.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::{ElementType, Tensor};
use inferry_engine::op::LabelEncoder;

use crate::io::{Io, Plain};
use crate::kernel::arguments::form;
use crate::kernel::simple::{simple, spread};
use crate::kernel::{Builder, Built, by_size};
use crate::pack::Pack;
use crate::text::Text;

/// Names the table among the packs.
const HASHED: u64 = 0x6c61_6265_6c73;

/// Picoseconds that finding a key takes.
const FIND: u64 = 100_000;

/// Builds LabelEncoder.
pub(crate) fn label_encoder(op: &LabelEncoder, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    let table = op.table(x.element).ok_or_else(|| form(format!("no keys of {}", x.element)))?;
    let (keys, values) = (&op.keys[table], 1 + table);
    if node.input(values)?.shape.count() != keys.len() + 1 {
        return Err(form(format!("{} keys and values {}", keys.len(), node.input(values)?.shape)));
    }
    let packed = keys.clone();
    let table: Arc<Table> = node.packs.get(keys, HASHED, Vec::new, |_| async move { Table::of(&packed) });
    let (element, shape) = node.output(0);
    let (keys, count) = (x.element, shape.count());
    by_size!("LabelEncoder", *element, T => encode::<T>(table, keys, values, count))
}

fn encode<T: Plain>(table: Arc<Table>, keys: ElementType, values: usize, count: usize) -> Built {
    let phase = spread(count, FIND);
    simple(phase, move |io| {
        let values = io.input::<T>(values);
        let start = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            *to = values[place(&table, keys, io, start + index)];
        }
    })
}

/// Where the value of element `at` of input 0 stands.
fn place(table: &Table, keys: ElementType, io: &Io<'_>, at: usize) -> usize {
    if keys == ElementType::String {
        return table.find(io.texts().get(io.input::<Text>(0)[at]).as_bytes());
    }
    let size = keys.size();
    table.find(&number(keys, &io.input::<u8>(0)[at * size..][..size]))
}

/// Keys with the position of the value of each.
#[derive(Default)]
struct Table {
    /// The bytes of all keys.
    bytes: Vec<u8>,
    /// Where each key lies among them; its value stands at the same position.
    keys: Vec<Range<u32>>,
    /// By hash: one more than the position of a key, or 0. More than half of them are 0.
    slots: Vec<u32>,
}

/// As quickly made again as read.
impl Pack for Table {}

impl Table {
    fn of(keys: &Tensor) -> Table {
        let mut table =
            Table { slots: vec![0; (2 * keys.len() + 1).next_power_of_two()], ..Table::default() };
        if let Ok(strings) = keys.strings() {
            strings.iter().for_each(|key| table.add(key.as_bytes()));
        } else if let Ok(lease) = keys.lease_read() {
            let element = keys.element();
            let numbers = lease.bytes()[keys.byte_range()].chunks_exact(element.size());
            numbers.for_each(|key| table.add(&number(element, key)));
        }
        table
    }

    /// Of equal keys the one that is added last counts.
    fn add(&mut self, key: &[u8]) {
        let slot = self.slot(key);
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(key);
        self.keys.push(start..self.bytes.len() as u32);
        self.slots[slot] = self.keys.len() as u32;
    }

    /// The position of a key; behind the last when it is not there.
    fn find(&self, key: &[u8]) -> usize {
        match self.slots.get(self.slot(key)) {
            None | Some(0) => self.keys.len(),
            Some(position) => *position as usize - 1,
        }
    }

    /// The slot that a key has, or would have.
    fn slot(&self, key: &[u8]) -> usize {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = hash(key) as usize & mask;
        while let Some(position) = self.slots.get(slot).filter(|position| **position != 0) {
            let place = self.keys[*position as usize - 1].clone();
            if self.bytes[place.start as usize..place.end as usize] == *key {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// FNV-1a, with the high bits folded into the low ones.
fn hash(key: &[u8]) -> u64 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

/// The bytes of a number, the same for all that are equal and for all that are none.
fn number(element: ElementType, bytes: &[u8]) -> [u8; 8] {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    let float = match element {
        ElementType::F32 => f64::from(f32::from_bits(u64::from_le_bytes(all) as u32)),
        ElementType::F64 => f64::from_le_bytes(all),
        _ => return all,
    };
    let same = if float.is_nan() { f64::NAN } else { float + 0.0 };
    same.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, run_strings, strings, tensor};

    #[test]
    fn strings_are_encoded_as_numbers_and_numbers_as_strings() {
        let keys = vec![strings(&["b", "a", "ä", "a"], [4]), tensor(&[7i64, -1], [2])];
        let op = LabelEncoder { keys };
        let (numbers, names) = (tensor(&[10f32, 20., 30., 40., 0.5], [5]), strings(&["x", "y", "?"], [3]));
        let x = strings(&["a", "b", "", "ä", "ab", "a"], [2, 3]);
        assert_eq!(run_one::<f32>(&op, &[&x, &numbers, &names], [2, 3]), [40., 10., 0.5, 30., 0.5, 40.]);
        let x = tensor(&[-1i64, 0, 7, i64::MAX], [4]);
        assert_eq!(run_strings(&op, &[&x, &numbers, &names], [4]), ["y", "?", "x", "?"]);
    }

    #[test]
    fn many_keys_are_told_apart() {
        let keys: Vec<i64> = (0..3000).map(|key| key * 4096 - 7).collect();
        let values: Vec<i64> = (0..3001).collect();
        let op = LabelEncoder { keys: vec![tensor(&keys, [3000])] };
        let found = run_one::<i64>(&op, &[&tensor(&keys, [3000]), &tensor(&values, [3001])], [3000]);
        assert_eq!(found, values[..3000]);
        let others = tensor(&[0i64, 4096, i64::MIN], [3]);
        assert_eq!(run_one::<i64>(&op, &[&others, &tensor(&values, [3001])], [3]), [3000; 3]);
    }

    #[test]
    fn what_is_no_number_is_a_key_like_others() {
        let op = LabelEncoder { keys: vec![tensor(&[f32::NAN, -0.0, 1.5], [3])] };
        let x = tensor(&[0.0f32, f32::from_bits(0xffc0_0001), 1.5, f32::INFINITY], [4]);
        assert_eq!(run_one::<i16>(&op, &[&x, &tensor(&[1i16, 2, 3, -9], [4])], [4]), [2, 1, 3, -9]);
        let op = LabelEncoder { keys: vec![tensor(&[0.1f64], [1])] };
        let x = tensor(&[0.1f64, 0.1f32 as f64], [2]);
        assert_eq!(run_one::<f64>(&op, &[&x, &tensor(&[1f64, 0.], [2])], [2]), [1.0, 0.0]);
        let op = LabelEncoder { keys: vec![tensor(&[-3i32], [1])] };
        let x = tensor(&[-3i32, 3], [2]);
        assert_eq!(run_one::<i64>(&op, &[&x, &tensor(&[1i64, 0], [2])], [2]), [1, 0]);
        let op = LabelEncoder { keys: vec![tensor(&[0i16; 0], [0])] };
        assert_eq!(run_one::<i64>(&op, &[&tensor(&[1i16], [1]), &tensor(&[5i64], [1])], [1]), [5]);
    }
}
