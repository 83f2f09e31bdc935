"""Makes the models of this folder: `python make.py` (needs the package `onnx`).

They are small enough to be checked by eye, and are what the tests of the browser's host run where the model does not matter.
"""

import numpy as np
from onnx import TensorProto as T, checker, helper, numpy_helper, save


def port(name, shape, kind=T.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def write(file, nodes, inputs, outputs, constants=(), opset=17):
    graph = helper.make_graph(nodes, file, inputs, outputs, [numpy_helper.from_array(v, n) for n, v in constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="inferry")
    model.ir_version = 8 if opset < 18 else 10
    checker.check_model(model, full_check=True)
    save(model, f"{file}.onnx")


# z = x - y: tells the inputs apart.
write("difference", [helper.make_node("Sub", ["x", "y"], ["z"])], [port("x", [2]), port("y", [2])], [port("z", [2])])

# The same with one open extent, and the sum besides.
write("both", [helper.make_node("Sub", ["x", "y"], ["difference"]), helper.make_node("Add", ["x", "y"], ["sum"])],
      [port("x", ["n"]), port("y", ["n"])], [port("difference", ["n"]), port("sum", ["n"])])

# The means of the planes of a picture.
write("scores", [helper.make_node("ReduceMean", ["image"], ["scores"], axes=[2, 3], keepdims=0)],
      [port("image", [1, 3, 224, 224])], [port("scores", [1, 3])])

# next = total + step: to be joined into a variable.
write("counter", [helper.make_node("Add", ["total", "step"], ["next"]), helper.make_node("Mul", ["next", "two"], ["twice"])],
      [port("total", [1]), port("step", [1])], [port("next", [1]), port("twice", [1])], [("two", np.array([2], np.float32))])

# Fails in a run when the shape is not one that six elements have.
write("shaped", [helper.make_node("Reshape", ["table", "shape"], ["value"], name="table/shaped")],
      [port("shape", [2], T.INT64)], [port("value", ["a", "b"])], [("table", np.arange(6, dtype=np.float32) + 10)])

# As long as one likes: 500 products with the identity, each of 65,536 multiply-adds a row.
chain = [f"x{i}" for i in range(500)] + ["y"]
write("slow", [helper.make_node("MatMul", [a, "one"], [b], name=f"step {i}") for i, (a, b) in enumerate(zip(["x"] + chain[1:], chain[1:]))]
      + [helper.make_node("ReduceMax", ["y"], ["most"], keepdims=0)],
      [port("x", ["rows", 256])], [port("most", [])], [("one", np.eye(256, dtype=np.float32))])

# Every type that a tensor may have on its way, unchanged.
kinds = {"f32": T.FLOAT, "f64": T.DOUBLE, "f16": T.FLOAT16, "i8": T.INT8, "i16": T.INT16, "i32": T.INT32, "i64": T.INT64,
         "u8": T.UINT8, "u16": T.UINT16, "u32": T.UINT32, "u64": T.UINT64, "bool": T.BOOL, "string": T.STRING}
write("types", [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds],
      [port(name, [2], kind) for name, kind in kinds.items()], [port(f"{name}_out", [2], kind) for name, kind in kinds.items()])

# The types of less than a byte or of a byte that has no array of its own, in odd numbers.
kinds = {"f8e4m3fn": T.FLOAT8E4M3FN, "f8e4m3fnuz": T.FLOAT8E4M3FNUZ, "f8e5m2": T.FLOAT8E5M2, "f8e5m2fnuz": T.FLOAT8E5M2FNUZ,
         "i4": T.INT4, "u4": T.UINT4}
write("narrow", [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds]
      + [helper.make_node("DequantizeLinear", [name, "half"], [f"{name}_halved"]) for name in kinds],
      [port(name, ["n"], kind) for name, kind in kinds.items()],
      [port(f"{name}_out", ["n"], kind) for name, kind in kinds.items()] + [port(f"{name}_halved", ["n"]) for name in kinds],
      [("half", np.array(0.5, np.float32))], opset=21)

# Operators that fail in a run when an index is not one of the table's six.
write("indexed", [helper.make_node("Gather", ["table", "read"], ["found"], name="table/read"),
                  helper.make_node("ScatterElements", ["table", "write", "value"], ["changed"], name="table/write")],
      [port("read", [1], T.INT64), port("write", [1], T.INT64)], [port("found", [1]), port("changed", [6])],
      [("table", np.arange(6, dtype=np.float32) + 10), ("value", np.array([1], np.float32))])

# Pictures in three layouts, unchanged: what preprocessing has made of them.
write("pictures", [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ["planes", "rows", "gray"]],
      [port("planes", [1, 3, "height", "width"]), port("rows", [1, 4, 6, 3], T.FLOAT16), port("gray", [4, 6], T.UINT8)],
      [port("planes_out", [1, 3, "height", "width"]), port("rows_out", [1, 4, 6, 3], T.FLOAT16), port("gray_out", [4, 6], T.UINT8)])
