"""Defective regions, each of the same weight: per-region overlap."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import roc_curve

from skpadim.metrics._steps import exact_steps
from skpadim.metrics._validation import Maps, Pairs, check_max_fpr, pooled_pairs

_EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


def aupro_score(masks: Maps, heatmaps: Maps, *, max_fpr: float = 0.3) -> float:
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
    PixelHistogram : The same of images that are not all in memory, to a known error.
    pixel_roc_auc_score : All defective pixels count alike.

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
    pairs, overlaps = _pool(masks, heatmaps)
    return exact_steps(pairs, overlaps).aupro(max_fpr)


def pro_curve(
    masks: Maps, heatmaps: Maps, *, drop_intermediate: bool = True
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
    pairs, overlaps = _pool(masks, heatmaps)
    defective = np.concatenate([mask.ravel() for mask, _ in pairs])
    # PRO is a true positive rate in which the pixels of a region share one weight.
    weights = np.ones(defective.size)
    weights[defective] = np.concatenate(overlaps)
    return roc_curve(
        defective,
        np.concatenate([heatmap.ravel() for _, heatmap in pairs]),
        sample_weight=weights,
        drop_intermediate=drop_intermediate,
    )


def region_shares(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """Return one over the size of its region for each defective pixel, and how many there are."""
    if not mask.any():
        return np.zeros(0), 0
    labels, n_regions = ndimage.label(mask, structure=_EIGHT_CONNECTED)
    found = labels[mask]
    return 1 / np.bincount(found)[found], n_regions


def _pool(masks: Maps, heatmaps: Maps) -> tuple[Pairs, list[NDArray[np.float64]]]:
    """Masks and heatmaps, and what each defective pixel adds to PRO."""
    pairs = pooled_pairs(masks, heatmaps, "PRO")
    shares, counts = zip(*(region_shares(mask) for mask, _ in pairs), strict=True)
    n_regions = sum(counts)
    return pairs, [share / n_regions for share in shares]
