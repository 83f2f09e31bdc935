//! MatMul and Gemm.
//!
//! Both become one [`Product`]: a batch of matrix products over the packed loops of [`gemm`](crate::kernel::gemm). A constant
//! right factor is packed once for all requests; leading dimensions of the left factor are rows when the right one has
//! none. Tiles are blocks of rows and columns, or several small products of the batch.
//!
//! Element types without a fast path go through [`reference`].
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use inferry_core::steps::Pace;
use inferry_core::{ElementType, Shape};
use inferry_engine::op::{Gemm, MatMul};

use crate::io::Io;
use crate::isa::{Isa, Level};
use crate::kernel::arguments::form;
use crate::kernel::epilogue::{Epilogue, Tail};
use crate::kernel::gemm::pack::{Floats, Matrix, pack_right, right_len};
use crate::kernel::gemm::product::{Block, RightFactor, Tables, multiply, scratch_len};
use crate::kernel::gemm::{Init, Sizes};
use crate::kernel::number::Number;
use crate::kernel::pointwise::Rows;
use crate::kernel::simple::{simple, spread_rows};
use crate::kernel::{BuildError, Builder, Built, Kernel, Operand, Phase};
use crate::pack::Numbers;
use crate::simd::{self, Simd, Vectorized};

/// Builds MatMul.
pub(crate) fn matmul(op: &MatMul, node: &Builder<'_>) -> Built {
    build_matmul(op, node, None)
}

/// Builds Gemm.
pub(crate) fn gemm(op: &Gemm, node: &Builder<'_>) -> Built {
    build_gemm(op, node, None)
}

/// Builds MatMul with an epilogue. The node's inputs are those of MatMul, and perhaps a constant row that is added to each
/// row of the product.
pub(crate) fn build_matmul(_op: &MatMul, node: &Builder<'_>, epilogue: Option<Box<dyn Epilogue>>) -> Built {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let problem = Problem::matmul(&a.shape, &b.shape)?;
    problem.check(node)?;
    let addend = match node.optional(2) {
        Some(row) if row.constant.is_some() => Addend::of(row, 1.0, &problem)?,
        Some(row) => return Err(form(format!("MatMul adds {}, which is no constant", row.shape))),
        None => Addend::None,
    };
    build(problem, addend, node, epilogue)
}

/// Builds Gemm with an epilogue. The node's inputs are those of Gemm alone.
pub(crate) fn build_gemm(op: &Gemm, node: &Builder<'_>, epilogue: Option<Box<dyn Epilogue>>) -> Built {
    let (a, b) = (node.input(0)?, node.input(1)?);
    let problem = Problem::gemm(op, &a.shape, &b.shape)?;
    problem.check(node)?;
    let addend = match node.optional(2) {
        Some(c) if op.beta != 0.0 => Addend::of(c, op.beta, &problem)?,
        _ => Addend::None,
    };
    build(problem, addend, node, epilogue)
}

fn build(problem: Problem, addend: Addend, node: &Builder<'_>, epilogue: Option<Box<dyn Epilogue>>) -> Built {
    let element = node.output(0).0;
    if element == ElementType::F32 {
        return Ok(Box::new(Product::new(problem, addend, node, Tail::new(epilogue))?));
    }
    if epilogue.is_some() {
        return Err(form(format!("an epilogue of a product of {element}")));
    }
    match element {
        ElementType::F64 => reference::<f64>(problem, addend),
        ElementType::I32 => reference::<i32>(problem, addend),
        ElementType::U32 => reference::<u32>(problem, addend),
        ElementType::I64 => reference::<i64>(problem, addend),
        ElementType::U64 => reference::<u64>(problem, addend),
        _ => Err(BuildError::Element { op: "MatMul", element }),
    }
}

/// What is multiplied: a batch of products of matrices, and how they lie in memory.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) rows: usize,
    pub(crate) depth: usize,
    pub(crate) columns: usize,
    alpha: f32,
    /// Strides of the left factor: from row to row, and along the inner dimension.
    left: [usize; 2],
    /// Strides of the right factor: along the inner dimension, and from column to column.
    right: [usize; 2],
    /// For each product of the batch, where its factors begin.
    pub(crate) batch: Vec<[usize; 2]>,
}

