//! Compiled models as files: an imported one gives bit for bit what the compiled one gave, whatever the model; a cache saves the
//! second compilation; and a file that was changed is refused, or gives a model that does no harm.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use inferry::npz::Arrays;
use inferry::{
    Cached, CompileError, CompiledModel, ElementType, ExportError, ImportError, ImportProblem, Options,
    Runtime, Tensor, Variable,
};
use inferry_behaviour::data;

/// A folder of the test's own, removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Temporary {
        let folder = std::env::temp_dir().join(format!("inferry-{name}-{}", std::process::id()));
        _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Temporary(folder)
    }

    /// The compiled models in it.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|end| end == "inferry")).collect()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn exported(model: &CompiledModel) -> Vec<u8> {
    let mut bytes = Vec::new();
    model.export(&mut bytes).unwrap();
    bytes
}

/// A model's inputs as its fixture has them, the first run of several.
fn fixture(case: &str, model: &CompiledModel) -> Option<Vec<Tensor>> {
    let arrays = Arrays::open(data::carried(&case.replace(".onnx", ".npz"))).unwrap();
    let of = |index: usize, name: &str| {
        let array = arrays.get(&format!("input_{index}")).or_else(|| arrays.get(name));
        array.or_else(|| arrays.get(&format!("run0_input_{index}"))).cloned()
    };
    model.inputs().iter().map(|port| of(port.index, &port.name)).collect()
}

/// The bits of each output.
fn run(model: &CompiledModel, inputs: &[Tensor]) -> Vec<String> {
    let outputs = model.infer(inputs.iter().cloned().enumerate()).unwrap().into_vec();
    outputs.iter().map(bits).collect()
}

fn bits(tensor: &Tensor) -> String {
    let content = match tensor.element() {
        ElementType::String => format!("{:?}", tensor.strings().unwrap().iter().collect::<Vec<_>>()),
        _ => format!("{:?}", &tensor.lease_read().unwrap().bytes()[tensor.byte_range()]),
    };
    format!("{} {} {content}", tensor.element(), tensor.shape())
}

#[test]
fn every_model_gives_the_same_bits_when_it_comes_from_its_export() {
    let (runtime, folder) = (Runtime::new().unwrap(), Temporary::new("export-all"));
    let (mut tried, mut file) = (0, 0);
    for case in data::models() {
        let Some(path) = data::find(&case) else { continue };
        let compiled = runtime.compile_file(&path, Options::inline()).unwrap();
        let Some(inputs) = fixture(&case, &compiled) else { panic!("{case}: no inputs") };
        let before = exported(&compiled);
        let wanted = run(&compiled, &inputs);
        let after = exported(&compiled);
        let mapped = folder.0.join(format!("{file}.inferry"));
        file += 1;
        fs::write(&mapped, &after).unwrap();
        let imported = [
            runtime.import_bytes(before, Options::inline()),
            runtime.import_bytes(after.clone(), Options::inline()),
            runtime.import_file(&mapped, Options::latency()),
        ];
        for imported in imported {
            let imported = imported.unwrap_or_else(|error| panic!("{case}: {error}"));
            assert_eq!(imported.inputs(), compiled.inputs(), "{case}");
            assert_eq!(imported.outputs(), compiled.outputs(), "{case}");
            assert!(run(&imported, &inputs) == wanted, "{case}");
            // What is exported again has lost nothing.
            if imported.streams() > 0 {
                assert_eq!(exported(&imported).len(), after.len(), "{case}");
            }
        }
        tried += 1;
    }
    assert!(tried >= 12, "{tried} models");
}

#[test]
fn what_cannot_be_exported_says_so() {
    let Some(path) = data::find("silero_vad/silero_vad.onnx") else { return };
    let model = Runtime::new().unwrap().compile_file(path, Options::inline()).unwrap();
    let silence = Tensor::zeros(ElementType::F32, [2, 1, 128]);
    let detector = model.with_variables([Variable::new("state", "stateN").starting_at(silence)]).unwrap();
    assert!(matches!(detector.export(Vec::new()), Err(ExportError::Unsupported)));
    // A writer that takes no more.
    let error = model.export(&mut [0u8; 100][..]).unwrap_err();
    assert!(matches!(error, ExportError::Write(_)), "{error}");
}

const SMALL: &str = "mtcnn_cascade/rnet.onnx";

fn image() -> [Tensor; 1] {
    let values: Vec<f32> = (0..24 * 24 * 3).map(|index| (index % 17) as f32 / 9.0 - 1.0).collect();
    [Tensor::from_slice(&values, [1, 24, 24, 3]).unwrap()]
}

