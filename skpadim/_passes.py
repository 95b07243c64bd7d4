"""Passes over what a detector is given: in this process, or in shards that workers take."""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from itertools import chain, islice
from math import ceil
from typing import Any, TypeAlias

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend
from numpy.typing import NDArray

from skpadim._streams import Stream
from skpadim.gaussian import PatchMoments

# Shards are as large as four for each worker allow, because moments are sent and merged once a
# shard, whatever its size; and no larger than this, since a shard is what a lost worker costs.
_SHARDS_PER_JOB = 4
_SHARD_SAMPLES = 4096

# How often workers may be lost together with what all shards need, before a pass fails.
_MAX_LOSSES = 3

# What is done to a batch of embeddings, with one result for each of them.
Work: TypeAlias = Callable[[NDArray], NDArray]


class Passes(ABC):
    """Passes over a stream: one to learn from it, then others; close what is left early."""

    @property
    @abstractmethod
    def n_steps(self) -> int:
        """Number of steps of the next pass."""

    @abstractmethod
    def learn(self) -> Generator[PatchMoments, None, None]:
        """Yield moments of all samples so far; later passes are over what was learnt."""

    @abstractmethod
    def map(self, work: Work, progress: str) -> Generator[NDArray, None, None]:
        """Yield the results of work, which can be pickled, in the order of the samples."""


class OneProcess(Passes):
    """Passes in this process, batch by batch, on all of its cores."""

    def __init__(self, stream: Stream, spool_bytes: int = 0) -> None:
        self._stream = stream
        # What `learn` has seen stays in memory up to this size; the rest is computed again.
        self._spool_bytes = spool_bytes
        self._spool: list[NDArray] = []

    @property
    def n_steps(self) -> int:
        return len(self._spool) + _n_batches(self._stream)

    def learn(self) -> Generator[PatchMoments, None, None]:
        moments = PatchMoments(len(self._stream))
        n_spooled = 0
        try:
            with closing(self._stream.batches(progress="Learning")) as batches:
                for batch in batches:
                    if (moments.n_samples + len(batch)) * batch[0].nbytes <= self._spool_bytes:
                        self._spool.append(batch)
                        n_spooled += len(batch)
                    yield moments.update(batch)
        finally:
            # Not all of them, if the caller stops early.
            if self._stream.notes is not None:
                self._stream.notes["seen"][moments.n_samples :] = False
                self._stream.notes = None
            self._stream = self._stream.part(slice(n_spooled, moments.n_samples))

    def map(self, work: Work, progress: str) -> Generator[NDArray, None, None]:
        for batch in chain(self._spool, self._stream.batches(progress=progress)):
            yield work(batch)


