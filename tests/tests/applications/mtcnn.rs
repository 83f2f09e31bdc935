//! Where faces are, with five points each: MTCNN, a cascade of three networks (Zhang et al., 2016).
//!
//! ```text
//! picture ─▶ pyramid ─▶ P-Net, a run a level ─▶ boxes ─▶ R-Net ─▶ fewer ─▶ O-Net ─▶ faces
//!    └──────────────────────────────────────────▶ crops ───┴────▶ crops ────┘
//! ```
//!
//! The levels of the pyramid are in flight together, each a request with a shape of its own. Crops are read from regions of
//! the one picture; all that a network looks at are one batch. Right and bottom of a box name its last pixel.
//!
//! The networks want columns before rows.

use inferry::{CompiledModel, Options, Outputs, Request, Runtime, Tensor};
use inferry_behaviour::data::{carried, expected, find};
use inferry_behaviour::world;
use serde_json::Value;

use crate::boxes::{Rect, best};
use crate::picture::{self, COLOURS, Picture};
use crate::{assert_near, items, numbers, tensor};

/// The smallest face that is looked for, in pixels.
const SMALLEST: f64 = 20.0;
/// What P-Net sees of it.
const CELL: f64 = 12.0;
/// Pixels from a place of P-Net's map to the next.
const STRIDE: f64 = 2.0;
/// From a level of the pyramid to the next.
const SHRINK: f64 = 0.709;
/// How sure each network must be.
const SURE: [f64; 3] = [0.6, 0.7, 0.7];
/// Boxes of one level that overlap by more are one.
const OVERLAP_IN_LEVEL: f64 = 0.5;
/// And boxes afterwards.
const OVERLAP: f64 = 0.7;

/// Half of the last digit of recorded places, in pixels, and what 32-bit floats may add.
const PLACES: f64 = 0.05 + 0.01;
/// And of how sure a face is.
const SURENESS: f64 = 0.5e-4 + 1e-4;

#[test]
fn one_face_and_five_faces_are_found_through_three_networks() {
    let paths = ["pnet", "rnet", "onet"].map(|name| find(&format!("mtcnn_cascade/{name}.onnx")));
    let [Some(propose), Some(refine), Some(decide)] = paths else { return };
    let runtime = Runtime::new().unwrap();
    let compile = |path| runtime.compile_file(path, Options::throughput()).unwrap();
    let mut cascade = Cascade {
        propose: compile(propose),
        refine: compile(refine).request().unwrap(),
        decide: compile(decide).request().unwrap(),
    };
    let expected = expected("mtcnn_cascade");
    // The fifth face of the second picture comes with something that is none; the recording has it, too.
    for (name, count) in [("astronaut", 1), ("faces5", 6)] {
        let picture = picture::read(&carried(&format!("blazeface_back256/{name}.png")));
        let recorded = &expected["result"][name];
        let number = |key: &str| recorded[key].as_u64().unwrap() as usize;
        let proposed = cascade.proposals(&picture);
        assert_eq!(proposed.len(), number("after_pnet"), "{name}");
        let refined = cascade.refined(&picture, &proposed);
        assert_eq!(refined.len(), number("after_rnet"), "{name}");
        let faces = cascade.faces(&picture, &refined);
        assert_eq!(faces.len(), count, "{name}: {faces:?}");
        assert_recorded(&faces, items(&recorded["faces"]), name);
    }
}

fn assert_recorded(faces: &[Face], recorded: &[Value], name: &str) {
    assert_eq!(faces.len(), recorded.len(), "{name}");
    for (face, recorded) in faces.iter().zip(recorded) {
        assert_near(&face.place.corners(), &numbers(&recorded["box"]), PLACES, name);
        assert_near(&[face.sure], &[recorded["score"].as_f64().unwrap()], SURENESS, name);
        for (point, recorded) in face.points.iter().zip(items(&recorded["landmarks"])) {
            assert_near(point, &numbers(recorded), PLACES, name);
        }
    }
}

struct Cascade {
    propose: CompiledModel,
    refine: Request,
    decide: Request,
}

/// Something that may be a face.
#[derive(Clone, Debug)]
struct Face {
    place: Rect,
    /// 0 to 1.
    sure: f64,
    /// Eyes, nose, corners of the mouth; P-Net and R-Net give none.
    points: Vec<[f64; 2]>,
}

