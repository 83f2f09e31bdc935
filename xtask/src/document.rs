//! Sections of documents that a command writes: what stands between two lines that are there for it.

use std::fs;
use std::path::Path;

use crate::place;

/// Puts what is in the file `table` between the lines of `name` in the document, a path below the root.
pub(crate) fn write_section(document: &str, name: &str, table: &Path) -> Result<(), String> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let path = place::root().join(document);
    let written = with_section(&read(&path)?, name, &read(table)?)
        .ok_or_else(|| format!("{document} has no lines `{}` and `{}`", begin(name), end(name)))?;
    fs::write(&path, written).map_err(|error| format!("cannot write {document}: {error}"))?;
    println!("written into {document}");
    Ok(())
}

/// The document with `section` between the lines that are there for it.
fn with_section(document: &str, name: &str, section: &str) -> Option<String> {
    let (begin, end) = (begin(name), end(name));
    let (before, rest) = document.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n{end}{after}", section.trim_end()))
}

fn begin(name: &str) -> String {
    format!("<!-- {name} begins -->")
}

fn end(name: &str) -> String {
    format!("<!-- {name} ends -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_replaces_the_one_before_and_nothing_else() {
        let lines = (begin("it"), end("it"));
        let document = format!("# Speed\n\n{}\nold\n{}\n\nmore\n{}\n", lines.0, lines.1, begin("other"));
        let written = with_section(&document, "it", "new\n\n").unwrap();
        assert_eq!(written, document.replace("old", "new"));
        assert_eq!(with_section(&written, "it", "new").unwrap(), written);
        assert_eq!(with_section("# Speed\n", "it", "new"), None);
        assert_eq!(with_section(&format!("{} {}", lines.1, lines.0), "it", "new"), None);
    }
}
