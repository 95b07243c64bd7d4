"""Exported graphs: what they compute, what they tell of themselves, and what cannot be exported."""

import json
import os
import subprocess
import sys
import venv
from copy import copy, deepcopy
from functools import partial

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from sklearn.exceptions import NotFittedError
from torch import nn

import skpadim
from skpadim import PaDiM, PatchEmbedder, PatchGaussian, export_onnx, export_openvino
from skpadim.export import _formats, _graph
from skpadim.heatmaps import Smoothing
from skpadim.images import iter_batches

GRID, N_FEATURES = (3, 4), 6

# From float32 torch, and from the triangles and sums that NumPy has.
close = partial(assert_allclose, rtol=1e-4)


def small(backbone="efficientnet_lite0", **parameters):
    parameters = {"image_size": 64, "engine": "torch", "device": "cpu", **parameters}
    return PatchEmbedder(backbone, **parameters)


def fitted(parts, embedder=None, **parameters):
    embedder = embedder or small()
    parameters = {"random_state": 0, "false_alarm_rate": 0.1, **parameters}
    return PaDiM(embedder=embedder, **parameters).fit(parts.images[:20])


def at_size(images, size):
    (batch,) = iter_batches(images, size, batch_size=len(images))
    return batch


def as_pair(size):
    return (size, size) if isinstance(size, int) else size


def by_onnx(path, X):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {given.name: X}), strict=True))


def by_openvino(path, X):
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = openvino.compile_model(path, "CPU", options)
    results = model({model.input(0).any_name: X})
    return {output.any_name: np.array(results[output]) for output in model.outputs}


def assert_same(outputs, detector, X):
    """Hold outputs equal to what the detector says of the same input."""
    assert outputs.keys() == {"score", "heatmap", "decision"}
    close(outputs["heatmap"], detector.predict_heatmap(X), atol=1e-5)
    close(outputs["score"], detector.score_samples(X))
    assert_array_equal(outputs["decision"], detector.predict(X))
    assert outputs["score"].dtype == outputs["heatmap"].dtype == np.float32
    assert outputs["decision"].dtype == np.int64


def assert_exports(detector, images, tmp_path):
    images = at_size(images, as_pair(detector.embedder_.image_size))
    path = export_onnx(detector, tmp_path / "a.onnx")
    assert_same(by_onnx(path, images), detector, images)


@pytest.fixture(scope="module")
def detector(parts):
    return fitted(parts)


@pytest.fixture(scope="module")
def on_embeddings():
    X = np.random.default_rng(0).normal(size=(30, *GRID, N_FEATURES)).astype(np.float32)
    return PaDiM(embedder="passthrough", smoothing=0.5).fit(X)


# The same as the detector


