"""Images as they are to be seen: a camera stores what its sensor saw, and how it was held."""

import os

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from skpadim._formats import header_in, opened, with_scale
from skpadim._sizes import Size

_Tag = ExifTags.Base

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_SIDEWAYS = {5, 6, 7, 8}


def load_upright(image: Image.Image) -> Image.Image:
    """Load an image; return it the right way up, with the scale that its header says."""
    _load(image)
    # After loading: PNG may carry its orientation behind the pixels, and TIFF is turned by then.
    orientation = _orientation(image)
    scaled = with_scale(image)
    return scaled.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else scaled


def _load(image: Image.Image) -> None:
    if not (isinstance(image, TiffImageFile) and image.filename):
        image.load()
        return
    # Pillow maps files that it knows the names of, and mistakes the sides of TIFF on their side.
    name, image.filename = image.filename, ""
    try:
        image.load()
    finally:
        image.filename = name


def upright_size(header: Image.Image) -> Size:
    """Return the size that an image has the right way up, from its header."""
    width, height = header.size
    if isinstance(header, TiffImageFile):
        # Pillow's versions differ in which size a TIFF on its side has before loading.
        width, height = header.tag_v2[_Tag.ImageWidth], header.tag_v2[_Tag.ImageLength]
    return (width, height) if _orientation(header) in _SIDEWAYS else (height, width)


def read_size(path: str | os.PathLike[str]) -> Size:
    """Return the size of an image file the right way up, from its header."""
    with opened(path) as file:
        return upright_size(header_in(file))


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(), which decodes a PNG to see what stands behind the pixels.
        return Image.Image.getexif(image).get(_Tag.Orientation, 1)
    except Exception:
        # Malformed metadata do not spoil the pixels: other readers ignore them as well.
        return 1
