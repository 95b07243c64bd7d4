"""Masks from files."""

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skpadim._image_files import find_images, iter_images
from skpadim._sizes import Size, check_size

# Compression rings around edges: zero is no longer zero.
_LOSSY_FORMATS = ("JPEG", "MPO")
_HALF_WHITE = 128


def read_masks(
    mask_paths: Sequence[str | PathLike[str] | None], size: int | Size
) -> NDArray[np.bool_]:
    """Read masks at one size.

    A mask is what a data set has for one image: a picture, a folder that holds several, or one of
    the masks in a NumPy file.

    Parameters
    ----------
    mask_paths : sequence of str, path-like or None
        Paths of masks. None stands for an image without a defect. What a path names:

        - a picture. It is defective where it is not black; a JPEG, whose compression leaves rings
          around an edge, where it is at least half as bright as white;
        - a folder. Defective is what is so in any of the pictures in it, as in MVTec LOCO AD, which
          has one for each defect of an image;
        - a NumPy file ``video.npy`` with one mask, or ``video.npy/17``, the mask of index 17 in a
          file with those of a whole video, as in ShanghaiTech Campus. Of it alone is read.
    size : int or tuple of int
        Height and width in pixels to which masks are brought, such as those of the heatmaps they
        will be compared with. A single number is both.

    Returns
    -------
    masks : ndarray of shape (n_masks, height, width), bool
        True where an image is defective.

    Raises
    ------
    FileNotFoundError
        If there is no file of that name.
    TypeError
        If `mask_paths` is a single path, or one of its elements is neither a path nor None.
    ValueError
        If `size` is not positive, or a file cannot be read as a mask: it is no image, larger than
        ``PIL.Image.MAX_IMAGE_PIXELS`` allows, or a JPEG with class numbers instead of black and
        white; a folder without an image, or with images of several sizes; an array of another
        shape.

    See Also
    --------
    load_mvtec_ad, load_folder : Where mask paths come from.

    Notes
    -----
    Each pixel takes the value of the nearest one in the file. Where masks shrink, a region
    thinner than one new pixel can lose pixels or vanish.

    Examples
    --------
    >>> from skpadim.datasets import read_masks
    >>> read_masks([None, None], size=224).shape
    (2, 224, 224)
    """
    height, width = check_size(size, "size")
    if isinstance(mask_paths, (str, PathLike)):
        raise TypeError(
            f"mask_paths is one path, {fspath(mask_paths)!r}, but must be a list: write "
            "[mask_paths]."
        )
    for index, path in enumerate(mask_paths):
        if path is not None and not isinstance(path, (str, PathLike)):
            raise TypeError(
                f"mask_paths[{index}] has type {type(path).__name__}; it must be a path (str or "
                "os.PathLike), or None for an image without a defect."
            )
    masks = np.zeros((len(mask_paths), height, width), dtype=bool)
    for index, path in enumerate(mask_paths):
        if path is not None:
            masks[index] = read_mask(path, (height, width), f"mask_paths[{index}]")
    return masks


def read_mask(path: str | PathLike[str], size: Size, argument: str) -> NDArray[np.bool_]:
    """Return one mask as :func:`read_masks` does, of shape `size`; errors call it `argument`."""
    place = Path(path)
    if ".npy" in (place.suffix, place.parent.suffix):
        defective = _read_array(place, argument)
    elif place.is_dir():
        defective = _read_folder(place, argument)
    else:
        defective = read_picture(place, argument)
    return resize_mask(defective, size)


def read_picture(path: Path, argument: str) -> NDArray[np.bool_]:
    """Return a mask that is a picture, at its own size."""
    try:
        with Image.open(path) as image:
            # "L" has no room for 16 bits, and a palette's numbers are not its colours.
            deep = image.mode.startswith(("I", "F"))
            pixels = np.asarray(image if deep else image.convert("L"))
            if image.format not in _LOSSY_FORMATS:
                return pixels != 0
    except FileNotFoundError:
        raise FileNotFoundError(f"{argument}: there is no file {path}.") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{argument}, {path}, is too large: {error} If you trust the file, raise "
            "PIL.Image.MAX_IMAGE_PIXELS, or set it to None."
        ) from error
    except OSError as error:
        raise ValueError(f"{argument}, {path}, cannot be read as an image: {error}") from error
    if 0 < pixels.max() < _HALF_WHITE:
        raise ValueError(
            f"{argument}, {path}, is a JPEG whose brightest pixel is {pixels.max()}; in a JPEG, "
            "which is not exact, a mask must be black and white. Save masks without loss, as PNG "
            "for instance."
        )
    return pixels >= _HALF_WHITE


def _read_folder(folder: Path, argument: str) -> NDArray[np.bool_]:
    parts = [read_picture(path, argument) for path in find_images(folder, argument=argument)]
    sizes = {part.shape for part in parts}
    if len(sizes) > 1:
        raise ValueError(
            f"{argument}, {folder}, has masks of {len(sizes)} sizes, {sorted(sizes)}; those of one "
            "image must have one."
        )
    return np.any(parts, axis=0)


def _read_array(path: Path, argument: str) -> NDArray[np.bool_]:
    array = open_array(path, argument)
    if array.ndim != 2:
        raise ValueError(
            f"{argument}, {path}, has the shape {array.shape}; a mask has (height, width). Of an "
            f"array (n_masks, height, width), name one: {path}/0."
        )
    return np.asarray(array) != 0


def mask_size(path: Path) -> Size:
    """Return (width, height) of a mask, of a folder that of its first one, from headers alone."""
    if ".npy" in (path.suffix, path.parent.suffix):
        height, width = open_array(path, "mask").shape
        return width, height
    if path.is_dir():
        path = next(iter_images(path))
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise ValueError(f"{path} cannot be read as a mask: {error}") from error


def open_array(path: Path, argument: str) -> NDArray:
    """Return a NumPy file, or one of the arrays in it, ``video.npy/17``, mapped into memory."""
    file, index = (path, None) if path.suffix == ".npy" else (path.parent, path.name)
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"{argument}: there is no file {file}.") from None
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"{argument}, {file}, cannot be read as a NumPy file: {error}") from error
    if index is None:
        return array
    if not index.isdecimal() or array.ndim != 3 or int(index) >= len(array):
        raise ValueError(
            f"{argument}, {path}: {file.name} has the shape {array.shape}, and so no mask {index}."
        )
    return array[int(index)]


def resize_mask(mask: NDArray[np.bool_], size: Size) -> NDArray[np.bool_]:
    """Return a mask at another size; each pixel has the value of the nearest one."""
    height, width = size
    resized = Image.fromarray(mask.view(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized).view(bool)
