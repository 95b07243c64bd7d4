"""Training samples as models fitted without them see them: the promise, and its arithmetic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from skpadim import PatchGaussian
from skpadim.gaussian._reduction import select_dimensions

few_samples = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")

DIMENSIONS = 12
STRATIFIED = select_dimensions(DIMENSIONS, 4, "stratified", 0, layer_depths=(4, 8))


def make_good(n, rng, positions=1, dimensions=DIMENSIONS):
    """Embeddings of images that differ as a whole and patch by patch, in unequal directions."""
    mixing = np.random.default_rng(99).normal(size=(dimensions, dimensions))
    mixing = np.linalg.qr(mixing)[0] * np.logspace(0, -2, dimensions)
    images = rng.normal(size=(n, 1, dimensions)) + rng.normal(size=(n, positions, dimensions))
    return images @ mixing.T


@pytest.mark.filterwarnings("ignore:.*look defective by their scores:UserWarning")
@pytest.mark.parametrize("n", [19, 40, 100])
@pytest.mark.parametrize(
    ("positions", "reduction"),
    [
        (1, {}),
        (1, {"reduction": "random", "n_components": 4}),
        (1, {"reduction": STRATIFIED}),
        (1, {"reduction": "orthogonal", "n_components": 4}),
        (1, {"reduction": "semi-orthogonal", "n_components": 0.3}),
        (1, {"reduction": "pca", "n_components": 0.3}),
        (1, {"reduction": "pca"}),
        (1, {"reduction": "npca", "n_components": 4}),
        (4, {"reduction": "pca"}),
        (4, {"reduction": "npca", "n_components": 0.3}),
    ],
    ids=str,
)
def test_the_promise_holds_for_every_reduction(reduction, positions, n):
    rng = np.random.default_rng(n)
    n_fits, n_fresh, rank = 16, 200, (n + 1) // 20
    alarms = [
        np.mean(
            PatchGaussian(**reduction, random_state=0)
            .fit(make_good(n, rng, positions))
            .predict(make_good(n_fresh, rng, positions))
            < 0
        )
        for _ in range(n_fits)
    ]
    # The rate of a detector whose threshold has this rank is distributed as Beta(k, n + 1 - k), and
    # is measured on a binomial number of alarms.
    mean = rank / (n + 1)
    variance = mean * (1 - mean) * (1 / (n + 2) + 1 / n_fresh)
    assert np.mean(alarms) < mean + 4 * np.sqrt(variance / n_fits)


def refit_without_folds(X, reduction, n_components, reg_covar, relative):
    """Largest distances of samples by scikit-learn's PCA and NumPy's covariances of the others."""
    distances = np.empty(len(X))
    for fold in np.array_split(np.arange(len(X)), min(20, len(X))):
        others = np.delete(X, fold, axis=0)
        pca = PCA().fit(others.reshape(-1, X.shape[2]))
        order = slice(None, None, 1 if reduction == "pca" else -1)
        components = pca.components_[order][:n_components]
        seen, left_out = others @ components.T, X[fold] @ components.T
        ridge = reg_covar * (seen.reshape(-1, n_components).var(axis=0) if relative else 1.0)
        squares = []
        for position in range(X.shape[1]):
            covariance = np.atleast_2d(np.cov(seen[:, position], rowvar=False))
            deviations = left_out[:, position] - seen[:, position].mean(axis=0)
            precision = np.linalg.inv(covariance + ridge * np.eye(n_components))
            squares.append(np.einsum("ni,ij,nj->n", deviations, precision, deviations))
        distances[fold] = np.sqrt(np.max(squares, axis=0))
    return distances


@few_samples
@pytest.mark.parametrize("reduction", ["pca", "npca"])
@pytest.mark.parametrize(("n", "n_components"), [(40, 5), (25, 12), (12, 12), (8, 1)])
@pytest.mark.parametrize(("reg_covar", "relative"), [(0.1, True), (0.01, False), (1e-4, True)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_twentieth_of_the_samples_is_left_out_of_principal_components_and_gaussians(
    reduction, n, n_components, reg_covar, relative, dtype
):
    X = make_good(n, np.random.default_rng(1), positions=5).astype(dtype)
    detector = PatchGaussian(
        reduction=reduction, n_components=n_components, reg_covar=reg_covar, reg_relative=relative
    ).fit(X)
    expected = refit_without_folds(
        X.astype(np.float64), reduction, n_components, reg_covar, relative
    )
    rtol = 1e-7 if dtype == np.float64 else 2e-3
    np.testing.assert_allclose(-detector.calibration_scores_, expected, rtol=rtol)


def refit_without(X, i, ridge):
    """Largest distance of a sample by the others, from the singular values of their deviations."""
    others, sample = np.delete(X, i, axis=0).astype(np.float64), X[i].astype(np.float64)
    squares = []
    for position in range(X.shape[1]):
        mean = others[:, position].mean(axis=0)
        deviations = (others[:, position] - mean) / np.sqrt(ridge * (len(others) - 1))
        u = (sample[position] - mean) / np.sqrt(ridge)
        _, values, vectors = np.linalg.svd(deviations, full_matrices=False)
        along = vectors @ u
        squares.append(np.sum(along**2 / (1 + values**2)) + np.sum((u - along @ vectors) ** 2))
    return np.sqrt(np.max(squares))


@few_samples
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("reg_covar", [1e-10, 1e-8, 1e-6, 1e-4, 1e-2, 1])
@pytest.mark.parametrize("n", [3, 8, 16, 20, 21, 40])
def test_leave_one_out_is_refitting_however_small_the_ridge(n, reg_covar, dtype):
    rng = np.random.default_rng(n)
    X = (rng.normal(size=(n, 3, 20)) * np.linspace(0.5, 3, 20) + 1).astype(dtype)
    detector = PatchGaussian(reg_covar=reg_covar).fit(X)
    expected = [refit_without(X, i, detector.ridge_) for i in range(n)]
    rtol = 1e-6 * max(1, 1e-8 / reg_covar) if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(-detector.calibration_scores_, expected, rtol=rtol)


@few_samples
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("reg_covar", [1e-8, 1e-4, 0.1])
@pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
def test_leave_one_out_of_copies_is_refitting(reg_covar, dtype):
    X = np.random.default_rng(0).normal(size=(14, 3, 20)).astype(dtype)
    X[1] = X[2] = X[0]
    detector = PatchGaussian(reg_covar=reg_covar).fit(X)
    expected = [refit_without(X, i, detector.ridge_) for i in range(14)]
    np.testing.assert_allclose(-detector.calibration_scores_, expected, rtol=1e-4)


@pytest.mark.parametrize("reg_covar", [1e-10, 1e-8, 1e-6])
@pytest.mark.parametrize("n", [25, 40, 41])
def test_faint_ridges_raise_no_false_alarms_in_float32(n, reg_covar):
    rng = np.random.default_rng(0)
    alarms = [
        np.mean(
            PatchGaussian(reg_covar=reg_covar)
            .fit(make_good(n, rng, 2, dimensions=40).astype(np.float32))
            .predict(make_good(100, rng, 2, dimensions=40).astype(np.float32))
            < 0
        )
        for _ in range(10)
    ]
    assert np.mean(alarms) < 0.1


@pytest.mark.filterwarnings("ignore:.*look defective by their scores:UserWarning")
def test_what_float32_cannot_tell_is_refused():
    X = np.random.default_rng(0).normal(size=(22, 3, 20))
    # Without one of them, 21 samples just make a covariance of 20 dimensions.
    X[0, :, 0], X[1:, :, 0] = 1, 0
    assert PatchGaussian(reg_covar=1e-9).fit(X).offset_ < -1e3
    with pytest.raises(ValueError, match=r"all training samples but one is singular.*float32: rai"):
        PatchGaussian(reg_covar=1e-9).fit(X.astype(np.float32))
    with pytest.raises(ValueError, match="but one is singular to the precision of float64"):
        PatchGaussian(reg_covar=0).fit(X)


@few_samples
@settings(max_examples=30)
@given(exponent=st.integers(-100, 100), n=st.sampled_from([12, 60]), seed=st.integers(0, 9))
def test_no_power_of_two_changes_a_score_and_a_defect_is_found_at_each(exponent, n, seed):
    rng = np.random.default_rng(seed)
    X, new = (make_good(size, rng, 2, dimensions=20).astype(np.float32) for size in (n, 6))
    new[5, 1, 0] += 50 * X[..., 0].std()
    expected = PatchGaussian().fit(X)
    scale = np.float32(2.0**exponent)
    detector = PatchGaussian().fit(X * scale)
    np.testing.assert_allclose(
        detector.score_samples(new * scale), expected.score_samples(new), rtol=1e-5
    )
    assert detector.predict(new * scale)[5] == -1
