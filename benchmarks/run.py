"""Run recipes on a data set, and set the figures beside the published ones.

    python benchmarks/run.py --dataset mvtec_ad --root DIR --out results/
    python benchmarks/run.py --dataset mvtec_ad --root DIR --categories bottle,grid \
        --recipes default,paper_resnet18 --seeds 0-9 --out results/
    python benchmarks/run.py --dataset mvtec_ad --root DIR --categories bottle,grid --recipes all \
        --backbones efficientnet_lite0,resnet18 --weights random --out results/

Each category, recipe, backbone and seed is a row of results.csv, which is written as soon as the
row is known; what is there already is not run again. results.md has the means over seeds with their
standard errors, and beside the published figures, which are in published.csv, the differences.

A recipe has the backbone that it was published with. --backbones tries its other settings with
others, and --n-components how many dimensions of those it keeps. Random weights tell that a recipe
runs, not how accurate it is. What draws nothing is run with the first seed only.

Pixels are compared at the size of the heatmaps, exactly, so all heatmaps of a category are in
memory at a time.
"""

import argparse
import csv
import statistics
import sys
from functools import partial
from operator import itemgetter
from pathlib import Path

import numpy as np
from _evaluation import parse_seeds
from scipy.stats import sem
from sklearn.base import clone
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm import tqdm

import skpadim
from skpadim import PaDiM, PatchEmbedder, datasets, recipes
from skpadim._files import new_file
from skpadim.datasets import read_masks
from skpadim.heatmaps import heatmap_scores
from skpadim.metrics import aupro_score, f1_max, pixel_average_precision_score, pixel_roc_auc_score

PUBLISHED = Path(__file__).with_name("published.csv")

# The groups of categories that the paper has means of.
GROUPS = {
    "textures": ("carpet", "grid", "leather", "tile", "wood"),
    "objects": (
        *("bottle", "cable", "capsule", "hazelnut", "metal_nut"),
        *("pill", "screw", "toothbrush", "transistor", "zipper"),
    ),
}
GROUPS["all"] = GROUPS["textures"] + GROUPS["objects"]

# Loaders, and the categories of those that have some.
DATASETS = {
    "mvtec_ad": (datasets.load_mvtec_ad, GROUPS["all"]),
    "mvtec_loco_ad": (
        datasets.load_mvtec_loco_ad,
        ("breakfast_box", "juice_bottle", "pushpins", "screw_bag", "splicing_connectors"),
    ),
    "mvtec_ad_2": (
        datasets.load_mvtec_ad_2,
        (
            *("can", "fabric", "fruit_jelly", "rice"),
            *("sheet_metal", "vial", "wallplugs", "walnuts"),
        ),
    ),
    "visa": (
        datasets.load_visa,
        (
            *("candle", "capsules", "cashew", "chewinggum", "fryum", "macaroni1"),
            *("macaroni2", "pcb1", "pcb2", "pcb3", "pcb4", "pipe_fryum"),
        ),
    ),
    "btad": (datasets.load_btad, ("01", "02", "03")),
    "mpdd": (
        datasets.load_mpdd,
        (
            *("bracket_black", "bracket_brown", "bracket_white"),
            *("connector", "metal_plate", "tubes"),
        ),
    ),
    "kolektor_sdd2": (datasets.load_kolektor_sdd2, None),
    "dagm2007": (datasets.load_dagm2007, tuple(f"Class{i}" for i in range(1, 11))),
    "shanghaitech": (datasets.load_shanghaitech, tuple(f"{i:02}" for i in range(1, 13))),
    "hyper_kvasir": (datasets.load_hyper_kvasir, None),
    "lag": (datasets.load_lag, None),
}


def default(backbone="efficientnet_lite0", *, weights="imagenet", random_state=None):
    return PaDiM(embedder=PatchEmbedder(backbone, weights=weights), random_state=random_state)


RECIPES = {
    "default": default,
    "paper_resnet18": partial(recipes.paper, "resnet18"),
    "paper_wide_resnet50_2": partial(recipes.paper, "wide_resnet50_2"),
    "paper_efficientnet_b5": partial(recipes.paper, "efficientnet_b5"),
    "xiahaifeng_resnet18": partial(recipes.xiahaifeng, "resnet18"),
    "xiahaifeng_wide_resnet50_2": partial(recipes.xiahaifeng, "wide_resnet50_2"),
    # By torchvision's names: the weights that the published figures were measured with.
    "anomalib_resnet18": partial(recipes.anomalib, "resnet18"),
    "anomalib_wide_resnet50_2": partial(recipes.anomalib, "wide_resnet50_2"),
    "ind_knn_ad": recipes.ind_knn_ad,
    "anodet": recipes.anodet,
    "taikiinoue": recipes.taikiinoue,
    "pangoraw": recipes.pangoraw,
    "anomaly_paddle_random": recipes.anomaly_paddle,
    "anomaly_paddle_stratified": partial(recipes.anomaly_paddle, reduction="stratified"),
    "anomaly_paddle_orthogonal": partial(recipes.anomaly_paddle, reduction="semi-orthogonal"),
    "johnnyhopp": recipes.johnnyhopp,
    "semi_orthogonal": recipes.semi_orthogonal,
}

