//! Everything but products: `cargo bench -p inferry-cpu --bench elements [-- NAME]`, one thread. `INFERRY_ISA=avx2` lowers.

mod bench;

use inferry_core::ElementType::{self, F32, I8, I64, U8};
use inferry_core::{Shape, Tensor};
use inferry_engine::op::*;

fn main() {
    println!("{:?}", bench::isa().level());
    maps();
    pairs();
    moves();
    folds();
    images();
    bytes();
}

fn case(name: &str, op: &dyn Op, inputs: &[&Tensor], constants: &[usize], output: (ElementType, &[usize])) {
    if !bench::wanted(name) {
        return;
    }
    let seconds = bench::best(op, inputs, constants, output);
    let count = output.1.iter().product::<usize>().max(inputs[0].len());
    let (time, each) = (seconds * 1e6, seconds * 1e9 / count as f64);
    println!("{name:44} {time:10.2} us {each:8.3} ns an element");
}

fn maps() {
    let x = bench::noise(&[1, 64, 64, 64]);
    let small = bench::noise(&[128]);
    let ops = [
        Unary::Relu,
        Unary::HardSwish,
        Unary::Exp,
        Unary::Log,
        Unary::Sigmoid,
        Unary::Tanh,
        Unary::Erf,
        Unary::Gelu { tanh: false },
        Unary::Sin,
        Unary::Softplus,
    ];
    for op in ops {
        case(&format!("{} 262144", op.name()), &op, &[&x], &[], (F32, x.shape()));
        case(&format!("{} 128", op.name()), &op, &[&small], &[], (F32, small.shape()));
    }
}

fn pairs() {
    let x = bench::noise(&[1, 64, 64, 64]);
    let shapes: [&[usize]; 6] = [&[1, 64, 64, 64], &[], &[64], &[64, 1, 1], &[64, 64, 1], &[1, 64, 1, 64]];
    for shape in shapes {
        let y = bench::noise(shape);
        case(&format!("Add [1, 64, 64, 64] and {shape:?}"), &Binary::Add, &[&x, &y], &[], (F32, x.shape()));
    }
    let (x, y) = (bench::noise(&[65536, 4]), bench::noise(&[4]));
    case("Add [65536, 4] and [4]", &Binary::Add, &[&x, &y], &[], (F32, x.shape()));
    let exponent = Tensor::scalar(2.0f32);
    case("Pow [65536, 4] by 2", &Binary::Pow, &[&x, &exponent], &[], (F32, x.shape()));
}

fn moves() {
    let cases: [(&[usize], &[usize]); 8] = [
        (&[1, 64, 64, 64], &[0, 2, 3, 1]),
        (&[1, 64, 64, 64], &[0, 3, 1, 2]),
        (&[1, 3, 256, 256], &[0, 2, 3, 1]),
        (&[1, 256, 256, 3], &[0, 3, 1, 2]),
        (&[1, 128, 12, 32], &[0, 2, 1, 3]),
        (&[1, 128, 12, 32], &[0, 2, 3, 1]),
        (&[512, 512], &[1, 0]),
        (&[16, 16, 16, 64], &[3, 1, 0, 2]),
    ];
    for (shape, perm) in cases {
        let x = bench::noise(shape);
        let output: Vec<usize> = perm.iter().map(|dim| shape[*dim]).collect();
        let op = Transpose { perm: Some(perm.to_vec()) };
        case(&format!("Transpose {shape:?} by {perm:?}"), &op, &[&x], &[], (F32, &output));
    }
    let x = bench::noise(&[1, 64, 64, 64]);
    case("Concat two [1, 64, 64, 64] along 1", &Concat { axis: 1 }, &[&x, &x], &[], (F32, &[1, 128, 64, 64]));
    case("Concat two [1, 64, 64, 64] along 3", &Concat { axis: 3 }, &[&x, &x], &[], (F32, &[1, 64, 64, 128]));
    let pads = ints(&[0, 0, 1, 1, 0, 0, 1, 1]);
    for mode in [PadMode::Constant, PadMode::Reflect] {
        let name = format!("Pad [1, 64, 64, 64] {mode:?}");
        case(&name, &Pad { mode }, &[&x, &pads], &[1], (F32, &[1, 64, 66, 66]));
    }
    let inputs = [&x, &ints(&[0]), &ints(&[64]), &ints(&[3]), &ints(&[2])];
    case("Slice every second of [1, 64, 64, 64]", &Slice, &inputs, &[1, 2, 3, 4], (F32, &[1, 64, 64, 32]));
    let rows = ints(&(0..128).map(|row| row * 37 % 1000).collect::<Vec<_>>());
    let table = bench::noise(&[1000, 384]);
    case("Gather 128 rows of 384", &Gather { axis: 0 }, &[&table, &rows], &[], (F32, &[128, 384]));
    let one = Tensor::from_slice(&[1i64], [1]).unwrap();
    case("Gather one number", &Gather { axis: 0 }, &[&one, &ints(&[0])], &[], (I64, &[1]));
}

