"""Accuracy of PaDiM on data sets laid out like MVTec AD.

Prints image AUROC, pixel AUROC, per-region overlap up to 30 % false positives, and what the default
threshold does: the share of good test images called defective, and of defective ones found. Nothing
is tuned; heatmaps and masks are compared at the size of the network's input. What is drawn at
random is drawn with seed 0, or with several, of which the mean and its standard error are printed.

    python benchmarks/accuracy.py ROOT bottle grid
    python benchmarks/accuracy.py ROOT bottle --setting "n_components=100" --seeds 0-9
    python benchmarks/accuracy.py ROOT bottle --setting "" \
        --setting "embedder__neighborhood=1, embedder__grid_stride=4, \
                   embedder__alignment='nearest', reg_covar=0.01, reg_relative=False"
"""

import argparse
import time

import numpy as np
from _evaluation import accuracy, parse_seeds, parse_setting
from scipy.stats import sem

from skpadim import PaDiM, PatchEmbedder
from skpadim.datasets import load_mvtec_ad, read_masks
from skpadim.heatmaps import heatmap_scores

COLUMNS = ("image AUROC", "pixel AUROC", "PRO", "false alarms", "found", "fit s", "predict s")


def evaluate(data, setting, seed):
    detector = PaDiM(embedder=PatchEmbedder(), random_state=seed).set_params(**setting)
    start = time.perf_counter()
    detector.fit(data.X_train)
    fitted = time.perf_counter()
    heatmaps = detector.predict_heatmap(data.X_test)
    predicted = time.perf_counter()
    masks = read_masks(data.masks_test, heatmaps.shape[1:])
    scores = heatmap_scores(heatmaps)
    defective = data.y_test == -1
    alarms = scores < detector.offset_
    measures = accuracy(data.y_test, scores, masks, heatmaps)
    return measures, (
        *(f"{measure:.4f}" for measure in measures),
        f"{alarms[~defective].sum()}/{(~defective).sum()}",
        f"{alarms[defective].sum()}/{defective.sum()}",
        f"{fitted - start:.1f}",
        f"{predicted - fitted:.1f}",
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category", nargs="+")
    parser.add_argument(
        "--setting",
        action="append",
        help="parameters of PaDiM that differ from the defaults, as in a call; may be repeated",
    )
    parser.add_argument(
        "--seeds",
        type=parse_seeds,
        default=[0],
        metavar="SEEDS",
        help="seeds of random_state, such as 0-9 or 0,5; default: 0",
    )
    arguments = parser.parse_args()
    settings = [(text, parse_setting(text)) for text in arguments.setting or [""]]
    data_sets = [load_mvtec_ad(arguments.root, category) for category in arguments.category]
    for text, setting in settings:
        print(f"\nPaDiM({' '.join(text.split())})")
        print(f"{'category':<12}" + "".join(f"{column:>14}" for column in COLUMNS))
        for data in data_sets:
            results = []
            for seed in arguments.seeds:
                measures, row = evaluate(data, setting, seed)
                results.append(measures)
                print_row(data.category, row)
            if len(results) > 1:
                for title, measures in (
                    ("mean", np.mean(results, axis=0)),
                    ("its error", sem(results)),
                ):
                    print_row(f"  {title}", [f"{measure:.4f}" for measure in measures])


def print_row(title, cells):
    print(f"{title:<12}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
