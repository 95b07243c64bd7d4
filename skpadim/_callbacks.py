"""Progress of a fit told to scikit-learn's callbacks, where the installed version has them."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn 1.8 and older
    CallbackSupportMixin = object

Step = TypeVar("Step")


class CallbackSupport(CallbackSupportMixin):
    """Mixin of estimators whose `fit`, under ``_fit_context``, runs callbacks."""

    def _begin_fit(self, X: Any, y: Any, n_subtasks: int = 0) -> "FitTask":
        """Report to callbacks that a fit begins."""
        if not hasattr(self, "_init_callback_context"):
            return FitTask(self, None)
        # On the estimator itself, before it is copied: what scikit-learn notes on it while the fit
        # goes on is then on the copy as well.
        context = self._init_callback_context(max_subtasks=n_subtasks)
        return FitTask(self, context.call_on_fit_task_begin(estimator=self, X=X, y=y))


class FitTask:
    """A fit as callbacks see it; without a context, where scikit-learn has no callbacks."""

    def __init__(self, estimator: Any, context: Any) -> None:
        self._estimator = estimator
        self._context = context

    def follow(self, name: str, steps: Iterable[Step], n_steps: int) -> Iterator[Step]:
        """Yield the steps of a part of the fit, each a subtask; stop once a callback wants to."""
        if self._context is None:
            yield from steps
            return
        estimator = self._estimator
        part = self._context.subcontext(name, max_subtasks=n_steps)
        part.call_on_fit_task_begin(estimator=estimator)
        remaining = iter(steps)
        for _ in range(n_steps):
            # The task begins before the step is there: making it is part of the work.
            task = part.subcontext("batch").call_on_fit_task_begin(estimator=estimator)
            yield next(remaining)
            if task.call_on_fit_task_end(estimator=estimator):
                break
        else:
            # What comes after the last step, such as the end of a progress bar, is still to do.
            next(remaining, None)
        part.call_on_fit_task_end(estimator=estimator)

    def end(self, X: Any, y: Any) -> None:
        """Report to callbacks that the estimator is fitted."""
        if self._context is not None:
            self._context.call_on_fit_task_end(
                estimator=self._estimator, X=X, y=y, reconstruction_attributes={}
            )
