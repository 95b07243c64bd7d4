"""Peak memory of a fit against the number of images.

Each fit runs in a process of its own, on files that are repeated to reach the number asked for, so
that only the fit can grow with it.

    python benchmarks/memory.py            # 200 and 1,000 images
    python benchmarks/memory.py 200 5000
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

N_FILES = 40


def fit(folder, n_images):
    from skpadim import PaDiM

    paths = islice(cycle(sorted(Path(folder).iterdir())), n_images)
    PaDiM().fit(list(paths))
    # Linux counts in KiB.
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n_images", nargs="*", type=int, default=[200, 1000])
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        fit(arguments.folder, arguments.n_images[0])
        return
    from skpadim.datasets import make_inspection_images

    with tempfile.TemporaryDirectory() as folder:
        for i, image in enumerate(make_inspection_images(N_FILES, 0, random_state=0).images):
            Image.fromarray(image).save(Path(folder, f"{i:03}.png"))
        first = None
        print("images  peak MiB  ratio")
        for n_images in arguments.n_images:
            command = [sys.executable, __file__, str(n_images), "--folder", folder]
            peak = float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
            first = first or peak
            print(f"{n_images:6}  {peak:8.0f}  {peak / first:5.3f}", flush=True)


if __name__ == "__main__":
    main()
