"""Engines and precisions beside float32 torch: time, embeddings, scores, accuracy.

The models are fitted and used with the same engine, on categories of a data set laid out like
MVTec AD. Times are medians of alternating turns on images in memory, at the network's size.

    python benchmarks/engines.py ROOT bottle grid
"""

import argparse
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import load_mvtec_ad, read_masks
from skpadim.images import iter_batches
from skpadim.metrics import aupro_score

KINDS = [
    (engine, precision) for precision in ("float32", "bfloat16") for engine in ("torch", "openvino")
]
TURNS = 15
HEADER = "   1 image  of 32, ms  embeddings  scores   image    pixel    PRO"


def median_times(detectors, images):
    """Milliseconds that each detector takes, in turns."""
    times = np.empty((TURNS, len(detectors)))
    for turn in range(-1, TURNS):  # the first one warms up, and is written over by the last
        for column, detector in enumerate(detectors):
            start = time.perf_counter()
            detector.predict_heatmap(images)
            times[turn, column] = time.perf_counter() - start
    return 1e3 * np.median(times, axis=0)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category", nargs="+")
    arguments = parser.parse_args()
    embedders = [PatchEmbedder(engine=engine, precision=precision) for engine, precision in KINDS]
    for category in arguments.category:
        data = load_mvtec_ad(arguments.root, category)
        (images,) = iter_batches(data.X_test[:32], (224, 224))
        detectors = [PaDiM(embedder=embedder).fit(data.X_train) for embedder in embedders]
        one = median_times(detectors, images[:1])
        many = median_times(detectors, images) / 32
        exact = embedders[0].transform(images)
        defective = data.y_test == -1
        masks = read_masks(data.masks_test, (224, 224))
        reference = None
        print(f"\n{category}\n{'':<20}{HEADER}")
        for i, (kind, detector) in enumerate(zip(KINDS, detectors, strict=True)):
            heatmaps = detector.predict_heatmap(data.X_test)
            scores = heatmaps.max(axis=(1, 2))
            reference = scores if reference is None else reference
            embeddings = embedders[i].transform(images)
            error = np.sqrt(np.mean((embeddings - exact) ** 2) / np.mean(exact**2))
            print(
                f"{' '.join(kind):<20} {one[i]:9.1f} {many[i]:10.1f}  {error:10.1e}"
                f"  {np.abs(scores / reference - 1).max():6.0e}"
                f"  {roc_auc_score(defective, scores):.4f}"
                f"  {roc_auc_score(masks.ravel(), heatmaps.ravel()):.4f}"
                f"  {aupro_score(masks, heatmaps):.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
