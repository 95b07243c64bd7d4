"""Images as they are to be seen: a camera stores what its sensor saw, and how it was held."""

import os

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from skpadim._sizes import Size

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

# Where PNG keeps an orientation: the key in Image.info, and the bytes that announce it in a file.
_PNG_EXIF = {
    "exif": b"eXIf",
    "xmp": b"XML:com.adobe.xmp",
    "Raw profile type exif": b"Raw profile type exif",
}


def turn_upright(image: Image.Image) -> Image.Image:
    """Load an image and return it the right way up."""
    # PNG may carry its orientation behind the pixels, and TIFF is turned while it is loaded.
    image.load()
    orientation = _orientation(image)
    if orientation not in _TRANSPOSE:
        return image
    turned = image.transpose(_TRANSPOSE[orientation])
    turned.format = image.format
    return turned


def upright_size(image: Image.Image, path: str | os.PathLike[str]) -> Size | None:
    """Return the size of an opened file the right way up, None if only decoding can tell."""
    if image.format == "PNG":
        with open(path, "rb") as file:
            content = file.read()
        if any(key not in image.info and mark in content for key, mark in _PNG_EXIF.items()):
            return None
    if _orientation(image) not in _SIDEWAYS:
        return image.height, image.width
    # Pillow's versions differ in which size a TIFF on its side has before loading.
    return None if isinstance(image, TiffImageFile) else (image.width, image.height)


def read_size(path: str | os.PathLike[str]) -> Size:
    """Return the size of an image file the right way up, from its header if that can tell."""
    with Image.open(path) as image:
        size = upright_size(image, path)
        if size is not None:
            return size
        upright = turn_upright(image)
        return upright.height, upright.width


def _orientation(image: Image.Image) -> int:
    try:
        # Not image.getexif(), which decodes a PNG to see what stands behind the pixels.
        return Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:
        # Malformed metadata do not spoil the pixels: other readers ignore them as well.
        return 1
