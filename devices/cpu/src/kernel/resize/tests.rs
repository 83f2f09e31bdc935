//! Values from onnxruntime, and rows of images against the definition.

use super::*;
use crate::isa::Isa;
use crate::kernel::testing::{assert_close, noise, run, run_one, tensor};
use inferry_core::{Shape, Tensor};
use inferry_engine::op::CoordinateMode::{self, *};
use inferry_engine::op::KeepAspect;
use inferry_engine::op::NearestMode::{self, *};
use inferry_engine::op::ResizeMode::{Cubic, Linear, Nearest};

const CUBIC: ResizeMode = Cubic { coeff_a: -0.75 };

/// A resampling of the numbers 1 to 16 as an image of 4 by 4, and what onnxruntime 1.31 makes of it.
struct Case {
    mode: ResizeMode,
    coordinates: CoordinateMode,
    nearest: NearestMode,
    antialias: bool,
    exclude_outside: bool,
    scales: [f32; 2],
    wanted: &'static [f32],
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { mode: Nearest, coordinates: HalfPixel, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.6, 1.7],
        wanted: &[1.0, 1.0, 2.0, 3.0, 3.0, 4.0, 9.0, 9.0, 10.0, 11.0, 11.0, 12.0] },
    Case { mode: Nearest, coordinates: HalfPixel, nearest: RoundPreferCeil, antialias: false, exclude_outside: false, scales: [0.6, 1.7],
        wanted: &[1.0, 1.0, 2.0, 3.0, 3.0, 4.0, 9.0, 9.0, 10.0, 11.0, 11.0, 12.0] },
    Case { mode: Nearest, coordinates: Asymmetric, nearest: Floor, antialias: false, exclude_outside: false, scales: [0.6, 1.7],
        wanted: &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0] },
    Case { mode: Nearest, coordinates: Asymmetric, nearest: Ceil, antialias: false, exclude_outside: false, scales: [0.75, 1.25],
        wanted: &[1.0, 2.0, 3.0, 4.0, 4.0, 9.0, 10.0, 11.0, 12.0, 12.0, 13.0, 14.0, 15.0, 16.0, 16.0] },
    Case { mode: Nearest, coordinates: AlignCorners, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.75, 1.5],
        wanted: &[1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0, 6.0, 6.0, 7.0, 7.0, 8.0, 13.0, 14.0, 14.0, 15.0, 15.0, 16.0] },
    Case { mode: Linear, coordinates: HalfPixel, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.6, 1.7],
        wanted: &[2.33333, 2.71569, 3.30392, 3.89216, 4.48039, 5.06863, 9.0, 9.38235, 9.97059, 10.55882, 11.14706, 11.73529] },
    Case { mode: Linear, coordinates: HalfPixelSymmetric, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.6, 1.7],
        wanted: &[3.69608, 4.28431, 4.87255, 5.46078, 6.04902, 6.63726, 10.36275, 10.95098, 11.53922, 12.12745, 12.71569, 13.30392] },
    Case { mode: Linear, coordinates: PytorchHalfPixel, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.3, 1.5],
        wanted: &[1.0, 1.5, 2.16667, 2.83333, 3.5, 4.0] },
    Case { mode: Linear, coordinates: AlignCorners, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.75, 1.5],
        wanted: &[1.0, 1.6, 2.2, 2.8, 3.4, 4.0, 7.0, 7.6, 8.2, 8.8, 9.4, 10.0, 13.0, 13.6, 14.2, 14.8, 15.4, 16.0] },
    Case { mode: Linear, coordinates: AlignCorners, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [1.0, 0.6],
        wanted: &[1.0, 3.14286, 5.0, 7.14286, 9.0, 11.14286, 13.0, 15.14286] },
    Case { mode: CUBIC, coordinates: AlignCorners, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.8, 0.8],
        wanted: &[1.0, 2.39519, 3.79038, 6.58077, 7.97596, 9.37115, 12.16154, 13.55673, 14.95192] },
    Case { mode: Linear, coordinates: Asymmetric, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.5, 2.0],
        wanted: &[1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.0, 9.0, 9.5, 10.0, 10.5, 11.0, 11.5, 12.0, 12.0] },
    Case { mode: Linear, coordinates: HalfPixel, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [1.0, 2.0],
        wanted: &[1.0, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4.0, 5.0, 5.25, 5.75, 6.25, 6.75, 7.25, 7.75, 8.0, 9.0, 9.25, 9.75, 10.25, 10.75, 11.25, 11.75, 12.0, 13.0, 13.25, 13.75, 14.25, 14.75, 15.25, 15.75, 16.0] },
    Case { mode: Linear, coordinates: HalfPixel, nearest: RoundPreferFloor, antialias: true, exclude_outside: false, scales: [0.6, 0.6],
        wanted: &[2.875, 4.5, 9.375, 11.0] },
    Case { mode: CUBIC, coordinates: HalfPixel, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.6, 1.7],
        wanted: &[1.93967, 2.33778, 2.99357, 3.58136, 4.24221, 4.83388, 8.90263, 9.30074, 9.95653, 10.54432, 11.20517, 11.79684] },
    Case { mode: CUBIC, coordinates: Asymmetric, nearest: RoundPreferFloor, antialias: false, exclude_outside: true, scales: [0.5, 1.5],
        wanted: &[1.0, 1.54386, 2.37037, 3.0, 3.76667, 4.16216, 9.0, 9.54386, 10.37037, 11.0, 11.76667, 12.16216] },
    Case { mode: CUBIC, coordinates: AlignCorners, nearest: RoundPreferFloor, antialias: false, exclude_outside: false, scales: [0.75, 1.5],
        wanted: &[1.0, 1.504, 2.248, 2.752, 3.496, 4.0, 7.0, 7.504, 8.248, 8.752, 9.496, 10.0, 13.0, 13.50399, 14.24801, 14.75201, 15.496, 16.0] },
    Case { mode: CUBIC, coordinates: HalfPixel, nearest: RoundPreferFloor, antialias: true, exclude_outside: false, scales: [0.6, 0.6],
        wanted: &[2.51807, 4.28589, 9.58933, 11.35714] },
    Case { mode: CUBIC, coordinates: HalfPixel, nearest: RoundPreferFloor, antialias: true, exclude_outside: true, scales: [0.6, 0.6],
        wanted: &[2.60714, 4.39098, 9.74248, 11.52632] },
];

