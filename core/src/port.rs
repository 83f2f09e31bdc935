//! A model's inputs and outputs, by index and by name.
//!
//! A [`Port`] is metadata that a compiled model owns a copy of: it has no storage and keeps nothing alive. Look-up by
//! name is a short linear search, done once by whoever cares about its cost.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::tensor::{ElementType, PartialShape};
use crate::value::Kind;

/// Which side of a model a port is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The model reads it.
    Input,
    /// The model writes it.
    Output,
    /// Neither: a request keeps it from one run to the next. See [`state`](crate::state).
    Variable,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Input => "input",
            Side::Output => "output",
            Side::Variable => "variable",
        })
    }
}

/// An input or output of a compiled model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Input, output or variable.
    pub side: Side,
    /// Position among the ports of its side.
    pub index: usize,
    /// The name the model gives it; may hold any character.
    pub name: Arc<str>,
    /// A tensor, a sequence of tensors, or something that may be absent.
    pub kind: Kind,
    /// Type of the elements.
    pub element: ElementType,
    /// What is known of the shape before a run; of that of each tensor, where there are several.
    pub shape: PartialShape,
}

/// As errors show it: `"image" f32 [1, 3, ?, ?]`, `"boxes" sequence of f32 [?, 4]`. Characters that would break a line are
/// escaped.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Tensor => "",
            Kind::Sequence => "sequence of ",
            Kind::OptionalTensor => "optional ",
            Kind::OptionalSequence => "optional sequence of ",
        };
        write!(f, "{:?} {kind}{} {}", self.name, self.element, self.shape)
    }
}

/// The port of `ports`, which are all of one side, that `key` names.
pub fn find(side: Side, ports: &[Port], key: impl PortKey) -> Result<&Port, PortError> {
    match key.position(ports) {
        Some(index) => Ok(&ports[index]),
        None => Err(PortError::new(side, Some(key.describe()), key.is_index(), ports)),
    }
}

/// The port of `ports`, which are all of one side, when there is exactly one.
pub fn only(side: Side, ports: &[Port]) -> Result<&Port, PortError> {
    match ports {
        [port] => Ok(port),
        _ => Err(PortError::new(side, None, false, ports)),
    }
}

/// No port is what was asked for. Says what was asked and what there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortError {
    /// The side that was searched.
    pub side: Side,
    /// The key in words; `None` when the only port was asked for.
    pub asked: Option<String>,
    /// True when an index was asked for that is too large.
    pub out_of_range: bool,
    /// What the port is, when it was found and is no tensor.
    pub kind: Option<Kind>,
    /// All ports of the side.
    pub candidates: Box<[Port]>,
}

impl PortError {
    fn new(side: Side, asked: Option<String>, out_of_range: bool, ports: &[Port]) -> PortError {
        PortError { side, asked, out_of_range, kind: None, candidates: ports.into() }
    }

    /// The error for whoever wants the tensor of a port that has none.
    pub(crate) fn no_tensor(port: &Port) -> PortError {
        let asked = Some(alloc::format!("{:?}", port.name));
        let (side, kind) = (port.side, Some(port.kind));
        PortError { side, asked, out_of_range: false, kind, candidates: Box::new([]) }
    }
}

impl core::error::Error for PortError {}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PortError { side, asked, candidates, .. } = self;
        if let (Some(kind), Some(asked)) = (self.kind, asked) {
            return write!(f, "{side} {asked} is {kind}, and holds no tensor");
        }
        let count = candidates.len();
        match asked {
            Some(asked) => write!(f, "no {side} {asked}; ")?,
            None => write!(f, "one {side} must be named; ")?,
        }
        match count {
            0 => return f.write_str("there are none"),
            1 => f.write_str("there is: ")?,
            _ if self.out_of_range => write!(f, "there are {count}: ")?,
            _ => f.write_str("there are: ")?,
        }
        for (index, port) in candidates.iter().take(SHOWN).enumerate() {
            write!(f, "{}{port}", if index == 0 { "" } else { ", " })?;
        }
        if count > SHOWN { write!(f, " and {} more", count - SHOWN) } else { Ok(()) }
    }
}

/// How many ports an error lists: it stays one readable line for a model of hundreds.
const SHOWN: usize = 8;

/// Anything that names a port of one side: an index, a name, or the port itself.
pub trait PortKey {
    /// The index of the named port in `ports`, if it is there.
    fn position(&self, ports: &[Port]) -> Option<usize>;

    /// How to print the key in an error.
    fn describe(&self) -> String;

    /// True for keys that count ports instead of naming them: what is wrong with such a key is its range.
    fn is_index(&self) -> bool {
        false
    }
}

impl PortKey for usize {
    fn is_index(&self) -> bool {
        true
    }

    fn position(&self, ports: &[Port]) -> Option<usize> {
        (*self < ports.len()).then_some(*self)
    }

    fn describe(&self) -> String {
        alloc::format!("#{self}")
    }
}

impl PortKey for &str {
    fn position(&self, ports: &[Port]) -> Option<usize> {
        ports.iter().position(|port| &*port.name == *self)
    }

    fn describe(&self) -> String {
        alloc::format!("{self:?}")
    }
}

