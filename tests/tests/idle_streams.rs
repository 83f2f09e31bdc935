//! A lone request is computed by all threads of its streams, and requests side by side by one each.
#![forbid(unsafe_code)]

use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};

use inferry::device::{CompiledModel as Compiled, Work};
use inferry::{ElementType, Options, Port, PrepareError, Runtime};
use inferry_behaviour::native::{place, within_a_minute};
use inferry_behaviour::world::Log;
use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure};
use inferry_core::{Shape, Turn, value};

/// Its one stage calls this with the turn.
#[derive(Clone)]
struct Forking {
    output: [Port; 1],
    stage: Arc<dyn Fn(&Turn<'_>) + Send + Sync>,
}

impl Forking {
    fn new(stage: impl Fn(&Turn<'_>) + Send + Sync + 'static) -> Arc<Forking> {
        let output = Port {
            side: Side::Output,
            index: 0,
            name: "nothing".into(),
            kind: value::Kind::Tensor,
            element: ElementType::U8,
            shape: Shape::from([1]).into(),
        };
        Arc::new(Forking { output: [output], stage: Arc::new(stage) })
    }
}

impl Compiled for Forking {
    fn inputs(&self) -> &[Port] {
        &[]
    }

    fn outputs(&self) -> &[Port] {
        &self.output
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(self.clone()))
    }
}

impl Work for Forking {
    fn poll_stage(
        &mut self,
        _: usize,
        _: &mut Bindings,
        turn: &Turn<'_>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        (self.stage)(turn);
        Poll::Ready(Ok(()))
    }
}

/// So many threads: one stream with helpers, streams alone, and both.
fn arrangements() -> [(Options, usize); 4] {
    [
        (Options::latency().threads(2), 2),
        (Options::throughput().threads(2), 2),
        (Options::throughput().threads(4), 4),
        (Options::latency().streams(2).threads(4), 4),
    ]
}

/// Waits until so many threads may compute together: the others are about to have nothing to do.
fn wait_for_width(turn: &Turn<'_>, width: usize) {
    while turn.parallel().width() != width {
        std::thread::yield_now();
    }
}

#[test]
fn a_lone_request_is_computed_by_all_threads() {
    for (options, threads) in arrangements() {
        within_a_minute(move || {
            let met = Barrier::new(threads);
            let model = Forking::new(move |turn| {
                assert_eq!(turn.parallel().max_width(), threads);
                wait_for_width(turn, threads);
                // Returns only if every thread has come.
                turn.parallel().for_each(threads, &|_| {
                    met.wait();
                });
            });
            let model = place(&Runtime::new().unwrap(), options, "forking", model);
            let mut request = model.request().unwrap();
            for _ in 0..3 {
                request.start().unwrap().wait().unwrap();
                request.infer().unwrap();
            }
        });
    }
}

#[test]
fn requests_side_by_side_share_the_threads() {
    for (options, streams, width) in [
        (Options::throughput().threads(2), 2, 1),
        (Options::throughput().threads(3), 3, 1),
        (Options::latency().streams(2).threads(4), 2, 2),
    ] {
        within_a_minute(move || {
            let (met, widths) = (Barrier::new(streams), Log::default());
            let seen = widths.clone();
            let model = Forking::new(move |turn| {
                met.wait();
                seen.push(turn.parallel().width());
                met.wait();
            });
            let model = place(&Runtime::new().unwrap(), options, "forking", model);
            let mut requests: Vec<_> = (0..streams).map(|_| model.request().unwrap()).collect();
            inferry::run_and_wait(&mut requests).unwrap();
            assert_eq!(widths.entries(), vec![width; streams]);
        });
    }
}

/// A stream that helps is back at its queue when the loop is over: the second request begins while the first still runs.
#[test]
fn a_stream_that_helps_takes_the_next_request() {
    within_a_minute(|| {
        let met = Barrier::new(2);
        let model = Forking::new(move |turn| {
            if turn.parallel().width() > 1 {
                turn.parallel().for_each(100, &|_| {});
            }
            // Returns only if two requests run at the same time.
            met.wait();
        });
        let model = place(&Runtime::new().unwrap(), Options::throughput().threads(2), "forking", model);
        let (mut one, mut two) = (model.request().unwrap(), model.request().unwrap());
        for _ in 0..100 {
            let (one, two) = (one.start().unwrap(), two.start().unwrap());
            one.wait().unwrap();
            two.wait().unwrap();
        }
    });
}
