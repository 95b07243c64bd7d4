"""False alarms and power of rank tests on windows of scores, as docs/how_to/drift.md uses them.

Without ROOT by simulation, of scores that are exchangeable; ranks do not depend on their
distribution. With a data set laid out like MVTec AD on real good images: a random third is held
out, the others are learnt from, and windows are drawn from that third, as it is and with each
drift. Pixels are those of the network's input, 224 x 224.

    python benchmarks/drift.py --repeats 50 --windows 8000
    python benchmarks/drift.py ROOT bottle grid
"""

import argparse
from collections import defaultdict

import numpy as np
from scipy import ndimage
from scipy.stats import ks_2samp, mannwhitneyu
from sklearn.model_selection import ShuffleSplit

from skpadim import PaDiM
from skpadim.datasets import load_mvtec_ad
from skpadim.images import iter_batches

TESTS = {"Mann-Whitney": mannwhitneyu, "Kolmogorov-Smirnov": ks_2samp}
KNOWN = {}  # p-values
LEVELS = (0.01, 0.001)
SIZES = (10, 20, 50)


def brighter(factor):
    return lambda images, rng: images * factor


def blurred(sigma):
    return lambda images, rng: ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest")


def moved(pixels):
    return lambda images, rng: np.pad(
        images[:, :, : images.shape[2] - pixels], ((0, 0), (0, 0), (pixels, 0), (0, 0)), "edge"
    )


def noisy(sd):
    return lambda images, rng: images + rng.normal(scale=sd, size=images.shape)


DRIFTS = {
    "none": brighter(1),
    "2 % darker": brighter(0.98),
    "3 % darker": brighter(0.97),
    "5 % darker": brighter(0.95),
    "5 % brighter": brighter(1.05),
    "blur, sigma 0.5 pixels": blurred(0.5),
    "blur, sigma 1 pixel": blurred(1),
    "moved by 1 pixel": moved(1),
    "moved by 2 pixels": moved(2),
    "moved by 4 pixels": moved(4),
    "noise, sd 0.5 grey levels": noisy(0.5),
    "noise, sd 1 grey level": noisy(1),
}


def p_values(name, windows, reference):
    """Test each row of scores.

    A p-value depends on the sizes and on one statistic of the ranks, here times a constant: SciPy
    is asked for the first window that has it.
    """
    n, m = len(reference), windows.shape[1]
    below = np.searchsorted(np.sort(reference), np.sort(windows, axis=1))
    if name == "Mann-Whitney":
        statistics = below.sum(axis=1)
    else:
        i = np.arange(m)
        statistics = np.maximum(n * (i + 1) - m * below, m * below - n * i).max(axis=1)
    found, first, inverse = np.unique(statistics, return_index=True, return_inverse=True)
    for statistic, window in zip(found.tolist(), windows[first], strict=True):
        if (name, n, m, statistic) not in KNOWN:
            p = TESTS[name](window, reference, method="exact").pvalue
            KNOWN[name, n, m, statistic] = p
    return np.array([KNOWN[name, n, m, statistic] for statistic in found.tolist()])[inverse]


def draw(pool, size, n_windows, rng):
    """Draw windows of scores, none of which is in a window twice."""
    return np.array([rng.choice(pool, size, replace=False) for _ in range(n_windows)])


def simulate(n_references, n_windows, rng):
    print("\n## Exchangeable scores: share of windows with an alarm\n")
    print("| reference | window | test |", end="")
    print("".join(f" level {level} | 1 reference in 20: over |" for level in LEVELS))
    print("|---|---|---|" + "---|---|" * len(LEVELS))
    for n, m in ((50, 10), (200, 10), (200, 20), (200, 50)):
        found = {name: [] for name in TESTS}
        for _ in range(n_references):
            reference, windows = rng.normal(size=n), rng.normal(size=(n_windows, m))
            for name in TESTS:
                found[name].append(p_values(name, windows, reference))
        for name, p in found.items():
            rates = [(np.array(p) <= level).mean(axis=1) for level in LEVELS]
            cells = (f" {rate.mean():.2%} | {np.quantile(rate, 0.95):.2%} |" for rate in rates)
            print(f"| {n} | {m} | {name} |" + "".join(cells), flush=True)