class Own(nn.Module):
    """Two stages, of which torch.fx can trace neither way through."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, stride=4, padding=1)
        self.second = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.threshold = nn.Parameter(torch.tensor([0.1]))

    def forward(self, x):
        if x.sum() > 1e12:
            raise ValueError("too bright")
        return self.second(torch.relu(self.first(x)) + self.threshold)


BACKBONES = {
    "efficientnet_lite0": {},
    "efficientnet_lite1": {},
    "efficientnet_lite2": {},
    "resnet18": {"weights": None},
    "wide_resnet50_2": {"weights": None},
    "efficientnet_b5": {"weights": None},
    "timm/resnet10t": {"weights": None},
    "timm/tf_efficientnet_b0": {"weights": None},
}


LARGE = ("wide_resnet50_2", "efficientnet_b5")


@pytest.mark.parametrize(
    "backbone",
    [pytest.param(b, marks=pytest.mark.slow if b in LARGE else []) for b in BACKBONES],
)
def test_graphs_agree_on_every_backbone(parts, tmp_path, backbone):
    detector = fitted(parts, small(backbone, **BACKBONES[backbone]), n_components=20)
    assert_exports(detector, parts.images[18:], tmp_path)


def test_graphs_agree_on_modules(parts, tmp_path):
    torch.manual_seed(0)
    detector = fitted(parts, small(Own(), layers=["first", "second"]))
    assert_exports(detector, parts.images[18:], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"neighborhood": 1},
        {"neighborhood": 5},
        {"grid_stride": 4},
        {"grid_stride": 4, "alignment": "nearest"},
        {"grid_stride": 7},  # neither pools nor interpolates by whole numbers
        {"grid_stride": 20},
        {"image_size": (80, 60)},
        {"image_size": (90, 75), "crop_size": (64, 49)},
        {"layers": ("blocks.2", "blocks.1")},
        {"resample": "lanczos"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*the training images:UserWarning")
def test_graphs_agree_with_every_option_of_the_embedding(parts, tmp_path, options):
    detector = fitted(parts, small(**options), n_components=0.3)
    assert_exports(detector, parts.images[18:], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"n_components": 12},
        {"n_components": 12, "compact": True},
        {"n_components": None},
        {"n_components": None, "compact": True},
        {"n_components": 12, "reduction": "orthogonal"},
        {"n_components": 12, "reduction": "stratified"},
        {"n_components": 12, "reduction": "semi-orthogonal"},
        {"n_components": 12, "reduction": "pca"},
        {"n_components": 12, "reduction": "npca"},
        {"reduction": [170, 3, 30, 4, 90]},
        {"reduction": [30, 3]},  # nothing of the coarsest layer
        {"n_components": 1},
        {"reg_relative": False, "reg_covar": 0.01},
        {"smoothing": Smoothing(interpolation="bicubic")},
        {"smoothing": 0},
        {"smoothing": Smoothing(0, interpolation="nearest")},
        {"smoothing": Smoothing(5, filter="uniform", mode="constant")},
        {"smoothing": Smoothing(mode="mirror")},
        {"contamination": 0.1},
    ],
    ids=str,
)
def test_graphs_agree_with_every_option_of_the_gaussians(parts, tmp_path, options):
    detector = fitted(parts, **options)
    assert_exports(detector, parts.images[18:], tmp_path)


def test_smoothing_changed_after_the_fit_holds(parts, tmp_path):
    detector = fitted(parts).set_params(smoothing=1.0)
    detector.calibrate(parts.images[20:29])
    # Not the image that the threshold is the score of: rounding may put it on either side.
    assert_exports(detector, np.delete(parts.images, np.s_[20:29], axis=0), tmp_path)


@pytest.mark.parametrize("shape", [(), (5,), GRID])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reduction", ["random", "pca"])
def test_graphs_agree_on_embeddings(tmp_path, shape, dtype, reduction):
    X = np.random.default_rng(0).normal(size=(40, *shape, N_FEATURES)).astype(dtype)
    detector = PaDiM(
        embedder="passthrough", n_components=4, reduction=reduction, random_state=0, smoothing=0.5
    )
    detector.fit(X[:30])
    outputs = by_onnx(export_onnx(detector, tmp_path / "a.onnx"), X[30:])
    assert_same(outputs, detector, X[30:])


@pytest.mark.parametrize("n_images", [1, 3])
def test_batches_have_any_size(detector, parts, tmp_path, n_images):
    assert_exports(detector, parts.images[:n_images], tmp_path)


@pytest.mark.parametrize("category", ["bottle", pytest.param("grid", marks=pytest.mark.slow)])
def test_graphs_agree_on_real_images(real_data, tmp_path, category):
    data = real_data(category)
    detector = PaDiM(embedder=small(image_size=128), false_alarm_rate=0.1)
    detector.fit(data.X_train[:20])
    X = at_size(data.X_test[::6], (128, 128))
    assert set(detector.predict(X)) == {-1, 1}
    assert_same(by_onnx(export_onnx(detector, tmp_path / "a.onnx"), X), detector, X)
    assert_same(by_openvino(export_openvino(detector, tmp_path / "a.xml"), X), detector, X)


def test_openvino_agrees_on_embeddings(on_embeddings, tmp_path):
    X = np.random.default_rng(1).normal(size=(5, *GRID, N_FEATURES)).astype(np.float32)
    path = export_openvino(on_embeddings, tmp_path / "a.xml")
    assert_same(by_openvino(path, X), on_embeddings, X)


@pytest.mark.parametrize(
    ("n_components", "compact"),
    [
        (12, True),
        (None, False),
        pytest.param(12, False, marks=pytest.mark.slow),
        pytest.param(None, True, marks=pytest.mark.slow),
    ],
)
def test_openvino_agrees_with_both_forms_of_factors(parts, tmp_path, n_components, compact):
    detector = fitted(parts, n_components=n_components, compact=compact)
    images = at_size(parts.images[18:], (64, 64))
    path = export_openvino(detector, tmp_path / "a.xml")
    assert_same(by_openvino(path, images), detector, images)


@pytest.mark.slow
def test_a_graph_needs_neither_torch_nor_skpadim(detector, parts, tmp_path):
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    venv.create(tmp_path / "venv", with_pip=True)
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "onnxruntime", "numpy"],
        capture_output=True,
        text=True,
    )
    if installed.returncode and "No matching distribution" in installed.stderr:
        pytest.skip("pip reaches no index that has onnxruntime")
    assert installed.returncode == 0, installed.stderr
    images = at_size(parts.images[28:32], (64, 64))
    np.save(tmp_path / "images.npy", images)
    export_onnx(detector, tmp_path / "a.onnx")
    code = (
        "import json, numpy, onnxruntime; from importlib.util import find_spec;"
        "session = onnxruntime.InferenceSession('a.onnx');"
        "results = session.run(['score', 'decision'], {'images': numpy.load('images.npy')});"
        "found = [name for name in ('torch', 'skpadim') if find_spec(name)];"
        "print(json.dumps([found, *(result.tolist() for result in results)]))"
    )
    # -I: without the folders of this process.
    done = subprocess.run(
        [python, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found, scores, decisions = json.loads(done.stdout)
    assert found == []
    close(scores, detector.score_samples(images))
    assert decisions == detector.predict(images).tolist()


# Decisions


@settings(max_examples=30)
@given(offset=st.floats(-1e6, 1e6), score=st.floats(-1e6, 1e6, width=32), equal=st.booleans())
@example(offset=-13.1, score=0.0, equal=True)
def test_thresholds_in_float32_decide_as_those_in_float64(
    on_embeddings, tmp_path_factory, offset, score, equal
):
    score = np.float32(offset if equal else score)
    detector = copy(on_embeddings)
    detector.offset_ = offset
    path = tmp_path_factory.getbasetemp() / "threshold.onnx"
    export_onnx(detector, path, overwrite=True)
    threshold = next(c for c in onnx.load(path).graph.initializer if c.name == "threshold")
    threshold = onnx.numpy_helper.to_array(threshold)
    assert threshold.dtype == np.float32
    assert (score >= threshold) == (np.float64(score) >= offset)


def test_a_score_at_the_threshold_is_good(on_embeddings, tmp_path):
    X = np.random.default_rng(1).normal(size=(5, *GRID, N_FEATURES)).astype(np.float32)
    scores = by_onnx(export_onnx(on_embeddings, tmp_path / "a.onnx"), X)["score"]
    detector = copy(on_embeddings)
    detector.offset_ = float(scores[2])
    outputs = by_onnx(export_onnx(detector, tmp_path / "b.onnx"), X)
    assert_array_equal(outputs["decision"], np.where(scores < scores[2], -1, 1))


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_a_number_is_defective(tmp_path, runtime, dtype):
    """As far away as can be, as for the detector, and in finite numbers."""
    X = np.random.default_rng(0).normal(size=(30, *GRID, N_FEATURES)).astype(dtype)
    detector = PaDiM(embedder="passthrough", smoothing=0.5).fit(X)
    X[0], X[1, 2, 1, 3], X[2] = np.nan, np.finfo(dtype).max, np.inf
    export, run = {
        "onnx": (export_onnx, by_onnx),
        "openvino": (export_openvino, by_openvino),
    }[runtime]
    outputs = run(export(detector, tmp_path / {"onnx": "a.onnx", "openvino": "a.xml"}[runtime]), X)
    assert_array_equal(outputs["decision"][:3], -1)
    assert np.isfinite(outputs["heatmap"]).all()
    assert np.isfinite(outputs["score"]).all()
    assert_allclose(outputs["heatmap"][1], detector.predict_heatmap(X[1:2])[0], rtol=1e-3)
    assert_same({name: values[3:] for name, values in outputs.items()}, detector, X[3:])


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_nothing_is_good_by_a_graph_of_a_model_that_holds_nan(detector, parts, tmp_path, runtime):
    detector = deepcopy(detector)
    detector.gaussian_.location_[20, 3] = np.nan
    images = at_size(parts.images, (64, 64))
    assert_array_equal(detector.predict(images), -1)
    if runtime == "onnx":
        outputs = by_onnx(export_onnx(detector, tmp_path / "a.onnx"), images)
    else:
        outputs = by_openvino(export_openvino(detector, tmp_path / "a.xml"), images)
    assert_array_equal(outputs["decision"], -1)
    close(outputs["heatmap"], detector.predict_heatmap(images), atol=1e-5)


def test_the_threshold_can_be_changed_in_the_file(detector, parts, tmp_path):
    images = at_size(parts.images, (64, 64))
    path = export_onnx(detector, tmp_path / "a.onnx")
    scores = detector.score_samples(images)
    new = np.float32(np.median(scores))
    model = onnx.load(path)
    threshold = next(c for c in model.graph.initializer if c.name == "threshold")
    threshold.CopyFrom(onnx.numpy_helper.from_array(new, "threshold"))
    onnx.save(model, path)
    outputs = by_onnx(path, images)
    assert_array_equal(outputs["decision"], np.where(outputs["score"] < new, -1, 1))
    assert 0 < np.sum(outputs["decision"] == -1) < len(images)


def test_the_threshold_can_be_changed_in_openvino(detector, parts, tmp_path):
    images = at_size(parts.images, (64, 64))
    model = openvino.Core().read_model(export_openvino(detector, tmp_path / "a.xml"))
    (node,) = (node for node in model.get_ops() if node.get_friendly_name() == "threshold")
    node.output(0).replace(openvino.opset13.constant(np.float32(-1e6)).output(0))
    assert (openvino.compile_model(model, "CPU")(images)["decision"] == 1).all()


# Sizes


def pillow_and_graph(shape, size):
    """Resize noise, which is the hardest."""
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    graph = _graph._Graph()
    resized = _graph._resized(graph, size)
    model = graph.finish(
        {"images": (np.uint8, ["n", "height", "width", 3])}, {resized: (np.uint8, None)}, {}
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return at_size(images, size), session.run(None, {"images": images})[0]


@pytest.mark.parametrize("shape", [(64, 48), (65, 49), (20, 30), (128, 128), (300, 301), (40, 300)])
def test_resizing_is_pillows_but_for_rounding(shape):
    expected, resized = pillow_and_graph(shape, (64, 48))
    difference = np.abs(expected.astype(int) - resized)
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 1e-3


@pytest.mark.filterwarnings("ignore:.*than the training images:UserWarning")
@pytest.mark.parametrize("run", [by_onnx, by_openvino])
def test_graphs_that_resize_take_any_size(parts, tmp_path, run):
    detector = fitted(parts, small(image_size=(64, 60), crop_size=(50, 48)), n_components=12)
    write = export_onnx if run is by_onnx else export_openvino
    path = write(detector, tmp_path / "a.xml", resize=True)
    for images in (parts.images[18:], parts.images[18:, :80, 5:]):
        # A level of a pixel here and there.
        heatmaps = detector.predict_heatmap(images)
        assert_allclose(run(path, images)["heatmap"], heatmaps, atol=0.01 * heatmaps.max())


def test_a_graph_that_does_not_resize_refuses_other_sizes(detector, parts, tmp_path):
    path = export_onnx(detector, tmp_path / "a.onnx")
    with pytest.raises(InvalidArgument, match="Got: 96 Expected: 64"):
        by_onnx(path, parts.images[:1])


# Smaller weights


def n_bytes(path):
    return path.stat().st_size + path.with_suffix(".bin").stat().st_size


def test_float16_halves_the_weights_and_keeps_scores(parts, tmp_path):
    detector = fitted(parts, n_components=50)
    images = at_size(parts.images, (64, 64))
    whole = export_openvino(detector, tmp_path / "whole.xml")
    half = export_openvino(detector, tmp_path / "half.xml", precision="float16")
    sizes = [path.with_suffix(".bin").stat().st_size for path in (whole, half)]
    assert sizes[1] < 0.55 * sizes[0]
    scores = detector.score_samples(images)
    assert_allclose(by_openvino(half, images)["score"], scores, rtol=0.02)


def test_weights_beyond_float16_stay_float32(parts, tmp_path):
    module = Own()
    with torch.no_grad():
        module.second.weight *= 1e6
    detector = fitted(parts, small(module, layers=["second"]))
    images = at_size(parts.images, (64, 64))
    path = export_openvino(detector, tmp_path / "a.xml", precision="float16")
    scores = detector.score_samples(images)
    assert_allclose(by_openvino(path, images)["score"], scores, rtol=0.02)


@pytest.mark.slow
def test_int8_quantises_the_network_alone(parts, tmp_path):
    pytest.importorskip("nncf")
    detector = fitted(parts, n_components=50)
    images = at_size(parts.images, (64, 64))
    path = export_openvino(
        detector, tmp_path / "a.xml", precision="int8", calibration_images=parts.images[:10]
    )
    model = openvino.Core().read_model(path)
    quantised = [
        consumer.get_node()
        for node in model.get_ops()
        if node.get_type_name() == "FakeQuantize"
        for consumer in node.output(0).get_target_inputs()
    ]
    kinds = {node.get_type_name() for node in quantised}
    assert kinds <= {"Convolution", "GroupConvolution", "Add", "Pad", "FakeQuantize"}
    assert "Convolution" in kinds
    heatmaps = detector.predict_heatmap(images)
    error = by_openvino(path, images)["heatmap"] - heatmaps
    # Half of this is seen; NNCF's quick correction of biases leaves three times as much.
    assert np.sqrt(np.mean(error**2) / np.mean(heatmaps**2)) < 0.15


# What graphs tell


def test_metadata_tell_what_goes_in_and_out(parts, tmp_path):
    detector = fitted(parts, small(image_size=(72, 64), crop_size=48), n_components=12)
    path = export_onnx(detector, tmp_path / "a.onnx")
    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert metadata["skpadim_version"] == skpadim.__version__
    assert metadata["backbone"] == "efficientnet_lite0"
    assert metadata["weights_sha256"] == detector.weights_hash_
    assert metadata["image_size"] == "72 x 64"
    assert "resize whole images to 72 x 64 (height x width)" in metadata["preprocessing"]
    assert "unitless" in metadata["heatmap"]
    assert "central 48 x 48" in metadata["heatmap"]
    assert "threshold" in metadata["decision"]
    model = openvino.Core().read_model(export_openvino(detector, tmp_path / "a.xml"))
    assert model.get_rt_info(["skpadim", "backbone"]).astype(str) == "efficientnet_lite0"


def test_metadata_tell_who_resizes(detector, tmp_path):
    path = export_onnx(detector, tmp_path / "a.onnx", resize=True)
    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert "the graph resizes them to 64 x 64" in metadata["preprocessing"]
    path = export_openvino(detector, tmp_path / "a.xml", resize=True)
    info = openvino.Core().read_model(path).get_rt_info(["skpadim", "preprocessing"])
    assert "the graph resizes them to 64 x 64" in info.astype(str)


def test_metadata_name_a_module_by_its_class(parts, tmp_path):
    path = export_onnx(fitted(parts, small(Own(), layers=["second"])), tmp_path / "a.onnx")
    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert metadata["backbone"] == "Own"


def test_graphs_are_valid_and_of_opset_18(detector, tmp_path):
    model = onnx.load(export_onnx(detector, tmp_path / "a.onnx", resize=True))
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]


def test_inputs_and_outputs_are_declared(detector, tmp_path):
    session = onnxruntime.InferenceSession(export_onnx(detector, tmp_path / "a.onnx"))
    (images,) = session.get_inputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["n", 64, 64, 3])
    shapes = {output.name: output.shape for output in session.get_outputs()}
    assert shapes == {"score": ["n"], "heatmap": ["n", 64, 64], "decision": ["n"]}


# Files


def test_files_are_replaced_when_they_are_complete(detector, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"before")
    assert export_onnx(detector, str(path), overwrite=True) == path
    onnx.checker.check_model(onnx.load(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_openvino_writes_both_files_or_none(detector, tmp_path, suffix):
    (tmp_path / "a").with_suffix(suffix).mkdir()
    with pytest.raises(IsADirectoryError):
        export_openvino(detector, tmp_path / "a.xml")
    assert [file.name for file in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize(
    ("write", "path", "existing"),
    [
        (export_onnx, "a.onnx", "a.onnx"),
        (export_openvino, "a.xml", "a.xml"),
        (export_openvino, "a.xml", "a.bin"),
    ],
)
def test_what_exists_is_kept_and_that_is_said_before_any_work(tmp_path, write, path, existing):
    (tmp_path / existing).write_bytes(b"before")
    # Before the detector is looked at, which has not even been fitted.
    with pytest.raises(FileExistsError, match=f"{existing}' exists; .* or overwrite=True"):
        write(PaDiM(), tmp_path / path)
    assert (tmp_path / existing).read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == [existing]


class TwoWays(nn.Module):
    """Network whose way depends on its input, which no trace follows."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, stride=4)

    def forward(self, x):
        return self.layer(x) if x.sum() < 0 else self.layer(-x)


