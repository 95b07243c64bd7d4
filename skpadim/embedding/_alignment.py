"""Feature maps of several sizes -> one grid of patch embeddings."""

from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from skpadim._sizes import Size
from skpadim.embedding._passthrough import DEFAULT_STRIDE


def grid_shape(
    input_size: Size, map_sizes: Sequence[tuple[int, int]], grid_stride: int | None
) -> tuple[int, int]:
    """Return rows and columns of the grid that all maps are brought to."""
    height, width = input_size
    stride = grid_stride or DEFAULT_STRIDE
    rows, columns = ceil(height / stride), ceil(width / stride)
    if grid_stride is None:
        # No finer than the finest map.
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

    Maps of shape (batch, channels, height, width), one a layer, become embeddings of shape
    (batch, rows, columns, n_dimensions), float32, contiguous. Only `channels` of the concatenation
    are computed, in this order; None computes all.
    """
    coarsest = min(features.shape[-2] * features.shape[-1] for features in maps)
    order = None
    taken: Sequence[NDArray[np.intp] | None] = [None] * len(maps)
    if channels is not None:
        # Depths are tensors while torch traces.
        taken, order = share_channels(channels, [int(features.shape[1]) for features in maps])
    parts = []
    for features, kept in zip(maps, taken, strict=True):
        if kept is not None:
            if len(kept) == 0:
                continue
            features = _take(features, kept)
        # Every map but the coarsest is averaged, border cells over what exists.
        is_coarsest = features.shape[-2] * features.shape[-1] <= coarsest
        reach = 1 if is_coarsest else neighborhood
        # Half precision is for the network; sums over cells and all that follows are not.
        parts.append(_to_grid(features.float(), grid, reach, alignment))
    embeddings = torch.cat(parts, dim=1)
    if order is not None:
        embeddings = _take(embeddings, order)
    return embeddings.movedim(1, -1).contiguous()


def share_channels(
    channels: NDArray[np.intp], depths: Sequence[int]
) -> tuple[list[NDArray[np.intp]], NDArray[np.intp] | None]:
    """Return the channels that each layer gives, and the order of their concatenation."""
    taken, places, first = [], [], 0
    for depth in depths:
        place = np.flatnonzero((channels >= first) & (channels < first + depth))
        taken.append(channels[place] - first)
        places.append(place)
        first += depth
    # It brings what is taken into the order of `channels`.
    order = np.argsort(np.concatenate(places))
    return taken, order if np.any(np.diff(order) < 0) else None


def alignment_matrices(
    map_sizes: Sequence[tuple[int, int]],
    grid: tuple[int, int],
    *,
    neighborhood: int,
    alignment: str,
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return matrices A and B with which ``A features B'`` is each map as :func:`align` has it.

    All that `align` does to a map is linear, and separable. For each layer, A has the shape
    (grid[0], height) and B (grid[1], width), float32.
    """
    coarsest = min(height * width for height, width in map_sizes)
    matrices = []
    for height, width in map_sizes:
        reach = 1 if height * width == coarsest else neighborhood
        rows = _axis_matrix(height, grid[0], reach, alignment)
        matrices.append((rows, _axis_matrix(width, grid[1], reach, alignment)))
    return matrices


def _axis_matrix(
    n_cells: int, n_targets: int, neighborhood: int, alignment: str
) -> NDArray[np.float32]:
    # Each cell of a column alone, in a channel of its own.
    impulses = torch.eye(n_cells).reshape(1, n_cells, n_cells, 1)
    return _to_grid(impulses, (n_targets, 1), neighborhood, alignment)[0, :, :, 0].T.numpy()


def _take(features: torch.Tensor, channels: NDArray[np.intp]) -> torch.Tensor:
    return features[:, torch.from_numpy(channels).to(features.device)]


def _to_grid(
    features: torch.Tensor, grid: tuple[int, int], neighborhood: int, alignment: str
) -> torch.Tensor:
    """Average neighbourhoods, then what is finer than the grid; interpolate what is coarser."""
    height, width = map(int, features.shape[-2:])
    if neighborhood > 1:
        features = functional.avg_pool2d(
            features,
            neighborhood,
            stride=1,
            padding=neighborhood // 2,
            count_include_pad=False,
        )
    pooled = min(height, grid[0]), min(width, grid[1])
    if pooled != (height, width):
        if height % pooled[0] == width % pooled[1] == 0:
            # The same, and OpenVINO is several times as fast at it.
            features = functional.avg_pool2d(features, (height // pooled[0], width // pooled[1]))
        else:
            features = functional.adaptive_avg_pool2d(features, pooled)
    if pooled != grid:
        features = functional.interpolate(features, grid, mode=alignment)
    return features
