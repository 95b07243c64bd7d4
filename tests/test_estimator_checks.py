"""Checks of estimators that take images, which scikit-learn's own checks leave out.

One function a check, for each estimator, in the manner of `sklearn.utils.estimator_checks`.
"""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import skops.io
import torch
import torchvision
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim.embedding import Passthrough

pytestmark = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")

EMBEDDER = PatchEmbedder(image_size=64, engine="torch")
ESTIMATORS = {
    "PatchEmbedder": EMBEDDER,
    "PaDiM": PaDiM(embedder=EMBEDDER),
    "PaDiM, reduced": PaDiM(embedder=EMBEDDER, n_components=20, random_state=0),
    "PaDiM, compact": PaDiM(embedder=EMBEDDER, compact=True),
    "pipeline": make_pipeline(EMBEDDER, PatchGaussian(n_components=20, random_state=0)),
}
DETECTORS = {name: e for name, e in ESTIMATORS.items() if name != "PatchEmbedder"}
every_estimator = pytest.mark.parametrize("name", ESTIMATORS)
every_detector = pytest.mark.parametrize("name", DETECTORS)


@pytest.fixture(scope="module")
def new(parts):
    return parts.images[26:32]


@pytest.fixture(scope="module")
def fitted(good):
    return {name: clone(estimator).fit(good) for name, estimator in ESTIMATORS.items()}


def output(estimator, X):
    method = "decision_function" if hasattr(estimator, "decision_function") else "transform"
    return getattr(estimator, method)(X)


def state(estimator):
    return {key: joblib.hash(value) for key, value in vars(estimator).items()}


@every_estimator
def test_a_clone_has_equal_parameters_and_no_state(name, fitted):
    cloned = clone(fitted[name])
    assert repr(cloned.get_params()) == repr(ESTIMATORS[name].get_params())
    assert not [attribute for attribute in vars(cloned) if attribute.endswith("_")]


@every_estimator
def test_set_params_takes_what_get_params_gives(name):
    estimator = clone(ESTIMATORS[name])
    assert estimator.set_params(**estimator.get_params()) is estimator
    assert repr(estimator.get_params()) == repr(ESTIMATORS[name].get_params())


@every_estimator
def test_fit_returns_the_estimator_and_touches_no_parameter(name, good):
    estimator = clone(ESTIMATORS[name])
    before = repr(estimator.get_params())
    assert estimator.fit(good) is estimator
    assert repr(estimator.get_params()) == before


@every_detector
def test_fit_twice_is_fit_once(name, good, new, fitted):
    again = clone(ESTIMATORS[name]).fit(good[:20]).fit(good)
    np.testing.assert_array_equal(output(again, new), output(fitted[name], new))


@every_estimator
def test_prediction_changes_no_state(name, new, fitted):
    before = state(fitted[name])
    output(fitted[name], new)
    assert state(fitted[name]) == before


@every_estimator
def test_the_order_and_company_of_images_do_not_matter(name, new, fitted):
    whole = output(fitted[name], new)
    np.testing.assert_allclose(output(fitted[name], new[::-1])[::-1], whole, rtol=1e-3, atol=1e-4)
    parts = [output(fitted[name], new[[i]]) for i in range(len(new))]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-3, atol=1e-4)


@every_estimator
def test_the_batch_size_does_not_matter(name, good, new, fitted):
    estimator = clone(ESTIMATORS[name])
    nested = [parameter for parameter in estimator.get_params() if parameter.endswith("batch_size")]
    estimator.set_params(**dict.fromkeys(nested, 5)).fit(good)
    np.testing.assert_allclose(
        output(estimator, new), output(fitted[name], new), rtol=1e-3, atol=1e-4
    )


@every_estimator
def test_paths_lists_and_arrays_are_the_same(name, new, fitted, tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(len(new))]
    for path, image in zip(paths, new, strict=True):
        Image.fromarray(image).save(path)
    expected = output(fitted[name], new)
    for X in (paths, list(map(str, paths)), list(new)):
        np.testing.assert_array_equal(output(fitted[name], X), expected)


@every_estimator
@pytest.mark.parametrize("how", ["pickle", "joblib", "skops"])
def test_a_saved_estimator_gives_equal_output(name, how, new, fitted, tmp_path):
    if how == "pickle":
        loaded = pickle.loads(pickle.dumps(fitted[name]))
    elif how == "joblib":
        joblib.dump(fitted[name], tmp_path / "model")
        loaded = joblib.load(tmp_path / "model")
    else:
        content = skops.io.dumps(fitted[name])
        own = skops.io.get_untrusted_types(data=content)
        assert all(kind.startswith("skpadim.") for kind in own)
        loaded = skops.io.loads(content, trusted=own)
    np.testing.assert_array_equal(output(loaded, new), output(fitted[name], new))


def test_skops_takes_a_model_fitted_in_parts(good, new):
    detector = PaDiM(embedder=EMBEDDER).partial_fit(good[:16]).calibrate(good[16:])
    content = skops.io.dumps(detector)
    own = skops.io.get_untrusted_types(data=content)
    assert all(kind.startswith("skpadim.") for kind in own)
    loaded = skops.io.loads(content, trusted=own)
    assert loaded.partial_fit(new).n_samples_seen_ == 16 + len(new)


