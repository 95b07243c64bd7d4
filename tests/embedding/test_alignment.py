from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skpadim.embedding._alignment import align, alignment_matrices, grid_shape

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def random_map(size, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(2, channels, *size)).astype(np.float32)


def aligned(*maps, grid, neighborhood=1, alignment="bilinear", channels=None):
    out = align(
        [torch.from_numpy(features) for features in maps],
        grid,
        neighborhood=neighborhood,
        alignment=alignment,
        channels=channels,
    )
    return out.numpy()


def neighborhood_mean(features, neighborhood):
    reach = neighborhood // 2
    out = np.empty_like(features)
    for i, j in product(*map(range, features.shape[-2:])):
        window = features[..., max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
        out[..., i, j] = window.mean((-2, -1))
    return out


def block_mean(features, grid):
    (height, width), (rows, columns) = features.shape[-2:], grid
    out = np.empty((*features.shape[:-2], rows, columns), np.float32)
    for i, j in product(range(rows), range(columns)):
        # The cells that position (i, j) touches, in part or wholly.
        top, bottom = i * height // rows, -(-(i + 1) * height // rows)
        left, right = j * width // columns, -(-(j + 1) * width // columns)
        out[..., i, j] = features[..., top:bottom, left:right].mean((-2, -1))
    return out


def bilinear(features, grid):
    for axis, size in zip((-2, -1), grid, strict=True):
        length = features.shape[axis]
        centres = (np.arange(size) + 0.5) * length / size - 0.5
        features = np.apply_along_axis(
            lambda line, x=centres: np.interp(x, np.arange(len(line)), line), axis, features
        )
    return features


@given(size=sizes, neighborhood=st.sampled_from([1, 3, 5, 7]))
def test_a_finer_map_is_averaged_over_the_neighbours_that_exist(size, neighborhood):
    finer = random_map((size[0] + 1, size[1]))
    coarsest = random_map((1, 1))
    out = aligned(finer, coarsest, grid=finer.shape[-2:], neighborhood=neighborhood)
    expected = np.moveaxis(neighborhood_mean(finer, neighborhood), 1, -1)
    np.testing.assert_allclose(out[..., :2], expected, atol=1e-6)


def test_maps_of_the_coarsest_size_are_not_averaged_over_neighbours():
    maps = random_map((4, 5), seed=1), random_map((4, 5), seed=2)
    out = aligned(*maps, grid=(4, 5), neighborhood=3)
    np.testing.assert_array_equal(out, np.moveaxis(np.concatenate(maps, axis=1), 1, -1))


@given(grid=sizes, ratio=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_a_map_finer_than_the_grid_by_whole_ratios_is_averaged_in_blocks(grid, ratio):
    features = random_map((grid[0] * ratio[0], grid[1] * ratio[1]))
    blocks = features.reshape(2, 2, grid[0], ratio[0], grid[1], ratio[1]).mean((3, 5))
    np.testing.assert_allclose(aligned(features, grid=grid), np.moveaxis(blocks, 1, -1), atol=1e-6)


@given(grid=sizes, extra=sizes)
def test_a_map_finer_than_the_grid_by_any_ratio_is_averaged_over_the_cells_touched(grid, extra):
    features = random_map((grid[0] + extra[0], grid[1] + extra[1]))
    expected = np.moveaxis(block_mean(features, grid), 1, -1)
    np.testing.assert_allclose(aligned(features, grid=grid), expected, atol=1e-6)


@given(size=sizes, extra=sizes)
def test_a_map_coarser_than_the_grid_is_interpolated_bilinearly(size, extra):
    features = random_map(size)
    grid = size[0] + extra[0], size[1] + extra[1]
    expected = np.moveaxis(bilinear(features, grid), 1, -1)
    np.testing.assert_allclose(aligned(features, grid=grid), expected, atol=1e-5)


@given(size=sizes, extra=sizes)
def test_nearest_alignment_repeats_cells_of_the_coarser_map(size, extra):
    features = random_map(size)
    grid = size[0] + extra[0], size[1] + extra[1]
    rows, columns = (np.arange(to) * of // to for of, to in zip(size, grid, strict=True))
    out = aligned(features, grid=grid, alignment="nearest")
    np.testing.assert_array_equal(out, np.moveaxis(features[:, :, rows][..., columns], 1, -1))


def test_a_map_finer_in_height_and_coarser_in_width_is_averaged_and_interpolated():
    features = random_map((8, 3))
    expected = bilinear(block_mean(features, (4, 3)), (4, 6))
    out = aligned(features, grid=(4, 6))
    np.testing.assert_allclose(out, np.moveaxis(expected, 1, -1), atol=1e-6)


def test_a_map_of_the_grid_size_is_left_as_it_is():
    features = random_map((5, 7))
    np.testing.assert_array_equal(aligned(features, grid=(5, 7)), np.moveaxis(features, 1, -1))


def test_layers_are_concatenated_in_their_order():
    maps = [random_map((3, 3), channels, seed=channels) for channels in (3, 1, 2)]
    out = aligned(*maps, grid=(3, 3))
    np.testing.assert_array_equal(out, np.moveaxis(np.concatenate(maps, axis=1), 1, -1))


@given(channels=st.lists(st.integers(0, 8), min_size=1, max_size=12))
def test_chosen_channels_equal_those_of_the_whole_embedding(channels):
    maps = random_map((8, 6), 3), random_map((4, 3), 4), random_map((2, 2), 2)
    channels = np.array(channels)
    whole = aligned(*maps, grid=(4, 3), neighborhood=3)
    out = aligned(*maps, grid=(4, 3), neighborhood=3, channels=channels)
    np.testing.assert_allclose(out, whole[..., channels], atol=1e-6)


def test_dropping_the_coarsest_layer_does_not_make_another_the_coarsest():
    maps = random_map((4, 4)), random_map((2, 2))
    out = aligned(*maps, grid=(4, 4), neighborhood=3, channels=np.array([0, 1]))
    np.testing.assert_allclose(out, np.moveaxis(neighborhood_mean(maps[0], 3), 1, -1), atol=1e-6)


def test_half_precision_maps_are_averaged_in_float32():
    features = np.full((1, 1, 2, 2), 1.0, np.float32)
    features[0, 0, 0, 0] = 1 + 2**-7
    half = torch.from_numpy(features).bfloat16()
    out = align([half], (1, 1), neighborhood=1, alignment="bilinear")
    assert out.dtype == torch.float32
    assert out.item() == 1 + 2**-9


def test_the_result_is_contiguous():
    channels_last = torch.from_numpy(random_map((4, 4))).to(memory_format=torch.channels_last)
    for features in (channels_last, channels_last.contiguous()):
        assert align([features], (4, 4), neighborhood=1, alignment="nearest").is_contiguous()


@pytest.mark.parametrize(
    ("input_size", "map_sizes", "grid_stride", "expected"),
    [
        ((224, 224), [(56, 56), (14, 14)], None, (28, 28)),
        ((225, 100), [(57, 25), (15, 7)], None, (29, 13)),
        ((224, 224), [(14, 14), (7, 7)], None, (14, 14)),
        ((224, 224), [(7, 7), (14, 14)], None, (14, 14)),
        ((224, 224), [(14, 14), (7, 7)], 8, (28, 28)),
        ((224, 224), [(56, 56)], 4, (56, 56)),
        ((30, 31), [(8, 8)], 16, (2, 2)),
    ],
)
def test_the_grid_has_stride_8_unless_told_or_the_maps_are_coarser(
    input_size, map_sizes, grid_stride, expected
):
    assert grid_shape(input_size, map_sizes, grid_stride) == expected


@given(
    fine=sizes,
    coarse=sizes,
    grid=sizes,
    neighborhood=st.sampled_from([1, 3, 5]),
    alignment=st.sampled_from(["bilinear", "nearest"]),
)
def test_matrices_of_both_axes_do_the_same(fine, coarse, grid, neighborhood, alignment):
    options = {"neighborhood": neighborhood, "alignment": alignment}
    maps = random_map(fine), random_map(coarse, seed=1)
    matrices = alignment_matrices([fine, coarse], grid, **options)
    parts = [
        rows @ features @ columns.T
        for features, (rows, columns) in zip(maps, matrices, strict=True)
    ]
    expected = np.moveaxis(np.concatenate(parts, axis=1), 1, -1)
    np.testing.assert_allclose(aligned(*maps, grid=grid, **options), expected, rtol=1e-5, atol=1e-6)
