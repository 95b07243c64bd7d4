"""Estimators on their way to a new fit, and warnings that point at the user's code."""

import sys
from copy import deepcopy
from typing import Any

import numpy as np


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


def shallow_copy(estimator: Any) -> Any:
    """Return an estimator as it is at this moment, whatever other threads do to it later."""
    # What is called works on such a copy: a fit in another thread then cannot give it the scores of
    # one model and the threshold of another.
    copied = object.__new__(type(estimator))
    # In one step: copy() takes several, and another thread can come in between.
    copied.__dict__ = vars(estimator).copy()
    return copied


def unfitted_copy(estimator: Any) -> Any:
    """Return a copy of an estimator that has learnt nothing yet."""
    # Fitting happens on copies, whose state the estimator takes over once nothing can fail any
    # more: errors and Ctrl-C leave the old model.
    model = shallow_copy(estimator)
    model.__dict__ = {
        name: value
        for name, value in vars(model).items()
        if not name.endswith("_") and name not in estimator._private_state
    }
    return model


def caller_level() -> int:
    """Return the `stacklevel` with which a warning points at the user's code."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(("skpadim.", "sklearn.")):
        frame, level = frame.f_back, level + 1
    return level
