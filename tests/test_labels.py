"""Labels: +1 is good, -1 is defective and left out, and all others are refused."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, ShuffleSplit

from skpadim import PaDiM, PatchEmbedder, PatchGaussian, report
from skpadim.model_selection import InlierKFold

pytestmark = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")

OTHER_LABELS = {
    "0 and 1": ([0, 0, 0, 1], r"From 1 = defective: y = 1 - 2 \* y\. From 1 = good"),
    "booleans": ([False, True, False, True], r"From True = defective: y = np\.where\(y, -1, 1\)"),
    "true alone": ([True] * 4, r"From True = defective: y = np\.where\(y, -1, 1\)"),
    "names": (["ok", "bent", "ok", "ok"], r"From 'ok' = good.* == 'ok', 1, -1\)"),
    "good and others": (["bent", "good"] * 2, r"From 'good' = good.* == 'good', 1, -1\)"),
    "three classes": ([1, 0, -1, 1], r"labels \[-1, 0, 1\]"),
    "not a number": ([1.0, np.nan, 1.0, -1.0], "From 0 = good"),
    "None": ([1, None, 1, 1], "From 0 = good"),
}
every_other_label = pytest.mark.parametrize(
    ("y", "message"), OTHER_LABELS.values(), ids=OTHER_LABELS
)


class Unread(list):
    """Images that must not be looked at; their number may be asked for."""

    def __iter__(self):
        raise AssertionError("images were read before the labels")


@pytest.fixture
def unread():
    return Unread([np.zeros((32, 32), np.uint8)] * 4)


@pytest.fixture(scope="module")
def embeddings():
    """Twenty good samples, and four whose last position is far off."""
    X = np.random.default_rng(0).normal(size=(24, 3, 4))
    X[20:, 2] += 30
    return X, np.repeat([1, -1], [20, 4])


@pytest.fixture(params=["PatchGaussian", "PaDiM"])
def estimator(request):
    """A new detector that takes embeddings."""
    gaussian = request.param == "PatchGaussian"
    return PatchGaussian() if gaussian else PaDiM(embedder="passthrough", smoothing=0)


def test_fit_predict_learns_from_good_samples_and_judges_all(estimator, embeddings):
    X, y = embeddings
    found = estimator.fit_predict(X, y)
    np.testing.assert_array_equal(found, estimator.fit(X[y == 1]).predict(X))
    np.testing.assert_array_equal(found[20:], -1)


def test_score_is_that_of_the_good_samples(estimator, embeddings):
    X, y = embeddings
    estimator.fit(X[:15])
    assert estimator.score(X, y) == pytest.approx(estimator.score(X[:20]), rel=1e-12)
    assert estimator.score(X) < estimator.score(X, y) - 1


def test_score_of_images_is_that_of_the_good_ones(detector, parts):
    expected = detector.score(parts.images[24:30])
    found = detector.score(parts.images[24:], parts.y[24:])
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_search_for_a_ridge_does_not_look_at_defects(estimator, embeddings):
    X, y = embeddings
    search = GridSearchCV(estimator, {"reg_covar": [0.1, 1e6]}, cv=ShuffleSplit(3, random_state=0))
    # By all samples, the ridge that hides the defects would be the best.
    assert search.fit(X, y).best_params_ == {"reg_covar": 0.1}
    ignorant = [estimator.set_params(reg_covar=r).fit(X[:20]).score(X) for r in (0.1, 1e6)]
    estimator.set_params(reg_covar=0.1)
    assert ignorant[1] > ignorant[0]


@every_other_label
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_predict"])
def test_other_labels_of_images_are_refused_before_one_is_read(unread, method, y, message):
    with pytest.raises(ValueError, match=message):
        getattr(PaDiM(embedder=PatchEmbedder(image_size=32)), method)(unread, y)


@every_other_label
@pytest.mark.parametrize("method", ["score", "calibrate", "partial_fit"])
def test_a_fitted_detector_refuses_them_before_an_image_is_read(
    detector, unread, method, y, message
):
    with pytest.raises(ValueError, match=message):
        getattr(detector, method)(unread, y)


@every_other_label
def test_a_report_refuses_them_before_an_image_is_read(detector, unread, y, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        report(detector, unread, y, path=tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["fit", "score", "calibrate"])
def test_labels_of_another_number_are_refused_before_an_image_is_read(detector, unread, method):
    new_or_fitted = PaDiM() if method == "fit" else detector
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        getattr(new_or_fitted, method)(unread, [1, 1, -1])


@every_other_label
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_predict", "score", "calibrate"])
def test_other_labels_of_embeddings_are_refused(estimator, method, y, message):
    X = np.random.default_rng(0).normal(size=(4, 3, 2))
    if method in ("score", "calibrate"):
        estimator.fit(X)
    with pytest.raises(ValueError, match=message):
        getattr(estimator, method)(X, y)


@pytest.mark.parametrize("kind", ["booleans", "true alone", "names", "three classes", "None"])
def test_plain_samples_refuse_labels_that_no_class_can_have(estimator, kind):
    y, message = OTHER_LABELS[kind]
    with pytest.raises(ValueError, match=message):
        estimator.fit(np.eye(4), y)


@pytest.mark.parametrize("y", [[0, 1, 2, 3], [0.0, 1.0, 0.0, 1.0], [1, 2, 1, 2], [0, 0, 0, 0]])
def test_plain_samples_ignore_labels_of_classes_with_a_warning(estimator, y):
    X = np.random.default_rng(0).normal(size=(4, 2))
    with pytest.warns(UserWarning, match="y is ignored, since its labels") as warned:
        found = estimator.fit(X, y)
    assert found.n_samples_seen_ == 4
    assert warned[0].filename == __file__


def test_thresholds_refuse_labels_of_classes_everywhere(estimator):
    X = np.random.default_rng(0).normal(size=(4, 2))
    with pytest.raises(ValueError, match=r"1 - 2 \* y"):
        estimator.fit(X).calibrate(X, [0, 0, 0, 1])


@every_other_label
def test_folds_refuse_them(y, message):
    with pytest.raises(ValueError, match=message):
        list(InlierKFold(2).split(np.zeros(4), y))
