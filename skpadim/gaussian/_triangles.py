"""Upper triangular matrices, stored without most of their zeros."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# Of a matrix, half of which is zeros, four blocks store 5/8. More blocks would store less, but
# products with narrow matrices are slow.
_N_BLOCKS = 4


def blocks_of(packed: NDArray, n_rows: int) -> Iterator[tuple[slice, NDArray]]:
    """Take packed triangles apart.

    The columns of a matrix are cut into four blocks of about equal width. A block ends with the
    row below which it has zeros only; blocks follow one another, row by row.

    Parameters
    ----------
    packed : ndarray of shape (n_positions, n_entries)
        One triangle each.
    n_rows : int
        Number of rows, and of columns, of a triangle.

    Yields
    ------
    columns : slice
        Columns of the triangle that are in the block.
    block : ndarray of shape (n_positions, columns.stop, n_columns)
        A view of their first ``columns.stop`` rows.
    """
    first = 0
    for columns in _columns(n_rows):
        shape = (columns.stop, columns.stop - columns.start)
        last = first + shape[0] * shape[1]
        yield columns, packed[:, first:last].reshape(-1, *shape)
        first = last


def count_entries(n_rows: int) -> int:
    """Count the entries of a packed triangle.

    Parameters
    ----------
    n_rows : int
        Number of rows, and of columns, of the triangle.

    Returns
    -------
    int
        About 5/8 of the square of that.
    """
    return sum(columns.stop * (columns.stop - columns.start) for columns in _columns(n_rows))


def unpack(packed: NDArray, n_rows: int) -> NDArray:
    """Write triangles out in full.

    Parameters
    ----------
    packed : ndarray of shape (n_positions, n_entries)
        One triangle each.
    n_rows : int
        Number of rows, and of columns, of a triangle.

    Returns
    -------
    ndarray of shape (n_positions, n_rows, n_rows)
        The same with all zeros.
    """
    matrices = np.zeros((len(packed), n_rows, n_rows), dtype=packed.dtype)
    for columns, block in blocks_of(packed, n_rows):
        matrices[:, : columns.stop, columns] = block
    return matrices


def _columns(n_rows: int) -> list[slice]:
    edges = [n_rows * i // _N_BLOCKS for i in range(_N_BLOCKS + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges) if start < stop]
