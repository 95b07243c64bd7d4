"""PaDiM: invariants, composition, thresholds, persistence, bad input."""

import pickle
import pickletools
import random
import subprocess
import sys
from copy import deepcopy

import joblib
import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info

import skpadim._padim
from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.embedding import Passthrough
from skpadim.gaussian import PatchMoments
from skpadim.gaussian._factors import factorize, ridge_of
from skpadim.gaussian._leave_one_out import LeaveOneOut
from skpadim.heatmaps import Smoothing, heatmap_scores, to_heatmaps
from skpadim.model_selection import image_roc_auc

few_images = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")


def small_embedder(**parameters):
    return PatchEmbedder(image_size=64, engine="torch", **parameters)


@pytest.fixture(scope="module")
def new(parts):
    return parts.images[24:]


def make_embeddings(n, seed=0, grid=(5, 4), dimensions=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *grid, dimensions)).astype(np.float32)


@few_images
@pytest.mark.filterwarnings("ignore:y is ignored:UserWarning")
@parametrize_with_checks(
    [
        PaDiM(embedder="passthrough"),
        PaDiM(embedder="passthrough", contamination=0.1),
        PaDiM(embedder="passthrough", n_components=0.5, random_state=0),
        PaDiM(embedder="passthrough", n_components=0.5, reduction="pca"),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# The invariants that tie scores, decisions, heatmaps and masks.


@pytest.mark.parametrize("size", [None, 11, 2])
@pytest.mark.parametrize(
    "parameters",
    [
        {"smoothing": Smoothing(mode="mirror")},
        {"smoothing": Smoothing(mode="constant")},
        {"smoothing": Smoothing(3, filter="uniform")},
        {"smoothing": Smoothing(0, interpolation="nearest")},
        {"smoothing": Smoothing(1, interpolation="bicubic", mode="mirror")},
        {"reduction": "semi-orthogonal", "n_components": 3, "random_state": 0},
        {"reduction": "npca", "n_components": 3},
    ],
)
def test_they_agree_whatever_becomes_of_the_distances(parameters, size):
    X = make_embeddings(30)
    new = make_embeddings(40, seed=1)
    new[::2] *= 2
    detector = PaDiM(embedder="passthrough", **parameters).fit(X)
    scores = detector.score_samples(new)
    heatmaps = detector.predict_heatmap(new)
    np.testing.assert_array_equal(scores, -heatmaps.max(axis=(1, 2)))
    decisions = detector.predict(new)
    assert set(decisions) == {1, -1}
    np.testing.assert_array_equal(decisions == -1, scores < detector.offset_)
    masks = detector.predict_mask(new, size=size)
    np.testing.assert_array_equal(decisions == -1, masks.any(axis=(1, 2)))


def test_a_uniform_filter_without_a_centre_is_refused_before_long_work():
    detector = PaDiM(smoothing=Smoothing(4, filter="uniform"))
    with pytest.raises(ValueError, match="size=4 is the width of a uniform filter"):
        detector.fit(["nowhere.png"])
    with pytest.raises(ValueError, match="size=4 is the width of a uniform filter"):
        detector.partial_fit(["nowhere.png"])


@pytest.mark.parametrize("size", [None, 64, 50, (120, 75)])
def test_scores_decisions_heatmaps_and_masks_agree(detector, new, size):
    scores = detector.score_samples(new)
    heatmaps = detector.predict_heatmap(new)
    masks = detector.predict_mask(new, size=size)
    assert heatmaps.dtype == np.float32
    assert scores.dtype == np.float64
    assert masks.dtype == bool
    np.testing.assert_array_equal(scores, -heatmaps.max(axis=(1, 2)))
    np.testing.assert_array_equal(detector.decision_function(new), scores - detector.offset_)
    np.testing.assert_array_equal(detector.predict(new) == -1, masks.any(axis=(1, 2)))
    assert {1, -1} == set(detector.predict(new))


def test_a_mask_is_the_heatmap_above_the_threshold(detector, new):
    expected = detector.predict_heatmap(new).astype(np.float64) > -detector.offset_
    np.testing.assert_array_equal(detector.predict_mask(new), expected)


@settings(max_examples=50)
@given(
    distances=arrays(np.float32, (3, 5, 4), elements=st.floats(0, 100, width=32)),
    quantile=st.floats(0, 1),
    size=st.none() | st.tuples(st.integers(1, 12), st.integers(1, 12)),
    smoothing=st.sampled_from([0.0, 0.7]),
    nudge=st.sampled_from([0.0, 1e-12, -1e-12]),
)
def test_masks_agree_with_decisions_for_any_threshold_and_size(
    distances, quantile, size, smoothing, nudge
):
    # One dimension with mean 0 and variance about 1: embeddings are distances, up to a factor.
    train = np.array([-1, 1], np.float32)[:, None, None, None] * np.ones((1, 5, 4, 1), np.float32)
    detector = PaDiM(embedder="passthrough", smoothing=smoothing)
    detector.partial_fit(train)
    X = distances[..., None]
    detector.offset_ = float(np.quantile(detector.score_samples(X), quantile)) + nudge
    masks = detector.predict_mask(X, size=size)
    np.testing.assert_array_equal(detector.predict(X) == -1, masks.any(axis=(1, 2)))


# What the estimator is made of.


@pytest.mark.parametrize("reduction", [{}, {"n_components": 20}, {"reduction": [170, 3, 80]}])
def test_it_composes_embedder_gaussian_and_heatmaps(good, new, reduction):
    detector = PaDiM(embedder=small_embedder(), random_state=0, smoothing=2.0, **reduction)
    heatmaps = detector.fit(good).predict_heatmap(new)
    embedder = small_embedder()
    gaussian = PatchGaussian(random_state=0, **reduction).fit(embedder.transform(good))
    distances = gaussian.patch_distances(embedder.transform(new))
    np.testing.assert_allclose(heatmaps, to_heatmaps(distances, (64, 64), smoothing=2.0), rtol=1e-3)
    assert detector.grid_shape_ == (8, 8)
    assert detector.n_samples_seen_ == len(good)
    if reduction:
        np.testing.assert_array_equal(detector.components_, gaussian.components_)
    else:
        assert detector.components_ is None


def test_the_stratified_reduction_draws_as_many_dimensions_of_each_layer(good, new):
    parameters = {"reduction": "stratified", "n_components": 70, "random_state": 0}
    detector = PaDiM(embedder=small_embedder(), **parameters).fit(good)
    # The first of the layers, of 24 + 40 + 112, has more than a third of 70; of 100 it has not.
    counts, _ = np.histogram(detector.components_, [0, 24, 64, 176])
    assert counts.tolist() == [23, 23, 24]
    larger = detector.set_params(n_components=100).fit(good)
    counts, _ = np.histogram(larger.components_, [0, 24, 64, 176])
    assert counts.tolist() == [24, 38, 38]
    given = PaDiM(embedder=small_embedder(), reduction=larger.components_).fit(good)
    np.testing.assert_array_equal(larger.score_samples(new), given.score_samples(new))


def test_the_stratified_reduction_needs_layers():
    detector = PaDiM(embedder="passthrough", reduction="stratified", n_components=3)
    with pytest.raises(ValueError, match="'stratified' draws from each layer of a backbone"):
        detector.fit(make_embeddings(30))
    with pytest.raises(ValueError, match="'reduction' parameter of PatchGaussian"):
        PatchGaussian(reduction="stratified").fit(make_embeddings(30))


@pytest.mark.parametrize("reduction", ["random", "stratified", "orthogonal", "semi-orthogonal"])
def test_zero_is_a_seed(good, reduction):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 20, 8, stride=8))
    components = [
        PaDiM(
            embedder=small_embedder(backbone=network, layers=["0"]),
            n_components=9,
            reduction=reduction,
            random_state=random_state,
        )
        .fit(good[:20])
        .components_
        for random_state in (0, np.random.RandomState(0), None)
    ]
    np.testing.assert_array_equal(components[0], components[1])
    assert not np.array_equal(components[0], components[2])


