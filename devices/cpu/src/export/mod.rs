//! Compiled models as files, so that what passes and packing made of a model need not be made again.
//!
//! ```text
//!  Compiled ── export ──▶ graph after the passes + its constants + their packed forms ── import ──▶ Compiled
//! ```
//!
//! An export is whole: it refers to no other file. It is for one version of this crate, one instruction set and one kind of
//! target; any other refuses it ([`ImportError::Stale`]), and who has the model compiles it anew. Constants and packs lie in it
//! as kernels read them, so that an import of a mapped file copies none of them: it checks sums, reads the graph, and plans.
//! Packs that no plan has asked for before the export are not in it, nor are those of constants within bodies of control flow,
//! which an import packs like any other plan.
//!
//! Evidence: milliseconds from the file to the first result at one thread, the least of five in turns on two cores of an EPYC that had
//! other work as well. ResNet-18: 143 compiled, 25 imported from a file of 106 MB; in bytes 57 and 9; MobileNetV2 36 and 12; MiniLM in
//! int8 125 and 26. A run takes as long as of the compiled model. Not so where the weights are in bodies of control flow, whose
//! constants are read with the graph, number by number: Silero 15 and 20.
//!
//! The sums are against bytes that were changed on the way, not against malice. Who forges a file and its sums cannot make us
//! read beyond our memory, since what it says of lengths is compared with what kernels count; but what an ONNX file's
//! operators are checked for, a forged graph here is not, and a run of it may panic, which ends that run as failed. Import
//! what you have exported yourself, and models from strangers as ONNX.

mod file;

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use inferry_core::device::{CompiledModel, ExportError};
use inferry_core::request::BoxError;
use inferry_core::steps::{Pace, finish};
use inferry_core::tensor::{ReadLease, Storage, TensorError};
use inferry_core::{ElementType, Serial, Shape, Tensor};
use inferry_engine::Model;
use inferry_engine::store::{self, StoreError};

use crate::compile::{CompileError, Cpu, Options, Shared};
use crate::isa::Isa;
use crate::pack::{self, Form, Pack, Packs, Part, Stored};
use crate::profile;
use file::{Content, Directory, Maker, Places, Reader, STEP, What};

/// Whether a file that begins so is meant to be a compiled model.
pub fn is_export(begin: &[u8]) -> bool {
    begin.starts_with(&file::MAGIC)
}

/// Why bytes are no compiled model, or none for us.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Something else.
    #[error("this is no compiled model")]
    Foreign,
    /// Another format of files.
    #[error("the compiled model is of format {found}; this version reads format {wanted}")]
    Format {
        /// Of the file.
        found: u32,
        /// Ours.
        wanted: u32,
    },
    /// Made by or for somebody else: compile the model again.
    #[error("the compiled model is stale: {what} is {found} there, and {wanted} here")]
    Stale {
        /// What differs.
        what: &'static str,
        /// In the file.
        found: String,
        /// Here.
        wanted: String,
    },
    /// A file that was cut short, or has more than it should.
    #[error("the compiled model has {found} bytes and should have {wanted}")]
    Length {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        wanted: u64,
    },
    /// A part that is not in the file.
    #[error("the {what} of the compiled model would be {len} bytes from {start} on, in a file of {file}")]
    Outside {
        /// The part.
        what: String,
        /// Where it would begin.
        start: u64,
        /// How long it would be.
        len: u64,
        /// Bytes of the file.
        file: usize,
    },
    /// A part whose bytes were changed.
    #[error("the {what} of the compiled model is damaged: its sum is {found:08x} and should be {wanted:08x}")]
    Damaged {
        /// The part.
        what: String,
        /// The checksum that its bytes have.
        found: u32,
        /// The checksum that they had.
        wanted: u32,
    },
    /// A directory that cannot be read.
    #[error("the directory of the compiled model: {0}")]
    Directory(postcard::Error),
    /// A constant that cannot be.
    #[error("constant {number} of the compiled model: {problem}")]
    Constant {
        /// Its number.
        number: usize,
        /// What is wrong with it.
        problem: TensorError,
    },
    /// A packed form of a constant that is not there.
    #[error("the compiled model has a packed form of constant {number}, and {count} constants")]
    NoConstant {
        /// The constant's number.
        number: u32,
        /// How many there are.
        count: usize,
    },
    /// A packed form of another size than the kernel needs.
    #[error("a packed form in the compiled model has parts of {found:?} bytes; the kernel reads {wanted:?}")]
    Pack {
        /// Bytes of each part in the file.
        found: Vec<usize>,
        /// Bytes that the kernel reads of each.
        wanted: Vec<usize>,
    },
    /// A graph that cannot be.
    #[error(transparent)]
    Graph(#[from] StoreError),
    /// A graph that does not run.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// There is no memory for a copy that lies as it must.
    #[error("no memory for the {0} bytes of the compiled model")]
    OutOfMemory(usize),
}

