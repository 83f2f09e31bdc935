//! A world: what a behaviour may ask of the target on which it runs.
//!
//! A behaviour is written once and runs in every world: on threads, on no thread at all, and under a scheduler that is drawn
//! by lot, natively and in WebAssembly. It gets devices on that world's executors, and the core's requests; what only one
//! host has (blocking, threads to name) is tested beside that host's runner.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use inferry_core::device::{CompiledModel, Device};
use inferry_core::{Pipeline, Request, Tensor};
use inferry_template::{Chip, Form, Graph, Template};

/// A target.
pub trait World {
    /// Puts a model that a device of this name has compiled on this world's executors.
    fn place(&self, device: &str, model: Arc<dyn CompiledModel>) -> Model;

    /// Compiles a graph for a chip and puts it on this world's executors.
    fn compile(&self, graph: &Graph, form: Form, chip: &Arc<Chip>) -> Model {
        let device = Template::new(chip.clone());
        let Ok(model) = device.compile(graph, &form);
        self.place(device.name(), model)
    }

    /// A chip that works by itself.
    fn chip(&self, name: &str) -> Arc<Chip> {
        Chip::working(name)
    }

    /// True when the stages run on the stack of whoever starts or wakes.
    fn is_inline(&self) -> bool {
        false
    }

    /// One request of a graph of one stage.
    fn request(&self, graph: &Graph) -> Request {
        self.compile(graph, Form::OneStage, &Chip::by_hand("none")).request()
    }
}

/// A model on a world's executors.
pub struct Model {
    /// As the device compiled it.
    pub device: Arc<dyn CompiledModel>,
    /// The world's executors.
    pub pipeline: Arc<Pipeline>,
}

impl Model {
    /// A new request.
    ///
    /// # Panics
    /// When there is no memory.
    pub fn request(&self) -> Request {
        Request::new(self.device.clone(), self.pipeline.clone()).expect("a request of the template device")
    }
}

/// The two values that most graphs of the behaviours take.
pub fn values(value: f32) -> Tensor {
    Tensor::from_slice(&[value, -value], [2]).expect("two values")
}

/// The values of an output or input.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.to_vec().expect("f32 that nobody else holds")
}

/// Lets whoever polls do something else once, and goes on.
pub async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Something that callbacks write down and the behaviour reads.
#[derive(Debug)]
pub struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Log<T> {
    /// Writes down one more.
    pub fn push(&self, entry: T) {
        self.0.lock().expect("nobody panics while writing").push(entry);
    }

    /// What has been written down so far.
    pub fn entries(&self) -> Vec<T> {
        self.0.lock().expect("nobody panics while writing").clone()
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Log(Arc::default())
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log(self.0.clone())
    }
}
