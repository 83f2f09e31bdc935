//! Every function that JavaScript can call, in one list.
//!
//! Sizes and addresses are 32 bits; as JavaScript sees 32 bits as signed, it writes `x >>> 0`. A budget is in milliseconds,
//! 0 is no limit. The functions do nothing but look up and report: what they mean is in the files that they call.
//!
//! | function | gives |
//! |---|---|
//! | `memory_take(len)` | the address of a new block of zeros, 0: no memory |
//! | `memory_give(address)` | [`DONE`] |
//! | `memory_used()` | bytes allocated at this moment |
//! | `load_begin(model, profiling, warm_ups)` | [`DONE`] |
//! | `load_limits(model, trips, memory, strings)` | [`DONE`]; what is no number from 0 on stays as it is |
//! | `load_shape(model, name, extents, rank)` | [`DONE`]; `name` and `extents` (words) are blocks that it keeps |
//! | `load_bytes(model, bytes)` | [`DONE`]; `bytes` is a block that it keeps |
//! | `load_step(model, budget)` | [`PENDING`], [`DONE`] |
//! | `load_stop(model)` | [`DONE`] |
//! | `model_describe(model)` | [`DONE`]; says the ports as JSON |
//! | `model_drop(model)` | [`DONE`] |
//! | `request_open(model)` | the number of a request, 0: failed |
//! | `request_close(request)` | [`DONE`] |
//! | `input_place(request, input, type, dims, rank)` | the address for the bytes, 0: failed; `dims` is a block of words |
//! | `input_strings(request, input, dims, rank, strings)` | [`DONE`]; `strings` is a block that it keeps |
//! | `run_begin(request)` | [`DONE`] |
//! | `run_step(request, budget)` | [`PENDING`], [`DONE`], [`CANCELLED`] |
//! | `run_cancel(request)` | [`DONE`] |
//! | `output_look(request, output, words)` | [`DONE`]; writes type, address, length, rank, dims into the block `words` |
//! | `output_strings(request, output)` | [`DONE`]; says the strings |
//! | `run_profile(request)` | [`DONE`]; says the nodes as JSON |
//! | `crew_serve()` | never returns; threads flavours only |
//!
//! Anything but these is [`FAILED`], and the import `said` got the error before.
#![allow(unsafe_code)]

use alloc::sync::Arc;

use inferry_core::tensor::MAX_RANK;

use crate::host::{nanos, said};
use crate::session::{Progress, Session};
use crate::table::Table;
use crate::trouble::Trouble;
use crate::{load, memory, models};

/// It did not work; `said` got the reason.
pub const FAILED: i32 = -1;
/// There is more to do.
pub const PENDING: i32 = 0;
/// It worked.
pub const DONE: i32 = 1;
/// The run is over, and has no outputs.
pub const CANCELLED: i32 = 2;

static REQUESTS: Table<Session> = Table::new("request");

