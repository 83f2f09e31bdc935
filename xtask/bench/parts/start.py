"""From the file to the first result, and the most memory taken on the way: every figure of a fresh process.

The file is in the system's cache. Of the peers' memory, what Python holds with numpy and the inputs, before it imports the
engine, is subtracted; of ours nothing is. Ours is measured once more with a folder of compiled models, in which it finds the model;
the ratios are of the figures without.
"""

import json
import os
import subprocess
import sys
import tempfile

from engines import OURS, PEERS
from stats import geometric, median, turns
from table import at_most, figure, ratio, table

CACHED = "ours, cached"
TITLE = "Load, first run and peak memory"


def measure(models, lab):
    return [row for model in models if (row := lab.attempt(f"{model.name} from its file", one, model, lab))]


def one(model, lab):
    with tempfile.TemporaryDirectory() as folder:
        # Puts the model there.
        lab.program.bench(model, 0.02, "--api", "sync", "--threads", "1", "--cache", folder)
        return measured(model, lab, folder)


def measured(model, lab, folder):
    sides = {OURS: lambda: ours(model, lab), CACHED: lambda: ours(model, lab, "--cache", folder),
             **{name: lambda name=name: theirs(name, model, lab) for name in PEERS}}
    found = {name: [] for name in sides}
    row = {"model": model.name}
    for round in range(lab.rounds):
        for name in turns(list(sides), round):
            try:
                found[name].append(sides[name]())
            except subprocess.CalledProcessError as problem:
                row[f"{name} problem"] = problem.stderr.strip().splitlines()[-1][:160] if problem.stderr.strip() else "ended"
    for key in ("load_ms", "first_ms", "peak_mb"):
        row[key] = {name: median([one[key] for one in of]) for name, of in found.items() if of and of[0][key] is not None}
    row["ready_ms"] = {name: row["load_ms"][name] + row["first_ms"][name] for name in row["load_ms"]}
    for key in ("ready_ms", "peak_mb"):
        peers = [row[key][name] for name in PEERS if name in row[key]]
        if peers and OURS in row[key]:
            row[f"{key} ratio"] = row[key][OURS] / min(peers)
    return row


def ours(model, lab, *more):
    found = lab.program.bench(model, 0.02, "--api", "sync", "--threads", "1", *more)
    if more and not found["loaded_from_cache"]:
        raise RuntimeError("the compiled model was not taken from the cache")
    return {"load_ms": found["load_ms"], "first_ms": found["first_ms"], "peak_mb": found["peak_bytes"] and found["peak_bytes"] / 1e6}


def theirs(name, model, lab):
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "fresh.py")
    done = subprocess.run([sys.executable, script, name, model.path, model.arrays], capture_output=True, text=True, timeout=600, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def report(found):
    head = ["model", "onnxruntime, ms", "openvino", "ours", "of it load", "ratio", CACHED, "onnxruntime, MB", "openvino", "ours", "ratio", CACHED]

    def cells(row):
        times = [figure(row["ready_ms"].get(name)) for name in (*PEERS, OURS)] + [figure(row["load_ms"].get(OURS))]
        memory = [figure(row["peak_mb"].get(name)) for name in (*PEERS, OURS)]
        cached = [figure(row[key].get(CACHED)) for key in ("ready_ms", "peak_mb")]
        return [*times, ratio(row.get("ready_ms ratio")), cached[0], *memory, ratio(row.get("peak_mb ratio")), cached[1]]

    return ["Milliseconds from the file to the first result, at one thread, and the most memory that the process has held then.", "",
            *table(head, [[row["model"], *cells(row)] for row in found])]


def bars(found):
    result = []
    for key, what in (("ready_ms", "file to first result"), ("peak_mb", "peak memory")):
        ratios = [row[f"{key} ratio"] for row in found if f"{key} ratio" in row]
        if ratios:
            result.append(at_most(f"{what} against the better peer, geometric mean of {len(ratios)} models", geometric(ratios), 1.0))
    return result