@pytest.mark.parametrize("reduction", ["pca", "orthogonal"])
def test_projections_are_learnt_from_all_dimensions(good, new, reduction):
    parameters = {"n_components": 10, "reduction": reduction, "random_state": 0}
    scores = PaDiM(embedder=small_embedder(), **parameters).fit(good).score_samples(new)
    embedder = small_embedder()
    gaussian = PatchGaussian(**parameters).fit(embedder.transform(good))
    distances = gaussian.patch_distances(embedder.transform(new))
    np.testing.assert_allclose(scores, heatmap_scores(to_heatmaps(distances, (64, 64))), rtol=1e-3)


def test_embeddings_pass_through():
    X = make_embeddings(30)
    detector = PaDiM(embedder=Passthrough(stride=1), smoothing=0).fit(X)
    distances = PatchGaussian().fit(X).patch_distances(X)
    np.testing.assert_allclose(detector.predict_heatmap(X), distances, rtol=1e-5)
    assert detector.predict_heatmap(X, size=(10, 8)).shape == (30, 10, 8)
    with pytest.raises(ValueError, match="size='image' needs images"):
        detector.predict_heatmap(X, size="image")


@pytest.mark.parametrize("grid_stride", [8, 4])
def test_embeddings_of_images_give_what_the_images_give(good, new, grid_stride):
    embedder = small_embedder(grid_stride=grid_stride)
    on_images = PaDiM(embedder=embedder, n_components=30, random_state=0).fit(good)
    passthrough = "passthrough" if grid_stride == 8 else Passthrough(stride=grid_stride)
    detector = PaDiM(embedder=passthrough, n_components=30, random_state=0)
    detector.fit(embedder.transform(good))
    X = embedder.transform(new)
    np.testing.assert_allclose(detector.score_samples(X), on_images.score_samples(new), rtol=1e-5)
    heatmaps = on_images.predict_heatmap(new)
    np.testing.assert_allclose(detector.predict_heatmap(X), heatmaps, rtol=1e-5)
    assert detector.offset_ == pytest.approx(on_images.offset_, rel=1e-5)


