"""Whether memory is foreseen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skpadim.gaussian import PatchMoments
from skpadim.gaussian._factors import factorize, inflated
from skpadim.gaussian._memory import check_available_memory, memory_available, memory_needed


def in_memory(*arrays):
    """Count the bytes of arrays, and those that are shared once."""
    owners = {id(array if array.base is None else array.base): array for array in arrays}
    return sum(array.nbytes for array in owners.values())


@given(
    n=st.integers(2, 30),
    dimensions=st.integers(1, 20),
    compact=st.booleans(),
    leaves_out=st.booleans(),
)
def test_what_a_fit_needs_is_the_size_of_moments_and_factors(n, dimensions, compact, leaves_out):
    X = np.random.default_rng(0).normal(size=(n, 3, dimensions)).astype(np.float32)
    moments = PatchMoments(n).update(X)
    held = [moments.root if moments.scatter is None else moments.scatter]
    factor = factorize(moments, np.ones(dimensions), compact=compact, overwrite=True)
    held.append(factor.matrix)
    if leaves_out:
        held.append(inflated(factor, moments, 1.1).matrix)
    needed = memory_needed(n, 3, dimensions, dimensions, compact=compact, leaves_out=leaves_out)
    assert needed == in_memory(*held)


def test_after_a_projection_factors_are_smaller():
    needed = memory_needed(10, 3, 8, 4, compact=False, leaves_out=False)
    assert needed == 3 * (8 * 8**2 + 4 * (1 + 2 + 3 + 4))


@pytest.mark.parametrize(
    ("n", "moments", "reduced", "factors"),
    [
        (3, 4 * 2 * 8, 4 * 2 * 4, 4 * 2 * 4),  # the second factor is in the place of its moments
        (10, 8 * 8**2, 8 * 4**2, 2 * 4 * (1 + 2 + 3 + 4)),
    ],
    ids=["low rank", "full"],
)
def test_a_projection_that_is_learnt_is_made_again_from_moments_that_stay(
    n, moments, reduced, factors
):
    needed = memory_needed(n, 3, 8, 4, compact=False, leaves_out=True, learns_projection=True)
    assert needed == 3 * (moments + reduced + factors)


def test_there_is_memory_for_a_little_and_not_for_everything():
    available = memory_available()
    assert available > 2**20
    check_available_memory(2**20, "3 positions", compact=False)
    message = r"factors of 3 positions take 1,000,000,000\.0 GB, .*n_components.*image_size of"
    with pytest.raises(MemoryError, match=f"{message}.*compact=True halves"):
        check_available_memory(10**18, "3 positions", compact=False)
    with pytest.raises(MemoryError, match=f"{message} the embedder\\.$"):
        check_available_memory(10**18, "3 positions", compact=True)
