//! What a loop gives: the rows of what is scanned, a sequence of it, and what is carried after the last trip.
//!
//! Copies are made in pieces, so that a large result can be interrupted.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::Display;

use inferry_core::Shape;
use inferry_core::tensor::MAX_RANK;
use inferry_engine::graph::Dim;
use inferry_engine::op::Loop;

use super::LoopStep;
use super::state::{At, LoopState};
use crate::arena::{Item, Lent, Object, OutOfMemory, Region};
use crate::late::LateOperand;
use crate::plan::NodeCause;
use crate::stored::width;

/// Bytes that are copied between two looks at the turn.
const PIECE: usize = 1 << 20;

impl LoopStep {
    /// Copies a piece of the row that the trip gave to scan `scan` behind the rows before it.
    pub(super) fn row(
        &self,
        state: &mut LoopState,
        lent: &mut Lent<'_>,
        scan: usize,
        done: usize,
    ) -> Result<At, NodeCause> {
        let next = At::Rows { scan: scan + 1, done: 0 };
        let Some(Some(write)) = self.writes.get(self.carried() + scan) else { return Ok(next) };
        let trip = state.trip;
        let known = state.rows[scan].clone();
        let (shape, bytes) = state.result(self, 1 + self.carried() + scan).map_err(no_memory)?;
        if let Some(known) = known.filter(|known| *known != shape) {
            let what = format!("row {trip} of scanned value {scan}");
            return Err(misfit(&what, shape, known));
        }
        let begin = usize::try_from(trip).ok().and_then(|trip| trip.checked_mul(bytes.len()));
        let end = begin.and_then(|begin| begin.checked_add(bytes.len()));
        let (Some(begin), Some(end)) = (begin, end) else { return Err(NodeCause::OutOfMemory(usize::MAX)) };
        match write.place.region {
            Region::Slot(slot) if done == 0 => lent.extend_slot(slot, end).map_err(no_memory)?,
            Region::Slot(_) => {}
            _ if end > write.place.len => {
                let (what, wanted) = (format!("row {trip} of scanned value {scan}"), planned(write));
                return Err(misfit(&what, shape, wanted));
            }
            _ => {}
        }
        let piece = done..(done + PIECE).min(bytes.len());
        lent.put(write.place, begin + piece.start, &bytes[piece.clone()]);
        let at = if piece.end < bytes.len() { At::Rows { scan, done: piece.end } } else { next };
        state.rows[scan] = Some(shape);
        Ok(at)
    }

    /// Copies a piece of the tensor that the trip gave to scan `scan` into the sequence that is made of them.
    pub(super) fn list(
        &self,
        state: &mut LoopState,
        lent: &mut Lent<'_>,
        scan: usize,
        done: usize,
    ) -> Result<At, NodeCause> {
        let next = At::Rows { scan: scan + 1, done: 0 };
        let output = 1 + self.carried() + scan;
        let Some(Some(write)) = self.writes.get(self.carried() + scan) else { return Ok(next) };
        let mut item = match state.copying.take() {
            Some(item) if done > 0 => item,
            _ => {
                let (shape, _) = state.result(self, output).map_err(no_memory)?;
                Item::new(write.element, shape, lent.meter()).map_err(no_memory)?
            }
        };
        let (_, bytes) = state.result(self, output).map_err(no_memory)?;
        let piece = done..(done + PIECE).min(bytes.len());
        item.bytes_mut()[piece.clone()].copy_from_slice(&bytes[piece.clone()]);
        if piece.end < bytes.len() {
            state.copying = Some(item);
            return Ok(At::Rows { scan, done: piece.end });
        }
        state.lists[scan].push(item);
        Ok(next)
    }