/// Functions under their own names.
macro_rules! exports {
    ($($(#[$meta:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => { $(
        $(#[$meta])*
        // SAFETY: no other symbol of this module has the name.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($argument: $type),*) -> $result $body
    )* };
}

exports! {
    /// A new block of zeros. See the [module](self); so below.
    fn memory_take(len: usize) -> usize {
        memory::take(len)
    }

    /// Frees a block.
    fn memory_give(address: usize) -> i32 {
        status(memory::claim(address).map(drop))
    }

    /// Bytes allocated.
    fn memory_used() -> usize {
        memory::used()
    }

    /// Begins a load.
    fn load_begin(model: u32, profiling: u32, warm_ups: usize) -> i32 {
        status(load::begin(model, profiling != 0, warm_ups))
    }

    /// Gives a load its bytes.
    fn load_bytes(model: u32, bytes: usize) -> i32 {
        status(load::bytes(model, bytes))
    }

    /// Sets how much runs of a load's model may ask for.
    fn load_limits(model: u32, trips: f64, memory: f64, strings: f64) -> i32 {
        status(load::limits(model, [trips, memory, strings]))
    }

    /// Fixes extents for a load.
    fn load_shape(model: u32, name: usize, extents: usize, rank: usize) -> i32 {
        status(load::shape(model, name, extents, rank))
    }

    /// Goes on with a load.
    fn load_step(model: u32, budget: f64) -> i32 {
        match load::step(model, length(budget)) {
            Ok(true) => DONE,
            Ok(false) => PENDING,
            Err(trouble) => failed(&trouble),
        }
    }

    /// Gives a load up.
    fn load_stop(model: u32) -> i32 {
        status(load::stop(model))
    }

    /// Says the ports of a model.
    fn model_describe(model: u32) -> i32 {
        status(models::get(model).map(|model| said(models::describe(&*model.compiled).as_bytes())))
    }

    /// Lets go of a model.
    fn model_drop(model: u32) -> i32 {
        status(models::remove(model))
    }

    /// A new request.
    fn request_open(model: u32) -> u32 {
        number(open(model))
    }

    /// Frees a request.
    fn request_close(request: u32) -> i32 {
        status(REQUESTS.remove(request).map(drop))
    }

    /// Makes room for an input.
    fn input_place(request: u32, input: usize, element: u32, dims: usize, rank: usize) -> usize {
        let placed = extents(dims, rank, |shape| with(request, |session| session.place(input, element, shape)));
        number(placed)
    }

    /// Sets an input of strings.
    fn input_strings(request: u32, input: usize, dims: usize, rank: usize, strings: usize) -> i32 {
        let strings = memory::claim(strings);
        let set = strings.and_then(|strings| {
            let set = |shape: &[u32]| with(request, |session| session.place_strings(input, shape, strings.bytes()));
            extents(dims, rank, set)
        });
        status(set)
    }

    /// Starts a run.
    fn run_begin(request: u32) -> i32 {
        status(with(request, Session::begin))
    }

    /// Goes on with a run.
    fn run_step(request: u32, budget: f64) -> i32 {
        match with(request, |session| session.step(length(budget))) {
            Ok(Progress::Pending) => PENDING,
            Ok(Progress::Done) => DONE,
            Ok(Progress::Cancelled) => CANCELLED,
            Err(trouble) => failed(&trouble),
        }
    }

    /// Ends a run.
    fn run_cancel(request: u32) -> i32 {
        status(with(request, |session| { session.cancel(); Ok(()) }))
    }

    /// Where an output lies.
    fn output_look(request: u32, output: usize, words: usize) -> i32 {
        status(with(request, |session| memory::write_words(words, &session.output(output)?)))
    }

    /// Says the strings of an output.
    fn output_strings(request: u32, output: usize) -> i32 {
        status(with(request, |session| { said(&session.output_strings(output)?); Ok(()) }))
    }

    /// Says what the nodes did.
    fn run_profile(request: u32) -> i32 {
        status(with(request, |session| { said(session.profile()?.as_bytes()); Ok(()) }))
    }
}

#[cfg(all(target_family = "wasm", inferry_threads))]
exports! {
    /// Computes tiles for others, for ever.
    fn crew_serve() -> i32 {
        crate::crew::serve()
    }
}

#[cfg(feature = "trial")]
exports! {
    /// Panics, for tests.
    fn trial_panic() -> i32 {
        panic!("a trial")
    }

    /// Uses up the stack, for tests.
    fn trial_overflow() -> i32 {
        fn deeper(words: [u64; 64]) -> u64 {
            let words = core::hint::black_box(words.map(|word| word + 1));
            if words[0] == 0 { 0 } else { deeper(words) + words[63] }
        }
        deeper([1; 64]) as i32
    }
}

fn open(model: u32) -> Result<u32, Trouble> {
    let model = models::get(model)?;
    let spare = model.spare.lock().take();
    let session = match spare {
        Some(session) => session,
        None => Session::new(Arc::clone(&model.compiled))?,
    };
    Ok(REQUESTS.add(session))
}

fn with<R>(request: u32, work: impl FnOnce(&mut Session) -> Result<R, Trouble>) -> Result<R, Trouble> {
    REQUESTS.with(request, work)?
}

/// Reads the extents of a shape out of a block.
fn extents<R>(
    dims: usize,
    rank: usize,
    then: impl FnOnce(&[u32]) -> Result<R, Trouble>,
) -> Result<R, Trouble> {
    let mut words = [0; MAX_RANK];
    let Some(words) = words.get_mut(..rank) else {
        let message = alloc::format!("a shape of {rank} dimensions; at most {MAX_RANK} are possible");
        return Err(Trouble::new("invalid-input", message));
    };
    memory::read_words(dims, words)?;
    then(words)
}

/// Nanoseconds of a budget.
fn length(millis: f64) -> u64 {
    if millis > 0.0 { nanos(millis) } else { u64::MAX }
}

fn status(result: Result<(), Trouble>) -> i32 {
    result.map_or_else(|trouble| failed(&trouble), |()| DONE)
}

fn number<N: Default>(result: Result<N, Trouble>) -> N {
    result.unwrap_or_else(|trouble| {
        failed(&trouble);
        N::default()
    })
}

fn failed(trouble: &Trouble) -> i32 {
    trouble.say();
    FAILED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::heard;

    /// `y = Relu(Identity(x))` for `x: f32[N, 3]`, by the maker "abc", whose name makes it a number of whole words.
    const MODEL: &[u8] = b"\x08\x08\x42\x02\x10\x0d\x3a\x3b\
        \x0a\x10\x0a\x01x\x12\x01t\x22\x08Identity\
        \x0a\x0c\x0a\x01t\x12\x01y\x22\x04Relu\
        \x5a\x14\x0a\x01x\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01N\x0a\x02\x08\x03\
        \x62\x03\x0a\x01y\
        \x12\x03abc";

    /// A block with these bytes.
    fn block(bytes: &[u8]) -> usize {
        let mut words: std::vec::Vec<u32> = std::vec::Vec::new();
        for chunk in bytes.chunks(4) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            words.push(u32::from_le_bytes(word));
        }
        let long = memory_take(words.len() * 4);
        memory::write_words(long, &words).unwrap();
        long
    }

    fn load(number: u32) {
        assert_eq!(MODEL.len() % 4, 0);
        assert_eq!((load_begin(number, 0, 0), load_bytes(number, block(MODEL))), (DONE, DONE));
        assert_eq!(load_step(number, 0.0), DONE);
    }

    #[test]
    fn a_load_may_be_given_up_and_begun_again() {
        let begin = || assert_eq!((load_begin(60, 0, 0), load_bytes(60, block(MODEL))), (DONE, DONE));
        for _ in 0..3 {
            begin();
            assert_eq!(load_stop(60), DONE);
        }
        // A step without time ends at its first look; there are not many to such a small model.
        begin();
        let mut steps = 0;
        while load_step(60, f64::MIN_POSITIVE) == PENDING {
            steps += 1;
            assert!(steps < 100);
        }
        assert_eq!(model_drop(60), DONE);
    }

    #[test]
    fn a_model_is_loaded_described_and_run_with_any_shape_that_it_takes() {
        load(1);
        assert_eq!(model_describe(1), DONE);
        let port = |name| alloc::format!(r#"[{{"name":"{name}","type":"float32","dims":[null,3]}}]"#);
        assert_eq!(heard(), alloc::format!(r#"{{"inputs":{},"outputs":{}}}"#, port("x"), port("y")));
        let request = request_open(1);
        let words = memory_take(64);
        for rows in [2, 1] {
            memory::write_words(words, &[rows, 3]).unwrap();
            assert_ne!(input_place(request, 0, 11, words, 2), 0, "{}", heard());
            assert_eq!(run_begin(request), DONE, "{}", heard());
            assert_eq!(run_step(request, 0.0), DONE);
            assert_eq!(output_look(request, 0, words), DONE);
            let mut found = [0; 6];
            memory::read_words(words, &mut found).unwrap();
            assert_eq!((found[0], found[2], found[3], found[4], found[5]), (11, rows * 12, 2, rows, 3));
        }
        assert_eq!((request_close(request), model_drop(1), memory_give(words)), (DONE, DONE, DONE));
    }

    #[test]
    fn numbers_and_addresses_that_name_nothing_are_errors() {
        let told = |status: i32| {
            assert_eq!(status, FAILED);
            heard()
        };
        assert!(told(memory_give(12)).contains("there is no block at 12"));
        assert!(told(load_bytes(50, 13)).contains("there is no block at 13"));
        assert!(told(load_step(50, 0.0)).contains("there is no load 50"));
        assert!(told(load_stop(50)).contains("there is no load 50"));
        assert!(told(model_describe(50)).contains("there is no model 50"));
        assert!(told(model_drop(50)).contains("there is no model 50"));
        assert_eq!(request_open(50), 0);
        for status in [run_begin, run_cancel, run_profile, request_close] {
            assert!(told(status(7_000_000)).contains("there is no request 7000000"));
        }
        assert!(told(run_step(7_000_000, 1.0)).contains("there is no request"));
        assert!(told(output_look(7_000_000, 0, 12)).contains("there is no request"));
    }

    #[test]
    fn what_a_request_does_not_take_is_refused_and_it_goes_on() {
        load(2);
        let (request, words) = (request_open(2), memory_take(64));
        memory::write_words(words, &[2, 4]).unwrap();
        let place = |input, element, rank| {
            assert_eq!(input_place(request, input, element, words, rank), 0);
            heard()
        };
        assert!(place(1, 11, 2).contains(r#""code":"out-of-range","message":"no input #1; there are 1""#));
        assert!(place(0, 12, 2).contains("takes f32, not f64"));
        assert!(place(0, 99, 2).contains("there is no element type 99"));
        assert!(place(0, 11, 2).contains("takes the shape [?, 3], not [2, 4]"));
        assert!(place(0, 11, 9).contains("at most 8"));
        assert_eq!(run_step(request, 0.0), FAILED, "no run has begun");
        memory::write_words(words, &[2, 3]).unwrap();
        assert_ne!(input_place(request, 0, 11, words, 2), 0);
        assert_eq!(
            (run_begin(request), run_cancel(request), run_step(request, 0.0)),
            (DONE, DONE, CANCELLED)
        );
        assert_eq!((run_begin(request), run_step(request, 0.0)), (DONE, DONE));
        assert_eq!((request_close(request), model_drop(2), memory_give(words)), (DONE, DONE, DONE));
    }

    #[test]
    fn a_damaged_model_is_refused_and_leaves_nothing() {
        assert_eq!((load_begin(3, 0, 0), load_bytes(3, block(b"not a model."))), (DONE, DONE));
        assert_eq!(load_step(3, 0.0), FAILED);
        assert!(
            heard().starts_with(r#"{"code":"invalid-model","message":"this is not an ONNX model"#),
            "{}",
            heard()
        );
        assert_eq!(load_step(3, 0.0), FAILED);
        load(3);
        assert_eq!(load_begin(3, 0, 0), FAILED);
        assert!(heard().contains("busy"), "{}", heard());
        assert_eq!((model_drop(3), load_begin(3, 0, 0)), (DONE, DONE));
        assert_eq!(
            (load_step(3, 0.0), load_stop(3)),
            (FAILED, FAILED),
            "a load without bytes fails and is gone"
        );
    }
}
