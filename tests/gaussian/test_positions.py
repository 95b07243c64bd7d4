"""Work that is shared among cores."""

import multiprocessing
from threading import get_ident

import numpy as np
import pytest

from skpadim.gaussian._positions import for_positions

MEBIBYTE = 2**20

pytestmark = pytest.mark.usefixtures("all_cores")


@pytest.mark.parametrize("bytes_per_position", [1, MEBIBYTE, 100 * MEBIBYTE])
@pytest.mark.parametrize("n_positions", [1, 2, 7, 100])
def test_each_position_is_worked_at_once(n_positions, bytes_per_position):
    visits = np.zeros(n_positions, dtype=int)

    def visit(chunk):
        visits[chunk] += 1

    for_positions(visit, n_positions, bytes_per_position)
    np.testing.assert_array_equal(visits, 1)


def test_little_work_stays_in_the_thread_it_came_from():
    threads = set()
    for_positions(lambda chunk: threads.add(get_ident()), 100, 10)
    assert threads == {get_ident()}


@pytest.mark.parametrize("failing", [0, 50, 99])
def test_an_error_anywhere_is_raised_and_ends_the_work(failing):
    done = []

    def work(chunk):
        if chunk.start == failing:
            raise KeyboardInterrupt
        done.append(chunk)

    with pytest.raises(KeyboardInterrupt):
        for_positions(work, 100, 100 * MEBIBYTE)
    n_done = len(done)
    assert n_done < 100
    for_positions(lambda chunk: None, 100, 100 * MEBIBYTE)
    assert len(done) == n_done


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes cannot be forked here"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_does_not_wait_for_threads_that_it_does_not_have():
    count_positions()  # starts the threads of this process
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(count_positions).get(timeout=120) == 100


def count_positions():
    counts = []
    for_positions(lambda chunk: counts.append(chunk.stop - chunk.start), 100, 100 * MEBIBYTE)
    return sum(counts)
