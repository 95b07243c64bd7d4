"""What metrics of pixels take: masks and heatmaps of the same images."""

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Masks or heatmaps of images, which may differ in size: as one array, or each of its own.
Maps: TypeAlias = NDArray | Sequence[ArrayLike]
# A mask, bool, and a heatmap, finite floats, of shape (height, width), for each image.
Pairs: TypeAlias = Sequence[tuple[NDArray[np.bool_], NDArray]]


def check_max_fpr(max_fpr: float) -> None:
    """Raise if `max_fpr` is no number in (0, 1]."""
    if not (isinstance(max_fpr, Real) and 0 < max_fpr <= 1):
        raise ValueError(f"max_fpr must be a number in (0, 1]; got {max_fpr!r}.")


def checked_pairs(masks: Maps, heatmaps: Maps) -> Iterator[tuple[NDArray[np.bool_], NDArray]]:
    """Yield each mask, bool, and heatmap, finite floats, of shape (height, width); raise if bad."""
    if len(masks) != len(heatmaps):
        raise ValueError(
            "masks and heatmaps must be of the same images; "
            f"got {len(masks)} masks and {len(heatmaps)} heatmaps."
        )
    for index, pair in enumerate(zip(masks, heatmaps, strict=True)):
        yield _check_pair(*pair, index)


def pooled_pairs(masks: Maps, heatmaps: Maps, metric: str, *, need_good: bool = True) -> Pairs:
    """Return all pairs; raise if they lack the kinds of pixels that `metric` needs."""
    pairs = list(checked_pairs(masks, heatmaps))
    n_defective = sum(int(np.count_nonzero(mask)) for mask, _ in pairs)
    check_counts(n_defective, sum(mask.size for mask, _ in pairs) - n_defective, metric, need_good)
    return pairs


def check_counts(n_defective: int, n_good: int, metric: str, need_good: bool) -> None:
    """Raise if there is no defective or, if needed, no good pixel; `metric` is who needs them."""
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
