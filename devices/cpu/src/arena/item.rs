//! What is not one buffer: the tensors of sequences and optionals.
//!
//! An [`Item`] is a tensor that is written once and then shared by all sequences that it is in; an [`Object`] is what a
//! value of such a kind is in a run. Handing one on copies a count. A sequence that nobody else holds grows in place.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{ElementType, Shape};

use super::OutOfMemory;
use super::buffer::{Buffer, Meter};
use crate::io::Span;
use crate::stored;

/// A tensor of a sequence or an optional.
#[derive(Clone)]
pub(crate) struct Item(Arc<Whole>);

struct Whole {
    element: ElementType,
    shape: Shape,
    buffer: Buffer,
    len: usize,
}

impl Item {
    /// A tensor of zeros, to be written before it is shared. Its bytes count for as long as anybody holds it.
    pub(crate) fn new(element: ElementType, shape: Shape, meter: &Meter) -> Result<Item, OutOfMemory> {
        let len = stored::bytes(element, &shape).ok_or(OutOfMemory(usize::MAX))?;
        let mut buffer = Buffer::new(meter);
        buffer.grow(len)?;
        Ok(Item(Arc::new(Whole { element, shape, buffer, len })))
    }

    /// The type of its elements.
    pub(crate) fn element(&self) -> ElementType {
        self.0.element
    }

    /// Its shape.
    pub(crate) fn shape(&self) -> &Shape {
        &self.0.shape
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0.buffer.read()[..self.0.len]
    }

    /// Its bytes, to write.
    ///
    /// # Panics
    /// When it is shared already.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let whole = Arc::get_mut(&mut self.0).expect("an item is written before it is shared");
        &mut whole.buffer.bytes()[..whole.len]
    }

    /// As [`Item::bytes_mut`], as a span.
    pub(super) fn span(&mut self) -> Span {
        let whole = Arc::get_mut(&mut self.0).expect("an item is written before it is shared");
        whole.buffer.span(0..whole.len)
    }
}

/// The value of a sequence or an optional in a run.
#[derive(Clone, Default)]
pub(crate) enum Object {
    /// Nothing.
    #[default]
    Absent,
    /// An optional tensor that is there.
    Tensor(Item),
    /// A sequence.
    Sequence(Arc<Vec<Item>>),
}

impl Object {
    /// A sequence of these.
    pub(crate) fn sequence(items: Vec<Item>) -> Object {
        Object::Sequence(Arc::new(items))
    }

    /// All tensors in it.
    pub(crate) fn items(&self) -> &[Item] {
        match self {
            Object::Absent => &[],
            Object::Tensor(item) => core::slice::from_ref(item),
            Object::Sequence(items) => items,
        }
    }
}
