//! Einsum in a model, where it is mostly a product of matrices, against the plain kernel.

mod support;

use inferry_core::{ElementType, Shape, Tensor};
use inferry_cpu::{Isa, single};
use inferry_engine::op::{Einsum, Letter};
use support::*;

const F32: ElementType = ElementType::F32;

/// Terms and output of an equation; `.` stands for the dimensions without letters.
fn einsum(equation: &str) -> Einsum {
    let letters = |term: &str| -> Vec<Letter> {
        term.bytes().map(|letter| if letter == b'.' { Letter::Rest } else { Letter::Named(letter) }).collect()
    };
    let (left, right) = equation.split_once("->").unwrap();
    Einsum { terms: left.split(',').map(letters).collect(), output: letters(right) }
}

#[test]
fn products_of_matrices_agree_with_the_definition() {
    let cases: [(&str, &[&[usize]]); 24] = [
        ("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        ("ij,jk->ki", &[&[2, 3], &[3, 4]]),
        ("bij,bjk->bik", &[&[5, 2, 3], &[5, 3, 4]]),
        ("bhid,bhjd->bhij", &[&[2, 2, 3, 4], &[2, 2, 5, 4]]),
        (".ij,.jk->.ik", &[&[5, 2, 3], &[3, 4]]),
        (".ij,.jk->.ik", &[&[2, 1, 2, 3], &[5, 3, 4]]),
        ("bsd,dnh->bsnh", &[&[2, 5, 6], &[6, 2, 3]]),
        ("bsnh,nhd->bsd", &[&[2, 5, 2, 3], &[2, 3, 6]]),
        ("bsnh,hnd->dsb", &[&[2, 5, 2, 3], &[3, 2, 6]]),
        ("bhwc,hkc->bhwk", &[&[2, 3, 4, 5], &[3, 6, 5]]),
        ("abcd,ebcf->aefd", &[&[2, 3, 4, 5], &[6, 3, 4, 2]]),
        ("ab,cd->abcd", &[&[2, 3], &[4, 5]]),
        ("ab,cd->dbac", &[&[2, 3], &[4, 5]]),
        ("i,i->", &[&[5], &[5]]),
        ("ij,j->i", &[&[2, 5], &[5]]),
        ("i,ij->j", &[&[5], &[5, 2]]),
        ("ij,ij->ij", &[&[2, 3], &[2, 3]]),
        ("ij,ij->j", &[&[2, 3], &[2, 3]]),
        ("ijk,jl->il", &[&[2, 3, 4], &[3, 5]]),
        ("ij,jk,kl->il", &[&[2, 3], &[3, 4], &[4, 5]]),
        ("ij,jk,ik->ij", &[&[2, 3], &[3, 4], &[2, 4]]),
        ("bii->bi", &[&[2, 3, 3]]),
        ("ijk->kj", &[&[2, 3, 4]]),
        ("ij,jk->ik", &[&[2, 1], &[3, 4]]),
    ];
    for (equation, shapes) in cases {
        for open in [false, true] {
            let mut sketch = Sketch::new();
            let ids: Vec<_> = shapes
                .iter()
                .map(|shape| {
                    let dims: Vec<_> = shape.iter().map(|extent| (!open).then_some(*extent)).collect();
                    sketch.open_input("x", F32, &dims)
                })
                .collect();
            let y = sketch.op(einsum(equation), &ids);
            let tensors: Vec<Tensor> = shapes.iter().map(|shape| count(shape)).collect();
            let found = run(&sketch.model(&[y]), &tensors);
            let inputs: Vec<Option<&Tensor>> = tensors.iter().map(Some).collect();
            let shape: &Shape = found[0].shape();
            let wanted =
                single::evaluate(&einsum(equation), &inputs, &[(F32, shape.clone())], Isa::portable());
            let wanted = wanted.unwrap_or_else(|error| panic!("{equation}: {error}"));
            assert_eq!(floats(&found[0]), floats(&wanted[0]), "{equation}, open: {open}");
        }
    }
}
