"""Embeddings of any of the accepted shapes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data


@np.errstate(over="ignore", invalid="ignore")  # of the sums that scikit-learn looks for NaN by
def validate_embeddings(
    estimator: BaseEstimator,
    X: Any,
    *,
    reset: bool,
    dtype: np.dtype | None = None,
    ensure_min_samples: int = 1,
) -> NDArray:
    """Return embeddings as (n_samples, n_positions, n_dimensions), once they are checked."""
    # float32 is kept, and all else becomes float64.
    dtypes = [np.float64, np.float32] if dtype is None else dtype
    n_axes = np.ndim(X) if isinstance(X, list | tuple) else getattr(X, "ndim", 2)
    # scikit-learn counts the features of an array along its second axis; here it is the last.
    if n_axes < 3:
        X = validate_data(
            estimator, X, dtype=dtypes, reset=reset, ensure_min_samples=ensure_min_samples
        )
    else:
        X = check_array(
            X,
            dtype=dtypes,
            allow_nd=True,
            ensure_min_samples=ensure_min_samples,
            estimator=estimator,
            input_name="X",
        )
        if X.ndim > 4 or 0 in X.shape:
            raise ValueError(
                "X must have shape (n_samples, height, width, n_dimensions), (n_samples, "
                f"n_positions, n_dimensions) or (n_samples, n_features); got {X.shape}."
            )
    n_features, grid_shape = X.shape[-1], X.shape[1:-1]
    name = type(estimator).__name__
    if reset:
        estimator.n_features_in_ = n_features
        estimator.grid_shape_ = grid_shape
        if n_axes >= 3 and hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif n_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {n_features} features, but {name} is expecting {estimator.n_features_in_} "
            "features as input."
        )
    elif grid_shape != estimator.grid_shape_:
        raise ValueError(
            f"X has a grid of shape {grid_shape}, but {name} was fitted to a grid of shape "
            f"{estimator.grid_shape_}."
        )
    return X.reshape(len(X), -1, n_features)
