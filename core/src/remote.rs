//! Memory that the host cannot look at: ids cross threads, objects stay.
//!
//! A device with memory of its own (a GPU, another worker) has a *context*. It keeps its objects in a table, [`Objects`], on
//! whatever thread made them. A tensor on it is a [`Tensor`] like any other (element type, shape, regions, a lease that keeps
//! two runs apart) whose storage has no bytes: it holds the id of an object, (context, slot, generation).
//!
//! ```text
//!  Objects<Buffer>   slot 0 ─ Buffer        on the thread that owns the context
//!        ▲           slot 1 ─ Buffer
//!        │ ids of the dead                  ─────────────────────────────────────
//!   graveyard ◀─ last share dropped ─ Tensor (context 7, slot 1, generation 3)      on any thread
//! ```
//!
//! When the last share in such a tensor is dropped, wherever that is, its id is posted to the graveyard, without waiting and
//! without taking memory. The owner empties it when it next makes a tensor or likes to ([`Objects::bury`]), and so every object
//! is dropped by its owner. A slot that is used again has another generation, so an id never means somebody else's object.
//!
//! [`RemoteContext`] is what a device gives to its users: new tensors, and copies both ways. A view of a remote tensor on the
//! host is [`TensorError::Remote`], and binding one to a model that does not compute in its
//! context is [`BindError::Remote`](crate::request::BindError::Remote). Nothing here moves bytes: devices do.

use alloc::boxed::Box;
use alloc::sync::Arc as Shared;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::request::{BoxError, InferErrorKind};
use crate::sync::{Arc, AtomicUsize, Lock, Ordering};
use crate::tensor::{ElementType, Layout, Shape, Storage, Tensor, TensorError};

/// A context of this process; none other is ever equal to it.
#[derive(Clone, Debug)]
pub struct ContextId(Shared<Named>);

#[derive(Debug)]
struct Named {
    number: usize,
    device: Box<str>,
}

impl ContextId {
    fn unique(device: &str) -> ContextId {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        ContextId(Shared::new(Named { number: NEXT.fetch_add(1, Ordering::Relaxed), device: device.into() }))
    }

    /// The name of the device that it belongs to.
    pub fn device(&self) -> &str {
        &self.0.device
    }
}

impl PartialEq for ContextId {
    fn eq(&self, other: &ContextId) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for ContextId {}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "context {} of the device \"{}\"", self.0.number, self.device())
    }
}

/// Which object of which context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectId {
    context: ContextId,
    slot: u32,
    generation: u32,
}

impl ObjectId {
    /// The context whose object it is.
    pub fn context(&self) -> &ContextId {
        &self.context
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {}.{} of {}", self.slot, self.generation, self.context)
    }
}

/// A tensor that is known to lie on a device; made by [`Tensor::as_remote`].
#[derive(Clone, Copy, Debug)]
pub struct RemoteTensor<'a> {
    tensor: &'a Tensor,
    object: &'a ObjectId,
}

impl<'a> RemoteTensor<'a> {
    /// The object in whose bytes the elements lie.
    pub fn object(&self) -> &'a ObjectId {
        self.object
    }

    /// The context.
    pub fn context(&self) -> &'a ContextId {
        &self.object.context
    }

    /// The shape and the byte strides.
    pub fn layout(&self) -> &'a Layout {
        self.tensor.layout()
    }

    /// Where the elements lie within the object, in bytes: a region of interest does not begin at 0.
    pub fn byte_range(&self) -> core::ops::Range<usize> {
        self.tensor.byte_range()
    }
}

impl Tensor {
    /// This tensor as one on a device; `None` when its bytes are here.
    pub fn as_remote(&self) -> Option<RemoteTensor<'_>> {
        self.object().map(|object| RemoteTensor { tensor: self, object })
    }
}

/// What a device with memory of its own gives to its users.
pub trait RemoteContext: Send + Sync {
    /// Its identity.
    fn id(&self) -> &ContextId;

    /// A tensor on the device. Its numbers are unspecified before something is copied to it.
    fn create(&self, element: ElementType, shape: &Shape) -> Result<Tensor, RemoteError>;

    /// A tensor of zeros on the host, in memory from which this device copies best (pinned, aligned, mapped). It is like any
    /// other there. Plain memory unless the device knows better.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`] and the like.
    fn create_host(&self, element: ElementType, shape: &Shape) -> Result<Tensor, RemoteError> {
        Ok(Tensor::try_zeros(element, shape)?)
    }

