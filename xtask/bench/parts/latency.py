"""How long one run takes, one after the other, at one thread and at two; and where ours spends it where it is slowest."""

import time

from engines import OURS, PEERS, peer
from stats import geometric, median, turns
from table import at_most, figure, ratio, table

TITLE = "Latency"

# Threads, and what the geometric mean and the worst of the ratios may be.
BARS = {1: (1.0, 1.6), 2: (1.05, 1.8)}
SLOWEST = 3
NODES = 6


def measure(models, lab):
    rows = [row for threads in BARS for model in models if (row := lab.attempt(f"{model.name} at {threads}", one, model, threads, lab))]
    worst = sorted((row for row in rows if row["threads"] == 1 and "ratio" in row), key=lambda row: -row["ratio"])[:SLOWEST]
    named = {model.name: model for model in models}
    profiles = {row["model"]: lab.program.profile(named[row["model"]], lab.seconds)[:NODES] for row in worst}
    return {"rows": rows, "profiles": profiles}


def one(model, threads, lab):
    lab.check(model)
    sides = {OURS: lambda: lab.program.latency(model, threads, lab.seconds)}
    row = {"model": model.name, "threads": threads}
    for name in PEERS:
        try:
            run = peer(name, model, threads)
            sides[name] = lambda run=run: timed(run, lab.seconds)
        except Exception as problem:
            # A peer that does not run a model, or not rightly, has no time for it.
            row[f"{name} problem"] = f"{problem}".strip().splitlines()[0][:160]
    took = {name: [] for name in sides}
    for round in range(lab.rounds):
        for name in turns(list(sides), round):
            took[name].append(sides[name]())
    row.update({name: median(times) for name, times in took.items()})
    peers = [name for name in PEERS if name in took]
    if peers:
        row["ratio"] = row[OURS] / min(row[name] for name in peers)
    return row


def timed(run, seconds):
    """Milliseconds of a run, the median."""
    run()
    took, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(took) < 3:
        began = time.perf_counter()
        run()
        took.append(time.perf_counter() - began)
    return median(took) * 1e3


def report(found):
    rows = {(row["model"], row["threads"]): row for row in found["rows"]}
    names = list(dict.fromkeys(row["model"] for row in found["rows"]))
    head = ["model"]
    for threads in BARS:
        head += [f"onnxruntime, {threads} T", "openvino", "ours", "ratio"]
    cells = lambda row: [figure(row.get(name)) for name in (*PEERS, OURS)] + [ratio(row.get("ratio"))]
    body = [[name, *(cell for threads in BARS for cell in cells(rows.get((name, threads), {})))] for name in names]
    lines = ["Milliseconds a run, medians; the ratio is ours to the faster peer's.", "", *table(head, body)]
    for row in found["rows"]:
        lines += [f"- {row['model']} at {row['threads']} T has no time of {name}: {row[f'{name} problem']}"
                  for name in PEERS if f"{name} problem" in row]
    return lines + profiles(found["profiles"])


def profiles(found):
    lines = ["", "Where the time goes in the models that are furthest behind at one thread:", ""]
    for model, nodes in found.items():
        listed = ", ".join(f"{node['node']} ({node['operator']}) {figure(node['ms'])} ms" for node in nodes)
        lines.append(f"- {model}: {listed}")
    return lines + [""]


def bars(found):
    result = []
    for threads, (mean, worst) in BARS.items():
        ratios = [row["ratio"] for row in found["rows"] if row["threads"] == threads and "ratio" in row]
        if ratios:
            at = f"at {threads} thread{'s' if threads > 1 else ''}"
            result.append(at_most(f"latency {at}, geometric mean of {len(ratios)} models", geometric(ratios), mean))
            result.append(at_most(f"latency {at}, the worst model", max(ratios), worst))
    return result
