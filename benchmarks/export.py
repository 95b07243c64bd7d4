"""Exported detectors beside the detector itself: size, time, accuracy, scores, decisions.

The detector is fitted once for each category, with the default settings; all rows share its
threshold. Times are medians of alternating turns on images in memory, from uint8 pixels to heatmap,
score and decision: at the network's size first, then at their own, resized by the graph or by
Pillow. All take as many threads as torch. Ratios are to the library with engine="torch": above 1 is
faster.

    python benchmarks/export.py ROOT bottle grid
"""

import argparse
import time
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import openvino
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

import skpadim
from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import load_mvtec_ad, read_masks
from skpadim.images import ImageSequence, iter_batches

TURNS = 15
BATCH = 16
COLUMNS = (
    *("size, MB", "1 image, ms", "ratio", f"of {BATCH}, ms", "ratio", "image AUROC", "pixel AUROC"),
    *("largest change of a score", "false alarms", "found", "other decisions"),
)


def library(detector, engine):
    own = deepcopy(detector).set_params(embedder__engine=engine)
    return own.predict_heatmap


def onnx(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["score", "heatmap", "decision"], {"images": images})[1]


def by_openvino(path):
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    model = openvino.compile_model(path, "CPU", options)
    return lambda images: model(images)["heatmap"]


def in_batches(heatmaps, images):
    starts = range(0, len(images), BATCH)
    return np.concatenate([np.array(heatmaps(images[i : i + BATCH])) for i in starts])


def median_times(runs, images):
    """Milliseconds that each takes, in turns."""
    times = np.empty((TURNS, len(runs)))
    for turn in range(-1, TURNS):  # the first one warms up, and is written over by the last
        for column, run in enumerate(runs):
            start = time.perf_counter()
            run(images)
            times[turn, column] = time.perf_counter() - start
    return 1e3 * np.median(times, axis=0)


def export_all(detector, good, folder):
    """Yield names, sizes in bytes, and functions from images to heatmaps."""
    saved = skpadim.save(detector, folder / "a.skpadim")
    for engine in ("torch", "openvino"):
        yield f"skpadim, {engine}", saved.stat().st_size, library(detector, engine)
    path = skpadim.export_onnx(detector, folder / "a.onnx")
    yield "ONNX, float32", path.stat().st_size, onnx(path)
    for precision in ("float32", "float16", "int8"):
        images = good[::6] if precision == "int8" else None
        path = skpadim.export_openvino(
            detector, folder / f"{precision}.xml", precision=precision, calibration_images=images
        )
        size = path.stat().st_size + path.with_suffix(".bin").stat().st_size
        yield f"OpenVINO, {precision}", size, by_openvino(path)


def export_resizing(detector, folder):
    yield "skpadim, torch", 0, library(detector, "torch")
    path = skpadim.export_onnx(detector, folder / "b.onnx", resize=True)
    yield "ONNX, resize=True", path.stat().st_size, onnx(path)
    path = skpadim.export_openvino(detector, folder / "b.xml", resize=True)
    size = path.stat().st_size + path.with_suffix(".bin").stat().st_size
    yield "OpenVINO, resize=True", size, by_openvino(path)


def show(title, entries, images, offset, defective, masks):
    names, sizes, runs = zip(*entries, strict=True)
    one = median_times(runs, images[:1])
    many = median_times(runs, images[:BATCH]) / BATCH
    print(f"\n{title}\n\n| | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    first = None
    for i, (name, run) in enumerate(zip(names, runs, strict=True)):
        heatmaps = in_batches(run, images)
        scores = -heatmaps.max(axis=(1, 2)).astype(np.float64)
        first = scores if first is None else first
        alarms = scores < offset
        cells = (
            f"{sizes[i] / 1e6:.1f}",
            f"{one[i]:.2f}",
            f"{one[0] / one[i]:.2f}",
            f"{many[i]:.2f}",
            f"{many[0] / many[i]:.2f}",
            f"{roc_auc_score(defective, -scores):.4f}",
            f"{roc_auc_score(masks, heatmaps.ravel()):.4f}",
            f"{np.abs(scores / first - 1).max():.0e}",
            f"{alarms[~defective].sum()} of {(~defective).sum()}",
            f"{alarms[defective].sum()} of {defective.sum()}",
            str(np.sum(alarms != (first < offset))),
        )
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def measure(root, category):
    data = load_mvtec_ad(root, category)
    detector = PaDiM(embedder=PatchEmbedder(engine="torch", device="cpu")).fit(data.X_train)
    defective = data.y_test == -1
    masks = read_masks(data.masks_test, (224, 224)).ravel()
    rest = detector.offset_, defective, masks
    original = np.stack(
        [np.array(Image.fromarray(image).convert("RGB")) for image in ImageSequence(data.X_test)]
    )
    with TemporaryDirectory() as folder:
        entries = export_all(detector, data.X_train, Path(folder))
        show(category, entries, np.concatenate(list(iter_batches(original, (224, 224)))), *rest)
        entries = export_resizing(detector, Path(folder))
        size = " x ".join(map(str, original.shape[1:3]))
        show(f"{category}, from {size}", entries, original, *rest)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category", nargs="+")
    arguments = parser.parse_args()
    for category in arguments.category:
        measure(arguments.root, category)


if __name__ == "__main__":
    main()
