"""Measures inferry beside onnxruntime and OpenVINO in one run: `run.py --inferry PROGRAM --root REPOSITORY --work FOLDER`.

`cargo xtask bench` calls it and says what the options mean. Every part is a file in `parts/`: `measure` finds figures, `report`
makes a table of them, `bars` holds them against what was promised. Sides take turns, so that a drift of the machine hits all
alike. A measurement that fails is named and leaves the others be. The tables are written to WORK/table.md, everything to
WORK/found.json, the picture to WORK/plot.svg.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version

import models
import plot
from engines import Program
from parts import latency, sharing, start, throughput
from table import verdict

PARTS = {"latency": latency, "throughput": throughput, "start": start, "sharing": sharing}


class Lab:
    """What the parts share: our program, how long and how often to measure, and what went wrong."""

    def __init__(self, program, seconds, rounds):
        self.program, self.seconds, self.rounds = program, seconds, rounds
        self.problems, self.checked = [], set()

    def attempt(self, what, measure, *arguments):
        """Does one measurement; one that fails is a line among the problems."""
        began = time.perf_counter()
        try:
            found = measure(*arguments)
        except Exception as problem:
            self.problems.append(f"{what}: {problem}")
            print(f"  {what}: {problem}", file=sys.stderr, flush=True)
            return None
        print(f"  {what}: {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)
        return found

    def check(self, model):
        """Of a wrong answer no time is worth anything."""
        if model.name not in self.checked:
            self.program.check(model)
            self.checked.add(model.name)


def main():
    asked = parse()
    unknown = [name for name in asked.only if name not in PARTS]
    if unknown:
        sys.exit(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS)})")
    found_models, missing = models.find(asked.root, os.path.join(asked.work, "models"), asked.models)
    lab = Lab(Program(asked.inferry), asked.seconds, asked.rounds)
    lab.problems += [f"{name}: not here; `cargo xtask models` fetches it" for name in missing]
    found = {**about(asked.root), "parts": {}, "bars": [], "problems": lab.problems}
    lines = []
    for name, part in PARTS.items():
        if name not in asked.only:
            continue
        print(part.TITLE, file=sys.stderr, flush=True)
        result = part.measure(found_models, lab)
        report, bars = part.report(result), part.bars(result)
        found["parts"][name] = result
        found["bars"] += [{"part": name, **bar} for bar in bars]
        lines += ["", f"### {part.TITLE}", "", *report, *(f"- {verdict(bar)}" for bar in bars)]
    if lab.problems:
        lines += ["", "### Not measured", "", *(f"- {problem}" for problem in lab.problems)]
    write(asked.work, found, lines)
    print("\n".join(lines))
    sys.exit(1 if lab.problems else 0)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--inferry", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--work", required=True)
    names = lambda text: [name for name in text.split(",") if name]
    parser.add_argument("--only", type=names, default=list(PARTS))
    parser.add_argument("--models", type=names, default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    return parser.parse_args()


def about(root):
    commit = subprocess.run(["git", "-C", root, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {"date": datetime.date.today().isoformat(), "commit": commit, "machine": machine(),
            "versions": {name: version(name) for name in ("onnxruntime", "openvino", "numpy")}}


def machine():
    name, memory = platform.processor() or platform.machine(), ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            facts = dict(line.split(":", 1) for line in file.read().split("\n\n")[0].splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in facts.items()}
        # Clouds call many processors by one name.
        if {"model name", "cpu family", "model"} <= facts.keys():
            name = f"{facts['model name']} (family {facts['cpu family']}, model {facts['model']})"
        with open("/proc/meminfo") as file:
            memory = f", {round(int(file.readline().split()[1]) / 2**20)} GiB"
    return f"{name}, {os.cpu_count()} cores{memory}"


def write(work, found, lines):
    versions = found["versions"]
    heading = (f"Measured {found['date']} on {found['machine']}: inferry at {found['commit']}, onnxruntime {versions['onnxruntime']} and "
               f"OpenVINO {versions['openvino'].split('-')[0]} (f32) through Python {platform.python_version()}, in turns in one run. "
               "Written by `cargo xtask bench`.")
    with open(os.path.join(work, "table.md"), "w") as file:
        file.write("\n".join([heading, *lines]) + "\n")
    with open(os.path.join(work, "found.json"), "w") as file:
        json.dump(found, file, indent=1)
    if "latency" in found["parts"]:
        caption = f"{found['machine']}, {found['date']}, onnxruntime {versions['onnxruntime']}, OpenVINO {versions['openvino'].split('-')[0]}"
        with open(os.path.join(work, "plot.svg"), "w") as file:
            file.write(plot.plot(found["parts"]["latency"]["rows"], caption))


if __name__ == "__main__":
    main()