impl Cascade {
    /// What P-Net finds at any size.
    fn proposals(&self, picture: &Tensor) -> Vec<Face> {
        let whole = crop(picture, 0, 0, picture.shape()[1] as i64 - 1, picture.shape()[0] as i64 - 1);
        let scales = scales(whole.height.min(whole.width));
        let mut requests: Vec<Request> = scales.iter().map(|_| self.propose.request().unwrap()).collect();
        let runs: Vec<_> = requests
            .iter_mut()
            .zip(&scales)
            .map(|(request, scale)| {
                let shrunk = |side: usize| (side as f64 * scale).ceil() as usize;
                let level = whole.area(shrunk(whole.height), shrunk(whole.width));
                request.set_input(0, input(&[level])).unwrap();
                request.start().unwrap()
            })
            .collect();
        let found = runs.into_iter().zip(&scales).flat_map(|(run, scale)| {
            let found = of_level(&run.wait().unwrap(), *scale);
            best(
                found,
                |(place, ..)| place.sure,
                |(a, ..), (b, ..)| a.place.overlap(&b.place, 1.0) > OVERLAP_IN_LEVEL,
            )
        });
        let found = found.collect();
        let found =
            best(found, |(face, _)| face.sure, |(a, _), (b, _)| a.place.overlap(&b.place, 1.0) > OVERLAP);
        found
            .into_iter()
            .map(|(face, shift)| Face { place: squared(shifted(face.place, shift, 0.0)), ..face })
            .collect()
    }

    /// What R-Net leaves of them.
    fn refined(&mut self, picture: &Tensor, faces: &[Face]) -> Vec<Face> {
        if faces.is_empty() {
            return Vec::new();
        }
        self.refine.set_input(0, crops(picture, faces, 24)).unwrap();
        let outputs = self.refine.start().unwrap().wait().unwrap();
        let (shifts, sure) = (quads(&outputs, "dense_2"), sureness(&outputs, "softmax_1"));
        let found = faces.iter().zip(shifts).zip(sure).filter(|(_, sure)| *sure > SURE[1]);
        let found = found.map(|((face, shift), sure)| (Face { sure, ..face.clone() }, shift)).collect();
        let found =
            best(found, |(face, _)| face.sure, |(a, _), (b, _)| a.place.overlap(&b.place, 1.0) > OVERLAP);
        found
            .into_iter()
            .map(|(face, shift)| Face { place: squared(shifted(face.place, shift, 1.0)), ..face })
            .collect()
    }

    /// What O-Net leaves of those, with points.
    fn faces(&mut self, picture: &Tensor, faces: &[Face]) -> Vec<Face> {
        if faces.is_empty() {
            return Vec::new();
        }
        self.decide.set_input(0, crops(picture, faces, 48)).unwrap();
        let outputs = self.decide.start().unwrap().wait().unwrap();
        let (shifts, sure) = (quads(&outputs, "dense_5"), sureness(&outputs, "softmax_2"));
        let points = world::numbers(outputs.get("dense_6").unwrap());
        let found = faces.iter().zip(shifts).zip(sure).zip(points.chunks_exact(10));
        let found = found.filter(|((_, sure), _)| *sure > SURE[2]).map(|(((face, shift), sure), points)| {
            let points = (0..5).map(|k| inside(&face.place, points[k], points[5 + k])).collect();
            Face { place: shifted(face.place, shift, 1.0), sure, points }
        });
        best(found.collect(), |face| face.sure, |a, b| a.place.cover(&b.place, 1.0) > OVERLAP)
    }
}

/// The scales of the pyramid of a picture whose shorter side has so many pixels.
fn scales(side: usize) -> Vec<f64> {
    let first = CELL / SMALLEST;
    let scales = std::iter::successors(Some(first), |scale| Some(scale * SHRINK));
    scales.take_while(|scale| side as f64 * scale >= CELL).collect()
}