@pytest.mark.parametrize(
    ("shape", "stride", "size"),
    [
        ((5, 4), 8, (40, 32)),
        ((5, 4), 1, (5, 4)),
        ((5, 4), (2, 3), (10, 12)),
        ((5, 4), np.array([2, 3]), (10, 12)),
        ((6,), 2, (2, 12)),
        ((), 8, (8, 8)),
    ],
)
def test_heatmaps_of_embeddings_have_the_size_of_the_grid_times_the_stride(shape, stride, size):
    X = make_embeddings(30, grid=shape)
    detector = PaDiM(embedder=Passthrough(stride=stride)).fit(X)
    assert detector.predict_heatmap(X[:2]).shape == (2, *size)
    assert detector.grid_shape_ == shape


def test_a_plain_sample_scores_minus_its_distance():
    X = make_embeddings(30, grid=())
    detector, gaussian = PaDiM(embedder="passthrough").fit(X), PatchGaussian().fit(X)
    new = make_embeddings(5, seed=1, grid=())
    expected = gaussian.score_samples(new)
    np.testing.assert_allclose(detector.score_samples(new), expected, rtol=1e-6)
    assert detector.offset_ == pytest.approx(gaussian.offset_, rel=1e-6)


@pytest.mark.parametrize("stride", [0, -8, 2.5, "8", None, (8,), (8, 0), True])
def test_a_stride_that_is_none_is_refused(stride):
    with pytest.raises(ValueError, match="stride"):
        PaDiM(embedder=Passthrough(stride=stride)).fit(make_embeddings(30))


def test_the_stride_is_a_parameter_of_the_embedder():
    detector = clone(PaDiM(embedder=Passthrough(stride=4)))
    assert detector.get_params()["embedder__stride"] == 4
    detector.set_params(embedder__stride=2).fit(make_embeddings(30))
    assert detector.predict_heatmap(make_embeddings(1)).shape == (1, 10, 8)
    with pytest.raises(ValueError, match="embedder__stride was 2 when the first samples"):
        detector.set_params(embedder__stride=1).partial_fit(make_embeddings(3))


def test_bicubic_maps_differ_from_bilinear_ones_and_are_those_of_heatmaps(good, new):
    bicubic = Smoothing(0, interpolation="bicubic")
    detector = PaDiM(embedder=small_embedder(), smoothing=bicubic).fit(good)
    distances = detector.gaussian_.patch_distances(
        small_embedder().transform(new).reshape(len(new), -1, 176)
    ).reshape(-1, 8, 8)
    expected = to_heatmaps(distances, (64, 64), smoothing=bicubic)
    np.testing.assert_allclose(detector.predict_heatmap(new), expected, rtol=1e-3, atol=1e-3)
    bilinear = clone(detector).set_params(smoothing__interpolation="bilinear").fit(good)
    assert np.abs(bilinear.predict_heatmap(new) - expected).max() > 0.1


@pytest.mark.usefixtures("no_openvino")
def test_the_default_embedder_is_named_by_a_string(good, new):
    named = PaDiM(embedder="efficientnet_lite0", n_components=10, random_state=0).fit(good)
    built = PaDiM(embedder=PatchEmbedder(), n_components=10, random_state=0).fit(good)
    np.testing.assert_array_equal(named.score_samples(new), built.score_samples(new))
    assert named.predict_heatmap(new[:1]).shape == (1, 224, 224)


# Inspections.


@pytest.mark.parametrize("size", [None, 11, (3, 7)])
def test_an_inspection_has_what_the_methods_predict(size):
    detector = PaDiM(embedder="passthrough", smoothing=0.5).fit(make_embeddings(30))
    new = make_embeddings(20, seed=1)
    new[::2] *= 2
    inspections = list(detector.iter_inspect(new))
    np.testing.assert_array_equal([i.score for i in inspections], detector.score_samples(new))
    np.testing.assert_array_equal([i.decision for i in inspections], detector.predict(new))
    for name in ("heatmap", "mask"):
        shown = [getattr(inspection, f"{name}_at")(size) for inspection in inspections]
        np.testing.assert_array_equal(shown, getattr(detector, f"predict_{name}")(new, size=size))


