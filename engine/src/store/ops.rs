//! The operators that can be stored: every one there is, by the name of its type.

use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::op::*;

/// Why an operator could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpStoreError {
    /// One that is missing in the table.
    #[error("the operator {0} cannot be stored")]
    NotListed(&'static str),
    /// A name that is not in the table.
    #[error("no operator has this name")]
    Unknown,
    /// Its attributes.
    #[error("attributes of an operator: {0}")]
    Attributes(#[from] postcard::Error),
}

/// The attributes of an operator, or why they could not be written.
type Written = Result<Vec<u8>, postcard::Error>;

/// An operator, or why its attributes could not be read.
type Found = Result<Arc<dyn Op>, postcard::Error>;

/// How operators of one type are written and read.
struct Entry {
    name: &'static str,
    /// `None` for operators of another type.
    write: fn(&dyn Op) -> Option<Written>,
    read: fn(&[u8]) -> Found,
}

const fn entry<T: Op + Serialize + DeserializeOwned>(name: &'static str) -> Entry {
    Entry {
        name,
        write: |op| op.downcast::<T>().map(postcard::to_allocvec),
        read: |attributes| Ok(Arc::new(postcard::from_bytes::<T>(attributes)?)),
    }
}

macro_rules! table {
    ($($op:ident)*) => { &[$(entry::<$op>(stringify!($op))),*] };
}

const TABLE: &[Entry] = table! {
    AffineGrid Align ArgReduce ArrayFeatureExtractor AttentionMask AveragePool BatchNormalization Binary Bitwise
    BitwiseNot ByteConv ByteMaxPool ByteMean Cast CastLike Clip Col2Im Concat ConcatFromSequence ConstantOfShape Conv ConvInteger ConvTranspose
    CumSum DeformColumns DequantizeLinear Det Dft Diagonal DynamicQuantizeLinear Einsum Elementwise Expand
    Flatten Fused Gather GatherElements GatherNd Gemm GlobalPool GridSample Gru Hardmax Identity If
    InstanceNormalization LabelEncoder LayerNormalization Loop LpPool Lstm MatMul MatMulInteger MatMulNBits
    MaxPool MaxRoiPool MaxUnpool MelWeightMatrix MoveAxis Multinomial NonMaxSuppression NonZero OneHot Optional
    OptionalGetElement OptionalHasElement Pad QLinearConv QLinearMatMul QuantizeLinear Random Range Reduce
    RegexFullMatch Reshape Resize ReverseSequence Rnn RoiAlign RotaryEmbedding ScatterElements ScatterNd
    SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength ShapeOf SizeOf Slice
    Softmax Split SplitHeads SplitToSequence Squeeze Stft StringConcat StringNormalizer StringSplit TfIdf Tile
    TopK Transpose TreeEnsemble Trilu Unary Unique Unsqueeze Variadic Where
};

/// The name of an operator's type, and its attributes.
pub(super) fn write(op: &dyn Op) -> Result<(&'static str, Vec<u8>), OpStoreError> {
    let written = TABLE.iter().find_map(|entry| Some((entry.name, (entry.write)(op)?)));
    let (name, attributes) = written.ok_or(OpStoreError::NotListed(op.name()))?;
    Ok((name, attributes?))
}

/// The operator of this name with these attributes.
pub(super) fn read(name: &str, attributes: &[u8]) -> Result<Arc<dyn Op>, OpStoreError> {
    let entry = TABLE.iter().find(|entry| entry.name == name).ok_or(OpStoreError::Unknown)?;
    Ok((entry.read)(attributes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_operator_of_the_sources_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/op");
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            for line in text.lines() {
                let Some(name) = line.strip_prefix("impl Op for ") else { continue };
                let name: String = name.chars().take_while(|char| char.is_alphanumeric()).collect();
                assert!(TABLE.iter().any(|entry| entry.name == name), "{name} is missing");
                count += 1;
            }
        }
        assert_eq!(count, TABLE.len(), "the table names one that is none, or one twice");
    }
}