impl Problem {
    pub(crate) fn matmul(a: &Shape, b: &Shape) -> Result<Problem, BuildError> {
        let misfit = || form(format!("MatMul of {a} by {b}"));
        let (lead_a, rows, depth) = match a[..] {
            [] => return Err(misfit()),
            [depth] => (&a[..0], 1, depth),
            [.., rows, depth] => (&a[..a.rank() - 2], rows, depth),
        };
        let (lead_b, inner, columns) = match b[..] {
            [] => return Err(misfit()),
            [inner] => (&b[..0], inner, 1),
            [.., inner, columns] => (&b[..b.rank() - 2], inner, columns),
        };
        if inner != depth {
            return Err(misfit());
        }
        let batch = pairs(lead_a, rows * depth, lead_b, depth * columns).ok_or_else(misfit)?;
        let (left, right) = ([depth, 1], [columns, 1]);
        // One right factor for all: the rows of all left factors are rows of one product.
        let consecutive = batch.iter().enumerate().all(|(index, at)| *at == [index * rows * depth, 0]);
        if consecutive && batch.len() > 1 {
            let rows = rows * batch.len();
            return Ok(Problem { rows, depth, columns, alpha: 1.0, left, right, batch: vec![[0, 0]] });
        }
        Ok(Problem { rows, depth, columns, alpha: 1.0, left, right, batch })
    }

    fn gemm(op: &Gemm, a: &Shape, b: &Shape) -> Result<Problem, BuildError> {
        let ([a0, a1], [b0, b1]) = (&a[..], &b[..]) else {
            return Err(form(format!("Gemm of {a} by {b}")));
        };
        let (rows, depth) = if op.trans_a { (*a1, *a0) } else { (*a0, *a1) };
        let (inner, columns) = if op.trans_b { (*b1, *b0) } else { (*b0, *b1) };
        if inner != depth {
            return Err(form(format!("Gemm of {a} by {b}")));
        }
        let left = if op.trans_a { [1, rows] } else { [depth, 1] };
        let right = if op.trans_b { [1, depth] } else { [columns, 1] };
        Ok(Problem { rows, depth, columns, alpha: op.alpha, left, right, batch: vec![[0, 0]] })
    }

    /// Elements of the result.
    pub(crate) fn count(&self) -> usize {
        self.batch.len() * self.rows * self.columns
    }

    /// That inputs and output have the element type and size that they must have.
    fn check(&self, node: &Builder<'_>) -> Result<(), BuildError> {
        let (element, shape) = node.output(0);
        if let Some(operand) = node.inputs.iter().flatten().find(|operand| operand.element != *element) {
            return Err(BuildError::Element { op: "MatMul", element: operand.element });
        }
        self.check_output(shape)
    }

    /// That the output has the size that it must have.
    pub(crate) fn check_output(&self, shape: &Shape) -> Result<(), BuildError> {
        if shape.count() != self.count() {
            return Err(form(format!("a product of {} elements into {shape}", self.count())));
        }
        Ok(())
    }

    fn right_matrix<'a>(&self, data: &'a [f32], at: usize) -> Matrix<'a> {
        let [row_stride, column_stride] = self.right;
        Matrix { data: &data[at..], rows: self.depth, columns: self.columns, row_stride, column_stride }
    }
}

/// Where each pair of matrices of two broadcast batches begins; `None` when the leading dimensions do not broadcast.
fn pairs(a: &[usize], a_size: usize, b: &[usize], b_size: usize) -> Option<Vec<[usize; 2]>> {
    let rank = a.len().max(b.len());
    let mut batch = vec![[0, 0]];
    let (mut a_stride, mut b_stride) = (a_size, b_size);
    // From the innermost dimension outwards: each repeats what is there, shifted.
    for back in 1..=rank {
        let extent = |lead: &[usize]| lead.len().checked_sub(back).map_or(1, |dim| lead[dim]);
        let (of_a, of_b) = (extent(a), extent(b));
        let extent = if of_a == 1 { of_b } else { of_a };
        if of_b != 1 && of_b != extent {
            return None;
        }
        let step = [if of_a == 1 { 0 } else { a_stride }, if of_b == 1 { 0 } else { b_stride }];
        batch = (0..extent)
            .flat_map(|index| batch.iter().map(move |at| [at[0] + index * step[0], at[1] + index * step[1]]))
            .collect();
        (a_stride, b_stride) = (a_stride * of_a, b_stride * of_b);
    }
    Some(batch)
}

