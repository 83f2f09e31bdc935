//! Recurrent layers: `cargo bench -p inferry-cpu --bench recurrent [-- NAME]`, one thread. `INFERRY_ISA=avx2` lowers.

mod bench;

use inferry_core::ElementType::F32;
use inferry_engine::op::{Activation, Direction, Gru, Lstm, Op, Unary};

fn main() {
    println!("{:?}", bench::isa().level());
    // Steps, batch, features of an input and of a state.
    let cases = [
        ("dtln", 1, 1, 257, 128),
        ("dtln", 1, 1, 128, 128),
        ("silero", 8, 1, 128, 128),
        ("long", 1000, 1, 128, 128),
        ("large", 100, 1, 512, 512),
        ("batch", 100, 16, 128, 128),
        ("ocr", 80, 8, 288, 48),
    ];
    let hidden_of = |hidden| {
        let activations = [Unary::Sigmoid, Unary::Tanh, Unary::Tanh].map(Activation::Unary).to_vec();
        let direction = Direction::Forward;
        let gru = Gru {
            hidden,
            direction,
            activations: activations[..2].to_vec(),
            clip: None,
            linear_before_reset: false,
            batch_first: false,
        };
        let (clip, input_forget, batch_first) = (None, false, false);
        (Lstm { hidden, direction, activations, clip, input_forget, batch_first }, gru)
    };
    for (name, steps, batch, width, hidden) in cases {
        let (lstm, gru) = hidden_of(hidden);
        let plain = Gru { linear_before_reset: true, ..gru.clone() };
        let layers: [(&str, &dyn Op, usize); 3] =
            [("lstm", &lstm, 4), ("gru", &gru, 3), ("gru linear", &plain, 3)];
        for (kind, op, gates) in layers {
            let name = format!("{name} {kind} {steps} steps of {batch} x {width} to {hidden}");
            if !bench::wanted(&name) {
                continue;
            }
            let x = bench::noise(&[steps, batch, width]);
            let w = bench::noise(&[1, gates * hidden, width]);
            let r = bench::noise(&[1, gates * hidden, hidden]);
            let b = bench::noise(&[1, 2 * gates * hidden]);
            let output = (F32, &[steps, 1, batch, hidden][..]);
            let seconds = bench::best(op, &[&x, &w, &r, &b], &[1, 2, 3], output);
            let products = 2 * steps * batch * gates * hidden * (width + hidden);
            println!(
                "{name:48} {:9.1} us {:8.2} us a step {:7.1} GFLOP/s",
                seconds * 1e6,
                seconds * 1e6 / steps as f64,
                products as f64 / seconds / 1e9
            );
        }
    }
}