@pytest.mark.filterwarnings("ignore:.*another size than the training:UserWarning")
def test_an_inspection_of_an_image_has_its_own_size_and_is_small(detector, new):
    larger = np.repeat(np.repeat(new, 2, axis=1), 2, axis=2)
    inspection = next(detector.iter_inspect(larger))
    assert inspection.heatmap_at("image").shape == larger.shape[1:3]
    np.testing.assert_array_equal(
        inspection.mask_at("image"), detector.predict_mask(larger[:1], size="image")[0]
    )
    # What is kept or sent elsewhere is the heatmap, not the images.
    assert len(pickle.dumps(inspection)) < 1.2 * inspection.heatmap.nbytes


def test_what_is_wrong_with_images_to_inspect_is_told_before_the_first(detector):
    with pytest.raises(NotFittedError):
        PaDiM().iter_inspect(["nowhere.png"])
    with pytest.raises(ValueError, match=r"X\[0\], 'nowhere.png', does not exist"):
        detector.iter_inspect(["nowhere.png"])


# Thresholds.


def test_the_threshold_comes_from_leave_one_out_heatmaps():
    X = make_embeddings(25)
    detector = PaDiM(embedder="passthrough", smoothing=0.8, false_alarm_rate=0.1).fit(X)
    patches = X.reshape(25, -1, 6)
    moments = PatchMoments().update(patches)
    factor = factorize(moments, ridge_of(moments, reg_covar=0.1, relative=True))
    distances = LeaveOneOut(moments, factor).distances(patches)
    heatmaps = to_heatmaps(distances.reshape(25, 5, 4), (40, 32), smoothing=0.8)
    np.testing.assert_allclose(detector.calibration_scores_, heatmap_scores(heatmaps), rtol=1e-5)
    assert detector.offset_ == np.sort(detector.calibration_scores_)[1]


@few_images
def test_calibration_takes_the_scores_of_fresh_images(detector, parts):
    calibrated = clone(detector).set_params(false_alarm_rate=0.15).fit(parts.images[:10])
    fresh = parts.images[10:30]
    calibrated.calibrate(fresh)
    assert calibrated.offset_ == np.sort(calibrated.score_samples(fresh))[2]
    with pytest.raises(ValueError, match="false_alarm_rate"):
        calibrated.set_params(false_alarm_rate=1.5).calibrate(fresh)


def test_contamination_is_a_share_of_the_training_images(good):
    detector = PaDiM(embedder=small_embedder(), contamination=0.25).fit(good)
    assert np.sum(detector.predict(good) == -1) == 6
    np.testing.assert_array_equal(detector.calibration_scores_, detector.score_samples(good))
    np.testing.assert_array_equal(clone(detector).fit_predict(good), detector.predict(good))


def test_too_few_images_for_the_rate_warn(good):
    with pytest.warns(UserWarning, match="cannot be promised from 5 good samples"):
        PaDiM(embedder=small_embedder()).fit(good[:5])


def test_score_is_the_log_likelihood_of_patches(detector, new):
    embeddings = small_embedder().transform(new).reshape(len(new), -1, 176)
    assert detector.score(new) == pytest.approx(detector.gaussian_.score(embeddings), rel=1e-4)


# Streams.


@few_images
@pytest.mark.parametrize(
    "reduction",
    [
        {},
        {"n_components": 12, "random_state": 0},
        {"n_components": 4, "reduction": "pca"},
    ],
)
def test_partial_fit_equals_fit(good, new, reduction):
    whole = PaDiM(embedder=small_embedder(), **reduction).fit(good)
    parts = PaDiM(embedder=small_embedder(), **reduction)
    for start in range(0, len(good), 9):
        parts.partial_fit(good[start : start + 9])
    np.testing.assert_allclose(parts.score_samples(new), whole.score_samples(new), rtol=1e-3)
    with pytest.raises(NotFittedError, match="call calibrate"):
        parts.predict(new)
    expected = whole.calibrate(new[:6]).predict(new)
    np.testing.assert_array_equal(parts.calibrate(new[:6]).predict(new), expected)
    assert parts.n_samples_seen_ == len(good)


@few_images
def test_learning_goes_on_after_fit(good, new):
    resumed = PaDiM(embedder=small_embedder()).fit(good[:10]).partial_fit(good[10:])
    whole = PaDiM(embedder=small_embedder()).fit(good)
    np.testing.assert_allclose(resumed.score_samples(new), whole.score_samples(new), rtol=1e-3)
    assert not hasattr(resumed, "offset_")


@few_images
@pytest.mark.parametrize(
    "change",
    [
        {"embedder__image_size": 96},
        {"embedder__backbone": "resnet18"},
        {"embedder": "passthrough"},
        {"n_components": 5},
        {"random_state": 1},
    ],
)
def test_learning_does_not_go_on_after_a_change(good, change):
    detector = PaDiM(embedder=small_embedder(), n_components=9, random_state=0)
    detector.partial_fit(good[:3])
    detector.set_params(**change)
    with pytest.raises(ValueError, match=r"was .* when the first samples were seen"):
        detector.partial_fit(good[3:])


