import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skpadim.datasets import make_inspection_images

FOLDER = Path(__file__).parents[1] / "benchmarks"


def run(script, *arguments):
    command = [sys.executable, FOLDER / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_scaling_measures_each_size_with_each_count():
    done = run("scaling.py", "--sizes", "64", "96", "--counts", "20", "40", "--image-size", "32")
    lines = done.stdout.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in rows[2:]] == [["64", "20"], ["64", "40"], ["96", "20"], ["96", "40"]]
    assert all(float(cell) >= 0 for row in rows[2:] for cell in row)


def test_scaling_names_a_number_that_is_too_small():
    done = run("scaling.py", "--sizes", "64", "--counts", "20", "1")
    assert done.returncode == 2
    assert "--counts must be 2 or more; got 1" in done.stderr


@pytest.fixture
def category(tmp_path):
    """A small category laid out like MVTec AD."""
    parts = make_inspection_images(n_good=28, n_defective=4, image_size=64, random_state=0)
    for i, (image, mask, y) in enumerate(zip(parts.images, parts.masks, parts.y, strict=True)):
        folder = "train/good" if i < 24 else "test/good" if y == 1 else "test/bad"
        for pixels, path in (
            (image, f"{folder}/{i}.png"),
            (mask, f"ground_truth/bad/{i}_mask.png"),
        ):
            if path.startswith("ground_truth") and y == 1:
                continue
            target = tmp_path / "flange" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target)
    return tmp_path


def test_accuracy_has_the_mean_over_seeds_and_its_standard_error(category):
    setting = "embedder__image_size=64, n_components=5"
    done = run("accuracy.py", category, "flange", "--setting", setting, "--seeds", "0-1,4")
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    measures = np.array([row[1:4] for row in rows if row[0] == "flange"], dtype=float)
    assert len(measures) == 3
    assert len({tuple(row) for row in measures}) > 1
    mean, error = ([float(cell) for cell in row[-3:]] for row in rows[-2:])
    np.testing.assert_allclose(mean, measures.mean(axis=0), atol=1e-4)
    expected = measures.std(axis=0, ddof=1) / np.sqrt(3)
    np.testing.assert_allclose(error, expected, atol=1e-4)


@pytest.mark.parametrize("seeds", ["a", "1-b", "0,0", "3-1"])
def test_accuracy_refuses_what_are_no_seeds(category, seeds):
    done = run("accuracy.py", category, "flange", "--seeds", seeds)
    assert done.returncode == 2
    assert "seed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "fit,speed"), "'speed' is none of import, fit, processes, predict"),
        (("--repeats", "0"), "'0' is not a whole number from 1 on"),
        (("--contenders", "anomalib"), "anomalib needs skpadim-openvino or skpadim-torch"),
        ((), "there is no folder"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_installed(tmp_path, arguments, message):
    done = run("compare_anomalib.py", str(tmp_path / "nowhere"), "bottle", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
