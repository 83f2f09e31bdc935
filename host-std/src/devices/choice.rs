//! A model on the best device that is ready: compiled for all at the same time, begun with the first.
//!
//! Each device compiles on a thread of its own. The first that is ready makes the model; a better one that comes later takes over
//! ([`Choice`]), a worse one is let go. The threads know the model only weakly: whoever drops it does not wait for a compiler, whose
//! result is then dropped. A compiler cannot be interrupted.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use inferry_core::choice::{Candidate, Choice};
use inferry_core::device::CompiledModel;
use inferry_core::request::BoxError;
use inferry_core::unwind::message;
use inferry_engine::Model;
use inferry_engine::device::{ModelDevice, Settings};

use super::{Devices, Made, Over};

/// How far a device is; see [`CompiledModel::candidates`](crate::CompiledModel::candidates).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CandidateStatus {
    /// The name of the device.
    pub device: Arc<str>,
    /// How far it is.
    pub state: CandidateState,
}

/// How far a device is with a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CandidateState {
    /// It compiles the model.
    Compiling,
    /// Runs that begin now are its.
    Serving,
    /// It has compiled the model, and a better one serves.
    Relieved,
    /// It could not compile the model, and is left out.
    Failed(Arc<BoxError>),
}

/// No device could compile a model: why each of them did not.
#[derive(Clone, Debug)]
pub struct NoDevice {
    /// The devices in the order of the list, and what each says.
    pub reasons: Vec<(Arc<str>, Arc<BoxError>)>,
}

impl fmt::Display for NoDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no device can compile the model")?;
        for (index, (device, reason)) in self.reasons.iter().enumerate() {
            write!(f, "{}{device:?}: {reason}", if index == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

/// The source is that of the preferred device.
impl std::error::Error for NoDevice {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (_, reason) = self.reasons.first()?;
        reason.source()
    }
}

/// The compiling of a model for several devices. Their ranks are their places in the list.
pub(crate) struct Race {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    devices: Vec<CandidateStatus>,
    /// What is compiled while there is no choice yet.
    ready: Vec<Candidate>,
    /// The choice, once there is one.
    choice: Option<Weak<Choice>>,
}

impl Race {
    /// Compiles `model` for all devices; gives the choice between them as soon as one is ready.
    pub(crate) fn run(devices: &Devices, model: &Model, settings: &Settings) -> Result<Made, NoDevice> {
        let status = |device: &Arc<dyn ModelDevice>| CandidateStatus {
            device: device.name().into(),
            state: CandidateState::Compiling,
        };
        let statuses = devices.0.iter().map(status).collect();
        let state = State { devices: statuses, ready: Vec::new(), choice: None };
        let race = Arc::new(Race { state: Mutex::new(state), changed: Condvar::new() });
        let model = Arc::new(model.clone());
        for (rank, device) in devices.0.iter().enumerate() {
            race.begin(rank, device.clone(), model.clone(), settings.clone());
        }
        let choice = race.first()?;
        let name: Vec<&str> = devices.0.iter().map(|device| device.name()).collect();
        let waits = vec![name.join("+"); choice.stages().len()];
        Ok(Made { model: choice, waits, over: Over::Race(race) })
    }

    fn begin(
        self: &Arc<Race>,
        rank: usize,
        device: Arc<dyn ModelDevice>,
        model: Arc<Model>,
        settings: Settings,
    ) {
        let race = self.clone();
        let thread = thread::Builder::new().name(format!("inferry-compile-{}", device.name()));
        let spawned = thread.spawn(move || {
            let compiled = catch_unwind(AssertUnwindSafe(|| device.compile(&model, &settings)));
            let compiled = compiled.unwrap_or_else(|panic| Err(Panicked(message(&*panic)).into()));
            drop((model, device));
            race.arrived(rank, compiled);
        });
        if let Err(error) = spawned {
            self.arrived(rank, Err(error.into()));
        }
    }

    /// A device is done.
    fn arrived(&self, rank: usize, compiled: Result<Arc<dyn CompiledModel>, BoxError>) {
        let mut state = self.locked();
        // Dropped outside of the lock: a model may be large, and its device is somebody else's code.
        let left = match compiled {
            Err(error) => {
                state.fail(rank, error);
                None
            }
            Ok(model) => {
                let candidate = Candidate { rank, device: state.devices[rank].device.clone(), model };
                match state.choice.clone() {
                    None => {
                        state.ready.push(candidate);
                        None
                    }
                    Some(choice) => state.offer(choice.upgrade(), candidate),
                }
            }
        };
        drop(state);
        self.changed.notify_all();
        drop(left);
    }

    /// Waits for the first that is ready. Of several, the best.
    fn first(&self) -> Result<Arc<Choice>, NoDevice> {
        let mut state = self.locked();
        loop {
            state.ready.sort_by_key(|candidate| candidate.rank);
            let mut ready = std::mem::take(&mut state.ready).into_iter();
            while let Some(candidate) = ready.next() {
                let rank = candidate.rank;
                match Choice::new(candidate) {
                    Ok(choice) => {
                        let choice = Arc::new(choice);
                        state.choice = Some(Arc::downgrade(&choice));
                        state.serve(rank);
                        let left: Vec<_> =
                            ready.map(|candidate| state.offer(Some(choice.clone()), candidate)).collect();
                        drop(state);
                        drop(left);
                        return Ok(choice);
                    }
                    Err(error) => state.fail(rank, error.into()),
                }
            }
            if !state.is_under_way() {
                return Err(state.no_device());
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How far each device is.
    pub(crate) fn candidates(&self) -> Vec<CandidateStatus> {
        self.locked().devices.clone()
    }

    /// Blocks until no device compiles any more.
    pub(crate) fn wait(&self) {
        drop(self.changed.wait_while(self.locked(), |state| state.is_under_way()));
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Offers a candidate to the choice, if that is still there. Gives what is not used.
    fn offer(
        &mut self,
        choice: Option<Arc<Choice>>,
        candidate: Candidate,
    ) -> Option<(Option<Arc<Choice>>, Candidate)> {
        let rank = candidate.rank;
        let Some(choice) = choice else {
            self.devices[rank].state = CandidateState::Relieved;
            return Some((None, candidate));
        };
        match choice.offer(candidate) {
            Ok(left) if left.rank == rank => {
                self.devices[rank].state = CandidateState::Relieved;
                Some((Some(choice), left))
            }
            Ok(left) => {
                self.serve(rank);
                Some((Some(choice), left))
            }
            Err(error) => {
                self.fail(rank, error.into());
                None
            }
        }
    }

    /// This one serves, and whoever did is relieved.
    fn serve(&mut self, rank: usize) {
        for device in &mut self.devices {
            if let CandidateState::Serving = device.state {
                device.state = CandidateState::Relieved;
            }
        }
        self.devices[rank].state = CandidateState::Serving;
    }

    fn fail(&mut self, rank: usize, error: BoxError) {
        self.devices[rank].state = CandidateState::Failed(Arc::new(error));
    }

    fn is_under_way(&self) -> bool {
        self.devices.iter().any(|device| matches!(device.state, CandidateState::Compiling))
    }

    fn no_device(&self) -> NoDevice {
        let reason = |status: &CandidateStatus| match &status.state {
            CandidateState::Failed(reason) => Some((status.device.clone(), reason.clone())),
            _ => None,
        };
        NoDevice { reasons: self.devices.iter().filter_map(reason).collect() }
    }
}

/// A compiler panicked.
#[derive(Debug, thiserror::Error)]
#[error("the compiler panicked: {0}")]
struct Panicked(Box<str>);
