//! A request for a model, and its run in slices.
//!
//! The request's pipeline has one executor, a *lane* with room for one task: a start puts the task there, each step takes it
//! out and runs it for a slice, and a stage whose slice is used up puts it back. So between two steps the run is queued, and a
//! cancel ends it at once. Inputs are written by JavaScript into the memory of the request's own tensors, and outputs are read from
//! there: bytes are copied once on either way.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::executor::{Budget, Executor, Lend, Submitted};
use inferry_core::request::{BindError, Canceller, InferErrorKind, Observer, Outcome, Task, TaskId};
use inferry_core::tensor::MAX_RANK;
use inferry_core::{CompiledModel, ElementType, NodeStatus, Pipeline, Port, Request, Shape, Tensor, Verdict};
use spin::Mutex;

use crate::crew;
use crate::host::{SliceClock, stopped};
use crate::json::Json;
use crate::trouble::Trouble;

/// What the kernels of this module are compiled for.
const VECTORS: &str = match (cfg!(target_feature = "relaxed-simd"), cfg!(target_feature = "simd128")) {
    (true, _) => "relaxed-simd",
    (_, true) => "simd128",
    _ => "portable",
};

/// A request and the way to its task.
pub(crate) struct Session {
    request: Request,
    lane: Arc<Lane>,
    canceller: Canceller,
    observer: Observer,
}

/// How a step ended, when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The slice is used up.
    Pending,
    /// The outputs can be read.
    Done,
    /// The run is over without them.
    Cancelled,
}

/// An executor for one request that its session drives.
struct Lane(Mutex<Option<Task>>);

impl Executor for Lane {
    fn name(&self) -> &str {
        "worker"
    }

    fn submit(&self, task: Task) -> Submitted {
        let mut lane = self.0.lock();
        if lane.is_some() {
            return Submitted::Refused(task);
        }
        *lane = Some(task);
        Submitted::Taken
    }

    fn withdraw(&self, task: TaskId) -> Option<Task> {
        self.0.lock().take_if(|queued| queued.id() == task)
    }
}

impl Session {
    /// A request with tensors of zeros.
    pub(crate) fn new(model: Arc<dyn CompiledModel>) -> Result<Session, Trouble> {
        let lane = Arc::new(Lane(Mutex::new(None)));
        let pipeline = Pipeline::by_kind(&*model, |_| lane.clone());
        let request = Request::new(model, Arc::new(pipeline))?;
        let (canceller, observer) = (request.canceller(), request.observer());
        Ok(Session { request, lane, canceller, observer })
    }

    /// Gives the tensor of an input this shape; the address at which its bytes have to be written before the run begins.
    pub(crate) fn place(&mut self, input: usize, element: u32, shape: &[u32]) -> Result<usize, Trouble> {
        let port = port(self.request.inputs(), "input", input)?;
        let shape = fitting(port, element, shape)?;
        let tensor = self.request.input_mut(input)?;
        tensor.set_shape(shape)?;
        let range = tensor.byte_range();
        let mut lease = tensor.lease_write().map_err(inferry_core::tensor::TensorError::from)?;
        // JavaScript writes there after this call and before the next, when no lease is given.
        Ok(lease.bytes_mut()[range].as_mut_ptr().expose_provenance())
    }

    /// Gives an input these strings: for each its length in bytes as a word, and then its UTF-8.
    pub(crate) fn place_strings(&mut self, input: usize, shape: &[u32], bytes: &[u8]) -> Result<(), Trouble> {
        let port = port(self.request.inputs(), "input", input)?;
        let shape = fitting(port, ElementType::String as u32, shape)?;
        let strings = decode_strings(bytes)?;
        let tensor = Tensor::from_strings(&strings, shape)?;
        self.request.set_input(input, tensor)?;
        Ok(())
    }

    /// Starts a run. It is computed by [`Session::step`].
    pub(crate) fn begin(&mut self) -> Result<(), Trouble> {
        for port in 0..self.request.inputs().len() {
            let tensor = self.request.input(port)?;
            if tensor.element() == ElementType::Bool {
                // Bytes that JavaScript wrote may be no bool.
                tensor.as_slice::<bool>()?;
            }
        }
        self.request.start()?.detach();
        Ok(())
    }

    /// Computes for about so many nanoseconds.
    pub(crate) fn step(&mut self, budget: u64) -> Result<Progress, Trouble> {
        let task = self.lane.0.lock().take();
        let Some(task) = task else { return self.outcome() };
        let budget = Budget::Nanos { clock: &SliceClock, length: budget };
        crew::lend(|parallel| task.run(&Lend { parallel, budget }));
        if stopped() {
            self.canceller.cancel();
        }
        self.outcome()
    }

    /// Ends the run under way; its next step says so.
    pub(crate) fn cancel(&self) {
        self.canceller.cancel();
    }

    fn outcome(&self) -> Result<Progress, Trouble> {
        match self.observer.status() {
            inferry_core::request::Status::Fresh => Err(Trouble::new("internal", "no run has begun")),
            inferry_core::request::Status::Settled(_) => match self.observer.latest() {
                Some(outcome) => judge(outcome),
                None => Err(Trouble::new("internal", "no run has begun")),
            },
            _ => Ok(Progress::Pending),
        }
    }

    /// Where an output lies: its element type, address, length in bytes (of strings: how many), number of dimensions, and
    /// these.
    pub(crate) fn output(&self, output: usize) -> Result<Vec<u32>, Trouble> {
        port(self.request.outputs(), "output", output)?;
        let tensor = self.request.output(output)?;
        let lease = tensor.lease_read().map_err(inferry_core::tensor::TensorError::from)?;
        let (at, len) = match tensor.element() {
            ElementType::String => (0, tensor.len()),
            _ => (lease.bytes()[tensor.byte_range()].as_ptr().expose_provenance(), tensor.byte_len()),
        };
        let shape = tensor.shape();
        let mut words = Vec::with_capacity(4 + MAX_RANK);
        words.extend([tensor.element() as u32, at as u32, len as u32, shape.rank() as u32]);
        words.extend(shape.iter().map(|extent| *extent as u32));
        Ok(words)
    }

