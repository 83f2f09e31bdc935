//! A model from anywhere, compiled and run on inputs drawn by lot.
//!
//! Loading and the run are stopped after so many looks, as a user would who waits no longer. So a model may ask for years of
//! work and be none the worse for it; but it must look, or the fuzzer's own limit of time calls it a hang.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use inferry_core::device::CompiledModel;
use inferry_core::port::Side;
use inferry_core::request::Bindings;
use inferry_core::turn::StopSource;
use inferry_core::{Dim, ElementType, Kind, Port, Serial, Shape, Slice, Step, Stop, Tensor, Turn, Value};
use inferry_cpu::{Cpu, Isa};
use inferry_engine::device::Limits;
use inferry_engine::onnx;

use crate::{LIMITS, Random};

/// What a run may ask for.
const RUN: Limits = Limits { trips: 1000, memory: 16 << 20, strings: 1 << 20 };

/// Looks after which loading or a run is stopped.
const LOOKS: usize = 300;

/// More elements than this are not drawn.
const MOST_ELEMENTS: usize = 1 << 14;

/// Reads bytes as a model, compiles it and runs it twice: at one go, and in slices. True when a run came to its end.
///
/// # Panics
/// When something is wrong with us, and not with the bytes.
pub fn execute(bytes: &[u8]) -> bool {
    let options = onnx::Options { limits: LIMITS, ..onnx::Options::default() };
    let Ok(model) = onnx::import(bytes, &options) else { return false };
    let options = inferry_cpu::Options { limits: RUN, ..inferry_cpu::Options::default() };
    let mut loading = Cpu::new(Isa::portable()).compile_steps(model, options);
    let patience = Patience::new();
    let compiled = match loading.step(&Turn::new(Stop::new(&patience), Slice::Unlimited, &Serial)) {
        Step::Done(Ok(compiled)) => compiled,
        Step::Done(Err(error)) => {
            let _ = error.to_string();
            return false;
        }
        Step::Stopped => return false,
        Step::Pending => panic!("nothing limits the slice"),
    };
    let mut random = Random::of(bytes);
    let Some(values) =
        compiled.inputs().iter().map(|port| value(port, &mut random)).collect::<Option<Vec<_>>>()
    else {
        return false;
    };
    let whole = run(&*compiled, &values, Slice::Unlimited);
    run(&*compiled, &values, Slice::Looks(1)) || whole
}

/// Says stop after so many looks.
struct Patience(AtomicUsize);

impl Patience {
    fn new() -> Patience {
        Patience(AtomicUsize::new(LOOKS))
    }
}

impl StopSource for Patience {
    fn stopped(&self) -> bool {
        let left = self.0.load(Ordering::Relaxed);
        self.0.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }
}

/// One run; true when it came to its end.
fn run(compiled: &dyn CompiledModel, values: &[Value], slice: Slice<'_>) -> bool {
    let (Ok(mut io), Ok(mut work)) =
        (Bindings::new(compiled.inputs(), compiled.outputs()), compiled.prepare())
    else {
        return false;
    };
    for (index, value) in values.iter().enumerate() {
        if io.set_value(index, value.clone()).is_err() {
            return false;
        }
    }
    io.hold().expect("nobody else holds the tensors");
    work.begin();
    let patience = Patience::new();
    let ended = loop {
        let turn = Turn::new(Stop::new(&patience), slice, &Serial);
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = work.poll_stage(0, &mut io, &turn, &mut context) {
            break result.map_err(|failure| failure.to_string()).is_ok();
        }
    };
    io.release();
    if ended {
        let outputs = (0..io.ports(Side::Output).len()).map(|index| io.value(Side::Output, index));
        outputs.for_each(|value| drop(value.expect("the run is over")));
    }
    ended
}

/// What could be bound to a port; `None` when it would be too large.
fn value(port: &Port, random: &mut Random) -> Option<Value> {
    if port.kind.is_optional() && random.below(3) == 0 {
        return Some(Value::Absent);
    }
    match port.kind {
        Kind::Tensor | Kind::OptionalTensor => tensor(port, random).map(Value::Tensor),
        Kind::Sequence | Kind::OptionalSequence => {
            let several = (0..random.below(4)).map(|_| tensor(port, random)).collect::<Option<_>>()?;
            Some(Value::Sequence(several))
        }
    }
}

fn tensor(port: &Port, random: &mut Random) -> Option<Tensor> {
    let extent = |dim: &Dim, random: &mut Random| match *dim {
        Dim::Fixed(extent) => extent,
        Dim::Any => random.below(4),
        Dim::Between(least, most) => least.max(random.below(4)).min(most),
    };
    let extents: Vec<usize> = match port.shape.dims() {
        Some(dims) => dims.iter().map(|dim| extent(dim, random)).collect(),
        None => (0..random.below(4)).map(|_| random.below(4)).collect(),
    };
    let shape = Shape::new(&extents).ok()?;
    let count = shape.checked_len().filter(|count| *count <= MOST_ELEMENTS)?;
    if port.element == ElementType::String {
        const WORDS: [&str; 6] = ["", "a", "A b", "-1.5e3", "grün", "\u{10ffff} \n"];
        let words: Vec<&str> = (0..count).map(|_| WORDS[random.below(WORDS.len())]).collect();
        return Tensor::from_strings(&words, shape).ok();
    }
    let bytes: Vec<u8> = match port.element.is_packed() {
        true => (0..count.div_ceil(2)).map(|_| random.number() as u8).collect(),
        false => (0..count).flat_map(|_| element(port.element, random)).collect(),
    };
    Tensor::from_bytes(port.element, shape, &bytes).ok()
}

/// The bytes of an element: a small number, or now and then any.
fn element(element: ElementType, random: &mut Random) -> Vec<u8> {
    if element == ElementType::Bool {
        return vec![random.below(2) as u8];
    }
    if random.below(16) == 0 {
        return random.number().to_le_bytes()[..element.size()].to_vec();
    }
    let small = random.below(9) as i64 - 3;
    match element {
        ElementType::F16 => half::f16::from_f64(small as f64 / 2.).to_le_bytes().to_vec(),
        ElementType::Bf16 => half::bf16::from_f64(small as f64 / 2.).to_le_bytes().to_vec(),
        ElementType::F32 => (small as f32 / 2.).to_le_bytes().to_vec(),
        ElementType::F64 => (small as f64 / 2.).to_le_bytes().to_vec(),
        _ => small.to_le_bytes()[..element.size()].to_vec(),
    }
}
