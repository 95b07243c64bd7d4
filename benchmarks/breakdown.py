"""Where the time of a fit and of a prediction goes, part by part and as a whole.

The images of one category of a data set laid out like MVTec AD are enlarged, and given as PNG
files, as JPEG files and as arrays. Each part works alone on what the part before it has made, so
that the parts add up to what nothing in parallel would take; the whole runs as a user would run it.

    python benchmarks/breakdown.py ROOT bottle
    python benchmarks/breakdown.py ROOT bottle --side 900 --engine torch
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.datasets import load_mvtec_ad
from skpadim.gaussian import PatchMoments
from skpadim.gaussian._leave_one_out import LeaveOneOut
from skpadim.heatmaps import heatmap_scores, to_heatmaps
from skpadim.images import ImageSequence, iter_batches, read_image

SIZE = (224, 224)


class Clock:
    """Time of one part after another."""

    def __init__(self):
        self.parts = {}

    def __call__(self, name, work):
        """Do some work, and keep the time that it takes."""
        start = time.perf_counter()
        result = work()
        self.parts[name] = time.perf_counter() - start
        return result


def enlarged(paths, folder, side, suffix):
    """Write images of another size and format, and tell where."""
    folder = Path(folder, suffix)
    folder.mkdir()
    files = [folder / f"{i:04}.{suffix}" for i in range(len(paths))]
    for path, file in zip(paths, files, strict=True):
        with Image.open(path) as image:
            whole = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        whole.save(file, quality=90)
    return files


def parts_of(X, embedder):
    """Time the parts of learning from X."""
    clock = Clock()
    images = clock("check files", lambda: ImageSequence(X))
    batches = clock("read, resize", lambda: list(iter_batches(images, SIZE)))
    embedder.transform(np.concatenate(batches)[:1])  # builds and compiles the network
    embed = [lambda batch=batch: embedder.transform(batch) for batch in batches]
    maps = clock("network", lambda: [work() for work in embed])
    flat = [batch.reshape(len(batch), -1, batch.shape[-1]) for batch in maps]
    moments = PatchMoments()
    clock("moments", lambda: [moments.update(batch) for batch in flat])
    gaussian = clock("factor", lambda: PatchGaussian().fit_moments(moments))
    left_out = clock("factor for the threshold", lambda: LeaveOneOut(moments, gaussian._factor))
    distances = clock("distances", lambda: [left_out.distances(batch) for batch in flat])
    grid = maps[0].shape[1:3]
    clock(
        "heatmaps, scores",
        lambda: [
            heatmap_scores(to_heatmaps(batch.reshape(-1, *grid), SIZE)) for batch in distances
        ],
    )
    return clock.parts


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the category")
    parser.add_argument("category")
    parser.add_argument("--side", type=int, default=900, help="of the enlarged images, in pixels")
    parser.add_argument("--engine", default="auto")
    arguments = parser.parse_args()
    data = load_mvtec_ad(arguments.root, arguments.category)
    embedder = PatchEmbedder(engine=arguments.engine)
    columns = {}
    with tempfile.TemporaryDirectory() as folder:
        png = enlarged([*data.X_train, *data.X_test], folder, arguments.side, "png")
        jpg = enlarged([*data.X_train, *data.X_test], folder, arguments.side, "jpg")
        n_good = len(data.X_train)
        PaDiM(embedder=embedder).fit(png[:20]).predict(png[:2])  # warms up what stays
        forms = {
            "PNG": png,
            "JPEG": jpg,
            "arrays": np.stack([read_image(file) for file in png]),
        }
        for name, X in forms.items():
            parts = parts_of(X[:n_good], embedder)
            start = time.perf_counter()
            detector = PaDiM(embedder=embedder).fit(X[:n_good])
            fitted = time.perf_counter()
            detector.predict_heatmap(X[n_good:])
            predicted = time.perf_counter()
            columns[name] = {
                **parts,
                "sum of the parts": sum(parts.values()),
                "fit, with a network built anew": fitted - start,
                f"predict_heatmap, {len(X) - n_good} images": predicted - fitted,
            }
    print(f"\n{n_good} images of {arguments.side} x {arguments.side} pixels; seconds\n")
    print(f"{'':<34}" + "".join(f"{name:>14}" for name in columns))
    for row in columns["PNG"]:
        cells = (columns[name][row] for name in columns)
        print(f"{row:<34}" + "".join(f"{cell:14.2f}" for cell in cells))


if __name__ == "__main__":
    main()
