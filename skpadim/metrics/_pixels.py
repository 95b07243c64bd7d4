"""All pixels of all images, each of the same weight."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from skpadim.metrics._steps import exact_steps
from skpadim.metrics._validation import Maps, pooled_pairs


def pixel_roc_auc_score(masks: Maps, heatmaps: Maps) -> float:
    """Area under the ROC curve of pixels.

    The share of pairs of a defective and a defect-free pixel, from all images, of which the
    defective one scores higher; pairs with equal scores count half.

    Parameters
    ----------
    masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.
    heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.

    Returns
    -------
    score : float
        In [0, 1]; heatmaps that know nothing get 1/2.

    Raises
    ------
    ValueError
        As in :func:`aupro_score`.

    See Also
    --------
    pixel_roc_curve : The curve.
    PixelHistogram : The same of images that are not all in memory, to a known error.
    sklearn.metrics.roc_auc_score : The same value of ravelled masks and heatmaps, more slowly.

    Notes
    -----
    Exact. Scores are sorted without their order being kept, which takes NumPy a tenth of the time
    of ``argsort``, and only scores of defective pixels are looked up.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import pixel_roc_auc_score
    >>> masks = np.array([[[0, 0, 1], [0, 0, 0]]])
    >>> pixel_roc_auc_score(masks, [[[0.1, 0.2, 0.8], [0.0, 0.1, 0.9]]])
    0.8
    """
    return exact_steps(pooled_pairs(masks, heatmaps, "a ROC curve")).roc_auc()


def pixel_average_precision_score(masks: Maps, heatmaps: Maps) -> float:
    """Average precision of pixels.

    The mean, over all defective pixels of all images, of the precision at their scores: the share
    of defective ones among the pixels that score at least as high. Unlike the area under the ROC
    curve it falls with the share of defective pixels: compare values of the same masks only.

    Parameters
    ----------
    masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.
    heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.

    Returns
    -------
    score : float
        In (0, 1]; heatmaps that know nothing get the share of defective pixels.

    Raises
    ------
    ValueError
        As in :func:`aupro_score`, but masks without a defect-free pixel are allowed.

    See Also
    --------
    PixelHistogram : The same of images that are not all in memory, to a known error.
    sklearn.metrics.average_precision_score : The same value of ravelled masks and heatmaps, more
        slowly.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import pixel_average_precision_score
    >>> masks = np.array([[[0, 0, 1], [0, 0, 0]]])
    >>> pixel_average_precision_score(masks, [[[0.1, 0.2, 0.8], [0.0, 0.1, 0.9]]])
    0.5
    """
    pairs = pooled_pairs(masks, heatmaps, "average precision", need_good=False)
    return exact_steps(pairs).average_precision()


def pixel_f1_max(masks: Maps, heatmaps: Maps) -> tuple[float, float]:
    """Largest F1 score of pixels over all thresholds, and a threshold that has it.

    F1 is the harmonic mean of precision and recall of the defective pixels of all images. The
    threshold is chosen with the masks in view: as a measure of heatmaps it is fair, as a setting
    for new images it is not.

    Parameters
    ----------
    masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.
    heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
        As in :func:`aupro_score`.

    Returns
    -------
    score : float
        In (0, 1].
    threshold : float
        Pixels that score at or above it are called defective. The highest of those that are as
        good.

    Raises
    ------
    ValueError
        As in :func:`aupro_score`, but masks without a defect-free pixel are allowed.

    See Also
    --------
    f1_max : The same of images.
    PixelHistogram : The same of images that are not all in memory, to a known error.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import pixel_f1_max
    >>> masks = np.array([[[0, 1, 1], [0, 0, 0]]])
    >>> pixel_f1_max(masks, [[[0.1, 0.2, 0.8], [0.0, 0.5, 0.1]]])
    (0.8, 0.2)
    """
    return exact_steps(pooled_pairs(masks, heatmaps, "F1", need_good=False)).f1_max()


def pixel_roc_curve(
    masks: Maps, heatmaps: Maps, *, drop_intermediate: bool = True
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
    pixel_roc_auc_score : The area under this curve.
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
    pairs = pooled_pairs(masks, heatmaps, "a ROC curve")
    return roc_curve(
        np.concatenate([mask.ravel() for mask, _ in pairs]),
        np.concatenate([heatmap.ravel() for _, heatmap in pairs]),
        drop_intermediate=drop_intermediate,
    )
