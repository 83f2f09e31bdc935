//! What a run may not ask for ends in an error that names the node.

mod support;

use inferry_core::ElementType::{F32, I64};
use inferry_core::device::Device;
use inferry_core::request::InferErrorKind;
use inferry_core::{CompiledModel, Slice, Stop};
use inferry_cpu::{Cpu, Isa, Limits, Options};
use inferry_engine::op::{Binary, Concat, ConstantOfShape, SequenceConstruct, SequenceInsert};
use std::sync::Arc;

use support::*;

const MEMORY: usize = 1 << 16;

fn compile_small(sketch: Sketch, outputs: &[inferry_engine::graph::ValueId]) -> Arc<dyn CompiledModel> {
    let limits = Limits { memory: MEMORY, ..Limits::default() };
    compile_with(&sketch.model(outputs), &Options { limits, ..Options::default() })
}

/// The kind of the error and its words.
fn failure(runner: &mut Runner) -> (InferErrorKind, String) {
    let failure = runner.run_with(Slice::Unlimited, &inferry_core::Serial, Stop::never()).unwrap_err();
    (failure.kind(), chain(&failure))
}

#[test]
fn a_value_that_a_loop_lets_grow_has_an_end() {
    let mut sketch = Sketch::new();
    let trips = sketch.input("trips", I64, &[]);
    let x = sketch.input("x", F32, &[4]);
    let grown = sketch.looped((Some(trips), None), &[x], &[], &|body, _, inputs| {
        (None, vec![body.op(Concat { axis: 0 }, &[inputs[0], inputs[0]])])
    });
    sketch.graph.nodes[0].name = "double".into();
    let compiled = compile_small(sketch, &grown);
    let mut runner = Runner::new(&compiled);
    let outputs = runner.run(&[tensor(&[8i64], &[]), tensor(&[1f32; 4], &[4])]);
    assert_eq!(outputs[0].len(), 1024);
    runner.io.set(inferry_core::port::Side::Input, 0, tensor(&[50i64], &[])).unwrap();
    let (kind, text) = failure(&mut runner);
    assert_eq!(kind, InferErrorKind::OutOfMemory, "{text}");
    assert!(text.contains("double") && text.contains("no memory for"), "{text}");
    // The next run has all of it again.
    let outputs = runner.run(&[tensor(&[8i64], &[]), tensor(&[1f32; 4], &[4])]);
    assert_eq!(outputs[0].len(), 1024);
}

#[test]
fn a_port_that_no_request_could_have_is_refused() {
    let mut sketch = Sketch::new();
    let (a, b) = (sketch.input("a", F32, &[1 << 12, 1]), sketch.open_input("b", F32, &[None, Some(1 << 12)]));
    let y = sketch.op(Binary::Add, &[a, b]);
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let device = Cpu::new(Isa::portable());
    let refused = Device::compile(&device, &sketch.model(&[y]), &options).map(drop).unwrap_err().to_string();
    assert_eq!(refused, format!("output \"{}\" takes {} bytes, more than a request may", "out0", 64 << 20));
}

#[test]
fn the_tensors_of_sequences_count() {
    let mut sketch = Sketch::new();
    let trips = sketch.input("trips", I64, &[]);
    let x = sketch.input("x", F32, &[256]);
    let sequence = sketch.op(SequenceConstruct, &[x]);
    let grown = sketch.looped((Some(trips), None), &[sequence, x], &[], &|body, _, inputs| {
        let next = body.op(Binary::Add, &[inputs[1], inputs[1]]);
        (None, vec![body.op(SequenceInsert, &[inputs[0], next]), next])
    });
    let compiled = compile_small(sketch, &[grown[1]]);
    let mut runner = Runner::new(&compiled);
    let x = || tensor(&[1f32; 256], &[256]);
    runner.run(&[tensor(&[20i64], &[]), x()]);
    runner.io.set(inferry_core::port::Side::Input, 0, tensor(&[1000i64], &[])).unwrap();
    let (kind, text) = failure(&mut runner);
    assert_eq!(kind, InferErrorKind::OutOfMemory, "{text}");
    assert!(text.contains("SequenceInsert"), "{text}");
    runner.run(&[tensor(&[20i64], &[]), x()]);
}

#[test]
fn a_size_that_is_a_number_of_the_run_is_believed_up_to_the_limit() {
    let mut sketch = Sketch::new();
    let shape = sketch.input("shape", I64, &[2]);
    let zeros = ConstantOfShape { value: inferry_core::Tensor::zeros(F32, [1]) };
    let y = sketch.op(zeros, &[shape]);
    let compiled = compile_small(sketch, &[y]);
    let mut runner = Runner::new(&compiled);
    assert_eq!(runner.run(&[tensor(&[16i64, 16], &[2])])[0].len(), 256);
    runner.io.set(inferry_core::port::Side::Input, 0, tensor(&[1i64 << 20, 1 << 20], &[2])).unwrap();
    let (kind, text) = failure(&mut runner);
    assert_eq!(kind, InferErrorKind::OutOfMemory, "{text}");
    assert!(text.contains("ConstantOfShape"), "{text}");
}
