//! Which element types an operator takes, found by trying: a case that passes is turned to other types, one after the other.
//!
//! The inputs of a case that have the same element type form a group, which changes its type as a whole: the data of a `Gather`, its
//! indices. A type is taken when the model compiles and a run on zeros is not refused as unsupported. What the suite has of the
//! type does not matter.

use std::collections::{BTreeMap, BTreeSet};

use inferry::{ElementType, InferErrorKind, Options, Runtime};
use inferry_engine::Model;

use super::declared::{Kind, ports};
use super::wire::{Change, Part, changed};

/// Element types by their numbers in the standard, in the order in which people list them.
pub(super) const TYPES: &[(u64, &str)] = &[
    (9, "bool"),
    (22, "i4"),
    (3, "i8"),
    (5, "i16"),
    (6, "i32"),
    (7, "i64"),
    (21, "u4"),
    (2, "u8"),
    (4, "u16"),
    (12, "u32"),
    (13, "u64"),
    (17, "f8e4m3fn"),
    (18, "f8e4m3fnuz"),
    (19, "f8e5m2"),
    (20, "f8e5m2fnuz"),
    (10, "f16"),
    (16, "bf16"),
    (1, "f32"),
    (11, "f64"),
    (8, "string"),
];

/// The types that each group of inputs takes; a group is the positions of its inputs.
pub(super) type Taken = BTreeMap<Vec<usize>, BTreeSet<u64>>;

/// Tries a model of one operator, of which these are the bytes.
pub(super) fn types(runtime: &Runtime, model: &[u8]) -> Result<Taken, String> {
    let (inputs, _) = ports(model)?;
    let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, input) in inputs.iter().enumerate() {
        groups.entry(element(&input.kind)).or_default().push(index);
    }
    let mut taken = Taken::new();
    for (own, group) in groups {
        let names: Vec<&str> = group.iter().map(|index| &*inputs[*index].name).collect();
        let takes =
            |to: &u64| *to == own || retyped(model, &names, *to).is_ok_and(|model| runs(runtime, &model));
        let types = TYPES.iter().map(|(number, _)| *number).filter(takes).collect();
        taken.insert(group, types);
    }
    Ok(taken)
}

/// How documents write a set of types: the families that are in it as a whole, then the others.
pub(super) fn written(types: &BTreeSet<u64>) -> String {
    const FAMILIES: &[(&str, &[u64])] = &[
        ("numbers", &[3, 5, 6, 7, 2, 4, 12, 13, 10, 16, 1, 11]),
        ("integers", &[3, 5, 6, 7, 2, 4, 12, 13]),
        ("signed integers", &[3, 5, 6, 7]),
        ("unsigned integers", &[2, 4, 12, 13]),
        ("floats", &[10, 16, 1, 11]),
        ("floats of 8 bits", &[17, 18, 19, 20]),
        ("integers of 4 bits", &[21, 22]),
    ];
    let mut left = types.clone();
    let mut words: Vec<&str> = Vec::new();
    for (name, family) in FAMILIES {
        if family.iter().all(|number| left.contains(number)) {
            family.iter().for_each(|number| _ = left.remove(number));
            words.push(name);
        }
    }
    words.extend(TYPES.iter().filter(|(number, _)| left.contains(number)).map(|(_, name)| name));
    words.join(", ")
}

fn element(kind: &Kind) -> u64 {
    match kind {
        Kind::Tensor(element) => *element,
        Kind::Sequence(inner) | Kind::Optional(inner) => element(inner),
        Kind::Other => 0,
    }
}

fn runs(runtime: &Runtime, model: &[u8]) -> bool {
    let Ok(model) = Model::from_onnx(model) else { return false };
    let Ok(compiled) = runtime.compile(&model, Options::inline()) else { return false };
    let Ok(mut request) = compiled.request() else { return false };
    match request.infer() {
        Ok(_) => true,
        // What turns strings into numbers and back has no answer for empty ones.
        Err(_) if compiled.inputs().iter().any(|port| port.element == ElementType::String) => false,
        // Zeros may be no valid shape, or no index.
        Err(error) => error.kind() != InferErrorKind::Unsupported,
    }
}

