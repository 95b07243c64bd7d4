"""Metrics of pixels in memory that does not grow with the number of images."""

import numpy as np
from numpy.typing import NDArray

from skpadim.metrics._regions import region_shares
from skpadim.metrics._steps import Steps
from skpadim.metrics._validation import Maps, check_counts, check_max_fpr, checked_pairs

# The sign, 8 bits of exponent and 11 of the fraction of a float32.
_BITS = 20
_N_BINS = 1 << _BITS
_SHIFT = np.uint32(32 - _BITS)
_SIGN = np.uint32(1 << 31)


class PixelHistogram:
    """Pixel metrics of any number of images, in memory that does not grow with it.

    Scores of defective and of defect-free pixels are counted in bins, whose width is 2^-11 (0.05 %)
    of the scores in them: the first 20 bits of a float32, so that neither range nor unit need be
    known. Whatever is computed from the counts takes scores within a bin for equal, and tells the
    most by which that can change the result; where no bin holds pixels of both kinds, the result is
    exact. 24 MiB, whatever the number and the sizes of images.

    Attributes
    ----------
    n_images_ : int
        Images seen.
    n_regions_ : int
        Defective regions seen.
    n_defective_ : int
        Defective pixels seen.
    n_good_ : int
        Defect-free pixels seen.

    See Also
    --------
    aupro_score, pixel_roc_auc_score, pixel_average_precision_score, pixel_f1_max : The exact
        values, of images that are in memory all at once.

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.metrics import PixelHistogram, aupro_score
    >>> random_state = np.random.RandomState(0)
    >>> masks = np.zeros((40, 32, 32), dtype=bool)
    >>> masks[::2, 10:20, 10:20] = True
    >>> heatmaps = random_state.normal(10 + masks)
    >>> histogram = PixelHistogram()
    >>> for first in range(0, 40, 8):
    ...     batch = slice(first, first + 8)
    ...     histogram = histogram.update(masks[batch], heatmaps[batch])
    >>> value, error = histogram.aupro_score(), histogram.aupro_error()
    >>> f"{value:.4f}, at most {error:.4f} from {aupro_score(masks, heatmaps):.4f}"
    '0.4537, at most 0.0007 from 0.4537'
    """

    def __init__(self) -> None:
        self.n_images_ = 0
        self.n_regions_ = 0
        self._pixels = np.zeros(_N_BINS, dtype=np.int64)
        self._defective = np.zeros(_N_BINS, dtype=np.int64)
        self._overlaps = np.zeros(_N_BINS, dtype=np.float64)

    @property
    def n_defective_(self) -> int:
        """Defective pixels seen.

        Returns
        -------
        int
            Their number.
        """
        return int(self._defective.sum())

    @property
    def n_good_(self) -> int:
        """Defect-free pixels seen.

        Returns
        -------
        int
            Their number.
        """
        return int(self._pixels.sum()) - self.n_defective_

    def update(self, masks: Maps, heatmaps: Maps) -> "PixelHistogram":
        """Count the pixels of more images.

        Parameters
        ----------
        masks : array-like of shape (n_samples, height, width), or sequence of (height, width)
            As in :func:`aupro_score`. Images may differ in size.
        heatmaps : array-like of shape (n_samples, height, width), or sequence of (height, width)
            As in :func:`aupro_score`; counted as float32.

        Returns
        -------
        PixelHistogram
            Itself.

        Raises
        ------
        ValueError
            As in :func:`aupro_score`, but for missing kinds of pixels; or if a heatmap has values
            that a float32 cannot hold. Then none of the images is counted.
        """
        pixels, defective, shares, n_regions = [], [], [], 0
        for index, (mask, heatmap) in enumerate(checked_pairs(masks, heatmaps)):
            bins = _bins(heatmap, index)
            share, n_new = region_shares(mask)
            pixels.append(bins.ravel())
            defective.append(bins[mask])
            shares.append(share)
            n_regions += n_new
        if pixels:
            found = np.concatenate(defective)
            self._pixels += np.bincount(np.concatenate(pixels), minlength=_N_BINS)
            self._defective += np.bincount(found, minlength=_N_BINS)
            self._overlaps += np.bincount(found, np.concatenate(shares), minlength=_N_BINS)
        self.n_images_ += len(pixels)
        self.n_regions_ += n_regions
        return self

    def roc_auc_score(self) -> float:
        """Area under the ROC curve of pixels.

        Returns
        -------
        score : float
            As of :func:`pixel_roc_auc_score`.

        Raises
        ------
        ValueError
            If there was no defective or no defect-free pixel.
        """
        return self._steps("a ROC curve").roc_auc()

    def roc_auc_error(self) -> float:
        """Most by which the area under the ROC curve of pixels can differ from the exact value.

        Returns
        -------
        float
            The bound; 0 where no bin holds pixels of both kinds.

        Raises
        ------
        ValueError
            As in :meth:`roc_auc_score`.
        """
        return self._steps("a ROC curve").roc_auc_error()

    def average_precision_score(self) -> float:
        """Average precision of pixels.

        Returns
        -------
        score : float
            As of :func:`pixel_average_precision_score`.

        Raises
        ------
        ValueError
            If there was no defective pixel.
        """
        return self._steps("average precision", need_good=False).average_precision()

    def average_precision_error(self) -> float:
        """Most by which the average precision of pixels can differ from the exact value.

        Returns
        -------
        float
            The bound; 0 where no bin holds pixels of both kinds.

        Raises
        ------
        ValueError
            As in :meth:`average_precision_score`.
        """
        return self._steps("average precision", need_good=False).average_precision_error()

    def f1_max(self) -> tuple[float, float]:
        """Largest F1 score of pixels over all thresholds, and a threshold that has it.

        Returns
        -------
        score : float
            F1 at `threshold`, exactly; the largest of all can be larger.
        threshold : float
            Lower edge of a bin.

        Raises
        ------
        ValueError
            If there was no defective pixel.
        """
        return self._steps("F1", need_good=False).f1_max()

    def f1_max_error(self) -> float:
        """Most by which the largest F1 score of pixels can exceed that of :meth:`f1_max`.

        Returns
        -------
        float
            The bound; 0 where no bin holds pixels of both kinds.

        Raises
        ------
        ValueError
            As in :meth:`f1_max`.
        """
        return self._steps("F1", need_good=False).f1_max_error()

    def aupro_score(self, *, max_fpr: float = 0.3) -> float:
        """Area under the per-region-overlap (PRO) curve.

        Parameters
        ----------
        max_fpr : float, default=0.3
            False positive rate, in (0, 1], up to which the curve is integrated.

        Returns
        -------
        score : float
            As of :func:`aupro_score`.

        Raises
        ------
        ValueError
            If there was no defective or no defect-free pixel, or `max_fpr` lies outside (0, 1].
        """
        check_max_fpr(max_fpr)
        return self._steps("PRO").aupro(max_fpr)

    def aupro_error(self, *, max_fpr: float = 0.3) -> float:
        """Most by which the area under the PRO curve can differ from the exact value.

        Parameters
        ----------
        max_fpr : float, default=0.3
            As in :meth:`aupro_score`.

        Returns
        -------
        float
            The bound; 0 where no bin holds pixels of both kinds.

        Raises
        ------
        ValueError
            As in :meth:`aupro_score`.
        """
        check_max_fpr(max_fpr)
        return self._steps("PRO").aupro_error(max_fpr)

    def _steps(self, metric: str, *, need_good: bool = True) -> Steps:
        check_counts(self.n_defective_, self.n_good_, metric, need_good)
        good = self._pixels - self._defective
        bins = np.flatnonzero(self._defective)[::-1]
        return Steps(
            thresholds=_lower_edges(bins),
            defective_at=self._defective[bins],
            good_at=good[bins],
            good_above=(good.sum() - good.cumsum())[bins],
            n_good=int(good.sum()),
            overlap=self._overlaps[bins] / self.n_regions_,
        )


def _bins(heatmap: NDArray, index: int) -> NDArray[np.uint32]:
    """Bins of scores, numbered in the order of the scores."""
    with np.errstate(over="ignore"):
        scores = heatmap.astype(np.float32)
    if not np.isfinite(scores).all():
        raise ValueError(f"heatmaps[{index}] has values that a float32 cannot hold.")
    scores += np.float32(0)  # makes -0.0 and 0.0 one
    bits = scores.view(np.uint32)
    # Floats rise with their bits where they are positive, and fall where they are negative.
    keys = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return keys >> _SHIFT


def _lower_edges(bins: NDArray[np.intp]) -> NDArray[np.float32]:
    keys = bins.astype(np.uint32) << _SHIFT
    return np.where(keys & _SIGN, keys ^ _SIGN, ~keys).view(np.float32)
