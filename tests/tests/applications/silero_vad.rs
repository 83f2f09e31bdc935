//! Where in a recording somebody speaks: Silero's voice activity detector, a window at a time.
//!
//! A window is 512 new samples after the last 64 of the window before. The network gives how likely it is that somebody
//! speaks, and its memory, which the request keeps for the next window. Two exports of the same weights must say the same: one
//! that chooses the branch of the sampling rate by nested `If`s, and one of 16 kHz alone.

use inferry::{ElementType, Options, Request, Runtime, Tensor, Variable};
use inferry_behaviour::data::{carried, expected, find, tolerance};
use inferry_behaviour::world;

use crate::{assert_near, items, numbers, sound, tensor};

/// New samples in a window.
const WINDOW: usize = 512;
/// Samples of the window before that are seen again.
const CONTEXT: usize = 64;
const RATE: i64 = 16_000;
/// Speech begins, or goes on, with a window above this.
const SPEECH: f64 = 0.5;
/// It ends with a window below this, when a pause follows.
const QUIET: f64 = 0.35;
/// The windows of a pause: the fewest that last 100 ms.
const PAUSE: usize = 4;

#[test]
fn two_segments_of_speech_are_found_with_the_model_full_of_ifs() {
    two_segments_of_speech_are_found("silero_vad/silero_vad.onnx");
}

#[test]
fn two_segments_of_speech_are_found_with_the_model_of_one_rate() {
    two_segments_of_speech_are_found("silero_vad/silero_vad_openvino_16k.onnx");
}

fn two_segments_of_speech_are_found(file: &str) {
    let Some(model) = find(file) else { return };
    let runtime = Runtime::new().unwrap();
    let silence = Tensor::zeros(ElementType::F32, [2, 1, 128]);
    let model = runtime.compile_file(model, Options::latency()).unwrap();
    let model = model.with_variables([Variable::new("state", "stateN").starting_at(silence)]).unwrap();
    let mut detector = Detector::new(model.request().unwrap());
    let sound = sound::read(&carried("silero_vad/speech_two_segments_16k.wav"));
    assert_eq!(i64::from(sound.rate), RATE);
    let windows = sound.samples.chunks_exact(WINDOW);
    let likely: Vec<f64> = windows.map(|window| f64::from(detector.hear(window))).collect();

    let expected = expected("silero_vad");
    assert_near(&likely, &numbers(&expected["probs_16k"]), tolerance(file).atol, "probabilities");
    let speech = likely.iter().filter(|likely| **likely > SPEECH).count();
    assert_eq!(Some(speech as u64), expected["frames_over_half"].as_u64());
    let seconds = |windows: usize| (windows * WINDOW) as f64 / RATE as f64;
    let found: Vec<Vec<f64>> =
        segments(&likely).into_iter().map(|(begin, end)| vec![seconds(begin), seconds(end)]).collect();
    let recorded: Vec<Vec<f64>> = items(&expected["segments"]).iter().map(numbers).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(found, recorded);

    // T200: the same stream from its beginning.
    detector.begin_again();
    assert_eq!(f64::from(detector.hear(&sound.samples[..WINDOW])), likely[0]);
}

/// A stream of sound that is listened to.
struct Detector {
    request: Request,
    /// What the network is given: the context and the new samples.
    window: [f32; CONTEXT + WINDOW],
}

impl Detector {
    fn new(mut request: Request) -> Detector {
        if request.inputs().iter().any(|port| &*port.name == "sr") {
            request.set_input("sr", Tensor::scalar(RATE)).unwrap();
        }
        Detector { request, window: [0.0; CONTEXT + WINDOW] }
    }

    /// Forgets what was heard.
    fn begin_again(&mut self) {
        self.window.fill(0.0);
        self.request.reset_variables().unwrap();
    }

    /// How likely it is that somebody speaks in the next window.
    fn hear(&mut self, samples: &[f32]) -> f32 {
        self.window.copy_within(WINDOW.., 0);
        self.window[CONTEXT..].copy_from_slice(samples);
        self.request.set_input("input", tensor(&self.window, [1, CONTEXT + WINDOW])).unwrap();
        let outputs = self.request.start().unwrap().wait().unwrap();
        world::numbers(outputs.get("output").unwrap())[0]
    }
}

/// The first window of each segment of speech and the one after its last.
fn segments(likely: &[f64]) -> Vec<(usize, usize)> {
    let mut segments = Vec::new();
    let mut begun = None;
    let mut quiet = None;
    for (window, likely) in likely.iter().enumerate() {
        if *likely > SPEECH {
            quiet = None;
            begun.get_or_insert(window);
        } else if *likely < QUIET && begun.is_some() {
            let end = *quiet.get_or_insert(window);
            if window - end >= PAUSE {
                segments.extend(begun.take().map(|begin| (begin, end)));
                quiet = None;
            }
        }
    }
    segments.extend(begun.map(|begin| (begin, quiet.unwrap_or(likely.len()))));
    segments
}

#[test]
fn a_segment_bears_a_short_pause_and_may_reach_the_end() {
    assert_eq!(segments(&[0.4, 0.9, 0.4, 0.1, 0.1, 0.1, 0.9, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1]), [(1, 8)]);
    assert_eq!(segments(&[0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.4]), [(0, 1), (6, 8)]);
    assert_eq!(segments(&[0.9, 0.1]), [(0, 1)]);
    assert_eq!(segments(&[0.4, 0.1]), []);
}
