//! Devices that behaviours need and the template device is not: ports of any type and shape, and work that counts.
//!
//! [`plain`] makes a model that copies each input to the output of the same number, whatever the element type, and gives the
//! output the input's shape. It waits for nothing and cannot fail, so it says nothing about the protocol of a run; that is
//! what the template device is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use inferry_core::device::{CompiledModel, Work};
use inferry_core::port::Side;
use inferry_core::request::{Bindings, Failure, PrepareError};
use inferry_core::tensor::copy_bytes;
use inferry_core::{Dim, ElementType, Kind, PartialShape, Port, Shape, Turn};

/// How often a device was asked for what.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests made.
    pub prepared: AtomicUsize,
    /// Runs begun.
    pub begun: AtomicUsize,
    /// Stages polled.
    pub polled: AtomicUsize,
    /// Runs given up.
    pub given_up: AtomicUsize,
    /// Times that memory was given back.
    pub released: AtomicUsize,
}

impl Counts {
    /// The counts, in the order of the fields.
    pub fn all(&self) -> [usize; 5] {
        [&self.prepared, &self.begun, &self.polled, &self.given_up, &self.released]
            .map(|count| count.load(Ordering::SeqCst))
    }
}

/// What [`plain`] makes.
pub struct Plain {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    counts: Arc<Counts>,
    /// What every run fails with.
    failure: Option<&'static str>,
}

/// A model with an input `x<i>` and an output `y<i>` for each of these; `y<i>` becomes `x<i>`.
pub fn plain(ports: &[(ElementType, &[Dim])]) -> Plain {
    let side = |side, letter: char| {
        let port = |(index, (element, dims)): (usize, &(ElementType, &[Dim]))| Port {
            side,
            index,
            name: format!("{letter}{index}").into(),
            kind: Kind::Tensor,
            element: *element,
            shape: PartialShape::new(dims).expect("few dimensions"),
        };
        ports.iter().enumerate().map(port).collect::<Vec<_>>()
    };
    Plain {
        inputs: side(Side::Input, 'x'),
        outputs: side(Side::Output, 'y'),
        counts: Arc::default(),
        failure: None,
    }
}

/// A model of one f32 input and output of these extents.
pub fn plain_f32(dims: &[Dim]) -> Arc<Plain> {
    Arc::new(plain(&[(ElementType::F32, dims)]))
}

impl Plain {
    /// The same model with no rank said at all.
    #[must_use]
    pub fn of_any_rank(mut self) -> Plain {
        for port in self.inputs.iter_mut().chain(&mut self.outputs) {
            port.shape = PartialShape::unknown();
        }
        self
    }

    /// The same model, each of whose runs fails with this text.
    #[must_use]
    pub fn failing(self, text: &'static str) -> Plain {
        Plain { failure: Some(text), ..self }
    }

    /// What is counted.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }
}

impl CompiledModel for Plain {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn prepare(&self) -> Result<Box<dyn Work>, PrepareError> {
        self.counts.prepared.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(PlainWork { counts: self.counts.clone(), failure: self.failure }))
    }
}

struct PlainWork {
    counts: Arc<Counts>,
    failure: Option<&'static str>,
}

impl Work for PlainWork {
    fn begin(&mut self) {
        self.counts.begun.fetch_add(1, Ordering::SeqCst);
    }

    fn give_up(&mut self) {
        self.counts.given_up.fetch_add(1, Ordering::SeqCst);
    }

    fn release_memory(&mut self) {
        self.counts.released.fetch_add(1, Ordering::SeqCst);
    }

    fn poll_stage(
        &mut self,
        _stage: usize,
        io: &mut Bindings,
        _turn: &Turn<'_>,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), Failure>> {
        self.counts.polled.fetch_add(1, Ordering::SeqCst);
        if let Some(text) = self.failure {
            return Poll::Ready(Err(Failure::operator(text)));
        }
        let (inputs, outputs) = io.split();
        for (input, output) in inputs.iter().zip(outputs) {
            let shape: &Shape = input.tensor().shape();
            output.set_shape(shape).map_err(Failure::device)?;
            let from = &input.bytes()[input.tensor().byte_range()];
            let (layout, range) = (output.tensor().layout().clone(), output.tensor().byte_range());
            let (size, to) = (input.tensor().element().size(), &mut output.bytes_mut()[range]);
            copy_bytes(size, input.tensor().layout(), from, &layout, to).map_err(Failure::device)?;
        }
        Poll::Ready(Ok(()))
    }
}
