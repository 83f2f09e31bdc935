//! Packed constants: weights rearranged once, shared by every plan and request of a compiled model.
//!
//! A kernel asks for the packed form of a constant by the tensor and a tag; the first asker packs, the others share. Nothing
//! is ever evicted: a pack lives as long as the compiled model. Two askers at the same time may both pack; one result is
//! kept.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use inferry_core::Tensor;
use spin::Mutex;

type Packed = Arc<dyn Any + Send + Sync>;

/// The packed constants of one compiled model.
#[derive(Default)]
pub struct Packs(Mutex<Vec<(Tensor, u64, Packed)>>);

impl Packs {
    /// The form of `tensor` that `tag` stands for, made by `pack` when it is asked for the first time. `tag` must name the
    /// layout in full: kernel, instruction set, block sizes.
    pub fn get<P: Any + Send + Sync>(&self, tensor: &Tensor, tag: u64, pack: impl FnOnce() -> P) -> Arc<P> {
        if let Some(found) = self.find(tensor, tag) {
            return found;
        }
        let packed = Arc::new(pack());
        let mut table = self.0.lock();
        if !table.iter().any(|(key, its_tag, _)| same(key, tensor) && *its_tag == tag) {
            table.push((tensor.clone(), tag, packed.clone()));
        }
        packed
    }

    fn find<P: Any + Send + Sync>(&self, tensor: &Tensor, tag: u64) -> Option<Arc<P>> {
        let table = self.0.lock();
        let (_, _, packed) = table.iter().find(|(key, its_tag, _)| same(key, tensor) && *its_tag == tag)?;
        packed.clone().downcast().ok()
    }
}

/// The same numbers in the same place.
fn same(a: &Tensor, b: &Tensor) -> bool {
    a.shares_storage(b) && a.offset() == b.offset() && a.layout() == b.layout()
}
