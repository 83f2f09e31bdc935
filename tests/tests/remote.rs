//! Tensors that stay on a device: the template device's memory, which the host cannot look at.
#![forbid(unsafe_code)]
#![expect(clippy::single_range_in_vec_init, reason = "a region of a vector has one range")]

use std::sync::Arc;
use std::thread;

use inferry::device::Device;
use inferry::remote::{RemoteContext, RemoteError, download};
use inferry::{
    BindError, CompiledModel, ElementType, InferErrorKind, Options, Runtime, Shape, Tensor, TensorError,
    block_on,
};
use inferry_behaviour::native::{compile_for, within_a_minute};
use inferry_behaviour::world::{numbers, values};
use inferry_template::{Chip, Form, Gate, Graph, Op, Template};

const FORMS: [Form; 3] = [Form::OneStage, Form::Parked, Form::Blocking];

fn model(chip: &Arc<Chip>, ops: impl Into<Vec<Op>>, form: Form) -> CompiledModel {
    compile_for(&Runtime::new().unwrap(), Options::latency().threads(1), &Graph::new(ops), form, chip)
}

fn remote(chip: &Chip, shape: impl Into<Shape>) -> Tensor {
    chip.memory().create(ElementType::F32, &shape.into()).unwrap()
}

fn uploaded(chip: &Chip, from: &Tensor) -> Tensor {
    let mut tensor = remote(chip, from.shape());
    chip.memory().upload(from, &mut tensor).unwrap();
    tensor
}

fn downloaded(chip: &Chip, from: &Tensor) -> Vec<f32> {
    let mut host = Tensor::zeros(ElementType::F32, [0]);
    block_on(download(chip.memory(), from, &mut host)).unwrap();
    assert_eq!(host.shape(), from.shape());
    numbers(&host)
}

/// T207: a device's context makes tensors of the type and shape that were asked for, and names its device.
#[test]
fn a_context_makes_tensors_of_its_device() {
    let chip = Chip::by_hand("npu");
    let device = Template::new(chip);
    let context = device.context().unwrap();
    let tensor = context.create(ElementType::I64, &[2, 3].into()).unwrap();
    assert_eq!((tensor.element(), tensor.shape()), (ElementType::I64, &[2, 3].into()));
    let remote = tensor.as_remote().unwrap();
    assert_eq!((remote.context(), remote.context().device()), (context.id(), "npu"));
    assert!(context.id().to_string().ends_with("of the device \"npu\""), "{}", context.id());
    assert!(matches!(
        context.create(ElementType::U8, &[usize::MAX, 2].into()),
        Err(RemoteError::Tensor(TensorError::TooLarge { .. }))
    ));
}

/// F121: a context gives memory of the host that its device likes, which is like any other there.
#[test]
fn a_context_makes_tensors_of_the_host_for_its_device() {
    let chip = Chip::working("npu");
    let device = Template::new(chip.clone());
    let mut host = device.context().unwrap().create_host(ElementType::F32, &[2].into()).unwrap();
    assert!(host.as_remote().is_none());
    assert_eq!(host.as_slice::<f32>().unwrap().as_ptr().align_offset(4096), 0, "this one likes whole pages");
    assert_eq!(host.to_vec::<f32>().unwrap(), [0.0; 2]);
    host.as_slice_mut::<f32>().unwrap().copy_from_slice(&[1.0, 2.0]);
    assert_eq!(downloaded(&chip, &uploaded(&chip, &host)), [1.0, 2.0]);
    let mut request = model(&chip, [Op::Add(1.0)], Form::Parked).request().unwrap();
    request.set_input(0, host).unwrap();
    assert_eq!(numbers(request.start().unwrap().wait().unwrap().get(0).unwrap()), [2.0, 3.0]);
    assert!(device.context().unwrap().create_host(ElementType::U8, &[usize::MAX, 2].into()).is_err());
}

/// T208: a remote tensor has a type and a shape as any other; its numbers are not here.
#[test]
fn a_remote_tensor_shows_no_numbers() {
    let chip = Chip::by_hand("npu");
    let mut tensor = remote(&chip, [2, 3]);
    assert_eq!((tensor.len(), tensor.byte_len(), tensor.is_dense()), (6, 24, true));
    let error = tensor.as_slice::<f32>().unwrap_err();
    assert!(matches!(error, TensorError::Remote { .. }));
    assert!(error.to_string().contains("where the host cannot look"), "{error}");
    assert!(tensor.view_mut::<f32>().is_err() && tensor.to_vec::<f32>().is_err());
    assert!(tensor.copy_to(&mut Tensor::zeros(ElementType::F32, [2, 3])).is_err());
}

