"""Runs a second with several requests in flight: our streams, their throughput hint, and as many sessions as threads."""

import time

from engines import OURS, PEERS, peer_in_flight
from stats import geometric, median, turns
from table import at_least, figure, ratio, table

TITLE = "Throughput"
STREAMS, REQUESTS = 2, 4


def measure(models, lab):
    return [row for model in models if (row := lab.attempt(f"{model.name} in flight", one, model, lab))]


def one(model, lab):
    lab.check(model)
    sides = {OURS: lambda: lab.program.throughput(model, STREAMS, REQUESTS, lab.seconds)}
    row = {"model": model.name}
    for name in PEERS:
        try:
            until = peer_in_flight(name, model, STREAMS, REQUESTS)
            rate(until, 0.05)
            sides[name] = lambda until=until: rate(until, lab.seconds)
        except Exception as problem:
            row[f"{name} problem"] = f"{problem}".strip().splitlines()[0][:160]
    rates = {name: [] for name in sides}
    for round in range(lab.rounds):
        for name in turns(list(sides), round):
            rates[name].append(sides[name]())
    row.update({name: median(found) for name, found in rates.items()})
    row.update({f"of {name}": row[OURS] / row[name] for name in PEERS if name in rates})
    return row


def rate(until, seconds):
    began = time.perf_counter()
    count = until(lambda: time.perf_counter() - began >= seconds)
    return count / (time.perf_counter() - began)


def report(found):
    head = ["model", "onnxruntime", "openvino", "ours", "ours / onnxruntime", "ours / openvino"]
    cells = lambda row: [figure(row.get(name)) for name in (*PEERS, OURS)] + [ratio(row.get(f"of {name}")) for name in PEERS]
    return [f"Runs a second with {REQUESTS} requests in flight over {STREAMS} streams of a thread each; onnxruntime with {STREAMS} sessions of one thread,",
            "openvino with its throughput hint through its queue for Python, whose own cost counts for the tiniest models.", "",
            *table(head, [[row["model"], *cells(row)] for row in found])]


def bars(found):
    ratios = {name: [row[f"of {name}"] for row in found if f"of {name}" in row] for name in PEERS}
    return [at_least(f"throughput against {name}, geometric mean of {len(ratios[name])} models", geometric(ratios[name]), 1.0)
            for name in reversed(PEERS) if ratios[name]]
