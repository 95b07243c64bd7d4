"""Packed triangles against NumPy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skpadim.gaussian._triangles import blocks_of, count_entries, unpack


def make_packed(n_positions, n_rows):
    """Pack triangles without zeros, by a way other than the package's."""
    triangles = np.triu(np.random.default_rng(0).uniform(1, 2, (n_positions, n_rows, n_rows)))
    packed = np.empty((n_positions, count_entries(n_rows)), dtype=np.float32)
    for columns, block in blocks_of(packed, n_rows):
        block[:] = triangles[:, : columns.stop, columns]
    return packed, triangles


@given(n_positions=st.integers(1, 3), n_rows=st.integers(1, 40))
def test_what_is_packed_comes_back(n_positions, n_rows):
    packed, triangles = make_packed(n_positions, n_rows)
    np.testing.assert_array_equal(unpack(packed, n_rows), triangles.astype(np.float32))


@given(n_rows=st.integers(1, 200))
def test_most_of_the_zeros_are_not_stored(n_rows):
    assert n_rows * (n_rows + 1) / 2 <= count_entries(n_rows) <= 5 / 8 * n_rows**2 + n_rows / 2


@given(n_rows=st.integers(1, 40))
def test_a_block_is_a_view_of_contiguous_memory(n_rows):
    packed, _ = make_packed(2, n_rows)
    for _, block in blocks_of(packed, n_rows):
        assert np.shares_memory(block, packed)
        assert block[0].flags.c_contiguous
