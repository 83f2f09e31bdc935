//! MaxUnpool: zeros, then each element to the position that its index gives. Where two go to one place, the later one stays.

use alloc::boxed::Box;

use inferry_core::ElementType;
use inferry_engine::op::{MaxUnpool, Op};

use crate::io::Io;
use crate::kernel::arguments::form;
use crate::kernel::fault::Fault;
use crate::kernel::simple::spread;
use crate::kernel::{Builder, Built, Kernel, Phase};

/// Builds the kernel of a [`MaxUnpool`].
pub(crate) fn max_unpool(op: &MaxUnpool, node: &Builder<'_>) -> Built {
    let (x, indices) = (node.input(0)?, node.input(1)?);
    if x.shape != indices.shape || indices.element != ElementType::I64 {
        return Err(form(alloc::format!("{} of {} by {}", op.name(), x.shape, indices.shape)));
    }
    let (size, count) = (x.element.size(), x.shape.count());
    let clear = spread(node.output(0).1.count() * size, 20);
    let scatter = Phase::serial(count.div_ceil(SHARE), SHARE as u64 * 3);
    Ok(Box::new(Unpool { phases: [clear, scatter], size, count }))
}

/// Elements of a tile.
const SHARE: usize = if cfg!(test) { 3 } else { 1 << 15 };

struct Unpool {
    phases: [Phase; 2],
    /// Bytes of an element.
    size: usize,
    count: usize,
}

impl Kernel for Unpool {
    fn phases(&self) -> &[Phase] {
        &self.phases
    }

    fn run(&self, phase: usize, io: &mut Io<'_>) {
        if phase == 0 {
            io.rows::<u8>().fill(0);
            return;
        }
        let (tiles, size) = (io.tiles(), self.size);
        let (x, indices, to) = (io.input::<u8>(0), io.input::<i64>(1), io.whole::<u8>(0));
        let places = to.len() / size;
        for at in tiles.start * SHARE..(tiles.end * SHARE).min(self.count) {
            match usize::try_from(indices[at]).ok().filter(|index| *index < places) {
                Some(index) => to[index * size..][..size].copy_from_slice(&x[at * size..][..size]),
                None => io.fail(Fault::Index { input: 1, index: indices[at], extent: places }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{fault_of, run_one, tensor};
    use inferry_engine::op::Window;

    fn op() -> MaxUnpool {
        MaxUnpool { window: Window { kernel: Some([2].into()), strides: [2].into(), ..Window::default() } }
    }

    #[test]
    fn elements_go_back_where_they_stood() {
        let x = tensor(&[5.0f32, 6.0, 7.0, 8.0], [1, 2, 2]);
        let indices = tensor(&[1i64, 2, 4, 7], [1, 2, 2]);
        assert_eq!(run_one::<f32>(&op(), &[&x, &indices], [1, 2, 4]), [0., 5., 6., 0., 7., 0., 0., 8.]);
    }

    #[test]
    fn an_index_outside_fails() {
        for index in [8, -1] {
            let inputs = [&tensor(&[0.0f64; 4], [1, 2, 2]), &tensor(&[0, 1, 2, index], [1, 2, 2])];
            let outputs = [(ElementType::F64, [1, 2, 4].into())];
            let fault = fault_of(&op(), &inputs, &outputs);
            assert_eq!(fault, Fault::Index { input: 1, index, extent: 8 });
        }
    }
}
