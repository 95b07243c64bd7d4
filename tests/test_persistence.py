"""Files of detectors: what comes back, what is refused, and what a reader may be made to do."""

import hashlib
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tracemalloc
from math import prod
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from sklearn.exceptions import NotFittedError

import skpadim
from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim._model_files import read_header
from skpadim.embedding import Passthrough
from skpadim.heatmaps import Smoothing

DATA = Path(__file__).parent / "data"
GRID = (2, 3)
N_FEATURES = 5


def embeddings(n_samples, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_samples, *GRID, N_FEATURES)).astype(dtype)


def fitted(n_samples=20, dtype="float32", **parameters):
    parameters = {"embedder": "passthrough", **parameters}
    return PaDiM(**parameters).fit(embeddings(n_samples, dtype))


def small_embedder(**parameters):
    return PatchEmbedder(image_size=32, engine="torch", **parameters)


@pytest.fixture(scope="module")
def on_images(parts):
    return PaDiM(embedder=small_embedder(), n_components=8, random_state=0).fit(parts.images[:20])


def nested(depth):
    """Return lists in lists, which JSON takes and a recursion does not."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def checksum_of(text, arrays):
    """Compute what is in a file beside its header and arrays."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(repr((name, str(array.dtype), array.shape)).encode() + array.tobytes())
    return digest.hexdigest()


