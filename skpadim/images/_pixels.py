"""From one file or array, in whatever mode it is stored, to uint8 pixels."""

import os
import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image

from skpadim._estimators import caller_level
from skpadim._formats import (
    check_header,
    has_more_bands,
    has_more_frames,
    header_in,
    in_strips,
    is_complete,
    iter_strips,
    opened,
    reason_of,
    whole_image_in,
)
from skpadim._orientation import load_upright, upright_size
from skpadim._sizes import Size

# Modes whose numbers are not grey levels or RGB values, or not in that order.
_MODES_TO_CONVERT = {"P", "PA", "CMYK", "YCbCr", "LAB", "HSV"}

# Modes whose pixels have not eight bits.
_DEPTHS = {"1": "1-bit", "I": "16-bit", "F": "floating-point"} | dict.fromkeys(
    ("I;16", "I;16L", "I;16B", "I;16N"), "16-bit"
)

LOAD_FOLDER = "skpadim.datasets.load_folder lists the images of a folder"

# What is left out of a file: how it is told, and how it is seen.
_LEFT_OUT: dict[str, Callable[[Image.Image], bool]] = {
    "several frames or pages, of which only the first is read": has_more_frames,
    "bands that are neither colours nor alpha, which are not read": has_more_bands,
}
_MOST_NAMED = 3


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file into an array, as it is stored.

    The EXIF orientation is applied. Palette, CMYK, YCbCr, LAB and HSV images become RGB;
    everything else stays what it is, so that 16 bit and floating-point images lose nothing. 0 is
    black, and TIFF files of 12 bits are brought to 16. `ImageSequence` gives the same result for
    the path and for this array.

    Parameters
    ----------
    path : str or os.PathLike
        A PNG, JPEG, TIFF, BMP, GIF, PPM, PGM, WebP, JPEG 2000, AVIF or TGA file.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, channels)
        Pixels as uint8, uint16, bool or float32; int32 for images whose integers have no known
        scale.

    Raises
    ------
    ValueError
        If the file is missing, is no image in one of these formats, is damaged, is larger than
        67 million pixels (or ``PIL.Image.MAX_IMAGE_PIXELS``, if that is set), or has a scale that
        nobody knows.

    Warns
    -----
    UserWarning
        If the file has several frames or pages, of which the first is read, or bands that are
        neither colours nor alpha.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skpadim.images import read_image
    >>> part = np.arange(12, dtype=np.uint16).reshape(3, 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "part.png")
    ...     Image.fromarray(part).save(path)
    ...     np.array_equal(read_image(path), part)
    True
    """
    name = repr(os.fspath(path))
    left_out = LeftOut()
    image = read_file(path, name, left_out=left_out)
    left_out.warn()
    return in_strips(image)


class LeftOut:
    """What was seen to be left out of files, told in one warning of each kind."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {kind: [] for kind in _LEFT_OUT}

    def look_at(self, image: Image.Image, name: str) -> None:
        for kind, is_left_out in _LEFT_OUT.items():
            if is_left_out(image):
                self._names[kind].append(name.rstrip(","))

    def warn(self) -> None:
        for kind, names in self._names.items():
            if names:
                more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
                message = f"{'; '.join(names[:_MOST_NAMED])}{more}: {kind}."
                warnings.warn(message, UserWarning, stacklevel=caller_level())


def read_file(
    path: str | os.PathLike[str],
    name: str,
    draft_size: int | None = None,
    checked_size: Size | None = None,
    left_out: LeftOut | None = None,
) -> Image.Image:
    """Return a file's image, upright; a JPEG may be reduced, to no less than `draft_size`."""
    try:
        with opened(path) as file:
            image = whole_image_in(file)
            if left_out is not None:
                left_out.look_at(image, name)
            if checked_size is not None and sorted(image.size) != sorted(checked_size):
                raise OSError("it has another size than when it was checked")
            if draft_size is not None:
                image.draft(image.mode, (draft_size, draft_size))
            return upright(image)
    except Exception as error:
        raise unreadable(name, error) from error


def upright(image: Image.Image) -> Image.Image:
    """Load an image; return it the right way up, in a mode that holds grey levels or RGB."""
    image = load_upright(image)
    if image.mode in _MODES_TO_CONVERT:
        if "transparency" in image.info:
            # Pillow warns on the straight way from a palette with alpha to RGB.
            image = image.convert("RGBA")
        image = image.convert("RGB")
    return image


