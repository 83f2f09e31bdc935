//! Several compiled models as one: what one device has written is what the next one reads.
//!
//! [`Joined`] puts *parts* in a row, each compiled by a device of its own, and looks like any other compiled model: its stages
//! are the stages of the parts, so two requests overlap on it as far as the executors of the stages do.
//!
//! ```text
//!              part 0, "cpu"      part 1, "npu"                          part 2, "cpu"
//!  stages:     infer         ─▶   upload+start ─▶ wait ─▶ download  ─▶   infer
//!  tensors:  x ────▶ t ─────────────▶ ............ ─────────▶ u ─────────▶ ────▶ y
//!            the request's   the work's, on the host          the work's    the request's
//! ```
//!
//! What goes from part to part lies in tensors of the work, and what belongs to the user stays in the user's tensors: nothing is
//! copied on the way. While a stage is polled, its part has what it reads and writes for itself, leases included ([`Bindings`](crate::request::Bindings) are
//! exchanged); afterwards everything is back in its place, also when the stage panics. A
//! request has at most [`MAX_STAGES`] stages: where the parts have more, neighbours of the same kind become one.
//!
//! This cuts nothing and compiles nothing: who joins parts knows what they compute.

mod work;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::device::{CompiledModel, StageInfo, Work};
use crate::port::Port;
use crate::remote::ContextId;
use crate::request::{BoxError, MAX_STAGES, PortName, PrepareError};
use crate::tensor::ElementType;
use crate::value::Kind;

use work::JoinedWork;

/// Where an input of a part comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is this input of the whole.
    Input(usize),
    /// A part before writes it.
    Outlet(Outlet),
}

/// An output of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlet {
    /// Which part.
    pub part: usize,
    /// Which of its outputs.
    pub output: usize,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Input(input) => write!(f, "input {input} of the whole"),
            Source::Outlet(outlet) => outlet.fmt(f),
        }
    }
}

impl fmt::Display for Outlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output {} of part {}", self.output, self.part)
    }
}

/// A part, and what its inputs are.
#[derive(Clone)]
pub struct Part {
    /// The name of its device, for errors and profiles.
    pub device: Arc<str>,
    /// The part, compiled. It has no variables.
    pub model: Arc<dyn CompiledModel>,
    /// Where each of its inputs comes from, each from somewhere else.
    pub inputs: Vec<Source>,
}

/// Parts in a row, as one model. See the [module](self).
pub struct Joined {
    inputs: Box<[Port]>,
    outputs: Box<[Port]>,
    stages: Box<[StageInfo]>,
    context: Option<ContextId>,
    wiring: Arc<Wiring>,
}

/// Why parts could not be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// There was nothing to join.
    #[error("there are no parts to join")]
    Empty,
    /// A part has another number of inputs than it was given sources.
    #[error("part {part} has {inputs} inputs and is given {sources} sources")]
    Inputs {
        /// Which part.
        part: usize,
        /// How many inputs it has.
        inputs: usize,
        /// How many sources there are.
        sources: usize,
    },
    /// A source that is not there, or only after the part has run.
    #[error("{input} of part {part} comes from {from}, which is not there when the part begins")]
    Absent {
        /// Which part.
        part: usize,
        /// Its input.
        input: PortName,
        /// Where it should come from.
        from: Source,
    },
    /// Two inputs of a part, or two outputs of the whole, that are one value.
    #[error("{port} and a port before it are the same value")]
    Twice {
        /// The second of them.
        port: PortName,
    },
    /// An output of the whole that no part has.
    #[error("the output {output} of the whole comes from {from}, which is not there")]
    Output {
        /// Position of the output.
        output: usize,
        /// Where it should come from.
        from: Outlet,
    },
    /// A part wants elements of another type than it is given.
    #[error("{input} of part {part} on the device \"{device}\" takes {wanted} and is given {given}")]
    Element {
        /// Which part.
        part: usize,
        /// Its device.
        device: Arc<str>,
        /// Its input.
        input: PortName,
        /// What it takes.
        wanted: ElementType,
        /// What it is given.
        given: ElementType,
    },
    /// A part wants another kind of value than it is given: a tensor where there is a sequence.
    #[error("{input} of part {part} on the device \"{device}\" takes {wanted} and is given {given}")]
    Kind {
        /// Which part.
        part: usize,
        /// Its device.
        device: Arc<str>,
        /// Its input.
        input: PortName,
        /// What it takes.
        wanted: Kind,
        /// What it is given.
        given: Kind,
    },
    /// A part with variables: join them in the whole ([`Stateful`](crate::Stateful) around the joined model).
    #[error("part {part} on the device \"{device}\" has variables")]
    State {
        /// Which part.
        part: usize,
        /// Its device.
        device: Arc<str>,
    },
    /// More stages than a request can have, also when neighbours of the same kind are one.
    #[error(
        "the parts have {stages} stages and still {merged} when neighbours are merged; {MAX_STAGES} are possible"
    )]
    Stages {
        /// The stages of all parts.
        stages: usize,
        /// How many are left when neighbours of the same kind are one.
        merged: usize,
    },
}