/// What is added to a product: input 2, times `beta`, broadcast.
enum Addend {
    None,
    /// One number for each column, known beforehand and already multiplied.
    Columns(Floats),
    /// The general case; a stride is 0 where `c` is broadcast.
    General {
        beta: f32,
        row_stride: usize,
        column_stride: usize,
    },
}

impl Addend {
    fn of(c: &Operand<'_>, beta: f32, problem: &Problem) -> Result<Addend, BuildError> {
        let misfit = || form(format!("Gemm adds {} to {} x {}", c.shape, problem.rows, problem.columns));
        let (rows, columns) = match c.shape[..] {
            [] => (1, 1),
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            _ => return Err(misfit()),
        };
        let fits = |extent, whole| extent == 1 || extent == whole;
        if !fits(rows, problem.rows) || !fits(columns, problem.columns) {
            return Err(misfit());
        }
        if let Some(values) = c.constant.filter(|_| rows == 1 && c.element == ElementType::F32) {
            let values = values.as_slice::<f32>().map_err(|error| form(format!("Gemm adds {error}")))?;
            let mut bias = Floats::zeros(problem.columns);
            for (column, slot) in bias.as_mut().iter_mut().enumerate() {
                *slot = beta * values[if columns == 1 { 0 } else { column }];
            }
            return Ok(Addend::Columns(bias));
        }
        let row_stride = if rows == 1 { 0 } else { columns };
        Ok(Addend::General { beta, row_stride, column_stride: usize::from(columns != 1) })
    }
}

/// The packed path, for f32.
struct Product {
    phases: Vec<Phase>,
    scratch: usize,
    isa: Isa,
    problem: Problem,
    /// The right factor when it is constant.
    packed: Option<Arc<Floats>>,
    tables: Tables,
    addend: Addend,
    tail: Tail,
    grid: Grid,
}

/// How a batch of products is cut into tiles: several products each, or blocks of one.
#[derive(Clone, Copy, Debug)]
struct Grid {
    products: usize,
    rows: usize,
    columns: usize,
    row_blocks: usize,
    column_blocks: usize,
}

/// Roughly the nanoseconds of one block: small enough to share work among threads, large enough to pay for handing it out.
/// In tests small matrices are cut as well.
const BLOCK_NS: u64 = if cfg!(test) { 20 } else { 50_000 };
/// Bytes of the left factor that a block may have, so that they stay in the second level of cache.
const BLOCK_BYTES: usize = 192 << 10;

impl Grid {
    fn new(problem: &Problem, sizes: Sizes, isa: Isa) -> (Grid, Phase) {
        let whole = cost(problem, problem.rows, problem.columns, isa);
        let mut grid = Grid {
            products: 1,
            rows: problem.rows,
            columns: problem.columns,
            row_blocks: 1,
            column_blocks: 1,
        };
        if whole < BLOCK_NS {
            grid.products =
                usize::try_from(BLOCK_NS / whole.max(1)).unwrap_or(1).clamp(1, problem.batch.len().max(1));
            let tiles = problem.batch.len().div_ceil(grid.products);
            return (grid, Phase::tiles(tiles, whole * grid.products as u64));
        }
        let most = (BLOCK_BYTES / 4 / problem.depth.max(1)).max(sizes.rows);
        grid.rows = even(problem.rows, most, sizes.rows);
        grid.row_blocks = problem.rows.div_ceil(grid.rows);
        let of_rows = cost(problem, grid.rows, problem.columns, isa);
        let pieces = usize::try_from(of_rows.div_ceil(BLOCK_NS)).unwrap_or(1).max(1);
        grid.columns = even(problem.columns, problem.columns.div_ceil(pieces), sizes.columns());
        grid.column_blocks = problem.columns.div_ceil(grid.columns);
        let tiles = problem.batch.len() * grid.row_blocks * grid.column_blocks;
        (grid, Phase::tiles(tiles, cost(problem, grid.rows, grid.columns, isa)))
    }
}

