//! From the bytes of a file to a loaded model, step by step.
//!
//! ```text
//!  begin, bytes ─▶ Make (read, optimise, plan) ─▶ WarmUp ─▶ done: the model is in `models`
//! ```
//!
//! A step does what it can within its budget and tells how far it came; between two steps the worker reads its messages and may
//! [`stop`]. The bytes are freed as soon as they have been read. A load is
//! another thing than its model: it fails without a trace.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::steps::{self, Pace};
use inferry_core::{Clock, CompiledModel, Kind, Port, Serial, Slice, Step, Steps, Stop, Turn};
use inferry_cpu::{Cpu, Isa, Limits};
use inferry_engine::onnx;
use spin::Mutex;

use crate::host::{HostClock, SliceClock, progressed};
use crate::memory::{self, Block};
use crate::models::{self, Loaded};
use crate::session::{Progress, Session};
use crate::shapes::{self, Fixed};
use crate::table::Table;
use crate::trouble::Trouble;

static LOADS: Table<Load> = Table::new("load");

/// The last phase as the import `progressed` counts them; before it come those of [`steps::Phase`].
const WARM_UP: u32 = 3;

/// The nanoseconds that warming up may take. A short run is worth the while: the compiler of the browser then knows the
/// kernels. A long one calls its kernels so often that it meets the compiled ones itself, and who waits for its first result
/// has waited for nothing.
const WARM_UP_TIME: u64 = 30_000_000;

/// A load under way.
struct Load {
    number: u32,
    profiling: bool,
    warm_ups: usize,
    shapes: Vec<Fixed>,
    limits: Limits,
    /// `None` before there are bytes, after a failure, and while a step works on it.
    phase: Option<Phase>,
    /// What was told last.
    told: steps::Progress,
}

enum Phase {
    /// Nothing is done yet, and shapes may be fixed.
    Begun(Block),
    Make(Make),
    WarmUp(WarmUp),
}

/// A loaded model in runs on zeros.
struct WarmUp {
    compiled: Arc<dyn CompiledModel>,
    session: Session,
    runs: usize,
    running: bool,
    /// When it is enough, by the clock of slices.
    until: u64,
}

/// From the file to the compiled model.
type Make = Steps<'static, Result<Arc<dyn CompiledModel>, Trouble>>;

/// Begins to load model `number`. A model or a load that has the number already is an error with the code `busy`.
pub(crate) fn begin(number: u32, profiling: bool, warm_ups: usize) -> Result<(), Trouble> {
    let told = steps::Progress::default();
    let limits = Limits::default();
    LOADS.insert(
        number,
        Load { number, profiling, warm_ups, shapes: Vec::new(), limits, phase: None, told },
    )?;
    // Asked after the number has been taken: another agent that had it gives it back when its model is there.
    if models::get(number).is_ok() {
        stop(number)?;
        return Err(Trouble::new("busy", alloc::format!("there is a model {number} already")));
    }
    Ok(())
}

/// Gives a load the file's bytes, in a block that is now ours. Nothing is read yet.
pub(crate) fn bytes(number: u32, block: usize) -> Result<(), Trouble> {
    let block = memory::claim(block)?;
    LOADS.with(number, |load| load.phase = Some(Phase::Begun(block)))
}

/// Sets how much a run may ask for: trips, bytes of memory, bytes of strings. Anything but a number from 0 on leaves a limit as
/// it is. Counts only before the first step.
pub(crate) fn limits(number: u32, limits: [f64; 3]) -> Result<(), Trouble> {
    let [trips, memory, strings] = limits.map(|limit| (limit >= 0.0).then_some(limit));
    LOADS.with(number, |load| {
        let old = load.limits;
        // A cast of a number that is too large gives the largest.
        load.limits = Limits {
            trips: trips.map_or(old.trips, |trips| trips as u64),
            memory: memory.map_or(old.memory, |bytes| bytes as usize),
            strings: strings.map_or(old.strings, |bytes| bytes as usize),
        };
    })
}

/// Fixes open extents. Counts only before the first step.
pub(crate) fn shape(number: u32, name: usize, extents: usize, rank: usize) -> Result<(), Trouble> {
    let name = memory::claim(name)?;
    let name = core::str::from_utf8(name.bytes())
        .map_err(|_| Trouble::new("internal", "the name is no text"))?
        .to_string();
    let extents = memory::claim(extents)?;
    let words = extents.bytes().as_chunks().0.iter().map(|word| u32::from_le_bytes(*word) as usize);
    let extents: Vec<usize> = words.take(rank).collect();
    if extents.len() < rank {
        return Err(Trouble::new("internal", "there are fewer extents than the rank says"));
    }
    LOADS.with(number, |load| load.shapes.push(Fixed { name, extents }))
}

/// Goes on for about `budget` nanoseconds; true when the model is loaded. After an error the load is gone.
pub(crate) fn step(number: u32, budget: u64) -> Result<bool, Trouble> {
    let stepped = LOADS.with(number, |load| load.step(budget)).and_then(|stepped| stepped);
    match stepped {
        Ok(None) => Ok(false),
        Ok(Some(model)) => {
            models::insert(number, model);
            LOADS.remove(number)?;
            Ok(true)
        }
        Err(trouble) => {
            // Gone already when there was none.
            let _ = LOADS.remove(number);
            Err(trouble)
        }
    }
}

