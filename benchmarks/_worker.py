"""What the workers of compare_anomalib.py share: measure one detector in a process of its own.

A worker is started with the Python of its package's environment, reads a request from standard
input and answers on standard output, both in JSON. So each package pays for its own imports, and
the peak memory is that of one fit. Only the standard library is imported before the clock runs.
"""

import json
import os
import resource
import statistics
import sys
import time
from abc import ABC, abstractmethod

BATCHES = {"single": 1, "batch16": 16, "batch32": 32}


class Contender(ABC):
    """A detector with the settings of a request.

    Heatmaps are made where each package makes them by default, and decisions are made from them or
    come with them.
    """

    input_size: int  # height and width of what the network sees

    # Methods that not all have.
    # Predict as by default, where the default draws pictures:
    predict_with_pictures = None
    # Return a function like `infer` by a faster engine, where fit does not make one:
    export = None
    # Return the heatmaps (n, height, width) of the test files in their order, unscaled, where there
    # is accuracy to compare:
    heatmaps = None

    def __init__(self, request):
        self.request = request
        self.settings = request["settings"]

    @abstractmethod
    def import_package(self):
        """Import the names that a user imports."""

    def import_rest(self):
        """Import what the package would import during fit."""
        return

    def prepare(self):
        """Do what is needed here but not by users; it is not measured."""
        return

    @abstractmethod
    def fit(self):
        """Build the detector and fit it to the training files."""

    @abstractmethod
    def predict(self):
        """Return heatmaps and decisions of the test files."""

    @abstractmethod
    def infer(self, images):
        """Return heatmaps and decisions of arrays (height, width, 3), uint8."""

    @abstractmethod
    def save(self):
        """Save the detector; return the files' bytes, and those of the network outside them."""

    @abstractmethod
    def describe(self):
        """Return the settings in words, and the versions of the packages that matter."""


def serve(make_contender):
    request = json.load(sys.stdin)
    # Packages print to standard output as they like: that goes to standard error.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with answer:
        json.dump(measure(make_contender(request), request), answer)


def measure(contender, request):
    groups = request["groups"]
    rows = {"import": seconds(contender.import_package)}
    rows["import-all"] = rows["import"] + seconds(contender.import_rest)
    contender.prepare()
    rows["fit"] = seconds(contender.fit)
    rows["memory"] = peak_memory()
    if "predict" in groups:
        rows["predict"] = seconds(contender.predict)
        if contender.predict_with_pictures:
            rows["pictures"] = seconds(contender.predict_with_pictures)
    batches = {name: n for name, n in BATCHES.items() if name.rstrip("0123456789") in groups}
    if batches:
        full, small = read_images(request["test"], max(batches.values()), contender.input_size)
        for name, n_images in batches.items():
            rows[name] = milliseconds_per_image(contender.infer, small[:n_images])
            rows[f"{name}-full"] = milliseconds_per_image(contender.infer, full[:n_images])
        if contender.export:
            infer = contender.export()
            for name, n_images in batches.items():
                rows[f"{name}-export"] = milliseconds_per_image(infer, small[:n_images])
    if "size" in groups:
        files, network = contender.save()
        rows["size"], rows["size-network"] = files / 1e6, (files + network) / 1e6
    if request["heatmaps"]:
        import numpy as np

        np.save(request["heatmaps"], contender.heatmaps())
    settings, versions = contender.describe()
    return {"rows": rows, "settings": settings, "versions": versions}


def seconds(call, *arguments):
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def milliseconds_per_image(infer, images):
    """Median of some two seconds of calls, but of three at least, after one to warm up."""
    infer(images)
    times = []
    while len(times) < 3 or (sum(times) < 2 and len(times) < 100):
        times.append(seconds(infer, images))
    return 1000 * statistics.median(times) / len(images)


def peak_memory():
    """Peak resident memory in MiB of this process alone.

    Processes that load data for it are not counted: what they share with it cannot be told apart.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def read_images(paths, n_images, size):
    """Return the first images as they are in their files, and resized to (size, size)."""
    import numpy as np
    from PIL import Image

    full, small = [], []
    for i in range(n_images):
        image = Image.open(paths[i % len(paths)]).convert("RGB")
        full.append(np.asarray(image))
        small.append(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)))
    return full, small
