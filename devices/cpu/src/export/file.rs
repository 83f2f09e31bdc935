//! The file of a compiled model: its head, its directory, and where everything lies.
//!
//! ```text
//!  head (64 bytes) │ directory (postcard) │ graph (postcard) │ constants … │ packs …      each from a multiple of 64 bytes on
//! ```
//!
//! The head says what the file is, how long it is, and where the directory ends; the directory says by whom the file was made,
//! and of every section where it lies and what its checksum is. Every byte is under some checksum but those that fill up to 64.
//! Nothing here is trusted: a section is handed out when it lies within the file and has its checksum.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use inferry_core::{ElementType, Parallel, Serial};
use serde::{Deserialize, Serialize};
use spin::Mutex;

use super::ImportError;

/// The first byte is none of a text, and those after it are read by a person.
pub(super) const MAGIC: [u8; 8] = *b"\x89INFERRY";

/// Of the file, of the directory, and of what packs and operators mean. Raised with every change of them between two
/// versions of this crate: those differ in their files anyhow.
const FORMAT: u32 = 1;

/// Bytes of the head; sections begin at multiples of this.
pub(super) const STEP: usize = 64;

/// Where a piece of the file lies, and its checksum.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Section {
    /// Its first byte, counted from the end of the directory.
    start: u64,
    len: u64,
    sum: u32,
}

/// What must be the same in who reads a file as in who wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Maker {
    /// The version of this crate.
    pub(super) version: String,
    /// The instruction set.
    pub(super) isa: String,
    /// Width of addresses and order of bytes.
    pub(super) target: String,
    /// A digest of what the model was made from.
    pub(super) source: Option<[u8; 32]>,
}

/// The directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Directory {
    pub(super) maker: Maker,
    pub(super) graph: Section,
    pub(super) constants: Vec<Constant>,
    pub(super) packs: Vec<Pack>,
}

/// A constant of the graph.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Constant {
    pub(super) element: ElementType,
    pub(super) extents: Vec<usize>,
    pub(super) content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Content {
    Bytes(Section),
    Strings(Vec<String>),
}

/// A packed form of a constant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pack {
    /// Which constant.
    pub(super) constant: u32,
    pub(super) tag: u64,
    pub(super) parts: Vec<Section>,
}

/// Gives sections their places.
#[derive(Default)]
pub(super) struct Places {
    end: u64,
}

impl Places {
    /// The next section, for these bytes.
    pub(super) fn place(&mut self, bytes: &[u8]) -> Section {
        let section = Section { start: self.end, len: bytes.len() as u64, sum: crc32fast::hash(bytes) };
        // One without bytes has a place of its own, too: constants are told apart by where they lie.
        self.end += (bytes.len().max(1)).next_multiple_of(STEP) as u64;
        section
    }
}

/// What comes before the sections: the head, the directory, and what fills up.
pub(super) fn front(directory: &Directory, places: &Places) -> Result<Vec<u8>, postcard::Error> {
    let directory = postcard::to_allocvec(directory)?;
    let front = STEP + directory.len().next_multiple_of(STEP);
    let mut bytes = vec![0; STEP];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[16..24].copy_from_slice(&(front as u64 + places.end).to_le_bytes());
    bytes[24..32].copy_from_slice(&(directory.len() as u64).to_le_bytes());
    bytes[32..36].copy_from_slice(&crc32fast::hash(&directory).to_le_bytes());
    let sum = crc32fast::hash(&bytes);
    bytes[60..64].copy_from_slice(&sum.to_le_bytes());
    bytes.extend(directory);
    bytes.resize(front, 0);
    Ok(bytes)
}

/// What fills up behind a section of so many bytes.
pub(super) fn filling(len: usize) -> &'static [u8] {
    &[0; STEP][..len.max(1).next_multiple_of(STEP) - len]
}

/// A file that is read.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// Where the sections begin.
    front: usize,
}

