"""The models that are measured: those of the tests, with inputs, right outputs and tolerances, and those of `speed_models`.

A model is wrong here as it is in the tests: `tests/models/tolerances.json` says by how much its outputs may differ. Random
weights in Q/DQ form have no known good answer but their own without optimisation, which rounds in other places: 3 % of the
largest value. What a peer may be wrong by is said by `PEER_OUTSIDE`: their fused integers lie outside at times.
"""

import dataclasses
import json
import os

import numpy as np

import speed_models

PEER_OUTSIDE = 0.05


@dataclasses.dataclass(frozen=True)
class Tolerance:
    atol: float
    rtol: float
    # The share of elements that may lie outside.
    outside: float


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    path: str
    # The file with inputs and right outputs.
    arrays: str
    tolerance: Tolerance

    def inputs(self):
        return self.numbered("input_")

    def outputs(self):
        return self.numbered("output_")

    def numbered(self, prefix):
        with np.load(self.arrays) as arrays:
            return [arrays[f"{prefix}{index}"] for index in range(sum(key.startswith(prefix) for key in arrays))]

    def problem(self, outputs):
        """What is wrong with a peer's outputs, or None."""
        for index, (got, want) in enumerate(zip(outputs, self.outputs(), strict=True)):
            if got.shape != want.shape:
                return f"output {index} has shape {got.shape}, not {want.shape}"
            close = np.isclose(got.astype(np.float64), want.astype(np.float64), self.tolerance.rtol, self.tolerance.atol, equal_nan=True)
            share = 1 - close.mean() if close.size else 0
            if share > max(PEER_OUTSIDE, self.tolerance.outside):
                return f"output {index}: {share:.0%} of the elements are wrong"
        return None


def find(root, folder, filters):
    """The models of the repository at `root` and of `.models/` there, then those made in `folder`, of which the name contains
    one of `filters`; and the names of those that should be there and are not."""
    with open(os.path.join(root, "tests/models/tolerances.json")) as file:
        table = json.load(file)
    found, missing = [], []
    carried = os.path.join(root, "tests/models")
    for group in sorted(os.listdir(carried)):
        if not os.path.isdir(os.path.join(carried, group)) or group == "small":
            continue
        for file in sorted(os.listdir(os.path.join(carried, group))):
            if file.endswith(".npz"):
                add(root, os.path.join(group, file[:-4]), table, found, missing)
    for path in speed_models.build(folder):
        name = os.path.basename(path)[:-5]
        found.append(Model(f"speed/{name}", path, path[:-5] + ".npz", of_random_weights(path)))
    chosen = lambda name: not filters or any(part in name for part in filters)
    return [model for model in found if chosen(model.name)], [name for name in missing if chosen(name)]


def add(root, name, table, found, missing):
    """A model whose arrays are in the repository; its own file may have been fetched into `.models/`."""
    tolerance = {"outside": 0.0, **table["default"], **table.get(name + ".onnx", {})}
    tolerance = Tolerance(tolerance["atol"], tolerance["rtol"], tolerance["outside"])
    arrays = os.path.join(root, "tests/models", name + ".npz")
    for home in ("tests/models", ".models"):
        path = os.path.join(root, home, name + ".onnx")
        if os.path.exists(path):
            found.append(Model(name, path, arrays, tolerance))
            return
    missing.append(name)


def of_random_weights(path):
    if not path.endswith("_qdq.onnx"):
        return Tolerance(1e-3, 1e-3, 0.0)
    with np.load(path[:-5] + ".npz") as arrays:
        return Tolerance(0.03 * float(np.abs(arrays["output_0"]).max()), 1e-3, 0.05)
