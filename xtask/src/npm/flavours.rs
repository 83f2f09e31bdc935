//! The builds of the engine: what each is called, what it is compiled with, and what must be true of it afterwards.
//!
//! The reasons for the flags are in `host-wasm/engine/src/lib.rs`, whose `build.rs` adds what the linker must know. The threads
//! builds link precompiled core and alloc into a module with shared memory, which only fat link-time optimisation makes
//! sound: it generates their code once more, with atomics. Nothing here runs a compiler.

use super::wasm::Module;

/// One build of the engine.
#[derive(Debug)]
pub(crate) struct Flavour {
    /// The name of its file in the package.
    pub(crate) file: &'static str,
    /// Fused multiply-adds and the other instructions whose last bit the processor may choose.
    pub(crate) relaxed: bool,
    /// One memory for several workers.
    pub(crate) threads: bool,
}

/// All of them; the first is the one that runs everywhere.
pub(crate) const ALL: &[Flavour] = &[
    Flavour { file: "engine.wasm", relaxed: false, threads: false },
    Flavour { file: "engine.relaxed.wasm", relaxed: true, threads: false },
    Flavour { file: "engine.threads.wasm", relaxed: false, threads: true },
    Flavour { file: "engine.relaxed.threads.wasm", relaxed: true, threads: true },
];

/// `f32x4.relaxed_madd`, as it stands in a module.
const RELAXED_MADD: &[u8] = b"\xfd\x85\x02";

/// What a function may cost to be copied into its callers unasked: a ninth of the compiler's own limit at level 2. Loops over
/// vectors ask by name, and everything else is called as well as copied.
///
/// Measured by the processor time of 20 models in Node with relaxed vectors, in turns with level 3 without this: 2 % more, and
/// 61 of 917 KB smaller, compressed. Level "s", which this replaced, took 30 % more than either.
const INLINE: &str = "-Cllvm-args=-inline-threshold=25";

impl Flavour {
    /// What `RUSTFLAGS` holds for it.
    pub(crate) fn rustflags(&self) -> String {
        let mut features = vec!["+simd128"];
        features.extend(self.relaxed.then_some("+relaxed-simd"));
        if self.threads {
            features.extend(["+atomics", "+bulk-memory", "+mutable-globals"]);
        }
        let cfg = if self.threads { " --cfg inferry_threads" } else { "" };
        format!("-Ctarget-feature={}{cfg} {INLINE}", features.join(","))
    }

    /// The instructions that the optimiser may meet.
    pub(crate) fn optimiser_features(&self) -> Vec<&'static str> {
        let mut features = vec!["--enable-simd"];
        features.extend(self.relaxed.then_some("--enable-relaxed-simd"));
        features.extend(self.threads.then_some("--enable-threads"));
        features
    }

    /// What is wrong with a module that is meant to be this flavour.
    pub(crate) fn problems(&self, module: &Module, bytes: &[u8]) -> Vec<String> {
        let mut problems = Vec::new();
        match (self.threads, module.imported_memory) {
            (false, None) => {}
            (false, Some(_)) => {
                problems.push("imports a memory; only the builds with threads do".to_string())
            }
            (true, None) => problems.push("imports no memory, so no two workers can share one".to_string()),
            (true, Some(memory)) => {
                if !memory.shared {
                    problems.push("its memory is not shared".to_string());
                }
                if memory.maximum.is_none_or(|maximum| maximum <= memory.initial) {
                    problems
                        .push("its memory can never grow: the maximum is what it begins with".to_string());
                }
            }
        }
        let foreign =
            |name: &&String| ["env.", "wbg.", "__wbindgen"].iter().any(|prefix| name.starts_with(prefix));
        for import in module.imports.iter().filter(foreign) {
            problems.push(format!("imports {import}, which no page of ours provides"));
        }
        if let Some(section) = module.custom.iter().find(|name| name.starts_with("__wasm_bindgen")) {
            problems.push(format!("holds a section {section}: wasm-bindgen has no place in the engine"));
        }
        let fused = bytes.windows(RELAXED_MADD.len()).any(|window| window == RELAXED_MADD);
        if self.relaxed && !fused {
            problems.push("holds no relaxed multiply-add, for whose sake it is built".to_string());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::super::wasm::Memory;
    use super::*;

    fn complains(flavour: &Flavour, memory: Option<Memory>, word: &str) -> bool {
        let module = Module { imported_memory: memory, ..Module::default() };
        flavour.problems(&module, RELAXED_MADD).iter().any(|problem| problem.contains(word))
    }

    #[test]
    fn a_build_with_threads_must_import_a_shared_memory_that_can_grow() {
        let threads = ALL.iter().find(|flavour| flavour.threads).unwrap();
        let good = Memory { initial: 20, maximum: Some(16_384), shared: true };
        assert_eq!(
            threads.problems(&Module { imported_memory: Some(good), ..Module::default() }, b""),
            [""; 0]
        );
        assert!(complains(threads, None, "imports no memory"));
        assert!(complains(threads, Some(Memory { shared: false, ..good }), "not shared"));
        assert!(complains(threads, Some(Memory { maximum: Some(20), ..good }), "never grow"));
        assert!(complains(&ALL[0], Some(good), "imports a memory"));
    }

    #[test]
    fn what_a_page_cannot_provide_is_named() {
        let module = Module { imports: vec!["env.getrandom".into(), "host.now".into()], ..Module::default() };
        let problems = ALL[0].problems(&module, b"");
        assert_eq!(problems.len(), 1);
        assert!(problems[0].contains("env.getrandom"));
    }

    #[test]
    fn a_relaxed_build_that_is_not_is_found() {
        assert!(ALL[1].problems(&Module::default(), b"")[0].contains("relaxed"));
        assert!(ALL[1].problems(&Module::default(), RELAXED_MADD).is_empty());
    }
}
