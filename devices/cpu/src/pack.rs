//! Packed constants: weights rearranged once, shared by every plan and request of a compiled model.
//!
//! A kernel asks for the packed form of a constant by the tensor and a tag; the first asker packs, the others share. Nothing
//! is ever evicted: a pack lives as long as the compiled model. Two askers at the same time may both pack; one result is
//! kept.
//!
//! Packing a large matrix takes longer than planning may go on without a look. So who plans asks through `Packs::later`: a
//! form that is not there yet becomes a [`Job`], which can be interrupted, and the kernel gets an empty form in its place.
//! Such a kernel must not run; when the jobs are done, it is built again.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::marker::PhantomData;
use core::ops::{Deref, Range};
use core::pin::Pin;

use bytemuck::AnyBitPattern;
use inferry_core::steps::{Pace, finish};
use inferry_core::tensor::ReadLease;
use inferry_core::{Element, Tensor};
use spin::Mutex;

use crate::text::Words;

type Packed = Arc<dyn Any + Send + Sync>;

/// Packing that can be interrupted; the result is then in the [`Packs`] that it came from.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The packed constants of one compiled model, and its strings.
#[derive(Default)]
pub struct Packs {
    table: Arc<Table>,
    /// What is to be packed, when that is done later.
    jobs: Option<Mutex<Vec<Job>>>,
    words: Arc<Words>,
}

/// By the constant and the tag.
#[derive(Default)]
struct Table(Mutex<Vec<(Tensor, u64, Packed)>>);

impl Packs {
    /// Nothing packed yet, and these strings among the constants.
    pub(crate) fn new(words: Words) -> Packs {
        Packs { words: Arc::new(words), ..Packs::default() }
    }

    /// The strings among the constants.
    pub(crate) fn words(&self) -> &Arc<Words> {
        &self.words
    }

    /// The same constants, for somebody who packs later what is not there yet.
    pub(crate) fn later(&self) -> Packs {
        Packs { table: self.table.clone(), jobs: Some(Mutex::default()), words: self.words.clone() }
    }

    /// What is to be packed before a kernel that was built with these constants may run.
    pub(crate) fn take_jobs(&self) -> Vec<Job> {
        self.jobs.as_ref().map_or(Vec::new(), |jobs| core::mem::take(&mut *jobs.lock()))
    }

    /// The form of `tensor` that `tag` stands for, made by `pack` when it is asked for the first time. `tag` must name the
    /// layout in full: kernel, instruction set, block sizes.
    pub fn get<P, F>(&self, tensor: &Tensor, tag: u64, pack: impl FnOnce(Pace) -> F) -> Arc<P>
    where
        P: Any + Send + Sync + Default,
        F: Future<Output = P> + Send + 'static,
    {
        if let Some(found) = self.table.find(tensor, tag) {
            return found;
        }
        let packing = pack(Pace::silent());
        let Some(jobs) = &self.jobs else { return self.table.put(tensor, tag, finish(packing)) };
        let (table, tensor) = (self.table.clone(), tensor.clone());
        jobs.lock().push(Box::pin(async move {
            table.put(&tensor, tag, packing.await);
        }));
        Arc::default()
    }
}

impl Table {
    fn find<P: Any + Send + Sync>(&self, tensor: &Tensor, tag: u64) -> Option<Arc<P>> {
        let table = self.0.lock();
        let (_, _, packed) = table.iter().find(|(key, its_tag, _)| same(key, tensor) && *its_tag == tag)?;
        packed.clone().downcast().ok()
    }

    fn put<P: Any + Send + Sync>(&self, tensor: &Tensor, tag: u64, packed: P) -> Arc<P> {
        let packed = Arc::new(packed);
        let mut table = self.0.lock();
        if !table.iter().any(|(key, its_tag, _)| same(key, tensor) && *its_tag == tag) {
            table.push((tensor.clone(), tag, packed.clone()));
        }
        packed
    }
}

/// The same numbers in the same place.
fn same(a: &Tensor, b: &Tensor) -> bool {
    a.shares_storage(b) && a.offset() == b.offset() && a.layout() == b.layout()
}

/// The numbers of a constant, held for a job.
pub(crate) struct Numbers<T = f32> {
    lease: ReadLease,
    range: Range<usize>,
    of: PhantomData<T>,
}

impl<T: Element + AnyBitPattern> Numbers<T> {
    /// The numbers of a dense tensor of `T` that nobody writes.
    pub(crate) fn of(tensor: &Tensor) -> Option<Numbers<T>> {
        // Also whether the bytes can be read as such numbers where they lie.
        tensor.as_slice::<T>().ok()?;
        Some(Numbers { lease: tensor.lease_read().ok()?, range: tensor.byte_range(), of: PhantomData })
    }
}

impl<T: AnyBitPattern> Deref for Numbers<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.lease.bytes()[self.range.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn twice(data: Numbers, mut pace: Pace) -> Vec<f32> {
        let mut packed = Vec::new();
        for value in &*data {
            packed.push(value * 2.0);
            pace.spend(1 << 20).await;
        }
        packed
    }

    #[test]
    fn a_form_is_made_once_and_shared() {
        let (packs, tensor) = (Packs::default(), Tensor::from_slice(&[1.0f32, 2.0], [2]).unwrap());
        let get = |tag| packs.get(&tensor, tag, |pace| twice(Numbers::of(&tensor).unwrap(), pace));
        assert_eq!(*get(1), [2.0, 4.0]);
        assert!(Arc::ptr_eq(&get(1), &get(1)));
        assert!(!Arc::ptr_eq(&get(1), &get(2)), "another tag is another form");
    }

    #[test]
    fn what_is_packed_later_is_empty_until_then() {
        let (packs, tensor) = (Packs::default(), Tensor::from_slice(&[1.0f32, 2.0], [2]).unwrap());
        let later = packs.later();
        let get = |packs: &Packs| packs.get(&tensor, 1, |pace| twice(Numbers::of(&tensor).unwrap(), pace));
        assert!(get(&later).is_empty());
        let jobs = later.take_jobs();
        assert_eq!(jobs.len(), 1);
        jobs.into_iter().for_each(finish);
        assert_eq!(*get(&later), [2.0, 4.0]);
        assert!(later.take_jobs().is_empty() && Arc::ptr_eq(&get(&later), &get(&packs)));
    }
}
