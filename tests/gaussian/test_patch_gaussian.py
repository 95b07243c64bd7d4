"""PatchGaussian against SciPy, scikit-learn and brute force in float64."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.covariance import EmpiricalCovariance
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info

from skpadim import PatchGaussian
from skpadim.gaussian import PatchMoments
from skpadim.gaussian._factors import factorize, inflated

# Here, samples are learnt from twice on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:.*exact copies of others:UserWarning")
few_samples = pytest.mark.filterwarnings("ignore:false_alarm_rate=:UserWarning")


def make_embeddings(n, grid=(2, 3), dimensions=5, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    scale = np.linspace(0.5, 3, dimensions)
    return (rng.normal(size=(n, *grid, dimensions)) * scale + 1).astype(dtype)


def covariances(X, ridge):
    """S + R of each position by NumPy's own covariance."""
    patches = X.reshape(len(X), -1, X.shape[-1]).astype(np.float64)
    return np.stack([np.cov(patches[:, p], rowvar=False) for p in range(patches.shape[1])]) + (
        np.diag(ridge)
    )


def brute_force_distances(X_train, X, ridge):
    means = X_train.reshape(len(X_train), -1, X.shape[-1]).mean(axis=0, dtype=np.float64)
    precisions = np.linalg.inv(covariances(X_train, ridge))
    patches = X.reshape(len(X), -1, X.shape[-1]).astype(np.float64)
    return np.array(
        [
            [mahalanobis(x, m, P) for x, m, P in zip(sample, means, precisions, strict=True)]
            for sample in patches
        ]
    ).reshape(X.shape[:-1])


