//! Requests that share batches, in virtual time: who goes with whom, when, and what one's leaving means for the others.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use inferry_core::batch::Batching;
use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure, InferErrorKind, PrepareError, Status};
use inferry_core::{
    CompiledModel, Dim, ElementType, Kind, PartialShape, Port, Request, Tensor, Turn, Verdict, Work,
};
use inferry_template::{Chip, Form, Gate, Graph, Op};

use crate::sim::Sim;
use crate::world::{Log, Model, World, give_way, numbers};

const LIMIT: Duration = Duration::from_millis(10);

/// A model of rows of two values, which it adds up; writes down how many rows each run has, and fails when a sum is
/// negative.
struct Sums {
    inputs: [Port; 1],
    outputs: [Port; 1],
    rows: Log<usize>,
}

struct SumsWork(Log<usize>);

impl Sums {
    fn new(batch: Dim) -> (Arc<Sums>, Log<usize>) {
        let port = |side, name: &str, dims: &[Dim]| Port {
            side,
            index: 0,
            name: name.into(),
            kind: Kind::Tensor,
            element: ElementType::F32,
            shape: PartialShape::new(dims).expect("two dimensions"),
        };
        let rows = Log::default();
        let inputs = [port(Side::Input, "x", &[batch, Dim::Fixed(2)])];
        let outputs = [port(Side::Output, "sum", &[batch, Dim::Fixed(1)])];
        (Arc::new(Sums { inputs, outputs, rows: rows.clone() }), rows)
    }
}

impl CompiledModel for Sums {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(SumsWork(self.rows.clone())))
    }
}

impl Work for SumsWork {
    fn poll_stage(
        &mut self,
        _: usize,
        io: &mut Bindings,
        _: &Turn<'_>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let (inputs, outputs) = io.split();
        let rows = inputs[0].tensor().shape()[0];
        self.0.push(rows);
        outputs[0].set_shape(&[rows, 1].into()).map_err(Failure::device)?;
        let pairs = inputs[0].bytes().chunks_exact(8);
        for (sum, pair) in outputs[0].bytes_mut().chunks_exact_mut(4).zip(pairs).take(rows) {
            let value = |at: usize| f32::from_ne_bytes(pair[at..at + 4].try_into().expect("four bytes"));
            if value(0) + value(4) < 0.0 {
                return Poll::Ready(Err(Failure::operator("a negative sum")));
            }
            sum.copy_from_slice(&(value(0) + value(4)).to_ne_bytes());
        }
        Poll::Ready(Ok(()))
    }
}

fn of(size: usize) -> Batching {
    Batching { size, limit: LIMIT }
}

/// One bus or two, by the seed.
fn buses(sim: &Sim) -> usize {
    1 + (sim.seed() / 3) as usize % 2
}

/// Batches of `size` of one value each, computed by these operators.
fn template(sim: &Sim, size: usize, buses: usize, ops: impl Into<Vec<Op>>) -> Model {
    let graph = Graph { len: Some(size), ..Graph::new(ops) };
    let model = sim.compile(&graph, Form::OneStage, &Chip::by_hand("none"));
    sim.batched(&model, buses, of(size))
}

/// Requests, whose inputs are 0, 1, 2, ….
fn requests(model: &Model, count: u8) -> Vec<Request> {
    let request = |number: u8| {
        let mut request = model.request();
        request.set_input(0, Tensor::from_slice(&[f32::from(number)], [1]).unwrap()).unwrap();
        request
    };
    (0..count).map(request).collect()
}

fn value(request: &Request) -> f32 {
    numbers(request.output(0).unwrap())[0]
}

/// A full batch starts at once: no time passes, however long the limit is, and each gets its own row.
pub async fn a_full_batch_leaves_at_once(sim: &Sim) {
    let (model, rows) = Sums::new(Dim::Fixed(3));
    let batching = Batching { size: 3, limit: Duration::from_secs(3600) };
    let model = sim.batched(&sim.place("batch", model), buses(sim), batching);
    let mut requests = [(); 6].map(|()| model.request());
    for round in 0..3_u8 {
        for (number, request) in (0_u8..).zip(&mut requests) {
            let row = Tensor::from_slice(&[f32::from(number), f32::from(round)], [1, 2]).unwrap();
            request.set_input("x", row).unwrap();
        }
        let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
        for (number, run) in (0_u8..).zip(runs) {
            let sum = numbers(run.await.unwrap().get(0).unwrap());
            assert_eq!(sum, [f32::from(number) + f32::from(round)]);
        }
    }
    assert_eq!(sim.now(), Duration::ZERO);
    assert_eq!(rows.entries(), [3; 6]);
}

