"""A search for better defaults: one setting after another, on real and synthetic images.

Prints a Markdown row for the defaults and for each setting: image AUROC / pixel AUROC / PRO up to
30 % false positives on each set, their means over the sets, and good test images called defective
on all sets. Nothing is chosen for a category. Scores are made at the size of the network's input;
pixels are compared at 224 x 224.

    python benchmarks/defaults.py ROOT bottle grid
    python benchmarks/defaults.py ROOT bottle grid --only grid_stride neighborhood
    python benchmarks/defaults.py ROOT bottle grid --moved --setting "" --setting "tolerance=1"
    python benchmarks/defaults.py ROOT bottle grid --only copies --by-image
    python benchmarks/defaults.py ROOT bottle --times

Settings are parameters of PaDiM and PatchEmbedder, and three things that skpadim does not do:

- top_k: an image's score is the mean of that many highest pixels. It breaks the rule that a mask
  has a pixel exactly where an image is called defective.
- copies: fit on changed copies of the training images as well, with "flips" left to right, upside
  down and both, or "shifts" by half a grid cell to each side. `fit` leaves out one copy at a time,
  not all copies of an image: --by-image tells what becomes of the threshold.
- tolerance: a patch's distance is the smallest to the Gaussians of so many positions around it, for
  parts that are not aligned. No training image is left out there, hence no threshold.

--moved rotates and crops all images, as protocols.py does. The synthetic images are those of
make_inspection_images, with faint defects. --times prints what the processor does for fit and
prediction on the first set, as multiples of the defaults.
"""

import argparse
import time
from itertools import product

import numpy as np
from _evaluation import (
    ImageSet,
    accuracy,
    parse_setting,
    print_head,
    print_row,
    read_category,
)
from protocols import RESIZED, moved

from skpadim import PaDiM, PatchEmbedder, PatchGaussian
from skpadim._masks import resize_mask
from skpadim._threshold import conformal_offset
from skpadim.datasets import make_inspection_images
from skpadim.gaussian import PatchMoments
from skpadim.gaussian._leave_one_out import LeaveOneOut
from skpadim.heatmaps import heatmap_scores, resize_heatmaps, to_heatmaps

SETTINGS = (
    "",
    "image_size=256",
    "image_size=320",
    "backbone='efficientnet_lite1'",
    "backbone='efficientnet_lite2'",
    "grid_stride=4",
    "layers=['blocks.1', 'blocks.2']",
    "layers=['blocks.1', 'blocks.4']",
    "layers=['blocks.2', 'blocks.4']",
    "layers=['blocks.1']",
    "layers=['blocks.2']",
    "layers=['blocks.4']",
    "layers=['blocks.1', 'blocks.2', 'blocks.3']",
    "neighborhood=1",
    "neighborhood=5",
    "reg_covar=0.01",
    "reg_covar=0.03",
    "reg_covar=0.3",
    "reg_covar=1",
    "smoothing=1",
    "smoothing=2",
    "smoothing=3",
    "smoothing=5",
    "smoothing=6",
    "smoothing=8",
    "top_k=10",
    "top_k=100",
    "top_k=1000",
    "copies='flips'",
    "copies='shifts'",
    "tolerance=1",
)
EMBEDDER_PARAMETERS = set(PatchEmbedder().get_params())
MASK_SIZE = 224
# The share of a synthetic defect that is left: as they are, the defaults find nearly all.
STRENGTH = 0.5
FOLDS = 5


def faint_defects(n, mask_size, image_size=320):
    """Synthetic parts; defects are blended with the same parts before they were damaged."""
    size = {"image_size": image_size}
    good = make_inspection_images(2 * n, 0, **size, random_state=0).images
    whole = make_inspection_images(n, 0, **size, random_state=1).images.astype(np.float32)
    damaged = make_inspection_images(0, n, **size, random_state=1)
    faint = np.rint(whole + STRENGTH * (damaged.images - whole)).astype(np.uint8)
    masks = np.zeros((2 * n, mask_size, mask_size), bool)
    masks[n:] = [resize_mask(mask, (mask_size, mask_size)) for mask in damaged.masks]
    test = np.concatenate([good[n:], faint])
    return ImageSet("synthetic", good[:n], test, np.repeat([1, -1], n), masks)