@few_samples
@pytest.mark.filterwarnings("ignore:y is ignored:UserWarning")
@parametrize_with_checks(
    [
        PatchGaussian(),
        PatchGaussian(contamination=0.1),
        PatchGaussian(reg_covar=0.01, reg_relative=False),
        PatchGaussian(n_components=0.5, random_state=0),
        PatchGaussian(compact=True),
        PatchGaussian(n_components=0.5, reduction="pca"),
        PatchGaussian(n_components=0.5, reduction="orthogonal", random_state=0),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@few_samples
@pytest.mark.parametrize("n", [40, 4], ids=["Cholesky", "low rank"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_distances_with_an_absolute_ridge_are_those_of_scipy(n, dtype):
    X = make_embeddings(n, dtype=dtype)
    new = make_embeddings(6, seed=1, dtype=dtype)
    detector = PatchGaussian(reg_covar=0.01, reg_relative=False).fit(X)
    expected = brute_force_distances(X, new, np.full(5, 0.01))
    rtol = 1e-9 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(detector.patch_distances(new), expected, rtol=rtol)


@few_samples
@pytest.mark.parametrize("n", [40, 4], ids=["Cholesky", "low rank"])
def test_the_relative_ridge_is_a_share_of_each_dimensions_variance(n):
    X = make_embeddings(n)
    detector = PatchGaussian(reg_covar=0.3).fit(X)
    ridge = 0.3 * X.reshape(-1, 5).var(axis=0)
    np.testing.assert_allclose(detector.ridge_, ridge)
    new = make_embeddings(6, seed=1)
    np.testing.assert_allclose(
        detector.patch_distances(new), brute_force_distances(X, new, ridge), rtol=1e-9
    )


@few_samples
@given(
    n=st.integers(2, 12),
    positions=st.integers(1, 3),
    dimensions=st.integers(1, 14),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_low_rank_and_full_forms_agree_for_any_shape(n, positions, dimensions, dtype):
    X = make_embeddings(n, grid=(positions,), dimensions=dimensions, dtype=dtype)
    new = make_embeddings(3, grid=(positions,), dimensions=dimensions, seed=1, dtype=dtype)
    detector = PatchGaussian().fit(X)
    # Whichever form is smaller.
    assert detector.factor_.size <= positions * (n - 1) * dimensions
    assert detector.factor_.size <= positions * (5 / 8 * dimensions**2 + dimensions / 2)
    if detector.eigenvalues_ is not None:
        assert detector.factor_.shape == (positions, n - 1, dimensions)
        assert detector.eigenvalues_.shape == (positions, n - 1)
    expected = (
        brute_force_distances(X, new, detector.ridge_)
        if dimensions > 1
        else np.abs(
            (new - X.mean(axis=0, dtype=np.float64))
            / np.sqrt(X.var(axis=0, ddof=1, dtype=np.float64) + detector.ridge_)
        )[..., 0]
    )
    rtol = 1e-8 if dtype == np.float64 else 1e-3
    np.testing.assert_allclose(detector.patch_distances(new), expected, rtol=rtol)
    assert detector.patch_distances(new).dtype == dtype


@few_samples
@given(
    n=st.integers(2, 40),
    dimensions=st.integers(1, 14),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_compact_models_have_almost_the_same_distances(n, dimensions, dtype):
    X = make_embeddings(n, dimensions=dimensions, dtype=dtype)
    new = make_embeddings(3, dimensions=dimensions, seed=1, dtype=dtype)
    full, compact = PatchGaussian().fit(X), PatchGaussian(compact=True).fit(X)
    assert compact.factor_.dtype == np.int16
    assert compact.factor_.shape == full.factor_.shape
    distances = compact.patch_distances(new)
    assert distances.dtype == dtype
    np.testing.assert_allclose(distances, full.patch_distances(new), rtol=1e-3)
    np.testing.assert_allclose(compact.calibration_scores_, full.calibration_scores_, rtol=1e-3)
    assert compact.score(new) == pytest.approx(full.score(new), rel=1e-3, abs=1e-3)


@few_samples
@pytest.mark.parametrize("n", [120, 60], ids=["Cholesky", "low rank"])
def test_compact_models_are_about_half_as_large(n):
    X = make_embeddings(n, dimensions=100, dtype=np.float32)
    full, compact = (
        len(pickle.dumps(PatchGaussian(compact=compact).fit(X))) for compact in (False, True)
    )
    assert 0.5 * full < compact < 0.56 * full


@few_samples
@pytest.mark.parametrize("n", [60, 4], ids=["Cholesky", "low rank"])
def test_the_scale_of_a_dimension_makes_no_difference_to_a_compact_model(n):
    X = make_embeddings(n)
    new = make_embeddings(10, seed=1)
    scales = np.array([1e-8, 1e-3, 1, 1e4, 1e9])
    expected = PatchGaussian().fit(X).score_samples(new)
    scaled = PatchGaussian(compact=True).fit(X * scales).score_samples(new * scales)
    np.testing.assert_allclose(scaled, expected, rtol=1e-3)


@few_samples
@pytest.mark.parametrize("n", [40, 4], ids=["Cholesky", "low rank"])
def test_learning_goes_on_after_a_compact_fit(n):
    X = make_embeddings(n + 30)
    new = make_embeddings(5, seed=1)
    resumed = PatchGaussian(compact=True).fit(X[:n]).partial_fit(X[n:])
    expected = PatchGaussian().fit(X).patch_distances(new)
    np.testing.assert_allclose(resumed.patch_distances(new), expected, rtol=1e-3)
    loosened = resumed.set_params(compact=False).partial_fit(X)
    assert loosened.factor_.dtype == np.float64


def test_plain_samples_without_a_ridge_have_scikit_learns_distances():
    X = make_embeddings(50, grid=())
    squared = EmpiricalCovariance().fit(X).mahalanobis(X)
    # scikit-learn divides the scatter by n, this by n - 1.
    np.testing.assert_allclose(
        PatchGaussian(reg_covar=0).fit(X).patch_distances(X) ** 2, squared * 49 / 50
    )


@few_samples
@pytest.mark.parametrize("n", [25, 5, 3, 2])
@pytest.mark.parametrize("parameters", [{}, {"reg_covar": 0.01, "reg_relative": False}])
@pytest.mark.parametrize(
    "reduction",
    [{}, {"reduction": [0, 4]}, {"n_components": 3, "reduction": "orthogonal", "random_state": 0}],
)
def test_leave_one_out_scores_are_those_of_refitting(n, parameters, reduction):
    X = make_embeddings(n)
    detector = PatchGaussian(**parameters, **reduction).fit(X)
    Z = X
    if detector.components_ is not None:
        components = detector.components_
        Z = X[..., components] if components.ndim == 1 else X @ components.T
    for i in range(n):
        others = np.delete(Z, i, axis=0)
        if n == 2:  # one other sample: its covariance is the ridge alone
            deviations = (Z[i] - others[0]) / np.sqrt(detector.ridge_)
            expected = np.linalg.norm(deviations, axis=-1)
        else:
            expected = brute_force_distances(others, Z[[i]], detector.ridge_)[0]
        np.testing.assert_allclose(detector.calibration_scores_[i], -expected.max(), rtol=1e-8)


@pytest.mark.parametrize("n", [39, 40])
def test_the_threshold_is_the_conformal_quantile_of_leave_one_out_scores(n):
    detector = PatchGaussian(false_alarm_rate=0.05).fit(make_embeddings(n))
    # Of 39 scores the 2nd smallest is undercut with probability 2 / 40; of 40, 2 / 41.
    assert detector.offset_ == np.sort(detector.calibration_scores_)[1]


def test_too_few_samples_for_the_rate_warn_and_give_the_lowest_score():
    with pytest.warns(UserWarning, match=r"cannot be promised from 18 good samples; .*least 19"):
        detector = PatchGaussian(false_alarm_rate=0.05).fit(make_embeddings(18))
    assert detector.offset_ == detector.calibration_scores_.min()
    PatchGaussian(false_alarm_rate=0.05).fit(make_embeddings(19))


def test_fresh_good_samples_are_outliers_at_the_rate_promised():
    rate, n_fresh = 0.1, 2000
    alarms = [
        np.mean(
            PatchGaussian(false_alarm_rate=rate)
            .fit(make_embeddings(60, grid=(4,), dimensions=30, seed=seed))
            .predict(make_embeddings(n_fresh, grid=(4,), dimensions=30, seed=100 + seed))
            == -1
        )
        for seed in range(20)
    ]
    # Conformal quantiles promise a mean of 6/61; over 20 fits its standard error is about 0.009.
    assert abs(np.mean(alarms) - 6 / 61) < 0.03


def test_contamination_is_the_share_of_training_samples_below_the_threshold():
    X = make_embeddings(50)
    detector = PatchGaussian(contamination=0.1).fit(X)
    assert np.sum(detector.predict(X) == -1) == 5
    np.testing.assert_array_equal(detector.calibration_scores_, detector.score_samples(X))


def test_calibration_takes_the_scores_of_the_samples_given():
    detector = PatchGaussian(false_alarm_rate=0.1).fit(make_embeddings(40))
    held_out = make_embeddings(29, seed=5)
    scores = detector.calibrate(held_out).score_samples(held_out)
    assert detector.offset_ == np.sort(scores)[2]


@few_samples
@pytest.mark.parametrize("n", [40, 5])
@pytest.mark.parametrize(
    "reduction",
    [
        {},
        {"n_components": 3, "random_state": 0},
        {"reduction": [4, 1]},
        {"n_components": 3, "reduction": "pca"},
        {"n_components": 3, "reduction": "orthogonal", "random_state": 0},
    ],
)
@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_partial_fit_in_any_batches_equals_fit(n, reduction, batch_size):
    X = make_embeddings(n, dtype=np.float32)
    new = make_embeddings(5, seed=1, dtype=np.float32)
    whole = PatchGaussian(**reduction).fit(X)
    parts = PatchGaussian(**reduction)
    for start in range(0, n, batch_size):
        parts.partial_fit(X[start : start + batch_size])
    np.testing.assert_allclose(parts.location_, whole.location_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(parts.patch_distances(new), whole.patch_distances(new), rtol=1e-4)
    assert parts.n_samples_seen_ == n


@few_samples
@pytest.mark.parametrize("n", [40, 4])
@pytest.mark.parametrize("reduction", [{}, {"n_components": 3, "random_state": 0}])
def test_learning_goes_on_after_fit(n, reduction):
    X = make_embeddings(n + 30)
    new = make_embeddings(5, seed=1)
    resumed = PatchGaussian(**reduction, reg_relative=False).fit(X[:n]).partial_fit(X[n:])
    whole = PatchGaussian(**reduction, reg_relative=False).fit(X)
    np.testing.assert_allclose(resumed.patch_distances(new), whole.patch_distances(new), rtol=1e-9)


@few_samples
def test_a_projection_stays_when_learning_goes_on_after_fit():
    X = make_embeddings(40)
    resumed = PatchGaussian(n_components=2, reduction="pca").fit(X[:20])
    projection = resumed.components_.copy()
    resumed.partial_fit(X[20:])
    np.testing.assert_array_equal(resumed.components_, projection)
    projected = X @ projection.T
    expected = brute_force_distances(projected, projected, resumed.ridge_)
    np.testing.assert_allclose(resumed.patch_distances(X), expected, rtol=1e-9)


def test_models_fitted_in_parts_ask_for_calibration():
    X = make_embeddings(40)
    detector = PatchGaussian().partial_fit(X)
    expected = PatchGaussian(contamination=0.1).fit(X)
    np.testing.assert_allclose(detector.score_samples(X), expected.score_samples(X))
    with pytest.raises(NotFittedError, match="call calibrate"):
        detector.predict(X)
    # Of 40 scores the 2nd smallest is the threshold.
    fresh = make_embeddings(40, seed=1)
    assert np.sum(detector.calibrate(fresh).predict(fresh) == -1) == 1
    with pytest.raises(NotFittedError, match="call calibrate"):
        detector.partial_fit(X).predict(X)


def test_one_sample_is_not_enough_to_score_but_is_kept():
    X = make_embeddings(3)
    detector = PatchGaussian().partial_fit(X[:1])
    with pytest.raises(NotFittedError, match="give at least one more"):
        detector.score_samples(X)
    expected = PatchGaussian(contamination=0.1).fit(X).score_samples(X)
    np.testing.assert_allclose(detector.partial_fit(X[1:]).score_samples(X), expected)


def test_merged_moments_fit_like_the_whole():
    X = make_embeddings(40)
    patches = X.reshape(40, 6, 5)
    shards = [PatchMoments().update(patches[i::3]) for i in range(3)]
    merged = PatchMoments()
    for shard in shards:
        merged.merge(shard)
    whole = PatchGaussian(n_components=3, random_state=0).fit(X)
    from_moments = PatchGaussian(n_components=3, random_state=0).fit_moments(merged)
    in_parts = PatchGaussian(n_components=3, random_state=0)
    for shard in shards:
        in_parts.partial_fit_moments(shard)
    expected = whole.score_samples(X)
    np.testing.assert_allclose(from_moments.score_samples(patches), expected)
    np.testing.assert_allclose(in_parts.score_samples(patches), expected)


def test_random_reduction_is_a_seeded_stored_subset():
    X = make_embeddings(40, dimensions=20)
    first, second = (PatchGaussian(n_components=7, random_state=0).fit(X) for _ in range(2))
    other = PatchGaussian(n_components=7, random_state=1).fit(X)
    np.testing.assert_array_equal(first.components_, second.components_)
    assert list(first.components_) == sorted(set(first.components_))
    assert not np.array_equal(first.components_, other.components_)
    alone = PatchGaussian().fit(X[..., first.components_])
    np.testing.assert_allclose(
        first.score_samples(X), alone.score_samples(X[..., first.components_])
    )


def test_larger_random_subsets_contain_smaller_ones_of_the_same_seed():
    X = make_embeddings(40, dimensions=20)
    small = PatchGaussian(n_components=4, random_state=3).fit(X).components_
    large = PatchGaussian(n_components=0.5, random_state=3).fit(X).components_
    assert set(small) < set(large)
    assert len(large) == 10


def test_the_orthogonal_reduction_has_orthonormal_rows_over_standardised_dimensions():
    X = make_embeddings(40, dimensions=12)
    detector = PatchGaussian(n_components=4, reduction="orthogonal", random_state=0).fit(X)
    frame = detector.components_ * X.reshape(-1, 12).std(axis=0)
    np.testing.assert_allclose(frame @ frame.T, np.eye(4), atol=1e-10)
    again = PatchGaussian(n_components=4, reduction="orthogonal", random_state=0).fit(X)
    np.testing.assert_array_equal(detector.components_, again.components_)


def test_the_pca_reduction_has_scikit_learns_components():
    from sklearn.decomposition import PCA

    X = make_embeddings(40, dimensions=6)
    components = PatchGaussian(n_components=2, reduction="pca").fit(X).components_
    expected = PCA(2).fit(X.reshape(-1, 6)).components_
    np.testing.assert_allclose(np.abs(np.sum(components * expected, axis=1)), 1)


def test_the_npca_reduction_has_scikit_learns_last_components():
    from sklearn.decomposition import PCA

    X = make_embeddings(40, dimensions=6)
    components = PatchGaussian(n_components=2, reduction="npca").fit(X).components_
    expected = PCA().fit(X.reshape(-1, 6)).components_[:-3:-1]
    np.testing.assert_allclose(np.abs(np.sum(components * expected, axis=1)), 1)


def test_the_semi_orthogonal_reduction_has_orthonormal_rows():
    X = make_embeddings(40, dimensions=12)
    detector = PatchGaussian(n_components=4, reduction="semi-orthogonal", random_state=0).fit(X)
    np.testing.assert_allclose(detector.components_ @ detector.components_.T, np.eye(4), atol=1e-10)
    again = PatchGaussian(n_components=4, reduction="semi-orthogonal", random_state=0).fit(X)
    np.testing.assert_array_equal(detector.components_, again.components_)


def test_frames_of_one_space_give_the_same_distances():
    """Such as frames by QR and by SVD of one random matrix, if the ridge is a multiple of I."""
    X = make_embeddings(40, dimensions=12)
    drawn = np.random.default_rng(0).normal(size=(12, 4))
    frames = np.linalg.qr(drawn)[0], np.linalg.svd(drawn, full_matrices=False)[0]
    first, second = (
        PatchGaussian(reg_covar=0.01, reg_relative=False).fit(X @ frame).patch_distances(X @ frame)
        for frame in frames
    )
    np.testing.assert_allclose(first, second)


@pytest.mark.parametrize("reduction", ["pca", "npca", "semi-orthogonal"])
def test_a_square_reduction_changes_no_distance(reduction):
    X = make_embeddings(40)
    ridge = {"reg_covar": 0.01, "reg_relative": False}
    expected = PatchGaussian(**ridge).fit(X).score_samples(X)
    rotated = PatchGaussian(n_components=5, reduction=reduction, **ridge).fit(X)
    np.testing.assert_allclose(rotated.score_samples(X), expected)


@pytest.mark.parametrize("reduction", ["random", "orthogonal", "semi-orthogonal"])
def test_zero_is_a_seed(reduction):
    X = make_embeddings(40, dimensions=20)
    seeded, by_state, unseeded, unseeded_again = (
        PatchGaussian(n_components=7, reduction=reduction, random_state=random_state)
        .fit(X)
        .components_
        for random_state in (0, np.random.RandomState(0), None, None)
    )
    np.testing.assert_array_equal(seeded, by_state)
    assert not np.array_equal(unseeded, unseeded_again)


@few_samples
@pytest.mark.parametrize("n", [30, 4])
def test_score_is_the_mean_log_density_of_patches(n):
    X = make_embeddings(n)
    new = make_embeddings(7, seed=1)
    detector = PatchGaussian().fit(X)
    means = X.reshape(n, -1, 5).mean(axis=0)
    densities = [
        multivariate_normal(mean, covariance).logpdf(new.reshape(7, -1, 5)[:, p])
        for p, (mean, covariance) in enumerate(
            zip(means, covariances(X, detector.ridge_), strict=True)
        )
    ]
    assert detector.score(new) == pytest.approx(np.mean(densities))


@few_samples
@pytest.mark.parametrize("n", [30, 3])
@pytest.mark.parametrize("parameters", [{}, {"reg_covar": 0.01, "reg_relative": False}])
def test_identical_samples_fit_and_score_finitely(n, parameters):
    X = np.repeat(make_embeddings(1), n, axis=0)
    detector = PatchGaussian(**parameters).fit(X)
    assert np.all(np.isfinite(detector.score_samples(X)))
    assert np.all(np.isfinite(detector.calibration_scores_))
    assert np.all(detector.predict(X) == 1)
    assert np.all(np.isfinite(detector.score_samples(X + 1)))
    constant = PatchGaussian(**parameters).fit(np.full((n, 2, 2, 3), 7.0))
    assert np.all(np.isfinite(constant.score_samples(np.full((1, 2, 2, 3), 8.0))))


@few_samples
@pytest.mark.parametrize("grid", [(), (6,), (2, 3)])
def test_distances_have_the_shape_of_the_grid(grid):
    X = make_embeddings(9, grid=grid)
    detector = PatchGaussian().fit(X)
    assert detector.grid_shape_ == grid
    assert detector.n_features_in_ == 5
    distances = detector.patch_distances(X)
    assert distances.shape == (9, *grid)
    np.testing.assert_array_equal(detector.score_samples(X), -distances.reshape(9, -1).max(axis=1))


@few_samples
def test_a_pickled_model_gives_equal_scores_and_holds_numpy_only():
    X = make_embeddings(9)
    detector = PatchGaussian(n_components=2, random_state=0).fit(X)
    loaded = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(loaded.decision_function(X), detector.decision_function(X))
    allowed = (np.ndarray, float, int, str, tuple, dict, type(None))
    assert all(isinstance(value, allowed) for value in vars(detector).values())


@few_samples
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("where", ["factorize", "ridge_of"])
def test_an_interrupted_call_leaves_the_model_as_it_was(monkeypatch, method, where):
    X = make_embeddings(20)
    detector = PatchGaussian().partial_fit(X).calibrate(make_embeddings(20, seed=1))
    before = detector.decision_function(X)

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"skpadim.gaussian._patch_gaussian.{where}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            getattr(detector, method)(X + 5)
    np.testing.assert_array_equal(detector.decision_function(X), before)
    whole = PatchGaussian().fit(np.concatenate([X, X + 5]))
    detector.partial_fit(X + 5)
    np.testing.assert_allclose(detector.score_samples(X), whole.score_samples(X), rtol=1e-9)


@few_samples
def test_a_failed_call_leaves_the_model_as_it_was():
    X = make_embeddings(30)
    detector = PatchGaussian(reg_covar=0)
    with pytest.raises(ValueError, match="singular"):
        detector.partial_fit(X[:4])
    assert not hasattr(detector, "n_samples_seen_")
    detector.partial_fit(X)
    scores = detector.score_samples(X)
    for bad in (make_embeddings(1, grid=(2, 2)), np.full((20, 2, 2, 3), np.nan)):
        with pytest.raises(ValueError, match=r"minimum of 2|NaN"):
            detector.fit(bad)
    with pytest.raises(ValueError, match="n_components=9"):
        clone(detector).fit(X).set_params(n_components=9).fit(make_embeddings(20, grid=(2, 2)))
    np.testing.assert_array_equal(detector.score_samples(X), scores)
    assert detector.n_samples_seen_ == 30


@few_samples
def test_fit_forgets_what_came_before():
    X = make_embeddings(20)
    detector = PatchGaussian().partial_fit(X + 7).fit(X).partial_fit(make_embeddings(20, seed=3))
    whole = PatchGaussian().fit(np.concatenate([X, make_embeddings(20, seed=3)]))
    np.testing.assert_allclose(detector.score_samples(X), whole.score_samples(X), rtol=1e-6)
    frame = pd.DataFrame(X[:, 0, 0], columns=list("abcde"))
    assert list(detector.fit(frame).feature_names_in_) == list("abcde")
    assert not hasattr(detector.fit(X), "feature_names_in_")
    detector.fit(frame).fit_moments(PatchMoments().update(X.reshape(20, 6, 5)))
    assert not hasattr(detector, "feature_names_in_")


@pytest.mark.usefixtures("all_cores")
def test_threads_that_score_together_leave_blas_as_it_was():
    X = make_embeddings(60, grid=(40, 40), dimensions=24, dtype=np.float32)
    detector = PatchGaussian().fit(X)
    expected = detector.score_samples(X[:8])
    before = threadpool_info()
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(detector.score_samples, [X[:8]] * 40):
            np.testing.assert_array_equal(scores, expected)
    assert threadpool_info() == before


def test_the_relative_ridge_has_no_scale():
    X = make_embeddings(60, grid=())
    new = make_embeddings(10, grid=(), seed=1)
    expected = PatchGaussian().fit(X).decision_function(new)
    scales = np.array([1e-8, 1e-3, 1, 1e4, 1e9])
    scaled = PatchGaussian().fit(X * scales).decision_function(new * scales)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6)


@pytest.mark.parametrize("reduction", ["random", "orthogonal"])
def test_rounding_in_a_constant_dimension_is_no_anomaly(reduction):
    X = make_embeddings(40, grid=(7, 7))
    X[..., 2] = 0.1
    detector = PatchGaussian(reduction=reduction, n_components=4, random_state=2).fit(X)
    new = make_embeddings(5, grid=(7, 7), seed=1)
    new[..., 2] = 0.1
    scores = detector.score_samples(new)
    new[..., 2] *= 1 + 1e-6
    np.testing.assert_allclose(detector.score_samples(new), scores, rtol=1e-4)


@few_samples
def test_an_orthogonal_frame_drawn_without_a_seed_stays_the_same():
    X = make_embeddings(40)
    detector = PatchGaussian(n_components=3, reduction="orthogonal").partial_fit(X)
    deviation = X.reshape(-1, 5).std(axis=0)
    frame = detector.components_ * deviation
    detector.partial_fit(X)
    np.testing.assert_allclose(detector.components_ * deviation, frame, rtol=1e-9)


@few_samples
@pytest.mark.parametrize("n", [40, 12])
def test_leave_one_out_is_exact_enough_in_float32(n):
    X = make_embeddings(n, grid=(4,), dimensions=20, dtype=np.float32)
    detector = PatchGaussian().fit(X)
    for i in (0, n - 1):
        others = np.delete(X, i, axis=0)
        expected = brute_force_distances(others, X[[i]], detector.ridge_)[0]
        np.testing.assert_allclose(detector.calibration_scores_[i], -expected.max(), rtol=1e-5)


@pytest.mark.parametrize("n", [2, 5, 8, 30])
@pytest.mark.parametrize("parameters", [{}, {"n_components": 5, "reduction": "pca"}])
def test_moments_are_left_as_they_are_and_give_the_factor_of_fit(n, parameters):
    X = make_embeddings(n, grid=(3,), dimensions=9)
    moments, before = PatchMoments().update(X), PatchMoments().update(X)
    detector = PatchGaussian(**parameters).fit_moments(moments)
    np.testing.assert_array_equal(
        detector.factor_, PatchGaussian(**parameters, false_alarm_rate=0.5).fit(X).factor_
    )
    for name in ("mean", "root", "scatter"):
        np.testing.assert_array_equal(getattr(moments, name), getattr(before, name))


@pytest.mark.parametrize("n", [2, 5])
def test_leave_one_out_takes_no_memory_for_another_matrix_while_samples_are_few(n):
    moments = PatchMoments().update(make_embeddings(n, grid=(3,), dimensions=9))
    factor = factorize(moments, np.ones(9))
    assert inflated(factor, moments, 1.5).matrix is factor.matrix


@pytest.mark.parametrize("rate", [1e-11, 1 - 1e-11])
@few_samples
def test_extreme_rates_give_the_lowest_and_the_highest_score(rate):
    detector = PatchGaussian(false_alarm_rate=rate).fit(make_embeddings(40))
    extreme = np.min if rate < 0.5 else np.max
    assert detector.offset_ == extreme(detector.calibration_scores_)


@pytest.mark.parametrize("call", ["fit", "calibrate"])
def test_the_warning_points_at_the_users_line(call):
    detector = PatchGaussian().fit(make_embeddings(40))
    with pytest.warns(UserWarning, match="cannot be promised") as warned:
        getattr(detector, call)(make_embeddings(5, seed=1))
    assert warned[0].filename == __file__


def test_a_change_in_place_or_of_type_is_a_change():
    X = make_embeddings(20)
    kept = [0, 1, 2]
    detector = PatchGaussian(reduction=kept).partial_fit(X)
    kept[1] = 4
    with pytest.raises(ValueError, match="reduction was"):
        detector.partial_fit(X)
    detector = PatchGaussian(n_components=1, reduction="pca").partial_fit(X)
    with pytest.raises(ValueError, match="n_components was"):
        detector.set_params(n_components=1.0).partial_fit(X)


def test_another_ridge_holds_from_the_next_samples_on():
    X = make_embeddings(20)
    detector = PatchGaussian().partial_fit(X[:10]).set_params(reg_covar=2.0).partial_fit(X[10:])
    expected = PatchGaussian(reg_covar=2.0).fit(X).score_samples(X)
    np.testing.assert_allclose(detector.score_samples(X), expected)
    with pytest.raises(ValueError, match="reg_covar"):
        detector.set_params(reg_covar=-1).partial_fit(X)


def test_moments_of_nothing_or_of_nan_are_refused():
    with pytest.raises(ValueError, match="at least 1 sample is needed"):
        PatchGaussian().partial_fit_moments(PatchMoments())
    with pytest.raises(ValueError, match="NaN or infinity"):
        PatchGaussian().fit_moments(PatchMoments().update(np.full((3, 2, 2), np.nan)))
    with pytest.raises(ValueError, match="at least 2 samples are needed"):
        PatchGaussian().fit_moments(PatchMoments().update(np.zeros((1, 6, 5))))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 9}, "n_components=9 is larger than the number of dimensions, 5"),
        ({"n_components": 0}, "n_components"),
        ({"n_components": 1.5}, "n_components"),
        ({"reduction": "ica"}, "reduction"),
        ({"reduction": [0, 5]}, r"index 5, but the embeddings have 5 dimensions"),
        ({"reduction": [-1]}, r"index -1"),
        ({"reduction": [1, 1]}, "more than once"),
        ({"reduction": [0.5]}, "integer indices"),
        ({"reduction": [0, 1], "n_components": 3}, "differs from the 2 indices"),
        ({"reg_covar": -1}, "reg_covar"),
        ({"false_alarm_rate": 0.0}, "false_alarm_rate"),
        ({"contamination": 0.6}, "contamination"),
    ],
)
def test_impossible_parameters_are_refused_by_name(parameters, message):
    with pytest.raises(ValueError, match=message):
        PatchGaussian(**parameters).fit(make_embeddings(20))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (make_embeddings(20, grid=(3, 2)), r"grid of shape \(3, 2\).*fitted to a grid.*\(2, 3\)"),
        (make_embeddings(20, dimensions=4), "X has 4 features.*expecting 5 features"),
        (np.full((1, 2, 3, 5), np.nan), "NaN"),
        (np.full((1, 2, 3, 5), np.inf), "infinity"),
        (np.empty((0, 2, 3, 5)), "0 sample"),
        (np.zeros((1, 1, 2, 3, 5)), "must have shape"),
        (np.zeros(5), "2D array"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(X, message):
    detector = PatchGaussian().fit(make_embeddings(20))
    with pytest.raises(ValueError, match=message):
        detector.score_samples(X)


def test_a_singular_covariance_says_what_to_do():
    with pytest.raises(ValueError, match="singular: raise reg_covar"):
        PatchGaussian(reg_covar=0).fit(make_embeddings(4))


def test_samples_labelled_defective_are_left_out():
    X = make_embeddings(50)
    y = np.repeat([1, -1], [40, 10])
    detector = PatchGaussian().fit(X, y)
    np.testing.assert_array_equal(
        detector.score_samples(X), PatchGaussian().fit(X[:40]).score_samples(X)
    )
    fresh = make_embeddings(50, seed=1)
    by_good = PatchGaussian().fit(X[:40]).calibrate(fresh[:40])
    assert detector.calibrate(fresh, y).offset_ == by_good.offset_
    assert PatchGaussian().partial_fit(X, y).n_samples_seen_ == 40
    with pytest.raises(ValueError, match=r"n_samples=1 good sample: .*Give at least 2"):
        PatchGaussian().fit(X, np.repeat([1, -1], [1, 49]))


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        PatchGaussian().fit(make_embeddings(1))
    with pytest.raises(ValueError, match="at least 2 samples"):
        PatchGaussian().fit_moments(PatchMoments().update(np.ones((1, 2, 3))))


@pytest.mark.parametrize("change", [{"n_components": 2}, {"reduction": "pca"}, {"random_state": 1}])
def test_learning_does_not_go_on_after_a_change_of_what_it_depends_on(change):
    X = make_embeddings(20)
    detector = PatchGaussian(n_components=3, random_state=0).partial_fit(X)
    name = next(iter(change))
    with pytest.raises(ValueError, match=f"{name} was .* when the first samples were seen"):
        detector.set_params(**change).partial_fit(X)
    with pytest.raises(ValueError, match=f"{name} was"):
        detector.partial_fit_moments(PatchMoments().update(X.reshape(20, 6, 5)))
    clone(detector).partial_fit(X)


def test_moments_of_another_shape_do_not_join():
    detector = PatchGaussian().fit_moments(PatchMoments().update(make_embeddings(9, grid=(6,))))
    with pytest.raises(ValueError, match=r"shape \(6, 4\)"):
        detector.partial_fit_moments(
            PatchMoments().update(make_embeddings(9, grid=(6,), dimensions=4))
        )
