"""A fit on a dask cluster of two worker processes: time, and bytes that cross its connections.

With dask's own settings of the workers' memory allocator, and with those that docs/scaling.md
recommends.

    python benchmarks/dask_cluster.py ROOT bottle --repeat 4
"""

import argparse
import time

import dask
import joblib
import numpy as np
from distributed import Client, LocalCluster
from distributed.comm.tcp import TCP
from PIL import Image

from skpadim import PaDiM
from skpadim.datasets import load_mvtec_ad

ALLOCATOR = {"MALLOC_TRIM_THRESHOLD_": 2**28, "MALLOC_MMAP_THRESHOLD_": 2**28}


def start_counting():
    TCP.uncounted, TCP.n_bytes = TCP.write, 0

    async def write(self, message, serializers=None, on_error="message"):
        n_bytes = await TCP.uncounted(self, message, serializers, on_error)
        TCP.n_bytes += n_bytes
        return n_bytes

    TCP.write = write


def stop_counting():
    TCP.write = TCP.uncounted
    return TCP.n_bytes


def measure(paths, name, settings):
    environment = {f"distributed.nanny.pre-spawn-environ.{k}": v for k, v in settings.items()}
    with (
        dask.config.set(environment),
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        detector = PaDiM().fit(paths[:128])  # workers import, and build the network
        client.run(start_counting)
        start_counting()  # the client and the scheduler, which passes everything on
        start = time.perf_counter()
        detector.fit(paths)
        fitted = time.perf_counter()
        by_workers, from_here = sum(client.run(stop_counting).values()), stop_counting()
        start_scoring = time.perf_counter()
        detector.score_samples(paths)
        scored = time.perf_counter()
    print(
        f"{name:22} {fitted - start:6.1f} s {scored - start_scoring:6.1f} s "
        f"{by_workers / 1e6:7.0f} MB {from_here / 1e6:7.0f} MB",
        flush=True,
    )
    return detector


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category")
    parser.add_argument("--repeat", type=int, default=4, help="how often to take each file")
    arguments = parser.parse_args()
    paths = load_mvtec_ad(arguments.root, arguments.category).X_train
    pixels = sum(3 * np.prod(Image.open(path).size) for path in paths) * arguments.repeat
    paths = list(map(str, paths)) * arguments.repeat
    print(f"{len(paths)} images, decoded {pixels / 1e6:.0f} MB", end=", ")
    print(f"embeddings {len(paths) * 28 * 28 * 176 * 4 / 1e6:.0f} MB")
    print(f"{'allocator':22} {'fit':>8} {'score':>8} {'by workers':>10} {'by others':>10}")
    expected = measure(paths, "dask's settings", {})
    detector = measure(paths, "recommended", ALLOCATOR)
    error = np.abs(detector.calibration_scores_ / expected.calibration_scores_ - 1).max()
    print(f"largest relative difference of scores: {error:.1e}")


if __name__ == "__main__":
    main()
