//! Sequences and optionals: through every operator, branches, loops, and in and out of a model.

mod support;

use inferry_core::port::Side;
use inferry_core::{ElementType, Kind, Serial, Slice, Stop, Tensor, Value};
use inferry_engine::graph::{Fact, ShapeFact, ValueId};
use inferry_engine::op::{
    Binary, ConcatFromSequence, Identity, Loop, Optional, OptionalGetElement, OptionalHasElement, SequenceAt,
    SequenceConstruct, SequenceEmpty, SequenceErase, SequenceInsert, SequenceLength, SplitToSequence, Unary,
};
use support::*;

const F32: ElementType = ElementType::F32;
const I64: ElementType = ElementType::I64;
const AT: SequenceAt = SequenceAt { or_tensor: false };

fn number(value: i64) -> Tensor {
    tensor(&[value], &[])
}

/// An input that is no tensor.
fn input_of(sketch: &mut Sketch, name: &str, kind: Kind) -> ValueId {
    let fact = Fact::new(F32, ShapeFact::unknown()).of_kind(kind);
    let id = sketch.graph.add_value(name, Some(fact));
    sketch.graph.inputs.push(id);
    id
}

/// Binds the values and runs; the error in words.
fn run(runner: &mut Runner, inputs: &[Value]) -> Result<Vec<Value>, String> {
    for (port, value) in inputs.iter().enumerate() {
        runner.io.set_value(port, value.clone()).unwrap_or_else(|error| panic!("{error}"));
    }
    runner.run_with(Slice::Unlimited, &Serial, Stop::never()).map_err(|error| chain(&error))?;
    let outputs = runner.io.ports(Side::Output).len();
    Ok((0..outputs).map(|port| runner.io.value(Side::Output, port).unwrap()).collect())
}

/// The shape and the numbers of each tensor.
fn parts(value: &Value) -> Vec<(Vec<usize>, Vec<f32>)> {
    value.tensors().iter().map(|tensor| (tensor.shape().to_vec(), floats(tensor))).collect()
}

fn of(lists: &[&[f32]]) -> Value {
    Value::Sequence(lists.iter().map(|list| tensor(list, &[list.len()])).collect())
}

fn vectors(value: &Value) -> Vec<Vec<f32>> {
    value.tensors().iter().map(floats).collect()
}

#[test]
fn tensors_go_into_sequences_and_come_out_again() {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", F32, &[None]);
    let y = sketch.input("y", F32, &[2, 2]);
    let at = sketch.input("at", I64, &[]);
    let both = sketch.op(SequenceConstruct, &[x, y]);
    let three = sketch.op(SequenceInsert, &[both, x, at]);
    let four = sketch.op(SequenceInsert, &[three, y]);
    let back = sketch.op(SequenceErase, &[four, at]);
    let last = sketch.op(SequenceErase, &[four]);
    let length = sketch.op(SequenceLength, &[four]);
    let taken = sketch.op(AT, &[four, at]);
    let after = sketch.op(Unary::Neg, &[taken]);
    let compiled = compile(&sketch.model(&[four, back, last, length, after]));
    assert_eq!(compiled.outputs()[0].kind, Kind::Sequence);
    let mut runner = Runner::new(&compiled);
    let (x, y) = (tensor(&[1f32, 2., 3.], &[3]), count(&[2, 2]));
    let x_part = (vec![3], vec![1., 2., 3.]);
    let y_part = (vec![2, 2], vec![0., 1., 2., 3.]);
    for _ in 0..2 {
        let inputs = |at| [x.clone().into(), y.clone().into(), number(at).into()];
        let outputs = run(&mut runner, &inputs(0)).unwrap();
        assert_eq!(parts(&outputs[0]), [x_part.clone(), x_part.clone(), y_part.clone(), y_part.clone()]);
        assert_eq!(parts(&outputs[1]), [x_part.clone(), y_part.clone(), y_part.clone()]);
        assert_eq!(parts(&outputs[2]), [x_part.clone(), x_part.clone(), y_part.clone()]);
        assert_eq!(outputs[3].tensor().unwrap().to_vec::<i64>().unwrap(), [4]);
        assert_eq!(floats(outputs[4].tensor().unwrap()), [-1., -2., -3.]);
        let outputs = run(&mut runner, &inputs(-2)).unwrap();
        assert_eq!(parts(&outputs[0])[0], x_part);
        assert_eq!(outputs[4].tensor().unwrap().shape().to_vec(), [2, 2]);
        let error = run(&mut runner, &inputs(3)).unwrap_err();
        assert!(error.contains("there is no position 3 in a sequence of 2 tensors"), "{error}");
        let error = run(&mut runner, &inputs(-3)).unwrap_err();
        assert!(error.contains("SequenceInsert #1") && error.contains("position -3"), "{error}");
    }
}

