//! Open extents that the page has fixed: by the name of an input, or by the name that the model gives an extent.
//!
//! Done on the imported graph, before anything is inferred, so that passes and plans see a model that was never open.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use inferry_engine::Model;
use inferry_engine::graph::{Dim, Graph, ShapeFact, Symbol, evaluate};

use crate::trouble::Trouble;

/// A name, and the extents that it stands for: all of an input, or the one of a named extent.
pub(crate) struct Fixed {
    pub(crate) name: String,
    pub(crate) extents: Vec<usize>,
}

/// Fixes them in a model.
pub(crate) fn fix(model: &mut Model, shapes: &[Fixed]) -> Result<(), Trouble> {
    let graph = &mut model.graph;
    // Before anything is fixed: afterwards a name may stand nowhere any more.
    for fixed in shapes {
        known(graph, fixed)?;
    }
    for fixed in shapes {
        let input = graph.inputs.iter().copied().find(|id| *graph.value(*id).name == *fixed.name);
        let Some(input) = input else { continue };
        let Some(fact) = &mut graph.value_mut(input).fact else { continue };
        if !admits(&fact.shape, &fixed.extents) {
            let (given, wanted) = (&fixed.extents, &fact.shape);
            let message =
                format!("input {:?} cannot have the shape {given:?}: the model says {wanted}", fixed.name);
            return Err(Trouble::new("invalid-input", message));
        }
        fact.shape = ShapeFact::from(&*fixed.extents);
    }
    fix_symbols(graph, shapes);
    Ok(())
}

/// Whether an input is called so, or an extent, or one is arithmetic on it.
fn known(graph: &Graph, fixed: &Fixed) -> Result<(), Trouble> {
    let mut inputs = graph.inputs.iter().map(|id| &*graph.value(*id).name);
    if inputs.any(|name| *name == *fixed.name) {
        return Ok(());
    }
    if fixed.extents.len() != 1 {
        let message = format!("no input is called {:?}, and a named extent takes one number", fixed.name);
        return Err(Trouble::new("invalid-input", message));
    }
    let mut dims = graph.values().iter().filter_map(|value| value.fact.as_ref()?.shape.dims()).flatten();
    let named = |dim: &Dim| match dim {
        Dim::Symbol(Symbol(text)) => **text == *fixed.name || names(text).any(|name| *name == *fixed.name),
        _ => false,
    };
    if dims.any(named) {
        return Ok(());
    }
    let names: Vec<_> = graph.inputs.iter().map(|id| &*graph.value(*id).name).collect();
    let message = format!("no input and no extent is called {:?}; the inputs are {names:?}", fixed.name);
    Err(Trouble::new("not-found", message))
}

/// The names in an extent that is arithmetic on others.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.'))
}

/// Fixes the extents that have these names, and those that are arithmetic on them alone.
fn fix_symbols(graph: &mut Graph, shapes: &[Fixed]) {
    let inputs: Vec<_> = graph.inputs.iter().map(|id| graph.value(*id).name.clone()).collect();
    let mut extent = |name: &str| {
        let fixed = shapes.iter().find(|fixed| *fixed.name == *name)?;
        let is_input = inputs.iter().any(|input| **input == *name);
        fixed.extents.first().copied().filter(|_| !is_input)
    };
    for value in graph.values_mut() {
        let dims = value.fact.as_mut().and_then(|fact| fact.shape.0.as_mut());
        for dim in dims.into_iter().flatten() {
            let Dim::Symbol(Symbol(text)) = dim else { continue };
            if let Some(known) = extent(text).or_else(|| evaluate(text, &mut extent)) {
                *dim = Dim::Fixed(known);
            }
        }
    }
}

fn admits(shape: &ShapeFact, extents: &[usize]) -> bool {
    shape.dims().is_none_or(|dims| {
        let fits = |(dim, extent): (&Dim, &usize)| dim.fixed().is_none_or(|fixed| fixed == *extent);
        dims.len() == extents.len() && dims.iter().zip(extents).all(fits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use inferry_core::ElementType;
    use inferry_engine::graph::Fact;
    use std::string::ToString;

    /// Two inputs `[N, 3]` and `[N, ?]`.
    fn model() -> Model {
        let mut model = Model::default();
        for (name, last) in [("a", Dim::Fixed(3)), ("b", Dim::Unknown)] {
            let dims = Vec::from([Dim::Symbol(Symbol("N".into())), last]);
            let fact = Fact::new(ElementType::F32, ShapeFact(Some(dims)));
            let id = model.graph.add_value(name, Some(fact));
            model.graph.inputs.push(id);
        }
        model
    }

    fn fixed(shapes: &[(&str, &[usize])]) -> Result<Vec<String>, Trouble> {
        let mut model = model();
        let shapes: Vec<_> = shapes
            .iter()
            .map(|(name, extents)| Fixed { name: (*name).into(), extents: extents.to_vec() })
            .collect();
        fix(&mut model, &shapes)?;
        Ok(model.inputs().iter().map(|port| port.shape.to_string()).collect())
    }

    #[test]
    fn an_input_and_a_named_extent_can_be_fixed() {
        assert_eq!(fixed(&[("N", &[2])]).unwrap(), ["[2, 3]", "[2, ?]"]);
        assert_eq!(fixed(&[("b", &[4, 5])]).unwrap(), ["[?, 3]", "[4, 5]"]);
    }

    #[test]
    fn arithmetic_on_fixed_extents_is_fixed_as_well() {
        let with = |shapes: &[(&str, &[usize])]| {
            let mut model = model();
            for (text, name) in [("2*N + 1", "c"), ("N*M", "d")] {
                let dims = Vec::from([Dim::Symbol(Symbol(text.into()))]);
                let fact = Fact::new(ElementType::F32, ShapeFact(Some(dims)));
                let id = model.graph.add_value(name, Some(fact));
                model.graph.inputs.push(id);
            }
            let shapes: Vec<_> = shapes
                .iter()
                .map(|(name, extents)| Fixed { name: (*name).into(), extents: extents.to_vec() })
                .collect();
            fix(&mut model, &shapes)
                .map(|()| model.inputs()[2..].iter().map(|port| port.shape.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(with(&[("N", &[2])]).unwrap(), ["[5]", "[?]"]);
        assert_eq!(with(&[("N", &[2]), ("M", &[3])]).unwrap(), ["[5]", "[6]"]);
        assert_eq!(with(&[("M", &[3])]).unwrap(), ["[?]", "[?]"]);
        assert!(with(&[("K", &[3])]).is_err());
    }

    #[test]
    fn what_does_not_fit_the_model_is_refused_by_name() {
        let message = |shapes| fixed(shapes).unwrap_err().message;
        assert_eq!(
            message(&[("a", &[1, 4])]),
            "input \"a\" cannot have the shape [1, 4]: the model says [N, 3]"
        );
        assert_eq!(
            message(&[("M", &[1])]),
            "no input and no extent is called \"M\"; the inputs are [\"a\", \"b\"]"
        );
        assert!(message(&[("N", &[1, 2])]).contains("takes one number"));
    }
}