@pytest.mark.parametrize("write", [export_onnx, export_openvino])
def test_a_network_that_no_trace_follows_is_refused_and_the_file_left(parts, tmp_path, write):
    detector = fitted(parts, small(TwoWays(), layers=["layer"]))
    path = tmp_path / "a.xml"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="backbone cannot be exported"):
        write(detector, path, overwrite=True)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


# What cannot be exported


@pytest.mark.parametrize("write", [export_onnx, export_openvino])
def test_other_estimators_are_refused(tmp_path, write):
    gaussian = PatchGaussian(contamination=0.1).fit(np.eye(3))
    with pytest.raises(TypeError, match="PatchGaussian; only a fitted PaDiM"):
        write(gaussian, tmp_path / "a.xml")


def test_a_detector_must_be_fitted_and_have_a_threshold(parts, tmp_path):
    with pytest.raises(NotFittedError):
        export_onnx(PaDiM(), tmp_path / "a.onnx")
    detector = PaDiM(embedder=small()).partial_fit(parts.images[:3])
    with pytest.raises(NotFittedError, match="no threshold"):
        export_onnx(detector, tmp_path / "a.onnx")


def test_bfloat16_is_refused(parts, tmp_path):
    detector = fitted(parts, small(precision="bfloat16"), n_components=5)
    with pytest.raises(ValueError, match="precision='bfloat16' cannot be exported"):
        export_onnx(detector, tmp_path / "a.onnx")