@few_images
def test_batch_size_and_device_may_change_and_hold_at_once(good):
    detector = PaDiM(embedder=small_embedder()).partial_fit(good[:3])
    detector.set_params(embedder__batch_size=2, embedder__device="cpu").partial_fit(good[3:6])
    assert detector.n_samples_seen_ == 6
    assert detector.embedder_.batch_size == 2
    assert detector.embedder_.device == "cpu"


@few_images
def test_another_ridge_holds_from_the_next_images_on(good, new):
    detector = PaDiM(embedder=small_embedder()).partial_fit(good[:9])
    detector.set_params(reg_covar=3.0).partial_fit(good[9:])
    expected = PaDiM(embedder=small_embedder(), reg_covar=3.0).fit(good).score_samples(new)
    np.testing.assert_allclose(detector.score_samples(new), expected, rtol=1e-3)
    with pytest.raises(ValueError, match="reg_covar"):
        detector.set_params(reg_covar=-1).partial_fit(good)


@few_images
def test_one_image_is_not_enough_to_score_but_is_kept(good):
    detector = PaDiM(embedder=small_embedder()).partial_fit(good[:1])
    with pytest.raises(NotFittedError, match="give at least one more"):
        detector.score_samples(good)
    assert detector.partial_fit(good[1:]).n_samples_seen_ == len(good)


@pytest.mark.parametrize("spool_bytes", [0, 200_000])
def test_what_does_not_stay_in_memory_is_embedded_again(
    good, new, detector, monkeypatch, spool_bytes
):
    monkeypatch.setattr(skpadim._padim, "_SPOOL_BYTES", spool_bytes)
    again = PaDiM(embedder=small_embedder(batch_size=3)).fit(good)
    np.testing.assert_allclose(again.calibration_scores_, detector.calibration_scores_, rtol=1e-4)


@few_images
def test_memory_embeds_no_image_twice(good, new, tmp_path, monkeypatch):
    embedded = []
    original = PatchEmbedder.iter_embed

    def counting(self, images, channels=None):
        embedded.append(len(images))
        return original(self, images, channels)

    monkeypatch.setattr(PatchEmbedder, "iter_embed", counting)
    paths = []
    for i, image in enumerate(good[:8]):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(paths[-1])
    memory = joblib.Memory(tmp_path / "cache", verbose=0)
    scores = []
    for n_components in (5, 20, None):
        detector = PaDiM(
            embedder=small_embedder(batch_size=4), memory=memory, n_components=n_components
        ).set_params(random_state=0)
        scores.append(detector.fit(paths).score_samples(paths))
    assert embedded == [4, 4]
    plain = PaDiM(embedder=small_embedder(batch_size=4)).fit(paths)
    np.testing.assert_allclose(scores[-1], plain.score_samples(paths), rtol=1e-4)
    # A file that has changed is not the same image.
    embedded.clear()
    Image.fromarray(new[-1]).save(paths[0])
    detector.score_samples(paths)
    assert embedded == [4]


@few_images
def test_memory_knows_weights_by_their_content(good, tmp_path):
    weights = tmp_path / "weights.pth"
    scores = []
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = torchvision.models.resnet18(weights=None)
        torch.save(network.state_dict(), weights)
        embedder = small_embedder(backbone="resnet18", weights=str(weights))
        remembered = PaDiM(embedder=embedder, memory=str(tmp_path / "cache")).fit(good[:4])
        forgetful = PaDiM(embedder=embedder).fit(good[:4])
        scores.append(remembered.score_samples(good))
        np.testing.assert_allclose(scores[-1], forgetful.score_samples(good), rtol=1e-4)
    assert not np.allclose(*scores)


def test_progress_is_shown_in_images_when_asked(good, capfd):
    PaDiM(embedder=small_embedder(), verbose=1).fit(good).predict(good[:2])
    shown = capfd.readouterr().err
    assert "Learning" in shown
    assert "24/24" in shown
    assert "images/s" in shown
    assert "Scoring" in shown
    PaDiM(embedder=small_embedder()).fit(good)
    assert capfd.readouterr().err == ""


@pytest.fixture(scope="module")
def noisy(detector):
    return deepcopy(detector).set_params(verbose=1, embedder__batch_size=6)


@pytest.mark.parametrize("method", ["score_samples", "predict_heatmap", "iter_inspect"])
@pytest.mark.parametrize("n_jobs", [1, 2])
@few_images
def test_bars_end_at_all_images(noisy, new, capsys, method, n_jobs):
    with joblib.parallel_config("threading", n_jobs=n_jobs):
        results = getattr(noisy, method)(new)
        if method == "iter_inspect":
            for _ in range(len(new)):  # and nobody asks for one more
                next(results)
            results.close()
    assert " 12/12 " in capsys.readouterr().err.rstrip().rpartition("\r")[2]


def test_bars_of_the_embedder_end_at_all_images(new, capsys):
    small_embedder(verbose=1, batch_size=5).transform(new)
    assert " 12/12 " in capsys.readouterr().err.rstrip().rpartition("\r")[2]