    /// Copies all elements of a tensor on the host to one of the same type and shape on the device, of which both may be
    /// regions. When it returns, `host` may change again.
    fn upload(&self, host: &Tensor, remote: &mut Tensor) -> Result<(), RemoteError>;

    /// Copies all elements of a tensor on the device to one on the host, which takes its shape; `Pending` while the device is
    /// not done, with the waker kept. See [`download`].
    fn poll_download(
        &self,
        remote: &Tensor,
        host: &mut Tensor,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), RemoteError>>;
}

/// Copies a tensor from the device: the future of [`RemoteContext::poll_download`].
pub fn download<'a>(
    context: &'a dyn RemoteContext,
    remote: &'a Tensor,
    host: &'a mut Tensor,
) -> Download<'a> {
    Download { context, remote, host }
}

/// A copy from a device; made by [`download`].
#[must_use = "a future does nothing unless polled"]
pub struct Download<'a> {
    context: &'a dyn RemoteContext,
    remote: &'a Tensor,
    host: &'a mut Tensor,
}

impl Future for Download<'_> {
    type Output = Result<(), RemoteError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Download { context, remote, host } = &mut *self;
        context.poll_download(remote, host, cx)
    }
}

/// Why a context did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The tensor lies elsewhere.
    #[error("the tensor is {}, not in {context}", Where(.given.as_ref()))]
    Elsewhere {
        /// The context of the tensor; `None` when it is on the host.
        given: Option<ContextId>,
        /// The context that was asked.
        context: ContextId,
    },
    /// The object is not there any more: the context was made anew.
    #[error("{object} is gone")]
    Gone {
        /// The object.
        object: ObjectId,
    },
    /// Types or shapes that differ, and tensors that somebody else uses.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Shapes that differ.
    #[error("a tensor of shape {host} cannot be copied to one of shape {remote}")]
    Shapes {
        /// The shape on the host.
        host: Box<Shape>,
        /// The shape on the device.
        remote: Box<Shape>,
    },
    /// The device failed.
    #[error("the device failed")]
    Device(#[source] BoxError),
}

struct Where<'a>(Option<&'a ContextId>);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(context) => write!(f, "in {context}"),
            None => f.write_str("on the host"),
        }
    }
}

/// The device has no memory of its own that could be shared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device \"{device}\" has no remote context")]
pub struct NoContext {
    /// The device.
    pub device: Shared<str>,
}

impl NoContext {
    /// The kind.
    pub fn kind(&self) -> InferErrorKind {
        InferErrorKind::Unsupported
    }
}

/// The objects of a context, in slots. `T` need not be `Send`: only ids leave the thread that owns this.
pub struct Objects<T> {
    id: ContextId,
    graveyard: Arc<Graveyard>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    object: Option<T>,
}

impl<T> fmt::Debug for Objects<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({} in {})", self.len(), self.id)
    }
}

impl<T> Objects<T> {
    /// A new context of the device of this name, with no objects.
    pub fn new(device: &str) -> Objects<T> {
        let graveyard = Arc::new(Graveyard { dead: Lock::new(Vec::new()) });
        Objects { id: ContextId::unique(device), graveyard, slots: Vec::new(), free: Vec::new() }
    }

    /// The context's identity.
    pub fn id(&self) -> &ContextId {
        &self.id
    }

