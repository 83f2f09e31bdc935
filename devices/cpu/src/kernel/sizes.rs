//! Element types by their size, for kernels that move elements and never look at them.

/// `$body` with `$T` standing for the unsigned integer as large as an element of `$element`; an error for strings.
macro_rules! by_size {
    ($op:expr, $element:expr, $T:ident => $body:expr) => {
        match $element {
            inferry_core::ElementType::String => {
                Err($crate::kernel::BuildError::Element { op: $op, element: $element })
            }
            element => match element.size() {
                1 => {
                    type $T = u8;
                    $body
                }
                2 => {
                    type $T = u16;
                    $body
                }
                4 => {
                    type $T = u32;
                    $body
                }
                _ => {
                    type $T = u64;
                    $body
                }
            },
        }
    };
}

pub(crate) use by_size;