/// The model with these inputs of another element type, and with outputs of which nothing is declared.
fn retyped(model: &[u8], names: &[&str], to: u64) -> Result<Vec<u8>, String> {
    within(model, 7, |graph| {
        changed(graph, |number, part| match (number, part) {
            (11, Part::Bytes(input)) => Ok(Change::Bytes(retyped_input(input, names, to)?)),
            (12, Part::Bytes(output)) => Ok(Change::Bytes(changed(output, |number, _| {
                Ok(if number == 2 { Change::Drop } else { Change::Keep })
            })?)),
            (13, _) => Ok(Change::Drop),
            _ => Ok(Change::Keep),
        })
    })
}

fn retyped_input(input: &[u8], names: &[&str], to: u64) -> Result<Vec<u8>, String> {
    let is_meant = super::wire::fields(input)?.iter().any(|(number, part)| {
        matches!(part, Part::Bytes(name) if *number == 1 && names.iter().any(|meant| meant.as_bytes() == *name))
    });
    if !is_meant {
        return Ok(input.to_vec());
    }
    within(input, 2, |declared| retyped_type(declared, to))
}

/// A `TypeProto` with another element type within it.
fn retyped_type(declared: &[u8], to: u64) -> Result<Vec<u8>, String> {
    changed(declared, |number, part| match (number, part) {
        (1, Part::Bytes(tensor)) => Ok(Change::Bytes(changed(tensor, |number, _| {
            Ok(if number == 1 { Change::Number(to) } else { Change::Keep })
        })?)),
        // The type of what is in a sequence or an optional.
        (4 | 9, Part::Bytes(of)) => Ok(Change::Bytes(within(of, 1, |inner| retyped_type(inner, to))?)),
        _ => Ok(Change::Keep),
    })
}

/// A message with the messages in the fields of this number replaced.
fn within(
    bytes: &[u8],
    wanted: u64,
    mut replace: impl FnMut(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<Vec<u8>, String> {
    changed(bytes, |number, part| match part {
        Part::Bytes(inner) if number == wanted => Ok(Change::Bytes(replace(inner)?)),
        _ => Ok(Change::Keep),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// `y = op(inputs)`, each input f32 but the last, which is i64; all of 2 elements.
    fn model(op: &str, inputs: &[&str]) -> Vec<u8> {
        let mut node: Vec<u8> = inputs.iter().flat_map(|name| field(1, name.as_bytes())).collect();
        node.extend([field(2, b"y"), field(4, op.as_bytes())].concat());
        let mut graph = field(1, &node);
        for (index, name) in inputs.iter().enumerate() {
            let element = if index > 0 && index + 1 == inputs.len() { 7 } else { 1 };
            let tensor = [vec![0x08, element], field(2, &field(1, &[0x08, 2]))].concat();
            let value = [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat();
            graph.extend(field(11, &value));
        }
        graph.extend(field(12, &[field(1, b"y"), field(2, &field(1, &[0x08, 1]))].concat()));
        [vec![0x08, 8], field(8, &[0x10, 17]), field(7, &graph)].concat()
    }

    #[test]
    fn types_are_found_by_trying() {
        let runtime = Runtime::new().unwrap();
        let exp = types(&runtime, &model("Exp", &["x"])).unwrap();
        assert!([10, 1, 11].iter().all(|float| exp[&vec![0]].contains(float)));
        assert!(!exp[&vec![0]].contains(&8) && !exp[&vec![0]].contains(&7));
        let gather = types(&runtime, &model("Gather", &["x", "indices"])).unwrap();
        assert!(gather[&vec![0]].len() >= 12, "{gather:?}");
        assert_eq!(gather[&vec![1]], BTreeSet::from([6, 7]));
    }

    #[test]
    fn families_are_written_as_such() {
        let of = |types: &[u64]| written(&types.iter().copied().collect());
        assert_eq!(of(&[1, 10, 11, 16]), "floats");
        assert_eq!(of(&[1, 2, 3]), "i8, u8, f32");
        assert_eq!(of(&[9, 3, 5, 6, 7, 2, 4, 12, 13, 10, 16, 1, 11, 8]), "numbers, bool, string");
        assert_eq!(of(&[3, 5, 6, 7, 1]), "signed integers, f32");
        assert_eq!(of(&[]), "");
    }
}
