//! Virtual time, for whoever must be able to ask for it from any thread.
//!
//! A timer is shared between threads in general, and a simulated machine belongs to one: so the timer is nothing but the way to
//! the machine in which the calling thread is. Outside of a simulation it has no time to tell.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use inferry_core::{Clock, Timer};
use inferry_template::Simulation;

use super::machine::Machine;

thread_local! {
    static MACHINE: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
}

/// Says in which machine the calling thread is; gives the one in which it was.
pub(super) fn enter(machine: Option<Rc<Machine>>) -> Option<Rc<Machine>> {
    MACHINE.replace(machine)
}

/// The time of the machine in which the calling thread is, in nanoseconds.
pub(super) struct Here;

/// The machine. A run that is left behind when the simulation is over may still ask.
fn machine() -> Option<Rc<Machine>> {
    MACHINE.with_borrow(Clone::clone)
}

impl Clock for Here {
    fn now(&self) -> u64 {
        machine().map_or(0, |machine| u64::try_from(machine.now().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Timer for Here {
    fn wake_at(&self, moment: u64, waker: Waker) -> u64 {
        machine().map_or(0, |machine| machine.ring_at(Duration::from_nanos(moment), waker))
    }

    fn forget(&self, alarm: u64) {
        if let Some(machine) = machine() {
            machine.forget(alarm);
        }
    }
}
