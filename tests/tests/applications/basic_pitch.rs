//! Which notes sound in a recording: Spotify's Basic Pitch.
//!
//! Two seconds of sound in, and out, for each 256 samples and each of the 88 keys of a piano, how likely it is that the note
//! sounds. A note counts when it is above one half.

use inferry::{Options, Runtime};
use inferry_behaviour::data::{carried, expected, find};

use crate::{items, numbers, sound, tensor};

/// Samples that the network hears at once.
const SAMPLES: usize = 43_844;
/// Samples from one row of its output to the next.
const HOP: f64 = 256.0;
const KEYS: usize = 88;
/// MIDI number of the lowest key of a piano.
const LOWEST: u64 = 21;

#[test]
fn the_notes_that_were_played_are_heard() {
    let Some(model) = find("basic_pitch/nmp.onnx") else { return };
    let sound = sound::read(&carried("basic_pitch/notes_22050.wav"));
    assert_eq!(sound.samples.len(), SAMPLES);
    let mut request =
        Runtime::new().unwrap().compile_file(model, Options::latency()).unwrap().request().unwrap();
    request.set_input(0, tensor(&sound.samples, [1, SAMPLES, 1])).unwrap();
    let outputs = request.start().unwrap().wait().unwrap();

    let expected = expected("basic_pitch");
    let is_notes = |name: &str| expected["outputs"][name] == "note";
    let port = outputs.ports().iter().position(|port| is_notes(&port.name)).unwrap();
    let notes = outputs.get(port).unwrap().to_vec::<f32>().unwrap();
    let sounding = |seconds: f64| -> Vec<u64> {
        let row = (seconds * f64::from(sound.rate) / HOP).round() as usize;
        let keys = &notes[row * KEYS..][..KEYS];
        (LOWEST..).zip(keys).filter(|(_, likely)| **likely > 0.5).map(|(note, _)| note).collect()
    };
    for moment in items(&expected["detected_at_time"]) {
        let seconds = moment[0].as_f64().unwrap();
        let recorded: Vec<u64> = items(&moment[1]).iter().map(|note| note.as_u64().unwrap()).collect();
        assert_eq!(sounding(seconds), recorded, "at {seconds} s");
    }
    // What was recorded is also what was played.
    for played in items(&expected["truth_midi"]).iter().map(numbers) {
        assert!(sounding((played[0] + played[1]) / 2.0).contains(&(played[2] as u64)), "{played:?}");
    }
    assert_eq!(sounding(0.05), [0; 0], "before the first note");
}
