//! Less noise in speech, as a telephone would do it: DTLN, two networks in a chain, 8 ms at a time.
//!
//! The first network says how much of each frequency of a block to keep; the second cleans the block that comes of it once
//! more. Both have a memory that goes from block to block. Blocks overlap by three quarters and are added, so that what comes
//! out is late by those three quarters.

use inferry::{Options, Request, Runtime};
use inferry_behaviour::data::{carried, expected, find, tolerance};

use crate::{assert_near, fourier, sound};

/// Samples in a block.
const BLOCK: usize = 512;
/// New samples in a block, and finished ones out of it.
const SHIFT: usize = 128;
/// How late a sample comes out.
const LATENCY: usize = BLOCK - SHIFT;

#[test]
fn speech_comes_out_with_less_noise() {
    let (Some(first), Some(second)) = (find("dtln/model_1.onnx"), find("dtln/model_2.onnx")) else { return };
    let runtime = Runtime::new().unwrap();
    // Each network has a memory: an input that takes what an output gave for the block before.
    let request = |path, memory: (&str, &str)| {
        let model = runtime.compile_file(path, Options::latency()).unwrap();
        model.with_variables([memory]).unwrap().request().unwrap()
    };
    let mut denoiser = Denoiser::new(
        request(first, ("input_3", "tf_op_layer_stack_2")),
        request(second, ("input_5", "tf_op_layer_stack_5")),
    );
    let clean = sound::read(&carried("dtln/clean_16k.wav")).samples;
    let noisy = sound::read(&carried("dtln/noisy_16k.wav")).samples;
    let expected = expected("dtln");
    let blocks = expected["blocks"].as_u64().unwrap() as usize;
    let denoised: Vec<f32> =
        noisy.chunks_exact(SHIFT).take(blocks).flat_map(|samples| denoiser.hear(samples)).collect();

    let denoised = &denoised[LATENCY..];
    let (clean, noisy) = (&clean[..denoised.len()], &noisy[..denoised.len()]);
    let got = [decibels(noisy, clean), decibels(denoised, clean)];
    let want = ["si_sdr_noisy_db", "si_sdr_denoised_db"].map(|key| expected[key].as_f64().unwrap());
    assert_near(&got, &want, tolerance("dtln/model_2.onnx").atol, "decibels before and after");
}

/// A stream of sound that is cleaned.
struct Denoiser {
    /// Says how much of each frequency to keep.
    mask: Request,
    /// Cleans a block.
    clean: Request,
    /// The newest samples.
    heard: [f32; BLOCK],
    /// Samples to which blocks to come will add.
    coming: [f32; BLOCK],
}

impl Denoiser {
    fn new(mask: Request, clean: Request) -> Denoiser {
        Denoiser { mask, clean, heard: [0.0; BLOCK], coming: [0.0; BLOCK] }
    }

    /// Takes the next samples and gives as many that are finished.
    fn hear(&mut self, samples: &[f32]) -> [f32; SHIFT] {
        self.heard.copy_within(SHIFT.., 0);
        self.heard[LATENCY..].copy_from_slice(samples);
        let mut spectrum = fourier::forward(&self.heard);
        let loudness: Vec<f32> = spectrum.iter().map(|(re, im)| re.hypot(*im) as f32).collect();
        let keep = step(&mut self.mask, &loudness);
        for ((re, im), keep) in spectrum.iter_mut().zip(keep) {
            *re *= f64::from(keep);
            *im *= f64::from(keep);
        }
        let block = step(&mut self.clean, &fourier::backward(&spectrum));
        self.coming.copy_within(SHIFT.., 0);
        self.coming[LATENCY..].fill(0.0);
        for (sum, value) in self.coming.iter_mut().zip(block) {
            *sum += value;
        }
        self.coming[..SHIFT].try_into().expect("a block is longer")
    }
}

/// Runs a network on its next input.
fn step(request: &mut Request, input: &[f32]) -> Vec<f32> {
    request.input_mut(0).unwrap().as_slice_mut::<f32>().unwrap().copy_from_slice(input);
    request.start().unwrap().wait().unwrap().get(0).unwrap().to_vec().unwrap()
}

/// How much stronger the wanted sound is than all else, at any loudness (SI-SDR, Le Roux et al., 2019).
fn decibels(sound: &[f32], wanted: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let scale = dot(sound, wanted) / dot(wanted, wanted);
    let signal = scale * scale * dot(wanted, wanted);
    let error = |(sound, wanted): (&f32, &f32)| (f64::from(*sound) - scale * f64::from(*wanted)).powi(2);
    10.0 * (signal / sound.iter().zip(wanted).map(error).sum::<f64>()).log10()
}
