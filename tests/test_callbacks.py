"""scikit-learn's callbacks (1.9 and newer) on all estimators, alone and nested."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.model_selection import InlierKFold

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.8 has no callbacks")
few_images = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")


class Record:
    """Callback that notes the tasks it is told of, and stops after some number of batches."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.events = []
        self.batches = 0
        self.predictions = None

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name}")
        if context.task_name == "batch":
            self.batches += 1
            return self.batches == self.stop_after
        if context.task_name == "fit" and X is not None:
            self.predictions = fitted_estimator.predict(X[:2])
        return False


def embedder(**parameters):
    return PatchEmbedder(image_size=64, engine="torch", **parameters)


def test_a_fit_is_two_passes_of_batches(good):
    record = Record()
    PaDiM(embedder=embedder(batch_size=10)).set_callbacks(record).fit(good)
    batch = ["begin batch", "end batch"]
    assert record.events == [
        "setup",
        "begin fit",
        *["begin learn", *3 * batch, "end learn"],
        *["begin calibrate", *3 * batch, "end calibrate"],
        "end fit",
        "teardown",
    ]


@pytest.mark.parametrize("name", ["PaDiM", "PatchGaussian"])
def test_the_end_of_a_fit_brings_a_fitted_estimator(name):
    X = np.random.default_rng(0).normal(size=(30, 4, 6))
    detector = {"PaDiM": PaDiM(embedder="passthrough"), "PatchGaussian": PatchGaussian()}[name]
    record = Record()
    detector.set_callbacks(record).fit(X)
    np.testing.assert_array_equal(record.predictions, detector.predict(X[:2]))


def test_callbacks_change_nothing(good):
    plain = PaDiM(embedder=embedder()).fit(good)
    called = PaDiM(embedder=embedder()).set_callbacks(Record()).fit(good)
    np.testing.assert_array_equal(called.score_samples(good[:4]), plain.score_samples(good[:4]))
    assert called.offset_ == plain.offset_
    assert vars(called).keys() - vars(plain).keys() == {"_skl_callbacks"}


@few_images
def test_a_callback_that_stops_leaves_the_fit_of_the_images_so_far(good):
    detector = PaDiM(embedder=embedder(batch_size=8)).set_callbacks(Record(stop_after=2)).fit(good)
    expected = PaDiM(embedder=embedder(batch_size=8)).fit(good[:16])
    assert detector.n_samples_seen_ == 16
    assert detector.offset_ == pytest.approx(expected.offset_, rel=1e-6)
    assert len(detector.calibration_scores_) == 16


def test_after_an_error_callbacks_are_torn_down_and_the_old_model_stands(good):
    record = Record()
    detector = PaDiM(embedder=embedder()).fit(good).set_callbacks(record)
    scores = detector.score_samples(good[:2])
    with pytest.raises(ValueError, match="n_samples=1"):
        detector.fit(good[:1])
    assert record.events == ["setup", "begin fit", "teardown"]
    np.testing.assert_array_equal(detector.score_samples(good[:2]), scores)
    assert not hasattr(detector, "_callback_fit_ctx")


def test_a_progress_bar_reaches_the_steps_of_a_pipeline(good, capsys):
    pytest.importorskip("rich")
    pipeline = make_pipeline(embedder(), PatchGaussian())
    pipeline.set_callbacks(callback.ProgressBar()).fit(good)
    shown = capsys.readouterr().out
    assert "PatchEmbedder" in shown
    assert "PatchGaussian" in shown


def test_a_progress_bar_reaches_the_fits_of_a_search(capsys):
    pytest.importorskip("rich")
    X = np.random.default_rng(0).normal(size=(60, 4, 6))
    y = np.repeat([1, -1], [50, 10])
    search = GridSearchCV(
        PaDiM(embedder="passthrough", random_state=0),
        {"n_components": [2, 4]},
        cv=InlierKFold(2),
        scoring="roc_auc",
    )
    expected = clone(search).fit(X, y).cv_results_["mean_test_score"]
    search.set_callbacks(callback.ProgressBar()).fit(X, y)
    assert "PaDiM" in capsys.readouterr().out
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], expected)


def test_a_scoring_monitor_logs_the_score_of_the_fit():
    X = np.random.default_rng(0).normal(size=(60, 4, 6))
    monitor = callback.ScoringMonitor(scoring="accuracy")
    detector = PaDiM(embedder="passthrough").set_callbacks(monitor).fit(X, np.ones(60, int))
    (row,) = monitor.get_logs().data
    assert row["accuracy"] == np.mean(detector.predict(X) == 1)
