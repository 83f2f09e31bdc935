"""Builds the models that are only there to be timed, with seeded random weights: two well-known convolution nets and their
int8 forms, a small perceptron and a single Add.

    speed_models.build(folder)   writes NAME.onnx and NAME.npz (input_0, and output_0 by onnxruntime without optimisation)

Weights are scaled so that activations neither vanish nor grow from layer to layer; nothing is learned from anything. What
is there already is left alone.
"""

import os

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

IMAGE = (1, 3, 224, 224)
CLASSES = 1000


class Sketch:
    """A graph that grows a node at a time."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def normal(self, shape, scale):
        return self.constant(self.random.standard_normal(shape) * scale)

    def constant(self, array):
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def add(self, operator, *inputs, **attributes):
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def convolution(self, x, inputs, outputs, kernel, stride=1, groups=1, activation=None):
        """Conv, BatchNormalization and an activation, as training frameworks export them."""
        fan_in = inputs // groups * kernel * kernel
        weights = self.normal((outputs, inputs // groups, kernel, kernel), (2 / fan_in) ** 0.5)
        x = self.add("Conv", x, weights, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4, group=groups)
        uniform = lambda: self.constant(self.random.uniform(0.8, 1.2, outputs))
        normal = lambda: self.normal(outputs, 0.1)
        x = self.add("BatchNormalization", x, uniform(), normal(), normal(), uniform(), epsilon=1e-5)
        if activation == "relu":
            return self.add("Relu", x)
        if activation == "relu6":
            return self.add("Clip", x, self.constant(0), self.constant(6))
        return x

    def classifier(self, x, features):
        x = self.add("Flatten", self.add("GlobalAveragePool", x))
        weights, bias = self.normal((CLASSES, features), 0.02), self.constant(np.zeros(CLASSES))
        self.add("Gemm", x, weights, bias, transB=1)
        return self.model(["N", 3, 224, 224], ["N", CLASSES])

    def model(self, x_shape, y_shape):
        """The whole model; its output is the last node's."""
        self.nodes[-1].output[0] = "y"
        port = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "g", [port("x", x_shape)], [port("y", y_shape)], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def resnet18():
    """He et al. 2015, "Deep residual learning", the net of 18 layers."""
    net = Sketch(18)
    x = net.convolution("x", 3, 64, 7, stride=2, activation="relu")
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    width = 64
    for outputs, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (first, 1):
            inner = net.convolution(x, width, outputs, 3, stride, activation="relu")
            inner = net.convolution(inner, outputs, outputs, 3)
            changed = stride != 1 or width != outputs
            side = net.convolution(x, width, outputs, 1, stride) if changed else x
            x, width = net.add("Relu", net.add("Add", inner, side)), outputs
    return net.classifier(x, width)


def mobilenetv2():
    """Sandler et al. 2018, "MobileNetV2: inverted residuals and linear bottlenecks", table 2."""
    net = Sketch(2)
    x, width = net.convolution("x", 3, 32, 3, stride=2, activation="relu6"), 32
    blocks = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, outputs, count, first in blocks:
        for index in range(count):
            stride, hidden = first if index == 0 else 1, width * expansion
            inner = net.convolution(x, width, hidden, 1, activation="relu6") if expansion != 1 else x
            inner = net.convolution(inner, hidden, hidden, 3, stride, groups=hidden, activation="relu6")
            inner = net.convolution(inner, hidden, outputs, 1)
            x, width = net.add("Add", x, inner) if stride == 1 and width == outputs else inner, outputs
    x = net.convolution(x, width, 1280, 1, activation="relu6")
    return net.classifier(x, 1280)


def perceptron():
    net, x = Sketch(3), "x"
    for inputs, outputs in ((16, 32), (32, 32), (32, 4)):
        x = net.add("Relu", net.add("Gemm", x, net.normal((inputs, outputs), 0.2), net.normal(outputs, 1)))
    net.add("Softmax", x, axis=-1)
    return net.model(["N", 16], ["N", 4])


def one_add():
    net = Sketch(1)
    net.add("Add", "x", net.normal(6, 1))
    return net.model([6], [6])


PLAIN = {"resnet18": (resnet18, IMAGE), "mobilenetv2": (mobilenetv2, IMAGE), "mlp": (perceptron, (1, 16)), "add": (one_add, (6,))}
QUANTIZED = ("resnet18", "mobilenetv2")


def build(folder):
    """Writes what is missing; gives the paths of all models."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for name, (sketch, shape) in PLAIN.items():
        paths.append(once(folder, name, shape, lambda path: onnx.save(sketch(), path)))
    for name in QUANTIZED:
        plain = os.path.join(folder, name + ".onnx")
        paths.append(once(folder, name + "_qdq", IMAGE, lambda path: quantize(plain, path)))
    return paths


def once(folder, name, shape, write):
    path = os.path.join(folder, name + ".onnx")
    if not os.path.exists(path[:-5] + ".npz"):
        write(path)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        x = np.random.default_rng(0).standard_normal(shape, np.float32)
        np.savez_compressed(path[:-5] + ".npz", input_0=x, output_0=session.run(None, {"x": x})[0])
    return path


def quantize(plain, path):
    """Static quantisation to Q/DQ form: bytes of activations without sign, of weights with one, a scale a channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Noise(CalibrationDataReader):
        def __init__(self):
            random = np.random.default_rng(4)
            self.images = iter([{"x": random.standard_normal(IMAGE, np.float32)} for _ in range(4)])

        def get_next(self):
            return next(self.images, None)

    prepared = path + ".prepared"
    quant_pre_process(plain, prepared)
    quantize_static(prepared, path, Noise(), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, per_channel=True)
    os.remove(prepared)
