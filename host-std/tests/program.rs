//! The program `inferry` as a user meets it: real models against their fixtures, and one clear line for whatever is wrong.
//!
//! Each model is a test of its own, so that an absent one is one skipped test.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use inferry::npz::Arrays;
use inferry::{ElementType, Tensor};
use inferry_behaviour::data;
use serde_json::Value;

/// What the program did.
struct Done {
    code: i32,
    out: String,
    err: String,
}

fn inferry<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Done {
    let output =
        Command::new(env!("CARGO_BIN_EXE_inferry")).args(arguments).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    Done {
        code: output.status.code().expect("no signal"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A path in a folder that cargo keeps for these tests.
fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn fixture_of(model: &str) -> PathBuf {
    data::carried(&model.replace(".onnx", ".npz"))
}

/// Looks at a model and runs it.
fn works(model: &str) {
    let Some(path) = data::find(model) else { return };
    is_inspected(model, &path);
    matches_its_fixture(model, &path);
}

/// `inspect` counts what another reader of ONNX counted.
fn is_inspected(model: &str, path: &Path) {
    let (case, file) = model.split_once('/').expect("a case and a file");
    let meta = fs::read(data::carried(&format!("{case}/meta.json"))).expect("a readable file");
    let meta: Value = serde_json::from_slice(&meta).expect("JSON");
    let known =
        meta["models"].as_array().expect("a list").iter().find(|known| known["file"] == file).expect(model);
    let Done { code, out, err } =
        inferry(["inspect".as_ref(), "--json".as_ref(), "--model".as_ref(), path.as_os_str()]);
    assert_eq!((code, err.as_str()), (0, ""));
    let seen: Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!((&seen["parameters"], &seen["nodes"]), (&known["params"], &known["nodes"]));
    assert_eq!(seen["unsupported"], Value::Array(Vec::new()));
    for operator in seen["operators"].as_array().expect("a list") {
        assert_eq!(operator["count"], known["ops"][operator["name"].as_str().expect("a name")], "{operator}");
    }
    let names = |ports: &Value| {
        ports.as_array().expect("a list").iter().map(|port| port["name"].clone()).collect::<Vec<_>>()
    };
    for side in ["inputs", "outputs"] {
        assert_eq!(names(&seen[side]), names(&known[side]));
    }
}

/// `run` agrees with the fixture, with the tolerance that was given for the model.
fn matches_its_fixture(model: &str, path: &Path) {
    let data::Tolerance { atol, rtol, outside } = data::tolerance(model);
    let (atol, rtol, outside) = (atol.to_string(), rtol.to_string(), outside.to_string());
    let mut command: Vec<&OsStr> = vec!["run".as_ref(), "--model".as_ref(), path.as_os_str()];
    let fixture = fixture_of(model);
    command.extend(["--npz".as_ref(), fixture.as_os_str()]);
    command.extend(["--atol", &atol, "--rtol", &rtol, "--outside", &outside, "--json"].map(OsStr::new));
    let Done { code, out, err } = inferry(command);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let report: Value = serde_json::from_str(&out).expect("one JSON object");
    let outputs =
        Arrays::open(&fixture).unwrap().iter().filter(|(name, _)| name.starts_with("output_")).count();
    assert!(outputs > 0, "the fixture holds outputs");
    assert_eq!(report["compared"], outputs, "{out}");
    assert_eq!(report["passed"], true, "{out}");
}

macro_rules! models_work {
    ($($test:ident: $model:literal,)*) => {
        $(#[test] fn $test() { works($model) })*

        /// What the tests above run.
        const MODELS: &[&str] = &[$($model),*];
    };
}

models_work! {
    basic_pitch: "basic_pitch/nmp.onnx",
    blazeface: "blazeface_back256/face_detection_back_256x256_barracuda.onnx",
    blazeface_in_half_precision: "derived_blazeface_back/face_detection_back_256x256_barracuda.fp16_io32.onnx",
    blazeface_at_opset_21: "derived_blazeface_back/face_detection_back_256x256_barracuda.opset21.onnx",
    onet_dynamically_quantised: "derived_mtcnn_onet/onet.dynamic_u8.onnx",
    onet_in_half_precision: "derived_mtcnn_onet/onet.fp16.onnx",
    onet_with_quantise_and_dequantise: "derived_mtcnn_onet/onet.int8_qdq.onnx",
    onet_with_quantised_operators: "derived_mtcnn_onet/onet.int8_qoperator.onnx",
    dtln_in_the_spectrum: "dtln/model_1.onnx",
    dtln_in_time: "dtln/model_2.onnx",
    magika: "magika/model.onnx",
    minilm: "minilm_int8/model.onnx",
    mlsd: "mlsd_tiny/mlsd_512x512_tiny.onnx",
    mtcnn_first: "mtcnn_cascade/pnet.onnx",
    mtcnn_second: "mtcnn_cascade/rnet.onnx",
    mtcnn_third: "mtcnn_cascade/onet.onnx",
    ppocr_detector: "ppocrv4/ch_PP-OCRv4_det_infer.onnx",
    ppocr_recogniser: "ppocrv4/ch_PP-OCRv4_rec_infer.onnx",
    ppocr_direction: "ppocrv4/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    silero_with_branches: "silero_vad/silero_vad.onnx",
    silero_over_a_sequence: "silero_vad/silero_vad_16k_sequence.onnx",
    silero_without_branches: "silero_vad/silero_vad_openvino_16k.onnx",
    tinyocr_detector: "tinyocr_v6/PP-OCRv6_det_tiny.onnx",
    tinyocr_recogniser: "tinyocr_v6/PP-OCRv6_rec_tiny.onnx",
}

#[test]
fn no_model_with_a_fixture_is_left_out() {
    let mut tested = MODELS.to_vec();
    tested.sort();
    assert_eq!(tested, data::models());
}

const SILERO: &str = "silero_vad/silero_vad_openvino_16k.onnx";

/// Runs Silero on `fixture`.
fn run_silero(fixture: &Path, more: &[&str]) -> Done {
    let model = data::carried(SILERO);
    let mut command: Vec<&OsStr> = vec!["run".as_ref(), "--model".as_ref(), model.as_os_str()];
    command.extend(["--npz".as_ref(), fixture.as_os_str()]);
    command.extend(more.iter().map(OsStr::new));
    inferry(command)
}

/// Silero's fixture with a change, saved under `name`.
fn changed(name: &str, change: impl FnOnce(&mut Arrays)) -> PathBuf {
    let mut arrays = Arrays::open(fixture_of(SILERO)).unwrap();
    change(&mut arrays);
    let path = scratch(name);
    arrays.save(&path).unwrap();
    path
}

/// Silero's fixture without some of its arrays.
fn without(name: &str, gone: &[&str]) -> PathBuf {
    changed(name, |arrays| {
        let mut kept = Arrays::new();
        arrays
            .iter()
            .filter(|(name, _)| !gone.contains(name))
            .for_each(|(name, tensor)| kept.insert(name, tensor.clone()));
        *arrays = kept;
    })
}

/// One line on stderr that holds all these words, nothing on stdout, exit code 1.
fn fails_with(done: &Done, words: &[&str]) {
    assert_eq!((done.code, done.out.as_str()), (1, ""), "{}", done.err);
    assert!(done.err.starts_with("inferry: ") && done.err.ends_with('\n'), "{:?}", done.err);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    for word in words {
        assert!(done.err.contains(word), "{word} is not in {}", done.err);
    }
}

#[test]
fn outputs_are_written_as_the_fixture_has_them() {
    let out = scratch("silero_out.npz");
    let done = run_silero(&fixture_of(SILERO), &["--out", out.to_str().unwrap()]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let (written, wanted) = (Arrays::open(&out).unwrap(), Arrays::open(fixture_of(SILERO)).unwrap());
    assert_eq!(written.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["output_0", "output_1"]);
    for (name, tensor) in written.iter() {
        let wanted = wanted.get(name).unwrap();
        assert_eq!(tensor.shape(), wanted.shape());
        let pairs = tensor.to_vec::<f32>().unwrap().into_iter().zip(wanted.to_vec::<f32>().unwrap());
        assert!(pairs.into_iter().all(|(got, want)| (got - want).abs() < 1e-3), "{name}");
    }
}

#[test]
fn inputs_may_be_given_by_name() {
    let named = changed("silero_named.npz", |arrays| {
        let mut named = Arrays::new();
        for (from, to) in [("input_0", "input"), ("input_1", "state"), ("output_0", "output_0")] {
            named.insert(to, arrays.get(from).unwrap().clone());
        }
        *arrays = named;
    });
    let done = run_silero(&named, &[]);
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(done.out.contains("output_1 stateN f32 [2, 1, 128]: not compared"), "{}", done.out);
}

#[test]
fn outputs_that_lie_too_far_end_with_code_2() {
    let apart = changed("silero_apart.npz", |arrays| {
        let mut state = arrays.get("output_1").unwrap().to_vec::<f32>().unwrap();
        state[7] += 0.5;
        arrays.insert("output_1", Tensor::from_slice(&state, [2, 1, 128]).unwrap());
    });
    let done = run_silero(&apart, &[]);
    assert_eq!(done.code, 2);
    assert!(
        done.out.contains("output_1 stateN f32 [2, 1, 128]: FAILED: largest difference 5.0"),
        "{}",
        done.out
    );
    assert!(done.out.contains("at [0, 0, 7]") && done.out.contains("1 of 256 outside"), "{}", done.out);
    assert!(done.err.ends_with("not as expected: output 1 \"stateN\"\n"), "{}", done.err);
    assert_eq!(
        run_silero(&apart, &["--outside", "0.004"]).code,
        0,
        "1 of 256 is less than the share allowed"
    );
    assert_eq!(run_silero(&apart, &["--atol", "0.6"]).code, 0);
}

#[test]
fn an_output_of_another_shape_ends_with_code_2() {
    let shaped = changed("silero_shaped.npz", |arrays| arrays.insert("output_0", Tensor::scalar(0.5f32)));
    let done = run_silero(&shaped, &[]);
    assert_eq!(done.code, 2);
    assert!(
        done.out.contains("output_0 output f32 [1, 1]: FAILED: its shape is [1, 1], [] was expected"),
        "{}",
        done.out
    );
}

#[test]
fn a_fixture_that_does_not_fit_is_told_in_one_line() {
    let missing = without("silero_missing.npz", &["input_1"]);
    fails_with(&run_silero(&missing, &[]), &["silero_missing.npz", "input 1 \"state\"", "\"input_0\""]);
    let misnamed = changed("silero_misnamed.npz", |arrays| {
        let mut others = Arrays::new();
        others.insert("input_0", arrays.get("input_0").unwrap().clone());
        others.insert("stat", arrays.get("input_1").unwrap().clone());
        *arrays = others;
    });
    fails_with(&run_silero(&misnamed, &[]), &["silero_misnamed.npz", "input 1 \"state\"", "\"stat\""]);
    let beyond = changed("silero_beyond.npz", |arrays| arrays.insert("output_7", Tensor::scalar(1f32)));
    fails_with(&run_silero(&beyond, &[]), &["silero_beyond.npz", "\"output_7\"", "only 2 outputs"]);
    let typed = changed("silero_typed.npz", |arrays| {
        arrays.insert("input_0", Tensor::zeros(ElementType::F64, [1, 576]))
    });
    fails_with(
        &run_silero(&typed, &[]),
        &["silero_typed.npz", "\"input_0\"", "f64 [1, 576]", "\"input\"", "f32 [1, 576]"],
    );
    let shaped = changed("silero_shape.npz", |arrays| {
        arrays.insert("input_0", Tensor::zeros(ElementType::F32, [1, 5]))
    });
    fails_with(&run_silero(&shaped, &[]), &["silero_shape.npz", "\"input_0\"", "[1, 5]", "[1, 576]"]);
    let stray = changed("silero_stray.npz", |arrays| arrays.insert("input_2", Tensor::scalar(1i64)));
    fails_with(&run_silero(&stray, &[]), &["silero_stray.npz", "\"input_2\"", "only 2 inputs"]);
}

#[test]
fn what_is_no_fixture_is_told_in_one_line() {
    let path = scratch("no.npz");
    for bytes in [&b""[..], b"PK\x03\x04 and then nothing", &[0x5a; 5000]] {
        fs::write(&path, bytes).unwrap();
        fails_with(&run_silero(&path, &[]), &["no.npz"]);
    }
    fails_with(&run_silero(&scratch("absent.npz"), &[]), &["absent.npz"]);
}

#[test]
fn what_is_no_model_is_told_in_one_line() {
    let fixture = fixture_of(SILERO);
    let path = scratch("no.onnx");
    let whole = fs::read(data::carried(SILERO)).unwrap();
    let junk: Vec<u8> = (0..4000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [&b""[..], b"hello", &junk, &whole[..whole.len() / 2], &whole[..100]] {
        fs::write(&path, bytes).unwrap();
        for command in ["run", "bench", "inspect"] {
            let mut words: Vec<&OsStr> = vec![command.as_ref(), "--model".as_ref(), path.as_os_str()];
            if command != "inspect" {
                words.extend(["--npz".as_ref(), fixture.as_os_str()]);
            }
            fails_with(&inferry(words), &["no.onnx"]);
        }
    }
    fails_with(&inferry(["inspect", "--model", "absent.onnx"]), &["absent.onnx"]);
}

#[test]
fn operators_that_are_not_there_are_told_all_at_once() {
    let mut bytes = fs::read(data::carried(SILERO)).unwrap();
    for (from, to) in [("Sigmoid", "Sigmund"), ("Relu", "Rolu")] {
        for at in 0..bytes.len() - from.len() {
            if bytes[at..].starts_with(from.as_bytes()) {
                bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            }
        }
    }
    let path = scratch("unsupported.onnx");
    fs::write(&path, bytes).unwrap();
    let fixture = fixture_of(SILERO);
    for command in ["run", "bench"] {
        let words = ["--model".as_ref(), path.as_os_str(), "--npz".as_ref(), fixture.as_os_str()];
        let done = inferry([command.as_ref()].into_iter().chain(words));
        fails_with(&done, &["unsupported.onnx", "not supported", "Sigmund", "Rolu"]);
    }
    // Who asks what is in it is told, and told which of it cannot run.
    let done = inferry(["inspect".as_ref(), "--json".as_ref(), "--model".as_ref(), path.as_os_str()]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let seen: Value = serde_json::from_str(&done.out).expect("one JSON object");
    let unsupported = seen["unsupported"].to_string();
    assert!(unsupported.contains("Sigmund") && unsupported.contains("Rolu"), "{unsupported}");
}

#[test]
fn a_place_where_nothing_can_be_read_or_written_is_told_in_one_line() {
    let (folder, fixture) = (scratch(""), fixture_of(SILERO));
    fails_with(&run_silero(&folder, &[]), &[folder.to_str().unwrap()]);
    let no_folder = scratch("no_such_folder/out.npz");
    let done = run_silero(&fixture, &["--out", no_folder.to_str().unwrap()]);
    fails_with(&done, &["no_such_folder", "out.npz"]);
    for command in ["run", "bench"] {
        let words = ["--model".as_ref(), folder.as_os_str(), "--npz".as_ref(), fixture.as_os_str()];
        fails_with(&inferry([command.as_ref()].into_iter().chain(words)), &[folder.to_str().unwrap()]);
    }
}

#[test]
fn what_is_no_command_is_told_in_one_line() {
    fails_with(&inferry([] as [&str; 0]), &["run, inspect, bench or export"]);
    fails_with(&inferry(["walk"]), &["walk"]);
    fails_with(&inferry(["run", "--model", "x"]), &["--npz"]);
    fails_with(&inferry(["run", "--model", "x", "--npz", "y", "--atol", "-1"]), &["--atol"]);
    fails_with(&inferry(["run", "--model", "x", "--npz", "y", "--outside", "2"]), &["--outside"]);
    fails_with(&inferry(["bench", "--model", "x", "--npz", "y", "--threads", "0"]), &["--threads"]);
    fails_with(&inferry(["bench", "--model", "x", "--npz", "y", "--seconds", "nan"]), &["--seconds"]);
}

#[test]
fn what_was_compiled_once_is_loaded() {
    let (model, fixture) = (data::carried(SILERO), fixture_of(SILERO));
    let (out, cache) = (scratch("silero.inferry"), scratch("cache"));
    _ = fs::remove_dir_all(&cache);
    let with = |command: &str, model: &Path, more: [&OsStr; 2]| {
        let given = ["--model".as_ref(), model.as_os_str(), "--npz".as_ref(), fixture.as_os_str()];
        inferry([OsStr::new(command)].into_iter().chain(given).chain(more))
    };
    let done = with("export", &model, ["--out".as_ref(), out.as_os_str()]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let report = |done: Done| -> Value {
        assert_eq!((done.code, done.err.as_str()), (0, ""));
        serde_json::from_str(&done.out).expect("one JSON object")
    };
    let of_export = report(with("run", &out, ["--json".as_ref(), "--threads=1".as_ref()]));
    assert_eq!(of_export["passed"], true);
    let folder = format!("--cache={}", cache.display());
    for loaded in [false, true] {
        let run = report(with("run", &model, ["--json".as_ref(), folder.as_ref()]));
        assert_eq!((&run["passed"], &run["loaded_from_cache"]), (&true.into(), &loaded.into()));
    }
    // One that was damaged is told as such when it is asked for by name.
    let mut bytes = fs::read(&out).unwrap();
    bytes[100] ^= 1;
    fs::write(&out, bytes).unwrap();
    fails_with(
        &with("run", &out, ["--json".as_ref(), "--threads=1".as_ref()]),
        &["silero.inferry", "damaged"],
    );
}

#[test]
fn bench_measures_both_ways() {
    let (model, fixture) = (data::carried(SILERO), fixture_of(SILERO));
    for (api, requests) in [("sync", 1), ("async", 3)] {
        let mut command: Vec<&OsStr> = vec!["bench".as_ref(), "--model".as_ref(), model.as_os_str()];
        command.extend(["--npz".as_ref(), fixture.as_os_str()]);
        command.extend(
            ["--api", api, "--threads", "2", "--nireq", "3", "--seconds", "0.2", "--json"].map(OsStr::new),
        );
        let Done { code, out, err } = inferry(command);
        assert_eq!((code, err.as_str()), (0, ""));
        let report: Value = serde_json::from_str(&out).expect("one JSON object");
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("a number in {out}"));
        let [min, median, p90, p99, max, avg] =
            ["min", "median", "p90", "p99", "max", "avg"].map(|key| number(&report["latency_ms"][key]));
        assert!(0.0 < min && min <= median && median <= p90 && p90 <= p99 && p99 <= max, "{out}");
        assert!((min..=max).contains(&avg), "{out}");
        assert!(number(&report["count"]) >= 1.0 && number(&report["throughput"]) > 0.0, "{out}");
        assert!(number(&report["load_ms"]) > 0.0 && number(&report["first_ms"]) > 0.0, "{out}");
        assert_eq!((&report["threads"], &report["requests"]), (&2.into(), &requests.into()), "{out}");
        assert!(number(&report["streams"]) >= 1.0, "{out}");
    }
}
