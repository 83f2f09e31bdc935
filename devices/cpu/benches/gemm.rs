//! Products of matrices: `cargo bench -p inferry-cpu --bench gemm [-- NAME]`, one thread. `INFERRY_ISA=avx2` lowers.

mod bench;

use inferry_core::ElementType::F32;
use inferry_engine::op::MatMul;

fn main() {
    println!("{:?}", bench::isa().level());
    let cases = [
        ("square", 512, 512, 512, true),
        ("square", 512, 512, 512, false),
        ("large", 1024, 1024, 1024, true),
        ("large", 1024, 1024, 1024, false),
        ("minilm", 90, 384, 1536, true),
        ("minilm", 90, 1536, 384, true),
        ("minilm", 90, 384, 384, true),
        ("magika", 16384, 257, 64, true),
        ("ocr", 79, 120, 6625, true),
        ("ocr", 79, 120, 360, true),
        ("rnet", 8, 576, 128, true),
        ("onet", 8, 1152, 256, true),
        ("vector", 1, 128, 512, true),
        ("vector", 1, 1024, 1024, true),
        ("vector", 1, 1024, 1024, false),
        ("narrow", 1024, 256, 1, true),
        ("narrow", 1024, 256, 7, true),
    ];
    for (name, m, k, n, constant) in cases {
        let name = format!("{name} {m}x{k}x{n}{}", if constant { "" } else { " both in the run" });
        if !bench::wanted(&name) {
            continue;
        }
        let (a, b) = (bench::noise(&[m, k]), bench::noise(&[k, n]));
        let constants = if constant { &[1][..] } else { &[] };
        let seconds = bench::best(&MatMul, &[&a, &b], constants, (F32, &[m, n]));
        let speed = (2 * m * k * n) as f64 / seconds / 1e9;
        println!("{name:40} {:10.1} us {speed:8.1} GFLOP/s", seconds * 1e6);
    }
    for (batch, m, k, n) in
        [(72, 15, 32, 15), (72, 15, 15, 32), (8, 79, 15, 79), (8, 79, 79, 15), (12, 128, 32, 128)]
    {
        let name = format!("batch {batch} of {m}x{k}x{n}");
        if !bench::wanted(&name) {
            continue;
        }
        let (a, b) = (bench::noise(&[batch, m, k]), bench::noise(&[batch, k, n]));
        let seconds = bench::best(&MatMul, &[&a, &b], &[], (F32, &[batch, m, n]));
        let speed = (2 * batch * m * k * n) as f64 / seconds / 1e9;
        println!("{name:40} {:10.1} us {speed:8.1} GFLOP/s", seconds * 1e6);
    }
}
