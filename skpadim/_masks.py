"""Masks: where images are truly defective, from files and arrays."""

import warnings
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skpadim._estimators import caller_level
from skpadim._formats import has_more_frames, opened, reason_of, whole_image_in
from skpadim._image_files import find_images
from skpadim._orientation import load_upright, read_size
from skpadim._sizes import Size

# Compression rings around edges: zero is no longer zero.
_LOSSY_FORMATS = ("JPEG", "MPO")
_HALF_WHITE = 128


def read_mask(mask: Any, name: str) -> NDArray[np.bool_]:
    """Return a mask, given as a path or an array, at its own size; errors call it `name`."""
    if isinstance(mask, str | PathLike):
        place = Path(mask)
        if ".npy" in (place.suffix, place.parent.suffix):
            return _read_array(place, name)
        return _read_folder(place, name) if place.is_dir() else _read_picture(place, name)
    pixels = np.asarray(mask)
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.kind not in "buif":
        raise ValueError(
            f"{name} has the shape {pixels.shape} and dtype {pixels.dtype}; it must be a path, "
            "None, or an array of shape (height, width) that is not 0 where the image is defective."
        )
    return pixels != 0


def read_masks_at(
    masks: Any, sizes: Sequence[Size], *, name: str = "masks", of: str = "image"
) -> list[NDArray[np.bool_]]:
    """Return a mask for each image; files are brought to its size, arrays must have it."""
    check_masks(masks, len(sizes))
    found = []
    for index, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
        if mask is None:
            found.append(np.zeros(size, dtype=bool))
            continue
        pixels = read_mask(mask, f"{name}[{index}]")
        if pixels.shape != size and not isinstance(mask, str | PathLike):
            raise ValueError(
                f"{name}[{index}] has the shape {pixels.shape}, but its {of} {size}: give the path "
                "of its file, or resize it to the nearest pixel."
            )
        found.append(resize_mask(pixels, size))
    return found


def check_masks(masks: Any, n_images: int) -> None:
    """Raise if there is not one mask for each image."""
    if isinstance(masks, str | PathLike):
        raise TypeError(f"masks is one path, {fspath(masks)!r}, but must be a list of them.")
    if len(masks) != n_images:
        raise ValueError(
            f"there are {len(masks)} masks for {n_images} images; give one for each, None for an "
            "image without a defect."
        )


def resize_mask(mask: NDArray[np.bool_], size: Size) -> NDArray[np.bool_]:
    """Return a mask at another size; each pixel has the value of the nearest one."""
    if mask.shape == size:
        return mask
    height, width = size
    resized = Image.fromarray(mask.view(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized).view(bool)


def _read_picture(path: Path, name: str) -> NDArray[np.bool_]:
    """Return a mask that is a picture, at its own size."""
    try:
        with opened(path) as file:
            stored = whole_image_in(file)
            image_format, more = stored.format, has_more_frames(stored)
            image = load_upright(stored)
    except FileNotFoundError:
        raise FileNotFoundError(f"{name}: there is no file {path}.") from None
    except Exception as error:
        raise ValueError(f"{name}, {path}, {reason_of(error)}.") from error
    if more:
        warnings.warn(
            f"{name}, {path}: several frames or pages, of which only the first is read.",
            UserWarning,
            stacklevel=caller_level(),
        )
    # "L" has no room for 16 bits, and a palette's numbers are not its colours.
    deep = image.mode.startswith(("I", "F"))
    pixels = np.asarray(image if deep else image.convert("L"))
    if image_format not in _LOSSY_FORMATS:
        return pixels != 0
    if 0 < pixels.max() < _HALF_WHITE:
        raise ValueError(
            f"{name}, {path}, is a JPEG whose brightest pixel is {pixels.max()}; in a JPEG, "
            "which is not exact, a mask must be black and white. Save masks without loss, as PNG "
            "for instance."
        )
    return pixels >= _HALF_WHITE


def _read_folder(folder: Path, name: str) -> NDArray[np.bool_]:
    parts = [_read_picture(path, name) for path in find_images(folder, argument=name)]
    sizes = {part.shape for part in parts}
    if len(sizes) > 1:
        raise ValueError(
            f"{name}, {folder}, has masks of {len(sizes)} sizes, {sorted(sizes)}; those of one "
            "image must have one."
        )
    return np.any(parts, axis=0)


def _read_array(path: Path, name: str) -> NDArray[np.bool_]:
    array = open_array(path, name)
    if array.ndim != 2:
        raise ValueError(
            f"{name}, {path}, has the shape {array.shape}; a mask has (height, width). Of an "
            f"array (n_masks, height, width), name one: {path}/0."
        )
    return np.asarray(array) != 0


def mask_size(path: Path) -> Size:
    """Return the size of a mask, of a folder that of its first one, without decoding it."""
    if ".npy" in (path.suffix, path.parent.suffix):
        height, width = open_array(path, "mask").shape
        return height, width
    if path.is_dir():
        path = find_images(path, argument="mask")[0]
    try:
        return read_size(path)
    except Exception as error:
        raise ValueError(f"the mask {path} {reason_of(error)}.") from error


def open_array(path: Path, name: str) -> NDArray:
    """Return a NumPy file, or one of the arrays in it, ``video.npy/17``, mapped into memory."""
    file, index = (path, None) if path.suffix == ".npy" else (path.parent, path.name)
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"{name}: there is no file {file}.") from None
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"{name}, {file}, cannot be read as a NumPy file: {error}") from error
    if index is None:
        return array
    if not index.isdecimal() or array.ndim != 3 or int(index) >= len(array):
        raise ValueError(
            f"{name}, {path}: {file.name} has the shape {array.shape}, and so no mask {index}."
        )
    return array[int(index)]
