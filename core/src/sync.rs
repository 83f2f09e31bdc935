//! The one door to atomics, cells and locks.
//!
//! Everything concurrent in [`request`](crate::request) comes through here, so that the same code runs on hardware and
//! under the loom model checker (`RUSTFLAGS="--cfg loom"`), on targets with 64-bit atomics and on microcontrollers that
//! have only 32-bit ones. The cell has loom's shape (`with`, `with_mut`) everywhere.
//!
//! There is no blocking lock here: [`Lock`] spins (or masks interrupts, with the feature `critical-section`), is held for a
//! handful of instructions, and never while foreign code (a waker, a callback, an executor) runs. In a browser's main
//! thread a lock that blocks is a crash; in an interrupt one that spins can be a deadlock.
#![allow(unsafe_code)]

pub use chosen::AtomicHalf;
pub(crate) use chosen::{Arc, AtomicCount, AtomicPtr, AtomicWord, Lock, UnsafeCell, fence};
pub(crate) use core::sync::atomic::Ordering;
/// A plain flag from outside and a counter of pieces of work, which no model looks at.
pub(crate) use core::sync::atomic::{AtomicBool, AtomicUsize};

/// The machine word that holds the life of a request: the widest integer that the target can compare and swap.
#[cfg(target_has_atomic = "64")]
pub(crate) type Word = u64;
#[cfg(not(target_has_atomic = "64"))]
pub(crate) type Word = u32;

#[cfg(not(loom))]
mod chosen {
    pub(crate) use alloc::sync::Arc;
    pub(crate) use core::sync::atomic::AtomicPtr;
    /// A word of 32 bits, which operating systems and browsers can sleep on.
    pub use core::sync::atomic::AtomicU32 as AtomicHalf;
    #[cfg(not(target_has_atomic = "64"))]
    pub(crate) use core::sync::atomic::AtomicU32 as AtomicWord;
    #[cfg(target_has_atomic = "64")]
    pub(crate) use core::sync::atomic::AtomicU64 as AtomicWord;
    pub(crate) use core::sync::atomic::AtomicUsize as AtomicCount;
    pub(crate) use core::sync::atomic::fence;

    /// `core`'s cell with loom's shape.
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            UnsafeCell(core::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with<R>(&self, body: impl FnOnce(*const T) -> R) -> R {
            body(self.0.get())
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, body: impl FnOnce(*mut T) -> R) -> R {
            body(self.0.get())
        }
    }

    /// A spin lock for critical sections of a few instructions.
    #[cfg(not(feature = "critical-section"))]
    pub(crate) struct Lock<T>(spin::mutex::SpinMutex<T>);

    #[cfg(not(feature = "critical-section"))]
    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Self {
            Lock(spin::mutex::SpinMutex::new(value))
        }

        #[inline]
        pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
            body(&mut self.0.lock())
        }
    }

    /// A critical section of a few instructions, which no interrupt can fall into.
    #[cfg(feature = "critical-section")]
    pub(crate) struct Lock<T>(critical_section::Mutex<core::cell::RefCell<T>>);

    #[cfg(feature = "critical-section")]
    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Self {
            Lock(critical_section::Mutex::new(core::cell::RefCell::new(value)))
        }

        #[inline]
        pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
            critical_section::with(|section| body(&mut self.0.borrow_ref_mut(section)))
        }
    }
}

#[cfg(loom)]
mod chosen {
    pub use loom::sync::atomic::AtomicU32 as AtomicHalf;
    #[cfg(target_has_atomic = "64")]
    pub(crate) use loom::sync::atomic::AtomicU64 as AtomicWord;
    pub(crate) use loom::sync::atomic::AtomicUsize as AtomicCount;
    pub(crate) use loom::sync::atomic::fence;
    pub(crate) use loom::{
        cell::UnsafeCell,
        sync::{Arc, atomic::AtomicPtr},
    };

    pub(crate) struct Lock<T>(loom::sync::Mutex<T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Self {
            Lock(loom::sync::Mutex::new(value))
        }

        pub(crate) fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
            body(&mut self.0.lock().expect("no panic while a lock is held"))
        }
    }
}