impl<'a> Reader<'a> {
    /// The file and its directory, when it is one, whole, and ours.
    pub(super) fn open(bytes: &'a [u8], maker: &Maker) -> Result<(Reader<'a>, Directory), ImportError> {
        let head: &[u8; STEP] = bytes.first_chunk().ok_or(ImportError::Foreign)?;
        if head[..8] != MAGIC {
            return Err(ImportError::Foreign);
        }
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        if word(8) != FORMAT {
            return Err(ImportError::Format { found: word(8), wanted: FORMAT });
        }
        let mut unsigned = *head;
        unsigned[60..].fill(0);
        check("head", &unsigned, word(60))?;
        if long(16) != bytes.len() as u64 {
            return Err(ImportError::Length { found: bytes.len() as u64, wanted: long(16) });
        }
        let len = usize::try_from(long(24)).ok().filter(|len| *len <= bytes.len() - STEP);
        let len = len.ok_or_else(|| outside("directory", STEP as u64, long(24), bytes.len()))?;
        let directory = &bytes[STEP..STEP + len];
        check("directory", directory, word(32))?;
        let front = STEP + len.next_multiple_of(STEP);
        let directory: Directory = postcard::from_bytes(directory).map_err(ImportError::Directory)?;
        compare(&directory.maker, maker)?;
        Ok((Reader { bytes, front }, directory))
    }

    /// Looks at the sums of all sections, on these threads.
    pub(super) fn check(&self, directory: &Directory, threads: &dyn Parallel) -> Result<(), ImportError> {
        let sections = directory.sections();
        let bytes: u64 = sections.iter().map(|(_, section)| section.len).fold(0, u64::saturating_add);
        let threads = if bytes < FEW { &Serial } else { threads };
        let problem = Mutex::new(None);
        threads.for_each(sections.len(), &|index| {
            let (what, section) = sections[index];
            let checked = self.range(what, section).and_then(|range| {
                // Another one has been found: the file is of no use.
                let skip = problem.lock().is_some();
                if skip { Ok(()) } else { check(&what.to_string(), &self.bytes[range], section.sum) }
            });
            if let Err(error) = checked {
                problem.lock().get_or_insert(error);
            }
        });
        problem.into_inner().map_or(Ok(()), Err)
    }

    /// Where a section's bytes are.
    pub(super) fn range(&self, what: What, section: Section) -> Result<Range<usize>, ImportError> {
        let Section { start, len, .. } = section;
        let range = || {
            let start = usize::try_from(start).ok()?.checked_add(self.front)?;
            Some(start..start.checked_add(usize::try_from(len).ok()?)?)
        };
        let range = range().filter(|range| range.end <= self.bytes.len());
        range.ok_or_else(|| outside(&what.to_string(), start, len, self.bytes.len()))
    }
}

/// Bytes that are checked before a thread is awake.
const FEW: u64 = 1 << 20;

/// What a section holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Graph,
    Constant(usize),
    Pack(u32),
}

impl core::fmt::Display for What {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            What::Graph => f.write_str("graph"),
            What::Constant(number) => write!(f, "constant {number}"),
            What::Pack(constant) => write!(f, "packed form of constant {constant}"),
        }
    }
}

impl Directory {
    fn sections(&self) -> Vec<(What, Section)> {
        let mut all = vec![(What::Graph, self.graph)];
        for (number, constant) in self.constants.iter().enumerate() {
            if let Content::Bytes(section) = constant.content {
                all.push((What::Constant(number), section));
            }
        }
        for pack in &self.packs {
            all.extend(pack.parts.iter().map(|part| (What::Pack(pack.constant), *part)));
        }
        all
    }
}

fn outside(what: &str, start: u64, len: u64, file: usize) -> ImportError {
    ImportError::Outside { what: what.into(), start, len, file }
}

fn check(what: &str, bytes: &[u8], wanted: u32) -> Result<(), ImportError> {
    match crc32fast::hash(bytes) {
        found if found == wanted => Ok(()),
        found => Err(ImportError::Damaged { what: what.into(), found, wanted }),
    }
}

fn compare(found: &Maker, wanted: &Maker) -> Result<(), ImportError> {
    let stale = |what, found: &str, wanted: &str| match found == wanted {
        true => Ok(()),
        false => Err(ImportError::Stale { what, found: found.into(), wanted: wanted.into() }),
    };
    stale("the version", &found.version, &wanted.version)?;
    stale("the target", &found.target, &wanted.target)?;
    stale("the instruction set", &found.isa, &wanted.isa)?;
    match wanted.source {
        Some(wanted) => stale("the source", &hexadecimal(found.source), &hexadecimal(Some(wanted))),
        None => Ok(()),
    }
}

fn hexadecimal(digest: Option<[u8; 32]>) -> String {
    match digest {
        Some(digest) => digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        None => "unknown".into(),
    }
}
