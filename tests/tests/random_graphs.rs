//! Graphs drawn by lot compute what a slow interpreter computes.
//!
//! Elementwise operators, moves, reductions, products of matrices and convolutions of random types and shapes, with extents that
//! are known when the model is compiled and with open ones, with the best instructions of this machine and with those that
//! every machine has. What the passes fold, fuse and rewrite on the way is compared with it.

use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use inferry_behaviour::slow::{self, Program, Step, draw};
use inferry_core::device::Device;
use inferry_core::{Pipeline, Request, Tensor};
use inferry_cpu::{Cpu, Isa, Options};
use proptest::prelude::*;

/// The device of this machine, and one without any instructions of its own.
static DEVICES: LazyLock<[Cpu; 2]> =
    LazyLock::new(|| [inferry::Runtime::new().unwrap().cpu(), Cpu::new(Isa::portable())]);

/// The outputs of the engine and the CPU device.
fn computed(program: &Program, open: bool, cpu: Cpu) -> Result<Vec<Tensor>, String> {
    let compiled =
        cpu.compile(&program.model(open), &Options::default()).map_err(|error| error.to_string())?;
    let pipeline = Arc::new(Pipeline::inline(&*compiled));
    let mut request = Request::new(compiled, pipeline).map_err(|error| error.to_string())?;
    for (port, tensor) in program.inputs().into_iter().enumerate() {
        request.set_input(port, tensor).map_err(|error| error.to_string())?;
    }
    let run = pin!(request.start().map_err(|error| error.to_string())?);
    match run.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outputs) => {
            let outputs = outputs.map_err(|error| format!("{error:?}"))?;
            (0..program.outputs.len())
                .map(|port| Ok(outputs.get(port).map_err(|error| error.to_string())?.clone()))
                .collect()
        }
        Poll::Pending => Err("a run without threads waits".into()),
    }
}

/// How many elements were known and compared, of how many.
fn check(program: &Program) -> Result<[usize; 2], String> {
    let mut counts = [0; 2];
    for (cpu, open) in [(0, true), (1, false), (0, false)] {
        let outputs = computed(program, open, DEVICES[cpu])?;
        for (value, tensor) in program.outputs.iter().zip(&outputs) {
            let array = &program.values[*value].array;
            counts[0] += array
                .compare(tensor)
                .map_err(|problem| format!("value {value}, extents open: {open}: {problem}"))?;
            counts[1] += array.numbers.len();
        }
    }
    Ok(counts)
}

/// A few seconds' worth of graphs, or as many as the variable `INFERRY_RANDOM_GRAPHS` asks for.
fn cases() -> u32 {
    let asked = std::env::var("INFERRY_RANDOM_GRAPHS").ok();
    asked.map_or(1500, |number| number.parse().expect("INFERRY_RANDOM_GRAPHS is a number"))
}

/// A program as a reader wants it when it fails.
fn told(program: &Program) -> String {
    let value = |(index, value): (usize, &slow::Value)| {
        let slow::Value { step, reads, array } = value;
        let numbers = if matches!(step, Step::Input | Step::Constant) {
            format!(" {:?}", array.numbers)
        } else {
            String::new()
        };
        format!("{index}: {}{:?} = {step:?}{reads:?}{numbers}\n", array.element, array.shape)
    };
    program.values.iter().enumerate().map(value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn graphs_drawn_by_lot_compute_what_they_should(lists in proptest::collection::vec(any::<[u32; 12]>(), 1..16)) {
        let program = draw(&lists);
        if let Err(problem) = check(&program) {
            return Err(TestCaseError::fail(format!("{problem}\n{}", told(&program))));
        }
    }
}

#[test]
fn most_of_what_is_drawn_is_compared() {
    let mut state = 7u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.rotate_left(13) ^ state >> 5
    };
    let (mut known, mut all, mut steps) = (0, 0, std::collections::BTreeSet::new());
    for _ in 0..150 {
        let lists: Vec<[u32; 12]> = (0..14).map(|_| core::array::from_fn(|_| next())).collect();
        let program = draw(&lists);
        let [these, of] = check(&program).unwrap_or_else(|problem| panic!("{problem}\n{}", told(&program)));
        (known, all) = (known + these, all + of);
        steps.extend(
            program
                .values
                .iter()
                .map(|value| format!("{:?}", value.step).split(['(', ' ']).next().unwrap().to_owned()),
        );
    }
    assert!(known * 10 > all * 8, "{known} of {all} elements are known");
    assert!(steps.len() >= 22, "{steps:?}");
}