KEY = ("dataset", "category", "recipe", "backbone", "weights", "n_components", "seed")
METRICS = ("image_auroc", "image_ap", "image_f1", "pixel_auroc", "pixel_ap", "aupro")
COLUMNS = (*KEY, *METRICS, "false_alarms", "version")
NAMES = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1": "image F1 max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "aupro": "PRO, FPR ≤ 0.3",
    "false_alarms": "false alarms",
}


def main():
    arguments = parse()
    results = Results(arguments.out)
    try:
        runs = planned(arguments)
        check_networks(runs)
    except (OSError, ValueError, ImportError) as error:
        sys.exit(str(error))
    data, loaded = None, None
    with tqdm(runs, unit="run", disable=None) as bar:
        for detector, key in bar:
            bar.set_postfix_str(" ".join(key[1:]))
            if key in results.rows:
                continue
            if loaded != key[:2]:
                data, loaded = load(arguments.dataset, arguments.root, key[1]), key[:2]
            results.add(key, evaluate(detector, data))
    tables = tables_of(results.by_seed())
    with new_file(arguments.out / "results.md", overwrite=True) as unfinished:
        unfinished.write_text(tables, encoding="utf-8")
    print(tables)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=DATASETS, required=True)
    parser.add_argument("--root", required=True, help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--categories", type=names, help="default: all of the data set")
    parser.add_argument(
        "--recipes",
        type=names,
        default=["default"],
        metavar="NAMES",
        help=f"'all', or some of {', '.join(RECIPES)}; default: default",
    )
    parser.add_argument("--backbones", type=names, metavar="NAMES", help="default: the recipe's")
    parser.add_argument("--weights", choices=("imagenet", "random"), default="imagenet")
    parser.add_argument("--n-components", type=int, metavar="N", help="default: the recipe's")
    parser.add_argument(
        "--seeds", type=parse_seeds, default=[0], metavar="SEEDS", help="such as 0-9; default: 0"
    )
    arguments = parser.parse_args()
    if arguments.recipes == ["all"]:
        arguments.recipes = list(RECIPES)
    for name in arguments.recipes:
        if name not in RECIPES:
            parser.error(f"--recipes: {name!r} is none of {', '.join(RECIPES)}")
    return arguments


def names(text):
    return [name.strip() for name in text.split(",") if name.strip()]


def load(dataset, root, category):
    loader, has_categories = DATASETS[dataset]
    return loader(root, category) if has_categories else loader(root)


def planned(arguments):
    """List what is to be run: unfitted detectors, and the keys of their rows."""
    runs = []
    for category in arguments.categories or DATASETS[arguments.dataset][1] or ["all"]:
        load(arguments.dataset, arguments.root, category)  # what is wrong is told now
        for recipe in arguments.recipes:
            for backbone in arguments.backbones or [None]:
                for seed in arguments.seeds:
                    detector = make(recipe, backbone, arguments, seed)
                    if detector.n_components is None and seed != arguments.seeds[0]:
                        continue
                    key = (
                        arguments.dataset,
                        category,
                        recipe,
                        str(detector.embedder.backbone),
                        arguments.weights,
                        n_components_of(detector),
                        str(seed),
                    )
                    runs.append((detector, key))
    return runs


def make(recipe, backbone, arguments, seed):
    given = {} if backbone is None else {"backbone": backbone}
    weights = None if arguments.weights == "random" else "imagenet"
    function = RECIPES[recipe]
    if backbone is not None and isinstance(function, partial):
        # The recipe's own backbone is its first argument.
        function = partial(function.func, **function.keywords)
    detector = function(**given, weights=weights, random_state=seed)
    if arguments.n_components is not None:
        detector.set_params(n_components=arguments.n_components)
    return detector


def check_networks(runs):
    """Build each network once: weights that are missing are told before long work, by file."""
    depths = {}
    for detector, key in runs:
        backbone = key[KEY.index("backbone")]
        if backbone not in depths:
            depths[backbone] = clone(detector.embedder).output_shape[2]
        if detector.n_components is not None and detector.n_components > depths[backbone]:
            raise ValueError(
                f"{detector.n_components} dimensions are to be kept of {backbone}, which has "
                f"{depths[backbone]}: give --n-components."
            )


def evaluate(detector, data):
    detector = clone(detector)
    heatmaps = detector.fit(data.X_train).predict_heatmap(data.X_test)
    scores = heatmap_scores(heatmaps)
    defective = data.y_test == -1
    row = {
        "image_auroc": roc_auc_score(defective, -scores),
        "image_ap": average_precision_score(defective, -scores),
        "image_f1": f1_max(defective, -scores)[0],
        "false_alarms": np.mean(scores[~defective] < detector.offset_),
    }
    if any(mask is not None for mask in data.masks_test):
        masks = read_masks(data.masks_test, heatmaps.shape[1:])
        row["pixel_auroc"] = pixel_roc_auc_score(masks, heatmaps)
        row["pixel_ap"] = pixel_average_precision_score(masks, heatmaps)
        row["aupro"] = aupro_score(masks, heatmaps, max_fpr=0.3)
    return {name: f"{value:.4f}" for name, value in row.items()}


class Results:
    """The rows of results.csv, by their keys."""

    def __init__(self, folder):
        self.folder = folder
        self.rows = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.csv"
        if self._file.exists():
            with self._file.open(newline="", encoding="utf-8") as lines:
                self._read(csv.DictReader(lines))

    def _read(self, reader):
        if tuple(reader.fieldnames or ()) != COLUMNS:
            sys.exit(f"{self._file} has other columns than are written now: give another --out.")
        for row in reader:
            if row["version"] != skpadim.__version__:
                sys.exit(
                    f"{self._file} is of skpadim {row['version']}, not {skpadim.__version__}: give "
                    "another --out."
                )
            self.rows[tuple(row[name] for name in KEY)] = row

    def add(self, key, measured):
        """Let a row join, and write the file."""
        row = dict(zip(KEY, key, strict=True)) | measured | {"version": skpadim.__version__}
        self.rows[key] = {name: row.get(name, "") for name in COLUMNS}
        with (
            new_file(self._file, overwrite=True) as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as lines,
        ):
            writer = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows.values())

    def by_seed(self):
        """Tell the rows that differ in their seeds only, by the rest of their keys."""
        groups = {}
        for key, row in self.rows.items():
            groups.setdefault(key[:-1], []).append(row)
        return groups


