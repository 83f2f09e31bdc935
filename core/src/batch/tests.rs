//! What can go wrong between two buses, and with one: on one thread, with executors and a clock that the tests drive. The
//! protocol in virtual time is tested with the behaviours.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::Mutex;

use super::{Batching, batched};
use crate::clock::{Clock, Timer};
use crate::device::CompiledModel;
use crate::executor::Lend;
use crate::pipeline::Pipeline;
use crate::request::testing::{Act, ByHand, Script};
use crate::request::{InferErrorKind, Request, Status, Verdict};
use crate::tensor::Tensor;

type Event = Box<dyn FnOnce() + Send>;

/// A clock that stands still; whoever asks it does first what the test has put into its list.
#[derive(Default)]
struct Asked(Mutex<VecDeque<Option<Event>>>);

impl Clock for Asked {
    fn now(&self) -> u64 {
        let act = self.0.lock().unwrap().pop_front().flatten();
        act.into_iter().for_each(|act| act());
        0
    }
}

impl Timer for Asked {
    fn wake_at(&self, _: u64, _: Waker) -> u64 {
        0
    }

    fn forget(&self, _: u64) {}
}

/// `Script` has ports of two values: a batch of two.
struct Set {
    script: Arc<Script>,
    executor: Arc<ByHand>,
    timer: Arc<Asked>,
    model: Arc<dyn CompiledModel>,
    pipeline: Arc<Pipeline>,
}

impl Set {
    fn new(buses: usize) -> Set {
        let (script, executor) = (Script::new(1), Arc::new(ByHand::default()));
        let timer = Arc::new(Asked::default());
        let pipeline = Arc::new(Pipeline::by_kind(&*script, |_| executor.clone()));
        let batching = Batching { size: 2, limit: Duration::from_secs(1) };
        let model: Arc<dyn CompiledModel> = script.clone();
        let (model, pipeline) = batched(&model, &pipeline, buses, batching, timer.clone()).unwrap();
        executor.drain();
        Set { script, executor, timer, model, pipeline: Arc::new(pipeline) }
    }

    fn started(&self, count: u8) -> Vec<Request> {
        let start = |number: u8| {
            let mut request = Request::new(self.model.clone(), self.pipeline.clone()).unwrap();
            request.set_input(0, Tensor::from_slice(&[f32::from(number)], [1]).unwrap()).unwrap();
            request.start().unwrap().detach();
            request
        };
        (0..count).map(start).collect()
    }
}

#[test]
fn of_two_buses_none_leaves_with_the_passengers_of_the_other() {
    // Another bus comes by at any moment of the boarding of the first: whenever somebody asks for the time.
    for moment in 0..8 {
        let set = Set::new(2);
        let requests = set.started(4);
        let other = set.executor.clone();
        let comes: Event = Box::new(move || assert!(other.step() || moment > 0));
        set.timer.0.lock().unwrap().extend((0..moment).map(|_| None).chain([Some(comes)]));
        set.executor.drain();
        for (number, request) in (0_u8..).zip(&requests) {
            assert_eq!(request.status(), Status::Settled(Verdict::Done), "request {number}, moment {moment}");
            let value = request.output(0).unwrap().to_vec::<f32>().unwrap();
            assert_eq!(value, [f32::from(number) + 1.0]);
        }
        assert_eq!(set.script.polls().len(), 2, "two full batches");
    }
}

#[test]
fn when_the_last_bus_is_out_of_service_everybody_is_told() {
    let set = Set::new(1);
    let mut requests = set.started(2);
    // The bus was woken, and its executor forgets it.
    set.executor.shut_down();
    for request in &requests {
        assert_eq!(request.status(), Status::Settled(Verdict::Abandoned));
    }
    assert_eq!(requests[0].start().unwrap_err().kind(), InferErrorKind::Abandoned);
    let infer = core::pin::pin!(requests[1].infer(Lend::SERIAL));
    let Poll::Ready(ended) = core::future::Future::poll(infer, &mut Context::from_waker(Waker::noop()))
    else {
        panic!("it would wait for ever")
    };
    assert_eq!(ended.map(drop).unwrap_err().kind(), InferErrorKind::Device);
}

#[test]
fn a_bus_that_is_lost_on_the_way_tells_its_passengers() {
    let set = Set::new(1);
    set.script.then(Act::Park);
    let requests = set.started(2);
    // Boards, and computes until it parks.
    set.executor.step();
    set.executor.step();
    set.script.wake();
    // The run of the batch is lost, which wakes the bus, and then the bus is.
    set.executor.shut_down();
    set.executor.shut_down();
    assert_eq!(set.executor.len(), 0);
    for request in &requests {
        let outcome = request.observer().latest().unwrap();
        assert_eq!(outcome.error.unwrap().kind(), InferErrorKind::Abandoned);
    }
}
