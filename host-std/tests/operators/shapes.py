"""Makes named.onnx, counted.onnx and sized.onnx, and shapes.npz: models whose shapes are known only in the run.

named.onnx has extents with names and arithmetic on names; counted.onnx computes shapes from shapes; what sized.onnx
gives is as large as its data say. shapes.npz has several runs of each, of different sizes, with onnxruntime 1.31.1's answers.
Numbers come from a fixed seed; the files are written for this project, under its own licence.

    python3 shapes.py
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T, helper, numpy_helper

random = np.random.default_rng(20250612)
arrays = {}


def real(*shape):
    return random.standard_normal(shape).astype(np.float32)


def save(name, nodes, inputs, outputs, constants, runs):
    ports = [[helper.make_tensor_value_info(*port) for port in side] for side in (inputs, outputs)]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, name, *ports, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="inferry")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, f"{name}.onnx")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for run, feeds in enumerate(runs):
        answers = session.run(None, dict(zip([port[0] for port in inputs], feeds)))
        arrays.update({f"{name}.{run}.input_{index}": array for index, array in enumerate(feeds)})
        arrays.update({f"{name}.{run}.output_{index}": array for index, array in enumerate(answers)})
        print(name, run, [array.shape for array in answers])


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), name=f"node {outputs}", **attributes)


# Rows of several inputs one after the other, and every second column.
save(
    "named",
    [
        node("Concat", "a b", "joined", axis=0),
        node("MatMul", "a c", "product"),
        node("MaxPool", "d", "pooled", kernel_shape=[2], strides=[2]),
        node("Add", "pooled e", "sum"),
    ],
    [
        ("a", T.FLOAT, ["N", "M"]),
        ("b", T.FLOAT, ["2*N + 1", "M"]),
        ("c", T.FLOAT, ["M", "N*M"]),
        ("d", T.FLOAT, [1, 3, "M"]),
        ("e", T.FLOAT, [1, 3, "M//2"]),
    ],
    [
        ("joined", T.FLOAT, ["3*N + 1", "M"]),
        ("product", T.FLOAT, ["N", "N*M"]),
        ("sum", T.FLOAT, [1, 3, "M//2"]),
    ],
    {},
    [
        [real(n, m), real(2 * n + 1, m), real(m, n * m), real(1, 3, m), real(1, 3, m // 2)]
        for n, m in [(1, 2), (3, 5), (2, 4), (7, 9)]
    ],
)

# What exporters write for x.reshape(n, t, 2, 3), arange(t) < lengths, x[:, : t // 2], zeros(n, t + 1).
save(
    "counted",
    [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "n", axis=0),
        node("Gather", "shape one", "t", axis=0),
        node("Unsqueeze", "n first", "n1"),
        node("Unsqueeze", "t first", "t1"),
        node("Concat", "n1 t1 heads width", "apart", axis=0),
        node("Reshape", "x apart", "split"),
        node("Transpose", "split", "heads_first", perm=[0, 2, 1, 3]),
        node("Range", "zero t one", "places"),
        node("Unsqueeze", "places first", "row"),
        node("Concat", "n1 t1", "plane", axis=0),
        node("Expand", "row plane", "rows"),
        node("Less", "rows lengths", "mask"),
        node("Div", "t two", "half"),
        node("Unsqueeze", "half first", "half1"),
        node("Slice", "x first half1 second", "begin"),
        node("Add", "t1 ones", "longer"),
        node("Concat", "n1 longer", "large", axis=0),
        node("ConstantOfShape", "large", "zeros"),
        node("Cast", "t", "real", to=T.FLOAT),
        node("Sqrt", "real", "root"),
        node("Div", "begin root", "scaled"),
    ],
    [("x", T.FLOAT, ["batch", "time", 6]), ("lengths", T.INT64, ["batch", 1])],
    [
        ("heads_first", T.FLOAT, ["batch", 2, "time", 3]),
        ("mask", T.BOOL, ["batch", "time"]),
        ("scaled", T.FLOAT, ["batch", None, 6]),
        ("zeros", T.FLOAT, ["batch", None]),
    ],
    {
        "zero": np.int64(0), "one": np.int64(1), "two": np.int64(2), "first": np.array([0]), "second": np.array([1]),
        "ones": np.array([1]), "heads": np.array([2]), "width": np.array([3]),
    },
    [[real(n, t, 6), random.integers(0, t + 1, (n, 1))] for n, t in [(1, 1), (2, 7), (5, 4), (1, 30), (3, 2)]],
)

# The places that are not zero, what lies there, the few largest of it, each once; and the boxes that overlap little.
save(
    "sized",
    [
        node("NonZero", "x", "places"),
        node("Transpose", "places", "pairs"),
        node("GatherND", "x pairs", "found"),
        node("Shape", "found", "count"),
        node("Concat", "count three", "limits", axis=0),
        node("ReduceMin", "limits", "least", keepdims=1),
        node("TopK", "found least", "largest where"),
        node("Unique", "found", "once at back counts", sorted=1),
        node("ReduceMax", "x", "most", axes=[1], keepdims=0),
        node("Greater", "most zero", "positive"),
        node("Compress", "x positive", "rows", axis=0),
        node("NonMaxSuppression", "boxes scores ten overlap", "kept"),
    ],
    [("x", T.FLOAT, ["h", "w"]), ("boxes", T.FLOAT, [1, "k", 4]), ("scores", T.FLOAT, [1, 1, "k"])],
    [
        ("places", T.INT64, [2, None]), ("largest", T.FLOAT, [None]), ("where", T.INT64, [None]),
        ("once", T.FLOAT, [None]), ("counts", T.INT64, [None]), ("rows", T.FLOAT, [None, "w"]), ("kept", T.INT64, [None, 3]),
    ],
    {"three": np.array([3]), "zero": np.float32(0), "ten": np.array([10]), "overlap": np.array([0.3], np.float32)},
    [
        [np.round(real(h, w) * some).astype(np.float32), np.sort(real(1, k, 2, 2), axis=2).reshape(1, k, 4), real(1, 1, k)]
        for h, w, k, some in [(3, 4, 5, 1), (1, 1, 1, 0), (8, 2, 20, 2), (6, 6, 40, 0.4)]
    ],
)
np.savez_compressed("shapes.npz", **arrays)
