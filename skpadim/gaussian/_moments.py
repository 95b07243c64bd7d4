"""Exact streaming moments of patch embeddings."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skpadim.gaussian._positions import for_positions


class PatchMoments:
    """Number, mean and scatter of embeddings at each grid position, exact in a stream.

    Samples join with :meth:`update`, other moments with :meth:`merge`; the result does not
    depend on how the samples were cut into batches or shards [1]_. Memory does not grow with
    the number of samples: the scatter is kept as its root, one row a sample but the first,
    as long as that is no larger, then as a matrix in float64.

    Parameters
    ----------
    n_expected : int, default=0
        How many samples will come, if that is known: memory for them is then taken once. Others
        may come or not.

    Attributes
    ----------
    n_samples : int
        Number of samples seen.
    mean : ndarray of shape (n_positions, n_dimensions), float64
        Mean embedding of each position.
    root : ndarray of shape (n_positions, n_samples - 1, n_dimensions) or None
        While ``n_samples - 1 <= n_dimensions``: rows whose sum of outer products is the scatter,
        in the dtype of the samples. None afterwards, or if more samples are expected.
    scatter : ndarray of shape (n_positions, n_dimensions, n_dimensions), float64, or None
        Sum of ``(x - mean)(x - mean)'`` once ``root`` is None.

    References
    ----------
    .. [1] Chan, T. F., Golub, G. H., & LeVeque, R. J. (1983). Algorithms for computing the
       sample variance: analysis and recommendations. The American Statistician, 37(3).

    Examples
    --------
    >>> import numpy as np
    >>> from skpadim.gaussian import PatchMoments
    >>> X = np.random.default_rng(0).normal(size=(50, 6, 3))
    >>> halves = PatchMoments().update(X[:25]).merge(PatchMoments().update(X[25:]))
    >>> bool(np.allclose(halves.scatter[0] / 49, np.cov(X[:, 0], rowvar=False)))
    True
    """

    n_samples: int = 0
    _dtype: str  # a name, since files without pickle take no dtype
    mean: NDArray[np.float64]
    root: NDArray | None
    scatter: NDArray[np.float64] | None
    _reserved: NDArray | None = None  # for all expected rows; the root is a part of it
    _rounding: float = 0.0  # the share of the variance that is rounding in all directions
    _noise: NDArray | float = 0.0  # variance of each dimension that is no more than rounding

    def __init__(self, n_expected: int = 0) -> None:
        self._n_expected = n_expected

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the first samples.

        Returns
        -------
        dtype
            Either float32 or float64.
        """
        return np.dtype(self._dtype)

    def update(self, X: ArrayLike) -> "PatchMoments":
        """Let samples join.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_positions, n_dimensions), float32 or float64
            Embeddings.

        Returns
        -------
        PatchMoments
            The moments themselves, now of all samples.
        """
        X = np.asarray(X)
        if X.ndim != 3:
            raise ValueError(
                f"X must have shape (n_samples, n_positions, n_dimensions); got {X.shape}."
            )
        if X.dtype not in (np.float32, np.float64):
            X = X.astype(np.float64)
        if len(X) == 0:
            return self
        if self.n_samples == 0:
            self._dtype = X.dtype.name
            self.mean = np.zeros(X.shape[1:])
            self.root = np.empty((X.shape[1], 0, X.shape[2]), dtype=X.dtype)
            self.scatter = None
        elif X.shape[1:] != self.mean.shape:
            raise ValueError(
                f"X has {X.shape[1]} positions of {X.shape[2]} dimensions, but the moments are "
                f"of {self.mean.shape[0]} positions of {self.mean.shape[1]} dimensions."
            )
        n_after = self.n_samples + len(X)
        keeps_root = self.root is not None and max(n_after, self._n_expected) - 1 <= X.shape[2]
        if not keeps_root:
            self._to_scatter()
        first = 1 if self.n_samples == 0 else 0
        root = self._extended_root(n_after - 1) if keeps_root else None

        def join(chunk: slice) -> None:
            increment, mean = self._increment(X[:, chunk], chunk)
            if root is not None:
                rows = increment[first:].transpose(1, 0, 2)
                root[chunk, n_after - 1 - rows.shape[1] :] = rows
            else:
                assert self.scatter is not None
                self.scatter[chunk] += _gram(increment)
            self.mean[chunk] = mean

        for_positions(join, X.shape[1], 8 * X.shape[2] * (3 * len(X) + X.shape[2]))
        self.root = root
        self.n_samples = n_after
        return self

    def merge(self, other: "PatchMoments") -> "PatchMoments":
        """Let the samples behind other moments join.

        Parameters
        ----------
        other : PatchMoments
            Moments of other samples at the same positions; left as they are.

        Returns
        -------
        PatchMoments
            The moments themselves, now of the samples of both.
        """
        if other.n_samples == 0:
            return self
        if self.n_samples == 0:
            return self._copy(other)
        if other.mean.shape != self.mean.shape:
            raise ValueError(
                f"moments of shape {other.mean.shape} (positions, dimensions) cannot join moments "
                f"of shape {self.mean.shape}."
            )
        n, m = self.n_samples, other.n_samples
        difference = other.mean - self.mean
        between = np.sqrt(n * m / (n + m)) * difference
        if self.root is not None and other.root is not None and n + m - 1 <= self.mean.shape[1]:
            between = between.astype(self.dtype)
            self.root = np.concatenate([self.root, other.root, between[:, np.newaxis]], axis=1)
            self._reserved = None
        else:
            self._to_scatter()

            def join(chunk: slice) -> None:
                assert self.scatter is not None
                self.scatter[chunk] += other.scatter_of(chunk)
                self.scatter[chunk] += _gram(between[np.newaxis, chunk])

            for_positions(join, *self._scatter_size())
        self.mean = self.mean + difference * (m / (n + m))
        self.n_samples = n + m
        return self

    def take(self, dimensions: ArrayLike) -> "PatchMoments":
        """Moments of a subset of the dimensions, as if only those had been seen.

        Parameters
        ----------
        dimensions : array-like of shape (n_kept,), int
            The dimensions to keep, in the order wanted.

        Returns
        -------
        PatchMoments
            New moments.
        """
        kept = np.asarray(dimensions)
        return self._transformed(
            self.mean[:, kept],
            lambda rows: rows[..., kept],
            lambda scatter: scatter[:, kept[:, np.newaxis], kept],
            len(kept),
        )

    def project(self, components: NDArray) -> "PatchMoments":
        """Moments of linear combinations of the dimensions.

        Parameters
        ----------
        components : ndarray of shape (n_components, n_dimensions)
            The matrix that embeddings are multiplied with.

        Returns
        -------
        PatchMoments
            New moments.
        """
        projected = self._transformed(
            self.mean @ components.T,
            lambda rows: rows @ components.T.astype(rows.dtype),
            lambda scatter: components @ scatter @ components.T,
            len(components),
        )
        # A sum in which all that varies cancels is left with the rounding of its terms.
        rounding = max(
            (10 * np.finfo(self.dtype).eps) ** 2, 100 * np.finfo(float).eps, self._rounding
        )
        projected._noise = rounding * (components**2 @ self.variance())
        return projected

    def variance(self) -> NDArray[np.float64]:
        """Variance of each dimension over all positions and samples, never 0.

        A dimension that varies no more than rounding does has no scale of its own: it is given
        the mean variance of those that vary, or 1 if none does.

        Returns
        -------
        ndarray of shape (n_dimensions,), float64
            Population variance.
        """
        if self.root is not None:
            root, sums = self.root, np.empty(self.mean.shape)

            def square(chunk: slice) -> None:
                rows = root[chunk]
                np.einsum("prd,prd->pd", rows, rows, dtype=np.float64, out=sums[chunk])

            for_positions(square, len(root), root[0].nbytes)
            within = sums.sum(axis=0)
        else:
            assert self.scatter is not None
            within = np.einsum("pdd->d", self.scatter)
        variance = within / (self.n_samples * len(self.mean)) + self.mean.var(axis=0)
        size = np.abs(self.mean).max(axis=0)
        noise = np.maximum((100 * np.finfo(self.dtype).eps * size) ** 2, self._noise)
        varies = variance > noise
        variance[~varies] = variance[varies].mean() if varies.any() else 1.0
        return variance

    def pooled_covariance(self) -> NDArray[np.float64]:
        """Covariance of the embeddings over all positions and samples.

        Returns
        -------
        ndarray of shape (n_dimensions, n_dimensions), float64
            Population covariance.
        """
        centred = self.mean - self.mean.mean(axis=0)
        if self.root is not None:
            rows = self.root.reshape(-1, self.root.shape[2]).astype(np.float64)
            within = rows.T @ rows
        else:
            assert self.scatter is not None
            within = self.scatter.sum(axis=0)
        return within / (self.n_samples * len(self.mean)) + centred.T @ centred / len(self.mean)

    def scatter_of(self, chunk: slice) -> NDArray[np.float64]:
        """Scatter matrices of some positions, in either form.

        Parameters
        ----------
        chunk : slice
            The positions.

        Returns
        -------
        ndarray of shape (n_chunk, n_dimensions, n_dimensions), float64
            Their scatter.
        """
        if self.root is not None:
            rows = self.root[chunk].astype(np.float64)
            return np.matmul(rows.transpose(0, 2, 1), rows)
        assert self.scatter is not None
        return self.scatter[chunk]

    def __getstate__(self) -> dict[str, Any]:
        # Scatter matrices are symmetric: half of each is what files and wires need.
        state = dict(vars(self))
        if state.get("scatter") is not None:
            state["scatter"] = _lower_triangles(state["scatter"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if state.get("scatter") is not None:
            self.scatter = _symmetric(state["scatter"], self.mean.shape[1])

    def _increment(self, X: NDArray, chunk: slice) -> tuple[NDArray, NDArray]:
        # Welford's recurrence in root form: a sample that joins k others adds
        # k / (k + 1) (x - mean_k)(x - mean_k)' to the scatter. The running means are in
        # float64: what float32 would lose in them is of the size of the small deviations.
        n_before = self.n_samples + np.arange(len(X))[:, np.newaxis, np.newaxis]
        shift = self.mean[chunk] if self.n_samples else X[0].astype(np.float64)
        deviations = X - shift
        sums = np.cumsum(deviations, axis=0)
        mean = shift + sums[-1] / (self.n_samples + len(X))
        weights = np.sqrt(n_before / (n_before + 1))
        rows = deviations
        rows[1:] -= sums[:-1] / n_before[1:]
        rows *= weights
        return rows.astype(X.dtype), mean

    def _extended_root(self, n_rows: int) -> NDArray:
        """Make room in the root, for rows that are still to be written."""
        assert self.root is not None
        n_positions, n_before, n_dimensions = self.root.shape
        if self._reserved is None or self._reserved.shape[1] < n_rows:
            n_expected = max(n_rows, self._n_expected - 1)
            self._reserved = np.empty((n_positions, n_expected, n_dimensions), dtype=self.dtype)
            self._reserved[:, :n_before] = self.root
        root = self._reserved[:, :n_rows]
        if root.shape == self._reserved.shape:
            root, self._reserved = self._reserved, None
        return root

    def _to_scatter(self) -> None:
        if self.root is None:
            return
        n_positions, n_dimensions = self.mean.shape
        scatter = np.zeros((n_positions, n_dimensions, n_dimensions))

        def square(chunk: slice) -> None:
            scatter[chunk] = self.scatter_of(chunk)

        if self.root.size:
            for_positions(square, *self._scatter_size())
        self.scatter, self.root, self._reserved = scatter, None, None

    def _scatter_size(self) -> tuple[int, int]:
        """Return the number of positions, and the bytes of one position's scatter."""
        return len(self.mean), 8 * self.mean.shape[1] ** 2

    def _copy(self, other: "PatchMoments") -> "PatchMoments":
        self.n_samples = other.n_samples
        self._dtype = other._dtype
        self.mean = other.mean.copy()
        self.root = None if other.root is None else other.root.copy()
        self.scatter = None if other.scatter is None else other.scatter.copy()
        return self

    def _transformed(
        self,
        mean: NDArray[np.float64],
        of_rows: Callable[[NDArray], NDArray],
        of_scatter: Callable[[NDArray], NDArray],
        n_dimensions: int,
    ) -> "PatchMoments":
        moments = PatchMoments()
        moments.n_samples = self.n_samples
        moments._dtype = self._dtype
        moments.mean = mean
        moments.root = moments.scatter = None
        n_positions, n_bytes = self._scatter_size()
        if self.root is not None:
            before = self.root
            root = np.empty((n_positions, before.shape[1], n_dimensions), dtype=before.dtype)

            def transform_rows(chunk: slice) -> None:
                root[chunk] = of_rows(before[chunk])

            for_positions(transform_rows, n_positions, before[0].nbytes)
            moments.root = root
            if self.n_samples - 1 > n_dimensions:
                moments._to_scatter()
        else:
            scatter = np.empty((n_positions, n_dimensions, n_dimensions))

            def transform(chunk: slice) -> None:
                scatter[chunk] = of_scatter(self.scatter_of(chunk))

            for_positions(transform, n_positions, n_bytes)
            moments.scatter = scatter
        return moments


def _gram(rows: NDArray) -> NDArray:
    """Sum of outer products of (n, n_positions, d) rows, per position: (n_positions, d, d)."""
    with np.errstate(over="ignore", invalid="ignore"):
        products = np.matmul(rows.transpose(1, 2, 0), rows.transpose(1, 0, 2))
    if rows.dtype == np.float32:
        squares = np.einsum("pdd->pd", products)
        tiny = squares < 1e-24
        if not squares.max() < 1e30 or (tiny.any() and rows[:, tiny].any()):
            # Products of such numbers vanish or overflow in float32.
            return _gram(rows.astype(np.float64))
    return products


def _lower_triangles(matrices: NDArray) -> NDArray:
    """Rows of the lower triangles of (n, d, d) matrices: (n, d (d + 1) / 2)."""
    n, d, _ = matrices.shape
    rows = np.empty((n, d * (d + 1) // 2), dtype=matrices.dtype)
    for i in range(d):
        start = i * (i + 1) // 2
        rows[:, start : start + i + 1] = matrices[:, i, : i + 1]
    return rows


def _symmetric(rows: NDArray, d: int) -> NDArray:
    """Symmetric (n, d, d) matrices that have these lower triangles."""
    matrices = np.empty((len(rows), d, d), dtype=rows.dtype)
    for i in range(d):
        start = i * (i + 1) // 2
        matrices[:, i, : i + 1] = matrices[:, : i + 1, i] = rows[:, start : start + i + 1]
    return matrices


def check_moments(moments: PatchMoments, at_least: int) -> None:
    """Raise if moments are of fewer samples than needed, or of NaN or infinity."""
    if moments.n_samples < at_least:
        raise ValueError(
            f"moments are of n_samples={moments.n_samples}, but at least {at_least} "
            f"{'sample is' if at_least == 1 else 'samples are'} needed."
        )
    if not np.all(np.isfinite(moments.mean)):
        raise ValueError("moments hold NaN or infinity: the embeddings did.")


def pooled(moments: PatchMoments) -> PatchMoments:
    """Return the moments of all patches, whatever their positions, as those of one position."""
    n_positions = len(moments.mean)
    patches = PatchMoments()
    patches.n_samples = moments.n_samples * n_positions
    patches._dtype = moments._dtype
    patches.mean = moments.mean.mean(axis=0, keepdims=True)
    patches.root = None
    patches.scatter = moments.pooled_covariance()[np.newaxis] * patches.n_samples
    return patches


def without(moments: PatchMoments, others: PatchMoments) -> PatchMoments:
    """Return the moments of those samples that are not behind others: `merge` the other way."""
    n, m = moments.n_samples, others.n_samples
    rest = PatchMoments()
    rest.n_samples = n - m
    rest._dtype = moments._dtype
    rest.mean = moments.mean + (moments.mean - others.mean) * (m / (n - m))
    rest.root = None
    between = np.sqrt(m * (n - m) / n) * (others.mean - rest.mean)
    every = slice(None)
    if rest.n_samples <= rest.mean.shape[1]:
        # Their scatter is singular, but for what the difference leaves.
        rest._rounding = 10 * float(np.finfo(moments.dtype).eps)
    rest.scatter = moments.scatter_of(every) - others.scatter_of(every) - _gram(between[np.newaxis])
    return rest
