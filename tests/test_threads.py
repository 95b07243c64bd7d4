"""Threads, forks and Ctrl-C: nothing is mixed up, made twice, or left as it must not stay."""

import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from threadpoolctl import threadpool_info

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim import _threads as threads
from skpadim._warnings import ignoring

# One model for each call


def make_embeddings(scale, n=24):
    # Drawn anew for each scale: else the thresholds would be the same, which have no scale.
    rng = np.random.default_rng(int(10 * scale))
    return (scale * rng.normal(size=(n, 4, 4, 3))).astype(np.float32)


def padim():
    return PaDiM(embedder="passthrough", smoothing=0.7)


@pytest.fixture
def hasty():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


CALLS = {
    "score_samples": lambda detector, X: detector.score_samples(X),
    "decision_function": lambda detector, X: detector.decision_function(X),
    "predict": lambda detector, X: detector.predict(X),
    "score": lambda detector, X: detector.score(X),
}
CALLS_OF_IMAGES = CALLS | {
    "predict_heatmap": lambda detector, X: detector.predict_heatmap(X),
    "predict_mask": lambda detector, X: detector.predict_mask(X, size=7),
    "iter_inspect": lambda detector, X: [
        (inspection.score, inspection.threshold) for inspection in detector.iter_inspect(X)
    ],
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("make", "call"),
    [(padim, call) for call in CALLS_OF_IMAGES] + [(PatchGaussian, call) for call in CALLS],
)
def test_an_answer_is_of_one_model_while_another_thread_fits(make, call):
    """Scores and thresholds of the two models differ."""
    call = CALLS_OF_IMAGES[call]
    new = make_embeddings(1.6, n=3)
    states = [make().fit(make_embeddings(scale)) for scale in (1, 2)]
    expected = [np.asarray(call(state, new)) for state in states]
    shared = deepcopy(states[0])
    answers, enough = [], threading.Event()

    def alternate():
        while not enough.is_set():
            for state in states:
                shared.__dict__ = vars(state).copy()  # as a fit ends

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(alternate)
        try:
            answers = [np.asarray(call(shared, new)) for _ in range(100)]
        finally:
            enough.set()
        other.result()
    assert not np.array_equal(*expected)
    for answer in answers:
        assert any(np.array_equal(answer, one) for one in expected)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("make", [padim, PatchGaussian])
def test_threads_that_fit_calibrate_and_predict_one_detector_find_it_whole(make):
    new = make_embeddings(1.6, n=3)
    allowed = {
        tuple(make().fit(make_embeddings(scale)).decision_function(new)) for scale in (1, 2)
    } | {
        tuple(make().fit(make_embeddings(a)).calibrate(make_embeddings(b)).decision_function(new))
        for a in (1, 2)
        for b in (1.2, 2.2)
    }
    shared = make().fit(make_embeddings(1))
    turns = range(12)

    def fit():
        for turn in turns:
            shared.fit(make_embeddings(1 + turn % 2))

    def calibrate():
        for turn in turns:
            shared.calibrate(make_embeddings(1.2 + turn % 2))

    def decide():
        return [tuple(shared.decision_function(new)) for _ in turns]

    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(work) for work in (fit, calibrate)]
        decided = [pool.submit(decide) for _ in range(2)]
        for other in others:
            other.result()
        assert {answer for answers in decided for answer in answers.result()} <= allowed


# One network


class Counted(torch.nn.Module):
    """Network that is slow to build, and counts how often it is."""

    n_built = 0

    def __init__(self):
        super().__init__()
        type(self).n_built += 1
        self.layer = torch.nn.Conv2d(3, 4, 3, stride=8, padding=1)
        threading.Event().wait(0.05)

    def forward(self, x):
        return self.layer(x)


def test_eight_first_calls_build_one_network():
    Counted.n_built = 0
    embedder = PatchEmbedder(Counted, layers=["layer"], image_size=32, engine="torch")
    images = np.zeros((1, 32, 32, 3), np.uint8)
    begin = threading.Barrier(8)

    def call():
        begin.wait()
        return embedder.transform(images)

    with ThreadPoolExecutor(8) as pool:
        results = [call.result() for call in [pool.submit(call) for _ in range(8)]]
    assert Counted.n_built == 1
    for result in results:
        assert_array_equal(result, results[0])


