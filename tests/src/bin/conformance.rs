//! Runs suites of ONNX conformance cases; `cargo xtask conformance` builds and starts it. See `inferry_behaviour::conformance`.
#![forbid(unsafe_code)]

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    inferry_behaviour::conformance::main()
}

#[cfg(target_family = "wasm")]
fn main() {}
