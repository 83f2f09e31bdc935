//! The window of convolutions and pooling: the one place that computes padding and output extents.
//!
//! Facts call it when the model is read, kernels when the extents are known; both get the same numbers. It knows nothing
//! of channels, weights or element types.

use alloc::format;
use alloc::vec::Vec;

use super::OpError;
use super::rules::{shape_error, too_large};
use crate::graph::Dim;
use crate::onnx::{ImportError, NodeView};

/// What slides over the spatial dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Window {
    /// The extents of the kernel; those of the weights when `None`.
    pub kernel: Option<Vec<usize>>,
    /// Elements from one place to the next; empty for ones.
    pub strides: Vec<usize>,
    /// Elements from one tap of the kernel to the next; empty for ones.
    pub dilations: Vec<usize>,
    /// What is added around the input.
    pub padding: Padding,
}

/// What is added around the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// So many elements: the begins of all spatial dimensions, then the ends. Empty for zeros.
    Explicit(Vec<usize>),
    /// So many that the output has `ceil(input / stride)` elements, an odd one at the end.
    SameUpper,
    /// So many that the output has `ceil(input / stride)` elements, an odd one at the begin.
    SameLower,
    /// None.
    Valid,
}

impl Default for Padding {
    fn default() -> Padding {
        Padding::Explicit(Vec::new())
    }
}

/// A [`Window`] over an input of known extents. One number for each spatial dimension in each list.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Resolved {
    /// The extents of the kernel.
    pub kernel: Vec<usize>,
    /// Elements from one place to the next.
    pub strides: Vec<usize>,
    /// Elements from one tap of the kernel to the next.
    pub dilations: Vec<usize>,
    /// Elements added before the input (for a transposed convolution: taken away from the output's begin).
    pub begins: Vec<usize>,
    /// Elements added behind the input, also when the last window reaches further or does not reach them. For a transposed
    /// convolution: taken away from the output's end.
    pub ends: Vec<usize>,
    /// The extents of the output.
    pub output: Vec<usize>,
}

/// A [`Window`] along one dimension.
struct Axis {
    kernel: usize,
    stride: usize,
    dilation: usize,
    /// Extent of the kernel with its gaps.
    reach: usize,
}

impl Window {
    /// The window over an input of these extents. `kernel` are the extents of the weights (or of the attribute, for pooling);
    /// with `ceil` a last window that is only partly filled counts, if it begins inside the input or the padding before it.
    pub fn resolve(
        &self,
        input_spatial: &[usize],
        kernel: &[usize],
        ceil: bool,
    ) -> Result<Resolved, OpError> {
        self.check(input_spatial.len(), kernel)?;
        let mut resolved = Resolved::default();
        for (index, input) in input_spatial.iter().enumerate() {
            let axis = self.axis(index, kernel)?;
            let (begin, end, output) = self.slide(index, &axis, *input, ceil)?;
            resolved.push(&axis, begin, end, output);
        }
        Ok(resolved)
    }

    /// The window of a transposed convolution, whose output has the extents that an input of a convolution would have.
    /// `output_padding` (empty for zeros) is added at the ends; `output_shape`, when given, decides the padding.
    pub fn resolve_transposed(
        &self,
        input_spatial: &[usize],
        kernel: &[usize],
        output_padding: &[usize],
        output_shape: Option<&[usize]>,
    ) -> Result<Resolved, OpError> {
        self.check(input_spatial.len(), kernel)?;
        check_count("output_padding", output_padding.len(), input_spatial.len())?;
        if let Some(shape) = output_shape.filter(|shape| shape.len() != input_spatial.len()) {
            let (given, wanted) = (shape.len(), input_spatial.len());
            return shape_error(format!("output_shape has {given} extents for {wanted} spatial dimensions"));
        }
        let mut resolved = Resolved::default();
        for (index, input) in input_spatial.iter().enumerate() {
            let axis = self.axis(index, kernel)?;
            let extra = output_padding.get(index).copied().unwrap_or(0);
            let wanted = output_shape.map(|shape| shape[index]);
            let (begin, end, output) = self.slide_back(index, &axis, *input, extra, wanted)?;
            resolved.push(&axis, begin, end, output);
        }
        Ok(resolved)
    }

