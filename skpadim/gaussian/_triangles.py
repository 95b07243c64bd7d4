"""Upper triangular matrices, stored without most of their zeros."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Of a matrix, half of which is zeros, four blocks store 5/8. More blocks would store less, but
# products with narrow matrices are slow.
_N_BLOCKS = 4


def blocks_of(packed: NDArray, n_rows: int) -> Iterator[tuple[slice, NDArray]]:
    """Yield the columns of each block of packed triangles, and views of their first rows.

    The columns of a matrix are cut into four blocks of about equal width. A block ends with the
    row below which it has zeros only; blocks follow one another, row by row. `packed` has the
    shape (n_positions, n_entries), a block (n_positions, columns.stop, n_columns).
    """
    first = 0
    for columns in _columns(n_rows):
        shape = (columns.stop, columns.stop - columns.start)
        last = first + shape[0] * shape[1]
        yield columns, packed[:, first:last].reshape(-1, *shape)
        first = last


def count_entries(n_rows: int) -> int:
    """Return the number of entries of a packed triangle, about 5/8 of the square of its rows."""
    return sum(columns.stop * (columns.stop - columns.start) for columns in _columns(n_rows))


def unpack(packed: NDArray, n_rows: int) -> NDArray:
    """Return packed triangles as matrices (n_positions, n_rows, n_rows), with all zeros."""
    matrices = np.zeros((len(packed), n_rows, n_rows), dtype=packed.dtype)
    for columns, block in blocks_of(packed, n_rows):
        matrices[:, : columns.stop, columns] = block
    return matrices


def _columns(n_rows: int) -> list[slice]:
    edges = [n_rows * i // _N_BLOCKS for i in range(_N_BLOCKS + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges) if start < stop]
