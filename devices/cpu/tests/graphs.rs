//! Whole graphs against outputs worked out by hand: what shares bytes with what, and what lives how long.

mod support;

use inferry_core::device::Device;
use inferry_core::turn::Slice as TimeSlice;
use inferry_core::{ElementType, InferErrorKind, Serial, Stop, Tensor};
use inferry_cpu::{Cpu, Isa, Options};
use inferry_engine::graph::ValueId;
use inferry_engine::op::{
    Binary, Cast, Concat, Expand, Flatten, Gather, Identity, Pad, PadMode, Reshape, ShapeOf, Slice, Split,
    Squeeze, StringConcat, Transpose, Unary, Unsqueeze, Where,
};
use support::*;

const F32: ElementType = ElementType::F32;

#[test]
fn a_chain_of_reshapes_gives_the_same_numbers() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 3, 4]);
    let to = sketch.constant(&[4i64, 6], &[2]);
    let axis = sketch.constant(&[0i64], &[1]);
    let y = sketch.op(Reshape { allow_zero: false }, &[x, to]);
    let y = sketch.op(Unsqueeze, &[y, axis]);
    let y = sketch.op(Squeeze, &[y, axis]);
    let y = sketch.op(Identity, &[y]);
    let y = sketch.op(Flatten { axis: 1 }, &[y]);
    let outputs = run(&sketch.model(&[y]), &[count(&[2, 3, 4])]);
    assert_eq!(*outputs[0].shape(), [4, 6]);
    assert_eq!(floats(&outputs[0]), floats(&count(&[24])));
}

#[test]
fn a_reshaped_value_lives_as_long_as_any_of_its_names() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 3]);
    let flat = sketch.constant(&[6i64], &[1]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let name = sketch.op(Reshape { allow_zero: false }, &[turned, flat]);
    // Something in between that would like the same bytes.
    let mut other = x;
    for _ in 0..4 {
        other = sketch.op(Transpose { perm: None }, &[other]);
    }
    let other = sketch.op(Reshape { allow_zero: false }, &[other, flat]);
    let both = sketch.op(Concat { axis: 0 }, &[name, other]);
    let outputs = run(&sketch.model(&[both]), &[count(&[2, 3])]);
    assert_eq!(floats(&outputs[0]), [0., 3., 1., 4., 2., 5., 0., 1., 2., 3., 4., 5.]);
}

#[test]
fn both_arms_of_a_diamond_see_its_top() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 2]);
    let top = sketch.op(Transpose { perm: None }, &[x]);
    let mut left = top;
    for _ in 0..3 {
        left = sketch.op(Transpose { perm: None }, &[left]);
    }
    let right = sketch.op(Concat { axis: 1 }, &[top, top]);
    let y = sketch.op(Concat { axis: 1 }, &[left, right]);
    let outputs = run(&sketch.model(&[y]), &[count(&[2, 2])]);
    assert_eq!(floats(&outputs[0]), [0., 1., 0., 2., 0., 2., 2., 3., 1., 3., 1., 3.]);
}

#[test]
fn an_output_may_be_an_intermediate_an_input_a_constant_and_twice_the_same() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 2]);
    let constant = sketch.constant(&[7f32, 8.], &[2]);
    let middle = sketch.op(Transpose { perm: None }, &[x]);
    let end = sketch.op(Concat { axis: 0 }, &[middle, middle]);
    let name = sketch.op(Identity, &[x]);
    let other_name = sketch.op(Flatten { axis: 0 }, &[end]);
    let model = sketch.model(&[middle, x, constant, end, end, name, other_name]);
    let outputs = run(&model, &[count(&[2, 2])]);
    let turned = [0., 2., 1., 3.];
    let twice = [turned, turned].concat();
    assert_eq!(floats(&outputs[0]), turned);
    assert_eq!(floats(&outputs[1]), [0., 1., 2., 3.]);
    assert_eq!(floats(&outputs[2]), [7., 8.]);
    assert_eq!(floats(&outputs[3]), twice);
    assert_eq!(floats(&outputs[4]), twice);
    assert_eq!(floats(&outputs[5]), [0., 1., 2., 3.]);
    assert_eq!(floats(&outputs[6]), twice);
    assert_eq!(*outputs[6].shape(), [1, 8]);
}

