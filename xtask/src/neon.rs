//! `cargo xtask neon`: the kernels' own tests, and a few real models, on an AArch64 processor that qemu plays.
//!
//! NEON is code that no test on an x86-64 machine reaches. The library's tests are built for Linux on AArch64 with musl, whose
//! target brings all that linking needs (Rust's own linker does it), and run by qemu's user emulation. The same tests run
//! natively in `cargo xtask test`. The models go through the program `inferry`, which compares them with their fixtures.
//!
//! It is a command of its own: another architecture means building the whole tree again, nine minutes of processor time when
//! nothing is built yet, of which emulation takes less than two. Speed cannot be seen under qemu; what the compiler made of the inner
//! loops was read (`kernel/gemm`, `kernel/conv`, `kernel/bytes`).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::wasm_kernels::MODULES;
use crate::{place, purity, report::Report};

const TARGET: &str = "aarch64-unknown-linux-musl";

const BARE: &str = "aarch64-unknown-none";

const QEMU: &str = "qemu-aarch64";

/// Model and fixture below `tests/models`, without their endings.
const MODELS: [&str; 8] = [
    "mtcnn_cascade/pnet",
    "mtcnn_cascade/rnet",
    "mtcnn_cascade/onet",
    "derived_mtcnn_onet/onet.int8_qdq",
    "derived_mtcnn_onet/onet.dynamic_u8",
    "derived_mtcnn_onet/onet.fp16",
    "ppocrv4/ch_ppocr_mobile_v2.0_cls_infer",
    "silero_vad/silero_vad_openvino_16k",
];

/// How far results may lie from the fixtures.
const TOLERANCES: &str = "tests/models/tolerances.json";

/// Builds and runs everything; true when all passed.
pub(crate) fn run() -> Result<bool, String> {
    if place::output(place::command(QEMU).arg("--version")).is_none() {
        return Err(format!("{QEMU} is not here: install it (on Debian, apt-get install qemu-user)"));
    }
    purity::install(TARGET)?;
    let mut report = Report::new(false);
    let mut test = cargo(&["test", "--package", "inferry-cpu", "--lib", "--no-fail-fast"]);
    test.args(["--", "--show-output", "isa::"]).args(MODULES);
    report.harness("kernels with NEON", test);
    // Where there is no operating system, nobody asks the processor: NEON must compile, and is not chosen.
    purity::install(BARE)?;
    let bare = ["check", "--quiet", "--package", "inferry-cpu", "--target", BARE];
    report.command(&format!("inferry-cpu for {BARE}"), place::cargo(&bare));
    let mut build = cargo(&["build", "--quiet", "--package", "inferry", "--bin", "inferry"]);
    build.args(["--features", "cli"]);
    report.command("the program for AArch64", build);
    let file = fs::read_to_string(place::root().join(TOLERANCES));
    let tolerances = file
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    let tolerances: Value = tolerances.map_err(|problem| format!("{TOLERANCES}: {problem}"))?;
    for model in MODELS {
        report.command(&format!("{model} with NEON"), compare(model, &tolerances));
    }
    Ok(report.close())
}

/// A cargo that builds for AArch64, and runs what it has built under qemu.
fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = place::cargo(arguments);
    cargo.args(["--target", TARGET]);
    // As in `wasm_kernels`: a third of the time to build.
    cargo.args(["--config", "profile.dev.package.inferry-cpu.opt-level=1"]);
    let variable = |what: &str| format!("CARGO_TARGET_{}_{what}", TARGET.replace('-', "_").to_uppercase());
    cargo.env(variable("LINKER"), "rust-lld").env(variable("RUNNER"), QEMU);
    cargo
}

/// The program on one model; it succeeds when the results fit.
fn compare(model: &str, tolerances: &Value) -> Command {
    let program: PathBuf = place::target().join(TARGET).join("debug/inferry");
    let file = |ending: &str| place::root().join(format!("tests/models/{model}.{ending}"));
    let mut command = place::command(QEMU);
    command.arg(program).arg("run").arg("--model").arg(file("onnx")).arg("--npz").arg(file("npz"));
    let own = &tolerances[format!("{model}.onnx")];
    for limit in ["atol", "rtol", "outside"] {
        let value = own.get(limit).unwrap_or(&tolerances["default"][limit]);
        command.arg(format!("--{limit}")).arg(value.to_string());
    }
    command.args(["--threads", "2"]);
    command
}
