"""What is good: decisions of scores that are no numbers, and thresholds whose parameters change."""

import json
import pickle
from copy import copy, deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal
from safetensors.numpy import save_file

import skpadim
from skpadim import Inspection, PaDiM, PatchGaussian
from skpadim._model_files import checksum, read_model_file
from skpadim.display import HeatmapDisplay, ScoreDisplay
from skpadim.embedding import Passthrough
from skpadim.heatmaps import Smoothing

GRID, N_FEATURES = (5, 4), 3
HUGE = np.finfo(np.float32).max

DATA = Path(__file__).parent / "data"


def make_embeddings(n=40, seed=0, dtype=np.float32, n_features=N_FEATURES):
    return np.random.default_rng(seed).normal(size=(n, *GRID, n_features)).astype(dtype)


def on_embeddings(**parameters):
    return PaDiM(embedder=Passthrough(stride=1), **{"smoothing": 0.7, **parameters})


@pytest.fixture(scope="module")
def fitted():
    return on_embeddings().fit(make_embeddings())


@pytest.fixture(params=[on_embeddings, PatchGaussian])
def either(request):
    """Each of the two detectors, fitted to the same embeddings."""
    return request.param().fit(make_embeddings())


# What is not a number


def assert_invariants(detector, X, size=None):
    heatmaps = detector.predict_heatmap(X)
    scores = detector.score_samples(X)
    assert np.isfinite(heatmaps).all()
    assert_array_equal(scores, -heatmaps.max(axis=(1, 2)))
    assert_array_equal(detector.decision_function(X), scores - detector.offset_)
    decisions, masks = detector.predict(X), detector.predict_mask(X, size=size)
    assert_array_equal(decisions == -1, masks.any(axis=(1, 2)))
    assert_array_equal(decisions == 1, scores >= detector.offset_)
    for i, inspection in enumerate(detector.iter_inspect(X)):
        assert (inspection.score, inspection.decision) == (scores[i], decisions[i])
        assert_array_equal(inspection.mask_at(size), masks[i])