    /// How many objects there are, those included that wait to be buried.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// True when there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts an object in and gives the tensor that means it: dense, with its first element at byte 0. Buries the dead first.
    ///
    /// # Errors
    /// [`TensorError::TooLarge`], and [`TensorError::Strings`]: strings are objects of the host.
    pub fn insert(&mut self, object: T, element: ElementType, shape: &Shape) -> Result<Tensor, TensorError> {
        self.bury();
        if element == ElementType::String {
            return Err(TensorError::Strings);
        }
        let too_large = || TensorError::TooLarge { element, shape: shape.clone() };
        let bytes = Layout::of(element, shape.clone()).ok_or_else(too_large)?.span(element.size());
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.slots.len()).map_err(|_| too_large())?;
                self.slots.push(Slot { generation: 0, object: None });
                slot
            }
        };
        // Room for every living object, so that no tensor takes memory when it is dropped.
        self.graveyard.make_room(self.len());
        let place = &mut self.slots[slot as usize];
        place.object = Some(object);
        let id = ObjectId { context: self.id.clone(), slot, generation: place.generation };
        let claim = Claim { id, graveyard: self.graveyard.clone() };
        Tensor::from_storage(Storage::remote(claim, bytes), element, shape)
    }

    /// The object of an id.
    pub fn get(&self, id: &ObjectId) -> Result<&T, RemoteError> {
        let slot = self.find(id)?;
        self.slots[slot].object.as_ref().ok_or_else(|| RemoteError::Gone { object: id.clone() })
    }

    /// The object of an id, to change it. Whether it may be changed now is said by the lease of its tensor.
    pub fn get_mut(&mut self, id: &ObjectId) -> Result<&mut T, RemoteError> {
        let slot = self.find(id)?;
        self.slots[slot].object.as_mut().ok_or_else(|| RemoteError::Gone { object: id.clone() })
    }

    /// Drops the objects that no tensor means any more; gives how many.
    pub fn bury(&mut self) -> usize {
        let mut count = 0;
        while let Some(slot) = self.graveyard.take() {
            let place = &mut self.slots[slot as usize];
            // At the end of its generations a slot is left alone: no id of it may come back.
            let object = place.object.take();
            if let Some(next) = place.generation.checked_add(1) {
                place.generation = next;
                self.free.push(slot);
            }
            drop(object);
            count += 1;
        }
        count
    }

    fn find(&self, id: &ObjectId) -> Result<usize, RemoteError> {
        if id.context != self.id {
            return Err(RemoteError::Elsewhere { given: Some(id.context.clone()), context: self.id.clone() });
        }
        let slot = id.slot as usize;
        match self.slots.get(slot) {
            Some(place) if place.generation == id.generation => Ok(slot),
            _ => Err(RemoteError::Gone { object: id.clone() }),
        }
    }
}

/// The slots whose objects no tensor means any more.
struct Graveyard {
    dead: Lock<Vec<u32>>,
}

impl Graveyard {
    fn take(&self) -> Option<u32> {
        self.dead.with(Vec::pop)
    }

    /// Makes room for so many in all. The memory is taken and given back outside of the lock.
    fn make_room(&self, wanted: usize) {
        if self.dead.with(|dead| dead.capacity()) >= wanted {
            return;
        }
        let mut larger = Vec::with_capacity(wanted.next_power_of_two());
        let smaller = self.dead.with(|dead| {
            larger.extend_from_slice(dead);
            core::mem::replace(dead, larger)
        });
        drop(smaller);
    }
}

/// The right to an object: what all shares in one remote tensor hold together.
pub(crate) struct Claim {
    id: ObjectId,
    graveyard: Arc<Graveyard>,
}

impl Claim {
    pub(crate) fn id(&self) -> &ObjectId {
        &self.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // There is room: `insert` has made it before this claim was.
        self.graveyard.dead.with(|dead| dead.push(self.id.slot));
    }
}