#[test]
fn sequences_go_in_and_out_of_a_model() {
    let mut sketch = Sketch::new();
    let s = input_of(&mut sketch, "s", Kind::Sequence);
    let t = sketch.op(Identity, &[s]);
    let joined = sketch.op(ConcatFromSequence { axis: 0, new_axis: false }, &[s]);
    let stacked = sketch.op(ConcatFromSequence { axis: -1, new_axis: true }, &[s]);
    let compiled = compile(&sketch.model(&[s, t, joined, stacked]));
    let mut runner = Runner::new(&compiled);
    // One of them lies strided.
    let picture = count(&[4, 4]).region(&[0..3, 1..2]).unwrap();
    let plain = tensor(&[10f32, 11., 12.], &[3, 1]);
    let outputs = run(&mut runner, &[Value::Sequence(vec![picture, plain])]).unwrap();
    let wanted = vec![(vec![3, 1], vec![1., 5., 9.]), (vec![3, 1], vec![10., 11., 12.])];
    assert_eq!((parts(&outputs[0]), parts(&outputs[1])), (wanted.clone(), wanted));
    assert_eq!(parts(&outputs[2]), [(vec![6, 1], vec![1., 5., 9., 10., 11., 12.])]);
    assert_eq!(parts(&outputs[3]), [(vec![3, 1, 2], vec![1., 10., 5., 11., 9., 12.])]);
    let error = run(&mut runner, &[Value::Sequence(vec![])]).unwrap_err();
    assert!(error.contains("an empty sequence has no tensors to put together"), "{error}");
    let error = run(&mut runner, &[of(&[&[1.], &[1., 2.]])]).unwrap_err();
    assert!(error.contains("ConcatFromSequence") && error.contains("sequence of 2 f32 tensors"), "{error}");
}

#[test]
fn strings_and_packed_integers_go_in_and_out_in_sequences() {
    let strings = ["one", "", "three"].map(|text| Tensor::from_strings(&[text], [1]).unwrap());
    let packed = [0x21u8, 0x0f].map(|byte| Tensor::from_bytes(ElementType::I4, [2], &[byte]).unwrap());
    for tensors in [Vec::from(strings), Vec::from(packed)] {
        let mut sketch = Sketch::new();
        let element = tensors[0].element();
        let fact = Fact::new(element, ShapeFact::unknown()).of_kind(Kind::Sequence);
        let x = sketch.graph.add_value("x", Some(fact));
        sketch.graph.inputs.push(x);
        let same = sketch.op(Identity, &[x]);
        let compiled = compile(&sketch.model(&[same]));
        let mut runner = Runner::new(&compiled);
        for _ in 0..2 {
            let outputs = run(&mut runner, &[Value::Sequence(tensors.clone())]).unwrap();
            for (got, wanted) in outputs[0].tensors().iter().zip(&tensors) {
                assert_eq!(got.to_string(), wanted.to_string());
            }
            assert_eq!(outputs[0].tensors().len(), tensors.len());
        }
    }
}