@settings(max_examples=60)
@given(
    X=arrays(np.float32, (3, *GRID, N_FEATURES), elements=st.floats(-HUGE, HUGE, width=32)),
    smoothing=st.sampled_from([0.0, 0.7, Smoothing(1, interpolation="bicubic")]),
    size=st.none() | st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
@example(X=np.full((3, *GRID, N_FEATURES), HUGE), smoothing=0.7, size=(9, 8))
@example(X=np.resize([-HUGE, HUGE, HUGE, -HUGE], (3, *GRID, N_FEATURES)), smoothing=0.7, size=None)
@example(X=np.full((3, *GRID, N_FEATURES), np.float32(1e20)), smoothing=0.7, size=None)
def test_embeddings_of_any_size_are_decided_alike_by_all(X, smoothing, size):
    detector = on_embeddings(smoothing=smoothing).fit(make_embeddings())
    assert_invariants(detector, X, size)


@pytest.mark.parametrize("attribute", ["location_", "factor_"])
@pytest.mark.parametrize(("n", "n_features"), [(40, 3), (20, 40)], ids=["Cholesky", "low rank"])
def test_nothing_is_good_by_a_model_that_holds_nan(attribute, n, n_features):
    X = make_embeddings(n, n_features=n_features)
    detector = on_embeddings().fit(X)
    assert (detector.predict(X) == 1).any()
    getattr(detector.gaussian_, attribute)[7] = np.nan
    assert_array_equal(detector.predict(X), -1)
    assert_invariants(detector, X)


@pytest.mark.parametrize("value", [1e20, HUGE])
def test_one_huge_value_is_a_defect(fitted, value):
    X = make_embeddings()
    X[3, 2, 1, 0] = value
    assert fitted.predict(X)[3] == -1
    assert np.argwhere(fitted.predict_mask(X)[3]).mean(axis=0) == pytest.approx([2, 1], abs=0.5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_that_are_not_finite_are_the_largest_there_is(dtype):
    X = make_embeddings(dtype=dtype)
    detector = PatchGaussian().fit(X)
    distances = detector.patch_distances(X)
    X[3, 2, 1, 0] = np.finfo(dtype).max
    found = detector.patch_distances(X)
    assert found[3, 2, 1] == np.finfo(dtype).max
    found[3, 2, 1] = distances[3, 2, 1]
    assert_array_equal(found, distances)
    assert detector.predict(X)[3] == -1


@pytest.mark.usefixtures("all_cores")
def test_no_thread_warns_of_distances_that_are_not_finite():
    X = np.random.default_rng(0).normal(size=(40, 32, 32, 16)).astype(np.float32)
    detector = PatchGaussian().fit(X)  # 1024 positions are more than one thread takes
    assert_array_equal(detector.predict(X[:4] * np.float32(1e30)), -1)


def test_a_sample_that_is_no_number_lowers_the_likelihood_without_a_warning():
    X = make_embeddings(dtype=np.float64)
    detector = PatchGaussian().fit(X)
    X[3] = 1e200
    assert detector.score(X) == -np.inf


@pytest.mark.parametrize("heatmap", [np.full((4, 4), np.nan), np.full((4, 4), np.inf)])
def test_an_inspection_of_what_is_no_number_is_a_defect(heatmap):
    inspection = Inspection(heatmap.astype(np.float32), -5.0, (4, 4), None)
    assert inspection.decision == -1
    assert inspection.mask_at(None).any()


def test_an_inspection_has_the_threshold_it_was_decided_by(fitted):
    (inspection,) = fitted.iter_inspect(make_embeddings(1))
    assert inspection.threshold == fitted.offset_


@pytest.mark.parametrize("offset", [np.nan, "low", None, [-3.0], True])
def test_a_threshold_must_be_a_number(either, offset):
    before = either.offset_
    with pytest.raises(ValueError, match=r"offset_=.* must be a number"):
        either.offset_ = offset
    assert either.offset_ == before


@pytest.mark.parametrize("method", ["predict", "decision_function", "predict_mask", "iter_inspect"])
def test_a_threshold_that_became_nan_is_refused(fitted, method):
    detector = deepcopy(fitted)
    vars(detector)["offset_"] = np.nan  # as a damaged pickle has it
    with pytest.raises(ValueError, match=r"offset_ of this PaDiM is nan.*calibrate"):
        getattr(detector, method)(make_embeddings())


@pytest.mark.filterwarnings("ignore:.*look defective by their scores:UserWarning")
@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
def test_no_threshold_is_chosen_that_calls_everything_good(either):
    before = either.offset_
    X = make_embeddings(seed=1)
    X[:2] = HUGE
    with pytest.raises(ValueError, match="2 of 40 good samples have distances that are not finite"):
        either.calibrate(X)
    assert either.offset_ == before
    X[1:2] = 0
    assert either.calibrate(X).offset_ > -100  # 5 % of 40 are two


# Parameters that change after fit


@pytest.mark.parametrize("by", ["set_params", "assignment"])
def test_the_threshold_follows_the_false_alarm_rate(either, by):
    scores = np.sort(either.calibration_scores_)
    if by == "set_params":
        either.set_params(false_alarm_rate=0.2)
    else:
        either.false_alarm_rate = 0.2
    assert either.offset_ == scores[7]  # floor(41 * 0.2) = 8
    X = make_embeddings(seed=1)
    assert_array_equal(either.predict(X), np.where(either.score_samples(X) < scores[7], -1, 1))


def test_the_threshold_follows_a_share_of_the_training_samples():
    detector = PatchGaussian(contamination=0.1).fit(make_embeddings())
    detector.set_params(contamination=0.25, false_alarm_rate=0.2)
    assert detector.offset_ == np.percentile(detector.calibration_scores_, 25)
    assert (detector.predict(make_embeddings()) == -1).mean() == 0.25


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_after_calibrate_the_rate_decides_alone(contamination):
    detector = PatchGaussian(contamination=contamination).fit(make_embeddings())
    fresh = make_embeddings(30, seed=1)
    detector.calibrate(fresh).set_params(false_alarm_rate=0.1, contamination=0.4)
    assert detector.offset_ == np.sort(detector.score_samples(fresh))[2]  # floor(31 * 0.1) = 3
    assert detector.predict(fresh).sum() == 26


def test_a_rate_of_which_nothing_can_be_promised_warns_at_decisions(either):
    either.set_params(false_alarm_rate=0.01)
    assert either.offset_ == either.calibration_scores_.min()
    with pytest.warns(UserWarning, match=r"false_alarm_rate=0.01 cannot be promised from 40"):
        either.predict(make_embeddings())


@pytest.mark.parametrize("parameters", [{"false_alarm_rate": 0.2}, {"contamination": 0.2}])
def test_a_threshold_set_by_hand_stays_and_warns(either, parameters):
    either.offset_ = -4
    either.set_params(**parameters)
    with pytest.warns(UserWarning, match="when offset_ was set by hand.*stale.*calibrate"):
        either.predict(make_embeddings())
    assert either.offset_ == -4
    either.offset_ = -4.5
    either.predict(make_embeddings())
    assert either.calibrate(make_embeddings(seed=1)).offset_ != -4.5


@pytest.mark.parametrize(("before", "after"), [("auto", 0.1), (0.1, "auto")])
def test_a_contamination_that_needs_other_scores_warns(before, after):
    detector = on_embeddings(contamination=before).fit(make_embeddings())
    offset = detector.offset_
    detector.contamination = after
    with pytest.warns(UserWarning, match="contamination was .* at fit.*stale.*calibrate"):
        detector.predict(make_embeddings())
    assert detector.offset_ == offset


STALE = "smoothing was .* when the threshold was set and is 2 now.*stale.*calibrate"


@pytest.mark.parametrize(
    "decide",
    [
        lambda detector, X, folder: detector.predict(X),
        lambda detector, X, folder: detector.decision_function(X),
        lambda detector, X, folder: detector.predict_mask(X),
        lambda detector, X, folder: list(detector.iter_inspect(X)),
        lambda detector, X, folder: ScoreDisplay.from_estimator(detector, X),
        lambda detector, X, folder: skpadim.save(detector, folder / "a.skpadim"),
        lambda detector, X, folder: skpadim.export_onnx(detector, folder / "a.onnx"),
        lambda detector, X, folder: skpadim.export_openvino(detector, folder / "a.xml"),
    ],
)
def test_whatever_takes_the_threshold_warns_that_it_is_stale(fitted, tmp_path, decide):
    detector = copy(fitted).set_params(smoothing=2)
    with pytest.warns(UserWarning, match=STALE):
        decide(detector, make_embeddings(2), tmp_path)


@pytest.mark.parametrize(
    "show",
    [
        lambda detector, X, folder: HeatmapDisplay.from_estimator(detector, X),
        lambda detector, X, folder: skpadim.report(detector, X, path=folder / "a.html"),
    ],
)
def test_whatever_shows_the_threshold_warns_that_it_is_stale(detector, parts, tmp_path, show):
    detector = copy(detector).set_params(smoothing=2)
    with pytest.warns(UserWarning, match=STALE):
        show(detector, parts.images[:1], tmp_path)


def test_a_parameter_of_the_smoothing_is_noticed():
    detector = on_embeddings(smoothing=Smoothing(1)).fit(make_embeddings())
    detector.set_params(smoothing__interpolation="bicubic")
    with pytest.warns(UserWarning, match="smoothing__interpolation was 'bilinear' when the thresh"):
        detector.predict(make_embeddings())


@pytest.mark.parametrize(
    "mend",
    [
        lambda detector: detector.set_params(smoothing=0.7),
        lambda detector: detector.set_params(smoothing=Smoothing(0.7)),
        lambda detector: detector.calibrate(make_embeddings(seed=1)),
        lambda detector: setattr(detector, "offset_", -3.0),
        lambda detector: detector.fit(make_embeddings(seed=1)),
    ],
)
def test_a_threshold_that_fits_again_warns_no_more(fitted, mend):
    detector = deepcopy(fitted).set_params(smoothing=2)
    mend(detector)
    detector.predict(make_embeddings())


def test_scores_and_heatmaps_need_no_threshold(fitted):
    detector = deepcopy(fitted).set_params(smoothing=0)
    X = make_embeddings()
    distances = detector.gaussian_.patch_distances(X.reshape(40, 20, N_FEATURES))
    assert_array_equal(detector.score_samples(X), -distances.max(axis=1).astype(np.float64))
    assert_array_equal(detector.predict_heatmap(X), distances.reshape(40, *GRID))


@pytest.mark.parametrize(
    "parameters",
    [
        {"smoothing": -1},
        {"smoothing": np.inf},
        {"smoothing": "gauss"},
        {"smoothing": [2]},
        {"smoothing": Smoothing(interpolation="linear")},
        {"smoothing": Smoothing(filter="gauss")},
        {"smoothing": Smoothing(2, filter="uniform")},
        {"smoothing": Smoothing(mode="wrap")},
    ],
)
@pytest.mark.parametrize(
    "method", ["score_samples", "predict", "predict_heatmap", "predict_mask", "calibrate"]
)
def test_no_score_comes_from_an_invalid_parameter(fitted, parameters, method):
    detector = deepcopy(fitted)
    for name, value in parameters.items():
        setattr(detector, name, value)
    with pytest.raises((ValueError, TypeError), match=r"size|filter|mode|interpolation|smoothing"):
        getattr(detector, method)(make_embeddings())


@pytest.mark.parametrize("rate", [0, 1, 7, -0.1, np.nan, "low"])
def test_no_decision_comes_from_an_invalid_rate(either, rate):
    either.false_alarm_rate = rate
    with pytest.raises(ValueError, match="false_alarm_rate"):
        either.predict(make_embeddings())


@pytest.mark.parametrize(
    "parameters",
    [{"reg_covar": 3.0}, {"n_components": 2}, {"reduction": "pca"}, {"random_state": 4}],
)
def test_what_counts_at_fit_alone_changes_nothing_until_then(either, parameters):
    X = make_embeddings(seed=1)
    before = either.decision_function(X)
    assert_array_equal(either.set_params(**parameters).decision_function(X), before)


@pytest.mark.parametrize("value", [np.inf, -1, np.nan])
def test_an_infinite_ridge_is_refused(value):
    with pytest.raises(ValueError, match="reg_covar"):
        PatchGaussian(reg_covar=value).fit(make_embeddings())


# In files


def by_file(detector, folder):
    return skpadim.load(skpadim.save(detector, folder / "a.skpadim"))


def by_pickle(detector, folder):
    return pickle.loads(pickle.dumps(detector))


@pytest.fixture(params=[by_file, by_pickle])
def restore(request, tmp_path):
    return lambda detector: request.param(detector, tmp_path)


def test_a_restored_threshold_follows_the_rate(fitted, restore):
    restored = restore(deepcopy(fitted).set_params(false_alarm_rate=0.1))
    assert restored.offset_ == np.sort(fitted.calibration_scores_)[3]
    assert restored.set_params(false_alarm_rate=0.05).offset_ == fitted.offset_


def test_a_restored_threshold_of_the_user_stays(fitted, restore):
    detector = deepcopy(fitted)
    detector.offset_ = -4.25
    restored = restore(detector).set_params(false_alarm_rate=0.1)
    assert restored.offset_ == -4.25
    with pytest.warns(UserWarning, match="set by hand"):
        restored.predict(make_embeddings())


@pytest.mark.filterwarnings("ignore:smoothing was:UserWarning")
def test_a_stale_threshold_stays_stale(fitted, restore):
    restored = restore(deepcopy(fitted).set_params(smoothing=2))
    with pytest.warns(UserWarning, match="smoothing was 0.7 .* stale"):
        restored.predict(make_embeddings())


@pytest.mark.parametrize("path", sorted(DATA.glob("format-*-full.skpadim")), ids=lambda p: p.stem)
def test_the_threshold_of_an_older_file_follows_the_rate(path):
    detector = skpadim.load(path).set_params(false_alarm_rate=0.2)
    assert detector.offset_ == np.sort(detector.calibration_scores_)[3]  # floor(21 * 0.2) = 4


def without_choice(path):
    """Take out of a file what older versions have not written."""
    header, arrays = read_model_file(path)
    del header.detector["threshold"]
    text = json.dumps(header._asdict())
    save_file(dict(arrays), path, {"skpadim": text, "sha256": checksum(text, arrays)})
    return skpadim.load(path)


def test_of_an_older_file_the_threshold_of_calibrate_is_told_from_one_set_by_hand(tmp_path):
    detector = on_embeddings(contamination=0.1).fit(make_embeddings())
    detector.calibrate(make_embeddings(30, seed=1))
    restored = without_choice(skpadim.save(detector, tmp_path / "calibrated.skpadim"))
    assert (
        restored.set_params(false_alarm_rate=0.1).offset_
        == np.sort(detector.calibration_scores_)[2]
    )
    detector.offset_ -= 1
    restored = without_choice(skpadim.save(detector, tmp_path / "by-hand.skpadim"))
    assert restored.set_params(false_alarm_rate=0.1).offset_ == detector.offset_


@pytest.mark.parametrize(
    "choice",
    [
        {"by": "chance"},
        {"by": "calibrate", "contamination": 0.2},
        {"for_scores": 3},
        {"more": 1},
    ],
)
def test_a_file_that_contradicts_itself_about_its_threshold_is_refused(fitted, tmp_path, choice):
    path = skpadim.save(fitted, tmp_path / "a.skpadim")
    header, arrays = read_model_file(path)
    header.detector["threshold"].update(choice)
    text = json.dumps(header._asdict())
    save_file(dict(arrays), path, {"skpadim": text, "sha256": checksum(text, arrays)})
    with pytest.raises(ValueError, match="cannot be loaded"):
        skpadim.load(path)
