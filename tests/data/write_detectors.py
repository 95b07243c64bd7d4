"""Write a few small detectors in the format of the day, with the scores that they give.

To be run once, when the format is new: python tests/data/write_detectors.py
"""

import json
from pathlib import Path

import numpy as np

import skpadim
from skpadim import PaDiM, PatchEmbedder
from skpadim._model_files import FORMAT
from skpadim.datasets import make_inspection_images
from skpadim.heatmaps import Smoothing

HERE = Path(__file__).parent


def write(name, detector, new):
    path = HERE / f"format-{FORMAT}-{name}.skpadim"
    skpadim.save(detector, path)  # refuses to replace: files of a format are never written again
    expected = {
        "scores": detector.score_samples(new).tolist(),
        "decisions": detector.predict(new).tolist(),
    }
    path.with_suffix(".json").write_text(json.dumps(expected, indent=1) + "\n")


def main():
    embeddings = [
        np.random.default_rng(seed).normal(size=(n_samples, 2, 3, 5)).astype("float32")
        for seed, n_samples in [(0, 20), (1, 5)]
    ]
    for name, parameters in {
        "full": {},
        "compact": {"compact": True, "n_components": 3, "random_state": 0},
        "smoothing": {"smoothing": Smoothing(3, filter="uniform", interpolation="bicubic")},
        "projection": {"reduction": "pca", "n_components": 3},
    }.items():
        detector = PaDiM(embedder="passthrough", **parameters).fit(embeddings[0])
        write(name, detector, embeddings[1])
    detector = PaDiM(embedder="passthrough").partial_fit(embeddings[0]).calibrate(embeddings[1])
    write("moments", detector, embeddings[1])
    parts = make_inspection_images(n_good=20, n_defective=0, image_size=64, random_state=0)
    detector = PaDiM(embedder=PatchEmbedder(image_size=32), n_components=8, random_state=0)
    new = make_inspection_images(n_good=2, n_defective=2, image_size=64, random_state=1)
    write("images", detector.fit(parts.images), new.images)


if __name__ == "__main__":
    main()