/// A block's share of `whole`: about `most`, a multiple of `step` and not 0, and about the same for all blocks.
fn even(whole: usize, most: usize, step: usize) -> usize {
    whole.div_ceil(whole.div_ceil(most.max(1)).max(1)).next_multiple_of(step).max(step)
}

/// Nanoseconds of a block: arithmetic, or reading the right factor when there are few rows.
fn cost(problem: &Problem, rows: usize, columns: usize, isa: Isa) -> u64 {
    let right = (problem.depth * columns) as u64;
    (right * rows as u64 * 2 / gigaflops(isa)).max(right * 4 / 20).max(1)
}

/// Operations in a nanosecond that a desktop processor does.
pub(crate) fn gigaflops(isa: Isa) -> u64 {
    match isa.level() {
        Level::Portable => 12,
        Level::Neon | Level::NeonI8mm => 40,
        Level::Avx2 => 60,
        Level::Avx512 | Level::Avx512Vnni => 120,
    }
}

impl Product {
    fn new(problem: Problem, addend: Addend, node: &Builder<'_>, tail: Tail) -> Result<Product, BuildError> {
        let sizes = Sizes::of(node.isa);
        let (grid, phase) = Grid::new(&problem, sizes, node.isa);
        let tables = Tables::new(problem.depth, problem.left[1], problem.right[0], sizes)
            .ok_or_else(|| form(format!("a product over {} elements", problem.depth)))?;
        let constant = node.optional(1).and_then(|operand| operand.constant);
        let packed = constant.filter(|_| problem.batch.len() == 1).and_then(|tensor| {
            let data = Numbers::of(tensor)?;
            let mut tag = 0x6d61_746d_756c ^ sizes.tag() << 48 ^ u64::from(problem.alpha.to_bits()) << 1;
            tag ^= (problem.right[0] as u64) << 20 ^ problem.depth as u64;
            let parts = || vec![4 * right_len(problem.columns, problem.depth, sizes)];
            Some(node.packs.get(tensor, tag, parts, |pace| pack(problem.clone(), data, sizes, pace)))
        });
        let scratch = if packed.is_some() { 0 } else { 4 * scratch_len(problem.depth, sizes) };
        let phases = if problem.count() == 0 { vec![] } else { vec![phase] };
        Ok(Product { phases, scratch, isa: node.isa, problem, packed, tables, addend, tail, grid })
    }