    /// What is known of the output's extents: as [`Window::resolve`], with open extents.
    pub(crate) fn infer(&self, input: &[Dim], kernel: &[Dim], ceil: bool) -> Result<Vec<Dim>, OpError> {
        self.check_dims(input.len(), kernel.len())?;
        let taps: Vec<Option<usize>> = kernel.iter().map(Dim::fixed).collect();
        let of = |(index, dim): (usize, &Dim)| {
            let Some(tap) = taps[index] else { return Ok(Dim::Unknown) };
            let axis = self.axis_of(index, tap)?;
            match dim {
                Dim::Fixed(extent) => Ok(Dim::Fixed(self.slide(index, &axis, *extent, ceil)?.2)),
                open if self.keeps_extent(index, &axis) => Ok(open.clone()),
                _ => Ok(Dim::Unknown),
            }
        };
        input.iter().enumerate().map(of).collect()
    }

    /// What is known of the output's extents: as [`Window::resolve_transposed`], with open extents.
    pub(crate) fn infer_transposed(
        &self,
        input: &[Dim],
        kernel: &[Dim],
        output_padding: &[usize],
        output_shape: Option<&[usize]>,
    ) -> Result<Vec<Dim>, OpError> {
        if let Some(shape) = output_shape {
            check_count("output_shape", shape.len(), input.len())?;
            return Ok(shape.iter().map(|extent| Dim::Fixed(*extent)).collect());
        }
        self.check_dims(input.len(), kernel.len())?;
        check_count("output_padding", output_padding.len(), input.len())?;
        let of = |(index, (dim, tap)): (usize, (&Dim, &Dim))| {
            let (Some(extent), Some(tap)) = (dim.fixed(), tap.fixed()) else { return Ok(Dim::Unknown) };
            let extra = output_padding.get(index).copied().unwrap_or(0);
            Ok(Dim::Fixed(self.slide_back(index, &self.axis_of(index, tap)?, extent, extra, None)?.2))
        };
        input.iter().zip(kernel).enumerate().map(of).collect()
    }

    /// Begin, end and output extent of one dimension.
    fn slide(
        &self,
        index: usize,
        axis: &Axis,
        input: usize,
        ceil: bool,
    ) -> Result<(usize, usize, usize), OpError> {
        match &self.padding {
            Padding::SameUpper | Padding::SameLower => {
                let output = input.div_ceil(axis.stride);
                let needed = output.saturating_sub(1).checked_mul(axis.stride);
                let needed = needed.and_then(|last| last.checked_add(axis.reach)).ok_or_else(too_large)?;
                let (begin, end) = self.share(needed.saturating_sub(input));
                Ok((begin, end, output))
            }
            Padding::Valid => Ok((0, 0, places(index, axis, input, 0, input, ceil)?)),
            Padding::Explicit(_) => {
                let (begin, end) = self.explicit(index);
                let padded =
                    input.checked_add(begin).and_then(|sum| sum.checked_add(end)).ok_or_else(too_large)?;
                Ok((begin, end, places(index, axis, input, begin, padded, ceil)?))
            }
        }
    }

    /// Begin, end and output extent of one dimension of a transposed convolution.
    fn slide_back(
        &self,
        index: usize,
        axis: &Axis,
        input: usize,
        extra: usize,
        wanted: Option<usize>,
    ) -> Result<(usize, usize, usize), OpError> {
        let full = input.saturating_sub(1).checked_mul(axis.stride);
        let full =
            full.and_then(|last| last.checked_add(axis.reach)?.checked_add(extra)).ok_or_else(too_large)?;
        let wanted = match &self.padding {
            Padding::SameUpper | Padding::SameLower if wanted.is_none() => {
                Some(input.checked_mul(axis.stride).ok_or_else(too_large)?)
            }
            _ => wanted,
        };
        if let Some(output) = wanted {
            let (begin, end) = self.share_back(full.saturating_sub(output));
            return Ok((begin, end, output));
        }
        let (begin, end) = if self.padding == Padding::Valid { (0, 0) } else { self.explicit(index) };
        let taken = begin.checked_add(end).ok_or_else(too_large)?;
        let Some(output) = full.checked_sub(taken) else {
            return shape_error(format!(
                "spatial dimension {index}: padding {taken} is more than the output's {full}"
            ));
        };
        Ok((begin, end, output))
    }

    /// Padding of a Same mode, shared between begin and end.
    fn share(&self, total: usize) -> (usize, usize) {
        let small = total / 2;
        if self.padding == Padding::SameLower { (total - small, small) } else { (small, total - small) }
    }

    /// As [`Window::share`] for transposed convolutions, where the standard wants an odd one at the begin unless the mode is
    /// SAME_UPPER.
    fn share_back(&self, total: usize) -> (usize, usize) {
        let small = total / 2;
        if self.padding == Padding::SameUpper { (small, total - small) } else { (total - small, small) }
    }

