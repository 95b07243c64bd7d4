"""Embeddings of any of the accepted shapes, and estimators on their way to a new fit."""

import sys
import warnings
from copy import copy, deepcopy
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data

Samples = TypeVar("Samples", bound=Any)


def validate_embeddings(
    estimator: BaseEstimator,
    X: Any,
    *,
    reset: bool,
    dtype: np.dtype | None = None,
    ensure_min_samples: int = 1,
) -> NDArray:
    """Return embeddings as (n_samples, n_positions, n_dimensions), once they are checked.

    The estimator's `n_features_in_` and `grid_shape_` are set, or compared if not `reset`. Without
    a dtype, float32 is kept and all else becomes float64.
    """
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


def snapshot(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with copies of lists and arrays, so that a change can be seen later."""
    return {
        name: deepcopy(value) if isinstance(value, list | np.ndarray) else value
        for name, value in parameters.items()
    }


def check_unchanged(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise if learning goes on with other parameters than it began with."""
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        same = old is new or (type(old) is type(new) and bool(np.all(old == new)))
        if not same:
            raise ValueError(
                f"{name} was {old!r} when the first samples were seen and is {new!r} now: what was "
                "learnt cannot be carried over. Set it back, or start again with fit."
            )


def unfitted_copy(estimator: Any) -> Any:
    """Return a copy of an estimator that has learnt nothing yet.

    Fitting happens on copies, whose state the estimator takes over once nothing can fail any more:
    errors and Ctrl-C leave the old model. `_private_state` names what an estimator learns beside
    attributes that end in an underscore.
    """
    model = copy(estimator)
    for name in vars(estimator):
        if name.endswith("_") or name in estimator._private_state:
            delattr(model, name)
    return model


def good_samples(y: Any, n_samples: int) -> NDArray[np.intp] | None:
    """Return the positions of samples labelled +1; None if all are, or if there are other labels.

    Labels other than +1 and -1 are ignored, with a warning.
    """
    if y is None:
        return None
    y = column_or_1d(y)
    check_consistent_length(y, np.empty(n_samples))
    labels = np.unique(y).tolist()
    if not set(labels) <= {1, -1}:
        warnings.warn(
            f"y is ignored, since its labels {labels[:4]} are not +1 for good and -1 for defective "
            "samples: all samples are taken for good. If 1 means defective, give 1 - 2 * y.",
            UserWarning,
            stacklevel=caller_level(),
        )
        return None
    good = np.flatnonzero(y == 1)
    if len(good) == 0:
        raise ValueError("y has no label +1: there is no good sample to learn from.")
    return None if len(good) == n_samples else good


def only_good(samples: Samples, y: Any) -> Samples:
    """Return the samples that are not labelled defective."""
    good = good_samples(y, len(samples))
    return samples if good is None else samples[good]


def caller_level() -> int:
    """Return the `stacklevel` with which a warning points at the user's code."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("skpadim.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    return level