class Setting:
    """Parameters of a row, and what they make of images."""

    def __init__(self, text=""):
        self.name = f"`{text}`" if text else "the defaults"
        parameters = parse_setting(text)
        self.top_k = parameters.pop("top_k", 1)
        self.copies = parameters.pop("copies", "none")
        self.tolerance = parameters.pop("tolerance", 0)
        self.parameters = {
            f"embedder__{name}" if name in EMBEDDER_PARAMETERS - {"random_state"} else name: value
            for name, value in parameters.items()
        }

    def fit(self, images):
        """Fit the detector."""
        detector = PaDiM(embedder=PatchEmbedder()).set_params(**self.parameters)
        return detector.fit(COPIES[self.copies](images).reshape(-1, *images.shape[1:]))

    def predict(self, detector, images):
        """Return heatmaps, and scores."""
        if self.tolerance:
            embeddings = detector.embedder_.transform(images)
            distances = tolerant_distances(detector.gaussian_, embeddings, self.tolerance)
            size = detector.embedder_.input_size
            heatmaps = to_heatmaps(distances, size, smoothing=detector.smoothing)
        else:
            heatmaps = detector.predict_heatmap(images)
        if self.top_k == 1:
            return heatmaps, heatmap_scores(heatmaps)
        pixels = heatmaps.reshape(len(heatmaps), -1)
        highest = np.partition(pixels, -self.top_k, axis=1)[:, -self.top_k :]
        return heatmaps, -highest.mean(axis=1, dtype=np.float64)

    @property
    def sets_a_threshold(self):
        """Whether what `fit` leaves out is scored as it will be later."""
        return self.top_k == 1 and not self.tolerance


def tolerant_distances(gaussian, embeddings, tolerance):
    """Smallest distance of each patch to the Gaussians of the positions around its own."""
    n, rows, columns, d = embeddings.shape
    smallest = np.full((n, rows, columns), np.inf, np.float32)
    for step in product(range(-tolerance, tolerance + 1), repeat=2):
        # A patch comes to the Gaussian that is a step away, and its distance goes back with it.
        there = np.roll(embeddings, step, axis=(1, 2)).reshape(n, -1, d)
        distances = gaussian.patch_distances(there).reshape(n, rows, columns)
        back = np.roll(distances, (-step[0], -step[1]), axis=(1, 2))
        inside = (
            slice(None),
            *(
                slice(max(0, -s), side - max(0, s))
                for s, side in zip(step, (rows, columns), strict=True)
            ),
        )
        smallest[inside] = np.minimum(smallest[inside], back[inside])
    return smallest


def only_themselves(images):
    return images[:, np.newaxis]


def flips(images):
    return np.stack([images, images[:, :, ::-1], images[:, ::-1], images[:, ::-1, ::-1]], axis=1)


def shifts(images):
    """By half a cell of the default grid: 4 of 224 pixels."""
    height, width = images.shape[1:3]
    reach = round(4 / 224 * height)
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    steps = ((reach, reach), (0, reach), (2 * reach, reach), (reach, 0), (reach, 2 * reach))
    return np.stack([padded[:, y : y + height, x : x + width] for y, x in steps], axis=1)


# Images (n, height, width, 3) -> (n, copies, height, width, 3); the first copy is the image itself.
COPIES = {"none": only_themselves, "flips": flips, "shifts": shifts}


def print_accuracies(settings, sets):
    print_head("setting", *(data.name for data in sets), "mean", "false alarms")
    n_good = sum(np.sum(data.y == 1) for data in sets)
    for setting in settings:
        accuracies, n_alarms = [], 0
        for data in sets:
            detector = setting.fit(data.train)
            heatmaps, scores = setting.predict(detector, data.test)
            heatmaps = resize_heatmaps(heatmaps, data.masks.shape[1:])
            accuracies.append(accuracy(data.y, scores, data.masks, heatmaps))
            n_alarms += np.sum(scores[data.y == 1] < detector.offset_)
        accuracies.append(np.mean(accuracies, axis=0))
        print_row(
            setting.name,
            *(" / ".join(f"{value:.4f}" for value in values) for values in accuracies),
            f"{n_alarms} of {n_good}" if setting.sets_a_threshold else "",
        )