#[test]
fn two_inputs_may_be_one_tensor() {
    let mut sketch = Sketch::new();
    let a = sketch.input("a", F32, &[2]);
    let b = sketch.input("b", F32, &[2]);
    let y = sketch.op(Concat { axis: 0 }, &[a, b]);
    let x = count(&[2]);
    assert_eq!(floats(&run(&sketch.model(&[y]), &[x.clone(), x])[0]), [0., 1., 0., 1.]);
}

#[test]
fn a_node_of_several_outputs_writes_them_all_also_those_nobody_reads() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 3]);
    let parts = sketch.ops(Split { axis: 1, num_outputs: Some(3) }, &[x], 3);
    let y = sketch.op(Concat { axis: 0 }, &[parts[2], parts[0]]);
    sketch.graph.nodes[0].outputs[1] = None;
    let outputs = run(&sketch.model(&[y, parts[2]]), &[count(&[2, 3])]);
    assert_eq!(floats(&outputs[0]), [2., 5., 0., 3.]);
    assert_eq!(floats(&outputs[1]), [2., 5.]);
}

#[test]
fn what_nobody_needs_is_not_computed() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 3]);
    // Its shape is all that is asked of it, and that is known.
    let large = sketch.constant(&[1i64 << 20, 1 << 20, 2, 3], &[4]);
    let huge = sketch.op(Expand, &[x, large]);
    let shape = sketch.op(ShapeOf { start: 2, end: None }, &[huge]);
    let y = sketch.op(Cast { to: F32, saturate: true }, &[shape]);
    assert_eq!(floats(&run(&sketch.model(&[y]), &[count(&[2, 3])])[0]), [2., 3.]);
}

#[test]
fn empty_tensors_flow_through() {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", F32, &[None, Some(2)]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let y = sketch.op(Concat { axis: 1 }, &[turned, turned]);
    let compiled = compile(&sketch.model(&[y, x]));
    let mut runner = Runner::new(&compiled);
    let outputs = runner.run(&[Tensor::zeros(F32, [0, 2])]);
    assert_eq!((outputs[0].shape(), outputs[1].shape()), (&[2, 0].into(), &[0, 2].into()));
    assert_eq!(floats(&runner.run(&[count(&[1, 2])])[0]), [0., 0., 1., 1.]);
}

#[test]
fn regions_are_read_and_written_where_they_lie() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 3]);
    let y = sketch.op(Transpose { perm: None }, &[x]);
    let compiled = compile(&sketch.model(&[y, x]));
    let mut runner = Runner::new(&compiled);
    let picture = count(&[4, 5]);
    let canvas = Tensor::zeros(F32, [4, 4]);
    runner.set_output(0, canvas.region(&[1..4, 1..3]).unwrap());
    runner.run(&[picture.region(&[1..3, 2..5]).unwrap()]);
    assert_eq!(floats(&runner.outputs()[0]), [7., 12., 8., 13., 9., 14.]);
    assert_eq!(floats(&runner.outputs()[1]), [7., 8., 9., 12., 13., 14.]);
    let around = [0., 0., 0., 0., 0., 7., 12., 0., 0., 8., 13., 0., 0., 9., 14., 0.];
    assert_eq!(floats(&canvas), around);
}

