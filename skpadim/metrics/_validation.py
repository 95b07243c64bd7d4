"""What metrics of pixels take: masks and heatmaps of the same images."""

from collections.abc import Iterator, Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_max_fpr(max_fpr: float) -> None:
    """Refuse what is no limit of integration.

    Parameters
    ----------
    max_fpr : float
        False positive rate up to which a curve is integrated.

    Raises
    ------
    ValueError
        If it is no number in (0, 1].
    """
    if not (isinstance(max_fpr, Real) and 0 < max_fpr <= 1):
        raise ValueError(f"max_fpr must be a number in (0, 1]; got {max_fpr!r}.")


def checked_pairs(
    masks: NDArray | Sequence[ArrayLike], heatmaps: NDArray | Sequence[ArrayLike]
) -> Iterator[tuple[NDArray[np.bool_], NDArray]]:
    """Iterate over masks and heatmaps, image by image.

    Parameters
    ----------
    masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
        True, 1 or 255 where an image is defective; False or 0 elsewhere.
    heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
        Larger is more anomalous.

    Yields
    ------
    mask : ndarray of shape (height, width), bool
        True where the image is defective.
    heatmap : ndarray of shape (height, width)
        Finite floating-point numbers.

    Raises
    ------
    ValueError
        If the number or the shapes of masks and heatmaps differ, if a mask is not binary, or if a
        heatmap has NaN or infinity.
    """
    if len(masks) != len(heatmaps):
        raise ValueError(
            "masks and heatmaps must be of the same images; "
            f"got {len(masks)} masks and {len(heatmaps)} heatmaps."
        )
    for index, pair in enumerate(zip(masks, heatmaps, strict=True)):
        yield _check_pair(*pair, index)


def check_kinds(
    pairs: Sequence[tuple[NDArray[np.bool_], NDArray]], metric: str, *, need_good: bool = True
) -> None:
    """Refuse masks that lack one kind of pixels.

    Parameters
    ----------
    pairs : sequence of (mask, heatmap)
        Masks and heatmaps.
    metric : str
        What needs them, for the error.
    need_good : bool, default=True
        Whether defect-free pixels are needed as well as defective ones.

    Raises
    ------
    ValueError
        If there are none.
    """
    n_defective = sum(int(np.count_nonzero(mask)) for mask, _ in pairs)
    check_counts(n_defective, sum(mask.size for mask, _ in pairs) - n_defective, metric, need_good)


def check_counts(n_defective: int, n_good: int, metric: str, need_good: bool) -> None:
    """Refuse numbers of pixels that are 0.

    Parameters
    ----------
    n_defective, n_good : int
        Numbers of defective and of defect-free pixels.
    metric : str
        What needs them, for the error.
    need_good : bool
        Whether defect-free pixels are needed as well as defective ones.

    Raises
    ------
    ValueError
        If there are none.
    """
    if n_defective == 0:
        raise ValueError(f"masks have no defective pixel; {metric} needs some.")
    if need_good and n_good == 0:
        raise ValueError(f"masks have no defect-free pixel; {metric} needs some.")


def _check_pair(
    mask_like: ArrayLike, heatmap_like: ArrayLike, index: int
) -> tuple[NDArray[np.bool_], NDArray]:
    mask: NDArray = np.asarray(mask_like)
    heatmap: NDArray = np.asarray(heatmap_like)
    if heatmap.dtype.kind != "f":
        heatmap = heatmap.astype(np.float64)
    if mask.ndim != 2 or mask.shape != heatmap.shape:
        raise ValueError(
            "Each mask and its heatmap must have one shape (height, width); "
            f"masks[{index}] has {mask.shape} and heatmaps[{index}] has {heatmap.shape}."
        )
    if not np.isfinite(heatmap).all():
        raise ValueError(f"heatmaps[{index}] has NaN or infinite values.")
    if mask.dtype != bool:
        defective = mask != 0
        if not ((mask[defective] == 1).all() or (mask[defective] == 255).all()):
            raise ValueError(
                f"masks[{index}] is not binary: it has values {np.unique(mask)[:5]}. Give True, 1 "
                "or 255 where the image is defective and 0 elsewhere, for instance `mask > 0`."
            )
        mask = defective
    return mask, heatmap
