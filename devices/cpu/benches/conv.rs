//! Convolutions of the test models: `cargo bench -p inferry-cpu --bench conv [-- NAME]`, one thread. `INFERRY_ISA=avx2` lowers.

mod bench;

use inferry_core::ElementType::F32;
use inferry_engine::op::{Conv, Padding, Window};

/// Name; input; weights; strides; pads; dilations; groups.
type Case = (&'static str, [usize; 4], [usize; 4], [usize; 2], [usize; 4], [usize; 2], usize);

const CASES: &[Case] = &[
    ("mlsd 3x3", [1, 64, 128, 128], [64, 64, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1),
    ("mlsd 3x3", [1, 128, 64, 64], [128, 128, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1),
    ("mlsd dilated", [1, 64, 128, 128], [64, 64, 3, 3], [1, 1], [5, 5, 5, 5], [5, 5], 1),
    ("mlsd first", [1, 4, 512, 512], [32, 4, 3, 3], [2, 2], [0, 0, 1, 1], [1, 1], 1),
    ("mlsd pointwise", [1, 24, 128, 128], [144, 24, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("mlsd pointwise", [1, 144, 128, 128], [24, 144, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("mlsd pointwise", [1, 16, 256, 256], [96, 16, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("mlsd pointwise", [1, 64, 32, 32], [384, 64, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("mlsd depthwise", [1, 144, 128, 128], [144, 1, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 144),
    ("mlsd depthwise", [1, 32, 256, 256], [32, 1, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 32),
    ("blaze pointwise", [1, 24, 128, 128], [24, 24, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("blaze pointwise", [1, 96, 16, 16], [96, 96, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("blaze depthwise", [1, 24, 128, 128], [24, 1, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 24),
    ("blaze depthwise", [1, 96, 16, 16], [96, 1, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 96),
    ("blaze depthwise", [1, 24, 128, 128], [24, 1, 3, 3], [2, 2], [0, 0, 1, 1], [1, 1], 24),
    ("blaze first", [1, 3, 256, 256], [24, 3, 5, 5], [2, 2], [1, 1, 2, 2], [1, 1], 1),
    ("pitch wide", [1, 8, 172, 264], [8, 8, 3, 39], [1, 1], [1, 19, 1, 19], [1, 1], 1),
    ("pitch strided", [1, 8, 172, 264], [32, 8, 5, 5], [1, 3], [2, 1, 2, 1], [1, 1], 1),
    ("pitch one", [1, 32, 172, 88], [1, 32, 7, 3], [1, 1], [3, 1, 3, 1], [1, 1], 1),
    ("pitch filter", [1, 1, 1, 44098], [1, 1, 1, 256], [1, 2], [0, 0, 0, 0], [1, 1], 1),
    ("pitch bank", [1, 1, 1, 44100], [36, 1, 1, 256], [1, 256], [0, 0, 0, 0], [1, 1], 1),
    ("pitch bank", [1, 1, 1, 2996], [36, 1, 1, 256], [1, 16], [0, 0, 0, 0], [1, 1], 1),
    ("magika", [8, 256, 512, 1], [512, 256, 5, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("onet 3x3", [8, 32, 23, 23], [64, 32, 3, 3], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("onet first", [8, 3, 48, 48], [32, 3, 3, 3], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("onet last", [8, 64, 4, 4], [128, 64, 2, 2], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("pnet", [1, 16, 75, 75], [32, 16, 3, 3], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("det 3x3", [1, 96, 40, 56], [24, 96, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1),
    ("det 3x3", [1, 96, 10, 14], [24, 96, 3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1),
    ("det pointwise", [1, 384, 5, 7], [384, 384, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("det pointwise", [1, 192, 10, 14], [192, 192, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("det depthwise", [1, 384, 5, 7], [384, 1, 5, 5], [1, 1], [2, 2, 2, 2], [1, 1], 384),
    ("det squeeze", [1, 384, 1, 1], [96, 384, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("rec pointwise", [1, 240, 12, 158], [240, 240, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("rec pointwise", [1, 480, 3, 158], [480, 480, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("rec depthwise", [1, 240, 12, 158], [240, 1, 5, 5], [1, 1], [2, 2, 2, 2], [1, 1], 240),
    ("rec depthwise", [1, 240, 12, 158], [240, 1, 5, 5], [2, 1], [2, 2, 2, 2], [1, 1], 240),
    ("cls depthwise", [6, 200, 2, 96], [200, 1, 5, 5], [1, 1], [2, 2, 2, 2], [1, 1], 200),
    ("cls pointwise", [6, 32, 2, 96], [200, 32, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
    ("silero", [1, 129, 1, 4], [128, 129, 1, 3], [1, 1], [0, 1, 0, 1], [1, 1], 1),
    ("silero", [1, 1, 1, 640], [258, 1, 1, 256], [1, 128], [0, 0, 0, 0], [1, 1], 1),
    ("dtln", [1, 512, 1, 1], [256, 512, 1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1),
];

fn main() {
    println!("{:?}", bench::isa().level());
    for (name, x, w, strides, pads, dilations, group) in CASES {
        let name = format!("{name} {x:?} by {w:?}, stride {strides:?}");
        if !bench::wanted(&name) {
            continue;
        }
        let padding = Padding::Explicit(pads.to_vec());
        let window =
            Window { kernel: None, strides: strides.to_vec(), dilations: dilations.to_vec(), padding };
        let resolved = window.resolve(&x[2..], &w[2..], false).unwrap();
        let output = [x[0], w[0], resolved.output[0], resolved.output[1]];
        let inputs = [bench::noise(x), bench::noise(w), bench::noise(&w[..1])];
        let op = Conv { window, group: *group };
        let seconds = bench::best(&op, &inputs.each_ref(), &[1, 2], (F32, &output));
        let work = 2 * output.iter().product::<usize>() * w[1..].iter().product::<usize>();
        println!("{name:72} {:10.1} us {:8.1} GFLOP/s", seconds * 1e6, work as f64 / seconds / 1e9);
    }
}
