"""Splits and scorers for one-class models: learn from good samples, test on all."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, make_scorer, roc_auc_score
from sklearn.model_selection import BaseCrossValidator, KFold

from skpadim._labels import check_labels
from skpadim._masks import read_masks_at
from skpadim.metrics import aupro_score, pixel_roc_auc_score

__all__ = [
    "InlierKFold",
    "image_average_precision",
    "image_roc_auc",
    "pixel_aupro",
    "pixel_roc_auc",
]


class InlierKFold(BaseCrossValidator):
    """K folds whose training parts hold good samples only.

    Each good sample is in one test fold. Defective ones are never trained on: they are in all test
    folds, or shared among them.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the samples before they are cut into folds.
    random_state : int, RandomState instance or None, default=None
        Draws the shuffle.
    share_outliers : bool, default=False
        False tests each fold on all defective samples, so that the folds differ in their good
        samples alone. True gives each fold its share, so that test folds are disjoint, as scores
        that are averaged over independent folds assume.

    See Also
    --------
    sklearn.model_selection.KFold : The folds of the good samples.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.model_selection import InlierKFold
    >>> y = np.array([1, 1, 1, 1, -1, -1])
    >>> for train, test in InlierKFold(n_splits=2).split(y, y):
    ...     print(train, test)
    [2 3] [0 1 4 5]
    [0 1] [2 3 4 5]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: Any = None,
        share_outliers: bool = False,
    ) -> None:
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state
        self.share_outliers = share_outliers

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Cut samples into folds.

        Parameters
        ----------
        X : sized
            Samples.
        y : array-like of shape (n_samples,), int
            +1 for good samples, -1 for defective ones. None: all are good.
        groups : None
            Ignored.

        Yields
        ------
        train : ndarray of int
            Good samples.
        test : ndarray of int
            Other good samples, and defective ones.

        Raises
        ------
        ValueError
            If there are other labels, or fewer good samples than folds, or fewer defective ones
            when they are shared.
        """
        y = np.ones(len(X), dtype=int) if y is None else np.asarray(y)
        check_labels(y)
        inliers, outliers = np.flatnonzero(y == 1), np.flatnonzero(y == -1)
        if len(inliers) < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} is more than the number of good samples, {len(inliers)}."
            )
        shares = self.share_outliers and len(outliers) > 0
        if shares and len(outliers) < self.n_splits:
            raise ValueError(
                f"share_outliers=True with n_splits={self.n_splits} leaves folds without one of "
                f"the {len(outliers)} defective samples; use fewer folds or share_outliers=False."
            )
        folds = KFold(
            self.n_splits,
            shuffle=self.shuffle,
            random_state=self.random_state if self.shuffle else None,
        )
        tested = (
            [share for _, share in folds.split(outliers)]
            if shares
            else [np.arange(len(outliers))] * self.n_splits
        )
        for (train, test), share in zip(folds.split(inliers), tested, strict=True):
            yield inliers[train], np.sort(np.concatenate([inliers[test], outliers[share]]))

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
            ``n_splits``.
        """
        return self.n_splits


def _image_roc_auc(y: NDArray, scores: NDArray) -> float:
    return float(roc_auc_score(_defective(y), -scores))


def _image_average_precision(y: NDArray, scores: NDArray) -> float:
    return float(average_precision_score(_defective(y), -scores))


def _pixel_roc_auc(y: NDArray, heatmaps: NDArray, masks: Any = None) -> float:
    return pixel_roc_auc_score(_read_masks(masks, heatmaps), heatmaps)


def _pixel_aupro(y: NDArray, heatmaps: NDArray, masks: Any = None) -> float:
    return aupro_score(_read_masks(masks, heatmaps), heatmaps)


def _read_masks(masks: Any, heatmaps: NDArray) -> list[NDArray[np.bool_]]:
    if masks is None:
        raise ValueError(
            "a scorer of pixels needs masks: sklearn.set_config(enable_metadata_routing=True); "
            "score by pixel_aupro.set_score_request(masks=True) or its like, and give masks=masks "
            "to the fit of a search, or params={'masks': masks} to cross_val_score."
        )
    return read_masks_at(masks, [heatmap.shape for heatmap in heatmaps], of="heatmap")


def _defective(y: NDArray) -> NDArray[np.bool_]:
    check_labels(y)
    return np.asarray(y) == -1


#: Area under the ROC curve of images: the share of pairs of a good and a defective image that are
#: in the right order.
image_roc_auc = make_scorer(_image_roc_auc, response_method=["score_samples"])

#: Average precision of the defective class. scikit-learn's own "average_precision" looks for the
#: class +1, which is the good one here: where most images are good it is near 1 for any detector.
image_average_precision = make_scorer(_image_average_precision, response_method=["score_samples"])

#: Area under the ROC curve of pixels. It takes masks, as metadata that scikit-learn routes to it:
#: ``pixel_roc_auc.set_score_request(masks=True)`` where ``enable_metadata_routing`` is set. Masks
#: are paths, or arrays of the shape of the heatmaps, or None for images without a defect.
pixel_roc_auc = make_scorer(_pixel_roc_auc, response_method=["predict_heatmap"])

#: Area under the per-region-overlap curve, by :func:`~skpadim.metrics.aupro_score`. It takes masks
#: as :data:`pixel_roc_auc` does.
pixel_aupro = make_scorer(_pixel_aupro, response_method=["predict_heatmap"])