/// T209, F120: inputs, and outputs too, may stay on the device; each run of each form of the device uses them.
#[test]
fn a_run_reads_and_writes_remote_tensors() {
    for form in FORMS {
        let chip = Chip::working("npu");
        let model = model(&chip, [Op::Add(1.0)], form);
        let mut request = model.request().unwrap();
        request.set_input(0, uploaded(&chip, &values(2.0))).unwrap();
        let outputs = request.start().unwrap().wait().unwrap();
        assert_eq!(numbers(outputs.get(0).unwrap()), [3.0, -1.0], "the output is on the host");
        let output = remote(&chip, [2]);
        request.set_output(0, output.clone()).unwrap();
        for _ in 0..3 {
            request.start().unwrap().wait().unwrap();
            assert_eq!(downloaded(&chip, &output), [3.0, -1.0]);
            request.infer().unwrap();
        }
        // Two models in a row, and the numbers never leave the device.
        let mut next = model.request().unwrap();
        next.set_input(0, output).unwrap();
        next.start().unwrap().wait().unwrap();
        assert_eq!(numbers(next.output(0).unwrap()), [4.0, 0.0]);
    }
}

/// T210: a device without a context says so, by kind.
#[test]
fn a_device_without_a_context_says_so() {
    let Err(error) = Runtime::new().unwrap().cpu().context().map(|context| context.id().clone()) else {
        panic!("processors have no memory but the host's")
    };
    assert_eq!(error.kind(), InferErrorKind::Unsupported);
    assert!(error.to_string().starts_with("the device \"cpu\""), "{error}");
}

/// T211: a tensor of the host is not remote, and copies between contexts are refused by name.
#[test]
fn a_tensor_of_the_host_is_none_of_a_context() {
    let (chip, other) = (Chip::by_hand("npu"), Chip::by_hand("gpu"));
    let mut host = values(1.0);
    assert!(host.as_remote().is_none());
    let error = chip.memory().upload(&values(1.0), &mut host).unwrap_err();
    assert!(matches!(error, RemoteError::Elsewhere { given: None, .. }), "{error}");
    let mut foreign = remote(&other, [2]);
    let error = chip.memory().upload(&host, &mut foreign).unwrap_err();
    assert!(error.to_string().contains("\"gpu\"") && error.to_string().contains("\"npu\""), "{error}");
    assert!(block_on(download(chip.memory(), &foreign, &mut host)).is_err());
    // Neither side may be what the other should be.
    let mut mine = remote(&chip, [2]);
    assert!(chip.memory().upload(&foreign, &mut mine).is_err());
    assert!(matches!(
        chip.memory().upload(&Tensor::zeros(ElementType::I32, [2]), &mut mine),
        Err(RemoteError::Tensor(TensorError::Element { .. }))
    ));
    let shapes = chip.memory().upload(&Tensor::zeros(ElementType::F32, [3]), &mut mine);
    assert!(matches!(shapes, Err(RemoteError::Shapes { .. })));
}

/// T212: bytes go both ways, whole tensors and regions of interest on either side.
#[test]
fn copies_go_both_ways_and_take_regions() {
    let chip = Chip::by_hand("npu");
    let ascending: Vec<f32> = (0_u8..12).map(f32::from).collect();
    let host = Tensor::from_slice(&ascending, [3, 4]).unwrap();
    let whole = uploaded(&chip, &host);
    assert_eq!(downloaded(&chip, &whole), ascending);
    // A region of the device's tensor, and a region of that.
    let region = whole.region(&[1..3, 1..4]).unwrap();
    assert_eq!(downloaded(&chip, &region), [5.0, 6.0, 7.0, 9.0, 10.0, 11.0]);
    let mut corner = region.region(&[1..2, 1..3]).unwrap();
    chip.memory().upload(&Tensor::from_slice(&[-1.0_f32, -2.0], [1, 2]).unwrap(), &mut corner).unwrap();
    let mut expected = ascending.clone();
    (expected[10], expected[11]) = (-1.0, -2.0);
    assert_eq!(downloaded(&chip, &whole), expected);
    // A region of the host's, in both directions.
    let mut part = remote(&chip, [2, 2]);
    chip.memory().upload(&host.region(&[0..2, 2..4]).unwrap(), &mut part).unwrap();
    assert_eq!(downloaded(&chip, &part), [2.0, 3.0, 6.0, 7.0]);
    let mut target = host.region(&[1..3, 0..2]).unwrap();
    block_on(download(chip.memory(), &part, &mut target)).unwrap();
    assert_eq!(numbers(&host), [0.0, 1.0, 2.0, 3.0, 2.0, 3.0, 6.0, 7.0, 6.0, 7.0, 10.0, 11.0]);
}

