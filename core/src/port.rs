//! A model's inputs and outputs, by index and by name.
//!
//! A [`Port`] is metadata that a compiled model owns a copy of: it has no storage and keeps nothing alive. Look-up by
//! name is a short linear search, done once by whoever cares about its cost.

use alloc::sync::Arc;

use crate::tensor::{ElementType, PartialShape};

/// Which side of a model a port is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The model reads it.
    Input,
    /// The model writes it.
    Output,
}

impl core::fmt::Display for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Side::Input => "input",
            Side::Output => "output",
        })
    }
}

/// An input or output of a compiled model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Input or output.
    pub side: Side,
    /// Position among the ports of its side.
    pub index: usize,
    /// The name the model gives it; may hold any character.
    pub name: Arc<str>,
    /// Type of the elements.
    pub element: ElementType,
    /// What is known of the shape before a run.
    pub shape: PartialShape,
}

/// Anything that names a port of one side: an index, a name, or the port itself.
pub trait PortKey {
    /// The index of the named port in `ports`, or what to say about it.
    fn position(&self, ports: &[Port]) -> Option<usize>;

    /// How to print the key in an error.
    fn describe(&self) -> alloc::string::String;
}

impl PortKey for usize {
    fn position(&self, ports: &[Port]) -> Option<usize> {
        (*self < ports.len()).then_some(*self)
    }

    fn describe(&self) -> alloc::string::String {
        alloc::format!("#{self}")
    }
}

impl PortKey for &str {
    fn position(&self, ports: &[Port]) -> Option<usize> {
        ports.iter().position(|port| &*port.name == *self)
    }

    fn describe(&self) -> alloc::string::String {
        alloc::format!("\"{self}\"")
    }
}

impl PortKey for &alloc::string::String {
    fn position(&self, ports: &[Port]) -> Option<usize> {
        self.as_str().position(ports)
    }

    fn describe(&self) -> alloc::string::String {
        self.as_str().describe()
    }
}

impl PortKey for &Port {
    /// A port of another model is refused unless it is equal in every respect.
    fn position(&self, ports: &[Port]) -> Option<usize> {
        (ports.get(self.index) == Some(*self)).then_some(self.index)
    }

    fn describe(&self) -> alloc::string::String {
        alloc::format!("port {} #{} \"{}\" {} {}", self.side, self.index, self.name, self.element, self.shape)
    }
}
