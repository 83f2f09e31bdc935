//! The chip's own memory: where tensors can stay between runs, out of the host's sight.
//!
//! The objects are buffers of bytes in the table of a context. Copies are commands to the chip: the host gives bytes or asks for
//! them, and never sees a buffer. This chip copies at once; one that takes its time keeps the waker of
//! [`RemoteContext::poll_download`] and answers later.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use inferry_core::remote::{ContextId, Objects, RemoteContext, RemoteError, RemoteTensor, check_copy};
use inferry_core::tensor::{Layout, LayoutError, Storage, TensorError, copy_bytes, gather, scatter};
use inferry_core::{ElementType, Shape, Tensor};

/// The memory of a chip.
#[derive(Debug)]
pub struct Memory {
    id: ContextId,
    objects: Mutex<Objects<Vec<u8>>>,
}

impl Memory {
    pub(crate) fn new(chip: &str) -> Memory {
        let objects = Objects::new(chip);
        Memory { id: objects.id().clone(), objects: Mutex::new(objects) }
    }

    /// How many objects the chip keeps; those that no tensor means any more are dropped first.
    pub fn objects(&self) -> usize {
        let mut objects = self.locked();
        objects.bury();
        objects.len()
    }

    /// Reads the values of a tensor that a run has leased.
    pub(crate) fn read(&self, from: RemoteTensor<'_>, to: &mut [f32]) -> Result<(), RemoteError> {
        let objects = self.locked();
        let bytes = &objects.get(from.object())?[from.byte_range()];
        gather(from.layout(), size_of::<f32>(), bytes, bytemuck::cast_slice_mut(to)).map_err(layout)
    }

    /// Writes the values of a tensor that a run has leased to write.
    pub(crate) fn write(&self, from: &[f32], to: RemoteTensor<'_>) -> Result<(), RemoteError> {
        let mut objects = self.locked();
        let bytes = &mut objects.get_mut(to.object())?[to.byte_range()];
        scatter(to.layout(), size_of::<f32>(), bytemuck::cast_slice(from), bytes).map_err(layout)
    }

    fn download(&self, remote: &Tensor, host: &mut Tensor) -> Result<(), RemoteError> {
        let mut shaped = host.clone();
        if host.as_remote().is_none() {
            shaped.set_shape(remote.shape())?;
        }
        let there = check_copy(&self.id, &shaped, remote)?;
        let _read = remote.lease_read().map_err(TensorError::from)?;
        let mut written = shaped.lease_write().map_err(TensorError::from)?;
        let objects = self.locked();
        let from = &objects.get(there.object())?[there.byte_range()];
        let to = &mut written.bytes_mut()[shaped.byte_range()];
        copy_bytes(shaped.element().size(), there.layout(), from, shaped.layout(), to).map_err(layout)?;
        drop(written);
        *host = shaped;
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Objects<Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What this chip likes its copies on the host to be aligned to.
const PAGE: usize = 4096;

/// Bytes of the host that begin at a page.
struct Pages {
    bytes: Vec<u8>,
    begin: usize,
}

impl Pages {
    fn new(len: usize) -> Option<Pages> {
        let mut bytes: Vec<u8> = Vec::new();
        bytes.try_reserve_exact(len.checked_add(PAGE)?).ok()?;
        let begin = bytes.as_ptr().align_offset(PAGE);
        bytes.resize(begin.checked_add(len)?, 0);
        Some(Pages { bytes, begin })
    }
}

impl AsMut<[u8]> for Pages {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.begin..]
    }
}

impl RemoteContext for Memory {
    fn create_host(&self, element: ElementType, shape: &Shape) -> Result<Tensor, RemoteError> {
        if element == ElementType::String {
            return Err(TensorError::Strings.into());
        }
        let too_large = || TensorError::TooLarge { element, shape: shape.clone() };
        let dense = Layout::of(element, shape.clone()).ok_or_else(too_large)?;
        let pages = Pages::new(dense.span(element.size())).ok_or_else(too_large)?;
        Ok(Tensor::from_storage(Storage::exclusive::<u8, _>(pages), element, shape)?)
    }

    fn id(&self) -> &ContextId {
        &self.id
    }

    fn create(&self, element: ElementType, shape: &Shape) -> Result<Tensor, RemoteError> {
        let too_large = || TensorError::TooLarge { element, shape: shape.clone() };
        let dense = Layout::of(element, shape.clone()).ok_or_else(too_large)?;
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(dense.span(element.size())).map_err(|_| too_large())?;
        buffer.resize(dense.span(element.size()), 0);
        Ok(self.locked().insert(buffer, element, shape)?)
    }

    fn upload(&self, host: &Tensor, remote: &mut Tensor) -> Result<(), RemoteError> {
        let there = check_copy(&self.id, host, remote)?;
        // The leases say that no run and no other copy uses either side; they are held until the copy is over.
        let _written = remote.lease_write().map_err(TensorError::from)?;
        let read = host.lease_read().map_err(TensorError::from)?;
        let mut objects = self.locked();
        let to = &mut objects.get_mut(there.object())?[there.byte_range()];
        let from = &read.bytes()[host.byte_range()];
        copy_bytes(host.element().size(), host.layout(), from, there.layout(), to).map_err(layout)
    }

    fn poll_download(
        &self,
        remote: &Tensor,
        host: &mut Tensor,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), RemoteError>> {
        Poll::Ready(self.download(remote, host))
    }
}

fn layout(error: LayoutError) -> RemoteError {
    TensorError::from(error).into()
}
