"""Worker of metrics.py for anomalib and pyaupro, run with the Python of their environment."""

import json
import sys
import time

import numpy as np
import torch
from anomalib.metrics.aupro import _AUPRO
from pyaupro import PerRegionOverlap, auc_compute


def anomalib(masks, heatmaps, max_fpr):
    metric = _AUPRO(fpr_limit=max_fpr)
    metric.update(heatmaps, masks)
    return metric.compute()


def pyaupro(masks, heatmaps, max_fpr):
    metric = PerRegionOverlap()
    metric.update(heatmaps, masks)
    fpr, overlap = metric.compute()
    return auc_compute(fpr, overlap, limit=max_fpr)


def main():
    path, max_fpr, names = sys.argv[1], float(sys.argv[2]), sys.argv[3].split(",")
    data = np.load(path)
    masks, heatmaps = (torch.from_numpy(data[name]) for name in ("masks", "heatmaps"))
    results = {}
    for name in names:
        start = time.perf_counter()
        value = {"anomalib": anomalib, "pyaupro": pyaupro}[name](masks.int(), heatmaps, max_fpr)
        results[name] = (time.perf_counter() - start, float(value))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
