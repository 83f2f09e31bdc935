//! Panics of stages and callbacks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::ready;
use crate::request::testing::{Act, Script, by_hand};
use crate::request::{InferErrorKind, Next, Status, Verdict};

// Without a catcher a panic passes through the executor's thread; the run settles on the way. With one it does not pass.
// The catcher is the process's, so both are told by one test.
#[test]
fn a_panic_ends_its_run_and_nothing_else() {
    let model = Script::new(2);
    model.then(Act::Panic);
    let (mut request, executor) = by_hand(&model);
    let run = request.start().unwrap();
    catch_unwind(AssertUnwindSafe(|| executor.drain())).expect_err("nobody catches it");
    let error = ready(run).unwrap_err();
    assert_eq!(error.kind(), InferErrorKind::Panicked);
    assert_eq!(error.stage(), Some((0, "first")));
    assert_eq!(*model.state.prepared.lock().unwrap(), 1);

    let mut panics = true;
    request
        .set_callback(move |_| {
            if core::mem::take(&mut panics) {
                panic!("the callback has bugs");
            }
            Ok(Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    assert_eq!(*model.state.prepared.lock().unwrap(), 2, "the work is made anew");
    catch_unwind(AssertUnwindSafe(|| executor.drain())).expect_err("nobody catches it");
    assert_eq!(ready(run).unwrap_err().kind(), InferErrorKind::Panicked);

    crate::unwind::set_catcher(|body| catch_unwind(AssertUnwindSafe(body)));
    model.then(Act::Pass).then(Act::Panic);
    let run = request.start().unwrap();
    executor.drain();
    let error = ready(run).unwrap_err();
    assert_eq!(error.full_text(), "the stage \"second\" panicked: the stage has bugs");

    let calls = std::sync::Arc::new(std::sync::Mutex::new(0));
    let counted = calls.clone();
    request
        .set_callback(move |_| {
            *counted.lock().unwrap() += 1;
            let calls = *counted.lock().unwrap();
            if calls == 1 {
                panic!("the callback has bugs");
            }
            Ok(Next::Rest)
        })
        .unwrap();
    let run = request.start().unwrap();
    executor.drain();
    assert_eq!(ready(run).unwrap_err().full_text(), "the callback panicked: the callback has bugs");
    let run = request.start().unwrap();
    executor.drain();
    ready(run).unwrap();
    assert_eq!(*calls.lock().unwrap(), 2, "the callback is still there");
    assert_eq!(request.status(), Status::Settled(Verdict::Done));
}
