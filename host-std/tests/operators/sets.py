"""Makes set6.onnx to set22.onnx and sets.npz: one network as an exporter would have written it in each operator set.

What was an attribute once and is an input now, what broadcast by an attribute, what had no operator yet: each file says the
same in the words of its time, so all have the same answers. Those are onnxruntime 1.31.1's for the file of operator set 17;
the files that it can run (from 7) are checked against them here. Numbers come from a fixed seed; the files are written for this
project, under its own licence.

    python3 sets.py
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SETS = [6, 7, 9, 11, 13, 15, 17, 19, 21, 22]
random = np.random.default_rng(20250611)


def real(*shape, scale=0.5):
    return (random.standard_normal(shape) * scale).astype(np.float32)


WEIGHTS = {
    "kernel": real(4, 3, 3, 3), "bias": real(4), "gamma": 1 + real(4), "beta": real(4), "mean": real(4),
    "variance": np.abs(1 + real(4)).astype(np.float32), "channel": real(4), "gemm": real(24, 6), "gemm_bias": real(6),
    "lstm_w": real(1, 20, 6), "lstm_r": real(1, 20, 5), "lstm_b": real(1, 40),
}


class Writer:
    """Nodes of one operator set."""

    def __init__(self, opset):
        self.opset, self.nodes, self.count = opset, [], 0
        self.constants = dict(WEIGHTS)

    def fresh(self, hint):
        self.count += 1
        return f"{hint}_{self.count}"

    def ints(self, values, kind=np.int64):
        name = self.fresh("constant")
        self.constants[name] = np.array(values, kind)
        return name

    def node(self, op, inputs, outs=1, **attributes):
        names = [self.fresh(op.lower()) for _ in range(outs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=self.fresh("node"), **attributes))
        return names[0] if outs == 1 else names

    def since(self, version, op, inputs, name, values, outs=1, kind=np.int64, **attributes):
        """A node with what is an input since a version and was an attribute before."""
        if self.opset >= version:
            return self.node(op, [*inputs, self.ints(values, kind)], outs, **attributes)
        return self.node(op, inputs, outs, **attributes, **{name: values})

    def clip(self, x, low, high):
        if self.opset >= 11:
            return self.node("Clip", [x, self.ints(low, np.float32), self.ints(high, np.float32)])
        return self.node("Clip", [x], min=low, max=high)

    def broadcast(self, op, x, constant, axis):
        """`constant` goes along dimension `axis` of four."""
        if self.opset < 7:
            return self.node(op, [x, constant], broadcast=1, axis=axis)
        return self.node(op, [x, self.since(13, "Unsqueeze", [constant], "axes", list(range(1, 4 - axis)))])

    def normal(self, x):
        if self.opset >= 14:
            return self.node("BatchNormalization", [x, "gamma", "beta", "mean", "variance"], epsilon=1e-3)
        old = {"is_test": 1} if self.opset < 7 else {}
        return self.node("BatchNormalization", [x, "gamma", "beta", "mean", "variance"], epsilon=1e-3, **old)

    def dropout(self, x):
        if self.opset >= 12:
            return self.node("Dropout", [x, self.ints(0.5, np.float32)])
        return self.node("Dropout", [x], ratio=0.5, **({"is_test": 1} if self.opset < 7 else {}))

    def pad(self, x, pads, value):
        if self.opset >= 11:
            return self.node("Pad", [x, self.ints(pads), self.ints(value, np.float32)])
        return self.node("Pad", [x], pads=pads, value=value)

    def doubled(self, x, height, width):
        """Every element four times."""
        scales = np.array([1, 1, 2, 2], np.float32)
        if self.opset >= 11:
            how = dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
            empty = self.ints([], np.float32) if self.opset < 13 else ""
            return self.node("Resize", [x, empty, self.ints(scales, np.float32)], **how)
        if self.opset >= 9:
            return self.node("Upsample", [x, self.ints(scales, np.float32)], mode="nearest")
        if self.opset >= 7:
            return self.node("Upsample", [x], mode="nearest", scales=scales.tolist())
        apart = self.node("Reshape", [x, self.ints([-1, 4, height, 1, width, 1])])
        tiled = self.node("Tile", [apart, self.ints([1, 1, 1, 2, 1, 2])])
        return self.node("Reshape", [tiled, self.ints([-1, 4, 2 * height, 2 * width])])

    def slice(self, x, starts, ends, axes):
        if self.opset >= 10:
            return self.node("Slice", [x, self.ints(starts), self.ints(ends), self.ints(axes)])
        return self.node("Slice", [x], starts=starts, ends=ends, axes=axes)

    def layer_norm(self, x, width):
        """Over the last dimension."""
        if self.opset >= 17:
            ones, zeros = self.ints([1] * width, np.float32), self.ints([0] * width, np.float32)
            return self.node("LayerNormalization", [x, ones, zeros], epsilon=1e-5)
        mean = self.node("ReduceMean", [x], axes=[-1] if self.opset >= 11 else [1])
        centred = self.minus(x, mean)
        variance = self.node("ReduceMean", [self.node("Mul", [centred, centred])], axes=[1])
        shifted = self.alike("Add", variance, self.ints([1e-5], np.float32))
        return self.minus(centred, self.node("Sqrt", [shifted]), "Div")

    def minus(self, x, column, op="Sub"):
        """A matrix and a column, which operator set 6 does not broadcast."""
        if self.opset >= 7:
            return self.node(op, [x, column])
        return self.node(op, [x, self.node("Tile", [column, self.ints([1, 6])])])

    def alike(self, op, x, scalar):
        return self.node(op, [x, scalar], **({"broadcast": 1} if self.opset < 7 else {}))

    def hard_swish(self, x):
        if self.opset >= 14:
            return self.node("HardSwish", [x])
        return self.node("Mul", [x, self.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)])

    def gemm(self, x):
        return self.node("Gemm", [x, "gemm", "gemm_bias"], alpha=0.5, **({"broadcast": 1} if self.opset < 7 else {}))

    def top(self, x, k):
        if self.opset >= 10:
            return self.node("TopK", [x, self.ints([k])], 2)
        return self.node("TopK", [x], 2, k=k)

    def halves(self, x, axis, sizes):
        if self.opset >= 18:
            return self.node("Split", [x], 2, axis=axis, num_outputs=2)
        return self.since(13, "Split", [x], "split", sizes, 2, axis=axis)


def network(w):
    """Names of the outputs."""
    image = w.node("Conv", ["x", "kernel", "bias"], pads=[1, 1, 1, 1])
    image = w.dropout(w.normal(image))
    image = w.clip(w.broadcast("Add", image, "channel", 1), -0.75, 6.0)
    most = w.node("MaxPool", [image], kernel_shape=[2, 2], strides=[2, 2])
    mean = w.node("AveragePool", [image], kernel_shape=[2, 2], strides=[2, 2])
    left, right = w.halves(w.node("Concat", [most, mean], axis=3), 3, [3, 3])
    image = w.pad(w.node("Sub", [left, right]), [0, 0, 0, 1, 0, 0, 1, 0], 0.25)
    image = w.doubled(image, 4, 4)
    image = w.slice(image, [1, -7], [7, 2147483647], [2, 3])
    image = w.hard_swish(image)
    rows = w.since(13, "ReduceSum", [image], "axes", [3], keepdims=0)
    # [N, 4, 6] as [N, 24], with what the extents are in the run.
    count = w.node("Gather", [w.node("Shape", [rows]), w.ints([0])], axis=0)
    flat = w.node("Reshape", [rows, w.node("Concat", [count, w.ints([-1])], axis=0)])
    hidden = w.layer_norm(w.gemm(flat), 6)
    steps = w.since(13, "Unsqueeze", [hidden], "axes", [1])
    recurrent = w.node("LSTM", [steps, "lstm_w", "lstm_r", "lstm_b"], 3, hidden_size=5)
    recurrent = w.since(13, "Squeeze", [recurrent[0]], "axes", [1, 2])
    scores = w.node("Softmax", [recurrent], axis=1)
    values, places = w.top(scores, 3)
    return [scores, values, places, w.node("Cast", [values], to=TensorProto.FLOAT16)]


arrays = {"input_0": real(2, 3, 6, 6, scale=1)}
answers, models = {}, {}
for opset in SETS:
    writer = Writer(opset)
    made = network(writer)
    kinds = [TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64, TensorProto.FLOAT16]
    names = ["scores", "values", "places", "halves"]
    for old, new in zip(made, names):
        for node in writer.nodes:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]
    outputs = [helper.make_tensor_value_info(name, kind, ["N", None]) for name, kind in zip(names, kinds)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 6, 6])]
    constants = [numpy_helper.from_array(np.asarray(v), name) for name, v in writer.constants.items()]
    if opset < 9:
        # Constants were inputs with values.
        inputs += [helper.make_tensor_value_info(c.name, c.data_type, c.dims) for c in constants]
    graph = helper.make_graph(writer.nodes, f"operator set {opset}", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="inferry")
    model.ir_version = 3 if opset < 9 else 4 if opset < 15 else 8 if opset < 21 else 10
    onnx.checker.check_model(model, full_check=opset >= 7)
    models[opset] = model
    if opset >= 7:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        answers[opset] = session.run(names, {"x": arrays["input_0"]})
for opset, found in answers.items():
    for a, b in zip(found, answers[17]):
        assert a.dtype == b.dtype and np.allclose(a, b, 1e-4, 1e-6), (opset, a, b)
for index, answer in enumerate(answers[17]):
    arrays[f"output_{index}"] = answer
for opset, model in models.items():
    onnx.save(model, f"set{opset}.onnx")
np.savez_compressed("sets.npz", **arrays)
print(len(models), "models;", answers[17][0])
