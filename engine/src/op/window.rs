//! The window of convolutions and pooling: the one place that computes padding and output extents.
//!
//! Facts call it when the model is read, kernels when the extents are known; both get the same numbers. It knows nothing
//! of channels, weights or element types.

use alloc::format;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::OpError;
use super::rules::{shape_error, too_large};
use crate::graph::Dim;
use crate::onnx::{ImportError, NodeView};

/// What slides over the spatial dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::testing::node;

    fn window(strides: &[usize], dilations: &[usize], padding: Padding) -> Window {
        Window { kernel: None, strides: strides.to_vec(), dilations: dilations.to_vec(), padding }
    }

    fn explicit(pads: &[usize]) -> Padding {
        Padding::Explicit(pads.to_vec())
    }

    /// Begin, end and output extent along one dimension.
    fn slide(window: &Window, input: usize, kernel: usize, ceil: bool) -> (usize, usize, usize) {
        let resolved = window.resolve(&[input], &[kernel], ceil).unwrap();
        (resolved.begins[0], resolved.ends[0], resolved.output[0])
    }

    #[test]
    fn output_extents_follow_padding_stride_and_dilation() {
        let cases = [
            (window(&[], &[], Padding::default()), 8, 3, (0, 0, 6)),
            (window(&[], &[], explicit(&[1, 1])), 8, 3, (1, 1, 8)),
            (window(&[2], &[], explicit(&[1, 0])), 8, 3, (1, 0, 4)),
            (window(&[], &[2], Padding::default()), 8, 3, (0, 0, 4)),
            (window(&[3], &[], Padding::default()), 3, 3, (0, 0, 1)),
            (window(&[2], &[], Padding::SameUpper), 8, 3, (0, 1, 4)),
            (window(&[2], &[], Padding::SameLower), 8, 3, (1, 0, 4)),
            (window(&[2], &[], Padding::SameUpper), 7, 3, (1, 1, 4)),
            (window(&[3], &[], Padding::SameUpper), 7, 1, (0, 0, 3)),
            (window(&[1], &[2], Padding::SameUpper), 5, 3, (2, 2, 5)),
            (window(&[2], &[], Padding::Valid), 8, 3, (0, 0, 3)),
            (window(&[2], &[], Padding::SameUpper), 0, 1, (0, 1, 0)),
        ];
        for (window, input, kernel, expect) in cases {
            assert_eq!(slide(&window, input, kernel, false), expect, "{window:?} over {input} with {kernel}");
        }
    }

    #[test]
    fn with_ceil_a_partly_filled_window_counts_but_not_one_in_the_padding() {
        assert_eq!(slide(&window(&[2], &[], Padding::default()), 6, 3, false).2, 2);
        assert_eq!(slide(&window(&[2], &[], Padding::default()), 6, 3, true).2, 3);
        // The fourth window would begin at 6, where only padding is.
        assert_eq!(slide(&window(&[2], &[], explicit(&[0, 2])), 6, 2, true).2, 3);
        assert_eq!(slide(&window(&[2], &[], explicit(&[1, 1])), 5, 2, true).2, 3);
    }

    #[test]
    fn every_dimension_has_its_own_numbers() {
        let window = window(&[1, 2], &[], explicit(&[1, 2, 3, 4]));
        let resolved = window.resolve(&[5, 6], &[2, 3], false).unwrap();
        let expect = Resolved {
            kernel: alloc::vec![2, 3],
            strides: alloc::vec![1, 2],
            dilations: alloc::vec![1, 1],
            begins: alloc::vec![1, 2],
            ends: alloc::vec![3, 4],
            output: alloc::vec![8, 5],
        };
        assert_eq!(resolved, expect);
    }

    #[test]
    fn transposed_windows_give_back_what_windows_take() {
        let back = |window: &Window, extra: &[usize], stated: Option<&[usize]>| {
            let resolved = window.resolve_transposed(&[3], &[3], extra, stated).unwrap();
            (resolved.begins[0], resolved.ends[0], resolved.output[0])
        };
        assert_eq!(back(&window(&[], &[], Padding::default()), &[], None), (0, 0, 5));
        assert_eq!(back(&window(&[2], &[], explicit(&[1, 1])), &[], None), (1, 1, 5));
        assert_eq!(back(&window(&[2], &[], explicit(&[1, 1])), &[1], None), (1, 1, 6));
        assert_eq!(back(&window(&[2], &[], Padding::SameUpper), &[], None), (0, 1, 6));
        assert_eq!(back(&window(&[2], &[], Padding::SameLower), &[], None), (1, 0, 6));
        assert_eq!(back(&window(&[2], &[], Padding::Valid), &[], None), (0, 0, 7));
        // Stated extents decide the padding; beyond the last product there are zeros.
        assert_eq!(back(&window(&[3], &[], Padding::default()), &[], Some(&[8])), (1, 0, 8));
        assert_eq!(back(&window(&[3], &[], Padding::default()), &[], Some(&[10])), (0, 0, 10));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        let none = Padding::default;
        let cases = [
            (
                window(&[0], &[], none()),
                8,
                3,
                "spatial dimension 0: kernel 3, stride 0, dilation 1; none may be 0",
            ),
            (
                window(&[], &[0], none()),
                8,
                3,
                "spatial dimension 0: kernel 3, stride 1, dilation 0; none may be 0",
            ),
            (
                window(&[], &[], none()),
                8,
                0,
                "spatial dimension 0: kernel 0, stride 1, dilation 1; none may be 0",
            ),
            (
                window(&[], &[], none()),
                2,
                3,
                "spatial dimension 0: a window of 3 does not fit into 2 elements",
            ),
            (window(&[1, 1], &[], none()), 8, 3, "strides has 2 numbers instead of 1"),
            (window(&[], &[], explicit(&[1])), 8, 3, "pads has 1 numbers instead of 2"),
            (window(&[], &[usize::MAX], none()), 8, 3, "an extent overflows"),
            (window(&[], &[], explicit(&[usize::MAX, 1])), 8, 3, "an extent overflows"),
            (window(&[], &[], Padding::SameLower), usize::MAX, 3, "an extent overflows"),
        ];
        for (window, input, kernel, expect) in cases {
            let actual = window.resolve(&[input], &[kernel], false).map_err(|error| format!("{error}"));
            assert_eq!(actual, Err(expect.into()), "{window:?}");
        }
        let padded = window(&[], &[], explicit(&[4, 4]));
        assert!(padded.resolve_transposed(&[3], &[3], &[], None).is_err());
        let stated = Window { kernel: Some(alloc::vec![5]), ..Window::default() };
        assert!(stated.resolve(&[8], &[3], false).is_err());
    }

    #[test]
    fn a_node_tells_its_window_by_pads_or_automatically() {
        let conv = || node("Conv", &["x", "w"], &["y"]).ints("strides", &[2, 2]);
        let of = |node: crate::onnx::testing::TestNode| node.view(11, import);
        let pads = of(conv().ints("pads", &[1, 1, 0, 0]).text("auto_pad", "NOTSET")).unwrap();
        assert_eq!(pads, window(&[2, 2], &[], explicit(&[1, 1, 0, 0])));
        assert_eq!(of(conv().text("auto_pad", "SAME_LOWER")).unwrap().padding, Padding::SameLower);
        assert_eq!(of(conv().ints("kernel_shape", &[3, 3])).unwrap().kernel, Some(alloc::vec![3, 3]));
        assert!(of(conv().text("auto_pad", "SAME")).is_err());
        assert!(of(conv().ints("pads", &[-1, 0, 0, 0])).is_err());
    }
}
