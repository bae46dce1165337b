"""Slices a second of `Predictor` on the CPU, beside onnxruntime on the same network.

    mgajax export --workdir RUN --format onnx --out FILE.onnx
    JAX_PLATFORMS=cpu python docs/measurements/predict_rate.py RUN FILE.onnx [--threads 2]

Both see the same prepared slices, in batches of 16, with as many threads; the preparation is timed
by itself. The median of several passes is printed.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mgajax.data.loader import to_float
from mgajax.inference import Predictor

SLICES, SIDE, BATCH, PASSES = 128, 512, 16, 5


def main() -> None:
    """Time both, and compare what they say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(
        str(options.onnx), settings, providers=["CPUExecutionProvider"]
    )
    (entry,) = session.get_inputs()
    predictor = Predictor(options.run)
    network = predictor.classifiers[0]
    random = np.random.default_rng(0)
    slices = list(random.integers(0, 255, (SLICES, SIDE, SIDE), dtype=np.uint8))
    results = predictor(slices)
    images = np.stack([result.prepared.image for result in results])
    floats = np.asarray(to_float(images[..., None]))
    batches = np.split(floats, SLICES // BATCH)
    print(f"onnx input {entry.name} {entry.shape} {entry.type}")
    print(f"whole Predictor: {_rate(lambda: predictor(slices)):.1f} slices/s")
    print(f"its network alone: {_rate(lambda: network.apply(images)):.1f} slices/s")
    rate = _rate(lambda: [session.run(None, {entry.name: batch}) for batch in batches])
    print(f"onnxruntime, network alone: {rate:.1f} slices/s")


def _rate(work: Callable[[], object]) -> float:
    """Slices a second, the median of some passes after one that does not count."""
    seconds = []
    for _ in range(PASSES + 1):
        start = time.monotonic()
        work()
        seconds.append(time.monotonic() - start)
    return SLICES / statistics.median(seconds[1:])


if __name__ == "__main__":
    main()
