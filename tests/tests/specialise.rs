//! Real models fitted to the shapes of their fixtures: every shape is then known, and the outputs' are the fixture's.
//!
//! Nothing is run here. What the numbers are is the business of the tests that run the models.

use inferry_behaviour::data;
use inferry_core::Shape;
use inferry_cpu::{Evaluator, Isa};
use inferry_engine::graph::{Graph, verify};
use inferry_engine::{Model, passes};

type Shapes = &'static [&'static [usize]];

/// A model, the shapes of its fixture's inputs, and those of its outputs.
const FIXTURES: &[(&str, Shapes, Shapes)] = &[
    ("basic_pitch/nmp.onnx", &[&[1, 43844, 1]], &[&[1, 172, 88], &[1, 172, 88], &[1, 172, 264]]),
    (
        "blazeface_back256/face_detection_back_256x256_barracuda.onnx",
        &[&[1, 256, 256, 3]],
        &[&[1, 512, 1], &[1, 384, 1], &[1, 512, 16], &[1, 384, 16]],
    ),
    (
        "derived_blazeface_back/face_detection_back_256x256_barracuda.fp16_io32.onnx",
        &[&[1, 256, 256, 3]],
        &[&[1, 512, 1], &[1, 384, 1], &[1, 512, 16], &[1, 384, 16]],
    ),
    (
        "derived_blazeface_back/face_detection_back_256x256_barracuda.opset21.onnx",
        &[&[1, 256, 256, 3]],
        &[&[1, 512, 1], &[1, 384, 1], &[1, 512, 16], &[1, 384, 16]],
    ),
    ("derived_mtcnn_onet/onet.dynamic_u8.onnx", &[&[8, 48, 48, 3]], &[&[8, 4], &[8, 10], &[8, 2]]),
    ("derived_mtcnn_onet/onet.fp16.onnx", &[&[8, 48, 48, 3]], &[&[8, 4], &[8, 10], &[8, 2]]),
    ("derived_mtcnn_onet/onet.int8_qdq.onnx", &[&[8, 48, 48, 3]], &[&[8, 4], &[8, 10], &[8, 2]]),
    ("derived_mtcnn_onet/onet.int8_qoperator.onnx", &[&[8, 48, 48, 3]], &[&[8, 4], &[8, 10], &[8, 2]]),
    ("dtln/model_1.onnx", &[&[1, 1, 257], &[1, 2, 128, 2]], &[&[1, 1, 257], &[1, 2, 128, 2]]),
    ("dtln/model_2.onnx", &[&[1, 1, 512], &[1, 2, 128, 2]], &[&[1, 1, 512], &[1, 2, 128, 2]]),
    ("magika/model.onnx", &[&[8, 2048]], &[&[8, 214]]),
    ("minilm_int8/model.onnx", &[&[6, 15], &[6, 15], &[6, 15]], &[&[6, 15, 384]]),
    ("mlsd_tiny/mlsd_512x512_tiny.onnx", &[&[1, 512, 512, 4]], &[&[1, 256, 256, 4], &[1, 256, 256, 1]]),
    ("mtcnn_cascade/onet.onnx", &[&[6, 48, 48, 3]], &[&[6, 4], &[6, 10], &[6, 2]]),
    ("mtcnn_cascade/pnet.onnx", &[&[1, 155, 155, 3]], &[&[1, 73, 73, 4], &[1, 73, 73, 2]]),
    ("mtcnn_cascade/rnet.onnx", &[&[8, 24, 24, 3]], &[&[8, 4], &[8, 2]]),
    ("ppocrv4/ch_PP-OCRv4_det_infer.onnx", &[&[1, 3, 160, 224]], &[&[1, 1, 160, 224]]),
    ("ppocrv4/ch_PP-OCRv4_rec_infer.onnx", &[&[1, 3, 48, 632]], &[&[1, 79, 6625]]),
    ("ppocrv4/ch_ppocr_mobile_v2.0_cls_infer.onnx", &[&[6, 3, 48, 192]], &[&[6, 2]]),
    // The other sampling rate.
    ("silero_vad/silero_vad.onnx", &[&[1, 288], &[2, 1, 128], &[]], &[&[1, 1], &[2, 1, 128]]),
    ("silero_vad/silero_vad.onnx", &[&[1, 576], &[2, 1, 128], &[]], &[&[1, 1], &[2, 1, 128]]),
    (
        "silero_vad/silero_vad_16k_sequence.onnx",
        &[&[8, 576], &[1, 1, 128], &[1, 1, 128]],
        &[&[8], &[1, 1, 128], &[1, 1, 128]],
    ),
    ("silero_vad/silero_vad_openvino_16k.onnx", &[&[1, 576], &[2, 1, 128]], &[&[1, 1], &[2, 1, 128]]),
    ("tinyocr_v6/PP-OCRv6_det_tiny.onnx", &[&[1, 3, 160, 224]], &[&[1, 1, 160, 224]]),
    ("tinyocr_v6/PP-OCRv6_rec_tiny.onnx", &[&[1, 3, 48, 582]], &[&[1, 73, 6906]]),
];

/// Names of the computed values whose shape is not known. Of several bodies one must be all known: the others may not fit
/// these shapes (Silero has a branch for each sampling rate), and then they are left as they are.
fn open_values(graph: &Graph) -> Vec<String> {
    let mut open = Vec::new();
    for node in &graph.nodes {
        for id in node.outputs.iter().flatten() {
            let fact = graph.fact(*id);
            if fact.is_none_or(|fact| fact.shape.fixed().is_none()) {
                open.push(format!(
                    "{}: {}",
                    graph.describe(node),
                    fact.map_or("?".into(), ToString::to_string)
                ));
            }
        }
        let bodies = node.op.bodies().iter().map(|body| open_values(&body.graph));
        open.extend(bodies.min_by_key(Vec::len).unwrap_or_default());
    }
    open
}

#[test]
fn every_shape_is_known_once_the_inputs_are() {
    let evaluator = Evaluator(Isa::portable());
    for (name, inputs, outputs) in FIXTURES {
        let Some(path) = data::find(name) else { continue };
        let mut model = Model::from_onnx(&std::fs::read(path).unwrap()).unwrap();
        passes::run(&mut model.graph, &evaluator, passes::Options::default()).unwrap();
        let shapes: Vec<Shape> = inputs.iter().map(|extents| Shape::new(extents).unwrap()).collect();
        let special = passes::specialise(&model.graph, &shapes, &evaluator).unwrap();
        verify(&special).unwrap();
        assert_eq!(open_values(&special), [""; 0], "{name}");
        let found: Vec<_> =
            special.outputs.iter().map(|id| special.fact(*id).unwrap().shape.fixed().unwrap()).collect();
        assert!(found.iter().map(|shape| &shape[..]).eq(outputs.iter().copied()), "{name}: {found:?}");
        // Arithmetic on shapes is gone.
        let left = special.nodes.iter().find(|node| ["Shape", "Size"].contains(&node.op.name()));
        assert!(left.is_none(), "{name}: {left:?}");
    }
}

#[test]
fn every_fixture_has_its_line() {
    let mut listed: Vec<&str> = FIXTURES.iter().map(|(name, ..)| *name).collect();
    listed.dedup();
    assert_eq!(data::models(), listed);
}
