//! What the linker is told. It stands here and not in `RUSTFLAGS`, so that one command builds a flavour and nothing else is
//! built again for it.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_FAMILY").as_deref() != Ok("wasm") {
        return;
    }
    let mut arguments = vec![
        "-zstack-size=1048576",
        // All that 32 bits address but the last page: no block may end where an address wraps to zero.
        "--max-memory=4294901760",
    ];
    if env::var_os("CARGO_CFG_INFERRY_THREADS").is_some() {
        arguments.extend(["--shared-memory", "--import-memory", "--export=__stack_pointer"]);
    }
    for argument in arguments {
        println!("cargo:rustc-link-arg-cdylib={argument}");
    }
}