/// What is not full leaves when its first has waited for the limit, whoever came later.
pub async fn a_partial_batch_leaves_when_its_first_has_waited_long_enough(sim: &Sim) {
    let model = template(sim, 4, buses(sim), [Op::Add(1.0)]);
    let mut requests = requests(&model, 3);
    for round in 1..=3 {
        let begun = sim.now();
        let [first, second, third] = &mut requests[..] else { unreachable!() };
        let one = first.start().unwrap();
        sim.until(begun + LIMIT / 4).await;
        let other = second.start().unwrap();
        sim.until(begun + LIMIT / 2).await;
        let last = third.start().unwrap();
        for run in [one, other, last] {
            run.await.unwrap();
            assert_eq!(sim.now() - begun, LIMIT, "round {round}");
        }
        assert_eq!([0, 1, 2].map(|number| value(&requests[number])), [1.0, 2.0, 3.0]);
    }
}

/// A model that takes any number of rows computes as many as there are passengers; a fixed one computes empty seats, too.
pub async fn a_batch_that_is_not_fixed_is_as_long_as_its_passengers(sim: &Sim) {
    for (batch, expected) in
        [(Dim::Any, [2, 4, 1]), (Dim::Between(1, 4), [2, 4, 1]), (Dim::Fixed(4), [4, 4, 4])]
    {
        let (model, rows) = Sums::new(batch);
        let model = sim.batched(&sim.place("batch", model), 1, of(4));
        assert_eq!(model.device.inputs()[0].shape.to_string(), "[1, 2]");
        for passengers in [2_u8, 4, 1] {
            let mut requests: Vec<_> = (0..passengers).map(|_| model.request()).collect();
            for (number, request) in (0_u8..).zip(&mut requests) {
                let row = Tensor::from_slice(&[f32::from(number), 0.5], [1, 2]).unwrap();
                request.set_input(0, row).unwrap();
            }
            let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
            for (number, run) in (0_u8..).zip(runs) {
                assert_eq!(numbers(run.await.unwrap().get(0).unwrap()), [f32::from(number) + 0.5]);
            }
        }
        assert_eq!(rows.entries(), expected, "{batch:?}");
    }
}

/// One passenger is cancelled at any moment: while it waits, on the way, or too late. It ends so at once, the others get
/// what they would have got, and it can travel again.
pub async fn who_gets_off_disturbs_nobody(sim: &Sim) {
    let model = template(sim, 3, buses(sim), [Op::Sleep(LIMIT / 2), Op::Add(1.0)]);
    let count = 2 + (sim.seed() % 2) as u8;
    let mut requests = requests(&model, count);
    let leaves = (sim.seed() / 2) as usize % usize::from(count);
    let mut runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    let moment = sim.now() + LIMIT / 8 * (sim.seed() % 14) as u32;
    sim.until(moment).await;
    let leaver = runs.remove(leaves);
    let granted = leaver.cancel();
    let ended = leaver.await.map(drop).map_err(|error| error.kind());
    assert_eq!(granted, ended == Err(InferErrorKind::Cancelled), "{ended:?}");
    for run in runs {
        run.await.unwrap();
    }
    assert!(sim.now() <= LIMIT / 2 * 3 || moment > LIMIT / 2 * 3, "nobody waited longer for it");
    requests[leaves].start().unwrap().await.unwrap();
    for (number, request) in (0_u8..).zip(&requests) {
        assert_eq!(value(request), f32::from(number) + 1.0);
    }
}

