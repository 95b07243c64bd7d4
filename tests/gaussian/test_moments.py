"""Moments against NumPy's in float64, whatever the stream."""

import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skpadim.gaussian import PatchMoments

TOLERANCE = 1e-5  # relative to the two-pass reference in float64


def make_embeddings(n, positions=3, dimensions=4, offset=0.0, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(positions, dimensions, dimensions))
    X = np.einsum("npd,pde->npe", rng.normal(size=(n, positions, dimensions)), mixing) + offset
    return X.astype(dtype)


def two_pass(X):
    X = X.astype(np.float64)
    mean = X.mean(axis=0)
    return mean, np.einsum("npi,npj->pij", X - mean, X - mean)


def scatter(moments):
    return moments.scatter_of(slice(None))


def assert_same_moments(moments, X):
    mean, expected = two_pass(X)
    assert moments.n_samples == len(X)
    np.testing.assert_allclose(moments.mean, mean, rtol=TOLERANCE, atol=TOLERANCE)
    error = np.linalg.norm(scatter(moments) - expected, axis=(1, 2))
    assert np.all(error <= TOLERANCE * np.linalg.norm(expected, axis=(1, 2)))


@st.composite
def cuts(draw, n):
    inner = draw(st.lists(st.integers(1, n - 1), unique=True, max_size=6))
    return [0, *sorted(inner), n]


@given(st.data(), st.integers(2, 40), st.integers(1, 12), st.sampled_from([np.float32, np.float64]))
def test_any_cut_into_batches_gives_the_two_pass_moments(data, n, dimensions, dtype):
    X = make_embeddings(n, dimensions=dimensions, offset=3.0, dtype=dtype)
    edges = data.draw(cuts(n))
    moments = PatchMoments()
    for start, stop in pairwise(edges):
        moments.update(X[start:stop])
    assert_same_moments(moments, X)


@given(st.data(), st.integers(2, 20), st.integers(1, 12), st.integers(0, 30))
def test_it_makes_no_difference_how_many_samples_were_expected(data, n, dimensions, n_expected):
    X = make_embeddings(n, dimensions=dimensions)
    moments = PatchMoments(n_expected)
    for start, stop in pairwise(data.draw(cuts(n))):
        moments.update(X[start:stop])
    assert_same_moments(moments, X)
    assert_same_moments(PatchMoments(n_expected).update(X[:1]).merge(moments), np.r_[X[:1], X])
    assert_same_moments(pickle.loads(pickle.dumps(moments)).update(X), np.r_[X, X])


def test_room_for_the_expected_is_taken_once():
    moments = PatchMoments(n_expected=9).update(make_embeddings(4, dimensions=20))
    before = moments.root
    moments.update(make_embeddings(5, dimensions=20))
    assert np.shares_memory(moments.root, before)
    assert moments.root.flags.c_contiguous


@given(st.data(), st.integers(2, 40), st.integers(1, 12))
def test_any_merge_of_shards_gives_the_two_pass_moments(data, n, dimensions):
    X = make_embeddings(n, dimensions=dimensions, offset=-2.0)
    edges = data.draw(cuts(n))
    merged = PatchMoments()
    for start, stop in pairwise(edges):
        merged.merge(PatchMoments().update(X[start:stop]))
    assert_same_moments(merged, X)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 400])
def test_a_mean_a_thousand_times_the_deviation_costs_no_accuracy(batch_size):
    X = make_embeddings(400, dimensions=16, offset=3000.0)
    moments = PatchMoments()
    for start in range(0, len(X), batch_size):
        moments.update(X[start : start + batch_size])
    assert_same_moments(moments, X)


def test_a_mean_far_above_the_deviation_costs_no_accuracy_in_float64():
    X = make_embeddings(40, dimensions=16, offset=1e8, dtype=np.float64)
    moments = PatchMoments().update(X)
    _, expected = two_pass(X)
    np.testing.assert_allclose(scatter(moments), expected, rtol=1e-6, atol=1e-6 * expected.max())


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16])
def test_other_dtypes_are_taken_to_float64(dtype):
    X = np.random.default_rng(0).integers(0, 250, size=(30, 3, 4)).astype(dtype)
    moments = PatchMoments().update(X)
    assert moments.dtype == np.float64
    _, expected = two_pass(X)
    np.testing.assert_allclose(scatter(moments), expected)


