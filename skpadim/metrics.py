"""How well heatmaps find the defective regions of images."""

from collections.abc import Iterator, Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from sklearn.metrics import roc_curve

__all__ = ["aupro_score", "pixel_roc_curve", "pro_curve"]

_EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


def aupro_score(
    masks: NDArray | Sequence[ArrayLike],
    heatmaps: NDArray | Sequence[ArrayLike],
    *,
    max_fpr: float = 0.3,
) -> float:
    """Area under the per-region-overlap (PRO) curve.

    At a threshold, the overlap of a defective region is the share of its pixels that score at or
    above the threshold, and PRO is the mean overlap of all regions of all images, so that a small
    region counts as much as a large one [1]_ [2]_. The curve draws PRO over the false positive
    rate, the share of the defect-free pixels of all images that score at or above the threshold.
    Its area up to `max_fpr` is divided by `max_fpr`: 1 is perfect, and heatmaps that know nothing
    get ``max_fpr / 2``.

    Parameters
    ----------
    masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
        True, 1 or 255 where an image is defective; False or 0 elsewhere. A region is a set of
        defective pixels connected by sides or corners.
    heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
        Larger is more anomalous, in any unit. Images may differ in size.
    max_fpr : float, default=0.3
        False positive rate, in (0, 1], up to which the curve is integrated.

    Returns
    -------
    score : float
        Normalised area, in [0, 1].

    Raises
    ------
    ValueError
        If the number or the shapes of masks and heatmaps differ, if a mask is not binary, if
        there is no defective or no defect-free pixel, if a heatmap has NaN or infinity, or if
        `max_fpr` lies outside (0, 1].

    See Also
    --------
    pro_curve : The curve.
    sklearn.metrics.roc_auc_score : On ravelled masks and heatmaps, the pixel AUROC.

    Notes
    -----
    Exact: every distinct score is a threshold, pixels with equal scores pass it together, and the
    curve is linear between thresholds, from (0, 0) on. Values are comparable only at equal
    `max_fpr`; the literature has 0.3.

    References
    ----------
    .. [1] Bergmann, Fauser, Sattlegger, Steger: "MVTec AD -- A Comprehensive Real-World Dataset
       for Unsupervised Anomaly Detection", CVPR 2019.
    .. [2] Bergmann, Batzner, Fauser, Sattlegger, Steger: "The MVTec Anomaly Detection Dataset",
       International Journal of Computer Vision 129, 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import aupro_score
    >>> masks = np.array([[[0, 0, 1], [0, 0, 0]]])
    >>> aupro_score(masks, [[[0.1, 0.2, 0.9], [0.0, 0.1, 0.2]]])
    1.0
    >>> aupro_score(masks, np.zeros((1, 2, 3)), max_fpr=1)
    0.5
    """
    check_max_fpr(max_fpr)
    good, defective, weights = _pool(masks, heatmaps)

    # A pixel of weight w lifts the curve by w. With the scores of the good pixels sorted, it
    # starts to do so at the false positive rate `low` (good pixels above it) and has done so at
    # `high` (those level with it included), with a linear rise between them. Summing what each
    # pixel adds to the area gives the trapezoids' sum without ever building the curve.
    good.sort()
    low = (good.size - np.searchsorted(good, defective, side="right")) / good.size
    high = (good.size - np.searchsorted(good, defective, side="left")) / good.size
    rise = np.minimum(high, max_fpr) - np.minimum(low, max_fpr)
    reached = np.divide(rise, high - low, out=np.ones_like(low), where=high > low)
    areas = rise * reached / 2 + max_fpr - np.minimum(high, max_fpr)
    return float(weights @ areas / max_fpr)


def pro_curve(
    masks: NDArray | Sequence[ArrayLike],
    heatmaps: NDArray | Sequence[ArrayLike],
    *,
    drop_intermediate: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray]:
    """Per-region overlap (PRO) at each false positive rate.

    Parameters
    ----------
    masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.
    heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.
    drop_intermediate : bool, default=True
        Whether to leave out thresholds whose points lie on the line between their neighbours.

    Returns
    -------
    fpr : ndarray of shape (n_thresholds,), float64
        Share of the defect-free pixels of all images that score at or above each threshold.
    pro : ndarray of shape (n_thresholds,), float64
        Mean over all regions of the share of their pixels that do.
    thresholds : ndarray of shape (n_thresholds,)
        Distinct scores, falling; the first is infinity, which no pixel reaches.

    Raises
    ------
    ValueError
        As in :func:`aupro_score`.

    See Also
    --------
    aupro_score : The area under this curve.
    skpadim.display.ProCurveDisplay : Its picture.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import pro_curve
    >>> masks = np.array([[[0, 0, 1], [0, 0, 1]]])
    >>> fpr, pro, thresholds = pro_curve(masks, [[[0.1, 0.2, 0.9], [0.0, 0.3, 0.2]]])
    >>> fpr
    array([0.  , 0.  , 0.25, 0.5 , 1.  ])
    >>> pro
    array([0. , 0.5, 0.5, 1. , 1. ])
    >>> thresholds
    array([inf, 0.9, 0.3, 0.2, 0. ])
    """
    good, defective, weights = _pool(masks, heatmaps)
    # PRO is a true positive rate in which the pixels of a region share one weight.
    return roc_curve(
        np.repeat([False, True], [good.size, defective.size]),
        np.concatenate([good, defective]),
        sample_weight=np.concatenate([np.ones(good.size), weights]),
        drop_intermediate=drop_intermediate,
    )