@pytest.mark.parametrize(
    "where",
    ["PatchMoments.update", "_patch_gaussian.factorize", "_leave_one_out.LeaveOneOut.distances"],
)
def test_an_interrupted_fit_leaves_the_old_model(good, new, monkeypatch, where):
    detector = PaDiM(embedder=small_embedder()).fit(good)
    before = detector.decision_function(new)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"skpadim.gaussian.{where}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            detector.fit(good[:20])
    np.testing.assert_array_equal(detector.decision_function(new), before)


def test_one_image_is_refused_before_the_network_is_looked_for(good):
    embedder = PatchEmbedder("resnet18", weights="missing.pth")
    with pytest.raises(ValueError, match="n_samples=1 good sample"):
        PaDiM(embedder=embedder).fit(good[:1])


def test_a_failed_fit_leaves_the_old_model(good):
    detector = PaDiM(embedder="passthrough").fit(make_embeddings(30))
    scores = detector.decision_function(make_embeddings(3))
    with pytest.raises(ValueError, match="n_samples=1"):
        detector.fit(make_embeddings(1, grid=(2, 2)))
    with pytest.raises(ValueError, match="n_components=99"):
        detector.set_params(n_components=99).fit(make_embeddings(9, grid=(2, 2)))
    np.testing.assert_array_equal(detector.decision_function(make_embeddings(3)), scores)


# Labels.


@few_images
@pytest.mark.parametrize("how", ["images", "embeddings"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_images_labelled_defective_are_left_out(parts, how, method):
    X = parts.images if how == "images" else small_embedder().transform(parts.images)
    embedder = small_embedder() if how == "images" else "passthrough"
    labelled = getattr(PaDiM(embedder=embedder), method)(X, parts.y)
    good = getattr(PaDiM(embedder=embedder), method)(X[parts.y == 1])
    np.testing.assert_array_equal(labelled.score_samples(X), good.score_samples(X))
    assert labelled.n_samples_seen_ == 30
    fresh = X[:, ::-1]
    offset = good.calibrate(fresh[:30]).offset_
    assert labelled.calibrate(fresh, parts.y).offset_ == pytest.approx(offset, rel=1e-5)
    if method == "partial_fit":
        assert labelled.partial_fit(fresh, parts.y).n_samples_seen_ == 60


@pytest.mark.parametrize(
    ("y", "message"), [([1, -1], "inconsistent numbers"), ([-1] * 36, r"no label \+1")]
)
def test_labels_that_do_not_fit_are_refused(parts, y, message):
    with pytest.raises(ValueError, match=message):
        PaDiM(embedder=small_embedder()).fit(parts.images, y)


def test_a_search_never_trains_on_defects(parts):
    X = small_embedder().transform(parts.images)
    search = GridSearchCV(
        PaDiM(embedder="passthrough", random_state=0, false_alarm_rate=0.1),
        {"n_components": [5, 20]},
        cv=StratifiedKFold(2),
        scoring=image_roc_auc,
    ).fit(X, parts.y)
    assert search.best_estimator_.n_samples_seen_ == 30


# Sizes.


@pytest.mark.filterwarnings("ignore:.*another aspect ratio than the training:UserWarning")
def test_heatmaps_come_at_each_images_own_size(detector, new):
    images = [new[0], new[1][:80], new[2][:, :50]]
    heatmaps = detector.predict_heatmap(images, size="image")
    masks = detector.predict_mask(images, size="image")
    assert [heatmap.shape for heatmap in heatmaps] == [(96, 96), (80, 96), (96, 50)]
    assert [mask.shape for mask in masks] == [(96, 96), (80, 96), (96, 50)]
    assert all(heatmap.dtype == np.float32 for heatmap in heatmaps)
    assert [mask.any() for mask in masks] == list(detector.predict(images) == -1)


def test_other_sizes_are_interpolated(detector, new):
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(detector.predict_heatmap(new))[:, None], size=(90, 130), mode="bilinear"
    )[:, 0]
    heatmaps = detector.predict_heatmap(new, size=(90, 130))
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-4)
    np.testing.assert_array_equal(
        detector.predict_heatmap(new, size=33), detector.predict_heatmap(new, size=(33, 33))
    )


@pytest.mark.parametrize("size", [0, (5, -1), "original", (3, 4, 5), 2.5])
def test_impossible_sizes_are_refused(detector, new, size):
    with pytest.raises(ValueError, match=r"size=.* must be None, 'image', one positive integer"):
        detector.predict_heatmap(new, size=size)