def check_file(path: str, name: str, left_out: LeftOut) -> tuple[Size, str]:
    """Return (height, width) and depth of a good file; decode it only if nothing less can tell."""
    try:
        with opened(path) as file:
            header = header_in(file)
            size = upright_size(header)
            complete = is_complete(header, file)
            left_out.look_at(header, name)
    except Exception as error:
        raise unreadable(name, error) from error
    if header.mode == "I" and header.format != "PPM":
        raise TypeError(_no_scale(name, "int32"))
    depth = _DEPTHS.get(header.mode, "8-bit")
    if header.mode == "F" or not complete:
        return check_pixels(read_file(path, name), name)[0], depth
    if 0 in size:
        raise ValueError(f"{name} has no pixels: its shape is {size}.")
    return size, depth


def check_image(image: Image.Image, name: str, left_out: LeftOut) -> tuple[Size, str]:
    """Return (height, width) and depth of an image in memory that is good; load it."""
    try:
        check_header(image)
        left_out.look_at(image, name)
        image = upright(image)
    except Exception as error:
        raise unreadable(name, error) from error
    return check_pixels(image, name)


def check_pixels(opened: np.ndarray | Image.Image, name: str) -> tuple[Size, str]:
    """Return (height, width) and depth of pixels that `to_uint8` has a rule for."""
    if isinstance(opened, Image.Image):
        for strip in iter_strips(opened):
            checked_pixels(strip, name)
        return (opened.height, opened.width), _DEPTHS.get(opened.mode, "8-bit")
    pixels = checked_pixels(opened, name)
    return (pixels.shape[0], pixels.shape[1]), depth_of(pixels)


def unreadable(name: str, error: Exception) -> ValueError:
    """Return the error of a file that could not be read; it says what is wrong and what to do."""
    if isinstance(error, OSError) and error.filename and os.path.isdir(error.filename):
        return ValueError(f"{name} is a directory; {LOAD_FOLDER}.")
    return ValueError(f"{name} {reason_of(error)}.")


def checked_pixels(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return pixels without alpha, for which `to_uint8` has a rule; raise if it has none."""
    if pixels.ndim == 3:
        # Without blending, as Image.convert("RGB") and the readers of torchvision and anomalib do.
        pixels = pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :3]
    dtype = pixels.dtype
    if dtype.kind == "i" or (dtype.kind == "u" and dtype.itemsize > 2):
        raise TypeError(_no_scale(name, str(dtype)))
    if dtype.kind not in "ufb":
        raise TypeError(
            f"{name} has dtype {dtype}; pixels must be uint8, uint16, bool, or floating point in "
            "[0, 1]. Convert them with astype."
        )
    if pixels.size == 0:
        raise ValueError(f"{name} has no pixels: its shape is {pixels.shape}.")
    if dtype.kind == "f":
        low, high = pixels.min(), pixels.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ValueError(
                f"{name} has NaN or infinite pixels; mend or leave out the image, pixels must lie "
                "in [0, 1]."
            )
        if low < 0 or high > 1:
            raise ValueError(
                f"{name} has floating-point pixels from {low:g} to {high:g}; they must lie in "
                "[0, 1]. Divide them by their largest possible value, or convert 0 ... 255 with "
                "astype('uint8')."
            )
    return pixels


def depth_of(pixels: np.ndarray) -> str:
    """Return the depth of pixels, in the words of `check_file`."""
    if pixels.dtype.kind == "f":
        return "floating-point"
    return "1-bit" if pixels.dtype.kind == "b" else f"{8 * pixels.dtype.itemsize}-bit"


def _no_scale(name: str, dtype: str) -> str:
    return (
        f"{name} has pixels of type {dtype}, of which nobody knows which value is white. Scale "
        "them to 0 ... 255 and convert with astype('uint8'), or to [0, 1] as float32."
    )


def to_uint8(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return pixels of any accepted dtype and number of channels as uint8, grey or RGB."""
    # The only rules for files and arrays alike; none depends on what else the image or the data set
    # contains. Grey images stay (height, width): resizing one channel takes a third of the time.
    pixels = checked_pixels(pixels, name)
    if pixels.dtype.kind == "f":
        # This undoes a division by 255 exactly. float16 has too few digits for the product.
        product = np.multiply(pixels, 255, dtype=np.result_type(pixels, np.float32))
        pixels = np.rint(product, out=product)
    elif pixels.dtype.kind == "b":
        pixels = pixels * np.uint8(255)
    elif pixels.dtype.itemsize == 2:
        pixels = pixels >> 8  # as Pillow does for 16 bit RGB files
    return np.ascontiguousarray(pixels, dtype=np.uint8)
