//! Mark where somebody speaks, while the sound comes in: a model with a memory.
//!
//! ```text
//! cargo run --release --example speech [--real-time] [SOUND.wav]
//!
//!  sound ─▶ windows of 32 ms ─▶ detector ─▶ how likely it is that somebody speaks ─▶ segments
//!                                │    ▲
//!                                └────┘ what it remembers: a variable, which the request keeps
//! ```
//!
//! The network (Silero's voice activity detector) sees 512 new samples at a time, and hands out what it wants to remember.
//! [`with_variables`](inferry::CompiledModel::with_variables) joins that output to the input where it belongs, so that a
//! window is: fill, run, read one number. A segment is printed as soon as the windows after it say that it is over. With
//! `--real-time` the windows come as fast as a microphone would bring them. Without a sound a bundled one is listened to.
//!
//! The model and the sound are in `tests/models/silero_vad`.

mod segments;
mod wav;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use inferry::{ElementType, Options, Request, Runtime, Tensor, Variable};

use segments::{Segment, Segments};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// New samples in a window.
const WINDOW: usize = 512;
/// Samples of the window before that the network sees again.
const CONTEXT: usize = 64;
/// Samples in a second.
const RATE: u32 = 16_000;

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("speech: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (options, files): (Vec<_>, Vec<_>) =
        std::env::args_os().skip(1).partition(|argument| argument.to_string_lossy().starts_with("--"));
    let real_time = match options.as_slice() {
        [] => false,
        [option] if option == "--real-time" => true,
        _ => return Err("there is one option, --real-time".into()),
    };
    let path = files.first().map_or_else(|| bundled("speech_two_segments_16k.wav"), PathBuf::from);
    let samples = wav::read(&path, RATE).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut detector = Detector::load()?;

    let (mut segments, mut listening) = (Segments::default(), Duration::ZERO);
    let begun = Instant::now();
    for (number, window) in samples.chunks_exact(WINDOW).enumerate() {
        if real_time {
            let due = Duration::from_secs_f64(seconds(number + 1));
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        let before = Instant::now();
        let likely = detector.hear(window)?;
        listening += before.elapsed();
        if let Some(segment) = segments.hear(likely) {
            print(segment);
        }
    }
    if let Some(segment) = segments.end() {
        print(segment);
    }
    let windows = samples.len() / WINDOW;
    let each = listening.as_secs_f64() * 1e6 / windows.max(1) as f64;
    println!("{:.2} s of sound, {windows} windows of {each:.0} us", samples.len() as f64 / f64::from(RATE));
    Ok(())
}

fn print(Segment { begin, end }: Segment) {
    println!("speech from {:6.3} s to {:6.3} s", seconds(begin), seconds(end));
}

/// The time at which a window begins.
fn seconds(window: usize) -> f64 {
    (window * WINDOW) as f64 / f64::from(RATE)
}

fn bundled(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models/silero_vad").join(file)
}

/// Listens to one stream of sound.
struct Detector {
    request: Request,
}

impl Detector {
    fn load() -> Result<Detector> {
        let model =
            Runtime::new()?.compile_file(bundled("silero_vad.onnx"), Options::latency().threads(1))?;
        // The file leaves the middle extent open: the number of streams, of which there is one.
        let silence = Tensor::zeros(ElementType::F32, [2, 1, 128]);
        let model = model.with_variables([Variable::new("state", "stateN").starting_at(silence)])?;
        let mut request = model.request()?;
        request.set_input("sr", Tensor::scalar(i64::from(RATE)))?;
        request.set_input("input", Tensor::zeros(ElementType::F32, [1, CONTEXT + WINDOW]))?;
        Ok(Detector { request })
    }

    /// How likely it is that somebody speaks in the next window.
    fn hear(&mut self, samples: &[f32]) -> Result<f32> {
        let mut window = self.request.input_mut("input")?.as_slice_mut::<f32>()?;
        window.copy_within(WINDOW.., 0);
        window[CONTEXT..].copy_from_slice(samples);
        drop(window);
        let outputs = self.request.infer()?;
        Ok(outputs.get("output")?.as_slice::<f32>()?[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_sound_has_its_two_segments() {
        let samples = wav::read(&bundled("speech_two_segments_16k.wav"), RATE).unwrap();
        let (mut detector, mut segments) = (Detector::load().unwrap(), Segments::default());
        let windows = samples.chunks_exact(WINDOW);
        let mut found: Vec<_> =
            windows.filter_map(|window| segments.hear(detector.hear(window).unwrap())).collect();
        found.extend(segments.end());
        let text = std::fs::read_to_string(bundled("expected.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        let found: Vec<_> =
            found.iter().map(|segment| vec![seconds(segment.begin), seconds(segment.end)]).collect();
        assert_eq!(serde_json::json!(found), expected["segments"]);
    }
}