#[test]
fn shapes_may_change_from_run_to_run_and_back() {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", F32, &[None, None]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let flat = sketch.constant(&[-1i64], &[1]);
    let y = sketch.op(Reshape { allow_zero: false }, &[turned, flat]);
    let compiled = compile(&sketch.model(&[y]));
    let mut first = Runner::new(&compiled);
    let mut second = Runner::new(&compiled);
    for _ in 0..3 {
        assert_eq!(floats(&first.run(&[count(&[2, 2])])[0]), [0., 2., 1., 3.]);
        assert_eq!(floats(&first.run(&[count(&[2, 3])])[0]), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(floats(&second.run(&[count(&[3, 1])])[0]), [0., 1., 2.]);
        assert_eq!(*first.outputs()[0].shape(), [6]);
    }
}

#[test]
fn a_value_that_decides_a_shape_may_come_with_the_run() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 3]);
    let to = sketch.input("to", ElementType::I64, &[2]);
    let shaped = sketch.op(Reshape { allow_zero: false }, &[x, to]);
    let turned = sketch.op(Transpose { perm: None }, &[shaped]);
    let start = sketch.constant(&[0i64], &[1]);
    let end = sketch.constant(&[1i64], &[1]);
    let first = sketch.op(Slice, &[turned, start, end]);
    let flat = sketch.constant(&[-1i64], &[1]);
    let y = sketch.op(Reshape { allow_zero: false }, &[turned, flat]);
    let compiled = compile(&sketch.model(&[turned, first, y]));
    let mut runner = Runner::new(&compiled);
    for _ in 0..2 {
        let outputs = runner.run(&[count(&[2, 3]), tensor(&[3i64, 2], &[2])]);
        assert_eq!(*outputs[0].shape(), [2, 3]);
        assert_eq!(floats(&outputs[0]), [0., 2., 4., 1., 3., 5.]);
        assert_eq!(floats(&outputs[1]), [0., 2., 4.]);
        assert_eq!(floats(&outputs[2]), [0., 2., 4., 1., 3., 5.]);
        let outputs = runner.run(&[count(&[2, 3]), tensor(&[-1i64, 1], &[2])]);
        assert_eq!(*outputs[0].shape(), [1, 6]);
        assert_eq!(*outputs[1].shape(), [1, 6]);
        assert_eq!(floats(&outputs[2]), [0., 1., 2., 3., 4., 5.]);
    }
}

#[test]
fn an_error_of_a_run_names_the_node_and_its_inputs() {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", F32, &[None]);
    let to = sketch.constant(&[2i64, 2], &[2]);
    let y = sketch.op(Reshape { allow_zero: false }, &[x, to]);
    sketch.graph.nodes[0].name = "fold".into();
    let compiled = compile(&sketch.model(&[y]));
    let mut runner = Runner::new(&compiled);
    runner.set(0, count(&[5]));
    let failure = runner
        .run_with(inferry_core::Slice::Unlimited, &inferry_core::Serial, inferry_core::Stop::never())
        .unwrap_err();
    let text = chain(&failure);
    assert!(text.contains("fold") && text.contains("f32[5]"), "{text}");
    // The work is as good as new.
    assert_eq!(floats(&runner.run(&[count(&[4])])[0]), [0., 1., 2., 3.]);
}

#[test]
fn memory_that_was_given_back_is_taken_again() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[2, 2]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let y = sketch.op(Concat { axis: 0 }, &[turned, turned]);
    let compiled = compile(&sketch.model(&[y]));
    let mut runner = Runner::new(&compiled);
    for _ in 0..2 {
        assert_eq!(floats(&runner.run(&[count(&[2, 2])])[0]), [0., 2., 1., 3., 0., 2., 1., 3.]);
        runner.work.release_memory();
    }
}

#[test]
fn an_axis_that_no_memory_could_hold_is_an_error() {
    // Also for kernels that keep tables as long as an axis.
    for mode in [PadMode::Constant, PadMode::Edge] {
        let mut sketch = Sketch::new();
        let x = sketch.input("x", F32, &[1]);
        let pads = sketch.constant(&[0i64, 1 << 50], &[2]);
        let y = sketch.op(Pad { mode }, &[x, pads]);
        let error = Cpu::new(Isa::portable()).compile(&sketch.model(&[y]), &Options::default()).err();
        let text = chain(&error.expect("there is no such memory"));
        assert!(text.contains("no memory for") && text.contains("Pad"), "{text}");
    }
}

