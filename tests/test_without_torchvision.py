"""torchvision is an extra: the default detector does everything without it."""

import subprocess
import sys

import pytest

# In a process of its own, since other tests have imported torchvision already.
HIDDEN = """
import importlib.metadata
import sys

found = importlib.metadata.Distribution.from_name


def from_name(name):
    if name == "torchvision":
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)


importlib.metadata.Distribution.from_name = from_name
sys.modules["torchvision"] = None

import numpy as np

import skpadim
from skpadim.datasets import make_inspection_images

parts = make_inspection_images(n_good=22, n_defective=2, image_size=64, random_state=0)
good, new = parts.images[:20], parts.images[20:]
"""


@pytest.mark.slow
def test_the_default_detector_needs_no_torchvision(tmp_path):
    code = """
detector = skpadim.PaDiM(embedder=skpadim.PatchEmbedder(image_size=64)).fit(good)
assert detector.predict_heatmap(new).shape == (4, 64, 64)
restored = skpadim.load(skpadim.save(detector, "part.skpadim"))
np.testing.assert_array_equal(restored.predict(new), detector.predict(new))
skpadim.export_onnx(detector, "part.onnx")
skpadim.export_openvino(detector, "part.xml")

from skpadim._model_files import read_header

assert "torch" in read_header("part.skpadim").versions
assert "torchvision" not in read_header("part.skpadim").versions
"""
    result = subprocess.run(
        [sys.executable, "-c", HIDDEN + code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "part.skpadim",
        "part.onnx",
        "part.xml",
        "part.bin",
    }
