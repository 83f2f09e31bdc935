//! Requests after requests: an output that is the next one's input.

use std::slice;

use inferry_core::{InferErrorKind, Lend, Tensor};
use inferry_template::{Form, Gate, Graph, Op};

use crate::world::{World, numbers, values};

fn graphs(len: Option<usize>) -> [Graph; 3] {
    let graph = |op| Graph { len, ..Graph::new(op) };
    [graph(vec![Op::Add(1.0)]), graph(vec![Op::Add(10.0)]), graph(vec![Op::Add(1.0), Op::Add(10.0)])]
}

/// Two requests that share a tensor compute what one model of both computes, whichever of them was given the other's, and
/// whether or not their shapes are known.
pub async fn two_in_a_row_are_as_one(world: &impl World) {
    for (first_len, second_len) in [(Some(2), Some(2)), (Some(2), None), (None, None)] {
        for the_output_is_given in [true, false] {
            let ([first, _, whole], [_, second, _]) = (graphs(first_len), graphs(second_len));
            let [mut first, mut second, mut whole] =
                [first, second, whole].map(|graph| world.request(&graph));
            if the_output_is_given || second_len.is_none() {
                // A dynamic output is another tensor after the run, so it is handed on after it.
                first.set_output(0, values(0.0)).unwrap();
                second.set_input(0, first.output(0).unwrap().clone()).unwrap();
            } else {
                first.set_output(0, second.input(0).unwrap().clone()).unwrap();
            }
            first.set_input(0, values(5.0)).unwrap();
            whole.set_input(0, values(5.0)).unwrap();
            first.start().unwrap().await.unwrap();
            let chained = numbers(second.start().unwrap().await.unwrap().get(0).unwrap());
            assert_eq!(chained, numbers(whole.start().unwrap().await.unwrap().get(0).unwrap()));
            assert_eq!(chained, [16.0, 6.0]);
        }
    }
}

/// The input of the second bound as the output of the first: nothing is copied in between.
pub async fn an_input_may_be_the_others_output(world: &impl World) {
    let [first, second, _] = graphs(Some(2));
    let (mut first, mut second) = (world.request(&first), world.request(&second));
    first.set_output(0, second.input(0).unwrap().clone()).unwrap();
    first.start().unwrap().await.unwrap();
    assert!(first.output(0).unwrap().shares_storage(second.input(0).unwrap()));
    assert_eq!(numbers(second.start().unwrap().await.unwrap().get(0).unwrap()), [11.0, 11.0]);
}

/// While the second reads what the first wrote, the first cannot write it again: a hazard that is an error here.
pub async fn a_tensor_that_is_read_is_not_overwritten(world: &impl World) {
    let gate = Gate::closed();
    let mut first = world.request(&Graph::new([Op::Add(1.0)]));
    let mut second = world.request(&Graph::new([Op::Park(gate.clone()), Op::Add(10.0)]));
    second.set_input(0, first.output(0).unwrap().clone()).unwrap();
    first.start().unwrap().await.unwrap();
    let run = second.start().unwrap();
    gate.arrived(1).await;
    let error = first.start().unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::InUse);
    assert!(error.to_string().contains("y0"), "{error}");
    gate.open();
    run.await.unwrap();
    // One after the other, the second sees what the first wrote last.
    first.set_input(0, values(3.0)).unwrap();
    first.start().unwrap().await.unwrap();
    assert_eq!(numbers(second.start().unwrap().await.unwrap().get(0).unwrap()), [14.0, 8.0]);
}

/// An output that is fed back as the next input, ten times, from one that has no elements.
pub async fn an_output_is_fed_back_and_grows(world: &impl World) {
    let mut request = world.request(&Graph { len: None, ..Graph::new([Op::Add(1.0)]) });
    let mut state: Vec<f32> = Vec::new();
    for step in 0..10 {
        let fed_back =
            if step == 0 { request.output(0).unwrap().clone() } else { request.take_output(0).unwrap() };
        assert_eq!(numbers(&fed_back), state);
        // One longer than what came out, with room made in a tensor of its own.
        let grown = Tensor::from_slice(&[state.clone(), vec![0.0]].concat(), [step + 1]).unwrap();
        if step > 0 {
            let mut head = grown.region(slice::from_ref(&(0..step))).unwrap();
            fed_back.copy_to(&mut head).unwrap();
        }
        request.set_input(0, grown).unwrap();
        let outputs = request.infer(Lend::SERIAL).await.unwrap();
        state = state.iter().chain(&[0.0]).map(|value| value + 1.0).collect();
        assert_eq!(numbers(outputs.get(0).unwrap()), state);
    }
    assert_eq!(state, (1..=10_u8).rev().map(f32::from).collect::<Vec<_>>());
}

/// What one model gives is what another takes, as owned tensors.
pub async fn results_are_given_on(world: &impl World) {
    let [first, second, _] = graphs(Some(2));
    let (mut first, mut second) = (world.request(&first), world.request(&second));
    let result = first.start().unwrap().await.unwrap().take(0).unwrap();
    second.set_input(0, result).unwrap();
    assert_eq!(numbers(second.start().unwrap().await.unwrap().get(0).unwrap()), [11.0, 11.0]);
}

/// Several models, requests and inputs: each run gives what it should, run by run.
pub async fn every_run_is_right_one_by_one(world: &impl World) {
    for form in [Form::OneStage, Form::Parked, Form::Blocking] {
        for add in [1.0, 20.0] {
            let graph = Graph::new([Op::Add(add)]).before([Op::Yield, Op::Add(0.5)]);
            let model = world.compile(&graph, form, &world.chip("consistent"));
            let mut requests = [model.request(), model.request()];
            for value in [1.0, 2.0, 3.0] {
                for request in &mut requests {
                    request.set_input(0, values(value)).unwrap();
                    let outputs = request.start().unwrap().await.unwrap();
                    assert_eq!(numbers(outputs.get(0).unwrap()), [value + add + 0.5, add + 0.5 - value]);
                }
            }
        }
    }
}

/// And all at the same time.
pub async fn every_run_is_right_all_at_once(world: &impl World) {
    let graph = Graph::new([Op::Add(1.0)]).before([Op::Yield, Op::Add(0.5)]);
    let model = world.compile(&graph, Form::Parked, &world.chip("consistent"));
    let mut requests: Vec<_> = (0..5).map(|_| model.request()).collect();
    for round in 0..3_u8 {
        let mut runs = Vec::new();
        for (index, request) in requests.iter_mut().enumerate() {
            let value = f32::from(round) * 10.0 + index as f32;
            request.set_input(0, values(value)).unwrap();
            runs.push((value, request.start().unwrap()));
        }
        for (value, run) in runs {
            assert_eq!(numbers(run.await.unwrap().get(0).unwrap()), [value + 1.5, 1.5 - value]);
        }
    }
}