/// A region of a remote tensor is an input like any other, F120.
#[test]
fn a_region_of_a_remote_tensor_is_an_input() {
    for form in FORMS {
        let chip = Chip::working("npu");
        let mut request = model(&chip, [Op::Add(1.0)], form).request().unwrap();
        let whole = uploaded(&chip, &Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], [4]).unwrap());
        request.set_input(0, whole.region(&[1..3]).unwrap()).unwrap();
        request.set_output(0, whole.region(&[2..4]).unwrap()).unwrap();
        // It shares its object with the output, so a run would write what it reads.
        assert_eq!(request.start().unwrap_err().kind(), InferErrorKind::InUse);
        request.set_output(0, values(0.0)).unwrap();
        request.start().unwrap().wait().unwrap();
        assert_eq!(numbers(request.output(0).unwrap()), [3.0, 4.0]);
    }
}

/// F119: a tensor of one context cannot be bound to a model of another, nor to one that computes on the host.
#[test]
fn a_tensor_of_another_context_cannot_be_bound() {
    let (chip, other) = (Chip::by_hand("npu"), Chip::by_hand("npu"));
    let mut request = model(&chip, [Op::Echo], Form::OneStage).request().unwrap();
    let foreign = remote(&other, [2]);
    for bound in [request.set_input(0, foreign.clone()), request.set_output(0, foreign.clone())] {
        let error = bound.unwrap_err();
        assert_eq!(error.kind(), InferErrorKind::InvalidInput);
        assert!(matches!(error, BindError::Remote { .. }), "{error}");
    }
    // Exchanged in place it is found when the run starts.
    *request.input_mut(0).unwrap() = foreign.clone();
    assert_eq!(request.start().unwrap_err().kind(), InferErrorKind::InvalidInput);
    let runtime = Runtime::new().unwrap();
    let on_cpu = runtime.compile(&inferry_behaviour::model::add(2), Options::inline()).unwrap();
    let error = on_cpu.request().unwrap().set_input("a", foreign).unwrap_err();
    assert!(error.to_string().ends_with("the model uses tensors of the host"), "{error}");
}

/// While a run uses a remote tensor nobody copies to it, and what a run writes is not copied from.
#[test]
fn a_run_holds_its_remote_tensors() {
    within_a_minute(|| {
        let (chip, gate) = (Chip::working("npu"), Gate::closed());
        let mut request = model(&chip, [Op::Park(gate.clone())], Form::OneStage).request().unwrap();
        let (mut input, output) = (uploaded(&chip, &values(1.0)), remote(&chip, [2]));
        request.set_input(0, input.clone()).unwrap();
        request.set_output(0, output.clone()).unwrap();
        let run = request.start().unwrap();
        gate.wait_arrived(1);
        let in_use = |error: RemoteError| matches!(error, RemoteError::Tensor(TensorError::InUse(_)));
        assert!(in_use(chip.memory().upload(&values(5.0), &mut input).unwrap_err()));
        assert_eq!(downloaded(&chip, &input), [1.0, -1.0], "reading what is read is fine");
        let mut host = values(0.0);
        assert!(in_use(block_on(download(chip.memory(), &output, &mut host)).unwrap_err()));
        gate.open();
        run.wait().unwrap();
        assert_eq!(downloaded(&chip, &output), [1.0, -1.0]);
    });
}

/// Ids cross threads, objects stay: a tensor that is dropped elsewhere is freed by its chip.
#[test]
fn a_remote_tensor_may_be_dropped_anywhere() {
    let chip = Chip::by_hand("npu");
    let tensors: Vec<Tensor> = (0..20).map(|_| remote(&chip, [2])).collect();
    assert_eq!(chip.memory().objects(), 20);
    let threads = tensors.into_iter().map(|tensor| {
        thread::spawn(move || {
            let region = tensor.region(&[0..1]).unwrap();
            drop(tensor);
            region
        })
    });
    let regions: Vec<Tensor> = threads.map(|thread| thread.join().unwrap()).collect();
    assert_eq!(chip.memory().objects(), 20, "a region keeps its object");
    thread::spawn(move || drop(regions)).join().unwrap();
    assert_eq!(chip.memory().objects(), 0);
}

/// T217: contexts, models and remote tensors may be let go in any order.
#[test]
fn a_context_and_its_tensors_may_go_in_any_order() {
    let chip = Chip::by_hand("npu");
    let model = model(&chip, [Op::Add(1.0)], Form::OneStage);
    let device = Template::new(chip.clone());
    let (tensor, last) = (uploaded(&chip, &values(1.0)), remote(&chip, [2]));
    let mut request = model.request().unwrap();
    request.set_input(0, tensor).unwrap();
    drop((model, chip));
    request.infer().unwrap();
    drop(request);
    let context = device.context().unwrap();
    assert!(context.create(ElementType::F32, &[2].into()).is_ok(), "the context outlives the model");
    drop(device);
    assert!(last.as_remote().is_some(), "a tensor outlives its context");
    drop(last);
}