def test_another_filter_than_that_of_the_graph_is_refused(parts, tmp_path):
    detector = fitted(parts, small(resample="lanczos"))
    with pytest.raises(
        ValueError, match=r"resize=True has a bicubic filter, but resample='lanczos'"
    ):
        export_onnx(detector, tmp_path / "a.onnx", resize=True)


class NewPaDiM(PaDiM):
    """As another version might be."""

    def __init__(self, *, embedder="efficientnet_lite0", sharpening=0.0):
        super().__init__(embedder=embedder)
        self.sharpening = sharpening


def test_options_that_graphs_do_not_know_are_refused(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 3))
    detector = NewPaDiM(embedder="passthrough", sharpening=2.0).fit(X)
    with pytest.raises(ValueError, match=r"sharpening=2.0 of NewPaDiM cannot be exported"):
        export_onnx(detector, tmp_path / "a.onnx")


@pytest.mark.parametrize("kind", [PaDiM, PatchEmbedder])
def test_the_options_of_this_version_are_known(kind):
    assert set(kind().get_params(deep=False)) == _formats._KNOWN_PARAMETERS[kind]


def test_other_weights_are_refused(detector, tmp_path):
    detector = copy(detector)
    detector.weights_hash_ = "0" * 64
    with pytest.raises(ValueError, match="not those that the model was fitted with"):
        export_onnx(detector, tmp_path / "a.onnx")


