//! An input that is given in pieces: one tensor an item, gathered into one tensor in each run.
//!
//! The items stay the caller's. From the start of a run they are held for reading, and on the executor, before the first
//! stage, they are copied behind each other into a tensor that belongs to the request alone; so what was written to an item
//! before a start counts in that run. The first dimension of the port is the batch.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use crate::port::{Port, PortKey, Side};
use crate::request::bindings::Bindings;
use crate::request::bound::{Bound, Hold, check, fresh};
use crate::request::failure::Failure;
use crate::request::refusal::BindError;
use crate::tensor::{Dim, MAX_RANK, PartialShape, ReadLease, Shape, Tensor, TensorError};

/// The items of an input.
#[derive(Debug)]
pub(super) struct Batch {
    items: Vec<Tensor>,
    /// Held during a run.
    leases: Vec<ReadLease>,
}

impl Batch {
    /// Holds the items for a run.
    pub(super) fn hold(&mut self, port: &Port) -> Result<(), BindError> {
        for item in &self.items {
            let lease = item.lease_read();
            self.leases.push(lease.map_err(|source| BindError::InUse { port: port.into(), source })?);
        }
        Ok(())
    }

    pub(super) fn release(&mut self) {
        self.leases.clear();
    }

    /// True when an item lies in the storage of `tensor`.
    pub(super) fn shares(&self, tensor: &Tensor) -> bool {
        self.items.iter().any(|item| item.shares_storage(tensor))
    }
}

impl Bindings {
    /// Binds the items of a batch to an input. One item is bound like any tensor.
    pub(crate) fn set_items(&mut self, key: impl PortKey, mut items: Vec<Tensor>) -> Result<(), BindError> {
        let (port, slot) = self.locate(Side::Input, key)?;
        let dims = port.shape.dims();
        let batch = dims.map_or(Dim::Any, |dims| dims.first().copied().unwrap_or(Dim::Fixed(1)));
        if items.is_empty() || !batch.admits(items.len()) {
            return Err(BindError::Items { port: port.into(), given: items.len(), wanted: batch });
        }
        let shape = items[0].shape().clone();
        check_items(port, &shape, &items)?;
        let one = if items.len() == 1 { items.pop() } else { None };
        self.inputs.bound[slot] = match one {
            Some(item) => Bound::new(item),
            None => {
                let tensor = fresh(port, gathered_shape(&shape, items.len()))?;
                let batch = Batch { leases: Vec::with_capacity(items.len()), items };
                Bound { batch: Some(Box::new(batch)), ..Bound::new(tensor) }
            }
        };
        Ok(())
    }

    /// Gathers the items of a run that has been held.
    pub(super) fn gather(&mut self) -> Result<(), Failure> {
        for bound in &mut self.inputs.bound {
            let Some(batch) = &mut bound.batch else { continue };
            for (index, item) in batch.items.iter().enumerate() {
                place(item, index, &bound.tensor).map_err(Failure::device)?;
            }
            batch.release();
            bound.hold = Hold::Read(bound.tensor.lease_read().map_err(Failure::device)?);
        }
        Ok(())
    }
}

/// Every item is one of the port's, and all are of one shape.
fn check_items(port: &Port, shape: &Shape, items: &[Tensor]) -> Result<(), BindError> {
    let one = |dims: &[Dim]| {
        let mut dims: heapless::Vec<Dim, MAX_RANK> = dims.iter().copied().collect();
        if let Some(first) = dims.first_mut() {
            *first = Dim::Fixed(1);
        }
        PartialShape::new(&dims).expect("a shape of the same rank")
    };
    // Of an item, the port may know less than the first one says: the others must be like it.
    let first = Port { shape: port.shape.dims().map_or_else(PartialShape::unknown, one), ..port.clone() };
    let alike = Port { shape: shape.clone().into(), ..port.clone() };
    for (item, tensor) in items.iter().enumerate() {
        let fits = check(&first, tensor).and_then(|()| check(&alike, tensor));
        fits.map_err(|source| BindError::Item { item, source: Box::new(source) })?;
    }
    Ok(())
}

/// The shape of an item, so many times.
fn gathered_shape(item: &Shape, count: usize) -> Shape {
    let mut dims: heapless::Vec<usize, MAX_RANK> = item.iter().copied().collect();
    if let Some(first) = dims.first_mut() {
        *first = count;
    }
    Shape::new(&dims).expect("a shape of the same rank")
}

/// Copies an item to its place.
fn place(item: &Tensor, index: usize, whole: &Tensor) -> Result<(), TensorError> {
    let mut ranges: heapless::Vec<Range<usize>, MAX_RANK> =
        item.shape().iter().map(|extent| 0..*extent).collect();
    if let Some(first) = ranges.first_mut() {
        *first = index..index + 1;
    }
    item.copy_to(&mut whole.region(&ranges)?)
}
