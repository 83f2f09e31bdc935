//! Images cut and put together again: blocks of pixels to channels and back, and a crop or border around the centre.
//!
//! All of it is reshaping, transposing, slicing and padding, with extents that are worked out from those of the input.

use super::{Pad, PadMode, Slice, Variadic};
use crate::onnx::{Fragment, ImportError, NodeView};

/// DepthToSpace: each run of `block * block` channels becomes a block of pixels.
pub(crate) fn import_depth_to_space(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let block = block_size(node)?;
    // In DCR mode the position in the block comes before the channel, in CRD mode behind it.
    let perm = match node.text("mode")? {
        None | Some("DCR") => [0, 3, 4, 1, 5, 2],
        Some("CRD") => [0, 1, 4, 2, 5, 3],
        Some(other) => {
            return Err(node.refuse_attribute("mode", alloc::format!("{other:?} is neither DCR nor CRD")));
        }
    };
    let mut f = Fragment::new();
    let x = f.input(0);
    let shape = f.extents(x, 0, None);
    let [batch, channels, height, width] = [0, 1, 2, 3].map(|dim| f.pick(shape, &[dim]));
    let size = f.ints(&[block]);
    let area = f.ints(&[block * block]);
    let kept = f.div(channels, area);
    let split = match perm[1] {
        3 => [batch, size, size, kept, height, width],
        _ => [batch, kept, size, size, height, width],
    };
    let split = f.chain(&split);
    let x = f.reshape(x, split);
    let x = f.transpose(x, &perm);
    let (height, width) = (f.mul(height, size), f.mul(width, size));
    let shape = f.chain(&[batch, kept, height, width]);
    let y = f.reshape(x, shape);
    Ok(f.giving(y))
}

/// SpaceToDepth: each block of pixels becomes a run of channels, the position in the block before the channel.
pub(crate) fn import_space_to_depth(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    let block = block_size(node)?;
    let mut f = Fragment::new();
    let x = f.input(0);
    let shape = f.extents(x, 0, None);
    let [batch, channels, height, width] = [0, 1, 2, 3].map(|dim| f.pick(shape, &[dim]));
    let size = f.ints(&[block]);
    let area = f.ints(&[block * block]);
    let (rows, columns) = (f.div(height, size), f.div(width, size));
    let split = f.chain(&[batch, channels, rows, size, columns, size]);
    let x = f.reshape(x, split);
    let x = f.transpose(x, &[0, 3, 5, 1, 2, 4]);
    let more = f.mul(channels, area);
    let shape = f.chain(&[batch, more, rows, columns]);
    let y = f.reshape(x, shape);
    Ok(f.giving(y))
}

fn block_size(node: &NodeView<'_>) -> Result<i64, ImportError> {
    node.counts(1..=1, 1..=1)?;
    match node.int("blocksize")? {
        Some(size @ 1..=0x7fff_ffff) => Ok(size),
        Some(size) => Err(node.refuse_attribute("blocksize", alloc::format!("{size} is out of range"))),
        None => Err(node.refuse_attribute("blocksize", "is missing")),
    }
}

/// CenterCropPad: the axes brought to the extents of the second input, by cutting or by zeros on both sides; what is odd goes
/// at the end.
pub(crate) fn import_center_crop_pad(node: &NodeView<'_>) -> Result<Fragment, ImportError> {
    node.counts(2..=2, 1..=1)?;
    let axes = node.ints("axes")?;
    let mut f = Fragment::new();
    let (x, wanted) = (f.input(0), f.input(1));
    let wanted = f.cast(wanted, inferry_core::ElementType::I64);
    let all = f.extents(x, 0, None);
    let axes = axes.map(|axes| f.ints(&axes));
    let given = match axes {
        Some(axes) => f.step(super::Gather { axis: 0 }, &[all, axes]),
        None => all,
    };
    // Of both, the smaller part is left after the cut and the larger one after the border.
    let kept = f.step(Variadic::Min, &[given, wanted]);
    let two = f.ints(&[2]);
    let cut = f.sub(given, kept);
    let start = f.div(cut, two);
    let end = f.add(start, kept);
    let cropped = f.steps(Slice, &[Some(x), Some(start), Some(end), axes], 1)[0];
    let border = f.sub(wanted, kept);
    let before = f.div(border, two);
    let after = f.sub(border, before);
    let pads = f.chain(&[before, after]);
    let y = f.steps(Pad { mode: PadMode::Constant }, &[Some(cropped), Some(pads), None, axes], 1)[0];
    Ok(f.giving(y))
}

#[cfg(test)]
mod tests {
    use crate::onnx::testing::node;
    use alloc::borrow::ToOwned;
    use alloc::string::ToString;

    #[test]
    fn attributes_out_of_range_are_refused() {
        let message = |node: crate::onnx::testing::TestNode| {
            node.expand(13, &[("x", None)]).unwrap_err().to_string().split_once(", ").unwrap().1.to_owned()
        };
        let plain = |name| node(name, &["x"], &["y"]);
        assert_eq!(message(plain("DepthToSpace")), "attribute \"blocksize\": is missing");
        let zero = plain("SpaceToDepth").int("blocksize", 0);
        assert_eq!(message(zero), "attribute \"blocksize\": 0 is out of range");
        let mode = plain("DepthToSpace").int("blocksize", 2).text("mode", "RCD");
        assert_eq!(message(mode), "attribute \"mode\": \"RCD\" is neither DCR nor CRD");
    }

    #[test]
    fn both_orders_of_depth() {
        let text = |mode| {
            let node = node("DepthToSpace", &["x"], &["y"]).int("blocksize", 2).text("mode", mode);
            node.expand(13, &[("x", None)]).unwrap().to_string()
        };
        assert!(text("DCR").contains("perm: Some([0, 3, 4, 1, 5, 2])"));
        assert!(text("CRD").contains("perm: Some([0, 1, 4, 2, 5, 3])"));
    }
}