#[test]
fn a_tensor_is_cut_into_a_sequence() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[3, 5]);
    let split = sketch.open_input("split", I64, &[None]);
    let one = sketch.input("one", I64, &[]);
    let stated = sketch.op(SplitToSequence { axis: 1, keep_dims: true }, &[x, split]);
    let equal = sketch.op(SplitToSequence { axis: -1, keep_dims: true }, &[x, one]);
    let rows = sketch.op(SplitToSequence { axis: 0, keep_dims: false }, &[x]);
    let kept = sketch.op(SplitToSequence { axis: 0, keep_dims: true }, &[x]);
    let compiled = compile(&sketch.model(&[stated, equal, rows, kept]));
    let mut runner = Runner::new(&compiled);
    let x = count(&[3, 5]);
    let with =
        |split: &[i64], one| [x.clone().into(), tensor(split, &[split.len()]).into(), number(one).into()];
    let outputs = run(&mut runner, &with(&[0, 2, 3], 2)).unwrap();
    let first = (vec![3, 2], vec![0., 1., 5., 6., 10., 11.]);
    let second = (vec![3, 3], vec![2., 3., 4., 7., 8., 9., 12., 13., 14.]);
    assert_eq!(parts(&outputs[0]), [(vec![3, 0], vec![]), first.clone(), second]);
    assert_eq!(parts(&outputs[1])[0], first);
    assert_eq!(parts(&outputs[1])[2], (vec![3, 1], vec![4., 9., 14.]));
    assert_eq!(parts(&outputs[2])[1], (vec![5], vec![5., 6., 7., 8., 9.]));
    assert_eq!(parts(&outputs[3])[2].0, [1, 5]);
    let error = run(&mut runner, &with(&[2, 2], 2)).unwrap_err();
    assert!(error.contains("the parts [2, 2] do not fill an axis of 5 elements"), "{error}");
    let error = run(&mut runner, &with(&[5], 0)).unwrap_err();
    assert!(error.contains("input 1 asks for parts of no elements"), "{error}");
    let error = run(&mut runner, &with(&[6, -1], 1)).unwrap_err();
    assert!(error.contains("input 1 asks for a part of -1 elements"), "{error}");
}

#[test]
fn what_may_be_absent_is_asked_for() {
    let mut sketch = Sketch::new();
    let x = input_of(&mut sketch, "x", Kind::OptionalTensor);
    let has = sketch.op(OptionalHasElement, &[x]);
    // What is there negated, else a constant.
    let chosen = sketch.choice(
        has,
        &[x],
        1,
        [
            &|body, captured| {
                let there = body.op(OptionalGetElement, &[captured[0]]);
                vec![body.op(Unary::Neg, &[there])]
            },
            &|body, _| vec![body.constant(&[7f32], &[1])],
        ],
    );
    let again = sketch.op(Optional { nothing: None }, &[chosen[0]]);
    let compiled = compile(&sketch.model(&[has, chosen[0], again, x]));
    assert_eq!(compiled.outputs()[3].kind, Kind::OptionalTensor);
    let mut runner = Runner::new(&compiled);
    for _ in 0..2 {
        let outputs = run(&mut runner, &[tensor(&[1f32, 2.], &[2]).into()]).unwrap();
        assert_eq!(vectors(&outputs[1]), [[-1., -2.]]);
        assert_eq!((vectors(&outputs[2]), vectors(&outputs[3])), (vec![vec![-1., -2.]], vec![vec![1., 2.]]));
        let outputs = run(&mut runner, &[Value::Absent]).unwrap();
        assert_eq!(vectors(&outputs[1]), [[7.]]);
        assert!(outputs[3].is_absent());
    }
    let mut sketch = Sketch::new();
    let x = input_of(&mut sketch, "x", Kind::OptionalSequence);
    let there = sketch.op(OptionalGetElement, &[x]);
    let length = sketch.op(SequenceLength, &[there]);
    let compiled = compile(&sketch.model(&[length]));
    let error = run(&mut Runner::new(&compiled), &[Value::Absent]).unwrap_err();
    assert!(error.contains("OptionalGetElement #0") && error.contains("there is nothing"), "{error}");
}

