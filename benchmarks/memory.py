r"""Peak memory of a fit, and the size of the model, against the number of images.

Each fit runs in a process of its own, on files that are repeated to reach the number asked for, so
that only the fit can grow with it. Sizes are in MB of a million bytes; the model is as pickle
writes it, its factor as it lies in memory.

    python benchmarks/memory.py            # 200 and 1,000 images
    python benchmarks/memory.py 200 5000
    python benchmarks/memory.py 240 --setting "" --setting "compact=True" \
        --setting "embedder__backbone='wide_resnet50_2', embedder__weights=None, \
                   embedder__grid_stride=4, n_components=550"
"""

import argparse
import json
import pickle
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

from _worker import peak_memory
from accuracy import parse_setting
from PIL import Image

N_FILES = 40


def fit(folder, n_images, setting):
    from skpadim import PaDiM, PatchEmbedder

    paths = islice(cycle(sorted(Path(folder).iterdir())), n_images)
    detector = PaDiM(embedder=PatchEmbedder(), random_state=0).set_params(**parse_setting(setting))
    detector.fit(list(paths))
    peak = peak_memory() * 2**20
    print(json.dumps((peak, detector.gaussian_.factor_.nbytes, len(pickle.dumps(detector)))))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n_images", nargs="*", type=int, default=[200, 1000])
    parser.add_argument(
        "--setting",
        action="append",
        help="parameters of PaDiM that differ from the defaults, as in a call; may be repeated",
    )
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    settings = arguments.setting or [""]
    if arguments.folder:
        fit(arguments.folder, arguments.n_images[0], settings[0])
        return
    from skpadim.datasets import make_inspection_images

    with tempfile.TemporaryDirectory() as folder:
        # One by one: on Linux the peak memory of a process begins at that of its parent.
        for i in range(N_FILES):
            image = make_inspection_images(1, 0, random_state=i).images[0]
            Image.fromarray(image).save(Path(folder, f"{i:03}.png"))
        for setting in settings:
            print(f"\nPaDiM({' '.join(setting.split())})\nimages   peak MB  factor MB  model MB")
            for n_images in arguments.n_images:
                command = [sys.executable, __file__, str(n_images)]
                command += ["--folder", folder, "--setting", setting]
                done = subprocess.run(command, capture_output=True, check=True, text=True)
                sizes = (size / 1e6 for size in json.loads(done.stdout))
                print("{:6}  {:8.0f}  {:9.1f}  {:8.1f}".format(n_images, *sizes), flush=True)


if __name__ == "__main__":
    main()
