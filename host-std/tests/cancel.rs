//! Stopping a detector halfway: the run ends as cancelled, soon, and the next one is right.
//!
//! A device that measures its nodes reads a clock before and after each. The clock that it is lent here counts, and cancels at
//! the look in the middle, on the thread that computes. So "halfway" is where it says, however busy the machine is.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use inferry::npz::Arrays;
use inferry::{Canceller, InferErrorKind, Options, Request, Runtime, Tensor, read_model};
use inferry_behaviour::data;
use inferry_core::Clock;

#[test]
fn blazeface_is_stopped_halfway_and_runs_again() {
    is_stopped_halfway_and_runs_again("blazeface_back256/face_detection_back_256x256_barracuda.onnx");
}

#[test]
fn the_text_detector_is_stopped_halfway_and_runs_again() {
    is_stopped_halfway_and_runs_again("tinyocr_v6/PP-OCRv6_det_tiny.onnx");
}

fn is_stopped_halfway_and_runs_again(model: &str) {
    let Some(path) = data::find(model) else { return };
    let graph = read_model(path).unwrap();
    let fixture = Arrays::open(data::carried(&model.replace(".onnx", ".npz"))).unwrap();
    let runtime = Runtime::new().unwrap();
    for options in [Options::latency().threads(1), Options::latency().threads(2), Options::inline()] {
        let halfway = Arc::new(Halfway::default());
        let settings = inferry_cpu::Options { profile: Some(halfway.clone()), ..Default::default() };
        let compiled = runtime.compile_on(&runtime.cpu(), &graph, &settings, options).unwrap();
        let mut request = compiled.request().unwrap();
        for port in compiled.inputs() {
            let input = fixture.get(&format!("input_{}", port.index)).expect("an input in the fixture");
            request.set_input(port.index, input.clone()).unwrap();
        }
        request.infer().unwrap();
        agrees(model, &request, &fixture);
        let looks = std::mem::take(&mut halfway.notes().looks);
        assert!(looks > 40, "a run of {looks} looks has no middle");

        // The machine may be busy with something else; that a stop can be quick is shown by the quickest.
        let mut quickest = Duration::MAX;
        for _ in 0..8 {
            halfway.cancel_at(looks / 2, request.canceller());
            let run = request.start().unwrap();
            assert_eq!(run.wait().unwrap_err().kind(), InferErrorKind::Cancelled);
            let ended = Instant::now();
            let notes = std::mem::take(&mut *halfway.notes());
            let asked = notes.asked.expect("the run came to its middle");
            // At most the node that the cancel fell into was still brought to its end.
            assert!(notes.looks <= looks / 2 + 2, "{} of {looks} looks", notes.looks);
            quickest = quickest.min(ended - asked);

            request.start().unwrap().wait().unwrap();
            agrees(model, &request, &fixture);
            assert_eq!(std::mem::take(&mut halfway.notes().looks), looks);
        }
        println!("{model}, {options:?}: stopped in {quickest:?}");
        assert!(quickest < Duration::from_millis(10), "{options:?}: {quickest:?}");
    }
}

/// A clock that cancels a run when it is looked at.
#[derive(Default)]
struct Halfway(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    /// Looks in this run so far.
    looks: usize,
    /// At which look, and what.
    cancel: Option<(usize, Canceller)>,
    asked: Option<Instant>,
}

impl Halfway {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap()
    }

    fn cancel_at(&self, look: usize, canceller: Canceller) {
        self.notes().cancel = Some((look, canceller));
    }
}

impl Clock for Halfway {
    fn now(&self) -> u64 {
        let mut notes = self.notes();
        notes.looks += 1;
        let looks = notes.looks;
        if let Some((_, canceller)) = notes.cancel.take_if(|(at, _)| *at == looks) {
            notes.asked = Some(Instant::now());
            drop(notes);
            assert!(canceller.cancel(), "a run in its middle can be cancelled");
        }
        0
    }
}

/// The outputs are those of the fixture, with the tolerance that was given for the model.
fn agrees(model: &str, request: &Request, fixture: &Arrays) {
    let tolerance = data::tolerance(model);
    for port in request.outputs() {
        let expected = fixture.get(&format!("output_{}", port.index)).expect("an output in the fixture");
        let (got, want) = (floats(request.output(port.index).unwrap()), floats(expected));
        assert_eq!(got.len(), want.len());
        // What is no number is not close.
        let is_close =
            |(got, want): (&f64, &f64)| (got - want).abs() <= tolerance.atol + tolerance.rtol * want.abs();
        let outside = want.len() - got.iter().zip(&want).filter(|pair| is_close(*pair)).count();
        let share = outside as f64 / want.len() as f64;
        assert!(share <= tolerance.outside, "{model}, {}: {outside} of {} outside", port.name, want.len());
    }
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    tensor.to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}