def test_a_network_that_cannot_be_built_keeps_no_thread_waiting():
    embedder = PatchEmbedder(image_size=32, layers=["none such"])
    images = np.zeros((1, 32, 32, 3), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        for call in [pool.submit(embedder.transform, images) for _ in range(4)]:
            with pytest.raises(ValueError, match="none such"):
                call.result()


# Filters of warnings


class Expected(UserWarning):
    """What a thread ignores."""


def test_warnings_are_ignored_in_one_thread_and_for_a_while():
    with ignoring(Expected), ThreadPoolExecutor(1) as pool:
        warnings.warn("here", Expected, stacklevel=1)
        with pytest.raises(Expected, match="there"):
            pool.submit(warnings.warn, "there", Expected).result()
        with pytest.raises(UserWarning, match="of another kind"):
            warnings.warn("of another kind", UserWarning, stacklevel=1)
    with pytest.raises(Expected, match="afterwards"):
        warnings.warn("afterwards", Expected, stacklevel=1)


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("last", ["ours", "theirs"])
def test_filters_are_put_back_whichever_thread_ends_first(first, last):
    """Another thread has catch_warnings meanwhile, as scikit-learn's workers do."""
    before = list(warnings.filters)
    contexts = {"ours": ignoring(Expected), "theirs": warnings.catch_warnings()}
    with ThreadPoolExecutor(1) as pool:

        def turn(name, way, *arguments):
            method = getattr(contexts[name], way)
            if name == "ours":
                pool.submit(method, *arguments).result()
            else:
                method(*arguments)

        second = "theirs" if first == "ours" else "ours"
        for name in (first, second):
            turn(name, "__enter__")
        for name in ("ours", "theirs") if last == "theirs" else ("theirs", "ours"):
            turn(name, "__exit__", None, None, None)
    assert warnings.filters == before


def test_filters_are_put_back_when_interrupted():
    before = list(warnings.filters)
    with pytest.raises(KeyboardInterrupt), ignoring(Expected):
        raise KeyboardInterrupt
    assert warnings.filters == before


# Threads of BLAS


def n_blas_threads():
    return [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]


def test_blas_has_its_threads_again_whichever_thread_ends_first():
    before = n_blas_threads()
    contexts = [threads.one_blas_thread() for _ in range(2)]
    for context in contexts:
        context.__enter__()
    contexts[0].__exit__(None, None, None)
    assert set(n_blas_threads()) == {1}
    contexts[1].__exit__(None, None, None)
    assert n_blas_threads() == before


def interrupted_at(place):
    """Enter and leave the context; press Ctrl-C at one of the places where Python looks for it.

    These are where functions of Python begin and where those of C end. Return whether there is that
    place.
    """
    left = place

    def watch(frame, event, argument):
        nonlocal left
        if event in ("call", "c_return"):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    before = sys.getprofile()
    with suppress(KeyboardInterrupt):
        sys.setprofile(watch)
        try:
            with threads.one_blas_thread():
                pass
        finally:
            sys.setprofile(before)
    return left <= 0


def test_blas_has_its_threads_again_wherever_ctrl_c_comes():
    with threads.one_blas_thread():  # the libraries are found
        pass
    before = n_blas_threads()
    place = 1
    while interrupted_at(place):
        assert n_blas_threads() == before, place
        with threads.one_blas_thread():
            assert set(n_blas_threads()) == {1}
        assert n_blas_threads() == before, place
        place += 1
    assert place > 15


# Forks

FORK = """
import os, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np, torch
from skpadim import PaDiM, PatchEmbedder

torch.set_num_threads(2)  # however few cores there are
images = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)

def make():
    return PaDiM(embedder=PatchEmbedder(image_size=64, engine=sys.argv[1])).fit(images)

detector = make()
expected = detector.score_samples(images)

def check():
    np.testing.assert_allclose(detector.score_samples(images), expected, rtol=1e-4)

def in_child():
    signal.alarm(200)
    check()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(check).result()
    if sys.argv[1] == "torch":
        make()
    check()

# Another thread builds a network meanwhile.
builder = threading.Thread(target=lambda: PatchEmbedder(image_size=64).output_shape)
builder.start()
child = os.fork()
if child == 0:
    try:
        in_child()
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
builder.join()
assert os.waitpid(child, 0)[1] == 0
check()
assert torch.get_num_threads() == 2
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_detector_that_was_used_before_a_fork_works_in_the_child(engine):
    command = [sys.executable, "-W", "ignore", "-c", FORK, engine]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    subprocess.run(command, env=environment, timeout=400, check=True)
