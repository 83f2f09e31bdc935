//! Requests of several stages on several executors.

use inferry_core::InferErrorKind;
use inferry_template::{Chip, Form, Gate, Graph, Op};

use crate::world::{Log, World, give_way, numbers, values};

/// The three stages of a device that answers later give the result, parked or blocking.
pub async fn three_stages_give_the_result(world: &impl World) {
    let graph = Graph::new([Op::Add(1.0)]).before([Op::Add(10.0)]).after([Op::Add(100.0)]);
    for form in [Form::OneStage, Form::Parked, Form::Blocking] {
        let mut request = world.compile(&graph, form, &world.chip("adder")).request();
        for value in [1.0, 2.0] {
            request.set_input(0, values(value)).unwrap();
            let outputs = request.start().unwrap().await.unwrap();
            assert_eq!(numbers(outputs.get(0).unwrap()), [value + 111.0, 111.0 - value], "{form:?}");
        }
    }
}

/// After a stage that fails no other runs, and the callback and the waiter get its error.
pub async fn a_failing_stage_skips_the_rest(world: &impl World) {
    let never = Gate::closed();
    let graph = Graph::new([Op::Fail("the chip is on fire")]).after([Op::Park(never.clone())]);
    let mut request = world.compile(&graph, Form::Parked, &world.chip("hot")).request();
    let seen = Log::default();
    let log = seen.clone();
    request
        .set_callback(move |done| {
            log.push(done.error().and_then(|error| error.stage()));
            Ok(Default::default())
        })
        .unwrap();
    let error = request.start().unwrap().await.unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Device);
    assert!(error.full_text().contains("the chip is on fire"), "{error:?}");
    assert_eq!(seen.entries(), [Some((1, "wait"))]);
    assert_eq!(never.arrivals(), 0);
}

/// While the chip is busy with one request, another is prepared. With a parked wait one executor is enough.
pub async fn one_request_is_prepared_while_another_waits(world: &impl World) {
    let form = if world.is_inline() { Form::Parked } else { Form::Blocking };
    for form in [Form::Parked, form] {
        let chip = Chip::by_hand("pipelined");
        let prepared = Gate::closed();
        let graph = Graph::new([Op::Add(1.0)]).before([Op::Park(prepared.clone())]);
        let model = world.compile(&graph, form, &chip);
        let (mut first, mut second) = (model.request(), model.request());
        let first = first.start().unwrap();
        prepared.let_one_pass();
        while chip.waiting() < 1 {
            give_way().await;
        }
        // The first waits for the chip, which does nothing yet; the second gets through its first stage.
        let second = second.start().unwrap();
        prepared.let_one_pass();
        while chip.waiting() < 2 {
            give_way().await;
        }
        assert!(chip.step() && chip.step());
        first.await.unwrap();
        second.await.unwrap();
    }
}

/// A run that is cancelled while its job is on the chip ends at once, and its answer reaches no later run.
pub async fn an_answer_that_comes_too_late_is_ignored(world: &impl World) {
    let chip = Chip::by_hand("late");
    let mut request = world.compile(&Graph::new([Op::Add(1.0)]), Form::Parked, &chip).request();
    request.set_input(0, values(1.0)).unwrap();
    let run = request.start().unwrap();
    while chip.waiting() == 0 {
        give_way().await;
    }
    assert!(run.cancel());
    assert_eq!(run.await.unwrap_err().kind(), InferErrorKind::Cancelled);
    // Also when the run ended between the stage that submits the job and the one that waits for it.
    assert_eq!(chip.waiting(), 0, "the chip has been told");
    request.set_input(0, values(5.0)).unwrap();
    let run = request.start().unwrap();
    while !chip.step() {
        give_way().await;
    }
    assert_eq!(numbers(run.await.unwrap().get(0).unwrap()), [6.0, -4.0]);
}