#[test]
fn branches_give_sequences_and_what_may_be_absent() {
    let mut sketch = Sketch::new();
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let x = sketch.input("x", F32, &[2]);
    let results = sketch.choice(
        condition,
        &[x],
        2,
        [
            &|body, captured| {
                let sequence = body.op(SequenceConstruct, &[captured[0], captured[0]]);
                let nothing = Some((Kind::Tensor, F32));
                vec![sequence, body.op(Optional { nothing }, &[])]
            },
            &|body, captured| {
                let none = body.op(SequenceEmpty { element: F32 }, &[]);
                // A tensor here, an optional there: together an optional.
                vec![none, body.op(Unary::Neg, &[captured[0]])]
            },
        ],
    );
    let compiled = compile(&sketch.model(&results));
    assert_eq!(compiled.outputs()[1].kind, Kind::OptionalTensor);
    let mut runner = Runner::new(&compiled);
    let x = || Value::from(tensor(&[1f32, 2.], &[2]));
    for _ in 0..2 {
        let outputs = run(&mut runner, &[tensor(&[true], &[]).into(), x()]).unwrap();
        assert_eq!((vectors(&outputs[0]).len(), outputs[1].is_absent()), (2, true));
        let outputs = run(&mut runner, &[tensor(&[false], &[]).into(), x()]).unwrap();
        assert_eq!((vectors(&outputs[0]).len(), vectors(&outputs[1])), (0, vec![vec![-1., -2.]]));
    }
}

/// Carries a sequence that grows, and gives what it gathers in a second one.
fn growing() -> Sketch {
    let mut sketch = Sketch::new();
    let trips = sketch.input("trips", I64, &[]);
    let s = input_of(&mut sketch, "s", Kind::Sequence);
    let x = sketch.input("x", F32, &[2]);
    let results = sketch.looped((Some(trips), None), &[s, x], &[s], &|body, _, inputs| {
        let (carried, x, outside) = (inputs[0], inputs[1], inputs[2]);
        let next = body.op(Binary::Add, &[x, x]);
        let longer = body.op(SequenceInsert, &[carried, next]);
        let length = body.op(SequenceLength, &[outside]);
        (None, vec![longer, next, length])
    });
    sketch.graph.outputs = results;
    sketch
}

#[test]
fn loops_carry_sequences() {
    let sketch = growing();
    let outputs = sketch.graph.outputs.clone();
    let compiled = compile(&sketch.model(&outputs));
    let mut runner = Runner::new(&compiled);
    let x = || Value::from(tensor(&[1f32, 2.], &[2]));
    for trips in [3, 0, 1] {
        let outputs = run(&mut runner, &[number(trips).into(), of(&[&[9.]]), x()]).unwrap();
        let wanted = [vec![9.], vec![2., 4.], vec![4., 8.], vec![8., 16.]];
        assert_eq!(vectors(&outputs[0]), wanted[..=trips as usize]);
        // What is captured stays what it was.
        assert_eq!(outputs[2].tensor().unwrap().to_vec::<i64>().unwrap(), vec![1; trips as usize]);
    }
}