    /// The strings of an output, as [`Session::place_strings`] takes them.
    pub(crate) fn output_strings(&self, output: usize) -> Result<Vec<u8>, Trouble> {
        port(self.request.outputs(), "output", output)?;
        let tensor = self.request.output(output)?;
        let mut bytes = Vec::new();
        for string in tensor.strings()?.iter() {
            bytes.extend((string.len() as u32).to_le_bytes());
            bytes.extend(string.as_bytes());
        }
        Ok(bytes)
    }

    /// What each node did in the latest run; empty when the model was not loaded to be measured.
    pub(crate) fn profile(&mut self) -> Result<Json, Trouble> {
        let nodes = self.request.profile()?;
        let mut json = Json::default();
        json.list(|json| {
            for node in &nodes {
                let status = match node.status {
                    NodeStatus::Executed => "run",
                    NodeStatus::OptimizedOut => "optimised-out",
                    _ => "not-run",
                };
                json.object(|json| {
                    json.key("name").text(&node.name);
                    json.key("operator").text(node.operator);
                    json.key("kernel").text(if node.status == NodeStatus::Executed { VECTORS } else { "" });
                    json.key("status").text(status);
                    json.key("nanos").number(node.nanos);
                });
            }
        });
        Ok(json)
    }
}

/// The port of an index.
fn port<'a>(ports: &'a [Port], side: &str, index: usize) -> Result<&'a Port, Trouble> {
    ports.get(index).ok_or_else(|| {
        let message = alloc::format!("no {side} #{index}; there are {}", ports.len());
        Trouble::new("out-of-range", message)
    })
}

/// The shape, when the port takes it and the type.
fn fitting(port: &Port, element: u32, extents: &[u32]) -> Result<Shape, Trouble> {
    let given = ElementType::ALL.get(element as usize);
    let given = *given.ok_or_else(|| Trouble::unknown("element type", element))?;
    if given != port.element {
        return Err(BindError::Element { port: port.into(), given, wanted: port.element }.into());
    }
    let extents: Vec<usize> = extents.iter().map(|extent| *extent as usize).collect();
    let shape =
        Shape::new(&extents).map_err(|error| Trouble::new("invalid-input", alloc::format!("{error}")))?;
    if !port.shape.admits(&shape) {
        let (given, wanted) = (shape.into(), port.shape.clone().into());
        return Err(BindError::Shape { port: port.into(), given, wanted }.into());
    }
    Ok(shape)
}

/// What a run that is over came to.
fn judge(outcome: Outcome) -> Result<Progress, Trouble> {
    match (outcome.verdict, outcome.error) {
        (Verdict::Done, _) => Ok(Progress::Done),
        (Verdict::Cancelled(_), _) => Ok(Progress::Cancelled),
        (_, Some(error)) if error.kind() == InferErrorKind::Cancelled => Ok(Progress::Cancelled),
        (_, Some(error)) => Err(error.into()),
        (verdict, None) => Err(Trouble::new("internal", alloc::format!("the run was {verdict}"))),
    }
}

fn decode_strings(bytes: &[u8]) -> Result<Vec<String>, Trouble> {
    let mut strings = Vec::new();
    let mut rest = bytes;
    let cut = || Trouble::new("internal", "the strings are cut off");
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk().ok_or_else(cut)?;
        let (text, after) = after.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(cut)?;
        let text =
            core::str::from_utf8(text).map_err(|_| Trouble::new("invalid-input", "a string is no UTF-8"))?;
        strings.push(text.into());
        rest = after;
    }
    Ok(strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_cancelled_between_two_slices_leaves_a_good_session() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/models/mtcnn_cascade/onet.onnx");
        let bytes = std::fs::read(path).unwrap();
        let mut model =
            inferry_engine::onnx::import(&bytes, &inferry_engine::onnx::Options::default()).unwrap();
        let fixed = crate::shapes::Fixed { name: "input_3".into(), extents: alloc::vec![1, 48, 48, 3] };
        crate::shapes::fix(&mut model, &[fixed]).unwrap();
        let cpu = inferry_cpu::Cpu::new(inferry_cpu::Isa::portable());
        let compiled = inferry_core::Device::compile(&cpu, &model, &inferry_cpu::Options::default()).unwrap();
        let mut session = Session::new(compiled).unwrap();
        for _ in 0..2 {
            session.begin().unwrap();
            assert_eq!(session.step(1).unwrap(), Progress::Pending);
            session.cancel();
            assert_eq!(session.step(1).unwrap(), Progress::Cancelled);
            session.begin().unwrap();
            let ended =
                (0..100_000).map(|_| session.step(1).unwrap()).find(|step| *step != Progress::Pending);
            assert_eq!(ended, Some(Progress::Done));
        }
    }

    #[test]
    fn strings_survive_their_way() {
        let encode = |texts: &[&str]| -> Vec<u8> {
            let text = |text: &&str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
            texts.iter().flat_map(text).collect()
        };
        assert_eq!(decode_strings(&encode(&["", "grüezi", "x"])).unwrap(), ["", "grüezi", "x"]);
        assert!(decode_strings(&encode(&["abc"])[..6]).is_err());
        assert!(decode_strings(&[1, 0]).is_err());
        assert_eq!(decode_strings(&[1, 0, 0, 0, 0xff]).unwrap_err().code, "invalid-input");
    }
}
