//! The variables of a request under concurrency.

use std::sync::Arc;
use std::task::{Context, Poll};

use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure, InferErrorKind, PrepareError};
use inferry_core::{CompiledModel, ElementType, Kind, Pipeline, Port, Request, Shape, Stateful, Turn, Work};

use super::parts::{Spawn, model, wait};

/// Adds one to a byte.
struct AddOne([Port; 1], [Port; 1]);

struct AddOneWork;

impl AddOne {
    fn new() -> Arc<AddOne> {
        let port = |side, name: &str| {
            [Port {
                side,
                index: 0,
                name: name.into(),
                kind: Kind::Tensor,
                element: ElementType::U8,
                shape: Shape::from([1]).into(),
            }]
        };
        Arc::new(AddOne(port(Side::Input, "x"), port(Side::Output, "y")))
    }
}

impl CompiledModel for AddOne {
    fn inputs(&self) -> &[Port] {
        &self.0
    }

    fn outputs(&self) -> &[Port] {
        &self.1
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        Ok(Box::new(AddOneWork))
    }
}

impl Work for AddOneWork {
    fn poll_stage(
        &mut self,
        _: usize,
        io: &mut Bindings,
        _: &Turn<'_>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        let (inputs, outputs) = io.split();
        outputs[0].bytes_mut()[0] = inputs[0].bytes()[0] + 1;
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_value_moves_on_exactly_when_its_run_is_done() {
    model(|| {
        let executor = Spawn::new();
        let counter = Arc::new(Stateful::new(AddOne::new(), [("x", "y")]).unwrap());
        let pipeline = Pipeline::by_kind(&*counter, |_| executor.clone());
        let mut request = Request::new(counter, Arc::new(pipeline)).unwrap();
        let run = request.start().unwrap();
        let granted = run.cancel();
        let ended = wait(run).map(drop).map_err(|error| error.kind());
        assert_eq!(granted, ended == Err(InferErrorKind::Cancelled), "{ended:?}");
        // loom's cells complain when the exchange is not ordered before this.
        assert_eq!(request.variable("x").unwrap().to_vec::<u8>().unwrap(), [u8::from(!granted)]);
        request.reset_variables().unwrap();
        wait(request.start().unwrap()).unwrap();
        assert_eq!(request.variable("x").unwrap().to_vec::<u8>().unwrap(), [1]);
    });
}
