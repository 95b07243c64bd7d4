"""Time and peak memory of a fit against the number of images and their size.

Each fit runs in a process of its own, on files that are repeated to reach the number asked for.
The files are synthetic pictures in PNG. Their size is also that of the network's input, unless
--image-size fixes it.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --sizes 224 512 1024 --counts 100 1000 10000
    python benchmarks/scaling.py --sizes 224 512 1024 --counts 1000 --image-size 224

A fit includes building the network and the pass that sets the threshold; imports come before.
"ns a pixel" is the time of a fit per pixel of all its images. Predicted, with heatmaps, are the
first images, 100 at most.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from _worker import peak_memory, seconds

N_FILES = 20
COLUMNS = ("size", "images", "fit s", "ms an image", "ns a pixel", "predict ms", "peak MiB")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        default=[224, 448],
        metavar="PIXELS",
        help="heights and widths, from 64 on; default: 224 448",
    )
    parser.add_argument(
        "--counts",
        nargs="+",
        type=int,
        default=[100, 400],
        metavar="N",
        help="numbers of images, from 2 on; default: 100 400",
    )
    parser.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="input of the network, from 32 on; default: the size of the images",
    )
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        folder, count, size = arguments.one
        measure(Path(folder), int(count), int(size))
        return
    for name, numbers, least in (
        ("--sizes", arguments.sizes, 64),
        ("--counts", arguments.counts, 2),
        ("--image-size", [arguments.image_size or 32], 32),
    ):
        if min(numbers) < least:
            parser.error(f"{name} must be {least} or more; got {min(numbers)}")
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---:" * len(COLUMNS) + "|")
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            write_images(folder, size)
            for count in arguments.counts:
                cells = run(folder, count, size, arguments.image_size or size)
                print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def write_images(folder, size):
    from PIL import Image

    from skpadim.datasets import make_inspection_images

    # One by one: on Linux the peak memory of a process begins at that of its parent.
    for i in range(N_FILES):
        image = make_inspection_images(1, 0, image_size=size, random_state=i).images[0]
        Image.fromarray(image).save(Path(folder, f"{i:03}.png"))


def run(folder, count, size, image_size):
    command = [sys.executable, __file__, "--one", folder, str(count), str(image_size)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
        return size, count, lines[-1]
    fit, predict, peak = json.loads(done.stdout)
    return (
        size,
        count,
        f"{fit:.1f}",
        f"{1000 * fit / count:.1f}",
        f"{1e9 * fit / count / size**2:.0f}",
        f"{1000 * predict / min(count, 100):.1f}",
        f"{peak:.0f}",
    )


def measure(folder, count, image_size):
    importlib.import_module("torch")  # which a fit would import
    from skpadim import PaDiM, PatchEmbedder

    paths = list(islice(cycle(sorted(folder.iterdir())), count))
    detector = PaDiM(embedder=PatchEmbedder(image_size=image_size))
    fit = seconds(detector.fit, paths)
    peak = peak_memory()
    print(json.dumps((fit, seconds(detector.predict_heatmap, paths[:100]), peak)))


if __name__ == "__main__":
    main()
