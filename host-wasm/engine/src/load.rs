//! From the bytes of a file to a loaded model, step by step.
//!
//! ```text
//!  begin, bytes ─▶ Parse ─▶ Compile ─▶ WarmUp ─▶ done: the model is in `models`
//! ```
//!
//! A step does what it can within its budget, or one phase where a phase cannot be cut, and tells how far it came; between two
//! steps the worker reads its messages and may [`stop`]. The bytes are freed as soon as they have been read. A load is
//! another thing than its model: it fails without a trace.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::{CompiledModel, Device};
use inferry_cpu::{Cpu, Isa};
use inferry_engine::{Model, onnx};
use spin::Mutex;

use crate::host::{HostClock, progressed};
use crate::memory::{self, Block};
use crate::models::{self, Loaded};
use crate::session::{Progress, Session};
use crate::shapes::{self, Fixed};
use crate::table::Table;
use crate::trouble::Trouble;

static LOADS: Table<Load> = Table::new("load");

/// The phases as the import `progressed` counts them.
const PARSE: u32 = 0;
const OPTIMISE: u32 = 1;
const PACK: u32 = 2;
const WARM_UP: u32 = 3;

/// A load under way.
struct Load {
    number: u32,
    profiling: bool,
    warm_ups: usize,
    shapes: Vec<Fixed>,
    /// `None` before there are bytes, after a failure, and while a step works on it.
    phase: Option<Phase>,
}

enum Phase {
    Parse(Block),
    Compile(Model),
    WarmUp { compiled: Arc<dyn CompiledModel>, session: Session, runs: usize, running: bool },
}

/// Begins to load model `number`. A model or a load that has the number already is an error with the code `busy`.
pub(crate) fn begin(number: u32, profiling: bool, warm_ups: usize) -> Result<(), Trouble> {
    LOADS.insert(number, Load { number, profiling, warm_ups, shapes: Vec::new(), phase: None })?;
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
    LOADS.with(number, |load| load.phase = Some(Phase::Parse(block)))
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
            Some(Phase::Parse(block)) => self.parse(block).map(|()| None),
            Some(Phase::Compile(model)) => self.compile(model),
            Some(Phase::WarmUp { compiled, session, runs, running }) => {
                Ok(self.warm_up(compiled, session, runs, running, budget))
            }
            None => Err(Trouble::new("internal", alloc::format!("load {} has no bytes", self.number))),
        }
    }

    fn parse(&mut self, block: Block) -> Result<(), Trouble> {
        let total = block.bytes().len();
        progressed(self.number, PARSE, 0, total);
        let mut model = onnx::import(block.bytes(), &onnx::Options::default())?;
        drop(block);
        shapes::fix(&mut model, &self.shapes)?;
        progressed(self.number, PARSE, total, total);
        progressed(self.number, OPTIMISE, 0, model.graph.nodes.len());
        self.phase = Some(Phase::Compile(model));
        Ok(())
    }

    fn compile(&mut self, model: Model) -> Result<Option<Loaded>, Trouble> {
        let nodes = model.graph.nodes.len();
        let mut options = inferry_cpu::Options::default();
        if self.profiling {
            options.profile = Some(Arc::new(HostClock));
        }
        // Which vectors the kernels use was decided when this module was built.
        let compiled = Cpu::new(Isa::portable()).compile(&model, &options)?;
        drop(model);
        for phase in [OPTIMISE, PACK] {
            progressed(self.number, phase, nodes, nodes);
        }
        let fixed = compiled.inputs().iter().all(|port| port.shape.fixed().is_some());
        if self.warm_ups == 0 || !fixed {
            return Ok(Some(Loaded { compiled, spare: Mutex::new(None) }));
        }
        progressed(self.number, WARM_UP, 0, self.warm_ups);
        let session = Session::new(compiled.clone())?;
        self.phase = Some(Phase::WarmUp { compiled, session, runs: 0, running: false });
        Ok(None)
    }

    /// Runs the model on the zeros that a fresh request has. What goes wrong with them says nothing about the model.
    fn warm_up(
        &mut self,
        compiled: Arc<dyn CompiledModel>,
        mut session: Session,
        mut runs: usize,
        running: bool,
        budget: u64,
    ) -> Option<Loaded> {
        let begun = if running { Ok(()) } else { session.begin() };
        let running = match begun.and_then(|()| session.step(budget)) {
            Ok(Progress::Pending) => true,
            Ok(Progress::Done) => {
                runs += 1;
                progressed(self.number, WARM_UP, runs, self.warm_ups);
                false
            }
            Ok(Progress::Cancelled) | Err(_) => {
                runs = self.warm_ups;
                false
            }
        };
        if running || runs < self.warm_ups {
            self.phase = Some(Phase::WarmUp { compiled, session, runs, running });
            return None;
        }
        progressed(self.number, WARM_UP, self.warm_ups, self.warm_ups);
        Some(Loaded { compiled, spare: Mutex::new(Some(session)) })
    }
}