def rewritten(path, change):
    """Change arrays and what the header says, or replace that, with a right checksum."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        record = json.loads(file.metadata()["skpadim"])
    arrays = load_file(path)
    text = json.dumps(change(record, arrays) or record)
    checksum = checksum_of(text, arrays)
    save_file(arrays, path, {"skpadim": text, "sha256": checksum})
    return path


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_samples": 4},
        {"n_samples": 4, "compact": True},
        {"compact": True},
        {"dtype": "float64"},
        {"n_components": 3, "random_state": 0},
        {"n_components": 3, "reduction": "pca"},
        {"n_components": 3, "reduction": "pca", "compact": True, "n_samples": 3},
        {"n_components": 0.5, "reduction": "orthogonal", "random_state": 3},
        {"reduction": [4, 0, 2]},
        {"reduction": np.array([4, 0, 2]), "n_components": np.int64(3)},
        {"n_components": 3, "reduction": "semi-orthogonal", "random_state": 0},
        {"contamination": 0.1, "smoothing": Smoothing(0, interpolation="bicubic")},
        {"smoothing": Smoothing(3, filter="uniform", mode="constant")},
        {"smoothing": Smoothing(mode="mirror", interpolation="nearest")},
        {"reg_covar": np.float64(0.5), "reg_relative": False},
        {"embedder": Passthrough(stride=1)},
        {"embedder": Passthrough(stride=(3, 2)), "smoothing": 2},
    ],
)
@pytest.mark.filterwarnings("ignore:false_alarm_rate:UserWarning")
def test_what_comes_back_is_what_was_saved(tmp_path, parameters):
    n_samples, dtype = parameters.pop("n_samples", 20), parameters.pop("dtype", "float32")
    detector = fitted(n_samples, dtype, **parameters)
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    new = embeddings(7, dtype, seed=1)
    np.testing.assert_array_equal(restored.score_samples(new), detector.score_samples(new))
    np.testing.assert_array_equal(restored.predict_heatmap(new), detector.predict_heatmap(new))
    np.testing.assert_array_equal(restored.predict(new), detector.predict(new))
    np.testing.assert_array_equal(restored.calibration_scores_, detector.calibration_scores_)
    assert restored.score(new) == detector.score(new)
    assert restored.offset_ == detector.offset_
    assert vars(restored).keys() == vars(detector).keys()
    assert vars(restored.gaussian_).keys() == vars(detector.gaussian_).keys()
    assert type(restored.smoothing) is type(detector.smoothing)
    for name, value in detector.get_params().items():
        if name not in ("smoothing", "embedder"):  # they may be objects without an equality
            assert np.array_equal(restored.get_params()[name], value)
    assert repr(restored.embedder_) == repr(detector.embedder_)


def test_images(on_images, parts, tmp_path):
    restored = skpadim.load(skpadim.save(on_images, tmp_path / "a.skpadim"))
    new = parts.images[20:]
    np.testing.assert_array_equal(
        restored.predict_heatmap(new, size="image"), on_images.predict_heatmap(new, size="image")
    )
    np.testing.assert_array_equal(restored.predict(new), on_images.predict(new))
    assert restored.weights_hash_ == on_images.weights_hash_
    assert repr(restored) == repr(on_images)


def test_all_parameters_of_an_embedder_come_back(parts, tmp_path):
    embedder = PatchEmbedder(
        "resnet18",
        layers=["layer2", "layer1"],
        grid_stride=16,
        neighborhood=1,
        alignment="nearest",
        image_size=(48, 64),
        crop_size=32,
        resample="lanczos",
        jpeg_draft=True,
        weights=None,
        device="cpu",
        engine="torch",
        precision="bfloat16",
        batch_size=4,
        random_state=7,
    )
    detector = PaDiM(embedder=embedder, false_alarm_rate=0.1).fit(parts.images[:20])
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    for mine, other in [
        (restored.embedder, embedder),
        (restored.embedder_, detector.embedder_),
    ]:
        got, wanted = mine.get_params(), other.get_params()
        assert (got.pop("batch_size"), wanted.pop("batch_size")) == (32, 4)  # of a machine
        assert got.pop("layers") == tuple(wanted.pop("layers"))
        assert got == wanted
    restored.set_params(embedder__batch_size=4)  # on which rounding depends
    new = parts.images[20:]
    np.testing.assert_array_equal(restored.score_samples(new), detector.score_samples(new))


@pytest.mark.parametrize(
    "parameters",
    [
        {"image_size": 64, "grid_stride": 224},
        # Its last map is a single cell, whatever the size of images.
        {"backbone": "resnet18", "weights": None, "layers": ["avgpool"], "image_size": 160},
    ],
)
def test_a_grid_of_one_position_comes_back(parts, tmp_path, parameters):
    embedder = PatchEmbedder(engine="torch", **parameters)
    detector = PaDiM(embedder=embedder, n_components=8, random_state=0).fit(parts.images[:20])
    assert detector.grid_shape_ == (1, 1)
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    new = parts.images[20:24]
    np.testing.assert_array_equal(restored.score_samples(new), detector.score_samples(new))


@pytest.mark.usefixtures("no_openvino")
def test_a_name_for_an_embedder_stays_one(parts, tmp_path):
    detector = PaDiM().fit(parts.images[:20])
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    assert restored.embedder == "efficientnet_lite0"
    assert restored.embedder_.get_params() == detector.embedder_.get_params()
    new = parts.images[20:]
    np.testing.assert_array_equal(restored.score_samples(new), detector.score_samples(new))


def test_learning_goes_on(tmp_path):
    """A file that is in use is not written into."""
    first, second, third = embeddings(20), embeddings(9, seed=1), embeddings(20, seed=2)
    detector = PaDiM(embedder="passthrough", n_components=3, reduction="pca")
    for n_first in (1, 3, 20):
        path = skpadim.save(
            detector.partial_fit(first[:n_first]), tmp_path / "a.skpadim", overwrite=True
        )
        content = path.read_bytes()
        restored = skpadim.load(path)
        restored.partial_fit(second).calibrate(third)
        detector.partial_fit(second).calibrate(third)
        np.testing.assert_array_equal(restored.score_samples(first), detector.score_samples(first))
        assert path.read_bytes() == content
        detector = PaDiM(embedder="passthrough", n_components=3, reduction="pca")


def test_learning_goes_on_after_fit(tmp_path):
    detector = fitted()
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    new = embeddings(9, seed=1)
    np.testing.assert_array_equal(
        restored.partial_fit(new).gaussian_.factor_, detector.partial_fit(new).gaussian_.factor_
    )


def test_a_parameter_changed_before_saving_is_still_told(tmp_path):
    detector = fitted().set_params(n_components=2)
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    with pytest.raises(ValueError, match="n_components was None"):
        restored.partial_fit(embeddings(3))


def test_names_of_features_come_back(tmp_path):
    frame = pd.DataFrame(embeddings(20)[:, 0, 0], columns=list("abcde"))
    detector = PaDiM(embedder="passthrough").fit(frame)
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    assert restored.feature_names_in_.tolist() == list("abcde")
    np.testing.assert_array_equal(restored.score_samples(frame), detector.score_samples(frame))


@pytest.mark.parametrize("offset", [-3, -2.5, np.float64(-1.25), 0.0])
def test_a_threshold_of_the_user(tmp_path, offset):
    detector = fitted()
    detector.offset_ = offset
    assert skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim")).offset_ == offset


def test_what_belongs_to_a_machine_or_has_done_its_work_is_left_out(tmp_path):
    detector = fitted(
        memory=str(tmp_path / "cache"), n_components=2, random_state=np.random.RandomState(3)
    )
    detector.set_params(n_jobs=2, verbose=1)
    restored = skpadim.load(skpadim.save(detector, tmp_path / "a.skpadim"))
    assert restored.memory is None
    assert restored.random_state is None
    assert (restored.n_jobs, restored.verbose) == (None, 0)
    np.testing.assert_array_equal(restored.components_, detector.components_)


def in_file(array):
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


@pytest.mark.parametrize("mmap", [True, False])
def test_arrays_are_mapped_or_read(tmp_path, mmap):
    path = skpadim.save(fitted(4, compact=True, false_alarm_rate=0.2), tmp_path / "a.skpadim")
    gaussian = skpadim.load(path, mmap=mmap).gaussian_
    for name in ("factor_", "factor_units_", "eigenvalues_", "location_", "ridge_"):
        assert in_file(getattr(gaussian, name)) == mmap


def test_arrays_that_were_read_do_not_change_with_the_file(tmp_path):
    """As `cp new.skpadim old.skpadim` does it: into the same file."""
    path = skpadim.save(fitted(), tmp_path / "old.skpadim")
    restored, new = skpadim.load(path, mmap=False), embeddings(7, seed=1)
    expected = restored.score_samples(new)
    path.write_bytes(bytes(path.stat().st_size))
    np.testing.assert_array_equal(restored.score_samples(new), expected)


@pytest.mark.slow
def test_workers_take_a_mapped_detector(on_images, parts, tmp_path):
    restored = skpadim.load(skpadim.save(on_images, tmp_path / "a.skpadim"))
    restored.set_params(n_jobs=2, embedder__batch_size=4)
    np.testing.assert_allclose(
        restored.score_samples(parts.images), on_images.score_samples(parts.images), rtol=1e-5
    )


def test_loading_needs_no_torch_and_no_network(on_images, tmp_path):
    path = skpadim.save(on_images, tmp_path / "a.skpadim")
    code = (
        "import socket, sys\n"
        "def refuse(*arguments): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import skpadim\n"
        f"detector = skpadim.load({str(path)!r})\n"
        "assert 'torch' not in sys.modules and 'pickle' in sys.modules\n"
        "print(detector.n_samples_seen_)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "20\n", run.stderr


def test_any_reader_of_safetensors_can_read_the_file(tmp_path):
    detector = fitted()
    arrays = load_file(skpadim.save(detector, tmp_path / "a.skpadim"))
    np.testing.assert_array_equal(arrays["gaussian.location_"], detector.gaussian_.location_)
    np.testing.assert_array_equal(arrays["gaussian.factor_"], detector.gaussian_.factor_)


class TestWeightsFromAFile:
    @pytest.fixture
    def weights(self, tmp_path):
        from torchvision.models import resnet18

        torch.manual_seed(0)
        path = tmp_path / "mine" / "resnet18.pth"
        path.parent.mkdir()
        torch.save(resnet18(weights=None).state_dict(), path)
        return path

    @pytest.fixture
    def detector(self, weights, parts):
        embedder = small_embedder(backbone="resnet18", weights=weights)
        return PaDiM(embedder=embedder).fit(parts.images[:20])

    @pytest.fixture
    def path(self, detector, tmp_path):
        return skpadim.save(detector, tmp_path / "a.skpadim")

    def test_the_file_names_no_folder_of_this_machine(self, path, weights):
        content = path.read_bytes()
        assert b"resnet18.pth" in content
        assert weights.parent.name.encode() + b"/" not in content

    def test_it_has_to_be_given(self, path):
        with pytest.raises(ValueError, match=r"resnet18\.pth': say where that is, weights="):
            skpadim.load(path)

    def test_it_is_used(self, path, weights, detector, parts):
        moved = weights.rename(path.parent / "moved.pth")
        restored = skpadim.load(path, weights=moved)
        np.testing.assert_array_equal(
            restored.score_samples(parts.images), detector.score_samples(parts.images)
        )
        assert restored.embedder.weights == restored.embedder_.weights == moved
        restored.partial_fit(parts.images[24:27])

    def test_others_are_refused(self, path, tmp_path, parts):
        from torchvision.models import resnet18

        other = tmp_path / "other.pth"
        torch.save(resnet18(weights=None).state_dict(), other)
        restored = skpadim.load(path, weights=other)
        with pytest.raises(ValueError, match="are not those that the model was fitted with"):
            restored.predict(parts.images)

    def test_they_stand_in_for_a_download(self, on_images, parts, tmp_path):
        """The published weights themselves, by path."""
        from skpadim.embedding._backbones import lite_classifier

        torch.save(
            lite_classifier("efficientnet_lite0", "imagenet").state_dict(), tmp_path / "w.pt"
        )
        path = skpadim.save(on_images, tmp_path / "a.skpadim")
        restored = skpadim.load(path, weights=tmp_path / "w.pt")
        np.testing.assert_array_equal(
            restored.score_samples(parts.images), on_images.score_samples(parts.images)
        )


class TestDownloads:
    """A file may name a backbone, but does not make a machine download its weights."""

    @pytest.fixture
    def no_weights_here(self, tmp_path, monkeypatch):
        from huggingface_hub import constants

        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")

    @pytest.fixture
    def path(self, on_images, tmp_path):
        return skpadim.save(on_images, tmp_path / "a.skpadim")

    @pytest.mark.usefixtures("no_weights_here")
    @pytest.mark.parametrize(
        ("backbone", "file"),
        [("resnet18", "resnet18-f37072fd.pth"), ("timm/test_resnet", "model.safetensors")],
    )
    def test_missing_weights_are_named(self, path, parts, backbone, file):
        changes = {"backbone": backbone}
        rewritten(path, lambda record, arrays: record["detector"]["embedder_"].update(changes))
        detector = skpadim.load(path)
        with pytest.raises(FileNotFoundError, match=rf"{file} is not in .* does not make this"):
            detector.predict(parts.images)
        with pytest.raises(FileNotFoundError, match="does not make this machine download"):
            pickle.loads(pickle.dumps(detector)).partial_fit(parts.images)

    @pytest.mark.usefixtures("no_weights_here")
    def test_they_are_downloaded_where_that_is_asked_for(self, path, parts):
        changes = {"backbone": "resnet18"}
        rewritten(path, lambda record, arrays: record["detector"]["embedder_"].update(changes))
        detector = skpadim.load(path, weights="imagenet")
        with pytest.raises(FileNotFoundError, match="are missing and cannot be downloaded"):
            detector.predict(parts.images)


class TestSavingIsRefused:
    def test_other_estimators(self, tmp_path):
        with pytest.raises(TypeError, match="it must be a fitted PaDiM"):
            skpadim.save(PatchGaussian(), tmp_path / "a.skpadim")

    def test_unfitted(self, tmp_path):
        with pytest.raises(NotFittedError):
            skpadim.save(PaDiM(), tmp_path / "a.skpadim")
        assert list(tmp_path.iterdir()) == []

    def test_code(self, parts, tmp_path):
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 8, 8))
        embedder = small_embedder(backbone=module, layers=["0"])
        detector = PaDiM(embedder=embedder).fit(parts.images[:20])
        with pytest.raises(TypeError, match=r"is code, which no file of skpadim\.save holds"):
            skpadim.save(detector, tmp_path / "a.skpadim")

    def test_folders(self, tmp_path):
        detector = fitted()
        with pytest.raises(IsADirectoryError, match="is a folder"):
            skpadim.save(detector, tmp_path)
        with pytest.raises(FileNotFoundError, match=r"make .* first"):
            skpadim.save(detector, tmp_path / "no" / "a.skpadim")

    def test_a_file_that_exists(self, tmp_path):
        path = skpadim.save(fitted(), tmp_path / "a.skpadim")
        before = path.read_bytes()
        other = fitted(n_samples=21)
        with pytest.raises(FileExistsError, match=r"a\.skpadim' exists; .* or overwrite=True"):
            skpadim.save(other, path)
        assert path.read_bytes() == before
        skpadim.save(other, path, overwrite=True)
        np.testing.assert_array_equal(
            skpadim.load(path).gaussian_.location_, other.gaussian_.location_
        )

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("offset_", -np.inf, "a finite number must be"),
            ("calibration_scores_", np.array([-1.0, np.nan]), "calibration_scores has numbers"),
            ("smoothing", 20_000, "smooths heatmaps by more than 10000"),
            ("reg_covar", np.inf, "a finite number must be"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:.*the threshold is stale:UserWarning")
    def test_what_could_not_be_loaded(self, tmp_path, name, value, message):
        detector = fitted()
        setattr(detector, name, value)
        with pytest.raises(ValueError, match=rf"cannot be saved, since load .*{message}"):
            skpadim.save(detector, tmp_path / "a.skpadim")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(("name", "value"), [("smoothing", -1), ("false_alarm_rate", 2)])
    def test_an_invalid_parameter(self, tmp_path, name, value):
        detector = fitted()
        setattr(detector, name, value)
        with pytest.raises(ValueError, match=rf"The '{name}' parameter of PaDiM"):
            skpadim.save(detector, tmp_path / "a.skpadim")
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk(self, tmp_path, full_disk):
        """What was there stays there."""
        path = skpadim.save(fitted(), tmp_path / "a.skpadim")
        before = path.read_bytes()
        X = np.random.default_rng(0).normal(size=(20, 100, 20)).astype("f")
        detector = PaDiM(embedder="passthrough").fit(X)
        with full_disk(9999), pytest.raises(OSError, match="cannot be written"):
            skpadim.save(detector, path, overwrite=True)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


class TestLoadingIsRefused:
    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            skpadim.load(tmp_path / "a.skpadim")

    @pytest.mark.parametrize("content", [b"", b"abc", bytes(100), b"{}" * 50])
    def test_other_files(self, tmp_path, content):
        path = tmp_path / "a.skpadim"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="it is damaged, or of another kind"):
            skpadim.load(path)

    @pytest.mark.parametrize("compress", [0, "zlib", "gzip", "bz2", "lzma", "xz"])
    def test_pickles_are_told_for_what_they_are_and_not_opened(self, tmp_path, compress):
        class Harmful:
            def __reduce__(self):
                return Path.touch, (tmp_path / "touched",)

        joblib.dump(Harmful(), tmp_path / "a.skpadim", compress=compress)
        with pytest.raises(ValueError, match=r"looks like a pickle, .*joblib.*convert it"):
            skpadim.load(tmp_path / "a.skpadim")
        assert not (tmp_path / "touched").exists()

    def test_archives_are_told_for_what_they_are(self, tmp_path):
        torch.save({}, tmp_path / "a.skpadim")
        with pytest.raises(ValueError, match="it is an archive, such as skops and torch write"):
            skpadim.load(tmp_path / "a.skpadim")

    def test_arrays_of_others(self, tmp_path):
        save_file({"a": np.zeros(3)}, tmp_path / "a.safetensors")
        with pytest.raises(ValueError, match=r"skpadim.save has not written it"):
            skpadim.load(tmp_path / "a.safetensors")

    def test_newer_formats(self, tmp_path):
        path = skpadim.save(fitted(), tmp_path / "a.skpadim")
        rewritten(path, lambda record, arrays: {**record, "format": 4, "detector": None})
        with pytest.raises(ValueError, match=r"it is of format 4, .* Install a newer one"):
            skpadim.load(path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda r, a: r["detector"]["parameters"].update(memory="//evil/share"), "memory"),
            (lambda r, a: r["detector"]["parameters"].update(reg_covar=-1), "reg_covar"),
            (lambda r, a: r["detector"]["parameters"].update(colour="red"), "colour"),
            (lambda r, a: r["detector"]["parameters"].update(smoothing=1e12), "smooths"),
            (
                lambda r, a: r["detector"]["parameters"].update(smoothing={"filter": "uniform"}),
                "width of a uniform filter",
            ),
            (lambda r, a: r["detector"].update(grid_shape_=[10**6, 10**6]), "shape"),
            (lambda r, a: r["detector"].update(grid_shape_=[0, 6]), "0 is where"),
            (lambda r, a: r["detector"].update(offset_=float("nan")), "a finite number"),
            (lambda r, a: r["detector"].update(offset_=-float("inf")), "a finite number"),
            (lambda r, a: r["detector"].update(offset_=10**400), "out of range"),
            (lambda r, a: r["detector"].update(offset_=True), "threshold is True"),
            (lambda r, a: r["detector"]["parameters"].update(n_jobs=64), "must not set any of"),
            (lambda r, a: r["detector"]["parameters"].update(verbose=1), "must not set any of"),
            (lambda r, a: r["detector"]["embedder_"].update(batch_size=9), "must not set any of"),
            (lambda r, a: r["detector"].update(embedder_="passthrough"), "an embedder must be"),
            (
                lambda r, a: r["detector"]["embedder_"].update(stride=10**6),
                "too large for 6 positions",
            ),
            (lambda r, a: r["detector"]["embedder_"].update(stride=0), "stride"),
            (lambda r, a: r["detector"].update(n_samples_seen_=7), "the number of its samples"),
            (lambda r, a: r["detector"]["gaussian_"].update(seed=2**40), "must be"),
            (lambda r, a: r["detector"]["parameters"].update(embedder="//x/y"), "of a backbone"),
            (lambda r, a: r["detector"]["parameters"].update(smoothing=nested(900)), "Recursion"),
            (lambda r, a: r["detector"].update(offset_="0"), "threshold is '0'"),
            (lambda r, a: r["detector"].update(gaussian_=None), "NoneType"),
            (lambda r, a: r["detector"]["gaussian_"].update(n_samples_seen_=True), "True is where"),
            (lambda r, a: r["detector"]["gaussian_"].update(n_features_in_=7), "dimensions"),
            (lambda r, a: a.__delitem__("gaussian.location_"), "it has no gaussian.location_"),
            (lambda r, a: a.__delitem__("gaussian.ridge_"), "it has no gaussian.ridge_"),
            (lambda r, a: a.update({"gaussian.factor_": np.zeros((6, 3), "f")}), "of shape"),
            (
                lambda r, a: a.update({"gaussian.factor_": a["gaussian.factor_"].astype("i2")}),
                "int16",
            ),
            (lambda r, a: a.update(components=np.arange(5) - 1), "selects dimensions"),
            (lambda r, a: a.update(components=np.arange(5) * 10), "selects dimensions"),
            (lambda r, a: a.update(components=np.arange(5) // 2), "a dimension twice"),
            (lambda r, a: r["detector"].update(embedder_=3), "3 is where an embedder must be"),
            (lambda r, a: [1], "header is damaged"),
            (lambda r, a: {"format": 1}, "header is incomplete"),
            (lambda r, a: {"format": "x"}, "header is damaged"),
            (lambda r, a: {**r, "format": 0}, "0 is no format"),
            (lambda r, a: {**r, "format": True}, "True is no format"),
            (lambda r, a: {**r, "versions": [1]}, "header is incomplete"),
            (lambda r, a: r["detector"]["gaussian_"].update(moments={"n_samples": 4}), "moments"),
        ],
    )
    def test_contradictions(self, tmp_path, change, message):
        path = skpadim.save(fitted(), tmp_path / "a.skpadim")
        rewritten(path, change)
        with pytest.raises(ValueError, match=message):
            skpadim.load(path)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize(
        ("name", "parameters"),
        [
            ("calibration_scores", {}),
            ("gaussian.location_", {}),
            ("gaussian.components_", {"n_components": 3, "reduction": "pca"}),
            ("gaussian.factor_", {}),
            ("gaussian.factor_", {"n_samples": 4}),
            ("gaussian.eigenvalues_", {"n_samples": 4}),
            ("gaussian.factor_units_", {"compact": True}),
            ("gaussian.ridge_", {}),
        ],
    )
    def test_numbers_that_are_not_finite(self, tmp_path, name, parameters, value):
        detector = fitted(**parameters, false_alarm_rate=0.2)
        path = skpadim.save(detector, tmp_path / "a.skpadim")
        rewritten(path, lambda record, arrays: np.put(arrays[name], [0], value))
        with pytest.raises(ValueError, match="has numbers that are not finite"):
            skpadim.load(path)

    @pytest.mark.parametrize(
        ("name", "n_samples", "value"),
        [
            ("gaussian.ridge_", 20, -1e-9),
            ("gaussian.ridge_", 4, 0),
            ("gaussian.eigenvalues_", 4, -1e-9),
            ("gaussian.factor_units_", 4, 0),
            ("gaussian.factor_", 20, -1),
        ],
    )
    def test_numbers_out_of_range(self, tmp_path, name, n_samples, value):
        compact = name.endswith("units_")
        detector = fitted(n_samples, compact=compact, false_alarm_rate=0.2)
        path = skpadim.save(detector, tmp_path / "a.skpadim")
        rewritten(path, lambda record, arrays: np.put(arrays[name], [0], value))
        with pytest.raises(ValueError, match=r"has numbers as low as|of no covariance"):
            skpadim.load(path)

    def test_moments_that_are_not_finite(self, tmp_path):
        detector = PaDiM(embedder="passthrough").partial_fit(embeddings(20))
        path = skpadim.save(detector, tmp_path / "a.skpadim")
        rewritten(path, lambda record, arrays: np.put(arrays["moments.scatter"], [3], np.nan))
        with pytest.raises(ValueError, match=r"moments\.scatter has numbers that are not finite"):
            skpadim.load(path)

    @pytest.mark.parametrize(
        "changes",
        [
            {"image_size": 10**9},
            {"image_size": 10**6, "crop_size": 32},
            {"image_size": 0},
            {"image_size": 4096, "grid_stride": 1024},
            {"image_size": 24},
            {"grid_stride": 4},
            {"neighborhood": 10**9 + 1},
        ],
    )
    def test_images_that_do_not_go_with_the_grid(self, on_images, tmp_path, changes):
        path = skpadim.save(on_images, tmp_path / "a.skpadim")
        rewritten(path, lambda record, arrays: record["detector"]["embedder_"].update(changes))
        with pytest.raises(ValueError, match=r"pixels|image_size|neighborhood"):
            skpadim.load(path)

    def test_a_grid_that_is_not_the_networks_is_told_at_the_first_image(self, parts, tmp_path):
        detector = PaDiM(embedder=small_embedder(), n_components=8, random_state=0)
        path = skpadim.save(detector.fit(parts.images[:20]), tmp_path / "a.skpadim")
        arrays = load_file(path)

        def halve(record, arrays):
            record["detector"]["grid_shape_"] = [2, 4]
            for name in ("location_", "factor_"):
                arrays[f"gaussian.{name}"] = arrays[f"gaussian.{name}"][:8]

        assert len(arrays["gaussian.location_"]) == 16
        rewritten(path, halve)
        with pytest.raises(ValueError, match=r"have \(4, 4, 8\) rows, .* is of \(2, 4, 8\)"):
            skpadim.load(path).predict(parts.images)

    @pytest.mark.parametrize(
        "name", ["/etc/x", "../x", "timm/hf-hub:evil/x", "timm/local-dir:x", "a b", "", "C:\\x"]
    )
    def test_backbones_by_anything_but_a_name(self, on_images, tmp_path, name):
        path = skpadim.save(on_images, tmp_path / "a.skpadim")
        changes = {"backbone": name}
        rewritten(path, lambda record, arrays: record["detector"]["embedder_"].update(changes))
        with pytest.raises(ValueError, match="is where the name of a backbone must be"):
            skpadim.load(path)

    @pytest.mark.parametrize("part", ["parameters", "embedder_", "stream_parameters"])
    def test_paths_of_weights(self, on_images, tmp_path, part):
        """A file may not say which file of its user is opened."""
        path = skpadim.save(on_images, tmp_path / "a.skpadim")

        def name_a_path(record, arrays):
            inner = record["detector"][part]
            inner = inner["embedder"] if part == "parameters" else inner
            inner["embedder__weights" if part == "stream_parameters" else "weights"] = "//x/y.pth"

        rewritten(path, name_a_path)
        with pytest.raises(ValueError, match="names a file of weights by its path"):
            skpadim.load(path)

    def test_deep_headers(self, tmp_path):
        path = tmp_path / "a.skpadim"
        text = "[" * 100_000
        save_file({}, path, {"skpadim": text, "sha256": checksum_of(text, {})})
        with pytest.raises(ValueError, match="header is damaged"):
            skpadim.load(path)

    def test_no_claim_is_allocated(self, tmp_path):
        """Neither lengths of headers nor shapes of arrays are believed."""
        header = json.dumps(
            {
                "__metadata__": {"skpadim": '{"format": 1}', "sha256": ""},
                "a": {"dtype": "F64", "shape": [10**6, 10**6], "data_offsets": [0, 8 * 10**12]},
            }
        ).encode()
        for claim in (len(header), 2**40, 2**63 - 1):
            path = tmp_path / "a.skpadim"
            path.write_bytes(struct.pack("<Q", claim) + header + bytes(80))
            tracemalloc.start()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            with pytest.raises(ValueError, match="it is damaged"):
                skpadim.load(path)
            assert tracemalloc.get_traced_memory()[1] < 2**20
            tracemalloc.stop()
            # In KiB on Linux, in bytes on macOS, where the limit is stricter.
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**15


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    detector = fitted(n_components=3, random_state=0)
    return skpadim.save(detector, tmp_path_factory.mktemp("fuzz") / "a.skpadim")


class TestFuzz:
    """Damage is told; what is not told changes nothing; nothing but ValueError comes out."""

    def test_every_flipped_byte(self, small_file):
        content = small_file.read_bytes()
        damaged = small_file.with_name("flipped.skpadim")
        for index in range(len(content)):
            damaged.write_bytes(
                content[:index] + bytes([content[index] ^ (1 << index % 8)]) + content[index + 1 :]
            )
            with pytest.raises(ValueError, match="cannot be loaded as a detector"):
                skpadim.load(damaged)

    def test_every_length(self, small_file):
        content = small_file.read_bytes()
        damaged = small_file.with_name("truncated.skpadim")
        for length in [*range(0, len(content), 7), len(content) - 1]:
            damaged.write_bytes(content[:length])
            with pytest.raises(ValueError, match="cannot be loaded as a detector"):
                skpadim.load(damaged)
        damaged.write_bytes(content + b"\0")
        with pytest.raises(ValueError, match="cannot be loaded as a detector"):
            skpadim.load(damaged)

    @settings(max_examples=300)
    @given(data=st.data())
    @pytest.mark.slow
    def test_hostile_headers(self, small_file, data):
        """A header with any value in any place, and a right checksum."""
        hostile = small_file.with_name("hostile.skpadim")
        hostile.write_bytes(small_file.read_bytes())
        values = st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=8)
            | st.sampled_from(["../../etc/passwd", "passthrough", 10**30, 2**63, nested(900)]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=2)
            ),
            max_leaves=5,
        )

        def change(record, arrays):
            places = list(leaves(record))
            place = data.draw(st.sampled_from(places))
            *way, last = place
            inner = record
            for key in way:
                inner = inner[key]
            inner[last] = data.draw(values)

        rewritten(hostile, change)
        try:
            detector = skpadim.load(hostile)
        except ValueError:
            return
        # What is taken can be used, or says why not.
        assert prod(detector.grid_shape_) == len(detector.gaussian_.location_)
        assert np.isfinite(getattr(detector, "offset_", 0.0))
        assert (detector.n_jobs, detector.verbose, detector.memory) == (None, 0, None)
        try:
            detector.score_samples(embeddings(2))
        except ValueError:
            return

    @settings(max_examples=200)
    @given(data=st.data())
    def test_hostile_arrays(self, small_file, data):
        hostile = small_file.with_name("hostile.skpadim")
        hostile.write_bytes(small_file.read_bytes())

        def change(record, arrays):
            name = data.draw(st.sampled_from(sorted(arrays)))
            shape = data.draw(st.lists(st.integers(0, 7), max_size=3))
            dtype = data.draw(st.sampled_from(["f4", "f8", "i2", "i8", "u1", "?"]))
            arrays[name] = np.zeros(shape, dtype)

        rewritten(hostile, change)
        try:
            detector = skpadim.load(hostile)
        except ValueError:
            return
        assert np.all(detector.score_samples(embeddings(2)) <= 0)

    @settings(max_examples=200)
    @given(data=st.data())
    def test_hostile_numbers(self, small_file, data):
        """Any number in any place of any array."""
        hostile = small_file.with_name("hostile.skpadim")
        hostile.write_bytes(small_file.read_bytes())

        def change(record, arrays):
            array = arrays[data.draw(st.sampled_from(sorted(arrays)))]
            place = data.draw(st.integers(0, array.size - 1))
            if array.dtype.kind == "f":
                number = st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf, -0.0])
            else:
                number = st.integers(-9, 9)
            array.flat[place] = data.draw(number)

        rewritten(hostile, change)
        try:
            detector = skpadim.load(hostile)
        except ValueError:
            return
        assert np.all(detector.score_samples(embeddings(2)) <= 0)

    @pytest.mark.filterwarnings("ignore:.*the threshold is stale:UserWarning")
    @pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")
    @settings(max_examples=100)
    @given(data=st.data())
    def test_what_save_writes_load_reads(self, small_file, data):
        """Whatever has been set since the fit, by a user or by code of theirs."""
        path = small_file.with_name("again.skpadim")
        detector = skpadim.load(small_file)
        numbers = st.floats() | st.integers() | st.sampled_from([0, 0.5, 1, None, True, "x", (2,)])
        names = ("offset_", "n_samples_seen_", "grid_shape_", *detector.get_params(deep=False))
        chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2))
        values = [data.draw(numbers) for _ in chosen]
        try:
            for name, value in zip(chosen, values, strict=True):
                setattr(detector, name, Passthrough(value) if name == "embedder" else value)
            skpadim.save(detector, path, overwrite=True)
        except (TypeError, ValueError):
            return
        restored = skpadim.load(path)
        assert restored.offset_ == detector.offset_


def leaves(value, way=()):
    """Iterate over the ways to all that a header holds."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield (*way, key)
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*way, key))


