"""Masks from files."""

from collections.abc import Sequence
from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skpadim.datasets._size import check_size

# Compression rings around edges: zero is no longer zero.
_LOSSY_FORMATS = ("JPEG", "MPO")


def read_masks(
    mask_paths: Sequence[str | PathLike[str] | None], size: int | tuple[int, int]
) -> NDArray[np.bool_]:
    """Read masks at one size.

    Parameters
    ----------
    mask_paths : sequence of str, path-like or None
        Paths of masks. None stands for an image without a defect.
    size : int or tuple of int
        Height and width in pixels to which masks are brought, such as those of the heatmaps they
        will be compared with. A single number is both.

    Returns
    -------
    masks : ndarray of shape (n_masks, height, width), bool
        True where a mask is not black.

    Raises
    ------
    FileNotFoundError
        If there is no file of that name.
    TypeError
        If `mask_paths` is a single path, or one of its elements is neither a path nor None.
    ValueError
        If `size` is not positive, or a file is no image, a JPEG, whose black is not exactly 0, or
        larger than ``PIL.Image.MAX_IMAGE_PIXELS`` allows.

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
    height, width = check_size(size, argument="size")
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


def read_mask(path: str | PathLike[str], size: tuple[int, int], argument: str) -> NDArray[np.bool_]:
    """Read one mask, as :func:`read_masks` does.

    Parameters
    ----------
    path : str or path-like
        Path of the mask.
    size : tuple of int (height, width)
        Size wanted, in pixels.
    argument : str
        What errors call the mask.

    Returns
    -------
    ndarray of shape (height, width), bool
        True where the mask is not black.
    """
    try:
        with Image.open(path) as image:
            if image.format in _LOSSY_FORMATS:
                raise ValueError(
                    f"{argument}, {path}, is a JPEG, which blurs the edge of a mask. Save masks "
                    "without loss, as PNG for instance."
                )
            # "L" has no room for 16 bits, and a palette's numbers are not its colours.
            deep = image.mode.startswith(("I", "F"))
            defective = np.asarray(image if deep else image.convert("L")) != 0
    except FileNotFoundError:
        raise FileNotFoundError(f"{argument}: there is no file {path}.") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{argument}, {path}, is too large: {error} If you trust the file, raise "
            "PIL.Image.MAX_IMAGE_PIXELS, or set it to None."
        ) from error
    except OSError as error:
        raise ValueError(f"{argument}, {path}, cannot be read as an image: {error}") from error
    return resize_mask(defective, size)


def resize_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Bring a mask to another size.

    Parameters
    ----------
    mask : ndarray of shape (height, width), bool
        The mask.
    size : tuple of int (height, width)
        Size wanted, in pixels.

    Returns
    -------
    ndarray of shape ``size``, bool
        Each pixel has the value of the nearest one.
    """
    height, width = size
    resized = Image.fromarray(mask.view(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(resized).view(bool)
