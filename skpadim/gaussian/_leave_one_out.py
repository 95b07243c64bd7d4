"""Each training sample as the model fitted without it would see it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skpadim._threads import one_blas_thread
from skpadim.gaussian._factors import Factor, factorize, inflated, is_faint
from skpadim.gaussian._moments import PatchMoments, pooled, without
from skpadim.gaussian._positions import for_positions
from skpadim.gaussian._reduction import reduce_dimensions

# In how many parts samples are left out of a projection, and hence how many factors that takes. The
# fewer, the more samples a part is short of what the model has, and the further beyond the
# scores of fresh samples the threshold lies.
_N_FOLDS = 20


class LeaveOneOut:
    """Distances of training samples by the moments of all the others, in closed form.

    It equals refitting with the ridge R held fixed, and with a reduction that does not depend on
    the samples. Moments and the factor of S + R are those of the reduced dimensions.
    """

    def __init__(
        self, moments: PatchMoments, factor: Factor, components: NDArray | None = None
    ) -> None:
        factor = inflated(factor, moments, _inflation(moments.n_samples, 1))
        self._left_out = _LeftOut(moments, factor, 1)
        self._components = components

    def distances(self, X: NDArray) -> NDArray:
        """Return distances (n_samples, n_positions) to the Gaussians of all the other samples.

        X are training samples, any of them in any order, of shape
        (n_samples, n_positions, n_dimensions), not reduced yet.
        """
        return self._left_out.distances(reduce_dimensions(X, self._components))


class LeaveFoldOut:
    """Distances of training samples by all that was learnt from the others, a projection included.

    A projection that is learnt has seen the training samples, as it will not have seen a fresh one.
    So a twentieth of the samples at a time is left out of all of it: the projection, the ridge and
    the Gaussians. Moments are those of all dimensions; `project` makes the projection from moments,
    and `ridge` the ridge from those that are projected.
    """

    def __init__(
        self,
        moments: PatchMoments,
        project: Callable[[PatchMoments], NDArray],
        ridge: Callable[[PatchMoments], NDArray],
    ) -> None:
        self._moments = moments
        self._patches = pooled(moments)
        self._project = project
        self._ridge = ridge

    def distances(self, X: NDArray) -> NDArray:
        """Return distances (n_samples, n_positions) to the Gaussians of the samples not in a fold.

        X are training samples of shape (n_samples, n_positions, n_dimensions), not reduced yet.
        Folds are of samples that follow one another in X.
        """
        size = max(1, self._moments.n_samples / _N_FOLDS)
        folds = np.array_split(X, max(1, round(len(X) / size)))
        # Its own threads would mostly wait for one another: matrices are small.
        with one_blas_thread():
            return np.concatenate([self._distances_of_fold(fold) for fold in folds])

    def _distances_of_fold(self, X: NDArray) -> NDArray:
        patches = X.reshape(-1, 1, X.shape[2]).astype(np.float64)
        others = without(self._patches, PatchMoments().update(patches))
        components = self._project(others)
        moments = self._moments.project(components)
        ridge = self._ridge(others.project(components))
        factor = factorize(
            moments, ridge, inflation=_inflation(moments.n_samples, len(X)), overwrite=True
        )
        return _LeftOut(moments, factor, len(X)).distances(reduce_dimensions(X, components))


class _LeftOut:
    """Distances of training samples by the others, where m samples are left out together.

    With the deviations U of the m samples from the mean of all n, the factor of A = a S + R,
    ``a = (n - 1) / (n - m - 1)``, ``b = 1 / (n - m - 1)``, ``G = U A^-1 U'`` and J = 1 1', the
    squared distances by the n - m others are the diagonal of ``W (G + b G M^-1 G) W``, where
    ``W = I + J / (n - m)`` and ``M = I - J / n - b G``. It is Woodbury's identity for the scatter
    without the m samples.
    """

    def __init__(self, moments: PatchMoments, factor: Factor, n_together: int) -> None:
        self._n_samples = moments.n_samples
        self._n_together = n_together
        self._mean = moments.mean.astype(moments.dtype)
        self._factor = factor
        # Where there is a root, a faint ridge has the low-rank form, which loses nothing.
        self._may_be_lost = moments.scatter is not None and is_faint(factor.ridge, moments)

    def distances(self, X: NDArray) -> NDArray:
        """Return distances (n_samples, n_positions); each m samples that follow are a group."""
        m, n_others = self._n_together, self._n_samples - self._n_together
        b = 1 / (n_others - 1) if n_others > 1 else 0.0
        W = np.eye(m) + np.ones((m, m)) / n_others
        without_G = np.eye(m) - np.ones((m, m)) / self._n_samples
        factor = self._factor
        out = np.empty((X.shape[1], len(X)), dtype=factor.dtype)

        def measure(chunk: slice) -> None:
            whitened = factor.whitened(X, self._mean, chunk)
            if factor.eigenvalues is None:
                G = np.sum([_products(z, m) for z in whitened], axis=0)
                M = self._check_positive(without_G - b * G)
            else:
                # Training samples have nothing but rounding beside the directions.
                z = next(whitened)
                G = _products(z, m)
                e = factor.eigenvalues[chunk, np.newaxis]
                by_ridge = np.divide(z, np.sqrt(e), out=np.zeros_like(z), where=e > 0)
                M = b * _products(by_ridge, m)
                # Without the ridge M is 0, but for rounding, in which a faint ridge would drown:
                # unless samples depend on one another, such as copies, and some e are 0.
                depend = np.any(factor.eigenvalues[chunk] == 0, axis=1)
                M[depend] += _with_eigenvalues(
                    without_G - b * G[depend] - M[depend],
                    lambda values: np.where(values < factor.rounding, 0, values),
                )
            out[chunk] = np.sqrt(_squares(G, M, b, W)).reshape(-1, len(X))

        for_positions(measure, X.shape[1], factor.bytes_per_position(X))
        return out.T

    def _check_positive(self, M: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return M without eigenvalues that are lost in rounding; refuse it if they decide."""
        eps = float(np.finfo(self._factor.dtype).eps)
        if self._may_be_lost and np.any(_eigenvalues(M) < 10 * self._factor.rounding):
            m = self._n_together
            raise ValueError(
                f"the covariance of all training samples but {'one' if m == 1 else m} is singular "
                f"to the precision of {self._factor.dtype}: raise reg_covar, lower n_components or "
                "give more samples."
            )
        return _with_eigenvalues(M, lambda values: np.maximum(values, eps))


