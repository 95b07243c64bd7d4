"""Files of every format, mutated: each is read, or is an error that names it; nothing else."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from skpadim.images import ImageSequence

_PICTURE = Image.fromarray(
    np.add.outer(np.arange(24) * 3, np.arange(32) * 5)[..., np.newaxis].astype(np.uint8)
    + np.array([0, 40, 90], np.uint8)
)


def _file(name, mode="RGB", pages=1, **options):
    content = io.BytesIO()
    picture = _PICTURE.convert("L").convert("I;16") if mode == "I;16" else _PICTURE.convert(mode)
    more = {"save_all": True, "append_images": [picture] * (pages - 1)} if pages > 1 else {}
    picture.save(content, name, **options, **more)
    return content.getvalue()


_EXIF = Image.Exif()
_EXIF[0x0112] = 6

FILES = [
    _file("PNG", exif=_EXIF),
    _file("PNG", "P"),
    _file("PNG", "I;16"),
    _file("PNG", pages=2),
    _file("JPEG", exif=_EXIF),
    _file("JPEG", "CMYK", progressive=True),
    _file("TIFF", tiffinfo={0x0112: 6}),
    _file("TIFF", "I;16"),
    _file("TIFF", "F"),
    _file("TIFF", compression="tiff_lzw", pages=2),
    _file("BMP"),
    _file("GIF", "P", pages=2),
    _file("PPM"),
    _file("WEBP"),
    _file("JPEG2000"),
    _file("TGA"),
]


@st.composite
def mutated(draw):
    """A file of which some bytes are changed, taken out, put in, repeated or exchanged."""
    content = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 4))):
        # Headers are where readers can be led astray.
        place = draw(st.integers(0, min(len(content), 100)) | st.integers(0, len(content)))
        length = draw(st.integers(1, 8) | st.integers(1, 200))
        kind = draw(st.sampled_from(["change", "cut", "insert", "repeat", "end"]))
        if kind == "change":
            new = draw(st.binary(min_size=1, max_size=4))
            content[place : place + len(new)] = new
        elif kind == "cut":
            del content[place : place + length]
        elif kind == "insert":
            content[place:place] = draw(st.binary(max_size=8))
        elif kind == "repeat":
            content[place:place] = content[place : place + length]
        else:
            del content[place:]
    return bytes(content)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated") / "part.png"


@settings(max_examples=300)
@example(content=b"")
@given(content=mutated())
def test_a_mutated_file_is_read_or_an_error_that_names_it(path, content):
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow tells of damage that it can mend
        marked = ImageSequence([path], on_error="mark")
        if marked.decoded(0) is None:
            with pytest.raises((TypeError, ValueError)) as told:
                ImageSequence([path])[0]
            assert str(told.value) == f"X[0], {str(path)!r}, {marked.errors[0]}"
            return
        pixels = ImageSequence([path])[0]
    assert pixels.dtype == np.uint8
    assert pixels.shape[:2] == marked.sizes[0]
    assert pixels.shape[2:] in ((), (3,))
