"""Memory of one request and of four: what the requests of a model share is there once, its weights above all.

The most memory of a fresh process each, in which requests run side by side on streams of their own, against the size of
the model's file, which is nearly all weights.
"""

import os

from stats import geometric, median, turns
from table import at_most, figure, ratio, table

TITLE = "Memory of four requests"
#: Files smaller than this say nothing: a request's own memory is larger.
WEIGHTY = 5e6
REQUESTS = 4


def measure(models, lab):
    weighty = [model for model in models if os.path.getsize(model.path) > WEIGHTY]
    return [row for model in weighty if (row := lab.attempt(f"{model.name} by {REQUESTS} requests", one, model, lab))]


def one(model, lab):
    found = {count: [] for count in (1, REQUESTS)}
    for round in range(lab.rounds):
        for count in turns(list(found), round):
            found[count].append(peak(model, count, lab))
    alone, together = (median(found[count]) for count in (1, REQUESTS))
    size = os.path.getsize(model.path) / 1e6
    return {"model": model.name, "file_mb": size, "alone_mb": alone, "together_mb": together,
            "more": (together - alone) / (REQUESTS - 1), "of the file": (together - alone) / (REQUESTS - 1) / size}


def peak(model, count, lab):
    streams = ("--api", "async", "--threads", str(count), "--nstreams", str(count), "--nireq", str(count))
    return lab.program.bench(model, 0.1, *streams)["peak_bytes"] / 1e6


def report(found):
    head = ["model", "file, MB", "1 request, MB", f"{REQUESTS} requests, MB", "a further request, MB", "of the file"]
    keys = ("file_mb", "alone_mb", "together_mb", "more")
    return [f"The most memory of a process that runs one request, and of one that runs {REQUESTS} on as many streams.", "",
            *table(head, [[row["model"], *(figure(row[key]) for key in keys), ratio(row["of the file"])] for row in found])]


def bars(found):
    shares = [max(row["of the file"], 0.001) for row in found]
    return [at_most(f"memory of a further request against the model's file, geometric mean of {len(shares)} models", geometric(shares), 0.5)] if shares else []
