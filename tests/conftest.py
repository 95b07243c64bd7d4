"""What several tests share."""

import os
from pathlib import Path

import pytest
from PIL import Image

from skpadim.datasets import load_mvtec_ad, make_inspection_images


@pytest.fixture(scope="session")
def parts():
    """Small synthetic pictures: 30 good ones, then 6 defective ones."""
    return make_inspection_images(n_good=30, n_defective=6, image_size=96, random_state=0)


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
