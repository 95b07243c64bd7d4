"""Fewer dimensions: a subset of them, or projections."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skpadim.gaussian._moments import PatchMoments

# Projections that are learnt from the samples, and all of them.
PRINCIPAL_COMPONENTS = ("pca", "npca")
PROJECTIONS = ("orthogonal", "semi-orthogonal", *PRINCIPAL_COMPONENTS)


def count_components(n_components: int | float | None, n_dimensions: int) -> int:
    """Return the number of components wanted, from 1 to `n_dimensions`."""
    if n_components is None:
        return n_dimensions
    if not isinstance(n_components, Integral):
        return max(1, round(n_components * n_dimensions))
    if n_components > n_dimensions:
        raise ValueError(
            f"n_components={n_components} is larger than the number of dimensions, "
            f"{n_dimensions}; give at most {n_dimensions}, a share in (0, 1], or None for all."
        )
    return int(n_components)


def select_dimensions(
    n_dimensions: int,
    n_components: int | float | None,
    reduction: Any,
    random_state: Any,
    layer_depths: Sequence[int] | None = None,
) -> NDArray[np.intp] | None:
    """Return the dimensions that a reduction by selection keeps; None if it is not one.

    They are sorted if drawn, and as given for indices. `layer_depths`, the number of dimensions
    of each layer, is needed by "stratified".
    """
    if isinstance(reduction, str):
        count = count_components(n_components, n_dimensions)
        if reduction != "stratified":
            layer_depths = (n_dimensions,)
        elif layer_depths is None:
            raise ValueError(
                "reduction='stratified' draws from each layer of a backbone, but X holds "
                "embeddings, which do not tell their layers: give 'random', or the indices."
            )
        if reduction in PROJECTIONS or count == n_dimensions:
            return None
        random_state = check_random_state(random_state)
        drawn, first = [], 0
        for depth, share in zip(layer_depths, _even_shares(count, layer_depths), strict=True):
            drawn.append(first + random_state.permutation(depth)[:share])
            first += depth
        return np.sort(np.concatenate(drawn))
    kept = np.asarray(reduction)
    if kept.ndim != 1 or kept.size == 0 or kept.dtype.kind not in "iu":
        raise ValueError(
            "reduction must be the name of one, or a non-empty 1-D sequence of integer indices; "
            f"got {reduction!r}."
        )
    if kept.min() < 0 or kept.max() >= n_dimensions:
        raise ValueError(
            f"reduction holds the index {kept.min() if kept.min() < 0 else kept.max()}, but the "
            f"embeddings have {n_dimensions} dimensions: indices go from 0 to {n_dimensions - 1}."
        )
    if len(np.unique(kept)) < len(kept):
        raise ValueError("reduction holds an index more than once.")
    if n_components is not None and count_components(n_components, n_dimensions) != len(kept):
        raise ValueError(
            f"n_components={n_components} differs from the {len(kept)} indices given as "
            "reduction; leave n_components=None."
        )
    return kept.astype(np.intp)


def _even_shares(count: int, depths: Sequence[int]) -> list[int]:
    """Share a count out among layers, as evenly as their depths allow."""
    shares = [0] * len(depths)
    # From the shallowest: what it does not have falls to the deeper ones.
    order = sorted(range(len(depths)), key=lambda layer: depths[layer])
    for n_layers, layer in zip(range(len(depths), 0, -1), order, strict=True):
        shares[layer] = min(depths[layer], count // n_layers)
        count -= shares[layer]
    return shares


def projection_matrix(
    moments: PatchMoments, n_components: int | float | None, reduction: str, random_state: Any
) -> NDArray[np.float64]:
    """Return the matrix (n_components, n_dimensions), float64, of a reduction by projection.

    "orthogonal" and "semi-orthogonal" are orthonormal combinations of the standardised dimensions
    or of the dimensions as they are, from the QR decomposition of a Gaussian matrix. "pca" and
    "npca" are the principal components of all positions' embeddings with the largest or the
    smallest variances.
    """
    n_dimensions = moments.mean.shape[1]
    count = count_components(n_components, n_dimensions)
    if reduction in PRINCIPAL_COMPONENTS:
        _, vectors = np.linalg.eigh(moments.pooled_covariance())
        if reduction == "pca":
            vectors = vectors[:, ::-1]
        components = vectors[:, :count].T
        # A sign by convention: the largest entry is positive, whatever LAPACK chose.
        largest = np.abs(components).argmax(axis=1)
        return components * np.sign(components[np.arange(count), largest])[:, np.newaxis]
    gaussian = check_random_state(random_state).normal(size=(n_dimensions, count))
    orthonormal, upper = np.linalg.qr(gaussian)
    # The signs make the distribution uniform over all orthonormal frames (Haar).
    orthonormal *= np.sign(np.diag(upper))
    if reduction == "semi-orthogonal":
        return orthonormal.T
    return orthonormal.T / np.sqrt(moments.variance())


def reduce_dimensions(X: NDArray, components: NDArray | None) -> NDArray:
    """Return embeddings (..., n_components) of selected or projected dimensions, or all."""
    if components is None:
        return X
    if components.ndim == 1:
        return X[..., components]
    return X @ components.T.astype(X.dtype)


def reduce_moments(moments: PatchMoments, components: NDArray | None) -> PatchMoments:
    """Return the moments of selected or projected dimensions, or all."""
    if components is None:
        return moments
    return moments.take(components) if components.ndim == 1 else moments.project(components)
