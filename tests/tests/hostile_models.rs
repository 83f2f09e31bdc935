//! Damaged model files: whatever the bytes are, they give a result or one clear line; nothing panics, hangs, or takes memory
//! that is not there.
//!
//! Three real models and three of many small operators are cut and changed byte by byte, from a fixed seed, so that a
//! failure can be had again: the message names the model and the number of the change. Half of the changes are made near words (names and operators),
//! because most bytes of a model are weights, where a change does no harm. What can still be imported is compiled and run,
//! on a machine that is pretended to have little memory: whoever does not ask politely for it aborts this test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use inferry::{CompiledModel, ElementType, InferErrorKind, Options, Port, Runtime, Shape, Tensor};
use inferry_behaviour::data;
use inferry_engine::{Model, graph, onnx, passes};

const MODELS: [&str; 6] = [
    "operators/functions.onnx",
    "operators/microsoft.onnx",
    "operators/standard.onnx",
    "mtcnn_cascade/pnet.onnx",
    "silero_vad/silero_vad.onnx",
    "derived_blazeface_back/face_detection_back_256x256_barracuda.fp16_io32.onnx",
];

/// A model of the fixtures, or of those that answer for operators.
fn find(name: &str) -> Option<PathBuf> {
    match name.strip_prefix("operators/") {
        Some(_) => Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../host-std/tests").join(name)),
        None => data::find(name),
    }
}

/// Changes of each model.
const ROUNDS: usize = 400;

/// Bytes that this process may hold at a time. All tests of this file share them.
const MEMORY: usize = 1 << 30;

struct Capped;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator, or refused.
unsafe impl GlobalAlloc for Capped {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if HELD.fetch_add(layout.size(), Ordering::Relaxed).saturating_add(layout.size()) > MEMORY {
            HELD.fetch_sub(layout.size(), Ordering::Relaxed);
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() {
            HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Capped = Capped;

/// How far damaged bytes got.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Got {
    Refused,
    Imported,
    Compiled,
    Ran,
}

/// An error must say what is wrong in one line.
fn one_line(error: &dyn std::fmt::Display, what: &str) {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{what}: {text:?}");
}

/// Does everything with the bytes that a user would do; whatever goes wrong must be said in one line.
fn survives(bytes: &[u8], what: &str) -> Got {
    let imported = catch_unwind(|| is_imported(bytes, what)).unwrap_or_else(|_| panic!("{what}: see above"));
    if !imported {
        return Got::Refused;
    }
    catch_unwind(|| runs(bytes, what)).unwrap_or_else(|_| panic!("{what}: see above"))
}

/// Compiles and runs.
fn runs(bytes: &[u8], what: &str) -> Got {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));
    let compiled = match RUNTIME.compile_bytes(bytes, Options::inline()) {
        Ok(compiled) => compiled,
        Err(error) => {
            one_line(&error, what);
            return Got::Imported;
        }
    };
    match is_run(&compiled) {
        Some(Ok(())) => Got::Ran,
        // Inputs that are too large to try it, or a run that would take long.
        None => Got::Compiled,
        Some(Err(error)) => {
            one_line(&error, what);
            assert_ne!(error.kind(), InferErrorKind::Panicked, "{what}: {}", error.full_text());
            Got::Compiled
        }
    }
}

fn is_run(compiled: &CompiledModel) -> Option<Result<(), inferry::InferError>> {
    let mut request = match compiled.request() {
        Ok(request) => request,
        Err(error) => return Some(Err(error.into())),
    };
    for port in compiled.inputs() {
        if let Err(error) = request.set_input(port.index, input(port)?) {
            return Some(Err(error.into()));
        }
    }
    match request.infer_deadline(Instant::now() + LONG) {
        Err(error) if error.kind() == InferErrorKind::Timeout => None,
        ended => Some(ended.map(drop)),
    }
}

/// What a port takes and, while the model is whole, makes it run: zeros of a small shape, or a rate of sampling.
fn input(port: &Port) -> Option<Tensor> {
    if port.element == ElementType::I64 && port.shape.fixed() == Some(Shape::scalar()) {
        return Some(Tensor::scalar(16_000_i64));
    }
    let dims = port.shape.dims()?;
    let open = |axis| match (dims.len(), axis) {
        (2, 1) => 576,
        (4, 1 | 2) => 64,
        _ => 1,
    };
    let dims = dims.iter().enumerate().map(|(axis, dim)| dim.fixed().unwrap_or_else(|| open(axis)));
    let shape = Shape::new(&dims.collect::<Vec<_>>()).ok()?;
    shape.checked_len().filter(|len| *len <= 1 << 20)?;
    Tensor::try_zeros(port.element, shape).ok()
}

/// A damaged model may have much to compute; then it is stopped.
const LONG: Duration = Duration::from_secs(2);

thread_local! {
    /// Where a test says what it is about to try.
    static WATCHED: RefCell<Option<mpsc::Sender<String>>> = const { RefCell::new(None) };
}