@pytest.mark.parametrize("path", sorted(DATA.glob("format-*.skpadim")), ids=lambda path: path.stem)
def test_files_of_released_formats_can_be_read(path):
    """Written by tests/data/write_detectors.py when the format was new; never written again."""
    expected = json.loads(path.with_suffix(".json").read_text())
    detector = skpadim.load(path)
    if isinstance(detector.embedder_, Passthrough):
        new = embeddings(5, detector.gaussian_.location_.dtype.name, seed=1)
    else:
        from skpadim.datasets import make_inspection_images

        new = make_inspection_images(n_good=2, n_defective=2, image_size=64, random_state=1).images
    np.testing.assert_allclose(detector.score_samples(new), expected["scores"], rtol=1e-4)
    assert detector.predict(new).tolist() == expected["decisions"]


@pytest.mark.parametrize(
    "path", sorted(DATA.glob("format-*-moments.skpadim")), ids=lambda p: p.stem
)
def test_learning_goes_on_from_files_of_all_formats(path):
    detector = skpadim.load(path)
    assert detector.partial_fit(embeddings(3, "float32", seed=2)).n_samples_seen_ == 23


def test_learning_goes_on_from_a_file_that_is_older_than_a_parameter():
    from skpadim.datasets import make_inspection_images

    detector = skpadim.load(DATA / "format-1-images.skpadim")
    assert (
        "resample"
        not in read_header(DATA / "format-1-images.skpadim").detector["parameters"]["embedder"]
    )
    more = make_inspection_images(n_good=3, n_defective=0, image_size=64, random_state=2).images
    assert detector.partial_fit(more).n_samples_seen_ == 23


def test_each_format_has_files(tmp_path):
    present = read_header(skpadim.save(fitted(), tmp_path / "a.skpadim")).format
    formats = {path.stem.split("-")[1] for path in DATA.glob("format-*.skpadim")}
    assert formats == {str(number) for number in range(1, present + 1)}


def test_header(on_images, tmp_path):
    path = skpadim.save(on_images, tmp_path / "a.skpadim")
    header = read_header(path)
    assert header.format == 3
    assert header.versions["skpadim"] == skpadim.__version__
    assert header.detector["weights_hash_"] == on_images.weights_hash_
    assert os.fspath(tmp_path) not in json.dumps(header)