def pixel_roc_curve(
    masks: NDArray | Sequence[ArrayLike],
    heatmaps: NDArray | Sequence[ArrayLike],
    *,
    drop_intermediate: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray]:
    """Share of defective pixels found at each false positive rate.

    All pixels of all images count alike, so that one large defect can outweigh many small ones;
    :func:`pro_curve` is about regions instead.

    Parameters
    ----------
    masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.
    heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.
    drop_intermediate : bool, default=True
        Whether to leave out thresholds whose points lie on the line between their neighbours.

    Returns
    -------
    fpr : ndarray of shape (n_thresholds,), float64
        Share of the defect-free pixels that score at or above each threshold.
    tpr : ndarray of shape (n_thresholds,), float64
        Share of the defective pixels that do.
    thresholds : ndarray of shape (n_thresholds,)
        Distinct scores, falling; the first is infinity, which no pixel reaches.

    Raises
    ------
    ValueError
        As in :func:`aupro_score`.

    See Also
    --------
    sklearn.metrics.roc_curve : The same of one array of pixels.
    skpadim.display.PixelRocCurveDisplay : Its picture.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import pixel_roc_curve
    >>> masks = np.array([[[0, 0, 1], [0, 0, 0]]])
    >>> fpr, tpr, _ = pixel_roc_curve(masks, [[[0.1, 0.2, 0.9], [0.0, 0.1, 0.2]]])
    >>> tpr[fpr == 0].max()
    np.float64(1.0)
    """
    pairs = list(_checked_pairs(masks, heatmaps))
    defective = np.concatenate([mask.ravel() for mask, _ in pairs] or [np.zeros(0, dtype=bool)])
    if not defective.any() or defective.all():
        missing = "defect-free" if defective.size and defective.all() else "defective"
        raise ValueError(f"masks have no {missing} pixel; a ROC curve needs both kinds.")
    scores = np.concatenate([heatmap.ravel() for _, heatmap in pairs])
    return roc_curve(defective, scores, drop_intermediate=drop_intermediate)


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


def _pool(
    masks: NDArray | Sequence[ArrayLike], heatmaps: NDArray | Sequence[ArrayLike]
) -> tuple[NDArray, NDArray, NDArray]:
    """Scores of all good pixels, of all defective pixels, and the weights of the latter."""
    good, defective, weights, n_regions = [], [], [], 0
    for mask, heatmap in _checked_pairs(masks, heatmaps):
        labels, n_labels = ndimage.label(mask, structure=_EIGHT_CONNECTED)
        good.append(heatmap[~mask])
        defective.append(heatmap[mask])
        weights.append(1 / np.bincount(labels.ravel())[labels[mask]])
        n_regions += n_labels
    if n_regions == 0:
        raise ValueError("masks have no defective pixel; PRO needs at least one defective region.")
    pooled = np.concatenate(good)
    if pooled.size == 0:
        raise ValueError("masks have no defect-free pixel; PRO needs some for false positives.")
    return pooled, np.concatenate(defective), np.concatenate(weights) / n_regions


def _checked_pairs(
    masks: NDArray | Sequence[ArrayLike], heatmaps: NDArray | Sequence[ArrayLike]
) -> Iterator[tuple[NDArray, NDArray]]:
    if len(masks) != len(heatmaps):
        raise ValueError(
            "masks and heatmaps must be of the same images; "
            f"got {len(masks)} masks and {len(heatmaps)} heatmaps."
        )
    for index, pair in enumerate(zip(masks, heatmaps, strict=True)):
        yield _check_pair(*pair, index)


def _check_pair(
    mask_like: ArrayLike, heatmap_like: ArrayLike, index: int
) -> tuple[NDArray, NDArray]:
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