/// A failure of a part: where it was. The cause is its source.
#[derive(Debug, thiserror::Error)]
#[error("part {part} on the device \"{device}\" failed in its stage \"{stage}\"")]
pub struct PartFailure {
    /// Which part.
    pub part: usize,
    /// Its device.
    pub device: Arc<str>,
    /// The part's own stage.
    pub stage: &'static str,
    /// What the device said.
    pub source: Option<BoxError>,
}

/// Which tensor is whose.
struct Wiring {
    parts: Box<[Wired]>,
    /// The stages of all parts in their order: the part, and which of its stages.
    steps: Box<[(usize, usize)]>,
    /// The steps of each stage of the whole.
    stages: Box<[Range<usize>]>,
    /// What lies in tensors of the work: the outputs of parts that are none of the whole.
    values: Box<[Port]>,
}

struct Wired {
    device: Arc<str>,
    model: Arc<dyn CompiledModel>,
    inputs: Box<[Slot]>,
    outputs: Box<[Slot]>,
}

/// Where the tensor of a part's port is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// With this input of the whole.
    Input(usize),
    /// With this output of the whole.
    Output(usize),
    /// It is this value of the work.
    Value(usize),
}

impl Joined {
    /// Joins `parts`, which run in this order. The whole has these inputs, and an output of each of these names that is the
    /// outlet beside it.
    pub fn new(
        inputs: Vec<Port>,
        outputs: Vec<(Arc<str>, Outlet)>,
        parts: Vec<Part>,
    ) -> Result<Joined, JoinError> {
        let (ports, places) = whole_outputs(outputs, &parts)?;
        let mut values = Vec::new();
        let mut slots: Vec<Box<[Slot]>> = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            let slot = |(output, port): (usize, &Port)| match places
                .iter()
                .position(|place| *place == Outlet { part: index, output })
            {
                Some(whole) => Slot::Output(whole),
                None => {
                    values.push(port.clone());
                    Slot::Value(values.len() - 1)
                }
            };
            slots.push(part.model.outputs().iter().enumerate().map(slot).collect());
        }
        let wired = parts.iter().enumerate().map(|(index, part)| {
            let read = reads(index, part, &inputs, &parts, &slots)?;
            let (device, model) = (part.device.clone(), part.model.clone());
            Ok(Wired { device, model, inputs: read, outputs: slots[index].clone() })
        });
        let wired = wired.collect::<Result<Box<[Wired]>, JoinError>>()?;
        let of_part =
            |(index, part): (usize, &Wired)| (0..part.model.stages().len()).map(move |stage| (index, stage));
        let steps: Box<[(usize, usize)]> = wired.iter().enumerate().flat_map(of_part).collect();
        let infos: Vec<StageInfo> =
            steps.iter().map(|(part, stage)| wired[*part].model.stages()[*stage]).collect();
        let merged = merge(&infos, MAX_STAGES);
        if merged.is_empty() {
            return Err(JoinError::Empty);
        }
        if merged.len() > MAX_STAGES {
            return Err(JoinError::Stages { stages: infos.len(), merged: merged.len() });
        }
        let context = common_context(&wired);
        let stages = merged.iter().map(|steps| infos[steps.start]).collect();
        let wiring = Wiring { parts: wired, steps, stages: merged.into(), values: values.into() };
        Ok(Joined { inputs: inputs.into(), outputs: ports, stages, context, wiring: Arc::new(wiring) })
    }

    /// The same with stages of these names: `name` is given the name of the device, and that of the device's own stage.
    #[must_use]
    pub fn name_stages(mut self, name: impl Fn(&str, &'static str) -> &'static str) -> Joined {
        for index in 0..self.stages.len() {
            let device = self.device_of(index).cloned().unwrap_or_default();
            let stage = &mut self.stages[index];
            stage.name = name(&device, stage.name);
        }
        self
    }

    /// The name of the device whose stage this is; of the first, where several became one.
    pub fn device_of(&self, stage: usize) -> Option<&Arc<str>> {
        let (part, _) = self.wiring.steps.get(self.wiring.stages.get(stage)?.start)?;
        Some(&self.wiring.parts[*part].device)
    }

    /// The names of the parts' devices, in their order.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<str>> {
        self.wiring.parts.iter().map(|part| &part.device)
    }
}