fn folds() {
    for (rows, columns) in [(128, 384), (1536, 128), (40, 6625), (4096, 10)] {
        let x = bench::noise(&[rows, columns]);
        let shape = (F32, &[rows, columns][..]);
        let op = Softmax { axis: -1, log: false, flatten: false };
        case(&format!("Softmax [{rows}, {columns}]"), &op, &[&x], &[], shape);
        let scale = bench::noise(&[columns]);
        let op = LayerNormalization { axis: -1, epsilon: 1e-5 };
        case(&format!("LayerNormalization [{rows}, {columns}]"), &op, &[&x, &scale, &scale], &[], shape);
        let mean = |axis: i64| {
            let op = Reduce { kind: ReduceKind::Mean, keep_dims: true, noop_with_empty_axes: false };
            let output = if axis == 0 { [1, columns] } else { [rows, 1] };
            let name = format!("ReduceMean [{rows}, {columns}] along {axis}");
            case(&name, &op, &[&x, &ints(&[axis])], &[1], (F32, &output));
        };
        mean(0);
        mean(1);
    }
    let x = bench::noise(&[1, 2, 64, 64]);
    let op = Softmax { axis: 1, log: false, flatten: false };
    case("Softmax [1, 2, 64, 64] along 1", &op, &[&x], &[], (F32, x.shape()));
    let x = bench::noise(&[1, 64, 64, 64]);
    let op = ArgReduce { max: true, axis: 1, keep_dims: false, select_last: false };
    case("ArgMax [1, 64, 64, 64] along 1", &op, &[&x], &[], (I64, &[1, 64, 64]));
    let op = GlobalPool { kind: GlobalPoolKind::Average };
    case("GlobalAveragePool [1, 64, 64, 64]", &op, &[&x], &[], (F32, &[1, 64, 1, 1]));
}

fn images() {
    let x = bench::noise(&[1, 64, 64, 64]);
    for (kernel, stride, pad) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 1, 2)] {
        let window = Window {
            kernel: Some(vec![kernel; 2]),
            strides: vec![stride; 2],
            dilations: vec![],
            padding: Padding::Explicit(vec![pad; 4]),
        };
        let side = (64 + 2 * pad - kernel) / stride + 1;
        let output = (F32, &[1, 64, side, side][..]);
        let op = MaxPool { window: window.clone(), ceil: false, storage_order: 0 };
        case(&format!("MaxPool {kernel}x{kernel} stride {stride}"), &op, &[&x], &[], output);
        let op = AveragePool { window, ceil: false, count_include_pad: false };
        case(&format!("AveragePool {kernel}x{kernel} stride {stride}"), &op, &[&x], &[], output);
    }
    let cases = [
        ("nearest x2", ResizeMode::Nearest, CoordinateMode::Asymmetric, 2.0),
        ("nearest x1.5", ResizeMode::Nearest, CoordinateMode::Asymmetric, 1.5),
        ("linear x2", ResizeMode::Linear, CoordinateMode::HalfPixel, 2.0),
        ("linear x2 aligned", ResizeMode::Linear, CoordinateMode::AlignCorners, 2.0),
        ("linear x0.5", ResizeMode::Linear, CoordinateMode::HalfPixel, 0.5),
        ("cubic x2", ResizeMode::Cubic { coeff_a: -0.75 }, CoordinateMode::HalfPixel, 2.0),
    ];
    for (name, mode, coordinates, scale) in cases {
        let op = Resize {
            mode,
            coordinates,
            nearest: NearestMode::Floor,
            antialias: false,
            exclude_outside: false,
            extrapolation: 0.0,
            axes: None,
            keep_aspect: KeepAspect::Stretch,
        };
        let scales = Tensor::from_slice(&[1.0, 1.0, scale, scale], [4]).unwrap();
        let none = Tensor::from_slice::<f32>(&[], [0]).unwrap();
        let side = (64.0 * scale) as usize;
        let name = format!("Resize {name}");
        case(&name, &op, &[&x, &none, &scales], &[1, 2], (F32, &[1, 64, side, side]));
    }
    let shape = Shape::from([64]);
    let vector = bench::noise(&shape);
    let positive = Tensor::from_slice(&[1.0f32; 64], [64]).unwrap();
    let op = BatchNormalization { epsilon: 1e-5 };
    let inputs = [&x, &vector, &vector, &vector, &positive];
    case("BatchNormalization", &op, &inputs, &[1, 2, 3, 4], (F32, x.shape()));
}

fn bytes() {
    let x = bench::noise(&[1, 64, 64, 64]);
    let scale = Tensor::scalar(0.01f32);
    let zero = Tensor::scalar(3i8);
    let op = QuantizeLinear { axis: 1, block_size: 0, to: I8, saturate: true };
    case("QuantizeLinear", &op, &[&x, &scale, &zero], &[], (I8, x.shape()));
    let whole = Tensor::zeros(I8, x.shape());
    let op = DequantizeLinear { axis: 1, block_size: 0 };
    case("DequantizeLinear", &op, &[&whole, &scale, &zero], &[], (F32, x.shape()));
    let op = Cast { to: F32, saturate: true };
    case("Cast i8 to f32", &op, &[&whole], &[], (F32, x.shape()));
    let halves = Tensor::zeros(ElementType::F16, x.shape());
    case("Cast f16 to f32", &op, &[&halves], &[], (F32, x.shape()));
    let op = Cast { to: U8, saturate: true };
    case("Cast f32 to u8", &op, &[&x], &[], (U8, x.shape()));
}

fn ints(values: &[i64]) -> Tensor {
    Tensor::from_slice(values, [values.len()]).unwrap()
}
