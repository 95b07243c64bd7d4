"""OpenVINO against torch; which of them runs, and what neither may do."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from skpadim import PaDiM, PatchEmbedder
from skpadim.embedding import _engines
from skpadim.embedding._engines import OpenVinoEngine, TorchEngine
from skpadim.images import ImageSequence

openvino = pytest.importorskip("openvino")

HAS_BFLOAT16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Untraceable(nn.Module):
    """Asks for values: torch.fx cannot trace it, torch.jit traces one of its ways."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 4, stride=4)

    def forward(self, x):
        if x.abs().mean() > 1e9:
            return self.convolution(-x)
        return self.convolution(x)


class Adapts(Untraceable):
    """What a trace makes a constant is another number for another image."""

    def forward(self, x):
        return self.convolution(x * float(x.abs().mean()))


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), np.uint8)


@pytest.fixture
def engines(monkeypatch):
    """Kinds of the engines that are made, in their order."""
    kinds = []
    make_engine = _engines.make_engine

    def noting(*arguments):
        engine = make_engine(*arguments)
        kinds.append(type(engine))
        return engine

    monkeypatch.setattr(_engines, "make_engine", noting)
    return kinds


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        pytest.param({"backbone": "efficientnet_lite2"}, marks=pytest.mark.slow),
        {"backbone": "resnet18", "weights": None, "grid_stride": 4, "alignment": "nearest"},
        pytest.param(
            {"backbone": "wide_resnet50_2", "weights": None, "neighborhood": 1},
            marks=pytest.mark.slow,
        ),
        {"backbone": "efficientnet_b0", "weights": None, "neighborhood": 5},
        {"backbone": "timm/convnext_femto", "weights": None, "crop_size": (60, 70)},
        {"backbone": Untraceable, "layers": ["convolution"]},
    ],
    ids=lambda parameters: str(parameters.get("backbone", "default")),
)
def test_openvino_gives_the_embeddings_of_torch(images, engines, parameters):
    embedder = PatchEmbedder(image_size=(64, 96), engine="torch").set_params(**parameters)
    expected = embedder.transform(images)
    embeddings = embedder.set_params(engine="openvino").transform(images)
    assert engines == [TorchEngine, OpenVinoEngine]
    np.testing.assert_allclose(embeddings, expected, atol=1e-4 * np.abs(expected).max())


def test_openvino_gives_the_channels_asked_for_in_their_order(images):
    embedder = PatchEmbedder(image_size=(64, 96), engine="openvino")
    channels = np.random.default_rng(0).permutation(176)[:50]
    kept = np.concatenate(list(embedder.iter_embed(ImageSequence(images), channels)))
    expected = embedder.transform(images)[..., channels]
    np.testing.assert_allclose(kept, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("image_size", [(64, 96), (32, 32), (224, 256)])
def test_embeddings_do_not_depend_on_the_batch_size(images, image_size):
    embedder = PatchEmbedder(image_size=image_size, engine="openvino")
    whole = embedder.transform(images)
    alone = np.concatenate([embedder.transform(images[[i]]) for i in range(len(images))])
    np.testing.assert_allclose(alone, whole, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_several_threads_may_embed_at_a_time(images, engine):
    embedder = PatchEmbedder(image_size=(64, 96), engine=engine)
    expected = [embedder.transform(images[[i]]) for i in range(len(images))]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: embedder.transform(images[[i % 5]]), range(20)))
    for i, embeddings in enumerate(found):
        np.testing.assert_allclose(embeddings, expected[i % 5], atol=1e-4)


def test_a_network_is_compiled_once(images, monkeypatch):
    embedder = PatchEmbedder(image_size=(64, 96), engine="openvino")
    embedder.transform(images)
    monkeypatch.setattr(_engines, "make_engine", None)
    embedder.set_params(batch_size=2).transform(images)


def test_auto_takes_openvino_on_a_processor(images, engines):
    PatchEmbedder(image_size=(64, 96), device="cpu").transform(images)
    assert engines == [OpenVinoEngine]


def test_a_network_that_openvino_gets_wrong_is_refused_and_auto_takes_torch(images):
    embedder = PatchEmbedder(Adapts, layers=["convolution"], image_size=(64, 96))
    expected = embedder.set_params(engine="torch").transform(images)
    np.testing.assert_array_equal(embedder.set_params(engine="auto").transform(images), expected)
    with pytest.raises(ValueError, match=r"cannot take this backbone.*differ.*engine='torch'"):
        embedder.set_params(engine="openvino").transform(images)


def test_openvino_that_is_not_installed_is_an_error_that_names_the_extra(
    images, engines, monkeypatch
):
    monkeypatch.setattr(_engines, "find_spec", lambda name: None)
    embedder = PatchEmbedder(image_size=(64, 96), engine="openvino")
    with pytest.raises(ImportError, match=r"pip install 'skpadim\[openvino\]'"):
        embedder.transform(images)
    embedder.set_params(engine="auto").transform(images)
    assert engines == [TorchEngine]


def test_openvino_with_another_device_is_an_error():
    elsewhere = SimpleNamespace(network=nn.Identity(), device=torch.device("cuda:0"))
    with pytest.raises(ValueError, match="device is 'cuda:0'"):
        _engines.make_engine("openvino", elsewhere, (64, 96), "float32", {})


@pytest.mark.skipif(not HAS_BFLOAT16, reason="this processor has no bfloat16")
def test_bfloat16_differs_little_and_gives_float32(images):
    embedder = PatchEmbedder(image_size=(64, 96), engine="openvino")
    exact = embedder.transform(images)
    rounded = embedder.set_params(precision="bfloat16").transform(images)
    assert rounded.dtype == np.float32
    error = np.abs(rounded - exact).max() / np.abs(exact).max()
    assert 1e-6 < error < 0.05


@pytest.mark.skipif(HAS_BFLOAT16, reason="this processor has bfloat16")
def test_bfloat16_where_there_is_none_is_an_error(images):
    embedder = PatchEmbedder(image_size=(64, 96), engine="openvino", precision="bfloat16")
    with pytest.raises(ValueError, match="no bfloat16"):
        embedder.transform(images)


def test_a_fitted_detector_may_change_its_engine(parts, engines):
    good, new = parts.images[:24], parts.images[24:]
    detector = PaDiM(embedder=PatchEmbedder(image_size=64, engine="torch")).fit(good)
    expected = detector.predict_heatmap(new)
    detector.set_params(embedder__engine="openvino")
    np.testing.assert_allclose(detector.predict_heatmap(new), expected, rtol=1e-3)
    assert engines[-1] is OpenVinoEngine


@pytest.mark.slow
def test_openvino_is_not_imported_for_torch_and_reports_its_use_to_nobody():
    code = """
import socket
import sys
import numpy as np
from skpadim import PatchEmbedder

def refuse(*arguments):
    print("somebody connects to", arguments)
    raise OSError

socket.socket.connect = socket.getaddrinfo = refuse
images = np.zeros((1, 32, 32, 3), np.uint8)
embedder = PatchEmbedder(image_size=32, engine="torch")
embedder.transform(images)
assert "openvino" not in sys.modules
embedder.set_params(engine="openvino").transform(images)
assert "openvino" in sys.modules
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == ""
