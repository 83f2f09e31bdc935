//! LabelEncoder: a value for each key, found by halving.
//!
//! The keys are sorted once for a compiled model. Numbers are compared as their bits, after all that are no numbers have been
//! made one and the zeros equal.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{ElementType, Tensor};
use inferry_engine::op::LabelEncoder;

use crate::io::{Io, Plain};
use crate::kernel::arguments::form;
use crate::kernel::simple::{simple, spread};
use crate::kernel::{Builder, Built, by_size};
use crate::text::Text;

/// Names the sorted form among the packs.
const SORTED: u64 = 0x6c61_6265_6c73;

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
    let table: Arc<Table> = node.packs.get(keys, SORTED, |_| async move { Table::of(&packed) });
    let (element, shape) = node.output(0);
    let find: Find = match x.element {
        ElementType::String => |table, io, at| table.text(io.texts().get(io.input::<Text>(0)[at])),
        ElementType::F32 => |table, io, at| table.bits(float(io.input::<f32>(0)[at].into())),
        ElementType::F64 => |table, io, at| table.bits(float(io.input::<f64>(0)[at])),
        ElementType::I16 => |table, io, at| table.bits(io.input::<i16>(0)[at] as u64),
        ElementType::I32 => |table, io, at| table.bits(io.input::<i32>(0)[at] as u64),
        _ => |table, io, at| table.bits(io.input::<i64>(0)[at] as u64),
    };
    by_size!("LabelEncoder", *element, T => encode::<T>(table, find, values, shape.count()))
}

/// Where the value of element `at` of input 0 stands.
type Find = fn(&Table, &Io<'_>, usize) -> usize;

fn encode<T: Plain>(table: Arc<Table>, find: Find, values: usize, count: usize) -> Built {
    let phase = spread(count, FIND);
    simple(phase, move |io| {
        let values = io.input::<T>(values);
        let start = io.tiles().start * phase.unit;
        for (index, to) in io.rows::<T>().iter_mut().enumerate() {
            *to = values[find(&table, io, start + index)];
        }
    })
}

/// Keys in order, each with the position of its value. One of the two lists is empty.
#[derive(Default)]
struct Table {
    texts: Vec<(String, usize)>,
    bits: Vec<(u64, usize)>,
    /// Where the value for everything else stands.
    default: usize,
}

impl Table {
    fn of(keys: &Tensor) -> Table {
        let mut table = Table { default: keys.len(), ..Table::default() };
        let bits = &mut table.bits;
        let numbered = |bits: &mut Vec<_>, keys: &mut dyn Iterator<Item = u64>| {
            bits.extend(keys.enumerate().map(|(at, key)| (key, at)));
        };
        match keys.element() {
            ElementType::String => {
                let strings = keys.strings();
                let strings = strings.iter().flat_map(|strings| strings.iter());
                table.texts.extend(strings.enumerate().map(|(at, key)| (String::from(key), at)));
            }
            ElementType::F32 => numbered(bits, &mut values::<f32>(keys).map(|key| float(key.into()))),
            ElementType::F64 => numbered(bits, &mut values::<f64>(keys).map(float)),
            ElementType::I16 => numbered(bits, &mut values::<i16>(keys).map(|key| key as u64)),
            ElementType::I32 => numbered(bits, &mut values::<i32>(keys).map(|key| key as u64)),
            _ => numbered(bits, &mut values::<i64>(keys).map(|key| key as u64)),
        }
        // Of equal keys the one that stands last comes last.
        table.texts.sort();
        table.bits.sort_unstable();
        table
    }

    fn text(&self, key: &str) -> usize {
        let end = self.texts.partition_point(|(other, _)| other.as_str() <= key);
        let found = end.checked_sub(1).map(|last| &self.texts[last]).filter(|(other, _)| other == key);
        found.map_or(self.default, |(_, at)| *at)
    }

    fn bits(&self, key: u64) -> usize {
        let end = self.bits.partition_point(|(other, _)| *other <= key);
        let found = end.checked_sub(1).map(|last| self.bits[last]).filter(|(other, _)| *other == key);
        found.map_or(self.default, |(_, at)| at)
    }
}

fn values<T: inferry_core::Element + Copy>(keys: &Tensor) -> alloc::vec::IntoIter<T> {
    keys.to_vec::<T>().unwrap_or_default().into_iter()
}

/// The bits of a number, the same for all that are equal and for all that are none.
fn float(number: f64) -> u64 {
    if number.is_nan() { f64::NAN.to_bits() } else { (number + 0.0).to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, run_strings, strings, tensor};

    #[test]
    fn strings_are_encoded_as_numbers_and_numbers_as_strings() {
        let keys = alloc::vec![strings(&["b", "a", "ä", "a"], [4]), tensor(&[7i64, -1], [2])];
        let op = LabelEncoder { keys };
        let (numbers, names) = (tensor(&[10f32, 20., 30., 40., 0.5], [5]), strings(&["x", "y", "?"], [3]));
        let x = strings(&["a", "b", "", "ä", "ab", "a"], [2, 3]);
        assert_eq!(run_one::<f32>(&op, &[&x, &numbers, &names], [2, 3]), [40., 10., 0.5, 30., 0.5, 40.]);
        let x = tensor(&[-1i64, 0, 7, i64::MAX], [4]);
        assert_eq!(run_strings(&op, &[&x, &numbers, &names], [4]), ["y", "?", "x", "?"]);
    }

    #[test]
    fn what_is_no_number_is_a_key_like_others() {
        let op = LabelEncoder { keys: alloc::vec![tensor(&[f32::NAN, -0.0, 1.5], [3])] };
        let x = tensor(&[0.0f32, f32::from_bits(0xffc0_0001), 1.5, f32::INFINITY], [4]);
        assert_eq!(run_one::<i16>(&op, &[&x, &tensor(&[1i16, 2, 3, -9], [4])], [4]), [2, 1, 3, -9]);
        let op = LabelEncoder { keys: alloc::vec![tensor(&[0.1f64], [1])] };
        let x = tensor(&[0.1f64, 0.1f32 as f64], [2]);
        assert_eq!(run_one::<f64>(&op, &[&x, &tensor(&[1f64, 0.], [2])], [2]), [1.0, 0.0]);
        let op = LabelEncoder { keys: alloc::vec![tensor(&[-3i32], [1])] };
        let x = tensor(&[-3i32, 3], [2]);
        assert_eq!(run_one::<i64>(&op, &[&x, &tensor(&[1i64, 0], [2])], [2]), [1, 0]);
        let op = LabelEncoder { keys: alloc::vec![tensor(&[0i16; 0], [0])] };
        assert_eq!(run_one::<i64>(&op, &[&tensor(&[1i16], [1]), &tensor(&[5i64], [1])], [1]), [5]);
    }
}