    /// Copies a piece of an output to where it is wanted.
    pub(super) fn deliver(
        &self,
        state: &mut LoopState,
        lent: &mut Lent<'_>,
        output: usize,
        done: usize,
    ) -> Result<At, NodeCause> {
        let next = At::Deliver { output: output + 1, done: 0 };
        let Some(write) = &self.writes[output] else { return Ok(next) };
        if let Region::Object(object) = write.place.region {
            let value = match output.checked_sub(self.carried()) {
                Some(scan) => Object::sequence(core::mem::take(&mut state.lists[scan])),
                None if state.trip > 0 => core::mem::take(&mut state.carried[output]),
                None => match self.entering(output).place.region {
                    Region::Object(entered) => lent.object(entered).clone(),
                    region => unreachable!("{region:?} is no object"),
                },
            };
            lent.put_object(object, value);
            return Ok(next);
        }
        if output >= self.carried() {
            self.finish_rows(state, lent, output - self.carried(), write)?;
            return Ok(next);
        }
        let input = Loop::LEADING + output;
        let shape = state.shapes[input].clone();
        if write.shape.as_ref().is_some_and(|planned| *planned != shape) {
            let what = format!("carried value {output} after the last trip");
            return Err(misfit(&what, shape, planned(write)));
        }
        let len = shape.count() * width(write.element);
        if let (Region::Slot(slot), 1..) = (write.place.region, state.trip) {
            lent.trade_slot(slot, &shape, len, &mut state.memory, input);
            return Ok(next);
        }
        if let (Region::Slot(slot), 0) = (write.place.region, done) {
            lent.resize_slot(slot, &shape, len).map_err(no_memory)?;
        }
        let piece = done..(done + PIECE).min(len);
        match state.trip {
            0 => lent.copy(self.entering(output).place, write.place, piece.clone()),
            _ => {
                let from = state.memory.staged_input(input, len).map_err(no_memory)?;
                lent.put(write.place, piece.start, &from[piece.clone()]);
            }
        }
        Ok(if piece.end < len { At::Deliver { output, done: piece.end } } else { next })
    }

    /// Says how many rows there are, or checks that there are as many as were planned.
    fn finish_rows(
        &self,
        state: &LoopState,
        lent: &mut Lent<'_>,
        scan: usize,
        write: &LateOperand,
    ) -> Result<(), NodeCause> {
        let trips = usize::try_from(state.trip).unwrap_or(usize::MAX);
        let mut extents: heapless::Vec<usize, { MAX_RANK + 1 }> = heapless::Vec::new();
        let row = |dim: &Dim| dim.fixed().unwrap_or(0);
        // Both have at most `MAX_RANK` dimensions.
        _ = extents.push(trips);
        match &state.rows[scan] {
            Some(shape) => extents.extend(shape.iter().copied()),
            // No trip was made; where the body's extents are open, there are no elements either way.
            None => {
                let dims = self.fact(1 + self.carried() + scan).and_then(|fact| fact.shape.dims());
                extents.extend(dims.unwrap_or_default().iter().map(row));
            }
        }
        let what = || format!("what scanned value {scan} was collected to");
        let few = || format!("one of at most {MAX_RANK} dimensions");
        let shape = Shape::new(&extents).map_err(|_| misfit(&what(), format!("{extents:?}"), few()))?;
        match (write.place.region, &write.shape) {
            (Region::Slot(slot), _) => {
                let bytes = shape.count().saturating_mul(width(write.element));
                lent.extend_slot(slot, bytes).map_err(no_memory)?;
                lent.shape_slot(slot, &shape);
                Ok(())
            }
            (_, Some(planned)) if *planned != shape => Err(misfit(&what(), shape, planned)),
            _ => Ok(()),
        }
    }
}

pub(super) fn misfit(what: &str, found: impl Display, wanted: impl Display) -> NodeCause {
    NodeCause::Trip(format!("{what} is {found}, and not {wanted}"))
}

fn no_memory(OutOfMemory(bytes): OutOfMemory) -> NodeCause {
    NodeCause::OutOfMemory(bytes)
}

/// What the plan expects of an output.
fn planned(operand: &LateOperand) -> String {
    operand.shape.as_ref().map_or_else(|| "another".to_string(), ToString::to_string)
}