#[test]
fn what_enters_a_loop_as_nothing_may_come_out_as_something() {
    let mut sketch = Sketch::new();
    let trips = sketch.input("trips", I64, &[]);
    let x = sketch.input("x", F32, &[2]);
    let start = input_of(&mut sketch, "start", Kind::OptionalTensor);
    // Enters as an optional and goes round as a tensor; and the other way round.
    let results = sketch.looped((Some(trips), None), &[start, x], &[], &|body, _, inputs| {
        let nothing = Some((Kind::Tensor, F32));
        let has = body.op(OptionalHasElement, &[inputs[1]]);
        let tensor = body.choice(
            has,
            &[inputs[1]],
            1,
            [
                &|body, captured| {
                    let there = body.op(OptionalGetElement, &[captured[0]]);
                    vec![body.op(Unary::Neg, &[there])]
                },
                &|body, _| vec![body.constant(&[5f32], &[1])],
            ],
        );
        (None, vec![tensor[0], body.op(Optional { nothing }, &[])])
    });
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    let x = || Value::from(tensor(&[1f32, 2.], &[2]));
    let mut check = |trips, first: &[f32], second: &[f32]| {
        let outputs = run(&mut runner, &[number(trips).into(), x(), Value::Absent]).unwrap();
        let flat = |value: &Value| vectors(value).concat();
        assert_eq!(
            (flat(&outputs[0]), flat(&outputs[1])),
            (first.to_vec(), second.to_vec()),
            "{trips} trips"
        );
    };
    check(0, &[], &[1., 2.]);
    check(1, &[-1., -2.], &[]);
    check(2, &[5.], &[]);
}

#[test]
fn what_a_loop_lists_becomes_a_sequence_of_any_shapes() {
    let mut sketch = Sketch::new();
    let s = input_of(&mut sketch, "s", Kind::Sequence);
    let x = sketch.input("x", F32, &[1]);
    let length = sketch.op(SequenceLength, &[s]);
    let results = sketch.looped((Some(length), None), &[], &[s, x], &|body, trip, inputs| {
        let element = body.op(AT, &[inputs[0], trip]);
        (None, vec![body.op(Binary::Add, &[element, inputs[1]]), element])
    });
    let looped = sketch.graph.nodes[1].op.downcast::<Loop>().unwrap().clone();
    sketch.graph.nodes[1].op = std::sync::Arc::new(Loop { listed: true, ..looped });
    let compiled = compile(&sketch.model(&results));
    let mut runner = Runner::new(&compiled);
    for _ in 0..2 {
        let inputs = [of(&[&[1.], &[2., 3., 4.], &[]]), tensor(&[10f32], &[1]).into()];
        let outputs = run(&mut runner, &inputs).unwrap();
        assert_eq!(vectors(&outputs[0]), [vec![11.], vec![12., 13., 14.], vec![]]);
        assert_eq!(vectors(&outputs[1]), [vec![1.], vec![2., 3., 4.], vec![]]);
        let outputs = run(&mut runner, &[of(&[]), tensor(&[10f32], &[1]).into()]).unwrap();
        assert_eq!(vectors(&outputs[0]).len(), 0);
    }
}

#[test]
fn interrupted_runs_give_the_same_sequences() {
    let mut sketch = growing();
    let outputs = sketch.graph.outputs.clone();
    let big = sketch.input("big", F32, &[600, 700]);
    let cut = sketch.op(SplitToSequence { axis: 1, keep_dims: true }, &[big]);
    let joined = sketch.op(ConcatFromSequence { axis: 1, new_axis: false }, &[cut]);
    let compiled = compile(&sketch.model(&[outputs[0], joined]));
    let mut runner = Runner::new(&compiled);
    let big = count(&[600, 700]);
    let inputs = [number(4).into(), of(&[&[9.]]), tensor(&[1f32, 2.], &[2]).into(), big.clone().into()];
    let wanted = run(&mut runner, &inputs).unwrap();
    assert_eq!(floats(wanted[1].tensor().unwrap()), floats(&big));
    let sequence = vectors(&wanted[0]);
    assert_eq!(sequence.len(), 5);
    for look in [1, 2, 3, 5, 8, 13, 40, 200, 700] {
        let stop = StopAt::look(look);
        if let Err(failure) = runner.run_with(Slice::Unlimited, &Serial, Stop::new(&stop)) {
            assert!(is_cancelled(&failure), "{failure}");
        }
        runner.run_with(Slice::Looks(1), &Serial, Stop::never()).unwrap();
        assert!(runner.polls > 700, "{} polls", runner.polls);
        assert_eq!(vectors(&runner.io.value(Side::Output, 0).unwrap()), sequence, "after look {look}");
    }
}
