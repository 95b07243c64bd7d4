"""Feature maps of several sizes -> one grid of patch embeddings."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

# Design: the default grid has cells of this many pixels.
_DEFAULT_STRIDE = 8


def grid_shape(
    input_size: tuple[int, int], map_sizes: Sequence[tuple[int, int]], grid_stride: int | None
) -> tuple[int, int]:
    """Shape of the grid that all maps are brought to.

    Parameters
    ----------
    input_size : (int, int)
        Height and width in pixels of what the network sees.
    map_sizes : sequence of (int, int)
        Height and width of each layer's map.
    grid_stride : int or None
        Pixels from one grid position to the next. None means 8, or the finest map as it is
        where that has fewer positions.

    Returns
    -------
    (int, int)
        Rows and columns.
    """
    height, width = input_size
    stride = grid_stride or _DEFAULT_STRIDE
    rows, columns = ceil(height / stride), ceil(width / stride)
    if grid_stride is None:
        finest = max(map_sizes, key=lambda size: size[0] * size[1])
        rows, columns = min(rows, finest[0]), min(columns, finest[1])
    return rows, columns


def align(
    maps: Sequence[torch.Tensor],
    grid: tuple[int, int],
    *,
    neighborhood: int,
    alignment: str,
    channels: NDArray[np.intp] | None = None,
) -> torch.Tensor:
    """Average over neighbourhoods, bring to one grid, and concatenate.

    Parameters
    ----------
    maps : sequence of Tensor of shape (batch, channels, height, width)
        One map a layer, of any sizes.
    grid : (int, int)
        Rows and columns of the result.
    neighborhood : int
        Odd number of cells, in each direction, over which every map is averaged that is not of
        the coarsest size. Border cells are averaged over what exists.
    alignment : {"bilinear", "nearest"}
        How maps coarser than the grid are interpolated. Finer ones are averaged.
    channels : ndarray of int, default=None
        Dimensions of the concatenation to compute, in this order. None computes all.

    Returns
    -------
    Tensor of shape (batch, rows, columns, n_dimensions), float32
        The embeddings, contiguous.
    """
    coarsest = min(features.shape[-2] * features.shape[-1] for features in maps)
    parts, places, first = [], [], 0
    for features in maps:
        if channels is not None:
            depth = int(features.shape[1])  # a tensor while torch traces
            place = np.flatnonzero((channels >= first) & (channels < first + depth))
            features = _take(features, channels[place] - first)
            places.append(place)
            first += depth
            if len(place) == 0:
                continue
        # Half precision is for the network; sums over cells and all that follows are not.
        features = features.float()
        if neighborhood > 1 and features.shape[-2] * features.shape[-1] > coarsest:
            features = functional.avg_pool2d(
                features,
                neighborhood,
                stride=1,
                padding=neighborhood // 2,
                count_include_pad=False,
            )
        parts.append(_to_grid(features, grid, alignment))
    embeddings = torch.cat(parts, dim=1)
    if channels is not None:
        order = np.argsort(np.concatenate(places))
        if np.any(np.diff(order) < 0):
            embeddings = _take(embeddings, order)
    return embeddings.movedim(1, -1).contiguous()


def _take(features: torch.Tensor, channels: NDArray[np.intp]) -> torch.Tensor:
    return features[:, torch.from_numpy(channels).to(features.device)]


def _to_grid(features: torch.Tensor, grid: tuple[int, int], alignment: str) -> torch.Tensor:
    """Average what is finer than the grid, interpolate what is coarser, side by side."""
    height, width = features.shape[-2:]
    pooled = min(height, grid[0]), min(width, grid[1])
    if pooled != (height, width):
        features = functional.adaptive_avg_pool2d(features, pooled)
    if pooled != grid:
        features = functional.interpolate(features, grid, mode=alignment)
    return features
