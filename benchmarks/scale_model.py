"""Cost of a fit and of scoring by workers: a model from measured parts, beside measured runs.

Measures what an image costs a core, what a shard costs the process that merges, and what the factor
costs; puts them together; and runs the same fit on one core, in one process on all cores, and by
two workers. Then it works the model out for clusters. Bandwidth and the number of cores there are
assumptions; all else is measured.

    python benchmarks/scale_model.py ROOT bottle --repeat 8
"""

import argparse
import json
import os
import pickle
import subprocess
import sys
import time
from math import ceil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from joblib import Parallel, cpu_count, delayed

from skpadim import PaDiM
from skpadim._padim import _SPOOL_BYTES
from skpadim._passes import _SHARD_SAMPLES, _SHARDS_PER_JOB
from skpadim.datasets import load_mvtec_ad
from skpadim.gaussian import PatchMoments
from skpadim.gaussian._leave_one_out import LeaveOneOut
from skpadim.images import ImageSequence

BATCH_SIZE = 32  # the default
IMAGES, CAMERAS = 10_000_000, 1000


def seconds(call, *arguments):
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def worker_parts(shard, work):
    """Measure in a worker what its parts of the two passes take, in seconds."""
    embed = learn = score = 0.0
    moments, batches = PatchMoments(), shard.batches()
    while True:
        taken, batch = seconds(next, batches, None)
        embed += taken
        if batch is None:
            return embed, learn, score, moments
        learn += seconds(moments.update, batch)[0]
        score += seconds(work, batch)[0]


def measure_parts(paths):
    """Measure the parts of a fit of many images on cores that are all busy."""
    n = len(paths)
    check, _ = seconds(ImageSequence, paths)
    detector = PaDiM().fit(paths[:256])
    stream = detector._open(paths)
    work, n_jobs = detector._heatmaps(), cpu_count()
    size = ceil(n / n_jobs)
    shards = [stream.part(slice(i * size, (i + 1) * size)) for i in range(n_jobs)]
    # A first round, so that no worker has to import and build the network in the second.
    warm = [shard.part(slice(0, 32)) for shard in shards]
    Parallel(n_jobs)(delayed(worker_parts)(shard, work) for shard in warm)
    measured = Parallel(n_jobs)(delayed(worker_parts)(shard, work) for shard in shards)
    embed, learn, score = np.sum([parts[:3] for parts in measured], axis=0) / n
    moments = measured[0][3]
    # Once is not enough: the first time takes memory from the system, the others have it.
    rounds = []
    for _ in range(4):
        pack, packed = seconds(pickle.dumps, moments, 5)
        unpack, other = seconds(pickle.loads, packed)
        rounds.append((pack, unpack + seconds(moments.merge, other)[0]))
    pack, merge = np.median(rounds, axis=0)
    solve, gaussian = seconds(detector._make_gaussian().fit_moments, moments)
    leave_out, _ = seconds(LeaveOneOut, moments, gaussian._factor)
    return SimpleNamespace(
        check=check / n,
        embed=embed,
        learn=learn,
        score=score,
        pack=pack,
        merge=merge,
        factor=solve + leave_out,
        moments_bytes=len(packed),
        model_bytes=len(pickle.dumps(detector.gaussian_)),
        image_bytes=np.mean([Path(path).stat().st_size for path in paths]),
        embedding_bytes=moments.mean.size * 4,
    )


