//! Conv: a window slides over the image.
//!
//! ```text
//!  Conv ─┬─ one or two spatial dimensions, f32 ─┬─ one input channel a group ─▶ depthwise
//!        │                                      ├─ few outputs ──────────────▶ narrow (a matrix product)
//!        │                                      ├─ 3 x 3, channels enough ───▶ winograd
//!        │                                      └─ else ─────────────────────▶ direct (the same, turned round)
//!        └─ anything else ───────────────────────────────────────────────────▶ reference
//! ```
//!
//! The fast paths share [`region`]: the input under a tile is copied once into scratch, with its padding, so that
//! their inner loops know neither borders nor strides. The image is never unfolded (im2col): the inner loop of the matrix
//! product reads it through a table of offsets.

mod depthwise;
mod direct;
mod geometry;
mod narrow;
mod reference;
mod region;
#[cfg(test)]
mod tests;
pub(super) mod transposed;
mod window;
mod winograd;

use alloc::boxed::Box;
use alloc::format;

use inferry_core::ElementType;
use inferry_engine::op::{Conv, Resolved, Window};

use crate::kernel::arguments::{form, refused};
use crate::kernel::epilogue::{Epilogue, Tail};
use crate::kernel::gemm::Sizes;
use crate::kernel::{BuildError, Builder, Built, Kernel};
use geometry::Plane;

/// Builds Conv.
pub(crate) fn conv(op: &Conv, node: &Builder<'_>) -> Built {
    build_conv(op, node, None)
}

/// Builds Conv with an epilogue. The node's inputs are those of Conv alone.
pub(crate) fn build_conv(op: &Conv, node: &Builder<'_>, epilogue: Option<Box<dyn Epilogue>>) -> Built {
    let mut problem = Problem::new(&op.window, op.group, node, 1)?;
    problem.check(node)?;
    match node.output(0).0 {
        ElementType::F32 => {
            let mut tail = Tail::new(epilogue);
            if let Some(plane) = Plane::new(&problem.window, &problem.input) {
                for way in ways(&problem, &plane, node) {
                    match way(&problem, plane, node, tail) {
                        Ok(kernel) => return Ok(kernel),
                        Err(unused) => tail = unused,
                    }
                }
            }
            reference::build::<f32>(problem, tail)
        }
        element if epilogue.is_some() => Err(form(format!("an epilogue of a convolution of {element}"))),
        ElementType::F64 => reference::build::<f64>(problem, Tail::default()),
        element => Err(BuildError::Element { op: "Conv", element }),
    }
}

/// A fast path: the kernel, or the tail back when it cannot take this convolution after all.
type Way = fn(&Problem, Plane, &Builder<'_>, Tail) -> Result<Box<dyn Kernel>, Tail>;

/// The fast paths that pay, best first.
fn ways(problem: &Problem, plane: &Plane, node: &Builder<'_>) -> alloc::vec::Vec<Way> {
    let mut ways: alloc::vec::Vec<Way> = alloc::vec![];
    if winograd::pays(problem, plane, node) {
        ways.push(winograd::build);
    }
    if !problem.is_empty() && narrow::pays(problem, plane, Sizes::of(node.isa)) {
        ways.push(narrow::build);
    }
    // One output channel for many taps is what `direct` does as well, for any number of input channels.
    if problem.depth == 1 && (problem.groups > 1 || problem.features < 4) {
        ways.push(depthwise::build);
    }
    ways.push(direct::build);
    ways
}

/// The extents of a convolution.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) images: usize,
    pub(crate) groups: usize,
    /// Input channels of a group.
    pub(crate) depth: usize,
    /// Output channels of a group.
    pub(crate) features: usize,
    /// Spatial extents of the input.
    pub(crate) input: alloc::vec::Vec<usize>,
    pub(crate) window: Resolved,
    pub(crate) bias: bool,
}

impl Problem {
    /// The extents of the convolution of input 0 with weights that are input `weights`; the next is the bias.
    pub(crate) fn new(
        window: &Window,
        groups: usize,
        node: &Builder<'_>,
        weights: usize,
    ) -> Result<Problem, BuildError> {
        let (x, w) = (&node.input(0)?.shape, &node.input(weights)?.shape);
        let misfit = || form(format!("a convolution of {x} with {w} in {groups} groups"));
        let ([images, channels, input @ ..], [features, depth, kernel @ ..]) = (&x[..], &w[..]) else {
            return Err(misfit());
        };
        if groups == 0 || features % groups != 0 || depth.checked_mul(groups) != Some(*channels) {
            return Err(misfit());
        }
        let window = window.resolve(input, kernel, false).map_err(refused)?;
        let (images, depth, features) = (*images, *depth, features / groups);
        Ok(Problem { images, groups, depth, features, input: input.to_vec(), window, bias: false })
    }

    /// That a convolution of floats has the inputs and the output that it must have.
    fn check(&mut self, node: &Builder<'_>) -> Result<(), BuildError> {
        let (element, shape) = node.output(0);
        if let Some(operand) = node.inputs.iter().flatten().find(|operand| operand.element != *element) {
            return Err(BuildError::Element { op: "Conv", element: operand.element });
        }
        self.check_output(shape)?;
        let Some(bias) = node.optional(2) else { return Ok(()) };
        if bias.shape.count() != self.groups * self.features {
            return Err(form(format!(
                "a bias of {} for {} channels",
                bias.shape,
                self.groups * self.features
            )));
        }
        self.bias = true;
        Ok(())
    }

    /// That the output has the shape that it must have.
    pub(crate) fn check_output(&self, shape: &inferry_core::Shape) -> Result<(), BuildError> {
        let channels = [self.images, self.groups * self.features];
        if shape[..].iter().ne(channels.iter().chain(&self.window.output)) {
            return Err(form(format!("a convolution of {channels:?} {:?} into {shape}", self.window.output)));
        }
        Ok(())
    }

    /// Elements of one channel of the output.
    pub(crate) fn plane_len(&self) -> usize {
        self.window.output.iter().product()
    }

    /// Nothing is to be computed.
    pub(crate) fn is_empty(&self) -> bool {
        self.images * self.groups * self.features * self.plane_len() == 0
    }
}
