"""From one file or array, in whatever mode it is stored, to uint8 pixels."""

import os
import threading
import warnings
from operator import add

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from skpadim._orientation import turn_upright, upright_size
from skpadim._sizes import Size

_Tag = ExifTags.Base

# Modes whose numbers are not grey levels or RGB values, or not in that order.
_MODES_TO_CONVERT = {"P", "PA", "CMYK", "YCbCr", "LAB", "HSV"}

# Modes whose pixels have not eight bits.
_DEPTHS = {"1": "1-bit", "I": "16-bit", "F": "floating-point"} | dict.fromkeys(
    ("I;16", "I;16L", "I;16B", "I;16N"), "16-bit"
)

LOAD_FOLDER = "skpadim.datasets.load_folder lists the images of a folder"

_JPEG_END = b"\xff\xd9"
# Room for the padding that some cameras and file systems leave behind the end marker.
_JPEG_TAIL = 64

_FILTERS = threading.Lock()


class _IrregularFileError(OSError):
    """A pipe, a socket or a device, which may keep its reader waiting for ever."""


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read an image file into an array, as it is stored.

    The EXIF orientation is applied. Palette, CMYK, YCbCr, LAB and HSV images become RGB;
    everything else stays what it is, so that 16 bit and floating-point images lose nothing.
    `ImageSequence` gives the same result for the path and for this array. Of a file with
    several frames or pages the first is read.

    Parameters
    ----------
    path : str or os.PathLike
        An image file in any format that Pillow reads.

    Returns
    -------
    ndarray of shape (height, width) or (height, width, channels)
        Pixels as uint8, uint16, bool or float32; int32 for images whose integers have no known
        scale.

    Raises
    ------
    ValueError
        If the file is missing, is not an image, or is damaged.

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
    return stored_pixels(read_file(path, name=repr(os.fspath(path))))


def read_file(
    path: str | os.PathLike[str], name: str, draft_size: int | None = None
) -> Image.Image:
    """Return the loaded image of a file, upright; errors call it `name`.

    A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as both sides keep `draft_size`.
    """
    try:
        _require_regular(path)
        with Image.open(path) as image:
            if draft_size is not None:
                image.draft(image.mode, (draft_size, draft_size))
            return upright(image)
    except Exception as error:
        raise unreadable(name, error) from error


def upright(image: Image.Image) -> Image.Image:
    """Load an image; return it the right way up, in a mode that holds grey levels or RGB."""
    image = turn_upright(image)
    file_format = image.format
    if image.mode in _MODES_TO_CONVERT:
        if "transparency" in image.info:
            # Pillow warns on the straight way from a palette with alpha to RGB.
            image = image.convert("RGBA")
        image = image.convert("RGB")
    image.format = file_format
    return image


def stored_pixels(image: Image.Image) -> np.ndarray:
    """Return the pixels of an upright image, grey or RGB, in their own dtype."""
    pixels = np.array(image)
    if image.mode == "I" and image.format == "PPM":
        # Pillow scales 16 bit grey maps to 0 ... 65535 but has them in 32 bits.
        return pixels.astype(np.uint16)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def check_file(path: str, name: str) -> tuple[Size, str]:
    """Return (height, width) and depth of a good file; decode it only if nothing less can tell."""
    try:
        _require_regular(path)
        # Filters belong to the whole process, and are put back: hence not in the threads that
        # read, and not in two threads of the user at once.
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            has_scale = image.mode != "I" or image.format == "PPM"
            has_range = image.mode != "F"
            depth = _DEPTHS.get(image.mode, "8-bit")
            size = upright_size(image, path)
            complete = _is_complete(image, path)
    except Exception as error:
        raise unreadable(name, error) from error
    if not has_scale:
        raise TypeError(_no_scale(name, "int32"))
    if size is None or not complete or not has_range:
        height, width = checked_pixels(stored_pixels(read_file(path, name)), name).shape[:2]
        return (height, width), depth
    return size, depth


def _require_regular(path: str | os.PathLike[str]) -> None:
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise _IrregularFileError


def _is_complete(image: Image.Image, path: str) -> bool:
    """Whether the file is seen to hold all of its pixels; raise if it is seen not to.

    False means that only decoding can tell.
    """
    if image.format == "PNG":
        image.verify()  # checksums and the end chunk
        return True
    if image.format in ("JPEG", "MPO"):
        with open(path, "rb") as file:
            file.seek(-min(_JPEG_TAIL, os.path.getsize(path)), os.SEEK_END)
            # The two bytes cannot occur inside compressed pixels, where ff is followed by 00.
            return _JPEG_END in file.read()
    if isinstance(image, TiffImageFile):
        tags = image.tag_v2
        offsets = tags.get(_Tag.StripOffsets) or tags.get(_Tag.TileOffsets) or ()
        counts = tags.get(_Tag.StripByteCounts) or tags.get(_Tag.TileByteCounts) or ()
        ends = list(map(add, offsets, counts))
        return bool(ends) and max(ends) <= os.path.getsize(path)
    return False


def unreadable(name: str, error: Exception) -> ValueError:
    """Return the error of a file that could not be read; it says what is wrong and what to do."""
    if isinstance(error, FileNotFoundError):
        reason = "does not exist"
    elif isinstance(error, _IrregularFileError):
        reason = "is a pipe, a socket or a device; give the path of a regular file"
    elif isinstance(error, OSError) and error.filename and os.path.isdir(error.filename):
        reason = f"is a directory; {LOAD_FOLDER}"
    elif isinstance(error, UnidentifiedImageError):
        reason = "is not an image in a format that Pillow can read"
    elif isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        reason = (
            f"is too large: {error} If you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS, "
            "or set it to None"
        )
    else:
        reason = f"is damaged or cannot be read: {error}"
    return ValueError(f"{name} {reason}.")


def checked_pixels(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return pixels without alpha, for which `to_uint8` has a rule; raise if it has none."""
    if pixels.ndim == 3:
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
    """Return pixels of any accepted dtype and number of channels as uint8, grey or RGB.

    These are the only rules for files and arrays alike, and none depends on what else the
    image or the data set contains:

    - uint8 is kept;
    - uint16 keeps its high byte, as Pillow does for 16 bit RGB files;
    - bool becomes 0 and 255;
    - floating point in [0, 1] becomes ``rint(255 * x)``, which undoes a division by 255 exactly;
    - alpha is dropped without blending, as ``Image.convert("RGB")`` does, and with it the
      readers of torchvision and anomalib.

    Grey images stay (height, width): resizing one channel takes a third of the time, and
    repeating it afterwards gives the same bits.
    """
    pixels = checked_pixels(pixels, name)
    if pixels.dtype.kind == "f":
        # float16 has too few digits for the product.
        product = np.multiply(pixels, 255, dtype=np.result_type(pixels, np.float32))
        pixels = np.rint(product, out=product)
    elif pixels.dtype.kind == "b":
        pixels = pixels * np.uint8(255)
    elif pixels.dtype.itemsize == 2:
        pixels = pixels >> 8
    return np.ascontiguousarray(pixels, dtype=np.uint8)