def tables_of(groups):
    """Tables of all results, in Markdown."""
    lines = []
    for dataset, category in dict.fromkeys(key[:2] for key in groups):
        lines += ["", f"## {dataset}, {category}", ""]
        lines += head("recipe", "backbone", "dimensions", "seeds", *NAMES.values())
        for key, rows in groups.items():
            if key[:2] == (dataset, category):
                _, _, recipe, backbone, weights, n_components = key
                mark = " (random weights)" if weights == "random" else ""
                cells = [recipe, backbone + mark, n_components, len(rows)]
                lines.append(as_row(*cells, *(spread(name, rows) for name in NAMES)))
    return "\n".join([*lines, *published_tables(groups)]).strip() + "\n"


def published_tables(groups):
    """Tables of the figures published for each recipe, what it gets here, and the defaults."""
    with PUBLISHED.open(newline="", encoding="utf-8") as lines:
        published = list(csv.DictReader(lines))
    here = means_as_published(groups)
    of_table = itemgetter("dataset", "recipe", "source")
    tables = []
    for dataset, recipe, source in dict.fromkeys(map(of_table, published)):
        rows = []
        for row in published:
            if of_table(row) != (dataset, recipe, source):
                continue
            value, category, metric = float(row["value"]), row["category"], row["metric"]
            own = here.get((dataset, category, recipe, metric))
            default = here.get((dataset, category, "default", metric))
            if own is not None or default is not None:
                rows.append(
                    as_row(
                        *(category, NAMES[metric], f"{value:.3f}"),
                        *(
                            ("not run", "")
                            if own is None
                            else (f"{own:.3f}", f"{own - value:+.3f}")
                        ),
                        "not run" if default is None else f"{default:.3f}",
                    )
                )
        if rows:
            tables += ["", f"## Published: {recipe}, {dataset}", "", f"Source: {source}.", ""]
            tables += head("category", "metric", "published", "here", "difference", "defaults here")
            tables += rows
    return tables


def means_as_published(groups):
    """Means of recipes with the backbones they are published with, and of groups of categories."""
    means = {}
    for (dataset, category, recipe, *settings), rows in groups.items():
        detector = RECIPES[recipe]()
        if settings == [detector.embedder.backbone, "imagenet", n_components_of(detector)]:
            for metric in METRICS:
                values = [float(row[metric]) for row in rows if row[metric]]
                if values:
                    means[dataset, category, recipe, metric] = statistics.fmean(values)
    for dataset, recipe, metric in {(key[0], *key[2:]) for key in means}:
        for group, members in GROUPS.items():
            values = [means.get((dataset, member, recipe, metric)) for member in members]
            if None not in values:
                means[dataset, group, recipe, metric] = statistics.fmean(values)
    return means


def n_components_of(detector):
    return str(detector.n_components or "all")


def head(*names):
    return [as_row(*names), "|---" * len(names) + "|"]


def as_row(*cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def spread(name, rows):
    """Mean of what was measured in some rows, and its standard error, in words."""
    values = [float(row[name]) for row in rows if row[name]]
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.3f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {sem(values):.3f}"


if __name__ == "__main__":
    main()
