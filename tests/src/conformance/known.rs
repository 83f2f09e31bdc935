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
    Known {
        kind: Kind::Unsupported,
        why: "these operators are not here yet",
        cases: &[
            "node/test_affine_grid_2d",
            "node/test_affine_grid_2d_align_corners",
            "node/test_affine_grid_3d",
            "node/test_affine_grid_3d_align_corners",
            "node/test_basic_deform_conv_with_padding",
            "node/test_basic_deform_conv_without_padding",
            "node/test_col2im",
            "node/test_col2im_5d",
            "node/test_col2im_dilations",
            "node/test_col2im_pads",
            "node/test_col2im_strides",
            "node/test_compress_0",
            "node/test_compress_1",
            "node/test_compress_default_axis",
            "node/test_compress_negative_axis",
            "node/test_deform_conv_with_mask_bias",
            "node/test_deform_conv_with_multiple_offset_groups",
            "node/test_dft",
            "node/test_dft_axis",
            "node/test_dft_axis_opset19",
            "node/test_dft_inverse",
            "node/test_dft_inverse_opset19",
            "node/test_dft_opset19",
            "node/test_einsum_batch_diagonal",
            "node/test_einsum_batch_matmul",
            "node/test_einsum_inner_prod",
            "node/test_einsum_sum",
            "node/test_einsum_transpose",
            "node/test_gridsample",
            "node/test_gridsample_aligncorners_true",
            "node/test_gridsample_bicubic",
            "node/test_gridsample_bicubic_align_corners_0_additional_1",
            "node/test_gridsample_bicubic_align_corners_1_additional_1",
            "node/test_gridsample_bilinear",
            "node/test_gridsample_bilinear_align_corners_0_additional_1",
            "node/test_gridsample_bilinear_align_corners_1_additional_1",
            "node/test_gridsample_border_padding",
            "node/test_gridsample_nearest",
            "node/test_gridsample_nearest_align_corners_0_additional_1",
            "node/test_gridsample_nearest_align_corners_1_additional_1",
            "node/test_gridsample_reflection_padding",
            "node/test_gridsample_volumetric_bilinear_align_corners_0",
            "node/test_gridsample_volumetric_bilinear_align_corners_1",
            "node/test_gridsample_volumetric_nearest_align_corners_0",
            "node/test_gridsample_volumetric_nearest_align_corners_1",
            "node/test_gridsample_zeros_padding",
            "node/test_nonmaxsuppression_center_point_box_format",
            "node/test_nonmaxsuppression_flipped_coordinates",
            "node/test_nonmaxsuppression_identical_boxes",
            "node/test_nonmaxsuppression_limit_output_size",
            "node/test_nonmaxsuppression_single_box",
            "node/test_nonmaxsuppression_suppress_by_IOU",
            "node/test_nonmaxsuppression_suppress_by_IOU_and_scores",
            "node/test_nonmaxsuppression_two_batches",
            "node/test_nonmaxsuppression_two_classes",
            "node/test_roialign_aligned_false",
            "node/test_roialign_aligned_true",
            "node/test_roialign_mode_max",
            "node/test_stft",
            "node/test_stft_with_window",
            "node/test_tfidfvectorizer_tf_batch_onlybigrams_skip0",
            "node/test_tfidfvectorizer_tf_batch_onlybigrams_skip5",
            "node/test_tfidfvectorizer_tf_batch_uniandbigrams_skip5",
            "node/test_tfidfvectorizer_tf_only_bigrams_skip0",
            "node/test_tfidfvectorizer_tf_onlybigrams_levelempty",
            "node/test_tfidfvectorizer_tf_onlybigrams_skip5",
            "node/test_tfidfvectorizer_tf_uniandbigrams_skip5",
        ],
    },
    Known {
        kind: Kind::Refused,
        why: "floats of 8 bits and integers of 4 are not here yet",
        cases: &[
            "node/test_cast_FLOAT16_to_FLOAT8E4M3FN",
            "node/test_cast_FLOAT16_to_FLOAT8E4M3FNUZ",
            "node/test_cast_FLOAT16_to_FLOAT8E5M2",
            "node/test_cast_FLOAT16_to_FLOAT8E5M2FNUZ",
            "node/test_cast_FLOAT16_to_INT4",
            "node/test_cast_FLOAT16_to_UINT4",
            "node/test_cast_FLOAT8E4M3FNUZ_to_FLOAT",
            "node/test_cast_FLOAT8E4M3FNUZ_to_FLOAT16",
            "node/test_cast_FLOAT8E4M3FN_to_FLOAT",
            "node/test_cast_FLOAT8E4M3FN_to_FLOAT16",
            "node/test_cast_FLOAT8E5M2FNUZ_to_FLOAT",
            "node/test_cast_FLOAT8E5M2FNUZ_to_FLOAT16",
            "node/test_cast_FLOAT8E5M2_to_FLOAT",
            "node/test_cast_FLOAT8E5M2_to_FLOAT16",
            "node/test_cast_FLOAT_to_FLOAT8E4M3FN",
            "node/test_cast_FLOAT_to_FLOAT8E4M3FNUZ",
            "node/test_cast_FLOAT_to_FLOAT8E5M2",
            "node/test_cast_FLOAT_to_FLOAT8E5M2FNUZ",
            "node/test_cast_FLOAT_to_INT4",
            "node/test_cast_FLOAT_to_UINT4",
            "node/test_cast_INT4_to_FLOAT",
            "node/test_cast_INT4_to_FLOAT16",
            "node/test_cast_INT4_to_INT8",
            "node/test_cast_UINT4_to_FLOAT",
            "node/test_cast_UINT4_to_FLOAT16",
            "node/test_cast_UINT4_to_UINT8",
            "node/test_cast_no_saturate_FLOAT16_to_FLOAT8E4M3FN",
            "node/test_cast_no_saturate_FLOAT16_to_FLOAT8E4M3FNUZ",
            "node/test_cast_no_saturate_FLOAT16_to_FLOAT8E5M2",
            "node/test_cast_no_saturate_FLOAT16_to_FLOAT8E5M2FNUZ",
            "node/test_cast_no_saturate_FLOAT_to_FLOAT8E4M3FN",
            "node/test_cast_no_saturate_FLOAT_to_FLOAT8E4M3FNUZ",
            "node/test_cast_no_saturate_FLOAT_to_FLOAT8E5M2",
            "node/test_cast_no_saturate_FLOAT_to_FLOAT8E5M2FNUZ",
            "node/test_castlike_FLOAT8E4M3FNUZ_to_FLOAT",
            "node/test_castlike_FLOAT8E4M3FNUZ_to_FLOAT_expanded",
            "node/test_castlike_FLOAT8E4M3FN_to_FLOAT",
            "node/test_castlike_FLOAT8E4M3FN_to_FLOAT_expanded",
            "node/test_castlike_FLOAT8E5M2FNUZ_to_FLOAT",
            "node/test_castlike_FLOAT8E5M2FNUZ_to_FLOAT_expanded",
            "node/test_castlike_FLOAT8E5M2_to_FLOAT",
            "node/test_castlike_FLOAT8E5M2_to_FLOAT_expanded",
            "node/test_castlike_FLOAT_to_FLOAT8E4M3FN",
            "node/test_castlike_FLOAT_to_FLOAT8E4M3FNUZ",
            "node/test_castlike_FLOAT_to_FLOAT8E4M3FNUZ_expanded",
            "node/test_castlike_FLOAT_to_FLOAT8E4M3FN_expanded",
            "node/test_castlike_FLOAT_to_FLOAT8E5M2",
            "node/test_castlike_FLOAT_to_FLOAT8E5M2FNUZ",
            "node/test_castlike_FLOAT_to_FLOAT8E5M2FNUZ_expanded",
            "node/test_castlike_FLOAT_to_FLOAT8E5M2_expanded",
            "node/test_dequantizelinear_e4m3fn",
            "node/test_dequantizelinear_e4m3fn_float16",
            "node/test_dequantizelinear_e4m3fn_zero_point",
            "node/test_dequantizelinear_e5m2",
            "node/test_dequantizelinear_int4",
            "node/test_dequantizelinear_uint4",
            "node/test_quantizelinear_e4m3fn",
            "node/test_quantizelinear_e5m2",
            "node/test_quantizelinear_int4",
            "node/test_quantizelinear_uint4",
        ],
    },
    Known {
        kind: Kind::Refused,
        why: "sequences, optionals and loops are not here yet",
        cases: &["node/test_identity_opt", "node/test_identity_sequence"],
    },
    Known {
        kind: Kind::Unsupported,
        why: "sequences, optionals and loops are not here yet",
        cases: &[
            "node/test_if_opt",
            "node/test_if_seq",
            "node/test_loop11",
            "node/test_loop13_seq",
            "node/test_loop16_seq_none",
            "node/test_optional_get_element_optional_sequence",
            "node/test_optional_get_element_optional_tensor",
            "node/test_optional_get_element_sequence",
            "node/test_optional_get_element_tensor",
            "node/test_optional_has_element_empty_no_input_name_optional_input",
            "node/test_optional_has_element_empty_no_input_name_tensor_input",
            "node/test_optional_has_element_empty_no_input_optional_input",
            "node/test_optional_has_element_empty_no_input_tensor_input",
            "node/test_optional_has_element_empty_optional_input",
            "node/test_optional_has_element_optional_input",
            "node/test_optional_has_element_tensor_input",
            "node/test_range_float_type_positive_delta_expanded",
            "node/test_range_int32_type_negative_delta_expanded",
            "node/test_scan9_sum",
            "node/test_scan_sum",
            "node/test_sequence_insert_at_back",
            "node/test_sequence_insert_at_front",
            "node/test_sequence_map_add_1_sequence_1_tensor",
            "node/test_sequence_map_add_1_sequence_1_tensor_expanded",
            "node/test_sequence_map_add_2_sequences",
            "node/test_sequence_map_add_2_sequences_expanded",
            "node/test_sequence_map_extract_shapes",
            "node/test_sequence_map_extract_shapes_expanded",
            "node/test_sequence_map_identity_1_sequence",
            "node/test_sequence_map_identity_1_sequence_1_tensor",
            "node/test_sequence_map_identity_1_sequence_1_tensor_expanded",
            "node/test_sequence_map_identity_1_sequence_expanded",
            "node/test_sequence_map_identity_2_sequences",
            "node/test_sequence_map_identity_2_sequences_expanded",
            "node/test_split_to_sequence_1",
            "node/test_split_to_sequence_2",
            "node/test_split_to_sequence_nokeepdims",
            "simple/test_sequence_model1",
            "simple/test_sequence_model2",
            "simple/test_sequence_model3",
            "simple/test_sequence_model4",
            "simple/test_sequence_model5",
            "simple/test_sequence_model6",
            "simple/test_sequence_model7",
            "simple/test_sequence_model8",
        ],
    },
];

/// This file, in the repository.
pub(super) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/known.rs");

/// This file's text without the lines of these cases. What is no line of its own stays, and fails until somebody takes it out.
pub(super) fn without(text: &str, healed: &BTreeSet<String>) -> String {
    let case = |line: &str| line.trim().strip_prefix('"')?.strip_suffix("\",").map(str::to_owned);
    let stays = |line: &&str| case(line).is_none_or(|case| !healed.contains(&case));
    text.lines().filter(stays).flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healed_cases_are_lines_taken_out() {
        let text = "const A: &[&str] = &[\n    \"a/b\",\n    \"a/c\",\n];\n";
        let healed = BTreeSet::from(["a/b".to_owned()]);
        assert_eq!(without(text, &healed), "const A: &[&str] = &[\n    \"a/c\",\n];\n");
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
