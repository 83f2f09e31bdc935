//! The moves of elements into sequences, out of them, and between the two.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape};
use inferry_engine::graph::Fact;
use inferry_engine::op::{Concat, ConcatFromSequence, Inputs, SplitToSequence};

use super::{Job, no_memory, wrong};
use crate::arena::{Item, Lent, Region};
use crate::isa::Isa;
use crate::kernel::{self, Builder, Operand, copy};
use crate::late::LateOperand;
use crate::pack::Packs;
use crate::plan::NodeCause;
use crate::stored::{self, width};

/// Copies a tensor of the plan into one of its own, which is held.
pub(super) fn take_in(lent: &mut Lent<'_>, operand: &LateOperand) -> Result<Job, NodeCause> {
    let item = Item::new(operand.element, operand.shape(lent), lent.meter()).map_err(no_memory)?;
    let to = lent.hold(item);
    Ok(Job { kernel: copy::bytes(to.len)?, reads: vec![operand.place], writes: vec![to] })
}

/// Copies a tensor, which is held meanwhile, to where the plan wants it.
pub(super) fn take_out(lent: &mut Lent<'_>, item: Item, to: &LateOperand) -> Result<Job, NodeCause> {
    make_room(lent, to, item.element(), item.shape())?;
    let from = lent.hold(item);
    Ok(Job { kernel: copy::bytes(from.len)?, reads: vec![from], writes: vec![to.place] })
}

/// Cuts a tensor into parts, which are held.
pub(super) fn cut(
    lent: &mut Lent<'_>,
    op: &SplitToSequence,
    tensor: &LateOperand,
    split: Option<&LateOperand>,
) -> Result<Vec<Job>, NodeCause> {
    let shape = tensor.shape(lent);
    let axis = axis(op.axis, shape.rank())?;
    let whole = shape[axis];
    let parts = match split {
        None => vec![1; whole],
        Some(split) => {
            let single = split.shape(lent).rank() == 0;
            parts(&integers(lent, split), single, whole)?
        }
    };
    let outer: usize = shape[..axis].iter().product();
    let inner = shape[axis + 1..].iter().product::<usize>() * width(tensor.element);
    let mut jobs = Vec::with_capacity(parts.len());
    let mut start = 0;
    for part in parts {
        let mut extents: Vec<usize> = shape.to_vec();
        match (split, op.keep_dims) {
            (None, false) => _ = extents.remove(axis),
            _ => extents[axis] = part,
        }
        let shape = Shape::new(&extents).expect("no more dimensions than the whole");
        let item = Item::new(tensor.element, shape, lent.meter()).map_err(no_memory)?;
        let to = lent.hold(item);
        let kernel = copy::rows(outer, part * inner, whole * inner, start * inner)?;
        jobs.push(Job { kernel, reads: vec![tensor.place], writes: vec![to] });
        start += part;
    }
    Ok(jobs)
}

/// The extents of the parts of an axis.
fn parts(split: &[i64], single: bool, whole: usize) -> Result<Vec<usize>, NodeCause> {
    let extent = |part: &i64| {
        usize::try_from(*part).map_err(|_| wrong(format!("input 1 asks for a part of {part} elements")))
    };
    if single {
        let [part] = split else { return Err(wrong("input 1 is empty")) };
        let part = extent(part)?;
        if part == 0 {
            return Err(wrong("input 1 asks for parts of no elements"));
        }
        let last = whole % part;
        let mut parts = vec![part; whole / part];
        parts.extend((last > 0).then_some(last));
        return Ok(parts);
    }
    let parts = split.iter().map(extent).collect::<Result<Vec<_>, _>>()?;
    let sum = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(*part));
    match sum == Some(whole) {
        true => Ok(parts),
        false => Err(wrong(format!("the parts {parts:?} do not fill an axis of {whole} elements"))),
    }
}

/// Puts tensors, which are held meanwhile, behind each other.
pub(super) fn join(
    lent: &mut Lent<'_>,
    op: &ConcatFromSequence,
    items: Vec<Item>,
    to: &LateOperand,
    isa: Isa,
    packs: &Packs,
) -> Result<Job, NodeCause> {
    let Some(first) = items.first() else {
        return Err(wrong("an empty sequence has no tensors to put together"));
    };
    let element = first.element();
    let axis = axis(op.axis, first.shape().rank() + usize::from(op.new_axis))?;
    let mut shapes = Vec::with_capacity(items.len());
    for item in &items {
        let mut extents: Vec<usize> = item.shape().to_vec();
        if op.new_axis {
            extents.insert(axis.min(extents.len()), 1);
        }
        shapes.push(Shape::new(&extents).map_err(|error| wrong(error.to_string()))?);
    }
    let facts: Vec<Fact> = shapes.iter().map(|shape| Fact::fixed(element, shape)).collect();
    let facts: Vec<Option<&Fact>> = facts.iter().map(Some).collect();
    let concat = Concat { axis: axis as i64 };
    let joined = Inputs::new(&facts, 1).infer(&concat)?;
    let shape = joined[0].shape.fixed().ok_or(NodeCause::Open { output: 0 })?;
    make_room(lent, to, element, &shape)?;
    let operands: Vec<Option<Operand<'_>>> =
        shapes.iter().map(|shape| Some(Operand { element, shape: shape.clone(), constant: None })).collect();
    let outputs = [(element, shape)];
    let kernel = kernel::build(&concat, &Builder { inputs: &operands, outputs: &outputs, isa, packs })?;
    let reads = items.into_iter().map(|item| lent.hold(item)).collect();
    Ok(Job { kernel, reads, writes: vec![to.place] })
}

/// Gives a tensor its place, or checks that it is what was planned.
fn make_room(
    lent: &mut Lent<'_>,
    to: &LateOperand,
    element: ElementType,
    shape: &Shape,
) -> Result<(), NodeCause> {
    let bytes = stored::bytes(element, shape).ok_or(NodeCause::OutOfMemory(usize::MAX))?;
    if let Region::Slot(slot) = to.place.region {
        lent.meter().allows(bytes).map_err(no_memory)?;
        return lent.resize_slot(slot, shape, bytes).map_err(no_memory);
    }
    match to.shape.as_ref() == Some(shape) && to.element == element {
        true => Ok(()),
        false => Err(NodeCause::Open { output: 0 }),
    }
}

/// The integers of an operand that says where or how much.
pub(super) fn integers(lent: &mut Lent<'_>, operand: &LateOperand) -> Vec<i64> {
    let wide = operand.element == ElementType::I64;
    let bytes = lent.read(operand.place);
    match wide {
        true => {
            bytes.chunks_exact(8).map(|bytes| i64::from_ne_bytes(bytes.try_into().expect("eight"))).collect()
        }
        false => bytes
            .chunks_exact(4)
            .map(|bytes| i64::from(i32::from_ne_bytes(bytes.try_into().expect("four"))))
            .collect(),
    }
}

fn axis(axis: i64, rank: usize) -> Result<usize, NodeCause> {
    let found = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = found.and_then(|axis| usize::try_from(axis).ok()).filter(|axis| *axis < rank);
    found.ok_or_else(|| wrong(format!("axis {axis} is not one of {rank} dimensions")))
}
