//! The cases that are known to fail, each with its reason. An entry breaks when it heals: a case that passes, or that fails in
//! another way, makes the run fail until its entry is taken out or put right.

use std::collections::BTreeSet;

use super::case::Kind;

/// Cases that fail for one reason.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// In which way they fail.
    pub kind: Kind,
    /// Why that is so.
    pub why: &'static str,
    /// The cases, as `SUITE/NAME`.
    pub cases: &'static [&'static str],
}

/// All that is known to fail.
pub const KNOWN: &[Known] = &[
    Known {
        kind: Kind::Unsupported,
        why: "training: no operator of ai.onnx.preview.training is here; optional",
        cases: &[
            "node/test_adagrad",
            "node/test_adagrad_multiple",
            "node/test_adam",
            "node/test_adam_multiple",
            "node/test_momentum",
            "node/test_momentum_multiple",
            "node/test_nesterov_momentum",
            "simple/test_gradient_of_add",
            "simple/test_gradient_of_add_and_mul",
        ],
    },
    Known {
        kind: Kind::Unsupported,
        why: "pictures are decoded before inference, by a library of the application's choice; optional",
        cases: &[
            "node/test_image_decoder_decode_bmp_rgb",
            "node/test_image_decoder_decode_jpeg2k_rgb",
            "node/test_image_decoder_decode_jpeg_bgr",
            "node/test_image_decoder_decode_jpeg_grayscale",
            "node/test_image_decoder_decode_jpeg_rgb",
            "node/test_image_decoder_decode_png_rgb",
            "node/test_image_decoder_decode_pnm_rgb",
            "node/test_image_decoder_decode_tiff_rgb",
            "node/test_image_decoder_decode_webp_rgb",
        ],
    },
    Known {
        kind: Kind::Wrong,
        why: "the suite's answers are wrong: they wrap where the standard says that they saturate; later suites and onnxruntime agree with ours",
        cases: &[
            "node/test_qlinearmatmul_2D_int8_float16",
            "node/test_qlinearmatmul_2D_int8_float32",
            "node/test_qlinearmatmul_3D_int8_float16",
            "node/test_qlinearmatmul_3D_int8_float32",
        ],
    },
    Known {
        kind: Kind::Wrong,
        why: "the suite's answers are wrong: bits are cut off where the standard's reference rounds to the nearest bf16, as we do",
        cases: &[
            "node/test_cast_FLOAT_to_BFLOAT16",
            "node/test_castlike_FLOAT_to_BFLOAT16",
            "node/test_castlike_FLOAT_to_BFLOAT16_expanded",
        ],
    },
    Known {
        kind: Kind::Wrong,
        why: "the suite's answer is wrong: it counts what the last window reaches beyond the padding; later suites, the standard's reference and onnxruntime agree with ours",
        cases: &["node/test_averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True"],
    },
];

/// This file, in the repository.
pub(super) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/known.rs");

/// This file's text without these cases. An entry that is left without any is for a person to take out: a test insists.
pub(super) fn without(text: &str, healed: &BTreeSet<String>) -> String {
    let quoted: Vec<String> = healed.iter().map(|case| format!("\"{case}\"")).collect();
    let is_one =
        |line: &&str| line.trim().strip_suffix(',').is_some_and(|line| quoted.iter().any(|q| q == line));
    let lines = text.lines().filter(|line| !is_one(line));
    let left: String = lines.flat_map(|line| [line, "\n"]).collect();
    let cut = |text: String, case: &String| {
        text.replace(&format!("{case}, "), "").replace(&format!(", {case}"), "").replace(case, "")
    };
    quoted.iter().filter(|case| left.contains(*case)).fold(left.clone(), cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healed_cases_are_taken_out() {
        let text = "const A: &[&str] = &[\n    \"a/b\",\n    \"a/c\",\n];\n";
        let healed = BTreeSet::from(["a/b".to_owned(), "a/d".to_owned()]);
        assert_eq!(without(text, &healed), "const A: &[&str] = &[\n    \"a/c\",\n];\n");
        let short = "&[\"a/b\", \"a/c\"]; &[\"a/c\", \"a/d\"]; &[\"a/b\"]\n";
        assert_eq!(without(short, &healed), "&[\"a/c\"]; &[\"a/c\"]; &[]\n");
    }

    #[test]
    fn every_entry_has_a_reason_and_no_case_two() {
        let mut cases: Vec<&str> = KNOWN.iter().flat_map(|known| known.cases).copied().collect();
        let count = cases.len();
        cases.sort_unstable();
        cases.dedup();
        assert_eq!(cases.len(), count);
        assert!(KNOWN.iter().all(|known| !known.why.is_empty() && !known.cases.is_empty()));
    }
}
