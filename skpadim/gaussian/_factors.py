"""Factors of the covariance S + R, and distances by them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtri

from skpadim.gaussian._moments import PatchMoments
from skpadim.gaussian._positions import for_positions
from skpadim.gaussian._triangles import blocks_of, count_entries, unpack

_ALL = slice(None)

# The integers of compact factors go as far as this.
_LARGEST = np.iinfo(np.int16).max

# In variances of a dimension: Cholesky factors of singular matrices with smaller ridges than this
# are of little precision, where they come from float32.
_FAINT_RIDGE = 1e-3


class Factor(NamedTuple):
    """The covariance S + R of each position in the form that distances need.

    Full form (``eigenvalues`` is None): ``matrix`` is the inverse U of the upper Cholesky factor,
    so that ``d^2 = |U' (x - m)|^2``. It is what scikit-learn's mixtures call the Cholesky factor
    of the precision; no covariance is ever inverted. Its triangles are packed: one image is bound
    by reading them from memory.

    Low-rank form: with u = R^-1/2 (x - m), the rows of ``matrix`` are the eigenvectors V of
    R^-1/2 S R^-1/2 and ``eigenvalues`` their eigenvalues e, of which only n - 1 are not zero:
    ``d^2 = sum (V u)_i^2 / (1 + e_i) + |u - V' V u|^2``. It is Woodbury's identity arranged as a
    sum of squares: nothing cancels, nothing can come out negative.

    Attributes
    ----------
    matrix : ndarray of shape (n_positions, n_entries) or (n_positions, rank, n_dimensions)
        See above. Integers of 16 bits, where it is compact.
    eigenvalues : ndarray of shape (n_positions, rank) or None
        See above.
    ridge : ndarray of shape (n_dimensions,), float64
        The diagonal of R.
    units : ndarray of shape (n_positions, n_dimensions) or None
        What the integers of each dimension count in, where ``matrix`` is compact.
    """

    matrix: NDArray
    eigenvalues: NDArray | None
    ridge: NDArray[np.float64]
    units: NDArray | None = None

    @property
    def dtype(self) -> np.dtype:
        """Dtype of distances: float32 or float64."""
        return self.matrix.dtype if self.units is None else self.units.dtype

    @property
    def rounding(self) -> float:
        """Relative rounding of a sum of squares of coordinates in a wide margin."""
        return 10 * max(float(np.finfo(self.dtype).eps), 0 if self.units is None else 1 / _LARGEST)

    def squared_distances(self, X: NDArray, mean: NDArray) -> NDArray:
        """Return squared Mahalanobis distances (n_samples, n_positions) of embeddings.

        X has the shape (n_samples, n_positions, n_dimensions), `mean` (n_positions, n_dimensions).
        """
        out = np.zeros((X.shape[1], X.shape[0]), dtype=self.dtype)

        def measure(chunk: slice) -> None:
            for z in self.whitened(X, mean, chunk):
                out[chunk] += np.vecdot(z, z)

        for_positions(measure, X.shape[1], self.bytes_per_position(X))
        return out.T

    def whitened(self, X: NDArray, mean: NDArray, chunk: slice) -> Iterator[NDArray]:
        """Yield parts (n_chunk, n_samples, n) of the vectors that distances are the lengths of.

        In the low-rank form they are ``(V u)_i / sqrt(1 + e_i)``, then ``u - V' V u``.
        """
        # Here rather than for all positions at once: deviations then stay in the cache.
        x = X[:, chunk].transpose(1, 0, 2) - mean[chunk, np.newaxis]
        matrix = self.matrix[chunk].astype(self.dtype, copy=False)
        if self.eigenvalues is None:
            x = self._in_units(x, chunk)
            for columns, block in blocks_of(matrix, len(self.ridge)):
                yield np.matmul(x[..., : columns.stop], block)
        else:
            u = x / np.sqrt(self.ridge).astype(self.dtype)
            c = np.matmul(self._in_units(u, chunk), matrix.transpose(0, 2, 1))
            yield c / np.sqrt(1 + self.eigenvalues[chunk, np.newaxis])
            yield u - self._in_units(np.matmul(c, matrix), chunk)

    def bytes_per_position(self, X: NDArray) -> int:
        """Return how many bytes the distances of X read and write at each position."""
        n_bytes = self.matrix[0].nbytes + 3 * X[:, 0].nbytes
        if self.units is not None:
            n_bytes += 2 * self.matrix[0].size * self.dtype.itemsize
        return n_bytes

    def log_determinants(self) -> NDArray[np.float64]:
        """Return the logarithm of the determinant of S + R at each position, in float64."""
        if self.eigenvalues is None:
            diagonals = [
                np.einsum("pdd->pd", block[:, columns])
                for columns, block in blocks_of(self.matrix, len(self.ridge))
            ]
            diagonal = self._in_units(np.concatenate(diagonals, axis=1)[:, np.newaxis], _ALL)
            return -2 * np.log(diagonal[:, 0], dtype=np.float64).sum(axis=1)
        spread = np.log1p(self.eigenvalues, dtype=np.float64).sum(axis=1)
        return np.log(self.ridge).sum() + spread

    def to_moments(self, n_samples: int, mean: NDArray) -> PatchMoments:
        """Return moments that have this factor, to the precision of its dtype."""
        moments = PatchMoments()
        moments.n_samples = n_samples
        moments._dtype = self.dtype.name
        moments.mean = mean.astype(np.float64)
        moments.root = moments.scatter = None
        n_positions, n_dimensions = mean.shape
        if self.eigenvalues is not None:
            scale = np.sqrt(self.eigenvalues * (n_samples - 1))[:, :, np.newaxis]
            moments.root = self._in_units(self.matrix * scale, _ALL)
            moments.root *= np.sqrt(self.ridge).astype(self.dtype)
            return moments
        scatter = np.empty((n_positions, n_dimensions, n_dimensions))

        def restore(chunk: slice) -> None:
            triangles = unpack(self.matrix[chunk].astype(np.float64), n_dimensions)
            triangles = self._in_units(triangles.transpose(0, 2, 1), chunk).transpose(0, 2, 1)
            for position, triangle in zip(range(n_positions)[chunk], triangles, strict=True):
                cholesky = dtrtri(triangle, lower=0)[0]
                covariance = cholesky.T @ cholesky
                covariance[np.diag_indices(n_dimensions)] -= self.ridge
                scatter[position] = covariance * (n_samples - 1)

        for_positions(restore, n_positions, 8 * n_dimensions**2)
        moments.scatter = scatter
        return moments

    def to_compact(self) -> "Factor":
        """Return the factor rounded to integers of 16 bits, half the size."""
        if self.units is not None:
            return self
        n_positions, n_dimensions = len(self.matrix), len(self.ridge)
        matrix = np.empty(self.matrix.shape, np.int16)
        units = np.empty((n_positions, n_dimensions), self.dtype)

        def count(chunk: slice) -> None:
            if self.eigenvalues is not None:
                vectors = self.matrix[chunk].copy()
                units[chunk] = _count_in_units(vectors)
                matrix[chunk] = vectors
            else:
                lower = unpack(self.matrix[chunk], n_dimensions).transpose(0, 2, 1)
                units[chunk] = _count_in_units(lower)
                _pack(lower, matrix[chunk])

        for_positions(count, n_positions, 2 * n_dimensions**2 * self.dtype.itemsize)
        return self._replace(matrix=matrix, units=units)

    def _in_units(self, vectors: NDArray, chunk: slice) -> NDArray:
        """Multiply (n_chunk, n, n_dimensions) vectors by the units, where there are any."""
        return vectors if self.units is None else vectors * self.units[chunk, np.newaxis]


def ridge_of(moments: PatchMoments, reg_covar: float, relative: bool) -> NDArray[np.float64]:
    """Return the diagonal of R, float64; relative is in variances over positions and samples."""
    if not relative:
        return np.full(moments.mean.shape[1], float(reg_covar))
    return reg_covar * moments.variance()


def factorize(
    moments: PatchMoments,
    ridge: NDArray[np.float64],
    *,
    inflation: float = 1.0,
    compact: bool = False,
    overwrite: bool = False,
) -> Factor:
    """Return the factor of ``inflation * S + R``, with S the scatter over n - 1.

    It has the smaller of the two forms, and the low-rank one, wherever there is a root, if the
    ridge is faint: what a matrix that is all but singular needs would be lost in rounding. The work
    is done in float64, the result is in the dtype of the samples. With `overwrite`, the low-rank
    form may take the memory of the moments' root; they have neither root nor scatter then. A
    singular covariance is a ValueError.
    """
    n_dimensions = len(ridge)
    is_smaller = (moments.n_samples - 1) * n_dimensions < count_entries(n_dimensions)
    if moments.root is not None and np.all(ridge > 0) and (is_smaller or is_faint(ridge, moments)):
        factor = _low_rank(moments, ridge, compact, overwrite)
        return factor if inflation == 1 else inflated(factor, moments, inflation)
    return _full(moments, ridge, compact, inflation)


def is_faint(ridge: NDArray[np.float64], moments: PatchMoments) -> bool:
    """Return whether a ridge is so small that what it makes of a singular matrix is rounding."""
    return bool(np.any(ridge < _FAINT_RIDGE * moments.variance()))


def inflated(factor: Factor, moments: PatchMoments, inflation: float) -> Factor:
    """Return the factor of ``inflation * S + R``; in the low-rank form it shares the matrix."""
    if factor.eigenvalues is None:
        return _full(moments, factor.ridge, factor.units is not None, inflation)
    return factor._replace(eigenvalues=factor.eigenvalues * factor.dtype.type(inflation))


def _full(
    moments: PatchMoments, ridge: NDArray[np.float64], compact: bool, inflation: float = 1.0
) -> Factor:
    n_positions, n_dimensions = moments.mean.shape
    shape = (n_positions, count_entries(n_dimensions))
    matrix = np.empty(shape, dtype=_entries_dtype(moments, compact))
    units = np.empty((n_positions, n_dimensions), moments.dtype) if compact else None
    diagonal = np.arange(n_dimensions)

    def factor(chunk: slice) -> None:
        covariance = moments.scatter_of(chunk) * (inflation / (moments.n_samples - 1))
        covariance[:, diagonal, diagonal] += ridge
        lower = np.linalg.cholesky(covariance)
        for triangle in lower:
            triangle[:] = dtrtri(triangle.T, lower=0, overwrite_c=1)[0].T
        if units is not None:
            units[chunk] = _count_in_units(lower)
        _pack(lower, matrix[chunk])

    try:
        for_positions(factor, n_positions, 8 * n_dimensions**2)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"a covariance of {n_dimensions} dimensions from {moments.n_samples} samples is "
            "singular: raise reg_covar, lower n_components or give more samples."
        ) from None
    return Factor(matrix, None, ridge, units)


def _low_rank(
    moments: PatchMoments, ridge: NDArray[np.float64], compact: bool, overwrite: bool
) -> Factor:
    root = moments.root
    assert root is not None
    n_positions, rank, n_dimensions = root.shape
    if overwrite:
        moments.root = None
    in_place = overwrite and not compact and root.flags.c_contiguous
    matrix = root if in_place else np.empty(root.shape, dtype=_entries_dtype(moments, compact))
    eigenvalues = np.empty((n_positions, rank), dtype=moments.dtype)
    units = np.empty((n_positions, n_dimensions), moments.dtype) if compact else None
    scale = np.sqrt(1 / (rank * ridge))

    def factor(chunk: slice) -> None:
        whitened = root[chunk] * scale
        values, vectors = np.linalg.eigh(np.matmul(whitened, whitened.transpose(0, 2, 1)))
        # A direction whose share is lost in rounding cannot be told from its neighbours;
        # without a direction its (zero) eigenvalue makes no difference to any distance.
        known = values > 1e-12 * np.maximum(values[:, -1:], 1.0)
        values = np.where(known, values, 0.0)
        lengths = np.where(known, np.sqrt(np.where(known, values, 1.0)), np.inf)
        directions = np.matmul(vectors.transpose(0, 2, 1), whitened) / lengths[..., np.newaxis]
        if units is not None:
            units[chunk] = _count_in_units(directions)
        matrix[chunk] = directions
        eigenvalues[chunk] = values

    for_positions(factor, n_positions, 8 * rank * n_dimensions)
    return Factor(matrix, eigenvalues, ridge, units)


def _pack(lower: NDArray, packed: NDArray) -> None:
    """Write the transposes of lower triangles into packed upper ones."""
    for columns, block in blocks_of(packed, lower.shape[1]):
        block[:] = lower[:, columns, : columns.stop].transpose(0, 2, 1)


def _entries_dtype(moments: PatchMoments, compact: bool) -> np.dtype:
    return np.dtype(np.int16) if compact else moments.dtype


def _count_in_units(vectors: NDArray) -> NDArray:
    """Turn (n_chunk, n, n_dimensions) vectors into integers, in place, and tell their units."""
    # Of each dimension at each position, so that the scale of a dimension makes no difference.
    largest = np.abs(vectors).max(axis=1)
    units = np.where(largest > 0, largest, 1.0) / _LARGEST
    np.rint(np.divide(vectors, units[:, np.newaxis], out=vectors), out=vectors)
    return units