def test_outside_the_crop_nothing_is_anomalous(good, new):
    embedder = PatchEmbedder(image_size=(96, 80), crop_size=(64, 48), engine="torch")
    detector = PaDiM(embedder=embedder).fit(good)
    crop = detector.predict_heatmap(new)
    assert crop.shape == (len(new), 64, 48)
    whole = detector.predict_heatmap(new, size=(96, 80))
    np.testing.assert_array_equal(whole[:, 16:80, 16:64], crop)
    whole[:, 16:80, 16:64] = 0
    assert not whole.any()
    for size in (2, 3, (96, 80)):
        masks = detector.predict_mask(new, size=size)
        np.testing.assert_array_equal(masks.any(axis=(1, 2)), detector.predict(new) == -1)
    assert detector.predict_mask(new, size=2).mean() < 1


# Parameters and persistence.


def test_nested_parameters_are_reached_by_name():
    detector = PaDiM(embedder=PatchEmbedder()).set_params(embedder__image_size=96, n_components=7)
    assert detector.embedder.image_size == 96
    assert clone(detector).get_params()["embedder__image_size"] == 96


def test_nested_parameters_make_an_embedder_of_a_name_and_a_smoothing_of_a_number():
    detector = PaDiM(embedder="resnet18").set_params(
        embedder__image_size=96, smoothing__mode="mirror"
    )
    assert detector.embedder.get_params() == PatchEmbedder("resnet18", image_size=96).get_params()
    assert detector.smoothing.get_params() == Smoothing(4.0, mode="mirror").get_params()
    detector.set_params(embedder__image_size=64, embedder="resnet34")
    assert (detector.embedder.backbone, detector.embedder.image_size) == ("resnet34", 64)
    with pytest.raises(ValueError, match="'passthrough' has no parameters"):
        detector.set_params(embedder="passthrough", embedder__image_size=64)


def test_a_search_over_the_embedder_may_begin_with_its_name(good):
    fold = (np.arange(20), np.arange(20, 24))
    search = GridSearchCV(
        PaDiM(),
        {"embedder__engine": ["torch"], "embedder__image_size": [32]},
        cv=[fold],
        error_score="raise",
        refit=False,
    ).fit(good)
    embedder = PatchEmbedder("efficientnet_lite0", image_size=32, engine="torch")
    expected = PaDiM(embedder=embedder).fit(good[fold[0]]).score(good[fold[1]])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected, rel=1e-12)


def test_a_parameter_that_is_changed_holds_from_the_next_fit_on(detector, new):
    changed = deepcopy(detector).set_params(embedder__image_size=96)
    np.testing.assert_array_equal(changed.score_samples(new), detector.score_samples(new))


def test_a_fitted_model_holds_no_torch_object(detector, new):
    detector.predict(new)

    def walk(value):
        assert "torch" not in type(value).__module__, value
        for inner in vars(value).values() if hasattr(value, "__dict__") else ():
            walk(inner)
        if isinstance(value, list | tuple):
            for inner in value:
                walk(inner)
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)

    walk(detector)
    # This protocol has the module of each object in an operation of its own.
    operations = pickletools.genops(pickle.dumps(detector, protocol=2))
    modules = {names.partition(".")[0] for code, names, _ in operations if code.name == "GLOBAL"}
    assert "skpadim" in modules
    assert "torch" not in modules


def test_fitting_again_starts_afresh(good, new):
    detector = PaDiM(embedder="passthrough").fit(make_embeddings(20))
    detector.set_params(embedder=small_embedder()).fit(good)
    assert not hasattr(detector, "n_features_in_")
    fresh = PaDiM(embedder=small_embedder()).fit(good)
    np.testing.assert_array_equal(detector.score_samples(new), fresh.score_samples(new))


def test_global_state_is_left_alone(good):
    def state():
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002 (it is what must not change)
        return (kind, keys.tobytes(), *rest), random.getstate(), torch.get_rng_state().tolist()

    before, threads = state(), (torch.get_num_threads(), threadpool_info())
    for reduction in ("random", "orthogonal"):
        PaDiM(
            embedder=small_embedder(weights=None),
            n_components=9,
            reduction=reduction,
            random_state=0,
        ).fit(good).predict(good)
    assert state() == before
    assert (torch.get_num_threads(), threadpool_info()) == threads


def test_importing_the_package_and_its_displays_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys, skpadim, skpadim.display;"
        "assert not {'torch', 'matplotlib', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Images.


def test_paths_arrays_and_lists_give_the_same_scores(detector, new, tmp_path):
    paths = []
    for i, image in enumerate(new):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(image).save(paths[-1])
    expected = detector.score_samples(new)
    tensor = torch.from_numpy(new).movedim(-1, 1)
    for X in (paths, np.array(paths), list(new), [Image.fromarray(i) for i in new], tensor):
        np.testing.assert_array_equal(detector.score_samples(X), expected)
    np.testing.assert_array_equal(detector.score_samples(new / 255), expected)


