//! Epilogues: what is done to the results of a convolution or matrix product while they are still in cache.
//!
//! A kernel that takes an epilogue computes a block of its output, then hands each run of consecutive elements of it to
//! [`Epilogue::apply`], which changes them in place. The commonest epilogue, a limit on both sides (Relu, Relu6, Clip),
//! is asked for beforehand by [`Epilogue::clip`] and applied in registers, so that it costs nothing.
//!
//! ```text
//!  registers ── bias, clip ──▶ output block (in L1 or L2) ── apply(row, values) ──▶ final
//! ```
//!
//! What a kernel promises: every element of output 0 is handed over exactly once, by the call that owns its tile; a run
//! never crosses a row of a matrix (the last dimension) and never leaves one channel of one image of a convolution, but it may
//! hold several rows of that image. What it does *not* promise: how long the runs are, or their order.

use alloc::boxed::Box;

use super::pointwise::Pointwise;
use crate::io::Io;

/// A run of consecutive elements of output 0 that has just been computed.
#[derive(Clone, Copy)]
pub struct Row<'a, 'io> {
    /// Position of its first element in output 0, counted in elements.
    pub offset: usize,
    /// The output channel, for convolutions; for products of matrices the row within its matrix. Bias-like operands of a
    /// convolution are indexed by it.
    pub channel: usize,
    /// The node's memory: its inputs beyond those of the operator itself are the epilogue's.
    pub io: &'a Io<'io>,
}

/// Elementwise work on freshly computed elements of output 0. See the [module](self).
pub trait Epilogue: Send + Sync {
    /// Both limits, when all that [`Epilogue::apply`] does is to replace what is below the first by the first and what is
    /// above the second by the second, keeping NaN. Kernels then need not call it.
    fn clip(&self) -> Option<[f32; 2]> {
        None
    }

    /// The function, when all that [`Epilogue::apply`] does is to replace each element by a function of it. Kernels may then
    /// apply that instead, to whatever elements they like.
    #[allow(private_interfaces, reason = "kernels are in this crate")]
    fn map(&self) -> Option<Pointwise> {
        None
    }

    /// Replaces the elements by what is to become of them.
    fn apply(&self, row: Row<'_, '_>, values: &mut [f32]);
}

/// An optional epilogue, sorted into what registers do and what is left to call.
#[derive(Default)]
pub(crate) struct Tail {
    /// Limits to apply in registers.
    pub(crate) clip: Option<[f32; 2]>,
    /// What may be applied to any elements, instead of the call.
    pub(crate) map: Option<Pointwise>,
    /// What to call on each run of elements.
    pub(crate) then: Option<Box<dyn Epilogue>>,
}

impl Tail {
    /// Sorts `epilogue`.
    pub(crate) fn new(epilogue: Option<Box<dyn Epilogue>>) -> Tail {
        match epilogue {
            None => Tail::default(),
            Some(epilogue) => match epilogue.clip() {
                Some(clip) => Tail { clip: Some(clip), map: None, then: None },
                None => Tail { clip: None, map: epilogue.map(), then: Some(epilogue) },
            },
        }
    }

    /// Calls what is left to call.
    #[inline]
    pub(crate) fn apply(&self, io: &Io<'_>, offset: usize, channel: usize, values: &mut [f32]) {
        if let Some(then) = &self.then {
            then.apply(Row { offset, channel, io }, values);
        }
    }

    /// Limits `value` as registers do: for reference loops.
    pub(crate) fn clipped(&self, value: f32) -> f32 {
        let Some([low, high]) = self.clip else { return value };
        let value = if low > value { low } else { value };
        if high < value { high } else { value }
    }
}
