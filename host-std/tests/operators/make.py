"""Makes microsoft.onnx and microsoft.npz: every operator of com.microsoft that we import, in small; standard.onnx
and standard.npz: the same for operators of the standard; features.onnx and features.npz: for those of ai.onnx.ml;
functions.onnx and functions.npz: functions that a model defines for itself.

One model of many nodes that have nothing to do with each other; each node is named after what it tests, and its outputs
after the node. The answers are those of onnxruntime 1.31.1 on a CPU, graph optimisation disabled. Numbers come from a fixed
seed; the files are written for this project, under its own licence.

    python3 make.py
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(20240607)
nodes, inputs, initializers, outputs, feeds = [], [], [], [], {}


def real(*shape, scale=1.0):
    return (random.standard_normal(shape) * scale).astype(np.float32)


def whole(kind, *shape):
    info = np.iinfo(kind)
    return random.integers(info.min, info.max + 1, shape).astype(kind)


def case(op, name, operands, outs=1, fixed=(), domain="com.microsoft", **attributes):
    """A node. Operands are arrays, or None for one left out; those at `fixed` positions are constants."""
    names = []
    for index, array in enumerate(operands):
        if array is None:
            names.append("")
            continue
        array = np.asarray(array)
        names.append(f"{name}.{index}")
        if index in fixed:
            initializers.append(numpy_helper.from_array(array, names[-1]))
        else:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            inputs.append(helper.make_tensor_value_info(names[-1], kind, array.shape))
            feeds[names[-1]] = array
    written = [f"{name}:{index}" for index in range(outs)]
    nodes.append(helper.make_node(op, names, written, name=name, domain=domain, **attributes))
    outputs.extend(helper.make_empty_tensor_value_info(output) for output in written)


def gelus():
    x, bias = real(3, 8, scale=3), real(8)
    case("Gelu", "gelu", [x])
    case("BiasGelu", "bias_gelu", [x, bias])
    case("FastGelu", "fast_gelu", [x])
    case("FastGelu", "fast_gelu_bias", [x, bias])
    case("QuickGelu", "quick_gelu", [x], alpha=1.5)


def products():
    case("FusedMatMul", "fused", [real(2, 3, 4), real(4, 5)], alpha=0.5)
    case("FusedMatMul", "fused_turned", [real(2, 4, 3), real(2, 5, 4)], transA=1, transB=1)
    case("FusedMatMul", "fused_batch", [real(3, 2, 4), real(4, 2, 5)], transBatchA=1, transBatchB=1)
    b, scale = whole(np.int8, 4, 5), np.abs(real(5, scale=0.1))
    case("DynamicQuantizeMatMul", "dynamic", [real(2, 3, 4), b, np.float32(0.03)], fixed=(1, 2))
    full = [real(3, 4), b, scale, whole(np.int8, 5), real(5)]
    case("DynamicQuantizeMatMul", "dynamic_columns", full, fixed=(1, 2, 3, 4))
    a, half = whole(np.uint8, 2, 3, 4), np.float32(0.02)
    case("MatMulIntegerToFloat", "to_float", [a, b, half, half], fixed=(1, 3))
    full = [a, b, half, scale, np.uint8(9), whole(np.int8, 5), real(5)]
    case("MatMulIntegerToFloat", "to_float_columns", full, fixed=(1, 3, 5, 6))
    for name, k, n, block, rows in [("bits", 64, 6, 32, (2, 3)), ("bits_odd", 40, 5, 16, (1,))]:
        blocks = -(-k // block)
        weights, scales = whole(np.uint8, n, blocks, block // 2), np.abs(real(n * blocks, scale=0.1))
        zeros = whole(np.uint8, n * -(-blocks // 2))
        sizes = dict(K=k, N=n, bits=4, block_size=block)
        a = real(*rows, k)
        case("MatMulNBits", name, [a, weights, scales], fixed=(1, 2), **sizes)
        case("MatMulNBits", name + "_zeros", [a, weights, scales, zeros], fixed=(1, 2, 3), **sizes)
        case("MatMulNBits", name + "_bias", [a, weights, scales, zeros, None, real(n)], fixed=(1, 2, 3, 5), **sizes)


def normalisations():
    x, skip, line = real(2, 3, 8), real(2, 3, 8), real(8)
    simple = dict(domain="", outs=2, epsilon=1e-5)
    case("SimplifiedLayerNormalization", "simplified", [x, line], **simple)
    case("SimplifiedLayerNormalization", "simplified_two", [x, real(3, 8)], axis=1, **simple)
    case("SkipLayerNormalization", "skip", [x, skip, line])
    case("SkipLayerNormalization", "skip_sum", [x, skip[0], line, real(8), real(8)], epsilon=1e-3)
    nodes[-1].output.extend(["", "", "skip_sum:3"])
    outputs.append(helper.make_empty_tensor_value_info("skip_sum:3"))
    case("SkipSimplifiedLayerNormalization", "skip_simplified", [x, skip, line, real(8)], epsilon=1e-3)
    nodes[-1].output.extend(["", "", "skip_simplified:3"])
    outputs.append(helper.make_empty_tensor_value_info("skip_simplified:3"))
    words = random.integers(0, 9, (2, 5)).astype(np.int32)
    segments = random.integers(0, 2, (2, 5)).astype(np.int32)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    tables = [real(9, 8), real(7, 8), real(2, 8)]
    embed = [words, segments, *tables, line, real(8), mask]
    case("EmbedLayerNormalization", "embed", embed, outs=3, fixed=(2, 3, 4, 5, 6))
    bare = [words, None, tables[0], tables[1], None, line, real(8), None, segments]
    case("EmbedLayerNormalization", "embed_bare", bare, outs=2, fixed=(2, 3, 5, 6))


def attention():
    x, weights, bias = real(2, 5, 8), real(8, 24, scale=0.4), real(24)
    keys = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
    base = dict(num_heads=2)
    case("Attention", "attention", [x, weights, bias], **base)
    case("Attention", "attention_causal", [x, weights, bias], unidirectional=1, **base)
    case("Attention", "attention_keys", [x, weights, bias, keys], **base)
    case("Attention", "attention_lengths", [x, weights, bias, np.array([3, 5], np.int32)], **base)
    case("Attention", "attention_ranges", [x, weights, bias, np.array([5, 4, 1, 0], np.int32)], **base)
    each = np.tril(np.ones((2, 5, 5), np.int32))
    case("Attention", "attention_each", [x, weights, bias, each], scale=0.3, **base)
    past = real(2, 2, 2, 3, 4)
    all_keys = np.concatenate([np.ones((2, 3), np.int32), keys], 1)
    full = [x, weights, bias, all_keys, past]
    case("Attention", "attention_past", full, outs=2, unidirectional=1, **base)
    sizes = dict(qkv_hidden_sizes=[8, 8, 4])
    case("Attention", "attention_sizes", [x, real(8, 20), real(20), None, None, real(2, 2, 5, 5)], **base, **sizes)
    q, k, v = real(2, 5, 8), real(2, 6, 8), real(2, 6, 8)
    case("MultiHeadAttention", "heads", [q, k, v], **base)
    case("MultiHeadAttention", "heads_bias", [q, k, v, bias], **base)
    case("MultiHeadAttention", "heads_lengths", [q, k, v, None, np.array([3, 6], np.int32)], **base)
    many = (random.random((2, 6)) < 0.7).astype(np.int32)
    many[:, 0] = 1
    case("MultiHeadAttention", "heads_keys", [q, k, v, bias, many, real(1, 2, 5, 6)], scale=0.2, **base)
    grown = [q, real(2, 5, 8), real(2, 5, 8), None, None, None, real(2, 2, 3, 4), real(2, 2, 3, 4)]
    case("MultiHeadAttention", "heads_past", grown, outs=3, unidirectional=1, **base)
    case("MultiHeadAttention", "heads_cross", [q, real(2, 2, 6, 4), real(2, 2, 6, 4)], **base)
    angles = random.random((9, 2)) * 3
    tables = [np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)]
    places = random.integers(0, 9, (2, 5))
    case("RotaryEmbedding", "rotary", [real(2, 5, 12), places, *tables], fixed=(2, 3))
    case("RotaryEmbedding", "rotary_first", [real(2, 3, 5, 4), np.array([3]), *tables], fixed=(2, 3), interleaved=1)
    part = dict(num_heads=2, rotary_embedding_dim=4)
    case("RotaryEmbedding", "rotary_part", [real(2, 5, 12), places, *tables], fixed=(2, 3), **part)


def quantised():
    def scaled(array, scale, zero):
        return [array, np.float32(scale), array.dtype.type(zero)]

    for kind, zero in [(np.uint8, 120), (np.int8, -7)]:
        tag = np.dtype(kind).name
        x, y = scaled(whole(kind, 2, 3, 4), 0.05, zero), scaled(whole(kind, 4), 0.03, 3)
        out = [np.float32(0.07), kind(5)]
        case("QLinearAdd", f"qadd_{tag}", x + y + out, fixed=(1, 2, 4, 5, 6, 7))
        case("QLinearMul", f"qmul_{tag}", x + y + out, fixed=(1, 2, 4, 5, 6, 7))
        case("QLinearLeakyRelu", f"qleaky_{tag}", x + out, fixed=(1, 2, 3, 4), alpha=0.2)
        case("QLinearSigmoid", f"qsigmoid_{tag}", x + [np.float32(1 / 256), kind(0)], fixed=(1, 2, 3, 4))
        image = scaled(whole(kind, 1, 4, 6, 6), 0.0513, zero)
        pool = dict(kernel_shape=[3, 2], pads=[1, 0, 1, 0], strides=[2, 1], fixed=(1, 2, 3, 4))
        case("QLinearAveragePool", f"qpool_{tag}", image + out, **pool)
        last = [image[0].transpose(0, 2, 3, 1).copy()] + image[1:]
        case("QLinearAveragePool", f"qpool_last_{tag}", last + out, channels_last=1, count_include_pad=1, **pool)
        case("QLinearGlobalAveragePool", f"qglobal_{tag}", image + out, fixed=(1, 2, 3, 4))
        case("QLinearGlobalAveragePool", f"qglobal_last_{tag}", last + out, fixed=(1, 2, 3, 4), channels_last=1)
        parts = out + x + scaled(whole(kind, 2, 5, 4), 0.02, 3)
        case("QLinearConcat", f"qconcat_{tag}", parts, fixed=(0, 1, 3, 4, 6, 7), axis=1)
        soft = x + [np.float32(1 / 256), kind(np.iinfo(kind).min)]
        case("QLinearSoftmax", f"qsoftmax_{tag}", soft, fixed=(1, 2, 3, 4), opset=13, axis=-1)
        case("QLinearSoftmax", f"qsoftmax_old_{tag}", soft, fixed=(1, 2, 3, 4), opset=12, axis=1)


def recurrent():
    w, r = whole(np.int8, 2, 3, 16), whole(np.int8, 2, 4, 16)
    scale = np.full(2, 0.004, np.float32)
    zero = np.zeros(2, np.int8)
    operands = [real(5, 2, 3), w, r, real(2, 32), None, None, None, None, scale, zero, scale, zero]
    case("DynamicQuantizeLSTM", "lstm", operands, outs=3, fixed=(1, 2, 3, 8, 9, 10, 11), hidden_size=4,
         direction="bidirectional")
    scale = np.abs(real(1, 16, scale=0.004)) + np.float32(0.001)
    operands = [real(5, 2, 3), w[:1], r[:1], None, None, None, None, None, scale, np.zeros((1, 16), np.int8), scale,
                np.zeros((1, 16), np.int8)]
    case("DynamicQuantizeLSTM", "lstm_columns", operands, outs=1, fixed=(1, 2, 8, 9, 10, 11), hidden_size=4)


def standard():
    """Operators of the standard that are put together from others, or have a small kernel of their own."""
    own = dict(domain="")
    scores, classes, weights = real(3, 4, 2), random.integers(0, 4, (3, 2)), np.abs(real(4))
    some = np.where(random.random((3, 2)) < 0.4, -7, classes)
    for op, name in [("NegativeLogLikelihoodLoss", "nll"), ("SoftmaxCrossEntropyLoss", "cross")]:
        case(op, name, [scores, classes], **own)
        case(op, name + "_none", [scores, classes, weights], reduction="none", **own)
        case(op, name + "_ignored", [scores, some, weights], ignore_index=-7, **own)
        case(op, name + "_sum", [scores[:, :, 0].copy(), some[:, 0].astype(np.int32)], ignore_index=-7,
             reduction="sum", **own)
    case("SoftmaxCrossEntropyLoss", "cross_scores", [scores, classes], outs=2, **own)
    x, image = real(2, 3, 5), real(2, 4, 6, 6)
    case("Trilu", "trilu", [x, np.array(-1)], upper=0, **own)
    case("CumSum", "cumsum", [x, np.array(1)], fixed=(1,), exclusive=1, reverse=1, **own)
    case("Hardmax", "hardmax", [x], axis=1, **own)
    for name, more in [("lp", dict(p=3)), ("lp_same", dict(auto_pad="SAME_UPPER")), ("lp_one", dict(p=1, ceil_mode=1))]:
        case("LpPool", name, [image], kernel_shape=[3, 2], strides=[2, 2], **more, **own)
    case("GlobalLpPool", "lp_global", [image], p=3, **own)
    case("LpNormalization", "lp_norm", [np.stack([x[0], 0 * x[0]])], axis=1, p=1, **own)
    case("LRN", "lrn", [image], size=3, alpha=0.3, beta=0.6, bias=1.5, **own)
    case("MeanVarianceNormalization", "mvn", [image], axes=[0, -1], **own)
    case("GroupNormalization", "group", [image, real(4), real(4)], num_groups=2, epsilon=0.1, **own)
    case("Shrink", "shrink", [x], lambd=0.7, bias=0.2, **own)
    case("Det", "det", [real(3, 4, 4)], **own)
    case("EyeLike", "eye", [real(3, 5)], k=1, dtype=TensorProto.INT32, **own)
    case("OneHot", "hot", [np.array([[1, -1], [7, 0]]), np.array([4]), np.array([0.5, 2], np.float32)], axis=1,
         fixed=(1,), **own)
    case("CenterCropPad", "crop", [x, np.array([4, 2])], axes=[1, -1], fixed=(1,), **own)
    case("SpaceToDepth", "to_depth", [image], blocksize=3, **own)
    case("DepthToSpace", "to_space", [image], blocksize=2, **own)
    case("DepthToSpace", "to_space_crd", [image], blocksize=2, mode="CRD", **own)
    case("ReverseSequence", "reverse", [x, np.array([2, 0, 1])], **own)
    for name in ["HannWindow", "HammingWindow", "BlackmanWindow"]:
        case(name, name, [np.array(9)], fixed=(0,), **own)
        case(name, name + "_symmetric", [np.array(9)], fixed=(0,), periodic=0, **own)
    edges = [np.array(80.0, np.float32), np.array(3000.0, np.float32)]
    case("MelWeightMatrix", "mel", [np.array(5), np.array(64), np.array(8000), *edges], fixed=(0, 1), **own)
    places = np.array([5, 7, 13, 15]).reshape(1, 1, 2, 2)
    case("MaxUnpool", "unpool", [real(1, 1, 2, 2), places], kernel_shape=[2, 2], strides=[2, 2], **own)
    regions = np.array([[0, 0, 0, 4, 5], [1, 3, 2, 11, 9]], np.float32)
    case("MaxRoiPool", "roi", [image, regions], pooled_shape=[2, 3], spatial_scale=0.5, **own)
    case("BatchNormalization", "batch", [x, real(3), real(3), real(3), np.abs(real(3))], outs=3, training_mode=1,
         momentum=0.7, **own)
    case("Dropout", "dropout", [x, np.array(0.5, np.float32), np.array(False)], outs=2, fixed=(2,), **own)


def features():
    """Operators of ai.onnx.ml. Strings stay within the model."""
    ml = dict(domain="ai.onnx.ml")
    case("Scaler", "scaler", [real(3, 4)], offset=[0.5, -1.0, 0.0, 2.0], scale=[1.0, 0.25, -3.0, 0.1], **ml)
    case("Scaler", "scaler_integers", [np.array([[1, -7], [40, 3]])], offset=[1.5], scale=[2.0], **ml)
    values = np.array([[3, 9, -1], [9, 4, 3]])
    case("OneHotEncoder", "one_hot", [values], cats_int64s=[9, 3], **ml)
    case("OneHotEncoder", "one_hot_floats", [np.array([3.0, 9.0, 4.5], np.float32)], cats_int64s=[9, 4, 3], **ml)
    names = dict(keys_int64s=[9, 3], values_strings=["ja", "nein"], default_string="?")
    nodes.append(helper.make_node("LabelEncoder", ["one_hot.0"], ["names"], name="names", **names, **ml))
    for case_name, zeros in [("one_hot_names", 1), ("one_hot_all_names", 0)]:
        cats = dict(cats_strings=["nein", "?", "ja"][: 2 if zeros else 3], zeros=zeros)
        nodes.append(helper.make_node("OneHotEncoder", ["names"], [f"{case_name}:0"], name=case_name, **cats, **ml))
        outputs.append(helper.make_empty_tensor_value_info(f"{case_name}:0"))
    case("LabelEncoder", "label", [np.array([0.5, -0.0, 7.0], np.float32)], keys_floats=[0.0, 0.5], values_int64s=[1, 2],
         default_int64=-9, **ml)
    case("Binarizer", "binarizer", [real(2, 3)], threshold=0.25, **ml)
    case("ArrayFeatureExtractor", "extractor", [real(2, 5), np.array([[4, 0, 4]])], **ml)


def clear():
    for grown in [nodes, inputs, initializers, outputs, feeds]:
        grown.clear()


def save(file, graph, opsets, functions=()):
    """Writes a model and what onnxruntime answers to it."""
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=10, producer_name="inferry tests", functions=functions
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answers = session.run([output.name for output in session.get_outputs()], feeds)
    arrays = {f"input_{index}": feeds[port.name] for index, port in enumerate(session.get_inputs())}
    arrays.update((f"output_{index}", answer) for index, answer in enumerate(answers))
    assert all(np.isfinite(a).all() for a in answers if a.dtype.kind == "f")
    onnx.save(model, f"{file}.onnx")
    np.savez_compressed(f"{file}.npz", **arrays)
    print(file, len(graph.node), "nodes", len(answers), "outputs")


def functions():
    """Functions of the model's own: one in another, attributes handed on, with defaults and without, graphs inside."""
    standard = helper.make_opsetid("", 17)
    own = helper.make_opsetid("own", 1)

    def make(name, operands, results, body, attributes=(), defaults=(), **more):
        return helper.make_function(
            "own", name, operands, results, body, [standard, own], attributes, list(defaults), **more
        )

    def referring(node, name, outer, kind):
        reference = onnx.AttributeProto(name=name, ref_attr_name=outer, type=kind)
        node.attribute.append(reference)
        return node

    leaky = referring(helper.make_node("LeakyRelu", ["t"], ["b"]), "alpha", "slope", onnx.AttributeProto.FLOAT)
    rows = referring(helper.make_node("ReduceSum", ["a", "axes"], ["t"]), "keepdims", "keep", onnx.AttributeProto.INT)
    axes = referring(helper.make_node("Constant", [], ["axes"]), "value_ints", "axes", onnx.AttributeProto.INTS)
    sums = make("Sums", ["a"], ["b"], [axes, rows, leaky], ["slope", "axes"], [helper.make_attribute("keep", 1)])
    inner = referring(helper.make_node("Sums", ["a"], ["c"], domain="own"), "slope", "slope", onnx.AttributeProto.FLOAT)
    inner.attribute.append(helper.make_attribute("axes", [1]))

    def branch(op, result):
        node = helper.make_node(op, ["c"], [result])
        return helper.make_graph([node], op, [], [helper.make_empty_tensor_value_info(result)])

    body = [
        inner,
        helper.make_node("ReduceMax", ["c"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "limit"], ["large"]),
        helper.make_node("If", ["large"], ["d"], then_branch=branch("Tanh", "p"), else_branch=branch("Exp", "q")),
        helper.make_node("Clip", ["d", "", "limit"], ["e"]),
        helper.make_node("Add", ["e", "a"], ["b"]),
    ]
    outer = make("Outer", ["a", "limit", "unused"], ["b", "c"], body, ["slope"])
    nodes.append(helper.make_node("Outer", ["x", "low"], ["y0", "z0"], domain="own", name="first", slope=0.25))
    nodes.append(helper.make_node("Outer", ["y0", "high"], ["y1", "z1"], domain="own", name="second"))
    for name, array in [("x", real(3, 4)), ("low", np.float32(0.1)), ("high", np.float32(1e6))]:
        array = np.asarray(array)
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape))
        feeds[name] = array
    outputs.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ["y0", "z0", "y1", "z1"])
    graph = helper.make_graph(nodes, "functions", inputs, outputs)
    save("functions", graph, [standard, own], [outer, sums])


for part in [gelus, products, normalisations, attention, quantised, recurrent]:
    part()
graph = helper.make_graph(nodes, "operators of onnxruntime", inputs, outputs, initializers)
save("microsoft", graph, [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
clear()
standard()
graph = helper.make_graph(nodes, "operators of the standard", inputs, outputs, initializers)
save("standard", graph, [helper.make_opsetid("", 21)])
clear()
functions()
clear()
features()
graph = helper.make_graph(nodes, "operators on features", inputs, outputs, initializers)
save("features", graph, [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)])