def _inflation(n_samples: int, n_left_out: int) -> float:
    """Return a, by which A = a S + R is the covariance of the others but for a small product."""
    # The covariance of a single other sample is R alone.
    n_others = n_samples - n_left_out
    return (n_samples - 1) / (n_others - 1) if n_others > 1 else 0.0


def _products(z: NDArray, m: int) -> NDArray[np.float64]:
    """Return inner products (n_chunk, n_groups, m, m) of vectors that are in groups of m."""
    z = z.reshape(len(z), -1, m, z.shape[2])
    products = np.vecdot(z, z)[..., np.newaxis] if m == 1 else np.matmul(z, z.swapaxes(2, 3))
    return products.astype(np.float64)


def _with_eigenvalues(M: NDArray, change: Callable[[NDArray], NDArray]) -> NDArray[np.float64]:
    """Return symmetric matrices (..., m, m) with other eigenvalues."""
    if M.shape[-1] == 1:
        return change(M)
    values, vectors = np.linalg.eigh(M)
    return np.matmul(vectors * change(values)[..., np.newaxis, :], vectors.swapaxes(-1, -2))


def _eigenvalues(M: NDArray) -> NDArray[np.float64]:
    return M[..., 0] if M.shape[-1] == 1 else np.linalg.eigvalsh(M)


def _squares(G: NDArray, M: NDArray, b: float, W: NDArray) -> NDArray[np.float64]:
    """Return the diagonals (n_chunk, n_groups, m) of W (G + b G M^-1 G) W."""
    GW = G * W if len(W) == 1 else np.matmul(G, W)
    values, along = M[..., 0], GW
    if len(W) > 1:
        values, vectors = np.linalg.eigh(M)
        along = np.matmul(vectors.swapaxes(2, 3), GW)
    values = np.maximum(values, np.finfo(np.float64).tiny)
    return np.sum(W * GW + b * along**2 / values[..., np.newaxis], axis=2)
