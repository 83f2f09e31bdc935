//! How a run ended, in one word each; the details are in [`InferError`](crate::request::InferError).

/// How a run ended. Every run ends in exactly one verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// All stages succeeded; the outputs hold the result.
    Done,
    /// A stage, or the callback, failed or panicked.
    Failed,
    /// The run was cancelled before its last stage was over.
    Cancelled(Cause),
    /// An executor dropped the run's task instead of running it: it was shut down.
    Abandoned,
}

/// Why a run was cancelled. The first cause is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Somebody asked for it: `cancel`, or an abort signal.
    Asked,
    /// Its deadline passed.
    Deadline,
    /// Its handle was dropped, or the request was stopped before the run began.
    Dropped,
}

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Verdict::Done => "done",
            Verdict::Failed => "failed",
            Verdict::Cancelled(Cause::Asked) => "cancelled",
            Verdict::Cancelled(Cause::Deadline) => "cancelled at its deadline",
            Verdict::Cancelled(Cause::Dropped) => "cancelled because its handle was dropped",
            Verdict::Abandoned => "abandoned by its executor",
        })
    }
}
