//! One model and more than one device: cut over them, or on the best that is ready.
//!
//! [`Devices`] is a list in order of preference. [`Runtime::compile_split`](crate::Runtime::compile_split) cuts a model over them
//! by operator (`split`); [`Runtime::compile_first_ready`](crate::Runtime::compile_first_ready) compiles it for all of them and
//! begins with whichever is ready first (`choice`). Both give a [`CompiledModel`](crate::CompiledModel) like any other: how parts
//! are joined and how a request changes its device is `inferry_core`'s ([`Joined`](inferry_core::Joined),
//! [`Choice`](inferry_core::Choice)), and how a graph is cut is the engine's. What is here: the lists, the rules, the threads that
//! compile, and names for what went wrong.

mod choice;
mod names;
mod split;

use std::fmt;
use std::sync::Arc;

use inferry_core::device::CompiledModel;
use inferry_engine::device::ModelDevice;

use crate::cache::Saver;
pub(crate) use choice::Race;
pub use choice::{CandidateState, CandidateStatus, NoDevice};
pub use split::{PartInfo, Split, SplitError};

/// Devices for one model, the preferred first.
///
/// ```
/// use inferry::{Devices, Runtime};
/// # use inferry_template::{Accelerator, Chip};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new()?;
/// let npu = Accelerator::new(Chip::working("npu")); // or a device of your own: see `ModelDevice`
/// let devices = Devices::prefer(npu).then(runtime.cpu());
/// assert_eq!(devices.to_string(), "\"npu\", \"cpu\"");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Devices(Vec<Arc<dyn ModelDevice>>);

impl Devices {
    /// A list of this device.
    pub fn prefer(device: impl ModelDevice + 'static) -> Devices {
        Devices(vec![Arc::new(device)])
    }

    /// The same list, and this device after the others.
    #[must_use]
    pub fn then(mut self, device: impl ModelDevice + 'static) -> Devices {
        self.0.push(Arc::new(device));
        self
    }

    /// The name that stands twice.
    pub(crate) fn twice(&self) -> Option<String> {
        let names: Vec<&str> = self.0.iter().map(|device| device.name()).collect();
        let is_again = |at: &usize| names[..*at].contains(&names[*at]);
        (0..names.len()).find(is_again).map(|at| names[at].to_owned())
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, device) in self.0.iter().enumerate() {
            write!(f, "{}{:?}", if index == 0 { "" } else { ", " }, device.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Devices({self})")
    }
}

/// What a host has to know of a model on more than one device.
pub(crate) struct Made {
    pub(crate) model: Arc<dyn CompiledModel>,
    /// For each stage, the name of what waits for its device.
    pub(crate) waits: Vec<String>,
    pub(crate) over: Over,
}

/// How a model came to its devices.
#[derive(Clone, Default)]
pub(crate) enum Over {
    /// One device.
    #[default]
    One,
    /// One device, and a cache.
    Cached(Arc<Saver>),
    /// Cut.
    Parts(Arc<[PartInfo]>),
    /// The best that is ready.
    Race(Arc<Race>),
}