def test_a_graph_larger_than_the_format_allows_is_refused(on_embeddings, tmp_path, monkeypatch):
    monkeypatch.setattr(_formats, "_MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"would take 0.0 GiB.*compact=True"):
        export_onnx(on_embeddings, tmp_path / "a.onnx")


def test_embeddings_have_no_size_and_no_network(on_embeddings, tmp_path):
    with pytest.raises(ValueError, match="resize=True needs images"):
        export_onnx(on_embeddings, tmp_path / "a.onnx", resize=True)
    with pytest.raises(ValueError, match="quantises a network"):
        export_openvino(on_embeddings, tmp_path / "a.xml", precision="int8")


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("a.onnx", {}, "must end in '.xml'"),
        ("a.xml", {"precision": "int4"}, "precision='int4' must be"),
        ("a.xml", {"precision": "int8"}, "needs calibration_images"),
        ("a.xml", {"calibration_images": ["a.png"]}, "but precision='float32'"),
        ("a.xml", {"precision": "int8", "calibration_images": ["a.png"]}, "does not exist"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(detector, tmp_path, path, options, message):
    with pytest.raises(ValueError, match=message):
        export_openvino(detector, tmp_path / path, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("package", "extra", "options"),
    [
        ("onnx", "onnx", {}),
        ("openvino", "onnx,openvino", {}),
        ("nncf", "int8", {"precision": "int8", "calibration_images": []}),
    ],
)
def test_a_missing_package_is_named(detector, tmp_path, monkeypatch, package, extra, options):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}: pip install 'skpadim\[{extra}\]'"):
        export_openvino(detector, tmp_path / "a.xml", **options)