/// The ports of the whole's outputs, and the outlet of each.
fn whole_outputs(
    outputs: Vec<(Arc<str>, Outlet)>,
    parts: &[Part],
) -> Result<(Box<[Port]>, Vec<Outlet>), JoinError> {
    let (mut ports, mut places) = (Vec::with_capacity(outputs.len()), Vec::with_capacity(outputs.len()));
    for (index, (name, from)) in outputs.into_iter().enumerate() {
        let port = parts.get(from.part).and_then(|part| part.model.outputs().get(from.output));
        let port = port.ok_or(JoinError::Output { output: index, from })?;
        let port = Port { index, name, ..port.clone() };
        if places.contains(&from) {
            return Err(JoinError::Twice { port: (&port).into() });
        }
        places.push(from);
        ports.push(port);
    }
    Ok((ports.into(), places))
}

/// Where the inputs of a part are kept.
fn reads(
    index: usize,
    part: &Part,
    inputs: &[Port],
    parts: &[Part],
    slots: &[Box<[Slot]>],
) -> Result<Box<[Slot]>, JoinError> {
    let ports = part.model.inputs();
    if ports.len() != part.inputs.len() {
        return Err(JoinError::Inputs { part: index, inputs: ports.len(), sources: part.inputs.len() });
    }
    if part.model.state().is_some() {
        return Err(JoinError::State { part: index, device: part.device.clone() });
    }
    let mut read: Vec<Slot> = Vec::with_capacity(ports.len());
    for (port, source) in ports.iter().zip(&part.inputs) {
        let found = match *source {
            Source::Input(input) => inputs.get(input).map(|port| (Slot::Input(input), port)),
            Source::Outlet(Outlet { part, output }) if part < index => {
                let slot = slots[part].get(output);
                slot.map(|slot| (*slot, &parts[part].model.outputs()[output]))
            }
            Source::Outlet(_) => None,
        };
        let absent = || JoinError::Absent { part: index, input: port.into(), from: *source };
        let (slot, given) = found.ok_or_else(absent)?;
        if given.element != port.element {
            let (device, wanted, given) = (part.device.clone(), port.element, given.element);
            return Err(JoinError::Element { part: index, device, input: port.into(), wanted, given });
        }
        if given.kind != port.kind {
            let (device, wanted, given) = (part.device.clone(), port.kind, given.kind);
            return Err(JoinError::Kind { part: index, device, input: port.into(), wanted, given });
        }
        if read.contains(&slot) {
            return Err(JoinError::Twice { port: port.into() });
        }
        read.push(slot);
    }
    Ok(read.into())
}

/// The context in which the user's tensors may lie: that of all parts that have one of them.
fn common_context(parts: &[Wired]) -> Option<ContextId> {
    let of_user = |slot: &Slot| !matches!(slot, Slot::Value(_));
    let mut contexts = parts
        .iter()
        .filter(|part| part.inputs.iter().chain(&part.outputs).any(of_user))
        .map(|part| part.model.context());
    let first = contexts.next()??;
    contexts.all(|context| context == Some(first)).then(|| first.clone())
}

/// Which stages become one, so that at most `most` are left if that can be: shortest neighbours of one kind first.
fn merge(stages: &[StageInfo], most: usize) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = (0..stages.len()).map(|stage| stage..stage + 1).collect();
    while ranges.len() > most {
        let alike = |at: &usize| stages[ranges[*at].start].kind == stages[ranges[*at + 1].start].kind;
        let length = |at: &usize| ranges[*at + 1].end - ranges[*at].start;
        let Some(at) = (0..ranges.len() - 1).filter(alike).min_by_key(length) else { break };
        ranges[at].end = ranges.remove(at + 1).end;
    }
    ranges
}

impl CompiledModel for Joined {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn context(&self) -> Option<&ContextId> {
        self.context.as_ref()
    }

    fn stages(&self) -> &[StageInfo] {
        &self.stages
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(JoinedWork::new(self.wiring.clone())?))
    }
}

#[cfg(test)]
mod tests;