/// A constant of strings.
fn words(sketch: &mut Sketch, words: &[&str]) -> ValueId {
    let tensor = Tensor::from_strings(words, [words.len()]).unwrap();
    sketch.graph.add_constant("", tensor)
}

fn spelled(tensor: &Tensor) -> Vec<String> {
    tensor.strings().unwrap().iter().map(String::from).collect()
}

#[test]
fn strings_move_through_a_graph_like_numbers() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::String, &[2, 3]);
    let suffix = words(&mut sketch, &["!", "?"]);
    let turned = sketch.op(Transpose { perm: None }, &[x]);
    let said = sketch.op(StringConcat, &[turned, suffix]);
    let axis = sketch.constant(&[0i64], &[1]);
    let wider = sketch.op(Unsqueeze, &[said, axis]);
    let flat = sketch.op(Flatten { axis: 0 }, &[wider]);
    let index = sketch.constant(&[5i64, 0], &[2]);
    let picked = sketch.op(Gather { axis: 1 }, &[flat, index]);
    let equal = sketch.op(Binary::Equal, &[picked, picked]);
    let chosen = sketch.op(Where, &[equal, picked, suffix]);
    let input = Tensor::from_strings(&["a", "b", "c", "d", "", "f"], [2, 3]).unwrap();
    let outputs = run(&sketch.model(&[said, chosen, x, suffix]), &[input]);
    assert_eq!(spelled(&outputs[0]), ["a!", "d?", "b!", "?", "c!", "f?"]);
    assert_eq!((spelled(&outputs[1]), outputs[1].shape().len()), (vec!["f?".into(), "a!".into()], 2));
    assert_eq!(spelled(&outputs[2]), ["a", "b", "c", "d", "", "f"]);
    assert_eq!(spelled(&outputs[3]), ["!", "?"]);
}

#[test]
fn strings_go_into_branches_and_come_out() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::String, &[2]);
    let condition = sketch.input("condition", ElementType::Bool, &[]);
    let chosen = sketch.choice(
        condition,
        &[x],
        1,
        [&|body, captured| vec![body.op(StringConcat, &[captured[0], captured[0]])], &|body, _| {
            let long = words(body, &["only in here", "", "x"]);
            vec![body.op(Identity, &[long])]
        }],
    );
    let compiled = compile(&sketch.model(&chosen));
    let mut runner = Runner::new(&compiled);
    let input = Tensor::from_strings(&["ab", "c"], [2]).unwrap();
    for _ in 0..2 {
        let outputs = runner.run(&[input.clone(), tensor(&[true], &[])]);
        assert_eq!(spelled(&outputs[0]), ["abab", "cc"]);
        let outputs = runner.run(&[input.clone(), tensor(&[false], &[])]);
        assert_eq!(spelled(&outputs[0]), ["only in here", "", "x"]);
    }
}

#[test]
fn a_region_of_strings_is_read_and_written_where_it_lies() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::String, &[2, 2]);
    let y = sketch.op(Transpose { perm: None }, &[x]);
    let mut runner = Runner::new(&compile(&sketch.model(&[y])));
    let whole: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let source = Tensor::from_strings(&whole, [3, 3]).unwrap();
    let target = Tensor::from_strings(&["old"; 9], [3, 3]).unwrap();
    runner.set_output(0, target.region(&[0..2, 1..3]).unwrap());
    runner.run(&[source.region(&[1..3, 0..2]).unwrap()]);
    assert_eq!(spelled(&target), ["old", "3", "6", "old", "4", "7", "old", "old", "old"]);
}

