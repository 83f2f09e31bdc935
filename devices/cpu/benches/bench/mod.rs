//! Times one operator on one thread: built once, memory taken once, then run again and again; the best time of each block of
//! tiles counts, because whatever else the machine does only ever adds to it.

use std::time::{Duration, Instant};

use inferry_core::{ElementType, Shape, Tensor};
use inferry_cpu::io::{Io, Operands, Shelf, Span};
use inferry_cpu::isa::{Isa, Level};
use inferry_cpu::kernel::fault::Faults;
use inferry_cpu::kernel::{self, Builder, Operand};
use inferry_cpu::pack::Packs;
use inferry_cpu::text::Texts;
use inferry_engine::op::Op;

/// The best instruction set of this machine, or what the variable `INFERRY_ISA` lowers it to (`portable`, `avx2`).
pub(crate) fn isa() -> Isa {
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found = Isa::portable();
    #[cfg(target_arch = "aarch64")]
    let found = {
        use std::arch::is_aarch64_feature_detected as has;
        let level = match (has!("neon"), has!("neon") && has!("i8mm")) {
            (_, true) => Level::NeonI8mm,
            (true, _) => Level::Neon,
            _ => Level::Portable,
        };
        // SAFETY: just detected.
        unsafe { Isa::assume(level) }
    };
    #[cfg(target_arch = "x86_64")]
    let found = {
        use std::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma") && has!("f16c");
        let avx512 =
            has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
        let level = match (avx2, avx2 && avx512, avx2 && avx512 && has!("avx512vnni")) {
            (_, _, true) => Level::Avx512Vnni,
            (_, true, _) => Level::Avx512,
            (true, ..) => Level::Avx2,
            _ => Level::Portable,
        };
        // SAFETY: just detected.
        unsafe { Isa::assume(level) }
    };
    match std::env::var("INFERRY_ISA").as_deref() {
        Ok("portable") => found.at_most(Level::Portable),
        Ok("avx2") => found.at_most(Level::Avx2),
        Ok("avx512") => found.at_most(Level::Avx512),
        Ok("neon") => found.at_most(Level::Neon),
        _ => found,
    }
}

/// Whether the case `name` is asked for: any of the arguments is part of it, or there are none.
pub(crate) fn wanted(name: &str) -> bool {
    let mut filters = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    filters.peek().is_none() || filters.any(|filter| name.contains(&filter))
}

/// Numbers between -1 and 1.
pub(crate) fn noise(shape: &[usize]) -> Tensor {
    let mut state = 1u32;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_slice(&values, Shape::new(shape).unwrap()).unwrap()
}

/// Seconds that the operator takes; inputs at the positions `constants` are constant.
pub(crate) fn best(
    op: &dyn Op,
    inputs: &[&Tensor],
    constants: &[usize],
    output: (ElementType, &[usize]),
) -> f64 {
    let operands: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(index, tensor)| {
            let constant = constants.contains(&index).then_some(*tensor);
            Some(Operand { element: tensor.element(), shape: tensor.shape().clone(), constant })
        })
        .collect();
    let outputs = [(output.0, Shape::new(output.1).unwrap())];
    let packs = Packs::default();
    let node = Builder { inputs: &operands, outputs: &outputs, isa: isa(), packs: &packs };
    let kernel = kernel::build(op, &node).unwrap();
    let readers: Vec<_> = inputs.iter().map(|tensor| tensor.lease_read().unwrap()).collect();
    let spans: Vec<_> = readers.iter().map(|lease| Some(Span::read_only(lease.bytes()))).collect();
    let result = Tensor::zeros(output.0, outputs[0].1.clone());
    let mut writer = result.lease_write().unwrap();
    let out = [Span::new(writer.bytes_mut())];
    let mut workspace = Lines::new(kernel.workspace());
    let workspace = Span::new(workspace.bytes());
    let mut scratch = Lines::new(kernel.scratch());
    let (faults, mut texts) = (Faults::none(), Texts::default());
    let operands =
        Operands { inputs: &spans, outputs: &out, workspace, faults: &faults, texts: Shelf::new(&mut texts) };
    // Blocks so short that some run of each is not interrupted even on a busy machine; the times of the best runs add up.
    let mut blocks = Vec::new();
    for (index, phase) in kernel.phases().iter().enumerate() {
        let tiles = usize::try_from(BLOCK_NS / phase.cost.max(1)).unwrap_or(1).max(1);
        for first in (0..phase.tiles).step_by(tiles) {
            blocks.push((index, *phase, first..(first + tiles).min(phase.tiles), f64::MAX));
        }
    }
    let (mut rounds, begin) = (0, Instant::now());
    while begin.elapsed() < Duration::from_millis(150) || rounds < 5 {
        for (index, phase, tiles, best) in &mut blocks {
            // SAFETY: leases and buffers live on and are aligned; one call runs at a time.
            let mut io = unsafe { Io::new(operands, scratch.bytes(), tiles.clone(), *phase) };
            let start = Instant::now();
            kernel.run(*index, &mut io);
            *best = best.min(start.elapsed().as_secs_f64());
        }
        rounds += 1;
    }
    blocks.iter().map(|(.., best)| best).sum()
}

/// Estimated nanoseconds of what is timed at once.
const BLOCK_NS: u64 = 300_000;

struct Lines(Vec<[u64; 8]>, usize);

impl Lines {
    fn new(len: usize) -> Lines {
        Lines(vec![[0; 8]; len / 64 + 2], len)
    }

    fn bytes(&mut self) -> &mut [u8] {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.0);
        let skip = bytes.as_ptr().align_offset(64);
        &mut bytes[skip..skip + self.1]
    }
}