#[test]
fn a_cache_saves_the_second_compilation_and_heals() {
    let Some(path) = data::find(SMALL) else { return };
    let folder = Temporary::new("cache");
    let runtime = Runtime::new().unwrap();
    let wanted = run(&runtime.compile_file(&path, Options::inline()).unwrap(), &image());
    let runtime = runtime.cached(folder.0.join("deeper"));
    let deeper = Temporary(folder.0.join("deeper"));
    let compile = || runtime.compile_file(&path, Options::inline()).unwrap();
    let first = compile();
    assert!(matches!(first.cached(), Cached::Compiled { refused: None }), "{:?}", first.cached());
    assert_eq!(run(&first, &image()), wanted);
    first.wait_cache().unwrap();
    let second = compile();
    assert!(second.loaded_from_cache());
    assert_eq!(run(&second, &image()), wanted);
    second.wait_cache().unwrap();
    // By its bytes, and as a graph.
    let bytes = fs::read(&path).unwrap();
    assert!(runtime.compile_bytes(&bytes, Options::inline()).unwrap().loaded_from_cache());
    let graph = inferry::read_model(&path).unwrap();
    let of_graph = runtime.compile(&graph, Options::inline()).unwrap();
    assert!(!of_graph.loaded_from_cache());
    assert_eq!(run(&of_graph, &image()), wanted);
    of_graph.wait_cache().unwrap();
    assert!(runtime.compile(&graph, Options::inline()).unwrap().loaded_from_cache());
    // Damaged files are refused, and replaced.
    let files = deeper.files();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::remove_file(file).unwrap();
        fs::write(file, bytes).unwrap();
    }
    let third = compile();
    let Cached::Compiled { refused: Some(reason) } = third.cached() else { panic!("{:?}", third.cached()) };
    assert!(reason.to_string().contains("damaged"), "{reason}");
    assert_eq!(run(&third, &image()), wanted);
    third.wait_cache().unwrap();
    assert!(compile().loaded_from_cache());
    let measured = runtime.compile_file(&path, Options::inline().profiling(true)).unwrap();
    assert!(matches!(measured.cached(), Cached::Off));
    let left: Vec<_> = fs::read_dir(&deeper.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().unwrap() != "part"), "{left:?}");
}

#[test]
fn a_changed_model_is_another_model() {
    let Some(path) = data::find(SMALL) else { return };
    let Some(other) = data::find("mtcnn_cascade/pnet.onnx") else { return };
    let folder = Temporary::new("cache-changed");
    let model = folder.0.join("model.onnx");
    // Old enough to be known by its times alone.
    let put = |from: &Path, seconds: u64| {
        fs::copy(from, &model).unwrap();
        let time = SystemTime::now() - Duration::from_secs(seconds);
        fs::File::options().write(true).open(&model).unwrap().set_modified(time).unwrap();
    };
    let runtime = Runtime::new().unwrap().cached(folder.0.join("cache"));
    let compile = || {
        let model = runtime.compile_file(&model, Options::inline()).unwrap();
        run(&model, &image());
        model.wait_cache().unwrap();
        (model.loaded_from_cache(), model.outputs().len())
    };
    put(&path, 1000);
    let rnet = compile();
    assert!(!rnet.0 && compile() == (true, rnet.1));
    put(&other, 500);
    let pnet = compile();
    assert!(!pnet.0, "what was seen of the path was of another file");
    put(&path, 1000);
    assert_eq!(compile(), (true, rnet.1));
}

#[test]
fn a_batch_of_a_model_from_the_cache_is_right_each_time() {
    let Some(path) = data::find(SMALL) else { return };
    let folder = Temporary::new("cache-batch");
    let runtime = Runtime::new().unwrap().cached(&folder.0);
    let compile = || runtime.compile_file(&path, Options::inline()).unwrap();
    let first = compile();
    run(&first, &image());
    first.wait_cache().unwrap();
    let cached = compile();
    assert!(cached.loaded_from_cache());
    let batched = cached.batched(inferry::Batching { size: 4, limit: Duration::from_millis(1) }).unwrap();
    assert!(batched.loaded_from_cache());
    for item in 0..5 {
        let values: Vec<f32> =
            image()[0].to_vec().unwrap().iter().map(|value: &f32| value * item as f32).collect();
        let image = [Tensor::from_slice(&values, [1, 24, 24, 3]).unwrap()];
        assert_eq!(run(&batched, &image), run(&first, &image), "item {item}");
    }
}

