"""F1 of images at its best threshold."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve


def f1_max(
    y_true: ArrayLike, y_score: ArrayLike, *, pos_label: int | float | bool | str | None = None
) -> tuple[float, float]:
    """Largest F1 score over all thresholds, and a threshold that has it.

    scikit-learn has the other measures of images, :func:`~sklearn.metrics.roc_auc_score` and
    :func:`~sklearn.metrics.average_precision_score`; this is for comparison with publications that
    give the largest F1. The threshold is chosen with the labels in view, so the score is too good
    for a setting on new images.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Two kinds of labels. Those of skpadim call good images +1: give ``y == -1``.
    y_score : array-like of shape (n_samples,)
        Larger for the positive class: of a detector, ``-score_samples(X)``.
    pos_label : int, float, bool or str, default=None
        The positive class; 1 or True by default.

    Returns
    -------
    score : float
        In [0, 1].
    threshold : float
        Samples that score at or above it are called positive. The highest of those that are as
        good.

    Raises
    ------
    ValueError
        As in :func:`sklearn.metrics.precision_recall_curve`, which also warns where no sample is
        positive: then the score is 0.

    See Also
    --------
    pixel_f1_max : The same of pixels.
    sklearn.metrics.f1_score : F1 of decisions.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import f1_max
    >>> y = np.array([1, 1, 1, -1, -1])
    >>> scores = np.array([-3.0, -5.0, -4.0, -9.0, -4.5])  # as of score_samples
    >>> f1_max(y == -1, -scores)
    (0.8, 4.5)

    A detector that calls defective what scores 4.5 or more:

    >>> offset = np.nextafter(-4.5, np.inf)  # detector.offset_
    >>> scores < offset
    array([False,  True, False,  True,  True])
    """
    precision, recall, thresholds = precision_recall_curve(y_true, y_score, pos_label=pos_label)
    # The last point has no threshold.
    product, total = (precision * recall)[:-1], (precision + recall)[:-1]
    scores = np.divide(2 * product, total, out=np.zeros_like(total), where=total > 0)
    # Thresholds rise. Scores that are equal may differ by rounding.
    best = np.flatnonzero(scores >= scores.max() * (1 - 1e-14))[-1]
    return float(scores[best]), float(thresholds[best])
