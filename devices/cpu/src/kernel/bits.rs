//! Functions of the bits of integers, by their size: signs do not matter to any of them.

use inferry_core::ElementType;
use inferry_engine::op::{Bitwise, BitwiseNot, Op};

use crate::kernel::binary::Pair;
use crate::kernel::unary::each;
use crate::kernel::{BuildError, Builder, Built, by_size};

const CHEAP: u64 = 200;

/// Builds a [`Bitwise`].
pub(crate) fn bitwise(op: &Bitwise, node: &Builder<'_>) -> Built {
    let a = node.input(0)?;
    check(op, a.element)?;
    if node.input(1)?.element != a.element {
        return Err(BuildError::Element { op: op.name(), element: node.input(1)?.element });
    }
    let pair = Pair::of(node)?;
    by_size!(op.name(), a.element, T => match op {
        Bitwise::And => pair.each(CHEAP, |a: T, b: T| a & b),
        Bitwise::Or => pair.each(CHEAP, |a: T, b: T| a | b),
        Bitwise::Xor => pair.each(CHEAP, |a: T, b: T| a ^ b),
        Bitwise::ShiftLeft => pair.each(CHEAP, |a: T, b: T| places(b).and_then(|b| a.checked_shl(b)).unwrap_or(0)),
        Bitwise::ShiftRight => pair.each(CHEAP, |a: T, b: T| places(b).and_then(|b| a.checked_shr(b)).unwrap_or(0)),
    })
}

/// Builds BitwiseNot.
pub(crate) fn not(op: &BitwiseNot, node: &Builder<'_>) -> Built {
    let x = node.input(0)?;
    check(op, x.element)?;
    by_size!(op.name(), x.element, T => each(node, CHEAP, |x: T| !x))
}

/// By how many places; `None` when by more than there can be.
fn places(by: impl TryInto<u32>) -> Option<u32> {
    by.try_into().ok()
}

fn check(op: &dyn Op, element: ElementType) -> Result<(), BuildError> {
    if element.is_integer() { Ok(()) } else { Err(BuildError::Element { op: op.name(), element }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::testing::{run_one, tensor};

    #[test]
    fn bits_of_signed_and_unsigned_integers() {
        let (a, b) = (tensor(&[0b1100i16, -1], [2]), tensor(&[0b1010i16], [1]));
        assert_eq!(run_one::<i16>(&Bitwise::And, &[&a, &b], [2]), [0b1000, 0b1010]);
        assert_eq!(run_one::<i16>(&Bitwise::Or, &[&a, &b], [2]), [0b1110, -1]);
        assert_eq!(run_one::<i16>(&Bitwise::Xor, &[&a, &b], [2]), [0b0110, !0b1010]);
        assert_eq!(run_one::<i16>(&BitwiseNot, &[&a], [2]), [!0b1100, 0]);
        assert_eq!(run_one::<u64>(&BitwiseNot, &[&tensor(&[0u64], [1])], [1]), [u64::MAX]);
    }

    #[test]
    fn what_is_shifted_out_is_lost() {
        let (a, b) = (tensor(&[0x81u8; 4], [4]), tensor(&[0u8, 1, 8, 255], [4]));
        assert_eq!(run_one::<u8>(&Bitwise::ShiftLeft, &[&a, &b], [4]), [0x81, 2, 0, 0]);
        assert_eq!(run_one::<u8>(&Bitwise::ShiftRight, &[&a, &b], [4]), [0x81, 0x40, 0, 0]);
        let (a, b) = (tensor(&[1u64; 2], [2]), tensor(&[63u64, u64::MAX], [2]));
        assert_eq!(run_one::<u64>(&Bitwise::ShiftLeft, &[&a, &b], [2]), [1 << 63, 0]);
    }
}