impl Cpu {
    /// The compiled model that [`export`](CompiledModel::export) wrote; all but `options` is as it was then. When
    /// [`Options::source`] says what the model must have been made from, a file that was made from something else is stale.
    ///
    /// Nothing is copied when `bytes` begin at a multiple of 64: they are held for as long as the model lives.
    ///
    /// With a clock, what is told of each run are the nodes that the passes had left.
    ///
    /// # Errors
    /// Bytes that are no such file, were changed, or were made for another version, instruction set or source.
    pub fn import(&self, bytes: Storage, options: Options) -> Result<Arc<dyn CompiledModel>, ImportError> {
        let bytes = aligned(bytes)?;
        let lease = Arc::new(bytes.read().map_err(|error| constant(0, error.into()))?);
        let (reader, directory) = Reader::open(lease.bytes(), &maker(self.isa(), options.source))?;
        reader.check(&directory, options.threads.as_deref().map_or(&Serial, |threads| threads))?;
        let constants = constants(&reader, &bytes, &directory)?;
        let stored = packs(&reader, &lease, &directory, &constants)?;
        let form = reader.range(What::Graph, directory.graph)?;
        let graph = store::read(&lease.bytes()[form], &constants)?;
        let nodes = options.profile.as_ref().map_or(Vec::new(), |_| profile::sources(&graph));
        let model = Model { graph, ..Model::default() };
        let shared = Shared { nodes, ..Shared::new(model, *self, options, stored)? };
        let ready = finish(shared.ready(&mut Pace::silent()));
        // Before its errors: they may come from it.
        if let Some(misfit) = shared.packs.misfit() {
            return Err(ImportError::Pack { found: misfit.found, wanted: misfit.wanted });
        }
        ready?;
        Ok(shared.compiled())
    }
}

/// The bytes, at a multiple of what sections are aligned to.
fn aligned(bytes: Storage) -> Result<Storage, ImportError> {
    let copy = {
        let lease = bytes.read().map_err(|error| constant(0, error.into()))?;
        let from = lease.bytes();
        if from.as_ptr().addr() % STEP == 0 {
            None
        } else {
            let copy = Storage::zeroed(from.len()).map_err(|_| ImportError::OutOfMemory(from.len()))?;
            copy.write().expect("nobody else has it").bytes_mut().copy_from_slice(from);
            Some(copy)
        }
    };
    Ok(copy.unwrap_or(bytes))
}

fn maker(isa: Isa, source: Option<[u8; 32]>) -> Maker {
    let order = if cfg!(target_endian = "big") { "big" } else { "little" };
    Maker {
        version: env!("CARGO_PKG_VERSION").into(),
        isa: format!("{:?}", isa.level()),
        target: format!("{} bits, {order} end first", usize::BITS),
        source,
    }
}

fn constant(number: usize, problem: TensorError) -> ImportError {
    ImportError::Constant { number, problem }
}

/// The constants of a file, in place.
fn constants(reader: &Reader<'_>, bytes: &Storage, from: &Directory) -> Result<Vec<Tensor>, ImportError> {
    let make = |(number, from): (usize, &file::Constant)| {
        let shape = Shape::new(&from.extents).map_err(|error| constant(number, error.into()))?;
        let tensor = match &from.content {
            Content::Strings(strings) => Tensor::from_strings(strings, shape),
            Content::Bytes(section) => {
                let range = reader.range(What::Constant(number), *section)?;
                let tensor = Tensor::from_storage_at(bytes.clone(), from.element, shape, range.start);
                tensor.and_then(|tensor| whole(tensor, range.len()))
            }
        };
        tensor.map_err(|error| constant(number, error))
    };
    from.constants.iter().enumerate().map(make).collect()
}

