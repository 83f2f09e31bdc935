//! One model on two devices: `cargo run --example two_devices [FILE.onnx]`.
//!
//! The second device is the template's chip, which stands for an accelerator with a few operators. First the model is cut over
//! the two, and each part's place is shown with what its nodes took. Then both are asked to compile all of it: the CPU serves at
//! once, and would be relieved if the chip had every operator.

use std::error::Error;
use std::path::PathBuf;
use std::thread;

use inferry::{Devices, NodeStatus, Options, Runtime, Shape, Split, Tensor, read_model};
use inferry_template::{Accelerator, Chip};

fn main() -> Result<(), Box<dyn Error>> {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/models");
    let path = std::env::args()
        .nth(1)
        .map_or_else(|| format!("{models}/mtcnn_cascade/onet.onnx").into(), PathBuf::from);
    let model = read_model(path)?;
    let runtime = Runtime::new()?;
    let devices = || Devices::prefer(Accelerator::new(Chip::working("chip"))).then(runtime.cpu());

    // Cut by operator. A rule would be: `.operator_on("PRelu", "cpu")`.
    let cut = runtime.compile_split(&model, Split::over(devices()), Options::latency().profiling(true))?;
    let mut request = cut.request()?;
    for port in cut.inputs() {
        // One of whatever the model takes any number of.
        let extents = port.shape.dims().unwrap_or_default().iter().map(|dim| dim.fixed().unwrap_or(1));
        let shape = Shape::new(&extents.collect::<Vec<_>>())?;
        request.set_input(port.index, Tensor::zeros(port.element, shape))?;
    }
    request.start()?.wait()?;
    let profile = request.profile()?;
    for (number, part) in cut.parts().iter().enumerate() {
        let of_part = |name: &str| part.nodes.iter().any(|node| **node == *name);
        let nanos: u64 = profile
            .iter()
            .filter(|node| node.status == NodeStatus::Executed && of_part(&node.name))
            .map(|node| node.nanos)
            .sum();
        let measured = if nanos == 0 { "not measured".into() } else { format!("{} µs", nanos / 1000) };
        println!("part {number} on {}: {} nodes, {measured}", part.device, part.nodes.len());
    }

    // The best that is ready, for runs from several threads.
    let chosen = runtime.compile_first_ready(&model, &devices(), Options::throughput())?;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                chosen.request().map(|mut request| request.start().map(|run| run.wait().map(drop)))
            });
        }
    });
    chosen.wait_candidates();
    for candidate in chosen.candidates() {
        println!("{}: {:?}", candidate.device, candidate.state);
    }
    Ok(())
}