/// Runs `test` on a thread of its own; one that tries the same thing for a minute hangs.
fn watched(test: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        WATCHED.set(Some(tell));
        test();
        WATCHED.set(None);
    });
    let mut last = String::from("nothing yet");
    loop {
        match told.recv_timeout(Duration::from_secs(60)) {
            Ok(next) => last = next,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{last}: it hangs"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn about_to_try(what: &str) {
    WATCHED.with_borrow(|tell| tell.as_ref().map(|tell| tell.send(what.to_owned())));
}

/// Imports the bytes and follows what is known through the graph. True when that worked.
fn is_imported(bytes: &[u8], what: &str) -> bool {
    about_to_try(what);
    if let Ok(survey) = onnx::survey(bytes, &onnx::Limits::default()) {
        assert!(survey.operators.len() <= survey.nodes());
    }
    let mut model = match Model::from_onnx(bytes) {
        Ok(model) => model,
        Err(error) => {
            one_line(&error, what);
            return false;
        }
    };
    graph::verify(&model.graph).unwrap_or_else(|error| panic!("{what}: {error}"));
    _ = (model.inputs(), model.outputs());
    match passes::run(&mut model.graph, &passes::NoArithmetic, passes::Options::default()) {
        Ok(()) => true,
        Err(error @ passes::PassError::Broken { .. }) => panic!("{what}: {error}"),
        Err(error) => {
            one_line(&error, what);
            false
        }
    }
}

/// Marsaglia's xorshift: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Where words of at least four letters begin.
fn words(bytes: &[u8]) -> Vec<usize> {
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphabetic);
    (0..bytes.len()).filter(|at| (0..4).all(|step| letter(at + step))).collect()
}

fn change(bytes: &mut Vec<u8>, at: usize, numbers: &mut Numbers) {
    match numbers.below(7) {
        0 => bytes[at] ^= 1 << numbers.below(8),
        1 => bytes[at] = numbers.next() as u8,
        2 => _ = bytes.remove(at),
        3 => bytes.insert(at, numbers.next() as u8),
        4 => bytes[at] = 0xff,
        5 => {
            let end = (at + 1 + numbers.below(16)).min(bytes.len());
            bytes[at..end].fill(if numbers.below(2) == 0 { 0 } else { 0xff });
        }
        _ => {
            let end = (at + 1 + numbers.below(64)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
}

#[test]
fn cut_models_end_in_one_line() {
    watched(|| {
        for name in MODELS {
            let Some(path) = find(name) else { continue };
            let bytes = std::fs::read(path).unwrap();
            assert!(survives(&bytes, name) == Got::Ran, "{name} is whole");
            let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
            let short = 0..64;
            let random = (0..80).map(|_| numbers.below(bytes.len())).collect::<Vec<_>>();
            let end = bytes.len() - 64..bytes.len();
            for length in short.chain(random).chain(end) {
                // A cut between two fields at the top of the file may leave a model.
                survives(&bytes[..length], &format!("{name} cut to {length} bytes"));
            }
        }
    });
}

#[test]
fn changed_models_end_in_one_line() {
    watched(|| {
        for name in MODELS {
            let Some(path) = find(name) else { continue };
            let bytes = std::fs::read(path).unwrap();
            let words = words(&bytes);
            let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
            let mut got = Vec::new();
            for round in 0..ROUNDS {
                let mut changed = bytes.clone();
                let near_a_word = |numbers: &mut Numbers| {
                    (words[numbers.below(words.len())] + numbers.below(48)).saturating_sub(8)
                };
                if round % 2 == 0 {
                    // One bit in one byte of a name, a number or a length: often a model still, and another one.
                    let at = near_a_word(&mut numbers).min(changed.len() - 1);
                    changed[at] ^= 1 << numbers.below(8);
                } else {
                    for _ in 0..1 + numbers.below(3) {
                        let anywhere = numbers.below(2) == 0;
                        let at = match anywhere {
                            true => numbers.below(changed.len()),
                            false => near_a_word(&mut numbers).min(changed.len() - 1),
                        };
                        change(&mut changed, at, &mut numbers);
                    }
                }
                got.push(survives(&changed, &format!("{name}, change {round}")));
            }
            // Changes that are never noticed would mean that they are not made where it matters; and changes that are
            // always noticed at once, that nothing is tried after the import.
            let [refused, imported, compiled, ran] = [Got::Refused, Got::Imported, Got::Compiled, Got::Ran]
                .map(|stage| got.iter().filter(|got| **got == stage).count());
            println!("{name}: {refused} refused, {imported} not compiled, {compiled} not run, {ran} run");
            // Of a model without weights nearly every byte matters, and one change in twelve leaves it whole.
            assert!(refused > ROUNDS / 10 && ran > ROUNDS / 20, "{name}: {refused} were refused, {ran} ran");
        }
    });
}

#[test]
fn bytes_that_are_no_model_are_told_so() {
    let mut numbers = Numbers(88_172_645_463_325_252);
    for length in [0, 1, 2, 3, 8, 100, 4096] {
        for round in 0..20 {
            let bytes: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
            assert!(!is_imported(&bytes, &format!("random bytes {length}, round {round}")));
        }
    }
    assert!(!is_imported(b"PK\x03\x04 this is a zip archive", "a zip archive"));
    assert!(!is_imported(b"{\"this is\": \"JSON\"}", "JSON"));
}
