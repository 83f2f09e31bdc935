//! QuantizeLinear to floats of eight bits, and back: `small = nearest(real / scale)`, `real = small * scale`.
//!
//! The standard has no zero points but 0 for them; one that is given is added and taken away as for integers.

use inferry_core::ElementType;

use crate::kernel::number::Number;
use crate::kernel::scales::Scales;
use crate::kernel::simple::{simple, spread};
use crate::kernel::small::{Float8, float8};
use crate::kernel::{BuildError, Builder, Built};

/// Builds QuantizeLinear of floats `X` to what `float` writes.
pub(crate) fn quantize<X: Number>(
    scales: Scales,
    node: &Builder<'_>,
    float: Float8,
    saturate: bool,
) -> Built {
    let zero = has_zero(node, node.output(0).0)?;
    let phase = spread(node.output(0).1.count(), 8000);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<u8>();
        let (x, scale) = (io.input::<X>(0), io.input::<X>(1));
        for segment in scales.segments(start..start + to.len()) {
            for (index, at) in segment.elements.clone().enumerate() {
                let place = segment.scale + if segment.along { index } else { 0 };
                let quotient = x[at].div(scale[place]).to_f64();
                let shift = if zero { f64::from((float.decode)(io.input::<u8>(2)[place])) } else { 0.0 };
                to[at - start] = (float.encode)(quotient + shift, saturate);
            }
        }
    })
}

/// Builds DequantizeLinear of what `float` reads to floats `X`.
pub(crate) fn dequantize<X: Number>(scales: Scales, node: &Builder<'_>, float: Float8) -> Built {
    let zero = has_zero(node, node.input(0)?.element)?;
    let phase = spread(node.output(0).1.count(), 4000);
    simple(phase, move |io| {
        let start = io.tiles().start * phase.unit;
        let to = io.rows::<X>();
        let (x, scale) = (io.input::<u8>(0), io.input::<X>(1));
        for segment in scales.segments(start..start + to.len()) {
            for (index, at) in segment.elements.clone().enumerate() {
                let place = segment.scale + if segment.along { index } else { 0 };
                let shift = if zero { (float.decode)(io.input::<u8>(2)[place]) } else { 0.0 };
                let real = f64::from((float.decode)(x[at]) - shift);
                to[at - start] = X::from_f64(real).mul(scale[place]);
            }
        }
    })
}

/// Whether there is a zero point, which must be of type `element`.
fn has_zero(node: &Builder<'_>, element: ElementType) -> Result<bool, BuildError> {
    match node.optional(2) {
        Some(zero) if zero.element != element || float8(element).is_none() => {
            Err(BuildError::Element { op: "QuantizeLinear", element: zero.element })
        }
        zero => Ok(zero.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use crate::isa::Isa;
    use crate::kernel::testing::{run, tensor};
    use inferry_core::tensor::{F8E4M3Fn, F8E5M2};
    use inferry_core::{ElementType, Shape, Tensor};
    use inferry_engine::op::{DequantizeLinear, QuantizeLinear};

    #[test]
    fn values_of_the_standard() {
        let x = tensor(&[0.0f32, 1.0, 2.0, 100_000.0, 200.0], [5]);
        let scale = tensor(&[2.0f32], Shape::scalar());
        let zero = tensor(&[F8E4M3Fn::default()], [1]);
        let op = QuantizeLinear { axis: 1, block_size: 0, to: ElementType::U8, saturate: true };
        let inputs = [Some(x.clone()), Some(scale.clone()), Some(zero.clone())];
        let small = run(&op, &inputs, &[(ElementType::F8E4M3Fn, [5].into())], Isa::portable()).remove(0);
        let values = [0.0, 0.5, 1.0, 448.0, 96.0].map(|value| F8E4M3Fn::from_f64(value, true));
        assert_eq!(small.to_vec::<F8E4M3Fn>().unwrap(), values);
        let back = DequantizeLinear { axis: 1, block_size: 0 };
        let wide = |inputs: &[Option<Tensor>], shape: &[usize]| {
            let outputs = [(ElementType::F32, Shape::new(shape).unwrap())];
            run(&back, inputs, &outputs, Isa::portable())[0].to_vec::<f32>().unwrap()
        };
        assert_eq!(wide(&[Some(small), Some(scale), Some(zero)], &[5]), [0.0, 1.0, 2.0, 896.0, 192.0]);
        let rows = [1.0, -2.0, 3.0, 4.0].map(|value| F8E5M2::from_f64(value, true));
        let scales = tensor(&[2.0f32, 0.5], [2]);
        let by_row = DequantizeLinear { axis: 0, block_size: 0 };
        let inputs = [Some(tensor(&rows, [2, 2])), Some(scales)];
        let outputs = [(ElementType::F32, [2, 2].into())];
        let found = run(&by_row, &inputs, &outputs, Isa::portable())[0].to_vec::<f32>().unwrap();
        assert_eq!(found, [2.0, -4.0, 1.5, 2.0]);
    }
}
