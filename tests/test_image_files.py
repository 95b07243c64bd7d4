"""Images in folders: which files are taken, and what is said of the others."""

import io

import numpy as np
import pytest
from PIL import Image

from skpadim._image_files import IMAGE_EXTENSIONS, PILLOW_FORMATS, find_images


@pytest.mark.parametrize("ending", IMAGE_EXTENSIONS)
def test_a_file_is_opened_as_the_format_that_its_ending_stands_for(ending):
    file = io.BytesIO()
    grey = Image.fromarray(np.full((16, 24), 255, np.uint8))
    grey.convert("1" if ending == ".pbm" else "L").save(file, IMAGE_EXTENSIONS[ending])
    with Image.open(file, formats=PILLOW_FORMATS) as image:
        assert image.format == IMAGE_EXTENSIONS[ending]
        assert image.convert("L").getpixel((5, 5)) == 255


def test_all_files_that_may_be_opened_are_found(tmp_path):
    for ending in IMAGE_EXTENSIONS:
        (tmp_path / f"part{ending}").touch()
        (tmp_path / f"PART{ending.upper()}").touch()
    assert len(find_images(tmp_path, argument="DIR")) == 2 * len(IMAGE_EXTENSIONS)


def test_what_starts_another_program_is_no_image():
    assert not {"EPS", "WMF", "PDF"} & set(PILLOW_FORMATS)
