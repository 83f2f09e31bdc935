//! Packed constants: weights rearranged once, shared by every plan and request of a compiled model.
//!
//! A kernel asks for the packed form of a constant by the tensor and a tag; the first asker packs, the others share. Nothing
//! is ever evicted: a pack lives as long as the compiled model. Two askers at the same time may both pack; one result is
//! kept.
//!
//! Packing a large matrix takes longer than planning may go on without a look. So who plans asks through `Packs::later`: a
//! form that is not there yet becomes a [`Job`], which can be interrupted, and the kernel gets an empty form in its place.
//! Such a kernel must not run; when the jobs are done, it is built again.
//!
//! A model that was imported brings packs along (`Stored`). One is used where it lies when its parts are as long as the
//! asker says they must be: a kernel reads as far as it has counted, whatever a file says. One that does not fit is not used,
//! and remembered as a `Misfit`.

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

/// A packed form.
pub trait Pack: Any + Send + Sync {
    /// Its memory, in parts, as it can be stored; none when it cannot be.
    fn parts(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    /// The form whose memory these are. They are as many and as long as the asker said they must be, and may hold any bytes.
    fn of_parts(parts: Vec<Part>) -> Option<Self>
    where
        Self: Sized,
    {
        let _ = parts;
        None
    }
}

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

#[derive(Default)]
struct Table {
    packed: Mutex<Vec<Form>>,
    stored: Vec<Stored>,
    misfit: Mutex<Option<Misfit>>,
}

/// A packed form: of which constant, and which of its forms.
#[derive(Clone)]
pub(crate) struct Form {
    pub(crate) tensor: Tensor,
    pub(crate) tag: u64,
    pub(crate) pack: Arc<dyn Pack>,
    /// It was stored.
    is_old: bool,
}

/// A pack that a file holds.
#[cfg_attr(not(feature = "export"), allow(dead_code, reason = "only an import makes one"))]
pub(crate) struct Stored {
    pub(crate) tensor: Tensor,
    pub(crate) tag: u64,
    pub(crate) parts: Vec<Part>,
}

/// A stored pack that is not of the form that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Bytes of each of its parts.
    pub(crate) found: Vec<usize>,
    /// What they should be.
    pub(crate) wanted: Vec<usize>,
}