/// As before, with a request that is dropped.
pub async fn who_is_dropped_disturbs_nobody(sim: &Sim) {
    let model = template(sim, 3, buses(sim), [Op::Sleep(LIMIT / 2), Op::Add(1.0)]);
    let count = 2 + (sim.seed() % 2) as u8;
    let mut requests = requests(&model, count);
    let leaves = (sim.seed() / 2) as usize % usize::from(count);
    requests.iter_mut().for_each(|request| request.start().unwrap().detach());
    sim.until(LIMIT / 8 * (sim.seed() % 14) as u32).await;
    drop(requests.remove(leaves));
    for request in &mut requests {
        assert_eq!(request.quiet().await, Some(Verdict::Done));
    }
    let numbers = (0..count).filter(|number| usize::from(*number) != leaves);
    for (number, request) in numbers.zip(&requests) {
        assert_eq!(value(request), f32::from(number) + 1.0);
    }
    // All of it goes with the last handle, the bus that waits included.
    let kept = Arc::downgrade(&model.device);
    drop((model, requests));
    while kept.strong_count() > 0 {
        give_way().await;
    }
}

/// What fails in the batch fails for all who are aboard, with the device's words; who travels with the next is not concerned.
pub async fn a_failure_reaches_all_aboard_and_nobody_else(sim: &Sim) {
    let (model, rows) = Sums::new(Dim::Fixed(2));
    let model = sim.batched(&sim.place("batch", model), buses(sim), of(2));
    let mut requests = [-1.0_f32, 2.0, 3.0].map(|value| {
        let mut request = model.request();
        request.set_input("x", Tensor::from_slice(&[value, 0.0], [1, 2]).unwrap()).unwrap();
        request
    });
    let [first, second, third] = requests.each_mut().map(|request| request.start().unwrap());
    for run in [first, second] {
        let error = run.await.unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::Operator);
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        assert!(causes.into_iter().any(|cause| cause.to_string().contains("a negative sum")), "{error:?}");
    }
    assert_eq!(numbers(third.await.unwrap().get(0).unwrap()), [3.0]);
    assert_eq!((sim.now(), rows.entries().len()), (LIMIT, 2));
    // And no later run of its own.
    requests[0].set_input("x", Tensor::from_slice(&[1.0_f32, 0.0], [1, 2]).unwrap()).unwrap();
    assert_eq!(numbers(requests[0].start().unwrap().await.unwrap().get(0).unwrap()), [1.0]);
}

/// Who is cancelled before the bus leaves is not computed; when nobody else waits, nothing is.
pub async fn nobody_is_computed_who_has_got_off_before(sim: &Sim) {
    let (model, rows) = Sums::new(Dim::Any);
    let model = sim.batched(&sim.place("batch", model), buses(sim), of(4));
    let mut requests: Vec<_> = (0..3).map(|_| model.request()).collect();
    let row = || Tensor::from_slice(&[1.0_f32, 2.0], [1, 2]).unwrap();
    requests.iter_mut().for_each(|request| drop(request.set_input(0, row()).unwrap()));
    let mut runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    sim.until(LIMIT / 2).await;
    assert!(runs.remove(1).cancel());
    for run in runs {
        assert_eq!(numbers(run.await.unwrap().get(0).unwrap()), [3.0]);
    }
    assert_eq!(rows.entries(), [2]);
    let begun = sim.now();
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    sim.until(begun + LIMIT / 2).await;
    for run in &runs {
        assert!(run.cancel());
    }
    sim.until(begun + LIMIT * 2).await;
    drop(runs);
    assert!(
        requests.iter().all(|request| matches!(request.status(), Status::Settled(Verdict::Cancelled(_))))
    );
    assert_eq!(rows.entries(), [2], "the bus did not leave");
}

/// When the last of those aboard gets off, the run of the batch is cancelled: the bus is free for others.
pub async fn a_batch_that_all_have_got_off_is_stopped(sim: &Sim) {
    let gate = Gate::closed();
    let model = template(sim, 2, 1, [Op::Park(gate.clone()), Op::Add(1.0)]);
    let mut requests = requests(&model, 2);
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    gate.arrived(1).await;
    for run in runs {
        assert!(run.cancel());
        assert_eq!(run.await.unwrap_err().kind(), InferErrorKind::Cancelled);
    }
    let runs: Vec<_> = requests.iter_mut().map(|request| request.start().unwrap()).collect();
    // The gate has let nobody pass: that the next batch arrives at it shows that the first has left it.
    gate.arrived(2).await;
    gate.open();
    for run in runs {
        run.await.unwrap();
    }
    assert_eq!([value(&requests[0]), value(&requests[1])], [1.0, 2.0]);
}