def print_times(settings, data):
    """Count what all threads do: others may use the processor as well."""
    settings = [Setting(), *settings]
    seconds_of(settings[0], data)  # what is slow only once
    rounds = [[seconds_of(setting, data) for setting in settings] for _ in range(2)]
    best = np.min(rounds, axis=0)
    print_head("setting", "fit", "predict")
    for setting, (fit, predict) in zip(settings, best / best[0], strict=True):
        print_row(setting.name, f"{fit:.2f}", f"{predict:.2f}")


def seconds_of(setting, data):
    times = [time.process_time()]
    detector = setting.fit(data.train)
    times.append(time.process_time())
    setting.predict(detector, data.test)
    times.append(time.process_time())
    return np.diff(times)


def print_thresholds(settings, sets):
    """Compare leaving out one copy with leaving out all copies of a fifth of the images."""
    print_head("copies", "set", "left out", "false alarms", "found")
    detector = PaDiM(embedder=PatchEmbedder())
    for setting in settings:
        for data in sets:
            images = COPIES[setting.copies](data.train)
            embeddings = detector.embedder.transform(images.reshape(-1, *images.shape[2:]))
            moments = moments_of(embeddings)
            gaussian = PatchGaussian().fit_moments(moments)
            by_copy = LeaveOneOut(moments, gaussian._factor).distances
            calibrations = {
                "a copy": scores_by(by_copy, embeddings),
                f"a {FOLDS}th of the images": scores_by_image(embeddings, images.shape[1]),
            }
            test = detector.embedder.transform(data.test)
            scores = scores_by(gaussian.patch_distances, test)
            for way, calibration in calibrations.items():
                called = scores < conformal_offset(calibration, detector.false_alarm_rate)
                alarms, found = called[data.y == 1], called[data.y == -1]
                print_row(
                    setting.copies,
                    data.name,
                    way,
                    f"{alarms.sum()} of {len(alarms)}",
                    f"{found.sum()} of {len(found)}",
                )


def moments_of(embeddings):
    n, rows, columns, d = embeddings.shape
    return PatchMoments(n).update(embeddings.reshape(n, rows * columns, d))


def scores_by(distances, embeddings):
    n, rows, columns, d = embeddings.shape
    on_grid = distances(embeddings.reshape(n, rows * columns, d)).reshape(n, rows, columns)
    return heatmap_scores(to_heatmaps(on_grid, (MASK_SIZE, MASK_SIZE)))


def scores_by_image(embeddings, n_copies):
    """Score images, the first of their copies, by models that have seen none of these."""
    n = len(embeddings) // n_copies
    folds = np.arange(n) % FOLDS
    scores = np.empty(n)
    for fold in range(FOLDS):
        seen = np.repeat(folds != fold, n_copies)
        gaussian = PatchGaussian().fit_moments(moments_of(embeddings[seen]))
        left_out = embeddings[::n_copies][folds == fold]
        scores[folds == fold] = scores_by(gaussian.patch_distances, left_out)
    return scores


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", help="folder that holds the categories")
    parser.add_argument("category", nargs="*")
    parser.add_argument(
        "--synthetic",
        type=int,
        default=100,
        metavar="N",
        help="synthetic images to fit, and of good and of defective ones to test; 0: none",
    )
    parser.add_argument(
        "--only", nargs="+", default=[""], help="settings that contain one of these texts"
    )
    parser.add_argument(
        "--setting", action="append", help="these settings instead; may be repeated"
    )
    parser.add_argument(
        "--moved", action="store_true", help="rotate and crop all images, as protocols.py does"
    )
    parser.add_argument("--by-image", action="store_true", help="compare thresholds of copies")
    parser.add_argument("--times", action="store_true", help="of the first set, not the accuracy")
    arguments = parser.parse_args()
    texts = arguments.setting or [t for t in SETTINGS if any(part in t for part in arguments.only)]
    if not texts:
        parser.error(f"--only {' '.join(arguments.only)} leaves no setting")
    size = RESIZED if arguments.moved else MASK_SIZE
    sets = [read_category(arguments.root, category, size) for category in arguments.category]
    if arguments.synthetic:
        sets.append(faint_defects(arguments.synthetic, size))
    if arguments.moved:
        sets = [moved(data, seed=0) for data in sets]
    settings = [Setting(text) for text in texts]
    if arguments.by_image:
        print_thresholds(settings, sets)
    elif arguments.times:
        print_times(settings, sets[0])
    else:
        print_accuracies(settings, sets)


if __name__ == "__main__":
    main()
