"""What several tests share."""

import os
from pathlib import Path

import pytest

from skpadim.datasets import load_mvtec_ad, make_inspection_images


@pytest.fixture(scope="session")
def parts():
    """Small synthetic pictures: 30 good ones, then 6 defective ones."""
    return make_inspection_images(n_good=30, n_defective=6, image_size=96, random_state=0)


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
