//! Who waits for which run, and how the latest one ended.
//!
//! Every waiter has a slot, for the one run it waits for. When a run settles, its outcome is put into each of its slots
//! and their wakers are woken, outside the lock. A slot that was opened before its run settled gets that run's outcome,
//! however many runs follow. The slots are a vector that grows with the number of simultaneous waiters and keeps its
//! size, and the first slot is the handle's, so a warm start and wait takes no memory.
//!
//! The ledger does not know whether a request is idle: a run is entered here after it has become so.

use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};

use crate::request::error::InferError;
use crate::request::{RunId, Verdict};
use crate::sync::Lock;

/// How a run ended: its verdict, and the error unless it is done.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The run.
    pub run: RunId,
    /// How it ended.
    pub verdict: Verdict,
    /// Why, unless it is done.
    pub error: Option<InferError>,
}

/// The waiters of a request.
pub(crate) struct Ledger(Lock<Entries>);

/// A slot of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(usize);

/// The slot of the handle, which is there from the beginning.
pub(crate) const OWNER: SlotId = SlotId(0);

struct Entries {
    latest: Option<Outcome>,
    slots: Vec<Slot>,
}

enum Slot {
    Free,
    Waiting { run: RunId, waker: Option<Waker> },
    Settled(Outcome),
}

/// Slots for which memory is there from the beginning.
const SLOTS: usize = 4;

impl Ledger {
    pub(crate) fn new() -> Ledger {
        let mut slots = Vec::with_capacity(SLOTS);
        slots.push(Slot::Free);
        Ledger(Lock::new(Entries { latest: None, slots }))
    }

    /// Opens the handle's slot for `run`, which has not settled yet.
    pub(crate) fn open_owner(&self, run: RunId) {
        drop(self.0.with(|entries| entries.put(OWNER, Slot::Waiting { run, waker: None })));
    }

    /// Opens a slot for `run`: settled at once when it was the latest to settle, `None` when a later one has.
    pub(crate) fn open(&self, run: RunId) -> Option<SlotId> {
        self.0.with(|entries| {
            let slot = match &entries.latest {
                Some(latest) if latest.run == run => Slot::Settled(latest.clone()),
                Some(latest) if run.is_before(latest.run) => return None,
                _ => Slot::Waiting { run, waker: None },
            };
            let free = entries.slots.iter().skip(1).position(|slot| matches!(slot, Slot::Free));
            let id = free.map_or(entries.slots.len(), |position| position + 1);
            match entries.slots.get_mut(id) {
                Some(free) => *free = slot,
                None => entries.slots.push(slot),
            }
            Some(SlotId(id))
        })
    }

    /// Frees a slot, except the handle's, which only becomes empty.
    pub(crate) fn close(&self, id: SlotId) {
        drop(self.0.with(|entries| entries.put(id, Slot::Free)));
    }

    /// The outcome, once there is one; until then the slot keeps the waker.
    ///
    /// # Panics
    /// When the slot is not open.
    pub(crate) fn poll(&self, id: SlotId, cx: &mut Context<'_>) -> Poll<Outcome> {
        enum Answer {
            Ready(Outcome),
            Kept,
            NeedsWaker,
        }
        let look = |fresh: &mut Option<Waker>| {
            self.0.with(|entries| match &mut entries.slots[id.0] {
                Slot::Settled(outcome) => Answer::Ready(outcome.clone()),
                Slot::Waiting { waker: Some(waker), .. } if waker.will_wake(cx.waker()) => Answer::Kept,
                Slot::Waiting { waker, .. } if fresh.is_some() => {
                    core::mem::swap(waker, fresh);
                    Answer::Kept
                }
                Slot::Waiting { .. } => Answer::NeedsWaker,
                Slot::Free => panic!("a waiter polled after it was done"),
            })
        };
        let mut waker = None;
        loop {
            match look(&mut waker) {
                Answer::Ready(outcome) => return Poll::Ready(outcome),
                Answer::Kept => return Poll::Pending,
                // Cloned, and the old one dropped, outside the lock: a waker is foreign code.
                Answer::NeedsWaker => waker = Some(cx.waker().clone()),
            }
        }
    }

    /// Wakes whoever polls the handle's slot, without settling anything: the caller of `infer` shall go on.
    pub(crate) fn rouse_owner(&self) {
        let waker = self.0.with(|entries| match &mut entries.slots[OWNER.0] {
            Slot::Waiting { waker, .. } => waker.take(),
            _ => None,
        });
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How many slots there are, free ones included.
    #[cfg(test)]
    pub(crate) fn slots(&self) -> usize {
        self.0.with(|entries| entries.slots.len())
    }

    /// The latest run that has settled.
    pub(crate) fn latest(&self) -> Option<Outcome> {
        self.0.with(|entries| entries.latest.clone())
    }

    /// Enters how a run ended and wakes everyone who waits for it.
    pub(crate) fn settle(&self, outcome: Outcome) {
        let mut replaced = None;
        let mut wakers = heapless::Vec::<Waker, 8>::new();
        loop {
            let more = self.0.with(|entries| {
                if replaced.is_none() && entries.is_news(outcome.run) {
                    replaced = Some(entries.latest.replace(outcome.clone()));
                }
                entries.settle_some(&outcome, &mut wakers)
            });
            for waker in core::mem::take(&mut wakers) {
                waker.wake();
            }
            if !more {
                return;
            }
        }
    }
}

impl Entries {
    fn put(&mut self, id: SlotId, slot: Slot) -> Slot {
        core::mem::replace(&mut self.slots[id.0], slot)
    }

    /// A run may be entered after one that followed it, by a deliverer that was slow.
    fn is_news(&self, run: RunId) -> bool {
        self.latest.as_ref().is_none_or(|latest| latest.run.is_before(run))
    }

    /// Settles slots until `wakers` is full; true when there may be more.
    fn settle_some(&mut self, outcome: &Outcome, wakers: &mut heapless::Vec<Waker, 8>) -> bool {
        for slot in &mut self.slots {
            if wakers.is_full() {
                return true;
            }
            if let Slot::Waiting { run, waker } = slot
                && *run == outcome.run
            {
                if let Some(waker) = waker.take() {
                    let _ = wakers.push(waker);
                }
                *slot = Slot::Settled(outcome.clone());
            }
        }
        false
    }
}
