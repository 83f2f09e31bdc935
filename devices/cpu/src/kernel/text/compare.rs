//! Equal on strings.

use inferry_core::Shape;

use crate::kernel::simple::{simple, spread};
use crate::kernel::text::READ;
use crate::kernel::walk::Walk;
use crate::kernel::{Built, arguments};
use crate::text::Text;

/// Builds Equal of strings of these two shapes.
pub(crate) fn equal(shapes: [&Shape; 2], output: &Shape) -> Built {
    for shape in shapes {
        arguments::broadcasts(shape, output)?;
    }
    let walk = Walk::broadcast(output, shapes.map(|shape| &shape[..]));
    let phase = spread(output.count(), READ);
    simple(phase, move |io| {
        let (a, b) = (io.input::<Text>(0), io.input::<Text>(1));
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<u8>();
        let texts = io.texts();
        for (index, to) in to.iter_mut().enumerate() {
            let at = walk.at(start + index);
            *to = u8::from(texts.equal(a[at[0]], b[at[1]]));
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::kernel::testing::run_one;
    use inferry_core::Tensor;
    use inferry_engine::op::Binary;

    #[test]
    fn strings_are_equal_by_their_characters() {
        let strings = |strings: &[&str], shape: &[usize]| {
            Tensor::from_strings(strings, inferry_core::Shape::new(shape).unwrap()).unwrap()
        };
        let a = strings(&["a", "b", "", "ä"], &[2, 2]);
        assert_eq!(run_one::<bool>(&Binary::Equal, &[&a, &a], [2, 2]), [true; 4]);
        let b = strings(&["a", "ä"], &[1, 2]);
        assert_eq!(run_one::<bool>(&Binary::Equal, &[&a, &b], [2, 2]), [true, false, false, true]);
        let none = strings(&[], &[0, 2]);
        assert_eq!(run_one::<bool>(&Binary::Equal, &[&none, &b], [0, 2]), [false; 0]);
    }
}
