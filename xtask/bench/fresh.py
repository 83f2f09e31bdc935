"""One peer from its model's file to the first result, in a process of its own: `fresh.py PEER MODEL.onnx ARRAYS.npz`, at one
thread. Prints an object with load_ms, first_ms and peak_mb, what Python held before it knew the engine subtracted."""

import json
import os
import sys
import time

import numpy as np


def held(key):
    """A line of what the system knows of this process's memory, in MB; none where it is not Linux."""
    if not os.path.exists("/proc/self/status"):
        return None
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) * 1024 / 1e6


name, path, arrays = sys.argv[1:]
with np.load(arrays) as arrays:
    inputs = [arrays[f"input_{index}"] for index in range(sum(key.startswith("input_") for key in arrays))]
python = held("VmRSS:")

from engines import onnxruntime_session, openvino_model, openvino_tensors

if name == "onnxruntime":
    import onnxruntime  # noqa: F401, importing is not loading

    began = time.perf_counter()
    session = onnxruntime_session(path, 1)
    loaded = time.perf_counter()
    session.run(None, {port.name: array for port, array in zip(session.get_inputs(), inputs)})
else:
    import openvino  # noqa: F401

    began = time.perf_counter()
    compiled = openvino_model(path, 1, "LATENCY")
    loaded = time.perf_counter()
    request = compiled.create_infer_request()
    for index, tensor in enumerate(openvino_tensors(inputs)):
        request.set_input_tensor(index, tensor)
    request.infer()
done = time.perf_counter()
print(json.dumps({"load_ms": (loaded - began) * 1e3, "first_ms": (done - loaded) * 1e3, "peak_mb": python and held("VmHWM:") - python}))
