"""A library alone, on one input that never changes: `bare.py onnxruntime|bf16|f16|f32 MODEL.onnx SIZE THREADS`.

Says `ready` and its rate once the network has run a few times; then, for each line with a number of seconds, runs the
network for as long and says runs, seconds, and seconds of processor time.
"""

import os
import sys
import time
from collections.abc import Callable

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np

WARM_UP = 3


def prepared(backend: str, path: str, size: int, threads: int) -> Callable[[], object]:
    """One run of the network. `backend` onnxruntime, or OpenVINO's precision; `own` is the one it takes by itself."""
    pixels = np.random.default_rng(0).random((1, 3, size, size), np.float32)
    if backend == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda: session.run(None, {name: pixels})
    import openvino

    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    if backend != "own":
        settings["INFERENCE_PRECISION_HINT"] = backend
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()
    return lambda: request.infer({0: pixels}, share_inputs=True)


def main() -> None:
    """The command."""
    backend, path, size, threads = sys.argv[1:]
    run = prepared(backend, path, int(size), int(threads))
    run()
    began = time.monotonic()
    for _ in range(WARM_UP):
        run()
    print("ready", WARM_UP / (time.monotonic() - began), flush=True)
    for line in sys.stdin:
        began, processor, runs = time.monotonic(), time.process_time(), 0
        while time.monotonic() - began < float(line):
            run()
            runs += 1
        print(runs, time.monotonic() - began, time.process_time() - processor, flush=True)


if __name__ == "__main__":
    main()
