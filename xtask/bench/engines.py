"""The three engines behind one small interface, and nothing of what is measured with them.

Peers run inside of this process, through Python packages; what Python costs beside a run is part of what their users pay, and
small against all models but the tiniest. Ours is the program `inferry`, in a process of its own.
"""

import json
import subprocess
import threading

import numpy as np

PEERS = ("onnxruntime", "openvino")
OURS = "inferry"


class Wrong(Exception):
    """Outputs that are not the model's."""


def peer(name, model, threads):
    """A function that runs the model once, for latency."""
    inputs = model.inputs()
    run, outputs = {"onnxruntime": onnxruntime_run, "openvino": openvino_run}[name](model.path, inputs, threads)
    run()
    problem = model.problem(outputs())
    if problem:
        raise Wrong(problem)
    return run


def onnxruntime_session(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def onnxruntime_run(path, inputs, threads):
    session = onnxruntime_session(path, threads)
    feeds = {port.name: array for port, array in zip(session.get_inputs(), inputs)}
    return lambda: session.run(None, feeds), lambda: session.run(None, feeds)


# As exact as the others: the default on processors with AMX computes in bf16.
OPENVINO_EXACT = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}


def openvino_model(path, threads, hint):
    import openvino

    return openvino.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": hint, **OPENVINO_EXACT})


def openvino_tensors(inputs):
    import openvino

    # A scalar is not taken over as shared memory.
    return [openvino.Tensor(np.ascontiguousarray(array), shared_memory=True) if array.ndim else openvino.Tensor(np.array(array))
            for array in inputs]


def openvino_run(path, inputs, threads):
    compiled = openvino_model(path, threads, "LATENCY")
    request = compiled.create_infer_request()
    tensors = openvino_tensors(inputs)
    for index, tensor in enumerate(tensors):
        request.set_input_tensor(index, tensor)
    outputs = lambda: [np.array(request.get_output_tensor(index).data) for index in range(len(compiled.outputs))]
    return lambda: request.infer(), outputs


def peer_in_flight(name, model, threads, requests):
    """A function that keeps requests in flight until a moment and gives how many runs were finished."""
    inputs = model.inputs()
    return {"onnxruntime": onnxruntime_in_flight, "openvino": openvino_in_flight}[name](model.path, inputs, threads, requests)


def onnxruntime_in_flight(path, inputs, threads, requests):
    """Requests over as many sessions of one thread as there are threads: what their users do who want throughput."""
    sessions = [onnxruntime_session(path, 1) for _ in range(threads)]
    feeds = {port.name: array for port, array in zip(sessions[0].get_inputs(), inputs)}

    def until(over):
        counts = [0] * threads

        def work(index):
            while not over():
                sessions[index].run(None, feeds)
                counts[index] += 1

        workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(counts)

    return until


def openvino_in_flight(path, inputs, threads, requests):
    import openvino

    compiled = openvino_model(path, threads, "THROUGHPUT")
    queue = openvino.AsyncInferQueue(compiled, requests)
    tensors = dict(enumerate(openvino_tensors(inputs)))

    def until(over):
        count = 0
        while not over():
            queue.start_async(tensors, share_inputs=True)
            count += 1
        queue.wait_all()
        return count

    return until


class Program:
    """Our own program, built before."""

    def __init__(self, path):
        self.path = path

    def check(self, model):
        """Runs the model against its fixture."""
        tolerance = model.tolerance
        self.call("run", "--model", model.path, "--npz", model.arrays, "--atol", str(tolerance.atol), "--rtol", str(tolerance.rtol),
                  "--outside", str(tolerance.outside))

    def latency(self, model, threads, seconds):
        """Milliseconds of a run, the median."""
        return self.bench(model, seconds, "--api", "sync", "--threads", str(threads))["latency_ms"]["median"]

    def throughput(self, model, streams, requests, seconds):
        """Runs a second."""
        found = self.bench(model, seconds, "--api", "async", "--threads", str(streams), "--nstreams", str(streams), "--nireq", str(requests))
        return found["throughput"]

    def profile(self, model, seconds):
        """The nodes that take longest, as the program names them."""
        return self.bench(model, seconds, "--api", "sync", "--threads", "1", "--profile")["nodes"]

    def bench(self, model, seconds, *options):
        return json.loads(self.call("bench", "--model", model.path, "--npz", model.arrays, "--seconds", str(seconds), "--json", *options))

    def call(self, *arguments):
        done = subprocess.run([self.path, *arguments], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise Wrong((done.stderr or done.stdout).strip()[-300:])
        return done.stdout
