//! Where faces are, with six points each: Google's BlazeFace.
//!
//! The network looks at a square picture through 896 anchors, two in each cell of a grid of 16 by 16 and six in each of 8 by 8,
//! and says for each how sure it is of a face there, and where the face lies, seen from the anchor. The same network as
//! float16 and in a later version of the format must find the same faces.

use inferry::{Options, Request, Runtime, Tensor};
use inferry_behaviour::data::{carried, expected, find, tolerance};
use inferry_behaviour::world;

use crate::boxes::{Rect, best};
use crate::picture::{self, COLOURS, Picture};
use crate::{assert_near, items, numbers, tensor};

/// Sides of the picture that the network sees.
const SIDE: usize = 256;
/// Cells in a row of a grid, and anchors in a cell.
const GRIDS: [(usize, usize); 2] = [(16, 2), (8, 6)];
/// Numbers for an anchor: centre, size, six points.
const NUMBERS: usize = 16;
/// A face is at least as sure as this.
const SURE: f64 = 0.6;
/// Faces that overlap by more are one.
const OVERLAP: f64 = 0.3;
/// Half of the last digit of recorded places, in pixels.
const HALF_DIGIT: f64 = 0.05;
/// And of how sure a face is.
const HALF_DIGIT_SURE: f64 = 0.5e-4;

#[test]
fn one_face_and_five_faces_are_found() {
    faces_are_found("blazeface_back256/face_detection_back_256x256_barracuda.onnx");
}

#[test]
fn the_same_faces_are_found_at_opset_21() {
    faces_are_found("derived_blazeface_back/face_detection_back_256x256_barracuda.opset21.onnx");
}

#[test]
fn the_same_faces_are_found_in_float16() {
    faces_are_found("derived_blazeface_back/face_detection_back_256x256_barracuda.fp16_io32.onnx");
}

fn faces_are_found(file: &str) {
    let Some(path) = find(file) else { return };
    let mut request =
        Runtime::new().unwrap().compile_file(path, Options::latency()).unwrap().request().unwrap();
    let atol = tolerance(file).atol;
    let expected = expected("blazeface_back256");
    for (name, count) in [("astronaut", 1), ("faces5", 5)] {
        let picture = picture::read(&carried(&format!("blazeface_back256/{name}.png")));
        let scale = picture.shape().iter().copied().max().unwrap() as f64 / SIDE as f64;
        let faces = detect(&mut request, &picture);
        let recorded = items(&expected["result"][name]["detections"]);
        assert_eq!((faces.len(), recorded.len()), (count, count), "{name}: {faces:?}");
        for (face, recorded) in faces.iter().zip(recorded) {
            let places = HALF_DIGIT + atol * scale;
            assert_near(&face.place.corners(), &numbers(&recorded["box"]), places, name);
            // The logistic function is nowhere steeper than 1/4.
            let sure = HALF_DIGIT_SURE + atol / 4.0;
            assert_near(&[face.sure], &[recorded["score"].as_f64().unwrap()], sure, name);
            for (point, recorded) in face.points.iter().zip(items(&recorded["keypoints"])) {
                assert_near(point, &numbers(recorded), places, name);
            }
        }
    }
}

#[derive(Debug)]
struct Face {
    place: Rect,
    /// 0 to 1.
    sure: f64,
    /// Eyes, nose, mouth, ears.
    points: [[f64; 2]; 6],
}

/// The faces in a picture `u8 [h, w, 3]`, the surest first.
fn detect(request: &mut Request, picture: &Tensor) -> Vec<Face> {
    let (height, width) = (picture.shape()[0], picture.shape()[1]);
    let side = height.max(width);
    let (top, left) = ((side - height) / 2, (side - width) / 2);
    let mut square = Picture::black(side, side);
    square.paste(picture, top, left);
    let small = square.triangle(SIDE, SIDE).values;
    let values: Vec<f32> = small.into_iter().map(|value| value / 127.5 - 1.0).collect();
    request.set_input(0, tensor(&values, [1, SIDE, SIDE, COLOURS])).unwrap();
    let outputs = request.start().unwrap().wait().unwrap();
    let output = |index: usize| world::numbers(outputs.get(index).unwrap());

    let logits = [output(0), output(1)].concat();
    let numbers = [output(2), output(3)].concat();
    let scale = side as f64 / SIDE as f64;
    let place = |x: f64, y: f64| [x * scale - left as f64, y * scale - top as f64];
    let faces = logits.iter().zip(numbers.chunks_exact(NUMBERS)).zip(anchors());
    let faces = faces.map(|((logit, numbers), anchor)| face(*logit, numbers, anchor, place));
    let faces = faces.filter(|face| face.sure > SURE).collect();
    best(faces, |face| face.sure, |a, b| a.place.overlap(&b.place, 0.0) > OVERLAP)
}

/// What the network says of an anchor, in pixels that `place` makes of its own.
fn face(logit: f32, numbers: &[f32], anchor: [f64; 2], place: impl Fn(f64, f64) -> [f64; 2]) -> Face {
    let at = |index: usize| f64::from(numbers[index]);
    let (x, y) = (anchor[0] + at(0), anchor[1] + at(1));
    let [left, top] = place(x - at(2) / 2.0, y - at(3) / 2.0);
    let [right, bottom] = place(x + at(2) / 2.0, y + at(3) / 2.0);
    Face {
        place: Rect { left, top, right, bottom },
        sure: 1.0 / (1.0 + f64::from(-logit).exp()),
        points: std::array::from_fn(|k| place(anchor[0] + at(4 + 2 * k), anchor[1] + at(5 + 2 * k))),
    }
}

/// The centres of the anchors, in pixels of the network.
fn anchors() -> impl Iterator<Item = [f64; 2]> {
    GRIDS.into_iter().flat_map(|(cells, count)| {
        let centre = move |cell: usize| (cell as f64 + 0.5) * SIDE as f64 / cells as f64;
        (0..cells * cells * count).map(move |index| {
            let cell = index / count;
            [centre(cell % cells), centre(cell / cells)]
        })
    })
}
