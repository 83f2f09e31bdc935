//! The operators we import: one line each. The importers live with their operators.

use super::error::ImportError;
use super::node::{Imported, NodeView};

/// Makes the operator of a node.
pub(crate) type Import = fn(&NodeView<'_>) -> Result<Imported, ImportError>;

struct Entry {
    domain: &'static str,
    name: &'static str,
    import: Import,
}

const fn entry(domain: &'static str, name: &'static str, import: Import) -> Entry {
    Entry { domain, name, import }
}

/// The name of a domain as the registry has it: the standard's own has two spellings.
pub(crate) fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// The importer of an operator.
pub(crate) fn find(domain: &str, name: &str) -> Option<Import> {
    OPERATORS.iter().find(|entry| entry.name == name && entry.domain == domain).map(|entry| entry.import)
}

static OPERATORS: &[Entry] = &[];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_operator_is_listed_twice() {
        for (index, entry) in OPERATORS.iter().enumerate() {
            let again = OPERATORS[..index].iter().any(|e| e.name == entry.name && e.domain == entry.domain);
            assert!(!again, "{} {}", entry.domain, entry.name);
        }
    }
}