class Shards(Passes):
    """The same passes in shards, which workers take by joblib; moments and results come back."""

    def __init__(self, stream: Stream, n_jobs: int, n_samples: int) -> None:
        self._stream = stream
        self._n_jobs = n_jobs
        self._shards = [
            slice(start, min(start + n_samples, len(stream)))
            for start in range(0, len(stream), n_samples)
        ]

    @property
    def n_steps(self) -> int:
        return len(self._shards)

    def learn(self) -> Generator[PatchMoments, None, None]:
        moments = PatchMoments()
        learnt = []
        # As they come: in any other order, those of many shards might have to wait in memory for
        # the one that a slow worker has. Moments depend on the order by no more than rounding.
        results = self._run(_learn, "Learning", "generator_unordered")
        try:
            for number, others in results:
                learnt.append(number)
                yield moments.merge(others)
        finally:
            results.close()
            self._shards = [self._shards[number] for number in sorted(learnt)]
            self._stream.notes = None

    def map(self, work: Work, progress: str) -> Generator[NDArray, None, None]:
        with closing(self._run(_Mapped(work), progress, "generator")) as results:
            for _, result in results:
                yield result

    def _run(
        self, work: Callable[[Stream], Any], progress: str, return_as: str
    ) -> Generator[tuple[int, Any], None, None]:
        """Yield the numbers of shards with the results of the work on them."""
        missing = dict(enumerate(self._shards))
        with self._stream.progress_bar(progress) as bar:
            for losses_left in reversed(range(_MAX_LOSSES + 1)):
                try:
                    with closing(self._attempt(missing, work, return_as)) as results:
                        for number, result, errors, notes in results:
                            samples = missing.pop(number)
                            self._stream.add_errors(errors)
                            if self._stream.notes is not None:
                                self._stream.notes[samples] = notes
                            bar.update(samples.stop - samples.start)
                            yield number, result
                    return
                except CancelledError:
                    # dask runs again what a lost worker was at, unless that worker alone had
                    # what all shards need.
                    if not losses_left:
                        raise

    def _attempt(
        self, shards: dict[int, slice], work: Callable[[Stream], Any], return_as: str
    ) -> Generator[tuple[int, Any, dict[int, str], NDArray | None], None, None]:
        tasks = (
            delayed(_numbered)(number, work, self._stream.part(samples))
            for number, samples in list(shards.items())
        )
        if not get_active_backend()[0].supports_return_generator:
            # Such as ray's: in turns, so that not all results are in memory at once.
            while turn := list(islice(tasks, 2 * self._n_jobs)):
                yield from Parallel(n_jobs=self._n_jobs, batch_size=1)(turn)
            return
        results = Parallel(n_jobs=self._n_jobs, batch_size=1, return_as=return_as)(tasks)
        try:
            for numbered in results:  # noqa: UP028 ("yield from" would close them)
                yield numbered
        except BaseException:
            # Closing them would end the workers as well, but warn of results that are not used.
            with suppress(_Left):
                results.throw(_Left)
            raise


class _Left(Exception):
    """Nobody waits for the results any more."""


class _Mapped:
    """Work on the batches of a shard, with what all shards need for it."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __call__(self, shard: Stream) -> NDArray:
        return np.concatenate([self._work(batch) for batch in shard.batches()])

    def __sizeof__(self) -> int:
        # dask asks for the size, and sends to each worker only once what is large.
        buffers: list[pickle.PickleBuffer] = []
        rest = pickle.dumps(self._work, protocol=5, buffer_callback=buffers.append)
        return len(rest) + sum(buffer.raw().nbytes for buffer in buffers)


def _learn(shard: Stream) -> PatchMoments:
    moments = PatchMoments()
    for batch in shard.batches():
        moments.update(batch)
    return moments


def _numbered(
    number: int, work: Callable[[Stream], Any], shard: Stream
) -> tuple[int, Any, dict[int, str], NDArray | None]:
    result = work(shard)
    return number, result, shard.errors, shard.notes


def passes_over(stream: Stream, n_jobs: int | None, spool_bytes: int = 0) -> Passes:
    """Return the passes over a stream: in this process, or in shards for several workers."""
    n_batches = _n_batches(stream)
    if n_batches == 1:  # and counting cores takes a tenth of the time of an image
        return OneProcess(stream, spool_bytes)
    n_workers = effective_n_jobs(n_jobs)
    if n_workers > 1 and stream.device != "cpu":
        if n_jobs is not None:
            raise ValueError(
                f"n_jobs={n_jobs} shares images among processors, but the network runs on device "
                f"{stream.device!r}: set n_jobs=None to use that, or the embedder's device='cpu'."
            )
        n_workers = 1
    # Shards are of whole batches, so that nothing depends on them, what `memory` holds included.
    n_in_shard = min(
        ceil(n_batches / (_SHARDS_PER_JOB * n_workers)), max(1, _SHARD_SAMPLES // stream.batch_size)
    )
    if n_workers == 1 or n_in_shard == n_batches:
        return OneProcess(stream, spool_bytes)
    return Shards(stream, n_workers, n_in_shard * stream.batch_size)


def _n_batches(stream: Stream) -> int:
    return ceil(len(stream) / stream.batch_size)
