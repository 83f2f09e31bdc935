//! Passes give the same results as the graph they were given.
//!
//! Each model is computed twice without any plan or request: its inputs are made constants, and folding then computes
//! everything, node by node. Once the graph is as the file has it, once as `run` and `specialise` leave it. So a difference is a
//! mistake of a pass and of nothing else. Numbers may differ by rounding, since a folded weight is rounded at another place.
//! What a device fuses for itself is tested with the device.

use inferry_behaviour::data;
use inferry_core::{ElementType, Shape, Tensor};
use inferry_cpu::{Evaluator, Isa};
use inferry_engine::graph::{Fact, Graph};
use inferry_engine::{Model, passes};

/// A model, the shapes of its inputs, and how far outputs may differ, relative to the largest number of each.
const MODELS: &[(&str, &[&[usize]], f32)] = &[
    ("basic_pitch/nmp.onnx", &[&[1, 43844, 1]], 1e-3),
    ("blazeface_back256/face_detection_back_256x256_barracuda.onnx", &[&[1, 256, 256, 3]], 1e-4),
    ("derived_mtcnn_onet/onet.int8_qdq.onnx", &[&[2, 48, 48, 3]], 1e-4),
    ("ppocrv4/ch_ppocr_mobile_v2.0_cls_infer.onnx", &[&[1, 3, 48, 192]], 1e-4),
    ("silero_vad/silero_vad_openvino_16k.onnx", &[&[1, 576], &[2, 1, 128]], 1e-4),
    ("tinyocr_v6/PP-OCRv6_det_tiny.onnx", &[&[1, 3, 64, 96]], 1e-3),
    ("tinyocr_v6/PP-OCRv6_rec_tiny.onnx", &[&[1, 3, 48, 96]], 1e-3),
];

/// Numbers between -1 and 1 that look like noise, the same everywhere.
fn noise(shape: &Shape, seed: u32) -> Tensor {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let values: Vec<f32> = (0..shape.count()).map(|_| next()).collect();
    Tensor::from_slice(&values, shape).unwrap()
}

/// The outputs of a graph for these inputs, as f32.
fn computed(mut graph: Graph, inputs: &[Tensor], what: &str) -> Vec<Vec<f32>> {
    let ids = std::mem::take(&mut graph.inputs);
    for (id, tensor) in ids.iter().zip(inputs) {
        graph.value_mut(*id).fact = Some(Fact::constant(tensor.clone()));
    }
    passes::propagate(&mut graph, &Evaluator(Isa::portable())).unwrap();
    let missing: Vec<String> = graph.nodes.iter().take(3).map(|node| graph.describe(node)).collect();
    let output = |id| graph.constant(id).unwrap_or_else(|| panic!("{what}: not computed: {missing:?}"));
    graph.outputs.iter().map(|id| output(*id).to_vec().unwrap()).collect()
}

#[test]
fn the_graph_of_the_file_and_the_graph_of_the_passes_compute_the_same() {
    let evaluator = Evaluator(Isa::portable());
    for (name, shapes, tolerance) in MODELS {
        let Some(path) = data::find(name) else { continue };
        let model = Model::from_onnx(&std::fs::read(path).unwrap()).unwrap();
        assert!(model.inputs().iter().all(|port| port.element == ElementType::F32));
        let shapes: Vec<Shape> = shapes.iter().map(|extents| Shape::new(extents).unwrap()).collect();
        let inputs: Vec<Tensor> =
            shapes.iter().enumerate().map(|(index, shape)| noise(shape, index as u32 + 1)).collect();

        let mut rewritten = model.graph.clone();
        passes::run(&mut rewritten, &evaluator, passes::Options::default()).unwrap();
        let rewritten = passes::specialise(&rewritten, &shapes, &evaluator).unwrap();
        assert!(rewritten.nodes.len() < model.graph.nodes.len(), "{name}: no pass found anything to do");

        let plain = computed(model.graph, &inputs, name);
        let after = computed(rewritten, &inputs, name);
        assert_eq!(plain.len(), after.len());
        for (index, (a, b)) in plain.iter().zip(&after).enumerate() {
            assert_eq!(a.len(), b.len(), "{name}, output {index}");
            let largest = a.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0f32, |worst, by| worst.max(by));
            assert!(largest > 0.0 && largest.is_finite(), "{name}, output {index}: largest {largest}");
            assert!(worst <= tolerance * largest, "{name}, output {index}: differs by {worst} of {largest}");
        }
    }
}