/// A constant that has as many bytes as its section, and is what its type says.
fn whole(tensor: Tensor, wanted: usize) -> Result<Tensor, TensorError> {
    if tensor.byte_len() != wanted {
        let (element, shape) = (tensor.element(), tensor.shape().clone());
        return Err(TensorError::Bytes { bytes: wanted, wanted: tensor.byte_len(), element, shape });
    }
    if tensor.element() == ElementType::Bool {
        // Looks at each.
        tensor.as_slice::<bool>()?;
    }
    Ok(tensor)
}

/// The packed forms of a file, in place.
fn packs(
    reader: &Reader<'_>,
    lease: &Arc<ReadLease>,
    from: &Directory,
    constants: &[Tensor],
) -> Result<Vec<Stored>, ImportError> {
    let make = |from: &file::Pack| {
        let number = from.constant;
        let tensor = constants.get(number as usize).cloned();
        let tensor = tensor.ok_or(ImportError::NoConstant { number, count: constants.len() })?;
        let part = |section: &file::Section| {
            let range = reader.range(What::Pack(number), *section)?;
            Ok(Part::new(lease.clone(), range).expect("it lies within the file"))
        };
        let parts = from.parts.iter().map(part).collect::<Result<_, ImportError>>()?;
        Ok(Stored { tensor, tag: from.tag, parts })
    };
    from.packs.iter().map(make).collect()
}

/// Bytes of a section.
enum Blob {
    Constant(Part),
    /// A part of a packed form.
    Packed(Arc<dyn Pack>, usize),
}

impl Blob {
    fn with<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Blob::Constant(part) => take(part),
            Blob::Packed(pack, part) => take(pack.parts()[*part]),
        }
    }
}

/// Writes a compiled model, from front to back.
pub(crate) fn export(
    shared: &Shared,
    write: &mut dyn FnMut(&[u8]) -> Result<(), BoxError>,
) -> Result<(), ExportError> {
    let failed = |error: StoreError| ExportError::Device(error.into());
    let (form, constants) = store::write(&shared.graph).map_err(failed)?;
    let mut places = Places::default();
    let graph = places.place(&form);
    let mut blobs = Vec::new();
    let mut place = |blob: Blob| {
        let section = blob.with(|bytes| places.place(bytes));
        blobs.push(blob);
        section
    };
    let entry = |tensor: &Tensor| {
        let content = match tensor.element() {
            ElementType::String => Content::Strings(tensor.strings()?.iter().map(Into::into).collect()),
            _ => Content::Bytes(place(Blob::Constant(dense(tensor)?))),
        };
        Ok(file::Constant { element: tensor.element(), extents: tensor.shape().to_vec(), content })
    };
    let entries: Result<Vec<_>, TensorError> = constants.iter().map(entry).collect();
    let entries = entries.map_err(|error| failed(error.into()))?;
    let packs = forms(&shared.packs, &constants).map(|(constant, tag, pack)| {
        let count = pack.parts().len();
        let parts = (0..count).map(|part| place(Blob::Packed(pack.clone(), part))).collect();
        file::Pack { constant, tag, parts }
    });
    let packs = packs.collect();
    let maker = maker(shared.isa, shared.options.source);
    let directory = Directory { maker, graph, constants: entries, packs };
    let front = file::front(&directory, &places).map_err(|error| failed(StoreError::Form(error)))?;
    let mut write = |bytes: &[u8]| write(bytes).map_err(ExportError::Write);
    write(&front)?;
    write(&form)?;
    write(file::filling(form.len()))?;
    for blob in blobs {
        blob.with(|bytes| {
            write(bytes)?;
            write(file::filling(bytes.len()))
        })?;
    }
    Ok(())
}

/// The bytes of a constant, without gaps.
fn dense(tensor: &Tensor) -> Result<Part, TensorError> {
    let mut dense = tensor.clone();
    if !tensor.is_dense() {
        dense = Tensor::try_zeros(tensor.element(), tensor.shape())?;
        tensor.copy_to(&mut dense)?;
    }
    let lease = Arc::new(dense.lease_read()?);
    Ok(Part::new(lease, dense.byte_range()).expect("a tensor lies within its storage"))
}

/// The packed forms that can be stored: of which constant, by which tag.
fn forms(packs: &Packs, constants: &[Tensor]) -> impl Iterator<Item = (u32, u64, Arc<dyn Pack>)> {
    packs.all().into_iter().filter_map(|Form { tensor, tag, pack, .. }| {
        let constant = constants.iter().position(|constant| pack::same(constant, &tensor))?;
        (!pack.parts().is_empty()).then_some((constant as u32, tag, pack))
    })
}