impl PortKey for &String {
    fn position(&self, ports: &[Port]) -> Option<usize> {
        self.as_str().position(ports)
    }

    fn describe(&self) -> String {
        self.as_str().describe()
    }
}

impl PortKey for alloc::string::String {
    fn position(&self, ports: &[Port]) -> Option<usize> {
        self.as_str().position(ports)
    }

    fn describe(&self) -> alloc::string::String {
        self.as_str().describe()
    }
}

impl PortKey for &Port {
    /// A port is found among clones of itself. The port of another model is refused, also when it is equal in every
    /// respect: clones share their name, and a namesake has one of its own.
    fn position(&self, ports: &[Port]) -> Option<usize> {
        let same = |port: &&Port| *port == *self && Arc::ptr_eq(&port.name, &self.name);
        ports.get(self.index).filter(same).map(|port| port.index)
    }

    fn describe(&self) -> String {
        alloc::format!("#{} {self}", self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dim;
    use std::format;
    use std::vec::Vec;

    fn port(side: Side, index: usize, name: &str, element: ElementType, dims: &[Dim]) -> Port {
        Port {
            side,
            index,
            name: name.into(),
            kind: Kind::Tensor,
            element,
            shape: PartialShape::new(dims).unwrap(),
        }
    }

    fn inputs() -> [Port; 2] {
        let dims = [Dim::Fixed(1), Dim::Fixed(3), Dim::Any, Dim::Any];
        [
            port(Side::Input, 0, "image", ElementType::F32, &dims),
            port(Side::Input, 1, "top\nk", ElementType::I64, &[]),
        ]
    }

    fn said(result: Result<&Port, PortError>) -> String {
        format!("{}", result.unwrap_err())
    }

    #[test]
    fn a_port_is_found_by_index_by_name_and_by_itself() {
        let ports = inputs();
        assert_eq!(find(Side::Input, &ports, 1).unwrap().index, 1);
        assert_eq!(find(Side::Input, &ports, "top\nk").unwrap().index, 1);
        let name = String::from("image");
        assert_eq!(find(Side::Input, &ports, &name).unwrap().index, 0);
        assert_eq!(find(Side::Input, &ports, name).unwrap().index, 0);
        assert_eq!(find(Side::Input, &ports, &ports[1].clone()).unwrap().index, 1);
    }

    #[test]
    fn a_key_that_names_nothing_is_told_what_there_is() {
        let ports = inputs();
        assert_eq!(
            said(find(Side::Input, &ports, "x")),
            r#"no input "x"; there are: "image" f32 [1, 3, ?, ?], "top\nk" i64 []"#
        );
        assert_eq!(
            said(find(Side::Input, &ports, 2)),
            r#"no input #2; there are 2: "image" f32 [1, 3, ?, ?], "top\nk" i64 []"#
        );
        assert_eq!(said(find(Side::Output, &[], "x")), r#"no output "x"; there are none"#);
        assert_eq!(
            said(find(Side::Input, &ports[1..], "a\"b")),
            r#"no input "a\"b"; there is: "top\nk" i64 []"#
        );
        let error = find(Side::Input, &ports, 2).unwrap_err();
        assert_eq!((error.out_of_range, error.candidates.len()), (true, 2));
        assert!(!find(Side::Input, &ports, "2").unwrap_err().out_of_range);
    }

    #[test]
    fn a_port_of_another_model_or_side_is_refused_even_by_the_same_name() {
        let ports = inputs();
        let mut others: Vec<Port> = (0..6).map(|_| ports[0].clone()).collect();
        others[0].index = 1;
        others[1].name = "other".into();
        others[2].element = ElementType::F16;
        others[3].shape = PartialShape::unknown();
        others[4].side = Side::Output;
        others[5].kind = Kind::Sequence;
        for other in others.iter().chain(&inputs()) {
            assert!(find(Side::Input, &ports, other).is_err(), "{other:?}");
        }
        assert_eq!(
            said(find(Side::Input, &ports[..1], &others[2])),
            r#"no input #0 "image" f16 [1, 3, ?, ?]; there is: "image" f32 [1, 3, ?, ?]"#
        );
    }

    #[test]
    fn a_port_need_not_be_named_when_it_is_the_only_one() {
        let ports = inputs();
        assert_eq!(only(Side::Input, &ports[..1]).unwrap().index, 0);
        assert_eq!(
            said(only(Side::Input, &ports)),
            r#"one input must be named; there are: "image" f32 [1, 3, ?, ?], "top\nk" i64 []"#
        );
        assert_eq!(said(only(Side::Output, &[])), "one output must be named; there are none");
    }

    #[test]
    fn an_error_stays_short_however_many_ports_there_are() {
        let ports: Vec<Port> = (0..300)
            .map(|index| port(Side::Input, index, &format!("in{index}"), ElementType::U8, &[]))
            .collect();
        let text = said(find(Side::Input, &ports, 300));
        assert!(text.starts_with("no input #300; there are 300: \"in0\" u8 [], "), "{text}");
        assert!(text.ends_with("\"in7\" u8 [] and 292 more"), "{text}");
    }
}