/// The boxes of a level of the pyramid, in pixels of the picture, and how they should be shifted.
fn of_level(outputs: &Outputs<'_>, scale: f64) -> Vec<(Face, [f64; 4])> {
    let rows = outputs.get("softmax").unwrap().shape()[2];
    let pixel = |at: usize, offset: f64| ((STRIDE * at as f64 + offset) / scale).trunc();
    let found = sureness(outputs, "softmax").into_iter().zip(quads(outputs, "conv2d_4")).enumerate();
    found
        .filter(|(_, (sure, _))| *sure >= SURE[0])
        .map(|(at, (sure, shift))| {
            let (x, y) = (at / rows, at % rows);
            let (left, top) = (pixel(x, 1.0), pixel(y, 1.0));
            let place = Rect { left, top, right: pixel(x, CELL), bottom: pixel(y, CELL) };
            (Face { place, sure, points: Vec::new() }, shift)
        })
        .collect()
}

/// The second of each two numbers: how sure a network is.
fn sureness(outputs: &Outputs<'_>, name: &str) -> Vec<f64> {
    world::numbers(outputs.get(name).unwrap()).chunks_exact(2).map(|pair| pair[1].into()).collect()
}

fn quads(outputs: &Outputs<'_>, name: &str) -> Vec<[f64; 4]> {
    let numbers = world::numbers(outputs.get(name).unwrap());
    numbers.as_chunks().0.iter().map(|quad: &[f32; 4]| quad.map(f64::from)).collect()
}

/// Each edge moved by a share of width or height, which count the last pixel when `pixel` is 1.
fn shifted(place: Rect, shift: [f64; 4], pixel: f64) -> Rect {
    let (width, height) = (place.right - place.left + pixel, place.bottom - place.top + pixel);
    Rect {
        left: place.left + shift[0] * width,
        top: place.top + shift[1] * height,
        right: place.right + shift[2] * width,
        bottom: place.bottom + shift[3] * height,
    }
}

/// The square around the same centre with the longer side.
fn squared(place: Rect) -> Rect {
    let (width, height) = (place.right - place.left, place.bottom - place.top);
    let side = width.max(height);
    let (left, top) = (place.left + (width - side) / 2.0, place.top + (height - side) / 2.0);
    Rect { left, top, right: left + side, bottom: top + side }
}

fn inside(place: &Rect, x: f32, y: f32) -> [f64; 2] {
    let (width, height) = (place.right - place.left + 1.0, place.bottom - place.top + 1.0);
    [place.left + f64::from(x) * width, place.top + f64::from(y) * height]
}

/// The pixels in the boxes as a batch of squares.
fn crops(picture: &Tensor, faces: &[Face], side: usize) -> Tensor {
    let crops = faces.iter().map(|face| {
        let [left, top, right, bottom] = face.place.corners().map(|edge| edge as i64);
        crop(picture, left, top, right, bottom).area(side, side)
    });
    input(&crops.collect::<Vec<_>>())
}

/// A part of a picture, black where it reaches beyond; `right` and `bottom` are the last pixels.
fn crop(picture: &Tensor, left: i64, top: i64, right: i64, bottom: i64) -> Picture {
    let cut = |from: i64, to: i64, end: usize| {
        let within = |edge: i64| edge.clamp(0, end as i64) as usize;
        within(from)..within(to + 1)
    };
    let (rows, columns) = (cut(top, bottom, picture.shape()[0]), cut(left, right, picture.shape()[1]));
    let mut crop = Picture::black((bottom - top + 1) as usize, (right - left + 1) as usize);
    if !rows.is_empty() && !columns.is_empty() {
        let (begin, first) = ((rows.start as i64 - top) as usize, (columns.start as i64 - left) as usize);
        crop.paste(&picture.region(&[rows, columns, 0..COLOURS]).unwrap(), begin, first);
    }
    crop
}

/// Pictures of one size as the networks want them: columns before rows, around 0.
fn input(pictures: &[Picture]) -> Tensor {
    let (height, width) = (pictures[0].height, pictures[0].width);
    let mut values = Vec::with_capacity(pictures.len() * height * width * COLOURS);
    for picture in pictures {
        for x in 0..width {
            for y in 0..height {
                let pixel = &picture.values[(y * width + x) * COLOURS..][..COLOURS];
                values.extend(pixel.iter().map(|value| (value - 127.5) / 128.0));
            }
        }
    }
    tensor(&values, [pictures.len(), width, height, COLOURS])
}
