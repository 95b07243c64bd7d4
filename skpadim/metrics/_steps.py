"""Areas under curves of pixels, from the few scores at which the curves can rise.

Curves of true positives over false positives rise only at scores of defective pixels, which are few
beside the good ones. So it is enough to know, for each distinct one of these scores, how many
defective and how many good pixels reach it. That takes one sort of all scores, without the order
of the pixels, which is what makes argsort slow. Counts in bins of a histogram have the same form: a
bin is a score that several share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skpadim.metrics._validation import Pairs


@dataclass(frozen=True)
class Steps:
    """Pixels at each distinct score of a defective pixel, or at each bin, from the top down."""

    thresholds: NDArray  # of bins the lower edges
    defective_at: NDArray[np.int64]
    good_at: NDArray[np.int64]
    good_above: NDArray[np.int64]
    n_good: int
    overlap: NDArray[np.float64] | None = None  # what PRO rises by, which adds up to 1

    @property
    def n_defective(self) -> int:
        """Number of defective pixels."""
        return int(self.defective_at.sum())

    @cached_property
    def true_positives(self) -> NDArray[np.int64]:
        """Defective pixels at or above each score."""
        return self.defective_at.cumsum()

    @cached_property
    def false_positives(self) -> NDArray[np.int64]:
        """Good pixels at or above each score."""
        return self.good_above + self.good_at

    def roc_auc(self) -> float:
        """Return the area under the ROC curve: pairs in the right order, and half of the ties."""
        above = self.good_above + self.good_at / 2
        return float(1 - self.defective_at @ above / self.n_defective / self.n_good)

    def roc_auc_error(self) -> float:
        """Return the most by which pairs within bins can change the area."""
        return float(self.defective_at @ self.good_at / 2 / self.n_defective / self.n_good)

    def average_precision(self) -> float:
        """Return the mean over the defective pixels of the precision at their scores."""
        return float(
            self.defective_at
            @ (self.true_positives / (self.true_positives + self.false_positives))
            / self.n_defective
        )

    def average_precision_error(self) -> float:
        """Return the most by which the order within bins can change the average precision."""
        value = self.true_positives / (self.true_positives + self.false_positives)
        # At best the defective pixels of a bin are above its good ones, at worst below them; then
        # the first has the lowest precision.
        best = self.true_positives / (self.true_positives + self.good_above)
        first = self.true_positives - self.defective_at + 1
        worst = first / (first + self.false_positives)
        up, down = (self.defective_at @ (best - value), self.defective_at @ (value - worst))
        return float(max(up, down) / self.n_defective)

    def f1_max(self) -> tuple[float, float]:
        """Return the largest F1, and the highest threshold that has it."""
        scores = self._f1(self.false_positives)
        # Between two of these thresholds false positives can only be gained.
        best = int(scores.argmax())
        return float(scores[best]), float(self.thresholds[best])

    def f1_max_error(self) -> float:
        """Return the most by which the largest F1 can exceed that at the edges of bins."""
        return float(self._f1(self.good_above).max() - self._f1(self.false_positives).max())

    def aupro(self, max_fpr: float) -> float:
        """Return the area under the PRO curve up to `max_fpr`, divided by it."""
        assert self.overlap is not None
        width, reached, rest = self._rises(max_fpr)
        # A step lifts the curve by its overlap: linearly along its width, and wholly after that.
        return float(self.overlap @ (width * reached / 2 + rest) / max_fpr)

    def aupro_error(self, max_fpr: float) -> float:
        """Return the most by which the order within bins can change the area."""
        assert self.overlap is not None
        width, reached, _ = self._rises(max_fpr)
        # The curve stays in the box of a bin; its area is drawn as that of the diagonal. In the box
        # that `max_fpr` cuts, more than half of the area may lie above the diagonal.
        return float(self.overlap @ (width * (1 - reached / 2)) / max_fpr)

    def _f1(self, false_positives: NDArray[np.int64]) -> NDArray[np.float64]:
        return 2 * self.true_positives / (self.true_positives + false_positives + self.n_defective)

    def _rises(self, max_fpr: float) -> tuple[NDArray[np.float64], ...]:
        """Widths along which steps rise, their shares within the limit, and those after them."""
        low, high = self.good_above / self.n_good, self.false_positives / self.n_good
        end = np.minimum(high, max_fpr)
        width = end - np.minimum(low, max_fpr)
        share = np.divide(width, high - low, out=np.ones_like(low), where=high > low)
        return width, share, max_fpr - end


def exact_steps(pairs: Pairs, overlaps: Sequence[NDArray[np.float64]] | None = None) -> Steps:
    """Return the counts of pixels at each distinct score that a defective pixel has."""
    pooled = np.concatenate([heatmap.ravel() for _, heatmap in pairs])
    pooled.sort()
    found = np.concatenate([heatmap[mask] for mask, heatmap in pairs])
    weights = None
    if overlaps is None:
        found.sort()
    else:
        # Stable, so that sums do not depend on how the scores are spread.
        order = found.argsort(kind="stable")
        found, weights = found[order], np.concatenate(overlaps)[order]
    starts = np.flatnonzero(np.concatenate([[True], found[1:] != found[:-1]]))
    thresholds = found[starts]
    counts = np.diff(np.append(starts, found.size))
    below = np.searchsorted(pooled, thresholds, side="left")
    not_above = np.searchsorted(pooled, thresholds, side="right")
    defective_above = found.size - (starts + counts)
    return Steps(
        thresholds=thresholds[::-1],
        defective_at=counts[::-1],
        good_at=(not_above - below - counts)[::-1],
        good_above=(pooled.size - not_above - defective_above)[::-1],
        n_good=pooled.size - found.size,
        overlap=None if weights is None else np.add.reduceat(weights, starts)[::-1],
    )
