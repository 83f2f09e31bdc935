//! Panics in stages and callbacks: they end their run and nothing else.

use inferry_core::InferErrorKind;
use inferry_core::request::Next;
use inferry_template::{Graph, Op};

use crate::world::{World, numbers, values};

/// A panic in a stage is the error of its run, and the executor goes on.
pub async fn a_panic_in_a_stage_ends_its_run_only(world: &impl World) {
    let mut broken = world.request(&Graph::new([Op::Panic("the stage has bugs")]));
    for _ in 0..2 {
        let error = broken.start().unwrap().await.unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::Panicked);
        assert!(error.to_string().contains("the stage has bugs"), "{error}");
        assert_eq!(error.stage(), Some((0, "infer")));
    }
    let mut sound = world.request(&Graph::new([Op::Add(1.0)]));
    sound.set_input(0, values(1.0)).unwrap();
    assert_eq!(numbers(sound.start().unwrap().await.unwrap().get(0).unwrap()), [2.0, 0.0]);
}

/// A panic in the callback is the error of its run, too.
pub async fn a_panic_in_the_callback_ends_its_run_only(world: &impl World) {
    let mut request = world.request(&Graph::new([Op::Add(1.0)]));
    let mut calls = 0;
    request
        .set_callback(move |_| {
            calls += 1;
            assert_ne!(calls, 1, "the callback has bugs");
            Ok(Next::Rest)
        })
        .unwrap();
    let error = request.start().unwrap().await.unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Panicked);
    assert!(error.to_string().contains("the callback has bugs"), "{error}");
    request.start().unwrap().await.unwrap();
}