/// What a context checks before each copy: both tensors are where they should be, and alike. Gives the remote side.
pub fn check_copy<'a>(
    context: &ContextId,
    host: &Tensor,
    remote: &'a Tensor,
) -> Result<RemoteTensor<'a>, RemoteError> {
    let elsewhere = |given: Option<&ContextId>| RemoteError::Elsewhere {
        given: given.cloned(),
        context: context.clone(),
    };
    let there = remote.as_remote().ok_or_else(|| elsewhere(None))?;
    if there.context() != context {
        return Err(elsewhere(Some(there.context())));
    }
    if let Some(object) = host.as_remote() {
        return Err(TensorError::Remote { context: object.context().clone() }.into());
    }
    if host.element() != remote.element() {
        return Err(TensorError::Element { asked: host.element(), actual: remote.element() }.into());
    }
    if host.shape() != remote.shape() {
        let (host, remote) = (Box::new(host.shape().clone()), Box::new(remote.shape().clone()));
        return Err(RemoteError::Shapes { host, remote });
    }
    Ok(there)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use alloc::rc::Rc;
    use std::thread;
    use std::vec::Vec;

    fn tensor(objects: &mut Objects<Rc<u8>>, object: &Rc<u8>) -> Tensor {
        objects.insert(object.clone(), ElementType::F32, &[2, 3].into()).unwrap()
    }

    #[test]
    fn ids_cross_threads_and_objects_stay() {
        // An `Rc` cannot leave this thread; the tensor can, and its end is told here.
        let (mut objects, object) = (Objects::new("test"), Rc::new(7));
        let tensor = tensor(&mut objects, &object);
        thread::spawn(move || {
            assert_eq!((tensor.shape().count(), tensor.as_remote().unwrap().byte_range()), (6, 0..24));
            drop(tensor);
        })
        .join()
        .unwrap();
        assert_eq!(Rc::strong_count(&object), 2, "nobody but the owner drops it");
        assert_eq!((objects.bury(), objects.len()), (1, 0));
        assert_eq!(Rc::strong_count(&object), 1);
    }

    #[test]
    fn an_id_never_means_the_next_object_of_its_slot() {
        let (mut objects, object) = (Objects::new("test"), Rc::new(7));
        let first = tensor(&mut objects, &object);
        let id = first.as_remote().unwrap().object().clone();
        assert_eq!(**objects.get(&id).unwrap(), 7);
        let clone = first.clone();
        drop(first);
        assert_eq!(objects.bury(), 0, "a share is left");
        drop(clone);
        let second = tensor(&mut objects, &Rc::new(8));
        assert_eq!(objects.len(), 1, "the slot was used again");
        assert!(matches!(objects.get(&id), Err(RemoteError::Gone { .. })));
        assert_eq!(**objects.get_mut(second.as_remote().unwrap().object()).unwrap(), 8);
        assert!(matches!(Objects::<Rc<u8>>::new("test").get(&id), Err(RemoteError::Elsewhere { .. })));
    }

    #[test]
    fn a_region_keeps_the_object_and_knows_where_it_lies() {
        let (mut objects, object) = (Objects::new("test"), Rc::new(7));
        let whole = tensor(&mut objects, &object);
        let region = whole.region(&[1..2, 1..3]).unwrap();
        drop(whole);
        assert_eq!(objects.bury(), 0);
        assert_eq!(region.as_remote().unwrap().byte_range(), 16..24);
    }

    #[test]
    fn what_would_need_the_bytes_is_refused() {
        let (mut objects, object) = (Objects::new("test"), Rc::new(7));
        let mut remote = tensor(&mut objects, &object);
        let refused = |error: TensorError| assert!(matches!(error, TensorError::Remote { .. }), "{error}");
        refused(remote.as_slice::<f32>().unwrap_err());
        refused(remote.as_slice_mut::<f32>().unwrap_err());
        refused(remote.view::<f32>().unwrap_err());
        refused(remote.view_mut::<f32>().unwrap_err());
        refused(remote.to_vec::<f32>().unwrap_err());
        refused(remote.split_mut(0, &[1]).unwrap_err());
        let mut host = Tensor::zeros(ElementType::F32, [2, 3]);
        refused(remote.copy_to(&mut host).unwrap_err());
        refused(remote.copy_from(&host).unwrap_err());
        assert!(host.as_remote().is_none());
        // The bytes are not here, and are not claimed to be.
        assert!(remote.lease_read().unwrap().bytes().is_empty());
        assert!(remote.lease_write().unwrap().bytes_mut().is_empty());
        // It is printed without them, takes a shape of no more bytes, and never grows into memory of the host.
        assert!(std::format!("{remote}").contains("context"), "{remote}");
        remote.set_shape([6]).unwrap();
        assert!(matches!(remote.set_shape([7]), Err(TensorError::Room { .. })));
        assert!(matches!(
            objects.insert(object, ElementType::String, &[1].into()),
            Err(TensorError::Strings)
        ));
    }

    #[test]
    fn dropping_takes_no_memory_for_the_dead() {
        let (mut objects, object) = (Objects::new("test"), Rc::new(7));
        let tensors: Vec<Tensor> = (0..100).map(|_| tensor(&mut objects, &object)).collect();
        let room = objects.graveyard.dead.with(|dead| dead.capacity());
        assert!(room >= 100);
        drop(tensors);
        assert_eq!(objects.graveyard.dead.with(|dead| dead.capacity()), room);
        assert_eq!(objects.bury(), 100);
        assert!(objects.is_empty());
    }
}
