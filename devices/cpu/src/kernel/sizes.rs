//! Element types by their size, for kernels that move elements and never look at them: strings too, which are numbers here.

/// `$body` with `$T` standing for the unsigned integer as large as a stored element of `$element`.
macro_rules! by_size {
    ($op:expr, $element:expr, $T:ident => $body:expr) => {
        match $crate::stored::width($element) {
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
        }
    };
}

pub(crate) use by_size;
