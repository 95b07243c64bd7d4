"""Worker of compare_anomalib.py for skpadim, started by it."""

import importlib
import pickle

from _worker import Contender, serve


class Skpadim(Contender):
    input_size = 224

    def import_package(self):
        importlib.import_module("skpadim._padim")  # where the lazy skpadim.PaDiM is

    def import_rest(self):
        # The module of the engines imports torch.
        engines = importlib.import_module("skpadim.embedding._engines")
        if self.settings["embedder"]["engine"] == "openvino":
            engines.import_without_telemetry("openvino")

    def fit(self):
        from skpadim import PaDiM, PatchEmbedder

        embedder = PatchEmbedder(**self.settings["embedder"])
        self.detector = PaDiM(embedder=embedder, **self.settings["padim"])
        self.detector.fit(self.request["train"])

    def predict(self):
        return self.infer(self.request["test"])

    def infer(self, images):
        heatmaps = self.detector.predict_heatmap(images)
        return heatmaps, heatmaps.max(axis=(1, 2)) > -self.detector.offset_

    def save(self):
        from pathlib import Path

        # Random weights come from no file.
        random = "weights" in self.settings["embedder"]
        network = 0 if random else Path(self.request["weights"]).stat().st_size
        return len(pickle.dumps(self.detector)), network

    def heatmaps(self):
        return self.detector.predict_heatmap(self.request["test"])

    def describe(self):
        from importlib.metadata import version

        names = ["skpadim", "torch", "numpy", "pillow"]
        if self.settings["embedder"]["engine"] == "openvino":
            names.append("openvino")
        rows, columns, _ = self.detector.embedder_.output_shape
        n_dimensions = self.detector.gaussian_.location_.shape[-1]
        given = self.settings["embedder"] | self.settings["padim"]
        return (
            f"{', '.join(f'{name}={value!r}' for name, value in given.items())}; input 224 x 224, "
            f"{rows * columns} grid positions, {n_dimensions} dimensions. fit includes the "
            "leave-one-out pass that sets the threshold"
        ), {name: version(name) for name in names}


if __name__ == "__main__":
    serve(Skpadim)