impl Packs {
    /// Nothing packed yet but what is stored, and these strings among the constants.
    pub(crate) fn new(words: Words, stored: Vec<Stored>) -> Packs {
        let table = Arc::new(Table { stored, ..Table::default() });
        Packs { table, words: Arc::new(words), jobs: None }
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

    /// How many forms were packed, and not stored.
    pub(crate) fn count(&self) -> usize {
        self.table.packed.lock().iter().filter(|form| !form.is_old).count()
    }

    /// All forms, also those that are stored and nobody has asked for.
    #[cfg(feature = "export")]
    pub(crate) fn all(&self) -> Vec<Form> {
        let mut all = self.table.packed.lock().clone();
        for Stored { tensor, tag, parts } in &self.table.stored {
            if !all.iter().any(|form| form.is(tensor, *tag)) {
                let pack = Arc::new(Unread(parts.clone()));
                all.push(Form { tensor: tensor.clone(), tag: *tag, pack, is_old: true });
            }
        }
        all
    }

    /// The first stored pack that was not as it had to be.
    #[cfg(feature = "export")]
    pub(crate) fn misfit(&self) -> Option<Misfit> {
        self.table.misfit.lock().clone()
    }

    /// The form of `tensor` that `tag` stands for, made by `pack` when it is asked for the first time. `tag` must name the
    /// layout in full: kernel, instruction set, block sizes. `parts` are the bytes of each of its [`Pack::parts`], which a
    /// stored form must have; none for a form that is not stored.
    pub fn get<P, F>(
        &self,
        tensor: &Tensor,
        tag: u64,
        parts: impl FnOnce() -> Vec<usize>,
        pack: impl FnOnce(Pace) -> F,
    ) -> Arc<P>
    where
        P: Pack + Default,
        F: Future<Output = P> + Send + 'static,
    {
        if let Some(found) = self.table.find(tensor, tag).or_else(|| self.table.restore(tensor, tag, parts)) {
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
    fn find<P: Pack>(&self, tensor: &Tensor, tag: u64) -> Option<Arc<P>> {
        let packed = self.packed.lock();
        let found = packed.iter().find(|form| form.is(tensor, tag))?;
        let found: Arc<dyn Any + Send + Sync> = found.pack.clone();
        found.downcast().ok()
    }

    /// The form as a file holds it.
    fn restore<P: Pack>(
        &self,
        tensor: &Tensor,
        tag: u64,
        parts: impl FnOnce() -> Vec<usize>,
    ) -> Option<Arc<P>> {
        if cfg!(not(feature = "export")) {
            return None;
        }
        let stored = self.stored.iter().find(|stored| stored.tag == tag && same(&stored.tensor, tensor))?;
        let (found, wanted) = (stored.parts.iter().map(|part| part.len()).collect(), parts());
        if found != wanted {
            self.misfit.lock().get_or_insert(Misfit { found, wanted });
            return None;
        }
        Some(self.keep(tensor, tag, P::of_parts(stored.parts.clone())?, true))
    }

    fn put<P: Pack>(&self, tensor: &Tensor, tag: u64, pack: P) -> Arc<P> {
        self.keep(tensor, tag, pack, false)
    }

    fn keep<P: Pack>(&self, tensor: &Tensor, tag: u64, pack: P, is_old: bool) -> Arc<P> {
        let pack = Arc::new(pack);
        let mut packed = self.packed.lock();
        if !packed.iter().any(|form| form.is(tensor, tag)) {
            packed.push(Form { tensor: tensor.clone(), tag, pack: pack.clone(), is_old });
        }
        pack
    }
}

impl Form {
    fn is(&self, tensor: &Tensor, tag: u64) -> bool {
        self.tag == tag && same(&self.tensor, tensor)
    }
}

/// A stored form that nobody has asked for.
#[cfg(feature = "export")]
struct Unread(Vec<Part>);

#[cfg(feature = "export")]
impl Pack for Unread {
    fn parts(&self) -> Vec<&[u8]> {
        self.0.iter().map(|part| &**part).collect()
    }
}

/// The same numbers in the same place.
pub(crate) fn same(a: &Tensor, b: &Tensor) -> bool {
    a.shares_storage(b) && a.offset() == b.offset() && a.layout() == b.layout()
}

/// A piece of memory that nobody writes, shared: of a file.
#[derive(Clone)]
pub struct Part {
    lease: Arc<ReadLease>,
    range: Range<usize>,
}

impl Part {
    /// The bytes of `range`; `None` when the memory has not so many.
    #[cfg_attr(not(feature = "export"), allow(dead_code, reason = "only an import makes one"))]
    pub(crate) fn new(lease: Arc<ReadLease>, range: Range<usize>) -> Option<Part> {
        lease.bytes().get(range.clone())?;
        Some(Part { lease, range })
    }
}

impl Deref for Part {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.lease.bytes()[self.range.clone()]
    }
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

    /// Bytes, whether owned or a file's.
    #[derive(Default, Debug, PartialEq)]
    struct Twice(Vec<u8>);

    impl Pack for Twice {
        fn parts(&self) -> Vec<&[u8]> {
            alloc::vec![&self.0]
        }

        fn of_parts(parts: Vec<Part>) -> Option<Twice> {
            Some(Twice(parts.first()?.to_vec()))
        }
    }

    async fn twice(data: Numbers<u8>, mut pace: Pace) -> Twice {
        let mut packed = Twice::default();
        for value in &*data {
            packed.0.push(value * 2);
            pace.spend(1 << 20).await;
        }
        packed
    }

    fn get(packs: &Packs, tensor: &Tensor, tag: u64) -> Arc<Twice> {
        packs.get(tensor, tag, || alloc::vec![2], |pace| twice(Numbers::of(tensor).unwrap(), pace))
    }

    fn tensor() -> Tensor {
        Tensor::from_slice(&[1u8, 2], [2]).unwrap()
    }

    #[test]
    fn a_form_is_made_once_and_shared() {
        let (packs, tensor) = (Packs::default(), tensor());
        assert_eq!(get(&packs, &tensor, 1).0, [2, 4]);
        assert!(Arc::ptr_eq(&get(&packs, &tensor, 1), &get(&packs, &tensor, 1)));
        assert!(
            !Arc::ptr_eq(&get(&packs, &tensor, 1), &get(&packs, &tensor, 2)),
            "another tag is another form"
        );
    }

    #[test]
    fn what_is_packed_later_is_empty_until_then() {
        let (packs, tensor) = (Packs::default(), tensor());
        let later = packs.later();
        assert!(get(&later, &tensor, 1).0.is_empty());
        let jobs = later.take_jobs();
        assert_eq!(jobs.len(), 1);
        jobs.into_iter().for_each(finish);
        assert_eq!(get(&later, &tensor, 1).0, [2, 4]);
        let (later_, packs) = (get(&later, &tensor, 1), get(&packs, &tensor, 1));
        assert!(later.take_jobs().is_empty() && Arc::ptr_eq(&later_, &packs));
    }

    #[cfg(feature = "export")]
    #[test]
    fn a_stored_form_is_used_when_it_is_as_long_as_it_must_be() {
        let tensor = tensor();
        let bytes = Tensor::from_slice(&[7u8, 8, 9], [3]).unwrap();
        let lease = Arc::new(bytes.lease_read().unwrap());
        let stored = |tag, range| Stored {
            tensor: tensor.clone(),
            tag,
            parts: alloc::vec![Part::new(lease.clone(), range).unwrap()],
        };
        let packs = Packs::new(Words::default(), alloc::vec![stored(1, 1..3), stored(2, 0..3)]);
        assert_eq!(get(&packs, &tensor, 1).0, [8, 9]);
        assert!(packs.table.misfit.lock().is_none());
        assert_eq!(get(&packs, &tensor, 2).0, [2, 4], "packed anew");
        let misfit = Misfit { found: alloc::vec![3], wanted: alloc::vec![2] };
        assert_eq!(*packs.table.misfit.lock(), Some(misfit));
        assert!(Part::new(lease, 2..4).is_none());
    }
}