/// Gives a load up.
pub(crate) fn stop(number: u32) -> Result<(), Trouble> {
    LOADS.remove(number).map(drop)
}

impl Load {
    fn step(&mut self, budget: u64) -> Result<Option<Loaded>, Trouble> {
        match self.phase.take() {
            Some(Phase::Begun(block)) => {
                let make = self.make(block);
                self.go_on(make, budget)
            }
            Some(Phase::Make(make)) => self.go_on(make, budget),
            Some(Phase::WarmUp(warm_up)) => Ok(self.warm_up(warm_up, budget)),
            None => Err(Trouble::new("internal", alloc::format!("load {} has no bytes", self.number))),
        }
    }

    fn make(&mut self, block: Block) -> Make {
        let shapes = core::mem::take(&mut self.shapes);
        let mut options = inferry_cpu::Options { limits: self.limits, ..inferry_cpu::Options::default() };
        if self.profiling {
            options.profile = Some(Arc::new(HostClock));
        }
        Steps::new(|mut pace| async move { make(block, shapes, options, &mut pace).await })
    }

    /// Also ends where a phase begins, so that the page is told of each, however short.
    fn go_on(&mut self, mut make: Make, budget: u64) -> Result<Option<Loaded>, Trouble> {
        let until = SliceClock.now().saturating_add(budget);
        let at = |progress: steps::Progress| (progress.phase, progress.total > 0);
        let begun = at(self.told);
        let step = loop {
            let step = make.step(&Turn::new(Stop::never(), Slice::Looks(1), &Serial));
            let enough = SliceClock.now() >= until || at(make.progress()) != begun;
            if !matches!(step, Step::Pending) || (enough && budget < u64::MAX) {
                break step;
            }
        };
        self.tell(make.progress());
        let compiled = match step {
            Step::Pending => {
                self.phase = Some(Phase::Make(make));
                return Ok(None);
            }
            Step::Stopped => return Err(Trouble::new("cancelled", "the load was given up")),
            Step::Done(compiled) => compiled?,
        };
        let fixed = compiled.inputs().iter().all(|port| port.shape.fixed().is_some());
        if self.warm_ups == 0 || !fixed {
            return Ok(Some(Loaded { compiled, spare: Mutex::new(None) }));
        }
        progressed(self.number, WARM_UP, 0, self.warm_ups);
        let session = Session::new(compiled.clone())?;
        let until = SliceClock.now().saturating_add(WARM_UP_TIME);
        self.phase = Some(Phase::WarmUp(WarmUp { compiled, session, runs: 0, running: false, until }));
        Ok(None)
    }

    /// Tells how far it came, and that a phase which went by since then is over.
    fn tell(&mut self, now: steps::Progress) {
        let told = core::mem::replace(&mut self.told, now);
        if now.phase != told.phase && told.done < told.total {
            progressed(self.number, told.phase as u32, told.total, told.total);
        }
        if now != told {
            progressed(self.number, now.phase as u32, now.done, now.total);
        }
    }

    /// Runs the model on the zeros that a fresh request has. What goes wrong with them says nothing about the model.
    fn warm_up(&mut self, mut warm_up: WarmUp, budget: u64) -> Option<Loaded> {
        let WarmUp { session, runs, running, until, .. } = &mut warm_up;
        let begun = if *running { Ok(()) } else { session.begin() };
        let mut enough = SliceClock.now() >= *until;
        match begun.and_then(|()| session.step(budget)) {
            Ok(Progress::Pending) => *running = true,
            Ok(Progress::Done) => {
                *running = false;
                *runs += 1;
                progressed(self.number, WARM_UP, *runs, self.warm_ups);
                enough |= *runs >= self.warm_ups;
            }
            Ok(Progress::Cancelled) | Err(_) => {
                *running = false;
                enough = true;
            }
        }
        if !enough {
            self.phase = Some(Phase::WarmUp(warm_up));
            return None;
        }
        if *running {
            session.cancel();
            // Only then the request is free for the next run.
            let _ = session.step(budget);
        }
        progressed(self.number, WARM_UP, self.warm_ups, self.warm_ups);
        let WarmUp { compiled, session, .. } = warm_up;
        Some(Loaded { compiled, spare: Mutex::new(Some(session)) })
    }
}

/// Reads the file, frees it, and compiles the model.
async fn make(
    block: Block,
    shapes: Vec<Fixed>,
    options: inferry_cpu::Options,
    pace: &mut Pace,
) -> Result<Arc<dyn CompiledModel>, Trouble> {
    let mut model = onnx::import_paced(block.bytes(), &onnx::Options::default(), pace).await?;
    drop(block);
    shapes::fix(&mut model, &shapes)?;
    // Which vectors the kernels use was decided when this module was built.
    let compiled = Cpu::new(Isa::portable()).compile_paced(model, options, pace).await?;
    match compiled.inputs().iter().chain(compiled.outputs()).find(|port| port.kind != Kind::Tensor) {
        Some(port) => Err(no_tensor(port)),
        None => Ok(compiled),
    }
}

/// What crosses between JavaScript and here is tensors: the buffers of a sequence would need a message of their own.
fn no_tensor(port: &Port) -> Trouble {
    let (side, name, kind) = (port.side, &port.name, port.kind);
    Trouble::new(
        "unsupported",
        alloc::format!("{side} {name:?} is {kind}; from JavaScript only tensors can be given and taken"),
    )
}
