//! The last few plans of one graph, by the shapes of its inputs.
//!
//! A model's graph has one of these, and so has the body of every loop: a shape that comes again is not planned again. The
//! lock is held to look up and to insert, never while planning: two requests may make the same plan at the same time,
//! and one of the two is kept.

use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::Shape;
use spin::Mutex;

use crate::plan::Plan;

/// A plan and the input shapes it is for.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) shapes: Arc<[Shape]>,
    pub(crate) plan: Arc<Plan>,
}

/// The last few plans of a graph. See the [module](self).
pub(crate) struct Plans {
    /// The last used first.
    kept: Mutex<Vec<Kept>>,
    most: usize,
}

impl Plans {
    /// No plans yet, and room for so many; at least 1.
    pub(crate) fn new(most: usize) -> Plans {
        Plans { kept: Mutex::new(Vec::new()), most: most.max(1) }
    }

    /// The plan that was used last.
    pub(crate) fn latest(&self) -> Option<Kept> {
        self.kept.lock().first().cloned()
    }

    /// The plan for inputs of these shapes, if it is kept. It counts as used.
    pub(crate) fn find<'s>(&self, shapes: impl Iterator<Item = &'s Shape> + Clone) -> Option<Kept> {
        let mut plans = self.kept.lock();
        let at = plans.iter().position(|kept| shapes.clone().eq(kept.shapes.iter()))?;
        plans[..=at].rotate_right(1);
        Some(plans[0].clone())
    }

    /// Keeps a plan, unless there is one for the same shapes by now: then gives that.
    pub(crate) fn keep(&self, shapes: Arc<[Shape]>, plan: Plan) -> Kept {
        if let Some(kept) = self.find(shapes.iter()) {
            return kept;
        }
        let made = Kept { shapes, plan: Arc::new(plan) };
        let mut plans = self.kept.lock();
        plans.insert(0, made.clone());
        let most = plans.len().min(self.most);
        let dropped = plans.split_off(most);
        // Freeing a plan takes longer than a lock should be held.
        drop(plans);
        drop(dropped);
        made
    }

    /// How many plans are kept.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.kept.lock().len()
    }
}
