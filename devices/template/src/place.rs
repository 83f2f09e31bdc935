//! Where time passes and threads wait: in the operating system, or in a simulation of one.
//!
//! A simulation runs everything on one thread. Then nothing may block that thread: an operator that would block its
//! executor's thread says so ([`Simulation::hold`]) and is polled again when it may go on, and a callback that waits lets
//! others go on meanwhile ([`Simulation::others`]). Without a simulation, which is how the device is used elsewhere, all
//! of this is the operating system's. This module schedules nothing itself.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::OnceLock;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A simulated machine, as the operators see it.
pub trait Simulation {
    /// The time since the simulation began.
    fn now(&self) -> Duration;

    /// Wakes `waker` when it is `moment`.
    fn wake_at(&self, moment: Duration, waker: Waker);

    /// The stage that is being polled, and is about to return `Pending`, keeps its executor's thread until it is polled
    /// again.
    fn hold(&self);

    /// Lets something else happen: what a machine does while a thread waits.
    fn others(&self);
}

thread_local! {
    static SIMULATION: RefCell<Option<Rc<dyn Simulation>>> = const { RefCell::new(None) };
}

/// Puts the calling thread into a simulation, or takes it out of one. Gives the one in which it was.
pub fn simulate(simulation: Option<Rc<dyn Simulation>>) -> Option<Rc<dyn Simulation>> {
    SIMULATION.replace(simulation)
}

/// The simulation in which the calling thread is.
pub(crate) fn simulation() -> Option<Rc<dyn Simulation>> {
    SIMULATION.with_borrow(Clone::clone)
}

/// The time since a moment that stays fixed, where the calling thread is.
pub fn now() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    simulation().map_or_else(|| START.get_or_init(Instant::now).elapsed(), |simulation| simulation.now())
}