    /// The begin and end that the model states.
    fn explicit(&self, index: usize) -> (usize, usize) {
        match &self.padding {
            Padding::Explicit(pads) if !pads.is_empty() => (pads[index], pads[pads.len() / 2 + index]),
            _ => (0, 0),
        }
    }

    /// True when the output has the input's extent whatever that is.
    fn keeps_extent(&self, index: usize, axis: &Axis) -> bool {
        let (begin, end) = self.explicit(index);
        let same = matches!(self.padding, Padding::SameUpper | Padding::SameLower);
        axis.stride == 1 && (same || begin.checked_add(end) == Some(axis.reach - 1))
    }

    fn axis(&self, index: usize, kernel: &[usize]) -> Result<Axis, OpError> {
        self.axis_of(index, kernel[index])
    }

    fn axis_of(&self, index: usize, kernel: usize) -> Result<Axis, OpError> {
        let stride = self.strides.get(index).copied().unwrap_or(1);
        let dilation = self.dilations.get(index).copied().unwrap_or(1);
        if kernel == 0 || stride == 0 || dilation == 0 {
            return shape_error(format!(
                "spatial dimension {index}: kernel {kernel}, stride {stride}, dilation {dilation}; none may be 0"
            ));
        }
        let reach =
            (kernel - 1).checked_mul(dilation).and_then(|gap| gap.checked_add(1)).ok_or_else(too_large)?;
        Ok(Axis { kernel, stride, dilation, reach })
    }

    fn check(&self, spatial: usize, kernel: &[usize]) -> Result<(), OpError> {
        self.check_dims(spatial, kernel.len())?;
        match &self.kernel {
            Some(stated) if stated != kernel => {
                shape_error(format!("kernel_shape is {stated:?}, the weights have {kernel:?}"))
            }
            _ => Ok(()),
        }
    }

    fn check_dims(&self, spatial: usize, kernel: usize) -> Result<(), OpError> {
        if kernel != spatial {
            return shape_error(format!("a kernel of {kernel} dimensions over {spatial} spatial dimensions"));
        }
        check_count("strides", self.strides.len(), spatial)?;
        check_count("dilations", self.dilations.len(), spatial)?;
        match &self.padding {
            Padding::Explicit(pads) => check_count("pads", pads.len(), 2 * spatial),
            _ => Ok(()),
        }
    }
}

impl Resolved {
    fn push(&mut self, axis: &Axis, begin: usize, end: usize, output: usize) {
        self.kernel.push(axis.kernel);
        self.strides.push(axis.stride);
        self.dilations.push(axis.dilation);
        self.begins.push(begin);
        self.ends.push(end);
        self.output.push(output);
    }
}

/// How many places the window has in `padded` elements, of which `begin` lie before the input.
fn places(
    index: usize,
    axis: &Axis,
    input: usize,
    begin: usize,
    padded: usize,
    ceil: bool,
) -> Result<usize, OpError> {
    let Some(room) = padded.checked_sub(axis.reach) else {
        return shape_error(format!(
            "spatial dimension {index}: a window of {} does not fit into {padded} elements",
            axis.reach
        ));
    };
    if !ceil {
        return Ok(room / axis.stride + 1);
    }
    let last = room.div_ceil(axis.stride);
    // A window that lies wholly in the padding behind the input would see nothing.
    let sees = last.checked_mul(axis.stride).is_some_and(|start| start < input + begin);
    Ok(if sees { last + 1 } else { last })
}

fn check_count(what: &str, given: usize, wanted: usize) -> Result<(), OpError> {
    if given == 0 || given == wanted {
        return Ok(());
    }
    shape_error(format!("{what} has {given} numbers instead of {wanted}"))
}

/// The window of a convolution or pooling node: `kernel_shape`, `strides`, `dilations`, `pads`, `auto_pad`.
pub(crate) fn import(node: &NodeView<'_>) -> Result<Window, ImportError> {
    let kernel = node.extents("kernel_shape")?;
    let padding = match node.text("auto_pad")? {
        None | Some("" | "NOTSET") => Padding::Explicit(node.extents("pads")?),
        Some("SAME_UPPER") => Padding::SameUpper,
        Some("SAME_LOWER") => Padding::SameLower,
        Some("VALID") => Padding::Valid,
        Some(other) => return Err(node.refuse_attribute("auto_pad", format!("\"{other}\" is not known"))),
    };
    Ok(Window {
        kernel: (!kernel.is_empty()).then_some(kernel),
        strides: node.extents("strides")?,
        dilations: node.extents("dilations")?,
        padding,
    })
}
