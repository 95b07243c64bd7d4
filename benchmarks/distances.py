"""Time from embeddings to heatmaps and scores, against the number of dimensions and the batch size.

Models are of random embeddings on the default grid of 28 x 28, since values make no difference to
time. Cases take turns. Before each, the caches are overwritten, as the network does it between two
images. Medians are in milliseconds for a batch.

    python benchmarks/distances.py
    python benchmarks/distances.py 176 100 50 --batch-sizes 1 32
"""

import argparse
from statistics import median
from time import perf_counter

import numpy as np

from skpadim import PatchGaussian
from skpadim.heatmaps import heatmap_scores, to_heatmaps

GRID = (28, 28)
SIZE = (224, 224)
N_FEW = 40


def make_models(n_components):
    rng = np.random.default_rng(0)
    many = rng.normal(size=(n_components + 40, *GRID, n_components)).astype(np.float32)
    return {
        (n_samples, compact): PatchGaussian(compact=compact).fit(many[:n_samples])
        for n_samples in (len(many), N_FEW)
        for compact in (False, True)
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("n_components", nargs="*", type=int, default=[176, 100, 50])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    columns = ("dimensions", "samples", "compact", "factor MB")
    columns += tuple(f"batch of {n}, ms" for n in arguments.batch_sizes)
    print("| " + " | ".join(columns) + " |\n" + "|---:" * len(columns) + "|")
    other = np.zeros(8 * 2**20)
    for n_components in arguments.n_components:
        models = make_models(n_components)
        times = {key: {n: [] for n in arguments.batch_sizes} for key in models}
        batches = {
            n: np.random.default_rng(1).normal(size=(n, *GRID, n_components)).astype(np.float32)
            for n in arguments.batch_sizes
        }
        for _ in range(arguments.repeats):
            for key, model in models.items():
                for n, batch in batches.items():
                    other += 1
                    start = perf_counter()
                    heatmap_scores(to_heatmaps(model.patch_distances(batch), SIZE))
                    times[key][n].append(perf_counter() - start)
        for (n_samples, compact), model in models.items():
            cells = [n_components, n_samples, "yes" if compact else "no"]
            cells.append(f"{model.factor_.nbytes / 1e6:.1f}")
            cells += [f"{1000 * median(t):.2f}" for t in times[n_samples, compact].values()]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
