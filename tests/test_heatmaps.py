"""Heatmaps against torch's interpolation and SciPy's Gaussian filter."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, uniform_filter

from skpadim.heatmaps import Smoothing, heatmap_scores, resize_heatmaps, to_heatmaps


@given(
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    smoothing=st.sampled_from([0.0, 1.5, 4.0]),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_heatmaps_are_interpolated_then_filtered_distances(grid, size, smoothing, interpolation):
    distances = np.random.default_rng(0).uniform(0, 20, size=(2, *grid))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(distances)[:, None], size=size, mode=interpolation, align_corners=False
    )[:, 0].numpy()
    expected = gaussian_filter(expected, (0, smoothing, smoothing), mode="reflect")
    heatmaps = to_heatmaps(
        distances, size, smoothing=Smoothing(smoothing, interpolation=interpolation)
    )
    assert heatmaps.dtype == np.float32
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-5, atol=2e-5)


@given(
    grid=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    smoothing=st.sampled_from(
        [("gaussian", 1.5), ("gaussian", 4.0), ("uniform", 3), ("uniform", 21)]
    ),
    mode=st.sampled_from(["reflect", "mirror", "constant"]),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic"]),
)
def test_filters_and_borders_are_those_of_scipy(grid, size, smoothing, mode, interpolation):
    distances = np.random.default_rng(0).uniform(0, 20, size=(2, *grid))
    if interpolation == "nearest":  # which torch rounds, on edges of cells
        rows, columns = (
            (2 * np.arange(n_pixels) + 1) * n_cells // (2 * n_pixels)
            for n_cells, n_pixels in zip(grid, size, strict=True)
        )
        expected = distances[:, rows][:, :, columns]
    else:
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(distances)[:, None], size=size, mode=interpolation
        )[:, 0].numpy()
    kind, width = smoothing
    if kind == "gaussian":
        expected = gaussian_filter(expected, (0, width, width), mode=mode)
    else:
        expected = uniform_filter(expected, (1, width, width), mode=mode)
    smooth = Smoothing(width, filter=kind, mode=mode, interpolation=interpolation)
    heatmaps = to_heatmaps(distances, size, smoothing=smooth)
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, np.finfo(np.float32).max])
def test_what_is_no_number_or_too_large_counts_as_1e30(value):
    distances = np.random.default_rng(0).random((2, 3, 4))
    distances[0, 1, 2] = value
    expected = distances.copy()
    expected[0, 1, 2] = 1e30
    heatmaps = to_heatmaps(distances, (9, 16), smoothing=Smoothing(1, interpolation="bicubic"))
    assert np.isfinite(heatmaps).all()
    np.testing.assert_array_equal(
        heatmaps, to_heatmaps(expected, (9, 16), smoothing=Smoothing(1, interpolation="bicubic"))
    )


def test_nearest_heatmaps_without_smoothing_have_the_largest_distance_as_their_maximum():
    distances = np.random.default_rng(0).uniform(size=(3, 28, 28)).astype(np.float32)
    heatmaps = to_heatmaps(distances, (224, 224), smoothing=Smoothing(0, interpolation="nearest"))
    np.testing.assert_array_equal(heatmaps.max(axis=(1, 2)), distances.max(axis=(1, 2)))


@pytest.mark.parametrize("width", [2, 2.5, 20])
def test_a_uniform_filter_without_a_centre_is_an_error(width):
    with pytest.raises(ValueError, match=f"size={width} is the width of a uniform filter"):
        to_heatmaps(np.ones((1, 3, 3)), (9, 9), smoothing=Smoothing(width, filter="uniform"))


@pytest.mark.parametrize(
    "parameters",
    [
        {"interpolation": "linear"},
        {"filter": "gauss"},
        {"mode": "edge"},
        {"size": -1},
        {"size": [4]},
    ],
)
def test_a_parameter_that_smoothing_does_not_know_is_an_error(parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"The '{name}' parameter of Smoothing must be"):
        to_heatmaps(np.ones((1, 3, 3)), (9, 9), smoothing=Smoothing(**parameters))


def test_a_heatmap_does_not_depend_on_its_batch():
    distances = np.random.default_rng(0).uniform(size=(33, 28, 28)).astype(np.float32)
    together = to_heatmaps(distances, (224, 224))
    for i in (0, 17, 32):
        np.testing.assert_array_equal(to_heatmaps(distances[[i]], (224, 224))[0], together[i])


def test_constant_distances_give_a_constant_heatmap():
    heatmaps = to_heatmaps(np.full((1, 5, 7), 3.0), (40, 56))
    np.testing.assert_allclose(heatmaps, 3.0, rtol=1e-6)


def test_scores_are_minus_the_maximum_of_each_heatmap():
    heatmaps = np.array([[[1, 2], [3, 0.5]], [[9, 0], [0, 0]]], dtype=np.float32)
    scores = heatmap_scores(heatmaps)
    assert scores.dtype == np.float64
    np.testing.assert_array_equal(scores, [-3, -9])


def test_a_heatmap_of_the_right_size_is_not_resampled():
    heatmaps = np.random.default_rng(0).uniform(size=(2, 8, 9)).astype(np.float32)
    assert resize_heatmaps(heatmaps, (8, 9)) is heatmaps
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(heatmaps)[:, None], size=(16, 5), mode="bilinear", align_corners=False
    )[:, 0]
    np.testing.assert_allclose(resize_heatmaps(heatmaps, (16, 5)), expected, rtol=1e-5)
    matrix, _ = Smoothing(0).axis_matrices((4, 4), (8, 8))
    with pytest.raises(ValueError, match="read-only"):
        matrix[0, 0] = 1


@pytest.mark.parametrize("size", [1e-300, 1e-160, 0.1, 0.1249])
def test_a_filter_that_ends_within_a_pixel_changes_nothing(size):
    distances = np.random.default_rng(0).random((1, 4, 5))
    expected = to_heatmaps(distances, (9, 12), smoothing=0)
    np.testing.assert_array_equal(to_heatmaps(distances, (9, 12), smoothing=size), expected)
