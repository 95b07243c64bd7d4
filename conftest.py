"""Shares the tests out among cores, and runs the Python blocks of README.md and docs/ as tests.

A page is one namespace, which knows beforehand what the blocks take for granted: `good_images` and
`new_images`, `images` of both kinds with their labels `y` and `masks`, and a `detector`. It runs in
a folder of its own, where the same pictures lie in files below `parts`. What else a page needs it
makes in an invisible block, ``<!-- invisible-code-block: python ... -->``. A block that cannot run
is marked by ``<!-- skip: next -->``. A block that begins with "# Wrong" may warn of what is wrong.
"""

import os
import tempfile
from copy import deepcopy
from functools import cache
from pathlib import Path

import hypothesis
import joblib
import pytest
from PIL import Image
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from skpadim import PaDiM
from skpadim.datasets import make_inspection_images

# Enough good ones that four fifths of them keep a false-alarm rate of 5 %.
_N_GOOD, _N_NEW_GOOD, _N_DEFECTIVE = 25, 2, 5

# How long an example takes says nothing on a busy machine.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

# They fit many times at full size.
_SLOW_PAGES = [
    Path(__file__).parent / "docs" / page
    for page in (
        "pitfalls.md",
        "scaling.md",
        "how_to/drift.md",
        "how_to/export.md",
        "how_to/labels.md",
        "how_to/masks.md",
        "how_to/persistence.md",
        "how_to/pipelines.md",
        "how_to/streaming.md",
        "how_to/threshold.md",
    )
]

collect_ignore = ["docs/conf.py", "docs/_build", "docs/_ext", "docs/gallery"]


@cache
def _parts():
    parts = make_inspection_images(
        _N_GOOD + _N_NEW_GOOD, _N_DEFECTIVE, image_size=224, random_state=0
    )
    return parts, PaDiM().fit(parts.images[:_N_GOOD])


def _set_up(namespace):
    parts, detector = _parts()
    folder = tempfile.TemporaryDirectory()
    namespace.update(
        good_images=parts.images[:_N_GOOD],
        new_images=parts.images[_N_GOOD:],
        images=parts.images,
        y=parts.y,
        masks=parts.masks,
        detector=deepcopy(detector),
        _left=(folder, os.getcwd()),
    )
    os.chdir(folder.name)
    for number, (defect, image, mask) in enumerate(
        zip(parts.defects, parts.images, parts.masks, strict=True)
    ):
        if number < _N_GOOD:
            _save(image, f"parts/ok/{number:04}.png")
        elif defect == "good":
            _save(image, f"parts/new/{number:04}.png")
        else:
            _save(image, f"parts/rejected/{defect}/{number:04}.png")
            _save(mask, f"parts/masks/{defect}/{number:04}.png")


def _save(pixels, name):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(name, compress_level=1)


def _tear_down(namespace):
    folder, before = namespace["_left"]
    os.chdir(before)
    folder.cleanup()


def pytest_configure(config):
    """Let each worker, and what it starts, take one core: together they take all."""
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """Start a worker for each core, and none, which takes seconds, where single tests are named."""
    return 0 if all("::" in argument for argument in config.args) else joblib.cpu_count()


@pytest.hookimpl(tryfirst=True)  # before tests are left out by their marks
def pytest_collection_modifyitems(items):
    """Let wrong ways warn, and mark the slow pages."""
    for item in items:
        if item.path in _SLOW_PAGES:
            item.add_marker(pytest.mark.slow)
        example = getattr(item, "example", None)
        if example is not None and str(example.parsed).lstrip().startswith("# Wrong"):
            item.add_marker(pytest.mark.filterwarnings("ignore::UserWarning"))


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    setup=_set_up,
    teardown=_tear_down,
).pytest()