def model(parts, n, n_workers, bandwidth=np.inf):
    """Tell what the parts of a fit by workers of one core each take, in seconds."""
    n_batches = ceil(n / BATCH_SIZE)
    shard = min(ceil(n_batches / (_SHARDS_PER_JOB * n_workers)), _SHARD_SAMPLES // BATCH_SIZE)
    n_shards = ceil(n_batches / shard)
    busy = min(n_workers, n_shards)
    return {
        "check files": parts.check * n,
        "learn": ((parts.embed + parts.learn) * n + parts.pack * n_shards) / busy,
        "merge": (parts.merge + parts.moments_bytes / bandwidth) * n_shards,
        "factor": parts.factor,
        "calibrate": (parts.embed + parts.score) * n / busy
        + parts.model_bytes * n_workers / bandwidth,
    }


def total(seconds_of):
    """Add up what waits for one another: merging goes on while others learn."""
    overlapped = max(seconds_of["learn"], seconds_of["merge"])
    alone = sum(seconds_of[part] for part in ("check files", "factor", "calibrate"))
    return alone + overlapped


def model_of_one_core(parts, n):
    kept = min(n, _SPOOL_BYTES // parts.embedding_bytes // BATCH_SIZE * BATCH_SIZE)
    embedded = parts.embed * (2 * n - kept)
    rest = (parts.check + parts.learn + parts.score) * n
    return embedded + rest + parts.factor * cpu_count()


def run(paths, n_jobs):
    """Fit and score for real, once the network, and workers if any, have been used."""
    detector = PaDiM(n_jobs=n_jobs).fit(paths[: 4 * BATCH_SIZE])
    # The better of two, for the sake of what else the machine does.
    return [
        min(seconds(call, paths)[0] for _ in range(2))
        for call in (detector.fit, detector.score_samples)
    ]


def run_on_one_core(paths):
    command = [sys.executable, __file__, "--one-core", json.dumps(paths)]
    result = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=True
    )
    return json.loads(result.stdout)


def report_cluster(parts, gigabits):
    bandwidth = gigabits * 1e9 / 8
    print(f"\nmodel: one detector from {IMAGES:,} images, {gigabits} Gbit/s to the merging process")
    print(f"{'cores':>6} {'fit':>10} {'of which':>12}")
    for n_workers in (16, 64, 256, 1024, 4096):
        parts_of = model(parts, IMAGES, n_workers, bandwidth)
        detail = "  ".join(f"{name} {value:,.0f} s" for name, value in parts_of.items())
        print(f"{n_workers:6} {total(parts_of):8,.0f} s  {detail}")
    each = IMAGES // CAMERAS
    alone = model_of_one_core(parts, each)
    print(f"\nmodel: {CAMERAS:,} detectors from {each:,} images each, a core at each")
    print(f"{'cores':>6} {'all fits':>10}   images read at   models sent")
    for n_workers in (16, 64, 256, 1000):
        all_fits = ceil(CAMERAS / n_workers) * alone
        rate = 2 * IMAGES / all_fits * parts.image_bytes
        sent = CAMERAS * parts.model_bytes / bandwidth
        print(f"{n_workers:6} {all_fits:8,.0f} s   {rate / 1e6:8,.0f} MB/s   {sent:9,.0f} s")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", help="folder that holds the categories")
    parser.add_argument("category", nargs="?")
    parser.add_argument("--repeat", type=int, default=8, help="how often to take each file")
    parser.add_argument("--gigabits", type=float, default=10.0, help="assumed, of the cluster")
    parser.add_argument("--one-core", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_core:
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
        print(json.dumps(run(json.loads(arguments.one_core), 1)))
        return
    paths = list(map(str, load_mvtec_ad(arguments.root, arguments.category).X_train))
    paths *= arguments.repeat
    n = len(paths)
    parts = measure_parts(paths)
    print(f"{n} images, {cpu_count()} cores, all busy")
    for name in ("check", "embed", "learn", "score"):
        print(f"{name:8} {getattr(parts, name) * 1e3:8.2f} ms an image and core")
    for name in ("pack", "merge", "factor"):
        print(
            f"{name:8} {getattr(parts, name):8.3f} s {'in all' if name == 'factor' else 'a shard'}"
        )
    for name in ("moments", "model", "image", "embedding"):
        print(f"{name:9} {getattr(parts, name + '_bytes') / 1e6:7.2f} MB")
    print(f"\n{'fit':22} {'model':>8} {'measured':>9}   {'score: model':>13} {'measured':>9}")
    rows = {
        "one core": (1, model_of_one_core(parts, n), run_on_one_core(paths)),
        "two workers": (2, total(model(parts, n, 2)), run(paths, 2)),
        "one process, all cores": (None, None, run(paths, 1)),
    }
    for name, (cores, predicted, (fit, score)) in rows.items():
        scoring = cores and n * (parts.check + (parts.embed + parts.score) / cores)
        texts = [f"{value:.1f} s" if value else "" for value in (predicted, fit, scoring, score)]
        print(f"{name:22} {texts[0]:>8} {texts[1]:>9}   {texts[2]:>13} {texts[3]:>9}", flush=True)
    report_cluster(parts, arguments.gigabits)


if __name__ == "__main__":
    main()
