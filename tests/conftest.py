"""What several tests share."""

import os
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import load_mvtec_ad, make_inspection_images


@pytest.fixture(scope="session")
def parts():
    """Small synthetic pictures: 30 good ones, then 6 defective ones."""
    return make_inspection_images(n_good=30, n_defective=6, image_size=96, random_state=0)


@pytest.fixture(scope="session")
def good(parts):
    """The pictures that detectors of the tests learn from."""
    return parts.images[:24]


@pytest.fixture(scope="session")
def detector(good):
    """Detector that has learnt from them: all tests share it, and who changes it takes a copy."""
    return PaDiM(embedder=PatchEmbedder(image_size=64, engine="torch")).fit(good)


@pytest.fixture(scope="session")
def folder(parts, tmp_path_factory):
    """Those pictures, laid out like MVTec AD: 24 to train, 6 good and 6 defective ones to test."""
    folder = tmp_path_factory.mktemp("data") / "parts"
    for index, (pixels, mask) in enumerate(zip(parts.images, parts.masks, strict=True)):
        files = {"train/good" if index < 24 else "test/good": (f"{index}.png", pixels)}
        if index >= 30:
            files = {
                "test/bad": (f"{index}.png", pixels),
                "ground_truth/bad": (f"{index}_mask.png", mask),
            }
        for place, (name, array) in files.items():
            (folder / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / place / name)
    return folder


@pytest.fixture
def unreadable(tmp_path):
    """Make a folder that nobody can read, root included: its path is longer than paths may be."""

    def make(name):
        place, folder = os.open(tmp_path, os.O_RDONLY), tmp_path
        limit = os.pathconf(tmp_path, "PC_PATH_MAX")
        while len(str(folder)) < limit:
            os.mkdir(name, dir_fd=place)
            inner = os.open(name, os.O_RDONLY, dir_fd=place)
            os.close(place)
            place, folder, name = inner, folder / name, "x" * 200
        os.close(place)
        return folder

    return make


@pytest.fixture
def interrupts():
    """Let what is started heed SIGINT, which shells have their background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def all_cores(monkeypatch):
    """Let the package use as many threads as there are cores, whatever the tests' worker may."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.fixture
def no_openvino(monkeypatch):
    """Let engine "auto" take torch: OpenVINO takes seconds to compile a network."""
    monkeypatch.setattr("skpadim.embedding._engines.find_spec", lambda name: None)


@pytest.fixture
def full_disk():
    """Let writing a file fail beyond some number of bytes, as on a full disk."""
    resource = pytest.importorskip("resource", reason="needs POSIX limits")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def full(n_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return full


@pytest.fixture(scope="session")
def wait_for():
    """Wait until a condition holds, for as long as a busy machine may take."""

    def wait(condition, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it has not happened"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def real_data():
    """Load a category of real images, where they are at hand."""

    def load(category):
        root = os.environ.get("SKPADIM_TEST_DATA")
        if not root:
            pytest.skip(
                "needs real images: set SKPADIM_TEST_DATA to a folder laid out like MVTec AD"
            )
        return load_mvtec_ad(Path(root), category)

    return load