#[test]
fn many_strings_are_moved_in_pieces() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::String, &[20_000]);
    let y = sketch.op(StringConcat, &[x, x]);
    let mut runner = Runner::new(&compile(&sketch.model(&[y])));
    let strings: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    runner.set(0, Tensor::from_strings(&strings, [20_000]).unwrap());
    runner.run_with(TimeSlice::Looks(1), &Serial, Stop::never()).unwrap();
    assert!(runner.polls > 6, "{} polls", runner.polls);
    let made = spelled(&runner.outputs()[0]);
    assert!(made.iter().zip(&strings).all(|(made, n)| *made == format!("{n}{n}")));
    for look in 1..6 {
        let stop = StopAt::look(look);
        let failure = runner.run_with(TimeSlice::Unlimited, &Serial, Stop::new(&stop)).unwrap_err();
        assert!(is_cancelled(&failure));
    }
}

#[test]
fn a_text_that_is_no_number_ends_the_run_with_its_node() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", ElementType::String, &[2]);
    let y = sketch.op(Cast { to: F32, saturate: true }, &[x]);
    let mut runner = Runner::new(&compile(&sketch.model(&[y])));
    runner.set(0, Tensor::from_strings(&["1", "one"], [2]).unwrap());
    let failure = runner.run_with(TimeSlice::Unlimited, &Serial, Stop::never()).unwrap_err();
    assert_eq!(chain(&failure), "operator at node \"Cast #0\": \"one\" is no f32");
    let outputs = runner.run(&[Tensor::from_strings(&["1", "-2"], [2]).unwrap()]);
    assert_eq!(floats(&outputs[0]), [1.0, -2.0]);
}

#[test]
fn strings_that_nothing_reads_are_no_obstacle() {
    let mut sketch = Sketch::new();
    sketch.input("words", ElementType::String, &[2]);
    let x = sketch.input("x", ElementType::F32, &[2]);
    let y = sketch.op(Unary::Neg, &[x]);
    let words = Tensor::from_strings(&["a", "b"], [2]).unwrap();
    let outputs = run(&sketch.model(&[y]), &[words, tensor(&[1f32, -2.0], &[2])]);
    assert_eq!(floats(&outputs[0]), [-1.0, 2.0]);
}

#[test]
fn an_index_out_of_range_ends_the_run_with_its_node_and_the_next_run_is_sound() {
    let mut sketch = Sketch::new();
    let x = sketch.input("x", F32, &[3]);
    let index = sketch.input("index", ElementType::I64, &[2]);
    let y = sketch.op(Gather { axis: 0 }, &[x, index]);
    let y = sketch.op(Unary::Neg, &[y]);
    let mut runner = Runner::new(&compile(&sketch.model(&[y])));
    runner.set(0, count(&[3]));
    for (index, wanted) in [([0, 3], None), ([2, -3], Some([-2.0, -0.0]))] {
        runner.set(1, tensor::<i64>(&index, &[2]));
        let outcome = runner.run_with(TimeSlice::Unlimited, &Serial, Stop::never());
        match wanted {
            Some(numbers) => assert_eq!(floats(&outcome.map(|_| runner.outputs()).unwrap()[0]), numbers),
            None => {
                let failure = outcome.unwrap_err();
                assert_eq!(failure.kind(), InferErrorKind::Operator);
                let told = "operator at node \"Gather #0\": index 3 of input 1 lies outside of 3 elements";
                assert_eq!(chain(&failure), told);
            }
        }
    }
}

#[test]
fn memory_that_a_run_cannot_have_is_told_apart_from_a_wrong_model() {
    let mut sketch = Sketch::new();
    let x = sketch.open_input("x", F32, &[None]);
    let pads = sketch.constant(&[0i64, 1 << 50], &[2]);
    let y = sketch.op(Pad { mode: PadMode::Edge }, &[x, pads]);
    let mut runner = Runner::new(&compile(&sketch.model(&[y])));
    runner.set(0, count(&[1]));
    let failure = runner.run_with(TimeSlice::Unlimited, &Serial, Stop::never()).unwrap_err();
    assert_eq!(failure.kind(), InferErrorKind::OutOfMemory, "{}", chain(&failure));
}
