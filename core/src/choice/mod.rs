//! One model on whichever device is best just now: another one may take over between two runs.
//!
//! A [`Choice`] begins with the device that has compiled the model first. When a better one comes ([`Choice::offer`]), every
//! request changes over by itself: a run asks at its beginning who is best, and stays there to its end. So a request that was
//! made before, its callback, its variables and whoever watches it notice nothing but the speed.
//!
//! ```text
//!  offered:         cpu ─────────────── npu ───────────────────────────▶
//!  a request:       ├── run on cpu ──┤├─┼─ run on cpu ─┤├── run on npu ──┤
//! ```
//!
//! The devices' stages are not alike, and a pipeline is made once. So a choice has stages that alternate between computing and
//! waiting, as many as a request can have, and each device's stages stand on the first of them that fit, neighbours of one kind on
//! the same; a run is over when its device's last stage is ([`Work::is_over`]). Nothing here compiles, waits or knows why a
//! device is better: it has a rank.

mod work;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::device::{CompiledModel, StageInfo, StageKind, Work};
use crate::port::Port;
use crate::request::{BoxError, MAX_STAGES, PrepareError};
use crate::sync::{AtomicUsize, Lock, Ordering};

use work::ChoiceWork;

/// A model as a device has compiled it, and how good that device is.
#[derive(Clone)]
pub struct Candidate {
    /// The best is 0.
    pub rank: usize,
    /// The name of the device, for errors and profiles.
    pub device: Arc<str>,
    /// The model. It has no variables; join them in the choice ([`Stateful`](crate::Stateful) around it).
    pub model: Arc<dyn CompiledModel>,
}

/// One model on whichever device is best. See the [module](self).
pub struct Choice {
    inputs: Box<[Port]>,
    outputs: Box<[Port]>,
    best: Arc<Best>,
}

/// Why a candidate is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    /// Its ports are not those of the others: it is another model.
    #[error("the device \"{device}\" has made a model of other ports: {what}")]
    Ports {
        /// The device.
        device: Arc<str>,
        /// The first difference.
        what: Box<str>,
    },
    /// Its model has variables.
    #[error("the model of the device \"{device}\" has variables")]
    State {
        /// The device.
        device: Arc<str>,
    },
    /// Its stages change too often between computing and waiting.
    #[error("the {stages} stages of the device \"{device}\" do not fit into {MAX_STAGES} that alternate")]
    Stages {
        /// The device.
        device: Arc<str>,
        /// How many it has.
        stages: usize,
    },
}

/// A failure of the device that a run was on. The cause is its source.
#[derive(Debug, thiserror::Error)]
#[error("the device \"{device}\" failed in its stage \"{stage}\"")]
pub struct ChosenFailure {
    /// The device.
    pub device: Arc<str>,
    /// The device's own stage.
    pub stage: &'static str,
    /// What the device said.
    pub source: Option<BoxError>,
}

/// The best candidate so far.
struct Best {
    /// Its rank, to be looked at without the lock.
    rank: AtomicUsize,
    seat: Lock<Seat>,
}

#[derive(Clone)]
struct Seat {
    candidate: Candidate,
    /// Which of the device's stages each stage of the choice stands for.
    steps: Arc<[Range<usize>]>,
}

impl Choice {
    /// A choice of one, so far.
    pub fn new(first: Candidate) -> Result<Choice, ChoiceError> {
        let (inputs, outputs) = (first.model.inputs().into(), first.model.outputs().into());
        let seat = Seat::new(first)?;
        let rank = AtomicUsize::new(seat.candidate.rank);
        Ok(Choice { inputs, outputs, best: Arc::new(Best { rank, seat: Lock::new(seat) }) })
    }

    /// Makes the candidate the one for runs that begin from now on, if its rank is better than that of the one until now;
    /// gives the one that is not used.
    pub fn offer(&self, candidate: Candidate) -> Result<Candidate, ChoiceError> {
        for (ours, theirs) in
            [(&self.inputs, candidate.model.inputs()), (&self.outputs, candidate.model.outputs())]
        {
            check_ports(&candidate.device, ours, theirs)?;
        }
        let seat = Seat::new(candidate)?;
        Ok(self.best.seat.with(|best| {
            if best.candidate.rank <= seat.candidate.rank {
                return seat.candidate;
            }
            self.best.rank.store(seat.candidate.rank, Ordering::Release);
            core::mem::replace(best, seat).candidate
        }))
    }

    /// The candidate that runs begin on now.
    pub fn best(&self) -> Candidate {
        self.best.seat.with(|seat| seat.candidate.clone())
    }
}

impl Best {
    fn seat(&self) -> Seat {
        self.seat.with(|seat| seat.clone())
    }

    fn is_better_than(&self, rank: usize) -> bool {
        self.rank.load(Ordering::Acquire) < rank
    }
}

impl Seat {
    fn new(candidate: Candidate) -> Result<Seat, ChoiceError> {
        let (device, stages) = (candidate.device.clone(), candidate.model.stages());
        if candidate.model.state().is_some() {
            return Err(ChoiceError::State { device });
        }
        let steps = stand(stages).ok_or(ChoiceError::Stages { device, stages: stages.len() })?;
        Ok(Seat { steps: steps.into(), candidate })
    }
}

const fn kind(stage: usize) -> StageKind {
    if stage.is_multiple_of(2) { StageKind::Compute } else { StageKind::Wait }
}

const STAGES: [StageInfo; MAX_STAGES] = {
    let mut stages = [StageInfo { name: "compute", kind: StageKind::Compute }; MAX_STAGES];
    let mut stage = 0;
    while stage < MAX_STAGES {
        if let StageKind::Wait = kind(stage) {
            stages[stage] = StageInfo { name: "wait", kind: StageKind::Wait };
        }
        stage += 1;
    }
    stages
};

/// Puts a device's stages on those of a choice.
fn stand(stages: &[StageInfo]) -> Option<Vec<Range<usize>>> {
    let mut steps: Vec<Range<usize>> = Vec::new();
    for (step, stage) in stages.iter().enumerate() {
        while steps.is_empty() || kind(steps.len() - 1) != stage.kind {
            steps.push(step..step);
        }
        steps.last_mut()?.end = step + 1;
    }
    (steps.len() <= MAX_STAGES).then_some(steps)
}

/// The ports must be the same but for what is known of the outputs' shapes.
fn check_ports(device: &Arc<str>, ours: &[Port], theirs: &[Port]) -> Result<(), ChoiceError> {
    let other = |what: alloc::string::String| {
        Err(ChoiceError::Ports { device: device.clone(), what: what.into_boxed_str() })
    };
    if ours.len() != theirs.len() {
        return other(alloc::format!("{} instead of {}", theirs.len(), ours.len()));
    }
    for (ours, theirs) in ours.iter().zip(theirs) {
        let same_shape = ours.side == crate::port::Side::Output || ours.shape == theirs.shape;
        let kind = |port: &Port| (port.name.clone(), port.element, port.kind);
        if kind(ours) != kind(theirs) || !same_shape {
            return other(alloc::format!("{theirs} instead of {ours}"));
        }
    }
    Ok(())
}

impl CompiledModel for Choice {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn stages(&self) -> &[StageInfo] {
        &STAGES
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(ChoiceWork::new(self.best.clone())?))
    }
}

#[cfg(test)]
mod tests;