def measure(root, category, n_splits, n_windows, rng):
    data = load_mvtec_ad(root, category)
    good, test = (
        np.concatenate(list(iter_batches(X, (224, 224)))) for X in (data.X_train, data.X_test)
    )
    sizes = [size for size in SIZES if size <= len(good) // 3]
    p, below = defaultdict(list), defaultdict(list)
    for learnt, held_out in ShuffleSplit(n_splits, test_size=1 / 3, random_state=0).split(good):
        detector = PaDiM().fit(good[learnt])

        def try_out(drift, windows, reference=detector.calibration_scores_):
            for name in TESTS:
                p[drift, windows.shape[1], name].append(p_values(name, windows, reference))

        scores = {}
        for drift, change in DRIFTS.items():
            images = np.rint(change(good[held_out].astype(np.float32), rng)).clip(0, 255)
            scores[drift] = detector.score_samples(images.astype(np.uint8))
            below[drift].append(scores[drift] < detector.offset_)
        defects = detector.score_samples(test[data.y_test == -1])
        for m in sizes:
            for drift in DRIFTS:
                try_out(drift, draw(scores[drift], m, n_windows, rng))
            frozen = draw(scores["none"], 1, n_windows, rng)
            try_out("one image again and again", frozen.repeat(m, axis=1))
            windows = draw(scores["none"], m, n_windows, rng)
            windows[:, : m // 10] = draw(defects, m // 10, n_windows, rng)
            try_out("none, but 1 part in 10 is defective", windows)
    print(f"\n## {category}: {len(learnt)} images learnt, {len(held_out)} held out\n")
    print("No drift: share of windows with an alarm\n\n| window | test |", end="")
    print("".join(f" level {level} |" for level in LEVELS) + "\n|---|---|" + "---|" * len(LEVELS))
    for m in sizes:
        for name in TESTS:
            cells = (f" {np.mean(np.array(p['none', m, name]) <= level):.2%} |" for level in LEVELS)
            print(f"| {m} | {name} |" + "".join(cells))
    print(f"\nShare of windows with an alarm at level {LEVELS[-1]}\n")
    print("| drift | parts called defective |", end="")
    print("".join(f" {name}, {m} |" for m in sizes for name in TESTS))
    print("|---|---|" + "---|" * len(sizes) * len(TESTS))
    for drift in dict.fromkeys(key[0] for key in p):
        share = f"{np.mean(below[drift]):.0%}" if drift in below else ""
        columns = (p[drift, m, name] for m in sizes for name in TESTS)
        cells = (f" {np.mean(np.array(column) <= LEVELS[-1]):.0%} |" for column in columns)
        print(f"| {drift} | {share} |" + "".join(cells))
    detector = PaDiM().fit(good)
    scores = detector.score_samples(test[data.y_test == 1])
    reference = detector.calibration_scores_
    found = (f"{name} p = {p_values(name, scores[None], reference)[0]:.2g}" for name in TESTS)
    print(f"\nThe {len(scores)} good test images as one window: {', '.join(found)}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", nargs="?", help="folder laid out like MVTec AD")
    parser.add_argument("categories", nargs="*")
    parser.add_argument(
        "--repeats", type=int, default=10, help="splits; a twentieth of the references"
    )
    parser.add_argument("--windows", type=int, default=200, help="of each size and repeat")
    arguments = parser.parse_args()
    if arguments.root is None:
        simulate(20 * arguments.repeats, arguments.windows, np.random.default_rng(0))
    for category in arguments.categories:
        rng = np.random.default_rng(0)  # of its own, so that a category does not depend on others
        measure(arguments.root, category, arguments.repeats, arguments.windows, rng)


if __name__ == "__main__":
    main()
