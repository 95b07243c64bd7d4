"""What the benchmarks of accuracy share: images in memory, settings in words, measures."""

import argparse
import ast
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import roc_auc_score

from skpadim.datasets import load_mvtec_ad, read_masks
from skpadim.metrics import aupro_score, pixel_roc_auc_score


class ImageSet(NamedTuple):
    """Images of one kind of part, in memory."""

    name: str
    train: NDArray[np.uint8]  # (n_train, height, width, 3)
    test: NDArray[np.uint8]
    y: NDArray[np.intp]  # of the test images
    masks: NDArray[np.bool_]  # of the test images, at the size asked for


def read_rgb(paths):
    return np.stack([np.asarray(Image.open(path).convert("RGB")) for path in paths])


def read_category(root, category, mask_size):
    data = load_mvtec_ad(root, category)
    masks = read_masks(data.masks_test, mask_size)
    return ImageSet(category, read_rgb(data.X_train), read_rgb(data.X_test), data.y_test, masks)


def parse_setting(text):
    """Turn "a=1, b='x'" into {"a": 1, "b": "x"}."""
    call = ast.parse(f"f({text})", mode="eval").body
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def parse_seeds(text):
    """Turn "0-3,7" into [0, 1, 2, 3, 7]."""
    seeds = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise argparse.ArgumentTypeError(f"{part!r} is neither a seed nor a range, as 0-9")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r} has no seed, or one more than once")
    return seeds


def accuracy(y, scores, masks, heatmaps):
    """Return image AUROC, pixel AUROC, and PRO up to 30 % false positives."""
    return (
        roc_auc_score(y == -1, -scores),
        pixel_roc_auc_score(masks, heatmaps),
        aupro_score(masks, heatmaps, max_fpr=0.3),
    )


def print_row(*cells):
    """Print a row of a Markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def print_head(*columns):
    print_row(*columns)
    print("|---" * len(columns) + "|", flush=True)