fn op(mode: ResizeMode, coordinates: CoordinateMode) -> Resize {
    Resize {
        mode,
        coordinates,
        nearest: RoundPreferFloor,
        antialias: false,
        exclude_outside: false,
        extrapolation: 0.0,
        axes: None,
        keep_aspect: KeepAspect::Stretch,
    }
}

fn resized(op: &Resize, x: &Tensor, scales: &[f32], isa: Isa) -> Vec<f32> {
    let sampling = op.resolve(x.shape(), None, Some(scales), None).unwrap();
    let inputs = [Some(x.clone()), None, Some(tensor(scales, [scales.len()]))];
    let output = (x.element(), Shape::new(&sampling.output).unwrap());
    run(op, &inputs, &[output], isa)[0].to_vec().unwrap()
}

#[test]
fn values_of_the_peers() {
    let values: Vec<f32> = (1..=16).map(|x| x as f32).collect();
    for case in CASES {
        let mut op = op(case.mode, case.coordinates);
        op.nearest = case.nearest;
        op.antialias = case.antialias;
        op.exclude_outside = case.exclude_outside;
        for isa in Isa::detect_for_tests() {
            let [y, x] = case.scales;
            // As an image, by the definition (with a dimension more that changes), and in other dimensions.
            let image = resized(&op, &tensor(&values, [1, 4, 4]), &[1.0, y, x], isa);
            assert_close(&image, case.wanted, 2e-5, 0.0);
            let turned = resized(&op, &tensor(&values, [4, 4, 1]), &[y, x, 1.0], isa);
            assert_close(&turned, case.wanted, 2e-5, 0.0);
        }
    }
}

#[test]
fn rows_agree_with_the_definition() {
    let shapes = [Shape::from([2, 5, 9]), [1, 7, 40].into(), [1, 1, 1].into()];
    let coordinates = [HalfPixel, PytorchHalfPixel, AlignCorners, Asymmetric];
    for shape in shapes {
        let values = noise(shape.count(), 11);
        let wide: Vec<f64> = values.iter().map(|x| f64::from(*x)).collect();
        for scales in [[1.0f32, 2.0, 2.0], [1.0, 1.0, 2.0], [1.0, 3.0, 1.0], [1.0, 0.5, 0.7], [1.0, 1.3, 4.0]]
        {
            for (mode, coordinates) in
                [Linear, CUBIC].into_iter().flat_map(|mode| coordinates.map(|c| (mode, c)))
            {
                let op = op(mode, coordinates);
                let sampling = op.resolve(&shape, None, Some(&scales), None).unwrap();
                let output = Shape::new(&sampling.output).unwrap();
                let inputs = [Some(tensor(&wide, shape.clone())), None, Some(tensor(&scales, [3]))];
                let exact = run(&op, &inputs, &[(ElementType::F64, output)], Isa::portable());
                let exact: Vec<f32> = exact[0].to_vec::<f64>().unwrap().iter().map(|x| *x as f32).collect();
                for isa in Isa::detect_for_tests() {
                    let result = resized(&op, &tensor(&values, shape.clone()), &scales, isa);
                    assert_close(&result, &exact, 1e-6, 1e-6);
                }
            }
        }
    }
}

#[test]
fn a_crop_shows_a_constant_outside() {
    let values: Vec<f32> = (1..=16).map(|x| x as f32).collect();
    let cases = [
        (Nearest, [7.0, 10.0, 10.0, 11.0, 10.0, 10.0, 10.0, 10.0, 10.0]),
        (Linear, [7.6, 10.0, 10.0, 12.4, 10.0, 10.0, 10.0, 10.0, 10.0]),
    ];
    for (mode, wanted) in cases {
        let mut op = op(mode, TfCropAndResize);
        op.extrapolation = 10.0;
        let inputs = [
            Some(tensor(&values, [1, 1, 4, 4])),
            Some(tensor(&[0.0f32, 0.0, 0.4, 0.6, 1.0, 1.0, 1.2, 1.7], [8])),
            None,
            Some(tensor(&[1i64, 1, 3, 3], [4])),
        ];
        let result = run(&op, &inputs, &[(ElementType::F32, [1, 1, 3, 3].into())], Isa::portable());
        assert_close(&result[0].to_vec::<f32>().unwrap(), &wanted, 1e-5, 0.0);
    }
}

#[test]
fn nearest_neighbours_of_any_type() {
    let scales = tensor(&[2.0f32, 2.0], [2]);
    let mut op = op(Nearest, Asymmetric);
    op.nearest = Floor;
    let empty = tensor::<f32>(&[], [0]);
    let x = tensor(&[1u8, 2, 3, 4], [2, 2]);
    let wanted = [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4];
    assert_eq!(run_one::<u8>(&op, &[&x, &empty, &scales], [4, 4]), wanted);
    let x = tensor(&[true, false], [1, 2]);
    let wanted = [true, true, false, false].repeat(2);
    assert_eq!(run_one::<bool>(&op, &[&x, &empty, &scales], [2, 4]), wanted);
}