@few_images
@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
@pytest.mark.filterwarnings("ignore:.*images are all black:UserWarning")
@pytest.mark.filterwarnings("ignore:.*images are in colour, but:UserWarning")
@pytest.mark.parametrize("parameters", [{}, {"reg_covar": 0.01, "reg_relative": False}])
def test_identical_images_fit_and_score_finitely(good, parameters):
    same = np.repeat(good[:1], 6, axis=0)
    detector = PaDiM(embedder=small_embedder(), **parameters).fit(same)
    assert np.all(np.isfinite(detector.score_samples(good)))
    assert np.all(detector.predict(same) == 1)
    black = np.zeros((5, 96, 96, 3), np.uint8)
    detector = PaDiM(embedder=small_embedder(), **parameters).fit(black)
    assert np.all(np.isfinite(detector.score_samples(good)))


# Bad input.


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], ValueError, "empty"),
        (np.zeros((1, 64, 64, 3), np.uint8), ValueError, "one sample has no covariance"),
        (["missing.png", "gone.png"], ValueError, r"X\[0\].*missing\.png"),
        ("folder", ValueError, r"\[X\]"),
        (np.zeros((4, 64, 64, 5), np.uint8), ValueError, "shape"),
        (np.zeros((4, 64, 64, 3), np.int64), TypeError, "int64"),
        (np.full((4, 64, 64, 3), np.nan), ValueError, r"X\[0\].*NaN"),
        (None, TypeError, "NoneType"),
    ],
)
def test_bad_images_are_refused_before_any_work(X, error, message, monkeypatch):
    monkeypatch.setattr(PatchMoments, "update", None)  # any work would fail otherwise
    with pytest.raises(error, match=message):
        PaDiM(embedder=small_embedder()).fit(X)


def test_a_truncated_file_is_named(good, detector, tmp_path):
    paths = [tmp_path / "whole.png", tmp_path / "cut.png"]
    for path in paths:
        Image.fromarray(good[0]).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"X\[1\].*cut\.png"):
        detector.predict(paths)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"embedder": "resnet81"}, ValueError, "resnet18"),
        ({"embedder": 3}, ValueError, "embedder"),
        ({"embedder": PatchEmbedder(layers=["blocks.99"])}, ValueError, "blocks.99"),
        ({"embedder": PatchEmbedder(device="tpu")}, ValueError, "tpu"),
        ({"n_components": 177}, ValueError, "n_components=177 is larger"),
        ({"reduction": "ica"}, ValueError, "reduction"),
        ({"reduction": [176]}, ValueError, "index 176"),
        ({"smoothing": -1}, ValueError, "smoothing"),
        ({"smoothing": Smoothing(interpolation="lanczos")}, ValueError, "interpolation"),
        ({"false_alarm_rate": 1}, ValueError, "false_alarm_rate"),
        ({"contamination": 0.7}, ValueError, "contamination"),
        ({"memory": 3}, ValueError, "memory"),
    ],
)
def test_impossible_parameters_are_refused_by_name(good, parameters, error, message, monkeypatch):
    monkeypatch.setattr(PatchMoments, "update", None)
    with pytest.raises(error, match=message):
        PaDiM(**parameters).fit(good)


@pytest.mark.parametrize(
    "method",
    [
        "predict",
        "score_samples",
        "decision_function",
        "predict_heatmap",
        "predict_mask",
        "score",
        "calibrate",
    ],
)
def test_an_unfitted_detector_says_so(new, method):
    with pytest.raises(NotFittedError, match="PaDiM"):
        getattr(PaDiM(), method)(new)


def test_embeddings_of_another_grid_or_dimension_are_refused():
    detector = PaDiM(embedder="passthrough").fit(make_embeddings(20))
    with pytest.raises(ValueError, match=r"grid of shape \(4, 5\)"):
        detector.predict(make_embeddings(2, grid=(4, 5)))
    with pytest.raises(ValueError, match="X has 7 features, but PaDiM is expecting 6"):
        detector.predict(make_embeddings(2, dimensions=7))


class ManyChannels(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 20000, 8, stride=8)

    def forward(self, images):
        return self.layer(images)


def test_a_model_that_cannot_fit_in_memory_is_refused_before_long_work():
    detector = PaDiM(embedder=PatchEmbedder(ManyChannels(), layers=["layer"]))
    images = [np.zeros((8, 8, 3), dtype=np.uint8)] * 20002
    with pytest.raises(MemoryError, match=r"784 positions of 20000 dimensions take 4,0\d\d\.\d GB"):
        detector.fit(images)


@few_images
@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
def test_compact_models_decide_alike(good, new, detector):
    compact = PaDiM(embedder=small_embedder(), compact=True).fit(good)
    assert compact.gaussian_.factor_.dtype == np.int16
    np.testing.assert_allclose(compact.score_samples(new), detector.score_samples(new), rtol=1e-4)
    np.testing.assert_array_equal(compact.predict(new), detector.predict(new))
    resumed = compact.set_params(compact=False).partial_fit(good)
    assert resumed.gaussian_.factor_.dtype == np.float32