    /// One block of one product: rows, columns.
    #[inline(always)]
    fn block<S: Simd>(&self, simd: S, io: &Io<'_>, scratch: &mut [f32], product: usize, at: [usize; 2]) {
        let Problem { rows, columns, alpha, .. } = self.problem;
        let [row, column] = at;
        let (rows, width) = (self.grid.rows.min(rows - row), self.grid.columns.min(columns - column));
        let [left_at, right_at] = self.problem.batch[product];
        let left = &io.input::<f32>(0)[left_at..];
        let out = io.shared::<f32>(0);
        let first = product * self.problem.rows * columns + row * columns;
        let right = match &self.packed {
            Some(packed) => RightFactor::Packed(packed),
            None => RightFactor::Plain(self.problem.right_matrix(io.input::<f32>(1), right_at)),
        };
        let alpha = if self.packed.is_some() { 1.0 } else { alpha };
        // What registers cannot do is done in a second pass over the block.
        let (init, second) = match &self.addend {
            Addend::Columns(bias) if alpha == 1.0 => (Init::Columns(bias.as_ptr()), false),
            Addend::None if alpha == 1.0 => (Init::Zero, false),
            _ => (Init::Zero, true),
        };
        // SAFETY: each row of the block is this tile's alone.
        let line = |row: usize| unsafe {
            let start = first + row * columns + column;
            out.range(start..start + width)
        };
        let block = Block {
            left: left.as_ptr().wrapping_add(row * self.problem.left[0]),
            left_row: self.problem.left[0],
            right,
            all_columns: columns,
            tables: &self.tables,
            rows,
            first: column,
            columns: width,
            init,
            clip: self.tail.clip.filter(|_| !second),
            out: out.pointer(first),
            out_row: columns,
        };
        // SAFETY: the extents are those of the inputs and the output, as the builder has checked; the block's elements are
        // this tile's, and no slice of them lives.
        unsafe { multiply(simd, &block, scratch) };
        if let Some(map) = self.tail.map.filter(|_| !second) {
            let rows = Rows { start: out.pointer(first + column), count: rows, step: columns, len: width };
            // SAFETY: as above.
            return unsafe { map.rows(simd, rows) };
        }
        for index in 0..rows {
            if second {
                self.add(io, row + index, column, alpha, line(index));
                line(index).iter_mut().for_each(|value| *value = self.tail.clipped(*value));
            }
            if self.tail.then.is_some() {
                self.tail.apply(io, first + index * columns + column, row + index, line(index));
            }
        }
    }

    /// `line = alpha * line + beta * c` for a part of row `row` from `column` on.
    fn add(&self, io: &Io<'_>, row: usize, column: usize, alpha: f32, line: &mut [f32]) {
        for (index, slot) in line.iter_mut().enumerate() {
            *slot = alpha * *slot
                + match &self.addend {
                    Addend::None => 0.0,
                    Addend::Columns(bias) => bias[column + index],
                    Addend::General { beta, row_stride, column_stride } => {
                        beta * io.input::<f32>(2)[row * row_stride + (column + index) * column_stride]
                    }
                };
        }
    }
}

/// So many numbers are scaled between two looks.
const PIECE: usize = 16 << 10;

async fn pack(problem: Problem, data: Numbers, sizes: Sizes, mut pace: Pace) -> Floats {
    let len = right_len(problem.columns, problem.depth, sizes);
    let mut packed = Floats::zeros_paced(len, &mut pace).await;
    pack_right(problem.right_matrix(&data, 0), sizes, packed.as_mut(), &mut pace).await;
    if problem.alpha != 1.0 {
        for piece in packed.as_mut().chunks_mut(PIECE) {
            piece.iter_mut().for_each(|value| *value *= problem.alpha);
            pace.spend(piece.len() as u64).await;
        }
    }
    packed
}

impl Kernel for Product {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn scratch(&self) -> usize {
        self.scratch
    }

    fn run(&self, _phase: usize, io: &mut Io<'_>) {
        struct Tiles<'a, 'io>(&'a Product, &'a mut Io<'io>);
        impl Vectorized for Tiles<'_, '_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) {
                let Tiles(product, io) = self;
                let Grid { products, rows, columns, row_blocks, column_blocks } = product.grid;
                let scratch = io.scratch::<f32>();
                for tile in io.tiles() {
                    let (rest, column) = (tile / column_blocks, tile % column_blocks);
                    let (group, row) = (rest / row_blocks, rest % row_blocks);
                    let last = ((group + 1) * products).min(product.problem.batch.len());
                    for index in group * products..last {
                        product.block(simd, io, scratch, index, [row * rows, column * columns]);
                    }
                }
            }
        }
        simd::dispatch(self.isa, Tiles(self, io));
    }
}

