"""What stands in for a network where embeddings come as they are."""

from collections.abc import Iterator
from math import prod

from numpy.typing import NDArray

# Batches of embeddings in float64.
_BATCH_BYTES = 16 * 2**20


class Passthrough:
    """Hand on embeddings (n_samples, n_positions, n_dimensions) as a PatchEmbedder gives them."""

    device = "cpu"
    layer_depths = None
    weights_hash = None

    def __init__(self, grid_shape: tuple[int, ...], n_dimensions: int) -> None:
        # A pixel of a heatmap is a cell of the grid. Plain samples are a grid of one cell, samples
        # of shape (n_positions, n_dimensions) a grid of one row.
        height, width = (1, 1, *grid_shape)[-2:]
        self.image_size = self.input_size = (height, width)
        self.output_shape = (height, width, n_dimensions)
        self.batch_size = max(1, _BATCH_BYTES // (8 * prod(self.output_shape)))

    def __repr__(self) -> str:
        return "'passthrough'"

    def iter_embed(self, X: NDArray, channels: NDArray | None = None) -> Iterator[NDArray]:
        """Yield embeddings of shape (n_batch, n_positions, n_channels)."""
        for first in range(0, len(X), self.batch_size):
            batch = X[first : first + self.batch_size]
            yield batch if channels is None else batch[..., channels]
