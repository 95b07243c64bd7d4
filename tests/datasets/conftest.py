import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def write_image(tmp_path):
    """Write a small grey image below the temporary folder and return its path."""

    def write(name, pixels=None):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 6), np.uint8) if pixels is None else pixels).save(path)
        return path

    return write
