//! Fork-join inside a stage.
//!
//! A kernel that has independent blocks of work hands them to [`Parallel::for_each`] and goes on when all are done. The
//! host decides what stands behind it: a stream's own threads, or the calling thread ([`Serial`]). This is not a way to
//! run requests: those enter an [`Executor`](crate::executor::Executor).

/// Runs a counted loop of independent bodies and returns when every one has returned.
pub trait Parallel: Sync {
    /// How many bodies can run at the same time; at least 1.
    fn width(&self) -> usize;

    /// Calls `body(0)`, …, `body(count - 1)`, each exactly once, in any order, on any of the threads behind `self`, and
    /// returns when all have returned. `body` must not wait for another body. A panic in a body is raised again here.
    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync));
}

/// No threads: the caller runs every body in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Parallel for Serial {
    fn width(&self) -> usize {
        1
    }

    fn for_each(&self, count: usize, body: &(dyn Fn(usize) + Sync)) {
        for index in 0..count {
            body(index);
        }
    }
}