def test_a_dimension_that_does_not_vary_has_the_mean_variance_of_the_others():
    X = make_embeddings(30, dimensions=4, dtype=np.float64)
    X[..., 2] = 0.1  # its mean over positions is not exactly 0.1
    variance = PatchMoments().update(X).variance()
    expected = np.delete(X.reshape(-1, 4).var(axis=0), 2)
    np.testing.assert_allclose(np.delete(variance, 2), expected)
    assert variance[2] == pytest.approx(expected.mean())
    constant = PatchMoments().update(np.full((5, 2, 3), 0.1))
    np.testing.assert_array_equal(constant.variance(), 1.0)


def test_merging_leaves_the_other_moments_as_they_were():
    X = make_embeddings(30)
    other = PatchMoments().update(X[10:])
    before = scatter(other).copy()
    merged = PatchMoments().merge(other).merge(PatchMoments().update(X[:10]))
    np.testing.assert_array_equal(scatter(other), before)
    assert other.n_samples == 20
    assert_same_moments(merged, X)


def test_merging_nothing_changes_nothing():
    X = make_embeddings(10)
    assert_same_moments(PatchMoments().update(X).merge(PatchMoments()).update(X[:0]), X)


def test_the_scatter_is_kept_as_rows_while_that_is_smaller():
    X = make_embeddings(5, dimensions=5)
    moments = PatchMoments().update(X[:3]).update(X[3:])
    assert moments.root.shape == (3, 4, 5)
    assert moments.scatter is None
    moments.update(X)
    assert moments.root is None
    assert moments.scatter.shape == (3, 5, 5)


@pytest.mark.parametrize("n", [4, 30])
def test_a_subset_of_the_dimensions_has_the_moments_of_that_subset_alone(n):
    X = make_embeddings(n, dimensions=8)
    kept = [6, 0, 3]
    assert_same_moments(PatchMoments().update(X).take(kept), X[..., kept])


@pytest.mark.parametrize("n", [4, 30])
def test_a_projection_has_the_moments_of_the_projected_embeddings(n):
    X = make_embeddings(n, dimensions=8)
    components = np.random.default_rng(1).normal(size=(3, 8))
    assert_same_moments(PatchMoments().update(X).project(components), X @ components.T)


@pytest.mark.parametrize("n", [4, 30])
def test_pooled_variance_and_covariance_are_those_of_all_patches(n):
    X = make_embeddings(n, dimensions=8, dtype=np.float64)
    moments = PatchMoments().update(X)
    patches = X.reshape(-1, 8)
    np.testing.assert_allclose(moments.variance(), patches.var(axis=0))
    np.testing.assert_allclose(
        moments.pooled_covariance(), np.cov(patches, rowvar=False, bias=True), atol=1e-12
    )


def test_embeddings_of_another_shape_are_refused():
    moments = PatchMoments().update(make_embeddings(4, positions=3, dimensions=4))
    with pytest.raises(ValueError, match="X has 2 positions of 4 dimensions"):
        moments.update(make_embeddings(4, positions=2, dimensions=4))
    with pytest.raises(ValueError, match=r"moments of shape \(3, 5\)"):
        moments.merge(PatchMoments().update(make_embeddings(4, positions=3, dimensions=5)))
    with pytest.raises(ValueError, match="must have shape"):
        PatchMoments().update(np.zeros((4, 5)))


@pytest.mark.parametrize("n", [3, 20])
def test_pickles_hold_half_of_a_scatter_and_give_it_back_exactly(n):
    moments = PatchMoments().update(make_embeddings(n, positions=50, dimensions=12))
    pickled = pickle.dumps(moments)
    restored = pickle.loads(pickled)
    assert restored.n_samples == n
    assert (restored.root is None) == (moments.root is None)
    np.testing.assert_array_equal(restored.mean, moments.mean)
    np.testing.assert_allclose(scatter(restored), scatter(moments), rtol=1e-12)
    if moments.scatter is not None:
        half = 50 * 12 * 13 // 2 * 8
        assert len(pickled) < half + moments.mean.nbytes + 1000
