//! What the desktop host passes on to a device, and what comes back: each call once, and each error in its own words.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use inferry::device::{CompiledModel as Compiled, Device};
use inferry::{CompileError, Dim, ElementType, Next, Options, Runtime, Tensor};
use inferry_behaviour::device::plain;
use inferry_behaviour::native::{compile, place};
use inferry_behaviour::world::{numbers, values};
use inferry_template::{Graph, Op};

const TWO: &[(ElementType, &[Dim])] = &[(ElementType::F32, &[Dim::Fixed(2)])];

#[test]
fn each_call_is_passed_on_once() {
    let device = plain(TWO);
    let counts = device.counts();
    let runtime = Runtime::new().unwrap();
    let model = place(&runtime, Options::latency().threads(1), "counted", Arc::new(device));
    assert_eq!(counts.all(), [0, 0, 0, 0, 0], "compiling makes no request");
    let mut request = model.request().unwrap();
    assert_eq!(counts.all(), [1, 0, 0, 0, 0]);
    let tensor = values(3.0);
    request.set_input(0, tensor.clone()).unwrap();
    assert!(request.input(0).unwrap().shares_storage(&tensor));
    assert_eq!(numbers(request.infer().unwrap().get(0).unwrap()), [3.0, -3.0]);
    assert_eq!(counts.all(), [1, 1, 1, 0, 0]);
    let (called, calls) = std::sync::mpsc::channel();
    request
        .set_callback(move |done| {
            called.send(done.run().get())?;
            Ok(Next::Rest)
        })
        .unwrap();
    request.start().unwrap().wait().unwrap();
    request.wait().unwrap();
    assert_eq!(counts.all(), [1, 2, 2, 0, 0]);
    request.clear_callback().unwrap();
    assert_eq!(calls.iter().collect::<Vec<_>>(), [2]);
}

#[test]
fn each_error_reaches_the_caller() {
    let text = "the divisor is zero";
    let runtime = Runtime::new().unwrap();
    for options in [Options::latency().threads(1), Options::inline()] {
        let model = place(&runtime, options, "failing", Arc::new(plain(TWO).failing(text)));
        let mut request = model.request().unwrap();
        let (told, tells) = std::sync::mpsc::channel();
        request
            .set_callback(move |done| {
                told.send(done.error().map(|error| error.full_text()))?;
                Ok(Next::Rest)
            })
            .unwrap();
        let texts = [
            request.start().unwrap().wait().unwrap_err().full_text(),
            request.wait().unwrap().unwrap().error.unwrap().full_text(),
            request.infer().unwrap_err().full_text(),
            model.infer([values(1.0)]).map(drop).unwrap_err().full_text(),
            tells.recv().unwrap().unwrap(),
        ];
        assert!(texts.iter().all(|found| found.contains(text)), "{texts:?}");
        // What is wrong with a tensor or a port is said by the same words whoever is asked.
        let wrong = Tensor::scalar(1_i32);
        let refused = request.set_input(0, wrong.clone()).unwrap_err().to_string();
        assert!(model.infer([wrong]).map(drop).unwrap_err().to_string().contains(&refused), "{refused}");
        assert!(request.input("image").unwrap_err().to_string().contains("image"));
        assert!(request.output(4).unwrap_err().to_string().contains('4'));
    }
}

/// A device that compiles no shape that is not known.
struct Fixed;

#[derive(Debug, thiserror::Error)]
#[error("the shape of \"x0\" is not known")]
struct Unknown;

impl Device for Fixed {
    type Graph = Graph;
    type Options = ();
    type Error = Unknown;

    fn name(&self) -> &str {
        "fixed"
    }

    fn compile(&self, graph: &Graph, (): &()) -> Result<Arc<dyn Compiled>, Unknown> {
        graph.len.map(|_| Arc::new(plain(TWO)) as Arc<dyn Compiled>).ok_or(Unknown)
    }
}

#[test]
fn a_device_that_cannot_compile_says_why() {
    let runtime = Runtime::new().unwrap();
    let graph = Graph { len: None, ..Graph::new([Op::Echo]) };
    let Err(error) = runtime.compile_on(&Fixed, &graph, &(), Options::inline()) else { panic!("it cannot") };
    assert!(matches!(&error, CompileError::Device { device, .. } if device == "fixed"), "{error}");
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error} {source}").contains("x0"), "{error}: {source}");
    runtime.compile_on(&Fixed, &Graph::new([Op::Echo]), &(), Options::inline()).unwrap();
}

#[test]
fn inputs_come_in_many_forms() {
    let model = compile(Options::inline(), &Graph { ports: 2, ..Graph::new([Op::Add(1.0)]) });
    let (x0, x1) = (values(1.0), values(2.0));
    let ports = model.inputs().to_vec();
    let check = |outputs: inferry::Tensors| {
        assert_eq!(numbers(outputs.get(0).unwrap()), [2.0, 0.0]);
        assert_eq!(numbers(outputs.get("y1").unwrap()), [3.0, -1.0]);
    };
    let both = || [x0.clone(), x1.clone()];
    check(model.infer(both()).unwrap());
    check(model.infer(both().to_vec()).unwrap());
    check(model.infer(both().into_iter().chain([])).unwrap());
    check(model.infer([(1, x1.clone()), (0, x0.clone())]).unwrap());
    check(model.infer([("x1", x1.clone()), ("x0", x0.clone())]).unwrap());
    check(model.infer([(&ports[1], x1.clone()), (&ports[0], x0.clone())]).unwrap());
    check(
        model.infer(HashMap::from([("x0".to_owned(), x0.clone()), ("x1".to_owned(), x1.clone())])).unwrap(),
    );
    check(model.infer(BTreeMap::from([("x1", x1.clone()), ("x0", x0.clone())])).unwrap());
    assert_eq!((numbers(&x0), numbers(&x1)), (vec![1.0, -1.0], vec![2.0, -2.0]), "as they were");
}

#[test]
fn memory_is_shared_exactly_as_asked() {
    let model = compile(Options::inline(), &Graph::new([Op::Add(1.0)]));
    let mut request = model.request().unwrap();
    // Bound: the run reads and writes this memory, and later changes to it are seen by later runs.
    let (mut input, output) = (values(1.0), values(0.0));
    request.set_input(0, input.clone()).unwrap();
    request.set_output(0, output.clone()).unwrap();
    request.infer().unwrap();
    assert_eq!(numbers(&output), [2.0, 0.0]);
    input.as_slice_mut::<f32>().unwrap().copy_from_slice(&[5.0, 6.0]);
    request.infer().unwrap();
    assert_eq!(numbers(&output), [6.0, 7.0]);
    // Copied: the run has its own.
    input.copy_to(request.input_mut(0).unwrap()).unwrap_err();
    let mut request = model.request().unwrap();
    input.copy_to(request.input_mut(0).unwrap()).unwrap();
    input.as_slice_mut::<f32>().unwrap().fill(0.0);
    assert_eq!(numbers(request.infer().unwrap().get(0).unwrap()), [6.0, 7.0]);
    // Taken out: nobody writes it any more.
    let taken = request.take_output(0).unwrap();
    request.infer().unwrap();
    assert!(!request.output(0).unwrap().shares_storage(&taken));
}
