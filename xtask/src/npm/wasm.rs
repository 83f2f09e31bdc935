//! Reads what a WebAssembly module asks of its host: its imports, its memory, the instructions it says it needs.
//!
//! A linker that was given one flag too few makes a module that works and is not what was meant (an unshared memory where
//! a shared one was asked for, or one that can never grow), without a word. So the build looks at what it made. This reads
//! the three sections in which that stands and steps over all others; it does not validate a module.

/// What a module says about itself.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Module {
    /// Functions and globals that the host must provide, as `module.name`.
    pub(crate) imports: Vec<String>,
    /// The memory, when the host must provide it.
    pub(crate) imported_memory: Option<Memory>,
    /// The names under which things are exported.
    pub(crate) exports: Vec<String>,
    /// The names of custom sections (debug information, names of functions).
    pub(crate) custom: Vec<String>,
}

/// A memory's limits, in pages of 64 KiB.
#[derive(Debug, PartialEq, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) initial: u64,
    pub(crate) maximum: Option<u64>,
    pub(crate) shared: bool,
}

/// Reads a module; `None` when the bytes are not one.
pub(crate) fn read(bytes: &[u8]) -> Option<Module> {
    let mut reader = Reader(bytes.strip_prefix(b"\0asm\x01\0\0\0")?);
    let mut module = Module::default();
    while !reader.0.is_empty() {
        let id = reader.byte()?;
        let length = reader.number()?;
        let mut section = Reader(reader.take(length)?);
        match id {
            0 => module.custom.push(section.name()?),
            2 => module.read_imports(&mut section)?,
            7 => module.read_exports(&mut section)?,
            _ => {}
        }
    }
    Some(module)
}

impl Module {
    fn read_imports(&mut self, section: &mut Reader) -> Option<()> {
        for _ in 0..section.number()? {
            let name = format!("{}.{}", section.name()?, section.name()?);
            match section.byte()? {
                // A function: its type.
                0 => drop(section.number()?),
                // A table: the type of its elements, and limits.
                1 => drop((section.byte()?, section.limits()?)),
                2 => {
                    self.imported_memory = Some(section.limits()?);
                    continue;
                }
                // A global: its type, and whether it may change. A tag: an attribute, and its type.
                3 | 4 => drop((section.byte()?, section.number()?)),
                _ => return None,
            }
            self.imports.push(name);
        }
        Some(())
    }

    fn read_exports(&mut self, section: &mut Reader) -> Option<()> {
        for _ in 0..section.number()? {
            self.exports.push(section.name()?);
            let _kind = section.byte()?;
            let _index = section.number()?;
        }
        Some(())
    }
}

/// Bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of up to 64 bits, seven a byte.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn name(&mut self) -> Option<String> {
        let length = self.number()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn limits(&mut self) -> Option<Memory> {
        let flags = self.byte()?;
        let initial = self.number()?;
        let maximum = if flags & 1 != 0 { Some(self.number()?) } else { None };
        Some(Memory { initial, maximum, shared: flags & 2 != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_section(id: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        bytes.extend([id, u8::try_from(content.len()).unwrap()]);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn a_shared_memory_that_can_grow_is_told_from_one_that_cannot() {
        let imported = |limits: &[u8]| {
            let module = with_section(2, &[b"\x01\x03env\x06memory\x02", limits].concat());
            read(&module).unwrap().imported_memory.unwrap()
        };
        let shared = Memory { initial: 18, maximum: Some(16_384), shared: true };
        assert_eq!(imported(b"\x03\x12\x80\x80\x01"), shared);
        assert_eq!(imported(b"\x00\x12"), Memory { initial: 18, maximum: None, shared: false });
        assert_eq!(imported(b"\x01\x12\x12"), Memory { initial: 18, maximum: Some(18), shared: false });
    }

    #[test]
    fn functions_are_named_with_the_module_they_come_from() {
        let module = read(&with_section(2, b"\x01\x04host\x03now\x00\x05")).unwrap();
        assert_eq!(
            (module.imports.as_slice(), module.imported_memory),
            (&["host.now".to_string()][..], None)
        );
    }

    #[test]
    fn exports_and_custom_sections_are_listed_and_the_others_stepped_over() {
        let mut bytes = with_section(7, b"\x01\x03run\x00\x02");
        bytes.extend(b"\x01\x02\xff\xff\x00\x05\x04name");
        let module = read(&bytes).unwrap();
        assert_eq!((module.exports, module.custom), (vec!["run".to_string()], vec!["name".to_string()]));
    }

    #[test]
    fn what_is_no_module_or_is_cut_short_is_refused() {
        assert_eq!(read(b"<!doctype html>"), None);
        assert_eq!(read(b"\0asm\x01\0\0\0\x02\x10\x01"), None);
        assert_eq!(read(b"\0asm\x01\0\0\0"), Some(Module::default()));
    }
}