/// The definition, row by row: for element types without a fast path.
fn reference<T: Number>(problem: Problem, addend: Addend) -> Built {
    let rows = problem.batch.len() * problem.rows;
    let phase = spread_rows(rows, problem.columns, 1000 * problem.depth.max(1) as u64);
    let (alpha, beta) = match &addend {
        Addend::General { beta, .. } => (problem.alpha, *beta),
        _ => (problem.alpha, 0.0),
    };
    let factor = |value: f32| {
        if value == 1.0 { T::ONE } else { T::from_f64(f64::from(value)) }
    };
    let (alpha, beta) = (factor(alpha), factor(beta));
    simple(phase, move |io| {
        let (a, b) = (io.input::<T>(0), io.input::<T>(1));
        let first = io.tiles().start * phase.unit / problem.columns.max(1);
        for (index, line) in io.rows::<T>().chunks_mut(problem.columns.max(1)).enumerate() {
            let (product, row) = ((first + index) / problem.rows, (first + index) % problem.rows);
            let [a_at, b_at] = problem.batch[product];
            for (column, slot) in line.iter_mut().enumerate() {
                let mut sum = T::default();
                for k in 0..problem.depth {
                    let left = a[a_at + row * problem.left[0] + k * problem.left[1]];
                    let right = b[b_at + k * problem.right[0] + column * problem.right[1]];
                    sum = sum.add(left.mul(right));
                }
                *slot = alpha.mul(sum);
                if let Addend::General { row_stride, column_stride, .. } = &addend {
                    let c = io.input::<T>(2)[row * row_stride + column * column_stride];
                    *slot = slot.add(beta.mul(c));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{assert_close, noise, run_with_constants, tensor};
    use inferry_core::Tensor;
    use inferry_engine::op::Op;

    /// By the definition, in f64.
    fn expected(problem: &Problem, a: &[f32], b: &[f32], c: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        let mut out = Vec::new();
        for [a_at, b_at] in &problem.batch {
            for row in 0..problem.rows {
                for column in 0..problem.columns {
                    let sum: f64 = (0..problem.depth)
                        .map(|k| {
                            let left = a[a_at + row * problem.left[0] + k * problem.left[1]];
                            let right = b[b_at + k * problem.right[0] + column * problem.right[1]];
                            f64::from(left) * f64::from(right)
                        })
                        .sum();
                    out.push((f64::from(problem.alpha) * sum) as f32 + c(row, column));
                }
            }
        }
        out
    }

    fn random(shape: &[usize], seed: u64) -> Tensor {
        tensor(&noise(shape.iter().product(), seed), Shape::new(shape).unwrap())
    }

    fn check(
        op: &dyn Op,
        problem: &Problem,
        inputs: &[Tensor],
        output: Shape,
        c: impl Fn(usize, usize) -> f32,
    ) {
        let (a, b) = (inputs[0].to_vec().unwrap(), inputs[1].to_vec().unwrap());
        let wanted = expected(problem, &a, &b, c);
        let outputs = [(ElementType::F32, output)];
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        for isa in Isa::detect_for_tests() {
            for constants in [&[][..], &[1], &[0, 1, 2]] {
                let results = run_with_constants(op, &inputs, constants, &outputs, isa);
                let actual: Vec<f32> = results[0].to_vec().unwrap();
                assert_close(&actual, &wanted, 1e-5 * (problem.depth as f32).sqrt(), 1e-5);
            }
        }
    }

    #[test]
    fn products_of_every_form_agree_with_the_definition() {
        let cases: &[(&[usize], &[usize], &[usize])] = &[
            (&[1, 1], &[1, 1], &[1, 1]),
            (&[1, 7], &[7, 33], &[1, 33]),
            (&[2, 65], &[65, 40], &[2, 40]),
            (&[3, 5], &[5, 16], &[3, 16]),
            (&[29, 17], &[17, 70], &[29, 70]),
            (&[64, 31], &[31, 31], &[64, 31]),
            (&[33, 0], &[0, 5], &[33, 5]),
            (&[0, 4], &[4, 5], &[0, 5]),
            // Enough columns to be cut into blocks, and no row in any.
            (&[0, 64], &[64, 64], &[0, 64]),
            (&[0, 2, 3], &[0, 3, 4], &[0, 2, 4]),
            (&[9], &[9], &[]),
            (&[9], &[9, 34], &[34]),
            (&[5, 9], &[9], &[5]),
            (&[4, 3, 9], &[9, 20], &[4, 3, 20]),
            (&[2, 3, 5, 8], &[2, 3, 8, 18], &[2, 3, 5, 18]),
            (&[2, 1, 5, 8], &[3, 8, 18], &[2, 3, 5, 18]),
            (&[5, 8], &[2, 3, 8, 18], &[2, 3, 5, 18]),
            (&[3, 15, 6], &[6], &[3, 15]),
        ];
        for (a, b, out) in cases {
            let problem = Problem::matmul(&Shape::new(a).unwrap(), &Shape::new(b).unwrap()).unwrap();
            check(&MatMul, &problem, &[random(a, 1), random(b, 2)], Shape::new(out).unwrap(), |_, _| 0.0);
        }
    }

    #[test]
    fn every_count_of_rows_and_columns_has_its_tile() {
        for rows in 1..=29 {
            let columns = 3 * rows + 1;
            let problem = Problem::matmul(&[rows, 11].into(), &[11, columns].into()).unwrap();
            let inputs = [random(&[rows, 11], 3), random(&[11, columns], 4)];
            check(&MatMul, &problem, &inputs, [rows, columns].into(), |_, _| 0.0);
        }
    }

    #[test]
    fn gemm_transposes_scales_and_adds() {
        let (rows, depth, columns) = (19, 23, 37);
        for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let a = random(if trans_a { &[23, 19] } else { &[19, 23] }, 5);
            let b = random(if trans_b { &[37, 23] } else { &[23, 37] }, 6);
            for (alpha, beta) in [(1.0, 1.0), (0.5, 2.0), (1.0, 0.0), (-1.5, 1.0)] {
                let op = Gemm { alpha, beta, trans_a, trans_b };
                let problem = Problem::gemm(&op, a.shape(), b.shape()).unwrap();
                assert_eq!((problem.rows, problem.depth, problem.columns), (rows, depth, columns));
                for shape in [&[][..], &[1], &[37], &[1, 37], &[19, 1], &[19, 37]] {
                    let c = random(shape, 7);
                    let values: Vec<f32> = c.to_vec().unwrap();
                    let (has_rows, has_columns) = match shape {
                        [] => (1, 1),
                        [columns] => (1, *columns),
                        _ => (shape[0], shape[1]),
                    };
                    let add = |row: usize, column: usize| {
                        beta * values[row % has_rows * has_columns + column % has_columns]
                    };
                    check(&op, &problem, &[a.clone(), b.clone(), c.clone()], [rows, columns].into(), add);
                }
                check(&op, &problem, &[a.clone(), b.clone()], [rows, columns].into(), |_, _| 0.0);
            }
        }
    }

    #[test]
    fn integers_and_doubles_are_multiplied_in_their_own_type() {
        let a = tensor(&[1i64 << 40, 2, 3, 4], [2, 2]);
        let b = tensor(&[1i64 << 20, 1, 1, 1], [2, 2]);
        let outputs = [(ElementType::I64, Shape::from([2, 2]))];
        let results = run_with_constants(&MatMul, &[Some(a), Some(b)], &[], &outputs, Isa::portable());
        let wanted = [(1i64 << 60) + 2, (1 << 40) + 2, (3 << 20) + 4, 7];
        assert_eq!(results[0].to_vec::<i64>().unwrap(), wanted);
        let (a, b) = (tensor(&[1e300, 1.0], [1, 2]), tensor(&[1.0, 1e-300], [2, 1]));
        let op = Gemm { alpha: 1.0, beta: 1.0, trans_a: false, trans_b: false };
        let c = tensor(&[1e300], [1]);
        let outputs = [(ElementType::F64, Shape::from([1, 1]))];
        let results =
            run_with_constants(&op, &[Some(a), Some(b), Some(c)], &[1, 2], &outputs, Isa::portable());
        assert_eq!(results[0].to_vec::<f64>().unwrap(), [2e300]);
    }

    #[test]
    fn misfits_are_refused() {
        assert!(Problem::matmul(&[2, 3].into(), &[4, 5].into()).is_err());
        assert!(Problem::matmul(&[2, 2, 3].into(), &[3, 3, 5].into()).is_err());
        assert!(Problem::matmul(&[].into(), &[3, 5].into()).is_err());
    }
}