#[test]
fn models_of_open_shapes_are_cached_when_they_have_run() {
    let Some(path) = data::find("tinyocr_v6/PP-OCRv6_rec_tiny.onnx") else { return };
    let folder = Temporary::new("cache-open");
    let runtime = Runtime::new().unwrap().cached(&folder.0);
    let compile = || runtime.compile_file(&path, Options::inline()).unwrap();
    let first = compile();
    first.wait_cache().unwrap();
    assert!(folder.files().is_empty(), "nothing is known of its shapes");
    let inputs = fixture("tinyocr_v6/PP-OCRv6_rec_tiny.onnx", &first).unwrap();
    let wanted = run(&first, &inputs);
    first.wait_cache().unwrap();
    let [file] = &folder.files()[..] else { panic!("{:?}", folder.files()) };
    let written = fs::metadata(file).unwrap().modified().unwrap();
    let second = compile();
    assert!(second.loaded_from_cache());
    assert_eq!(run(&second, &inputs), wanted);
    second.wait_cache().unwrap();
    // All that it needed was there: nothing was packed, so nothing is written.
    assert_eq!(fs::metadata(file).unwrap().modified().unwrap(), written);
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_cache_and_nothing_else() {
    let Some(path) = data::find(SMALL) else { return };
    let folder = Temporary::new("cache-no-folder");
    // Not even an administrator makes a folder below a file.
    let file = folder.0.join("file");
    fs::write(&file, b"not a folder").unwrap();
    let runtime = Runtime::new().unwrap().cached(file.join("below"));
    let model = runtime.compile_file(&path, Options::inline()).unwrap();
    run(&model, &image());
    let error = model.wait_cache().unwrap_err();
    assert!(error.to_string().contains("below"), "{error}");
    assert!(!model.loaded_from_cache());
    let missing = runtime.compile_file("no/such.onnx", Options::inline()).map(drop);
    assert!(matches!(missing, Err(CompileError::File(_))));
}

#[test]
fn a_model_outlives_its_runtime_and_its_file() {
    let Some(path) = data::find("mtcnn_cascade/onet.onnx") else { return };
    let folder = Temporary::new("import-outlives");
    let file = folder.0.join("onet.inferry");
    let image = Tensor::zeros(ElementType::F32, [1, 48, 48, 3]);
    let wanted = {
        let runtime = Runtime::new().unwrap();
        let model = runtime.compile_file(path, Options::inline()).unwrap();
        let wanted = run(&model, std::slice::from_ref(&image));
        fs::write(&file, exported(&model)).unwrap();
        wanted
    };
    assert!(fs::metadata(&file).unwrap().len() > 1 << 20, "large enough to be mapped");
    let model = Runtime::new().unwrap().import_file(&file, Options::latency()).unwrap();
    if cfg!(unix) {
        fs::remove_file(&file).unwrap();
    }
    let mut request = model.request().unwrap();
    drop(model);
    request.set_input(0, image).unwrap();
    let outputs = request.start().unwrap().wait().unwrap();
    let outputs: Vec<_> = (0..wanted.len()).map(|index| bits(outputs.get(index).unwrap())).collect();
    assert_eq!(outputs, wanted);
}

fn problem(bytes: Vec<u8>) -> ImportProblem {
    match Runtime::new().unwrap().import_bytes(bytes, Options::inline()) {
        Err(ImportError::Model { path: None, source }) => *source,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_compiled_model_is_told_so() {
    let Some(path) = data::find(SMALL) else { return };
    let model = Runtime::new().unwrap().compile_file(&path, Options::inline()).unwrap();
    let whole = exported(&model);
    assert!(matches!(problem(Vec::new()), ImportProblem::Foreign));
    assert!(matches!(problem(b"a".repeat(1000)), ImportProblem::Foreign));
    assert!(matches!(problem(fs::read(&path).unwrap()), ImportProblem::Foreign));
    let cut = whole[..whole.len() - 64].to_vec();
    assert!(matches!(problem(cut), ImportProblem::Length { found, wanted } if found + 64 == wanted));
    let mut newer = whole.clone();
    newer[8] = 77;
    assert!(matches!(problem(newer), ImportProblem::Format { found: 77, .. }));
    let error = Runtime::new().unwrap().import_file("no/such.inferry", Options::inline()).unwrap_err();
    assert!(error.to_string().starts_with("no/such.inferry: "), "{error}");
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let Some(path) = data::find(SMALL) else { return };
    let model = Runtime::new().unwrap().compile_file(&path, Options::inline()).unwrap();
    let wanted = run(&model, &image());
    let (whole, runtime) = (exported(&model), Runtime::new().unwrap());
    let random = inferry_behaviour::random::Random::new(6);
    let (mut refused, mut same) = (0, 0);
    for round in 0..4000 {
        let mut bytes = whole.clone();
        // Half of them where the head, the directory and the graph are.
        let most = if round % 2 == 0 { bytes.len() } else { bytes.len().min(20_000) };
        for _ in 0..1 + random.below(3) {
            let at = random.below(most);
            bytes[at] ^= 1 << random.below(8);
        }
        if round % 16 == 0 {
            bytes.truncate(random.below(whole.len()));
        }
        match runtime.import_bytes(bytes, Options::inline()) {
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "{error}");
                refused += 1;
            }
            // A byte that only fills up.
            Ok(model) => {
                assert_eq!(run(&model, &image()), wanted, "round {round}");
                same += 1;
            }
        }
    }
    assert!(refused > 3000, "{refused} were refused, {same} were as before");
}
