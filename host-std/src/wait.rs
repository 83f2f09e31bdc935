//! Blocking a thread until a future is ready: how this host waits.
//!
//! A future of the core is polled with a waker that wakes the calling thread, which sleeps in between. So a wait costs what
//! a waker costs, any number of threads may wait for one run, and nothing is allocated after a thread's first wait. This
//! does not keep deadlines of runs: see `timer.rs`. It refuses to wait where waiting could never end.

use std::cell::RefCell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use inferry_core::request::InferError;

use crate::sleep::Sleeper;

/// A thread's sleeper, and the waker that wakes it.
struct Bed {
    sleeper: Arc<Sleeper>,
    waker: Waker,
}

thread_local! {
    /// Empty before the first wait, and during a wait: one within another gets a bed of its own, because it must not take
    /// the wakes of the outer one.
    static BED: RefCell<Option<Bed>> = const { RefCell::new(None) };
}

/// Blocks the calling thread until `future` is ready, for programs without an async runtime.
///
/// On a thread that runs callbacks or stages this can wait for ever; [`Run::wait`](crate::Run::wait) and its kin notice.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match wait(&mut pin!(future), None, || Ok(())) {
        Ok(Poll::Ready(output)) => output,
        Ok(Poll::Pending) | Err(_) => unreachable!("there was no limit and no objection"),
    }
}

/// Polls `future` until it is ready or `until` has passed; pending only in the latter case. Before the thread sleeps for the
/// first time it asks `may_wait`, whose error ends the wait.
pub(crate) fn wait<F: Future + Unpin>(
    future: &mut F,
    until: Option<Instant>,
    may_wait: impl Fn() -> Result<(), InferError>,
) -> Result<Poll<F::Output>, InferError> {
    let bed = BED.try_with(RefCell::take).ok().flatten().unwrap_or_else(Bed::here);
    let polled = bed.poll(future, until, may_wait);
    // A thread that is being torn down keeps nothing.
    let _ = BED.try_with(|slot| slot.replace(Some(bed)));
    polled
}

impl Bed {
    fn here() -> Bed {
        let sleeper = Arc::new(Sleeper::here());
        Bed { waker: sleeper.clone().into(), sleeper }
    }

    fn poll<F: Future + Unpin>(
        &self,
        future: &mut F,
        until: Option<Instant>,
        may_wait: impl Fn() -> Result<(), InferError>,
    ) -> Result<Poll<F::Output>, InferError> {
        let mut cx = Context::from_waker(&self.waker);
        let mut poll = || Pin::new(&mut *future).poll(&mut cx);
        let mut polled = poll();
        if polled.is_pending() {
            may_wait()?;
        }
        while polled.is_pending() && self.sleeper.sleep(until) {
            polled = poll();
        }
        Ok(polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    /// Ready at the second poll; wakes from another thread, or not at all.
    struct Second {
        polls: u32,
        wakes: bool,
    }

    impl Future for Second {
        type Output = u32;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
            self.polls += 1;
            if self.polls == 2 {
                return Poll::Ready(self.polls);
            }
            if self.wakes {
                let waker = cx.waker().clone();
                thread::spawn(move || waker.wake());
            }
            Poll::Pending
        }
    }

    #[test]
    fn a_wait_ends_when_it_is_woken() {
        let polled = wait(&mut Second { polls: 0, wakes: true }, None, || Ok(())).unwrap();
        assert_eq!(polled, Poll::Ready(2));
    }

    #[test]
    fn a_wait_ends_at_its_limit() {
        let until = Instant::now() + Duration::from_millis(2);
        let polled = wait(&mut Second { polls: 0, wakes: false }, Some(until), || Ok(())).unwrap();
        assert_eq!(polled, Poll::Pending);
    }

    #[test]
    fn a_wait_within_a_wait_takes_no_wake_from_it() {
        struct Outer(Second, bool);
        impl Future for Outer {
            type Output = ();

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                if std::mem::replace(&mut self.1, true) {
                    return Poll::Ready(());
                }
                // Woken before the inner wait: that wake is for the outer one.
                cx.waker().wake_by_ref();
                assert!(wait(&mut self.0, None, || Ok(())).unwrap().is_ready());
                Poll::Pending
            }
        }
        let mut outer = Outer(Second { polls: 0, wakes: true }, false);
        assert!(wait(&mut outer, None, || Ok(())).unwrap().is_ready());
    }
}
