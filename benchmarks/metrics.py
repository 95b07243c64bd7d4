"""Time metrics of pixels beside scikit-learn, anomalib and pyaupro, at equal values.

On heatmaps of smoothed noise with defects in every other one. Exact metrics and the histogram of
skpadim, scikit-learn's on the ravelled arrays, and the areas under the PRO curve of anomalib and
pyaupro take turns; what is printed are medians, their ranges, ratios and differences of the values.
Exits with 1 if a value that should be the same differs by more than `--tolerance`.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --maps 160 --size 256 --repeats 5

A second table has the figures of the histogram, their differences from the exact ones, and the
bounds on these. anomalib and pyaupro run in an environment of their own, which is made the first
time, as compare_anomalib.py does.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from compare_anomalib import ENVIRONMENTS, environment, positive
from scipy import ndimage
from sklearn.metrics import average_precision_score, roc_auc_score

from skpadim.metrics import (
    PixelHistogram,
    aupro_score,
    pixel_average_precision_score,
    pixel_f1_max,
    pixel_roc_auc_score,
)

HERE = Path(__file__).parent
MAX_FPR = 0.3
ORACLES = ("anomalib", "pyaupro")


def main():
    arguments = parse_arguments()
    python = None
    if not arguments.without_oracles:
        python = environment(arguments.env / "anomalib", "anomalib")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "pyaupro==0.1.11"], check=True)
    masks, heatmaps = make_maps(arguments.maps, arguments.size)
    runs = []
    with tempfile.TemporaryDirectory(prefix="skpadim-benchmark-") as folder:
        path = Path(folder, "maps.npz")
        np.savez(path, masks=masks, heatmaps=heatmaps)
        for _ in range(arguments.repeats):
            runs.append({name: timed(call, masks, heatmaps) for name, call in CALLS.items()})
            if python:
                runs[-1].update(oracles(python, path))
    wrong = report(runs, masks, arguments.tolerance)
    return max(wrong, report_bounds(runs[0], histogram(masks, heatmaps)))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--maps", type=positive, default=160, metavar="N", help="default: 160")
    parser.add_argument("--size", type=positive, default=256, metavar="PIXELS", help="default: 256")
    parser.add_argument("--repeats", type=positive, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="largest difference of values that are to be equal; anomalib sums in float32; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--without-oracles", action="store_true", help="compare with scikit-learn alone"
    )
    parser.add_argument(
        "--env",
        type=Path,
        default=ENVIRONMENTS,
        metavar="FOLDER",
        help="as of compare_anomalib.py; default: %(default)s",
    )
    arguments = parser.parse_args()
    if arguments.maps < 2 or arguments.size < 16:
        parser.error("--maps must be 2 or more, and --size 16 or more")
    return arguments


def make_maps(n_maps, size):
    random_state = np.random.RandomState(0)
    heatmaps = random_state.normal(size=(n_maps, size, size)).astype(np.float32)
    heatmaps = ndimage.gaussian_filter(heatmaps, (0, 4, 4))
    heatmaps /= heatmaps.std()
    masks = np.zeros(heatmaps.shape, dtype=bool)
    for mask in masks[::2]:
        for _ in range(3):
            top, left = random_state.randint(0, size - 8, size=2)
            height, width = random_state.randint(2, size // 8 + 2, size=2)
            mask[top : top + height, left : left + width] = True
    heatmaps += 1.5 * masks
    return masks, heatmaps


def histogram(masks, heatmaps):
    counts = PixelHistogram()
    for first in range(0, len(masks), 32):
        counts.update(masks[first : first + 32], heatmaps[first : first + 32])
    return counts


CALLS = {
    "pixel_roc_auc_score": pixel_roc_auc_score,
    "sklearn roc_auc_score": lambda m, h: roc_auc_score(m.ravel(), h.ravel()),
    "pixel_average_precision_score": pixel_average_precision_score,
    "sklearn average_precision_score": lambda m, h: average_precision_score(m.ravel(), h.ravel()),
    "pixel_f1_max": lambda m, h: pixel_f1_max(m, h)[0],
    "aupro_score": lambda m, h: aupro_score(m, h, max_fpr=MAX_FPR),
    "PixelHistogram, AUPRO": lambda m, h: histogram(m, h).aupro_score(max_fpr=MAX_FPR),
}
# Rows, what they are compared with, and whether the values are to be equal.
COMPARISONS = [
    ("pixel_roc_auc_score", "sklearn roc_auc_score", True),
    ("pixel_average_precision_score", "sklearn average_precision_score", True),
    ("pixel_f1_max", None, True),
    ("aupro_score", "anomalib", True),
    ("aupro_score", "pyaupro", True),
    ("aupro_score", "sklearn roc_auc_score", False),
    ("PixelHistogram, AUPRO", "anomalib", True),
]


def timed(call, masks, heatmaps):
    start = time.perf_counter()
    value = call(masks, heatmaps)
    return time.perf_counter() - start, float(value)


def oracles(python, path):
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, HERE / "_metrics_worker.py", path, str(MAX_FPR), ",".join(ORACLES)]
    done = subprocess.run(command, capture_output=True, text=True, env=variables)
    if done.returncode:
        sys.exit(f"{done.stderr[-4000:]}\nThe worker failed; above is the end of what it printed.")
    return json.loads(done.stdout.splitlines()[-1])


def report(runs, masks, tolerance):
    print(
        f"{len(masks)} maps of {masks.shape[1]} x {masks.shape[2]}, {masks.mean():.2%} of the "
        f"pixels defective; {platform.system()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, NumPy {np.__version__}; {len(runs)} runs, median "
        "(lowest to highest)\n"
    )
    print("| | s | beside | s | ratio | difference of the values |\n|---|---|---|---|---|---|")
    wrong = 0
    for name, other, equal in COMPARISONS:
        if other is not None and other not in runs[0]:
            continue
        cells = [name, cell(runs, name)]
        if other is None:
            cells += ["", "", "", ""]
        else:
            ratio = median(runs, other) / median(runs, name)
            difference = abs(runs[0][name][1] - runs[0][other][1])
            wrong += equal and not difference <= tolerance
            cells += [
                other,
                cell(runs, other),
                f"{ratio:.3g}",
                f"{difference:.1e}" if equal else "",
            ]
        print(f"| {' | '.join(cells)} |")
    return int(wrong > 0)


def report_bounds(run, counts):
    print("\n| | exact | histogram | difference | bound |\n|---|---|---|---|---|")
    wrong = 0
    for name, (value, bound) in {
        "pixel_roc_auc_score": (counts.roc_auc_score(), counts.roc_auc_error()),
        "pixel_average_precision_score": (
            counts.average_precision_score(),
            counts.average_precision_error(),
        ),
        "pixel_f1_max": (counts.f1_max()[0], counts.f1_max_error()),
        "aupro_score": (
            counts.aupro_score(max_fpr=MAX_FPR),
            counts.aupro_error(max_fpr=MAX_FPR),
        ),
    }.items():
        difference = abs(value - run[name][1])
        wrong += difference > bound + 1e-12
        print(f"| {name} | {run[name][1]:.6f} | {value:.6f} | {difference:.1e} | {bound:.1e} |")
    return int(wrong > 0)


def median(runs, name):
    return statistics.median(run[name][0] for run in runs)


def cell(runs, name):
    seconds = [run[name][0] for run in runs]
    return f"{median(runs, name):.3g} ({min(seconds):.3g} to {max(seconds):.3g})"


if __name__ == "__main__":
    sys.exit(main())
