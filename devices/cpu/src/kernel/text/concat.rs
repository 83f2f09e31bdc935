//! StringConcat: two strings, one after the other.

use inferry_engine::op::StringConcat;

use crate::kernel::text::in_order;
use crate::kernel::walk::Walk;
use crate::kernel::{Builder, Built, arguments};
use crate::text::Text;

/// Builds StringConcat.
pub(crate) fn string_concat(_: &StringConcat, node: &Builder<'_>) -> Built {
    let shapes = [&node.input(0)?.shape, &node.input(1)?.shape];
    let output = &node.output(0).1;
    for shape in shapes {
        arguments::broadcasts(shape, output)?;
    }
    let walk = Walk::broadcast(output, shapes.map(|shape| &shape[..]));
    in_order(output.count(), move |io, range| {
        let (a, b) = (io.input::<Text>(0), io.input::<Text>(1));
        let to = io.whole::<Text>(0);
        let texts = io.texts_mut();
        for index in range {
            let at = walk.at(index);
            to[index] = texts.join(a[at[0]], b[at[1]])?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_strings, strings};

    #[test]
    fn strings_are_joined_and_broadcast() {
        let (a, b) = (strings(&["的", "", "x"], [3, 1]), strings(&["中", ""], [2]));
        let joined = run_strings(&StringConcat, &[&a, &b], [3, 2]);
        assert_eq!(joined, ["的中", "的", "中", "", "x中", "x"]);
        assert_eq!(run_strings(&StringConcat, &[&strings(&[], [0, 1]), &b], [0, 2]), [""; 0]);
    }
}
