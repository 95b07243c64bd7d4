"""Masks of a data set, read at one size."""

from collections.abc import Sequence
from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from skpadim._masks import read_mask, resize_mask
from skpadim._sizes import Size, check_size


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

        - a picture, the right way up as its EXIF orientation says. It is defective where it is not
          black; a JPEG, whose compression leaves rings around an edge, where it is at least half
          as bright as white;
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
            mask = read_mask(path, f"mask_paths[{index}]")
            masks[index] = resize_mask(mask, (height, width))
    return masks
