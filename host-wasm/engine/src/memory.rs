//! The allocator, and the blocks that JavaScript takes to write into.
//!
//! The allocator is dlmalloc under a spin lock: it is held for one allocation, and there is no lock that could sleep in a
//! module without threads or on a page's main thread. A block is known by its address until it is given back or handed to a
//! call that keeps it; an address that names none is an error. Nothing here knows what a block is for.
#![allow(unsafe_code)]

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::collections::BTreeMap;
use core::alloc::Layout;
use core::ptr::NonNull;

use spin::Mutex;

use crate::trouble::Trouble;

/// Blocks begin at multiples of this: enough for any element type and a whole vector.
const ALIGNMENT: usize = 16;

static BLOCKS: Mutex<BTreeMap<usize, Block>> = Mutex::new(BTreeMap::new());

/// A block of memory that JavaScript has the address of.
pub(crate) struct Block {
    at: NonNull<u8>,
    /// As long as was asked for.
    len: usize,
    /// As it was allocated: never empty.
    layout: Layout,
}

// SAFETY: a block is the only owner of its memory. JavaScript writes there between two calls, never during one that reads:
// the agent that took a block is the one that hands it in.
unsafe impl Send for Block {}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is ours until the drop, and was zeroed when it was taken. Nobody writes while a call runs.
        unsafe { core::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `take`, and freed once.
        unsafe { dealloc(self.at.as_ptr(), self.layout) };
    }
}

/// A new block of so many zero bytes; its address, or 0 when there is no memory for it.
pub(crate) fn take(len: usize) -> usize {
    let Ok(layout) = Layout::from_size_align(len.max(1), ALIGNMENT) else { return 0 };
    // SAFETY: the layout is not empty.
    let Some(at) = NonNull::new(unsafe { alloc_zeroed(layout) }) else { return 0 };
    let address = at.as_ptr().expose_provenance();
    BLOCKS.lock().insert(address, Block { at, len, layout });
    address
}

/// The block at an address; from now on JavaScript does not have it any more. Dropping it frees it.
pub(crate) fn claim(address: usize) -> Result<Block, Trouble> {
    BLOCKS.lock().remove(&address).ok_or_else(|| Trouble::unknown("block at", address))
}

/// Copies the first words of a block.
pub(crate) fn read_words(address: usize, words: &mut [u32]) -> Result<(), Trouble> {
    let blocks = BLOCKS.lock();
    let block = blocks.get(&address).ok_or_else(|| Trouble::unknown("block at", address))?;
    let bytes = block.bytes().get(..size_of_val(words)).ok_or_else(|| too_short(address))?;
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    Ok(())
}

/// Overwrites the first words of a block.
pub(crate) fn write_words(address: usize, words: &[u32]) -> Result<(), Trouble> {
    let blocks = BLOCKS.lock();
    let block = blocks.get(&address).ok_or_else(|| Trouble::unknown("block at", address))?;
    if block.len < size_of_val(words) {
        return Err(too_short(address));
    }
    for (index, word) in words.iter().enumerate() {
        // SAFETY: the block is long enough, and under the lock nobody else reaches it; 16-aligned, so each word is aligned.
        unsafe { block.at.cast::<u32>().add(index).write(word.to_le()) };
    }
    Ok(())
}

fn too_short(address: usize) -> Trouble {
    Trouble::new("internal", alloc::format!("the block at {address} is too short"))
}

/// Bytes that are allocated at this moment, those of JavaScript's blocks included.
pub(crate) fn used() -> usize {
    heap::used()
}

#[cfg(target_family = "wasm")]
mod heap {
    //! The heap of the module. It grows by `memory.grow` and never shrinks.

    use core::alloc::{GlobalAlloc, Layout};

    use dlmalloc::Dlmalloc;
    use spin::Mutex;

    #[global_allocator]
    static HEAP: Heap = Heap(Mutex::new(Counted { heap: Dlmalloc::new(), used: 0 }));

    struct Heap(Mutex<Counted>);

    struct Counted {
        heap: Dlmalloc,
        used: usize,
    }

    pub(super) fn used() -> usize {
        HEAP.0.lock().used
    }

    // SAFETY: each method is dlmalloc's under a lock, called with what the caller of it vouches for.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let mut all = self.0.lock();
            // SAFETY: the caller gives a layout that is not empty. So below.
            let at = unsafe { all.heap.malloc(layout.size(), layout.align()) };
            if !at.is_null() {
                all.used += layout.size();
            }
            at
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            let mut all = self.0.lock();
            // SAFETY: as above.
            let at = unsafe { all.heap.calloc(layout.size(), layout.align()) };
            if !at.is_null() {
                all.used += layout.size();
            }
            at
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
            let mut all = self.0.lock();
            // SAFETY: the caller gives what `alloc` gave, with its layout.
            unsafe { all.heap.free(at, layout.size(), layout.align()) };
            all.used -= layout.size();
        }

        unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let mut all = self.0.lock();
            // SAFETY: as above.
            let to = unsafe { all.heap.realloc(at, layout.size(), layout.align(), size) };
            if !to.is_null() {
                all.used = all.used - layout.size() + size;
            }
            to
        }
    }
}

#[cfg(not(target_family = "wasm"))]
mod heap {
    //! Elsewhere the allocator is the platform's, and does not count.

    pub(super) fn used() -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_known_until_it_is_claimed() {
        let address = take(12);
        write_words(address, &[1, 2, 3]).unwrap();
        let mut words = [0; 3];
        read_words(address, &mut words).unwrap();
        assert_eq!(words, [1, 2, 3]);
        assert_eq!(claim(address).unwrap().bytes()[4], 2);
        assert_eq!(claim(address).err().unwrap().code, "internal");
    }

    #[test]
    fn an_address_that_was_not_given_out_is_refused() {
        let address = take(4);
        assert!(read_words(address + 4, &mut [0]).is_err());
        assert!(read_words(address, &mut [0; 2]).unwrap_err().message.contains("too short"));
        assert!(write_words(address, &[0; 2]).is_err());
        drop(claim(address));
    }

    #[test]
    fn an_empty_block_is_empty_and_has_an_address() {
        let address = take(0);
        assert_ne!(address, 0);
        assert!(claim(address).unwrap().bytes().is_empty());
    }

    #[test]
    fn more_memory_than_there_can_be_is_no_address() {
        assert_eq!(take(usize::MAX), 0);
    }
}