@every_detector
def test_an_unfitted_detector_says_so(name, new):
    with pytest.raises(NotFittedError):
        output(clone(DETECTORS[name]), new)


@every_detector
def test_predictions_are_plus_or_minus_one_by_the_sign_of_the_decision(name, new, fitted):
    decisions = fitted[name].decision_function(new)
    np.testing.assert_array_equal(fitted[name].predict(new), np.where(decisions < 0, -1, 1))


def test_tags_tell_what_each_estimator_takes():
    embeddings = get_tags(PaDiM(embedder="passthrough"))
    images = get_tags(PaDiM())
    assert embeddings.estimator_type == images.estimator_type == "outlier_detector"
    assert embeddings.input_tags.two_d_array
    assert not embeddings.no_validation
    assert not images.input_tags.two_d_array
    assert images.input_tags.string
    assert images.input_tags.three_d_array
    assert get_tags(PatchGaussian()).input_tags.two_d_array
    assert not get_tags(PatchEmbedder()).requires_fit


# Pipelines.


def test_a_pipeline_scores_as_padim_without_smoothing_on_the_grid(good, new):
    gaussian = PatchGaussian(n_components=20, random_state=0)
    pipeline = make_pipeline(EMBEDDER, gaussian).fit(good)
    on_grid = Passthrough(stride=1)
    detector = PaDiM(embedder=on_grid, smoothing=0, n_components=20, random_state=0)
    composed = make_pipeline(EMBEDDER, detector).fit(good)
    np.testing.assert_allclose(pipeline.score_samples(new), composed.score_samples(new), rtol=1e-6)
    np.testing.assert_array_equal(pipeline.predict(new), composed.predict(new))


def test_a_pipeline_with_memory_embeds_no_image_twice(good, new, tmp_path, monkeypatch):
    embedded = []
    original = PatchEmbedder.iter_embed

    def counting(self, images, channels=None):
        embedded.append(len(images))
        return original(self, images, channels)

    monkeypatch.setattr(PatchEmbedder, "iter_embed", counting)
    for n_components in (5, 20):
        make_pipeline(
            PatchEmbedder(image_size=64, engine="torch"),
            PatchGaussian(n_components=n_components, random_state=0),
            memory=joblib.Memory(tmp_path, verbose=0),
        ).fit(good)
    assert embedded == [len(good)]


def test_a_users_steps_go_before_and_between(good, new):
    pipeline = make_pipeline(
        FunctionTransformer(lambda images: images[:, 8:-8, 8:-8]),
        EMBEDDER,
        FunctionTransformer(lambda embeddings: 2 * embeddings),
        PatchGaussian(),
    ).fit(good)
    plain = make_pipeline(EMBEDDER, PatchGaussian()).fit(good[:, 8:-8, 8:-8])
    np.testing.assert_allclose(
        pipeline.score_samples(new), plain.score_samples(new[:, 8:-8, 8:-8]), rtol=1e-3
    )


# Files.


def test_a_model_loads_without_torch_and_without_its_weights(fitted, new, tmp_path):
    joblib.dump(fitted["PaDiM"], tmp_path / "model")
    code = (
        "import joblib, sys; detector = joblib.load(sys.argv[1]); detector.offset_; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "model"], check=True)


@pytest.mark.filterwarnings("ignore:.*look defective by their scores:UserWarning")
def test_a_model_with_other_weights_is_refused(good, new, tmp_path):
    weights = tmp_path / "resnet18.pth"

    def save(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            torch.save(torchvision.models.resnet18(weights=None).state_dict(), weights)

    save(0)
    embedder = PatchEmbedder("resnet18", image_size=64, weights=str(weights), engine="torch")
    saved = pickle.dumps(PaDiM(embedder=embedder).fit(good))
    expected = pickle.loads(saved).score_samples(new)
    save(1)
    with pytest.raises(ValueError, match="not those that the model was fitted with"):
        pickle.loads(saved).score_samples(new)
    save(0)
    np.testing.assert_array_equal(pickle.loads(saved).score_samples(new), expected)


def test_a_model_fitted_elsewhere_takes_the_device_of_here(good, new):
    detector = PaDiM(embedder=clone(EMBEDDER)).fit(good)
    expected = detector.score_samples(new)
    detector.embedder.device = detector.embedder_.device = "cuda:99"
    loaded = pickle.loads(pickle.dumps(detector))
    with pytest.raises(ValueError, match="device='cuda:99'"):
        loaded.score_samples(new)
    loaded.set_params(embedder__device="cpu")
    np.testing.assert_array_equal(loaded.score_samples(new), expected)


def test_another_version_warns_on_loading(fitted, monkeypatch):
    content = pickle.dumps(fitted["PaDiM"])
    monkeypatch.setattr("skpadim.gaussian._patch_gaussian.version", lambda name: "99.0")
    with pytest.warns(UserWarning, match=r"saved by skpadim 0\..* loaded by skpadim 99\.0"):
        pickle.loads(content)


def test_the_html_representation_names_the_parts(fitted):
    html = fitted["PaDiM"]._repr_html_()
    assert "PaDiM" in html
    assert "PatchEmbedder" in html
