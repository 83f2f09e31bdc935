//! Tensor data outside of the model file, as the host lends it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use spin::Mutex;

/// Where the importer gets tensor data that the model keeps in other files.
///
/// The location is written in the model, so a host must not follow it out of the model's folder.
pub trait ExternalData: Sync {
    /// The bytes `offset..offset + length` of the file at `location`, or up to its end without a length.
    fn read(&self, location: &str, offset: u64, length: Option<u64>) -> Result<Vec<u8>, ExternalError>;
}

/// External data that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("external data {location:?}: {problem}")]
pub struct ExternalError {
    /// Where the model says that the data lies.
    pub location: String,
    /// What went wrong.
    pub problem: String,
}

/// For models that were given as bytes alone: every external tensor is an error that says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoExternalData;

impl ExternalData for NoExternalData {
    fn read(&self, location: &str, _: u64, _: Option<u64>) -> Result<Vec<u8>, ExternalError> {
        let problem = "the model was given as bytes alone, without its folder";
        Err(ExternalError { location: location.into(), problem: problem.into() })
    }
}

/// Lends no more than so many bytes in all: many tensors may name the same large file.
pub(super) struct Metered<'a> {
    source: &'a dyn ExternalData,
    limit: u64,
    left: Mutex<u64>,
}

impl<'a> Metered<'a> {
    pub(super) fn new(source: &'a dyn ExternalData, limit: u64) -> Metered<'a> {
        Metered { source, limit, left: Mutex::new(limit) }
    }
}

impl ExternalData for Metered<'_> {
    fn read(&self, location: &str, offset: u64, length: Option<u64>) -> Result<Vec<u8>, ExternalError> {
        let mut left = self.left.lock();
        let Some(rest) = left.checked_sub(length.unwrap_or(0)) else {
            let problem = format!("the tensors outside of the model have more than {} bytes", self.limit);
            return Err(ExternalError { location: location.into(), problem });
        };
        *left = rest;
        drop(left);
        self.source.read(location, offset, length)
    }
}
