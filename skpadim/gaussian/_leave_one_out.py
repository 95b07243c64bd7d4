"""Each training sample as the model fitted without it would see it."""

import numpy as np
from numpy.typing import NDArray

from skpadim.gaussian._factors import Factor, inflated
from skpadim.gaussian._moments import PatchMoments
from skpadim.gaussian._reduction import reduce_dimensions


class LeaveOneOut:
    """Distances of training samples by the moments of all the others, in closed form.

    With ``a = (n - 1) / (n - 2)``, ``b = n / ((n - 1)(n - 2))``, ``A = a S + R`` and
    ``q = (x - m)' A^-1 (x - m)``, the squared distance of x by the n - 1 others is
    ``(n / (n - 1))^2 q / (1 - b q)``. This is the Sherman-Morrison identity for the scatter
    without x; it equals refitting with the ridge R (and a projection, if any) held fixed.
    Moments and the factor of S + R are those of the reduced dimensions.
    """

    def __init__(
        self, moments: PatchMoments, factor: Factor, components: NDArray | None = None
    ) -> None:
        n = moments.n_samples
        # The covariance of the one other sample, where n is 2, is R alone.
        inflation = (n - 1) / (n - 2) if n > 2 else 0.0
        self._leverage = n / ((n - 1) * (n - 2)) if n > 2 else 0.0
        self._inflation_of_deviation = n / (n - 1)
        self._factor = inflated(factor, moments, inflation)
        self._mean = moments.mean.astype(moments.dtype)
        self._components = components

    def distances(self, X: NDArray) -> NDArray:
        """Return distances (n_samples, n_positions) to the Gaussians of all the other samples.

        X are training samples, any of them in any order, of shape
        (n_samples, n_positions, n_dimensions), not reduced yet.
        """
        X = reduce_dimensions(X, self._components)
        q = self._factor.squared_distances(X, self._mean)
        # 1 - b q is positive; rounding must not make it otherwise.
        remaining = np.maximum(1 - self._leverage * q, np.finfo(q.dtype).eps)
        return self._inflation_of_deviation * np.sqrt(q / remaining)
